import { createHash, generateKeyPairSync } from 'node:crypto';
import { makeCertificate, pem } from './x509.ts';

export interface SelfSigned {
  /** PEM texts; the key is PKCS#8, not encrypted. */
  readonly certificate: string;
  readonly privateKey: string;
  /** Hex of the SHA-256 of the certificate. */
  readonly thumbprintSha256: string;
  readonly notAfter: Date;
}

/**
 * A self-signed certificate for an app registration, with an RSA key. Entra looks at nothing but the key and the dates,
 * so that there is no more in it.
 */
export function selfSigned(options: {
  readonly commonName: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly bits?: number;
}): SelfSigned {
  const { commonName, notBefore, notAfter, bits = 3072 } = options;
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  const certificate = makeCertificate({
    subject: commonName,
    issuer: commonName,
    publicKey,
    signingKey: privateKey,
    notBefore,
    notAfter,
  });
  return {
    certificate: pem('CERTIFICATE', certificate),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    thumbprintSha256: createHash('sha256').update(certificate).digest('hex').toUpperCase(),
    notAfter: new Date(Math.floor(notAfter.getTime() / 1_000) * 1_000),
  };
}
