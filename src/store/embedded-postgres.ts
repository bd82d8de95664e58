import { readFileSync, writeFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { Client } from 'pg';

import { SyncError, toSyncError } from '../shared/errors.ts';
import { run } from './embedded-binaries.ts';
import { type Cluster, describeCluster, ensureCluster, lastWords, PORT } from './embedded-cluster.ts';

export interface EmbeddedPostgres {
  /** For both MikroORM and pg-boss; the host is the socket's folder, percent-encoded. */
  readonly url: string;
  /** Leaves the server; stops it if no other process uses it. May be called more than once. */
  stop(): Promise<void>;
}

const PATIENCE_MS = 60_000;
/** A server that starts, or goes, in a healthy way has done so by then. */
const LOCK_PATIENCE_MS = 1_000;

/** Beyond the largest that Linux gives. */
const IMPOSSIBLE_PID = '4999999';

/**
 * Each process holds this advisory lock shared for as long as it uses the server; who can have it exclusively is the
 * last. It lives and dies with the connection, so that kill -9 leaves nothing behind that could lie.
 */
const PRESENCE = '20260, 33';

/** For a small service beside others on one machine; `synchronous_commit` and `fsync` stay on. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '100',
  shared_buffers: '32MB',
  maintenance_work_mem: '32MB',
  max_parallel_workers_per_gather: '0',
  max_wal_size: '256MB',
  min_wal_size: '16MB',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_logical_replication_workers: '0',
  io_method: 'sync',
  timezone: 'UTC',
  log_timezone: 'UTC',
  logging_collector: 'on',
  log_directory: 'log',
  log_filename: 'server-%a.log',
  log_rotation_age: '1d',
  log_truncate_on_rotation: 'on',
};

/**
 * Starts, or joins, the PostgreSQL that lives in `dataDir`/postgres: only a Unix socket in a folder closed to others,
 * hence no passwords. Any number of processes may call this at once, on an empty folder too. Should the server die, it
 * is started again. Throws SyncError (`store.embedded_*`) with a remedy. `settings` overrides server settings; whichever
 * process starts the server decides.
 */
export async function startEmbedded(
  dataDir: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<EmbeddedPostgres> {
  const cluster = await describeCluster(resolve(dataDir));
  await ensureCluster(cluster);
  const server = { cluster, options: serverOptions(cluster, { ...SETTINGS, ...settings }) };

  const stopping = new AbortController();
  let presence = await joinServer(server, onLost, stopping.signal);
  let rejoining: Promise<void> | null = null;
  function onLost(): void {
    if (stopping.signal.aborted) return;
    // Killed, or out of memory: nobody but its users can start it again.
    rejoining = joinServer(server, onLost, stopping.signal).then(
      (client) => void (presence = client),
      () => void setTimeout(onLost, 1_000).unref(),
    );
  }

  const stop = async (): Promise<void> => {
    stopping.abort();
    await rejoining;
    await leaveServer(cluster, presence);
  };
  let stopped: Promise<void> | null = null;
  return { url: cluster.url, stop: () => (stopped ??= stop()) };
}

interface Server {
  readonly cluster: Cluster;
  /** Command line of the server, quoted for the shell through which pg_ctl starts it. */
  readonly options: string;
}

function serverOptions(cluster: Cluster, settings: Readonly<Record<string, string>>): string {
  // The folder is an element of a list: without the inner quotes a comma would split it.
  const all = { ...settings, unix_socket_directories: `"${cluster.socketDir}"`, port: `${PORT}` };
  return Object.entries(all)
    .map(([name, value]) => `-c ${name}='${value.replaceAll("'", `'\\''`)}'`)
    .join(' ');
}

/**
 * Connects and declares presence, starting the server where none answers. It asks the server itself again and again:
 * for about two seconds after a crash `pg_ctl status` may claim that it runs, and a start may fail while the children
 * of the old one still go.
 */
async function joinServer(server: Server, onLost: () => void, signal: AbortSignal): Promise<Client> {
  const startedAt = performance.now();
  for (let waitMs = 20; ; waitMs = Math.min(waitMs * 2, 500)) {
    const client = await connect(server.cluster.url, onLost);
    if (!(client instanceof Error)) return client;
    signal.throwIfAborted();
    if (performance.now() - startedAt > LOCK_PATIENCE_MS) releaseStaleLock(server.cluster.dir);
    const complaint = await startServer(server);
    if (performance.now() - startedAt > PATIENCE_MS) throw await startFailure(server.cluster, complaint, client);
    if (complaint !== null) await pause(waitMs, undefined, { signal });
  }
}

/** A connection that holds PRESENCE, or why there is none. */
async function connect(url: string, onLost: () => void): Promise<Client | Error> {
  const client = new Client({
    connectionString: url,
    application_name: 'calendar-sync presence',
    connectionTimeoutMillis: 3_000, // children of a killed server may hold its socket, and never answer
  });
  let isPresent = false;
  client.on('error', () => undefined); // `end` follows
  client.on('end', () => {
    if (isPresent) onLost();
  });
  try {
    await client.connect();
    // Waits while the last one out is stopping the server, and then fails together with it.
    await client.query(`select pg_advisory_lock_shared(${PRESENCE})`);
    isPresent = true;
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    return toSyncError(error);
  }
}

/** Returns what pg_ctl complained of, or null when the server is up. A server that runs already is a complaint too. */
async function startServer({ cluster, options }: Server): Promise<string | null> {
  const log = startLog(cluster);
  await rm(log, { force: true });
  const { exitCode, output } = await run(
    cluster.binaries.pg_ctl,
    ['start', '-w', '-s', '-t', '30', '-D', cluster.dir, '-l', log, '-p', cluster.binaries.postgres, '-o', options],
    cluster.account,
    { cwd: cluster.dir },
  );
  return exitCode === 0 ? null : output;
}

/**
 * PostgreSQL refuses to start while the process of `postmaster.pid` lives. In a container that may be another program
 * that got the number of a server in the container before, or the dead server itself, which nobody buries: without this
 * it would refuse for ever. The file stays, naming a process that cannot be, for PostgreSQL also looks there whether
 * children of the dead server still use its memory.
 */
function releaseStaleLock(dir: string): void {
  const lock = lockFile(dir);
  try {
    // Without a pause in between, lest the file be a new server's by the time that we write.
    const text = readFileSync(lock, 'utf8');
    const state = readFileSync(`/proc/${Number.parseInt(text, 10)}/stat`, 'utf8');
    const isServer = /^\d+ \(postgres\) [^Z]/.test(state);
    if (!isServer) writeFileSync(lock, text.replace(/^\d+/, IMPOSSIBLE_PID));
  } catch {
    // No lock, or no such process: nothing stands in the way.
  }
}

async function lockingPid(dir: string): Promise<number | null> {
  const pid = Number.parseInt(await readFile(lockFile(dir), 'utf8').catch(() => ''), 10);
  return Number.isNaN(pid) ? null : pid;
}

function lockFile(dir: string): string {
  return join(dir, 'postmaster.pid');
}

function startLog(cluster: Cluster): string {
  return join(cluster.dir, 'start.log');
}

async function startFailure(cluster: Cluster, complaint: string | null, refusal: Error): Promise<SyncError> {
  const log = await readFile(startLog(cluster), 'utf8').catch(() => '');
  const reason = lastWords(log) || lastWords(complaint ?? '') || refusal.message;
  return new SyncError(`The embedded database does not start: ${reason}`, {
    code: 'store.embedded_failed',
    recovery: { kind: 'operator', remedy: `Read the log in ${join(cluster.dir, 'log')}, or set DATABASE_URL.` },
    field: 'DATA_DIR',
    cause: refusal,
  });
}

async function leaveServer(cluster: Cluster, presence: Client): Promise<void> {
  const isLast = await presence.query<{ isLast: boolean }>(`select pg_try_advisory_lock(${PRESENCE}) as "isLast"`).then(
    ({ rows }) => rows[0]?.isLast === true,
    () => false, // the server has gone already
  );
  if (isLast) await stopServer(cluster.dir);
  await presence.end().catch(() => undefined);
}

/**
 * Fast shutdown, to its end. Not `pg_ctl stop -w`: where a newcomer starts the server again at once, that waits for the
 * new server to go.
 */
async function stopServer(dir: string): Promise<void> {
  const pid = await lockingPid(dir);
  if (pid === null) return;
  process.kill(pid, 'SIGINT');
  while ((await lockingPid(dir)) === pid) await pause(10);
}
