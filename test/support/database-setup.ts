/**
 * jest's globalSetup and globalTeardown: the run's folder, and in it the tests' PostgreSQL and all temporary files of
 * tests. The PostgreSQL is one for the whole run, started when the first test asks for it over a socket of this process.
 * All of it is gone at the end, whatever a test left; of a run that was killed, when the next one begins.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type EmbeddedPostgres, startEmbedded } from '../../src/store/embedded-postgres.ts';

interface Run {
  readonly folder: string;
  readonly server: Server;
  embedded: Promise<EmbeddedPostgres> | null;
}

declare global {
  var testDatabaseRun: Run | undefined;
}

/** What is lost with the power may be lost here. Autovacuum's workers would keep databases from being dropped. */
const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  max_connections: '200',
  autovacuum: 'off',
};

export default async function setUp(): Promise<void> {
  const parent = quickest();
  removeAbandoned(parent);
  const folder = mkdtempSync(join(parent, `${prefix}${process.pid}-`));
  chmodSync(folder, 0o711); // root's PostgreSQL runs under another account
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  chmodSync(temporary, 0o1777);
  process.env['TMPDIR'] = temporary;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    run.embedded ??= startEmbedded(folder, SETTINGS);
    run.embedded.then(
      ({ url }) => socket.end(JSON.stringify({ url })),
      (error: unknown) => socket.end(JSON.stringify({ error: String(error) })),
    );
  });
  const run: Run = { folder, server, embedded: null };
  const socketPath = join(folder, 'ask');
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  server.unref();
  globalThis.testDatabaseRun = run;
  process.env['TEST_DATABASE_SOCKET'] = socketPath; // inherited by jest's workers
}

const prefix = 'calendar-sync-test-';

/** In memory where there is room: a database is made and dropped for each test, some hundred files each time. */
function quickest(): string {
  const memory = '/dev/shm';
  try {
    const { bavail, bsize } = statfsSync(memory);
    return bavail * bsize > 2 ** 31 ? memory : tmpdir();
  } catch {
    return tmpdir();
  }
}

function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(prefix) ? /^\d+(?=-)/.exec(name.slice(prefix.length))?.[0] : undefined;
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(parent, name), { recursive: true, force: true });
  }
}

export async function tearDown(): Promise<void> {
  const run = globalThis.testDatabaseRun;
  if (run === undefined) return;
  run.server.close();
  await run.embedded?.then(
    (embedded) => embedded.stop(),
    () => undefined, // the test that asked has told
  );
  rmSync(run.folder, { recursive: true, force: true });
}
