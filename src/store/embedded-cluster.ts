import { createHash, randomBytes } from 'node:crypto';
import { chown, lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { SyncError } from '../shared/errors.ts';
import {
  type Account,
  type Binaries,
  errorCode,
  findBinaries,
  ableToReach,
  run,
  serviceAccount,
} from './embedded-binaries.ts';

/** Everything fixed about one cluster. */
export interface Cluster {
  readonly dir: string;
  readonly socketDir: string;
  readonly url: string;
  readonly binaries: Binaries;
  readonly account: Account | null;
}

const ROLE = 'calendaruser';
const DATABASE = 'calendardb';
/** The socket is `.s.PGSQL.<port>`; nothing listens on TCP. */
export const PORT = 5432;
/** sun_path holds 108 bytes, the last one a NUL. */
const LONGEST_SOCKET_PATH = 107;

/** Settles where the cluster in `dataDir` (absolute) is or will be, and who runs it; throws SyncError if it could not run. */
export async function describeCluster(dataDir: string): Promise<Cluster> {
  const dir = join(dataDir, 'postgres');
  const binaries = await findBinaries();
  // Root's server runs as somebody else, who must be able to pass.
  const plain = await serviceAccount(dir);
  await mkdir(dataDir, { recursive: true, mode: plain === null ? 0o700 : 0o711 });
  const account = await ableToReach(plain, [binaries.postgres, dir]);
  await requireOwn(dir, account);
  const socketDir = await chooseSocketDir(dir, account);
  const url = `postgresql://${ROLE}@${encodeURIComponent(socketDir)}:${PORT}/${DATABASE}`;
  return { dir, socketDir, url, binaries, account };
}

async function requireOwn(dir: string, account: Account | null): Promise<void> {
  const owner = await stat(dir).catch(() => null);
  if (owner === null || account !== null || owner.uid === process.getuid?.()) return;
  throw new SyncError(`The database in ${dir} belongs to user ${owner.uid}, not to the user of this process`, {
    code: 'store.embedded_foreign',
    recovery: {
      kind: 'operator',
      remedy: `Run as the user who created it (or as root), or give it away: chown -R $(id -u) ${dir}`,
    },
    field: 'DATA_DIR',
  });
}

/** The cluster's own folder, unless its path is too long for a socket: then a short one of our own beside others' files. */
async function chooseSocketDir(dir: string, account: Account | null): Promise<string> {
  if (Buffer.byteLength(join(dir, `.s.PGSQL.${PORT}`)) <= LONGEST_SOCKET_PATH) return dir;
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 16);
  const short = join(tmpdir(), `calendar-sync-${hash}`);
  const owner = account?.uid ?? process.getuid?.();
  await mkdir(short, { mode: 0o700 }).then(
    () => account && chown(short, account.uid, account.gid),
    (error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error;
    },
  );
  // Another process may be just between mkdir and chown; anyone else's folder stays wrong.
  for (let attempt = 0; ; attempt += 1) {
    const found = await lstat(short);
    if (found.isDirectory() && found.uid === owner && (found.mode & 0o077) === 0) return short;
    if (attempt === 20) break;
    await pause(50);
  }
  throw new SyncError(`${short} is not ours, and the path of ${dir} is too long for a socket`, {
    code: 'store.embedded_socket',
    recovery: { kind: 'operator', remedy: `Remove ${short}, or choose a DATA_DIR with a shorter path.` },
    field: 'DATA_DIR',
  });
}

/**
 * Makes the cluster where there is none yet: beside its place, role and database included, and moved there whole, so that
 * it exists complete or not at all, and of several processes that try the first one wins.
 */
export async function ensureCluster(cluster: Cluster): Promise<void> {
  if (await exists(join(cluster.dir, 'PG_VERSION'))) return;
  await removeAbandoned(cluster.dir);
  const draft = `${cluster.dir}.new.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    await mkdir(draft, { mode: 0o700 });
    if (cluster.account !== null) await chown(draft, cluster.account.uid, cluster.account.gid);
    await runOrThrow(
      cluster,
      cluster.binaries.initdb,
      [
        `--pgdata=${draft}`,
        '--username=postgres',
        '--auth=trust',
        '--encoding=UTF8',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--locale=C', // exists on every system
        '--wal-segsize=4',
        '--no-instructions',
      ],
      '',
    );
    await runOrThrow(
      cluster,
      cluster.binaries.postgres,
      ['--single', '-j', '-D', draft, 'postgres'],
      `create role ${ROLE} login createdb;\n\ncreate database ${DATABASE} owner ${ROLE};\n\n`,
    );
    await rename(draft, cluster.dir);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was first.
    if (errorCode(error) === 'ENOTEMPTY' || errorCode(error) === 'EEXIST') return;
    throw error;
  }
}

/** Drafts of processes that were killed while they made them. */
async function removeAbandoned(dir: string): Promise<void> {
  for (const name of await readdir(dirname(dir))) {
    const pid = /^postgres\.new\.(\d+)\.[0-9a-f]+$/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(dirname(dir), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

async function runOrThrow(cluster: Cluster, binary: string, args: readonly string[], input: string): Promise<void> {
  const { exitCode, output } = await run(binary, args, cluster.account, { cwd: dirname(cluster.dir), input });
  // A single-user server answers 0 even after an error.
  if (exitCode === 0 && !/^.*(ERROR|FATAL):/m.test(output)) return;
  throw new SyncError(`The embedded database could not be created: ${lastWords(output)}`, {
    code: 'store.embedded_failed',
    recovery: {
      kind: 'operator',
      remedy: `Make sure that ${dirname(cluster.dir)} is writable and the disk not full, or set DATABASE_URL.`,
    },
    field: 'DATA_DIR',
  });
}

/** What a PostgreSQL program said last that matters. */
export function lastWords(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => /(ERROR|FATAL|error):/.test(line)) ?? lines.at(-1) ?? '').trim();
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
