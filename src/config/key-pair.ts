import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

/** PEM texts of a certificate and its key. */
export interface KeyPair {
  readonly certificate: string;
  /** PKCS#8, not encrypted. */
  readonly privateKey: string;
}

/**
 * A certificate and the key to it, decrypted; or what is wrong with them, as `what is wrong. What to do.` Pure. The texts
 * never stand in what is told.
 */
export function readKeyPair(texts: KeyPair & { readonly password?: string | undefined }): KeyPair | string {
  const { certificate, privateKey, password } = texts;
  const cert = attempt(() => new X509Certificate(certificate));
  if (cert === null)
    return 'holds no PEM certificate. Export it as PEM, which begins with -----BEGIN CERTIFICATE-----.';
  if (!privateKey.includes('PRIVATE KEY-----'))
    return 'has no PEM private key. Export the key to the certificate as PEM, which begins with -----BEGIN PRIVATE KEY-----.';
  const isEncrypted = /ENCRYPTED/.test(privateKey);
  if (isEncrypted && password === undefined)
    return 'has an encrypted key. Give its password as password, best as ${NAME} of an environment variable.';
  const key = attempt(() =>
    createPrivateKey({ key: privateKey, ...(password === undefined ? {} : { passphrase: password }) }),
  );
  if (key === null)
    return isEncrypted
      ? 'has a key that the password does not open. Correct the password, or export the key unencrypted.'
      : 'has a private key that is damaged. Export it again.';
  if (!cert.checkPrivateKey(key))
    return 'has a key that belongs to another certificate. Give the key that was made together with this certificate.';
  if (key.asymmetricKeyType !== 'rsa')
    return 'has a key that is no RSA key, which Entra does not take. Make a pair with calendar-sync cert create.';
  return { certificate, privateKey: pem(key) };
}

function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
