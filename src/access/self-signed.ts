/**
 * A self-signed certificate for an app registration: X.509 v3 (RFC 5280) with an RSA key, in DER by hand. Entra looks at
 * nothing but the key and the dates, so that there is no more in it.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export interface SelfSigned {
  /** PEM texts; the key is PKCS#8, not encrypted. */
  readonly certificate: string;
  readonly privateKey: string;
  /** Hex of the SHA-256 of the certificate. */
  readonly thumbprintSha256: string;
  readonly notAfter: Date;
}

export function selfSigned(options: {
  readonly commonName: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly bits?: number;
}): SelfSigned {
  const { commonName, notBefore, notAfter, bits = 3072 } = options;
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  const name = sequence(set(sequence(COMMON_NAME, der(0x0c, Buffer.from(commonName)))));
  const serial = randomBytes(16);
  // Positive, and without a leading zero (RFC 5280, 4.1.2.2).
  serial[0] = (serial.readUInt8(0) & 0x7f) | 0x40;
  const version = der(0xa0, der(0x02, Buffer.from([2])));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const body = sequence(
    version,
    der(0x02, serial),
    SHA256_WITH_RSA,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    spki,
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, privateKey));
  const certificate = sequence(body, SHA256_WITH_RSA, signature);
  return {
    certificate: pem('CERTIFICATE', certificate),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    thumbprintSha256: createHash('sha256').update(certificate).digest('hex').toUpperCase(),
    notAfter: new Date(Math.floor(notAfter.getTime() / 1_000) * 1_000),
  };
}

/** Object identifiers 1.2.840.113549.1.1.11 with NULL, and 2.5.4.3. */
const SHA256_WITH_RSA = Buffer.from('300d06092a864886f70d01010b0500', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');

const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const set = (...parts: Buffer[]): Buffer => der(0x31, ...parts);

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280, 4.1.2.5). */
function time(at: Date): Buffer {
  const digits = at.toISOString().replaceAll(/\D/g, '').slice(0, 14);
  return at.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(`${digits.slice(2)}Z`))
    : der(0x18, Buffer.from(`${digits}Z`));
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head =
    length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), content]);
}

function pem(label: string, content: Buffer): string {
  const lines = content.toString('base64').replaceAll(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
