/**
 * What one `serve` costs with a full database: start to ready (median of five, on a server and on the embedded database
 * that it has to start), and memory over a while in which it is asked for its health and its pages.
 * `node test/bench/serve.ts [claims] [seconds]`. Exits with 1 past a bound.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { SecretBox } from '../../src/shared/secret-box.ts';
import { saveSource, saveTarget } from '../../src/store/configuration.ts';
import { openStore } from '../../src/store/database.ts';
import { startEmbedded } from '../../src/store/embedded-postgres.ts';
import { startCalDavServer } from '../support/caldav/server.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';
import { fillWithClaims } from './fill-claims.ts';

const [claims = 100_000, seconds = 60] = process.argv.slice(2).map(Number);
const sources = 20;
const bound = { readyMs: 1_500, rssMb: 150, growthMb: 5 };
const key = 'k'.repeat(48);
const main = join(import.meta.dirname, '../../src/main.ts');

interface Service {
  /** From the start of the process to the end of `service.started`. */
  readonly readyMs: number;
  readonly address: string;
  rssMb(): number;
  stop(): Promise<void>;
}

const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-serve-'));
chmodSync(folder, 0o711);
const dataDir = join(folder, 'data');
const caldav = await startCalDavServer({ auth: 'basic' });
try {
  process.exitCode = await bench();
} finally {
  await caldav.close();
  rmSync(folder, { recursive: true, force: true });
}

async function bench(): Promise<number> {
  const cluster = await startEmbedded(dataDir);
  const store = await openStore(cluster.url);
  const box = new SecretBox(Buffer.from('ab'.repeat(32), 'hex'), []);
  await saveTarget(store.db, box, aTarget(caldav.url));
  const effects = { bumpsEpoch: false, fullReading: false, isOther: false };
  for (let index = 0; index < sources; index += 1) {
    const source = aGraphSource({ id: `s${index}`, tenant: 't', mailbox: `s${index}@t.example`, isPaused: true });
    await saveSource(store.db, box, source, index, effects);
  }
  await fillWithClaims(store.db, { claims, sources });
  await store.close();
  process.stdout.write(`${claims} claims\n`);

  const onServer = await starts({ DATABASE_URL: cluster.url });
  const { ready, grown } = await memory({ DATABASE_URL: cluster.url });
  await cluster.stop();
  const onEmbedded = await starts({});
  const rows: [string, number, string, number][] = [
    ['start to ready, a server', onServer, 'ms', bound.readyMs],
    ['start to ready, embedded database started too', onEmbedded, 'ms', bound.readyMs],
    ['RSS when ready', ready, 'MB', bound.rssMb],
    [`RSS after ${seconds} s`, grown.last, 'MB', bound.rssMb],
    ['growth in the second half', grown.last - grown.half, 'MB', bound.growthMb],
  ];
  for (const [name, value, unit, most] of rows)
    process.stdout.write(`${name.padEnd(46)} ${value.toFixed(0).padStart(6)} ${unit}  (bound ${most})\n`);
  return rows.some(([, value, , most]) => value >= most) ? 1 : 0;
}

async function starts(env: Readonly<Record<string, string>>): Promise<number> {
  const times: number[] = [];
  // The first one fills the compile cache, as the first start after an installation does.
  for (let round = 0; round < 6; round += 1) {
    const service = await start(env);
    if (round > 0) times.push(service.readyMs);
    await service.stop();
  }
  return times.toSorted((a, b) => a - b)[2] ?? Infinity;
}

async function memory(env: Readonly<Record<string, string>>): Promise<{
  ready: number;
  grown: { half: number; last: number };
}> {
  const service = await start(env);
  const ready = service.rssMb();
  const use = async (ms: number): Promise<number> => {
    for (const end = performance.now() + ms; performance.now() < end; await pause(200))
      for (const path of ['/api/health', '/api/stats', '/api/v1/status'])
        await fetch(`${service.address}${path}`, { headers: { 'X-API-Key': key } }).then((answer) => answer.text());
    return service.rssMb();
  };
  const half = await use(seconds * 500);
  const last = await use(seconds * 500);
  await service.stop();
  return { ready, grown: { half, last } };
}

/** As `npm start` starts it. */
async function start(env: Readonly<Record<string, string>>): Promise<Service> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, ['--max-semi-space-size=2', main, 'serve'], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      MALLOC_ARENA_MAX: '2',
      MALLOC_TRIM_THRESHOLD_: '131072',
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: dataDir,
      API_KEY: key,
      ENCRYPTION_KEY: 'ab'.repeat(32),
      NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.includes('"service.started"')) continue;
    const { address } = JSON.parse(line) as { address: string };
    child.stdout.resume();
    return {
      readyMs: performance.now() - startedAt,
      address,
      rssMb: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1_024,
      stop: async () => {
        child.kill('SIGTERM');
        await exited;
      },
    };
  }
  throw new Error('It ended before it was ready.');
}
