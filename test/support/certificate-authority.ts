/** A private authority, as a closed network has one; made on the spot, for openssl is not on every machine. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';

import { der, makeCertificate, pem, sequence } from '../../src/access/x509.ts';

export interface Issued {
  /** PEM texts. */
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Authority {
  /** PEM text, for NODE_EXTRA_CA_CERTS. */
  readonly certificate: string;
  /** A certificate for a server of these names; all servers of an authority have one key. */
  issue(names: readonly string[]): Issued;
  /** A certificate for somebody else's key. */
  issueFor(name: string, publicKey: KeyObject): string;
}

const [notBefore, notAfter] = [new Date('2020-01-01T00:00:00Z'), new Date('2049-12-31T23:59:59Z')];
const yes = der(0x01, Buffer.from([0xff]));
const extension = (oid: string, isCritical: boolean, value: Buffer): Buffer =>
  sequence(Buffer.from(oid, 'hex'), ...(isCritical ? [yes] : []), der(0x04, value));
/** 2.5.29.19, 2.5.29.15 and 2.5.29.17 (RFC 5280, 4.2.1). */
const isAuthority = extension('0603551d13', true, sequence(yes));
const signsCertificates = extension('0603551d0f', true, der(0x03, Buffer.from([1, 0x06])));
const alternativeNames = (names: readonly string[]): Buffer =>
  extension('0603551d11', false, sequence(...names.map((name) => der(0x82, Buffer.from(name)))));

const newKeys = () => generateKeyPairSync('rsa', { modulusLength: 2048 });

export function certificateAuthority(name = 'Authority of a closed network'): Authority {
  const { privateKey: signingKey, publicKey } = newKeys();
  const server = newKeys();
  const common = { issuer: name, signingKey, notBefore, notAfter };
  const own = makeCertificate({ ...common, subject: name, publicKey, extensions: [isAuthority, signsCertificates] });
  const issueFor = (names: readonly string[], key: KeyObject): string =>
    pem(
      'CERTIFICATE',
      makeCertificate({ ...common, subject: names[0] ?? '', publicKey: key, extensions: [alternativeNames(names)] }),
    );
  return {
    certificate: pem('CERTIFICATE', own),
    issue: (names) => ({
      certificate: issueFor(names, server.publicKey),
      privateKey: server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }),
    issueFor: (one, key) => issueFor([one], key),
  };
}
