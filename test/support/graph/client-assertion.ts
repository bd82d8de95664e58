/** Client assertions: a certificate in place of a secret. */
import { constants, createHash, verify, X509Certificate } from 'node:crypto';

import type { TenantState } from './state.ts';

/** Checks a client assertion as Entra does: certificate thumbprint, signature (RS256 or PS256), audience, time, subject. */
export function isAssertionRight(
  assertion: string,
  tenant: TenantState,
  audiences: readonly string[],
  now: Date,
): boolean {
  if (tenant.certificate === null) return false;
  const certificate = new X509Certificate(tenant.certificate);
  const [header = '', payload = '', signature = ''] = assertion.split('.');
  const head = parseJwtPart(header);
  const claims = parseJwtPart(payload);
  const thumb = (hash: 'sha1' | 'sha256'): string => createHash(hash).update(certificate.raw).digest('base64url');
  if (head['x5t#S256'] !== thumb('sha256') && head['x5t'] !== thumb('sha1')) return false;
  const isPss = head['alg'] === 'PS256';
  const padding = isPss
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    : { padding: constants.RSA_PKCS1_PADDING };
  const signed = verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    { key: certificate.publicKey, ...padding },
    Buffer.from(signature, 'base64url'),
  );
  const seconds = now.getTime() / 1000;
  return (
    signed &&
    audiences.includes(String(claims['aud'])) &&
    claims['iss'] === tenant.client &&
    claims['sub'] === tenant.client &&
    Number(claims['exp']) > seconds &&
    Number(claims['nbf'] ?? 0) <= seconds + 300
  );
}

function parseJwtPart(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
}
