import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { credentialEnd, describeEnd, warningStep } from '../../src/access/credential-end.ts';
import { selfSigned } from '../../src/access/self-signed.ts';
import { runProgram } from '../../src/cli/program.ts';

const now = new Date('2026-11-25T12:00:00Z');
const inDays = (days: number): Date => new Date(now.getTime() + days * 86_400_000);

describe('a certificate of our own making', () => {
  it('is read by others as it was meant, also beyond 2049', () => {
    const notAfter = new Date('2051-02-03T04:05:06Z');
    const made = selfSigned({ commonName: 'calendar-sync agency', notBefore: now, notAfter });
    const read = new X509Certificate(made.certificate);
    expect(read.subject).toBe('CN=calendar-sync agency');
    expect(new Date(read.validTo)).toEqual(notAfter);
    expect(new Date(read.validFrom)).toEqual(now);
    expect(read.verify(read.publicKey)).toBe(true);
    expect(read.checkPrivateKey(createPrivateKey(made.privateKey))).toBe(true);
    expect(read.fingerprint256.replaceAll(':', '')).toBe(made.thumbprintSha256);
  });

  it('comes from the command as two files, the key closed to others, and is not overwritten', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-cert-'));
    const out = process.stdout.write.bind(process.stdout);
    const err = process.stderr.write.bind(process.stderr);
    let said = '';
    process.stdout.write = process.stderr.write = (text: string | Uint8Array): boolean => (
      (said += String(text)),
      true
    );
    try {
      expect(await runProgram(['cert', 'create', 'agency', '--folder', folder], {})).toBe(0);
      const before = readFileSync(join(folder, 'agency.pem'), 'utf8');
      expect(await runProgram(['cert', 'create', 'agency', '--folder', folder], {})).toBe(2);
      expect(await runProgram(['cert', 'create', '../agency', '--folder', folder], {})).toBe(2);
      expect(readFileSync(join(folder, 'agency.pem'), 'utf8')).toBe(before);
      expect(statSync(join(folder, 'agency.key')).mode & 0o777).toBe(0o600);
      expect(said).toContain('Upload agency.pem to the app registration');
      expect(said).toContain('is there already');
      expect(said).not.toContain('PRIVATE KEY');
    } finally {
      process.stdout.write = out;
      process.stderr.write = err;
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('the end of a credential', () => {
  it('is what the certificate says, or the operator of a secret', () => {
    const { certificate, privateKey } = selfSigned({
      commonName: 'a',
      notBefore: now,
      notAfter: inDays(10),
      bits: 2048,
    });
    expect(credentialEnd({ credential: { kind: 'certificate', certificate, privateKey } })).toEqual(inDays(10));
    expect(credentialEnd({ credential: { kind: 'secret', secret: 's' }, secretExpires: '2027-01-31' })).toEqual(
      new Date('2027-01-31T00:00:00Z'),
    );
    expect(credentialEnd({ credential: { kind: 'secret', secret: 's' } })).toBeNull();
    expect(credentialEnd({ credential: null })).toBeNull();
  });

  it.each([
    [31, null],
    [30, 30],
    [14.5, 30],
    [14, 14],
    [3, 3],
    [0.5, 3],
    [0, 0],
    [-5, 0],
  ])('%p days ahead is told as %p', (days, step) => {
    expect(warningStep(inDays(days), now)).toBe(step);
  });

  it('is told in words', () => {
    expect(describeEnd(inDays(1.5), now)).toBe('ends on 2026-11-27, in 1 day');
    expect(describeEnd(inDays(-2), now)).toBe('ended on 2026-11-23');
  });
});
