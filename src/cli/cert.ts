import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { selfSigned } from '../access/self-signed.ts';
import { SyncError } from '../shared/errors.ts';
import { exitCodes, tell, tellFailure } from './context.ts';

export interface CertOptions {
  readonly json: boolean;
  readonly years: number;
  readonly folder: string;
  readonly force: boolean;
}

/** Makes a certificate for a tenant's app registration: two PEM files, and what to do with them. Needs no database. */
export function createCertificate(tenant: string, options: CertOptions): number {
  const folder = resolve(options.folder);
  const [certificateFile, keyFile] = [join(folder, `${tenant}.pem`), join(folder, `${tenant}.key`)];
  try {
    if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(tenant))
      throw refusal(`"${tenant}" is no id of a tenant`, 'Use small letters, digits and hyphens between them.');
    const taken = [certificateFile, keyFile].find((file) => existsSync(file));
    if (taken !== undefined && !options.force)
      throw refusal(
        `${taken} is there already`,
        'Keep it, name another folder with --folder, or replace it with --force.',
      );
    const notBefore = new Date(Date.now() - 3_600_000);
    const notAfter = new Date(notBefore.getTime());
    notAfter.setUTCFullYear(notAfter.getUTCFullYear() + options.years);
    const made = selfSigned({ commonName: `calendar-sync ${tenant}`, notBefore, notAfter });
    mkdirSync(folder, { recursive: true });
    writeFileSync(keyFile, made.privateKey, { mode: 0o600 });
    writeFileSync(certificateFile, made.certificate, { mode: 0o644 });
    const facts = { tenant, certificate: certificateFile, key: keyFile, thumbprintSha256: made.thumbprintSha256 };
    tell(options.json, { ...facts, notAfter: made.notAfter.toISOString() }, [
      `Made ${certificateFile} and ${keyFile}, good until ${made.notAfter.toISOString().slice(0, 10)}.`,
      `1. Upload ${tenant}.pem to the app registration: Certificates & secrets > Certificates. It holds no secret.`,
      `   Entra then shows a thumbprint; the SHA-256 of ours is ${made.thumbprintSha256}.`,
      `2. Name both in the configuration, instead of a secret, and apply it:`,
      `     certificate: { file: ${tenant}.pem, key: ${tenant}.key }`,
      `3. Run "calendar-sync doctor". Keep ${tenant}.key to yourself.`,
    ]);
    return exitCodes.ok;
  } catch (thrown) {
    return tellFailure(thrown, options.json);
  }
}

function refusal(message: string, remedy: string): SyncError {
  return new SyncError(message, { code: 'cli.usage', recovery: { kind: 'operator', remedy } });
}
