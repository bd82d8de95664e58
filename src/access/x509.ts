/**
 * Certificates in DER by hand: X.509 v3 (RFC 5280), signed by an RSA key. Node makes keys but no certificates, and
 * openssl is not on every machine (docs/decisions/0018).
 */
import { randomBytes, sign, type KeyObject } from 'node:crypto';

export interface CertificateWish {
  /** Common names, all that there is of names. */
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  /** RSA, the issuer's. */
  readonly signingKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** In DER, each made by `extension`. */
  readonly extensions?: readonly Buffer[];
}

/** The certificate in DER. */
export function makeCertificate(wish: CertificateWish): Buffer {
  const { subject, issuer, publicKey, signingKey, notBefore, notAfter, extensions = [] } = wish;
  const serial = randomBytes(16);
  // Positive, and without a leading zero (RFC 5280, 4.1.2.2).
  serial[0] = (serial.readUInt8(0) & 0x7f) | 0x40;
  const version = der(0xa0, der(0x02, Buffer.from([2])));
  const body = sequence(
    version,
    der(0x02, serial),
    SHA256_WITH_RSA,
    nameOf(issuer),
    sequence(time(notBefore), time(notAfter)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions))]),
  );
  return sequence(body, SHA256_WITH_RSA, der(0x03, Buffer.from([0]), sign('sha256', body, signingKey)));
}

/** PEM text of something in DER (RFC 7468). */
export function pem(label: string, content: Buffer): string {
  const lines = content.toString('base64').replaceAll(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/** Object identifiers 1.2.840.113549.1.1.11 with NULL, and 2.5.4.3. */
const SHA256_WITH_RSA = Buffer.from('300d06092a864886f70d01010b0500', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');

export const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const set = (...parts: Buffer[]): Buffer => der(0x31, ...parts);

function nameOf(commonName: string): Buffer {
  return sequence(set(sequence(COMMON_NAME, der(0x0c, Buffer.from(commonName)))));
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280, 4.1.2.5). */
function time(at: Date): Buffer {
  const digits = at.toISOString().replaceAll(/\D/g, '').slice(0, 14);
  return at.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(`${digits.slice(2)}Z`))
    : der(0x18, Buffer.from(`${digits}Z`));
}

/** One element: tag, length, content (X.690, 8.1). */
export function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head =
    length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), content]);
}
