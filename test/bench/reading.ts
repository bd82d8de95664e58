/**
 * Reading 10,000 happenings from a simulated Graph: `node test/bench/reading.ts [latency in ms…]`. The simulator runs in a
 * process of its own; nothing is delivered. A quarter of the happenings belong to series.
 */
import { fork } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { compose, type Product } from '../../src/compose.ts';
import { readEnv } from '../../src/config/env.ts';
import { nullLog } from '../../src/shared/log.ts';
import { saveSource, saveTarget, saveTenant } from '../../src/store/configuration.ts';
import { wantReading } from '../../src/store/sources.ts';
import { mapOrigins, type OriginMap } from '../support/graph/origins.ts';
import { directoryOf } from '../support/graph/people.ts';
import { startGraphSimulator } from '../support/graph/simulator.ts';
import { at, day, me } from '../support/one-calendar.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';

const singles = 7_500;
const seriesCount = 100;
const occurrences = 25;
const tenant = { directory: directoryOf('contoso.example'), domain: 'contoso.example', client: 'app', secret: 'right' };

interface ToSimulator {
  readonly do: 'latency' | 'change' | 'count';
  readonly latencyMs?: number;
}

/** As `npm start` and the image run it; with V8's usual young generation the same work takes 100 MB more, for good. */
const flags = ['--max-semi-space-size=2', '--expose-gc'];

if (process.argv[2] === 'simulator') await simulate();
else if (flags.every((flag) => process.execArgv.includes(flag))) await bench(process.argv.slice(2).map(Number));
else {
  const measuring = fork(new URL(import.meta.url), process.argv.slice(2), { execArgv: flags });
  measuring.once('exit', (code) => (process.exitCode = code ?? 1));
}

async function simulate(): Promise<void> {
  const simulator = await startGraphSimulator({ tenants: [tenant] });
  const mailbox = simulator.tenant(tenant.domain).addMailbox({ upn: me, zone: 'W. Europe Standard Time' });
  const calendar = mailbox.calendar();
  const body = { contentType: 'html' as const, content: `<p>Agenda</p>${'<p>One, two, three.</p>'.repeat(20)}` };
  simulator.world.batch(() => {
    for (let index = 0; index < singles; index += 1)
      calendar.createEvent({ subject: `Single ${index}`, start: at(1 + (index % 600)), body });
    for (let index = 0; index < seriesCount; index += 1)
      calendar.createSeries({
        subject: `Series ${index}`,
        pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
        range: { type: 'numbered', startDate: day(1), numberOfOccurrences: occurrences },
        start: '09:00',
        body,
      });
  });
  process.on('message', ({ do: what, latencyMs = 0 }: ToSimulator) => {
    if (what === 'latency') simulator.latencyMs = latencyMs;
    if (what === 'change') {
      const [item] = calendar.events();
      if (item !== undefined) calendar.updateEvent(item, { subject: `Changed ${simulator.requests.length}` });
    }
    process.send?.({ requests: simulator.requests.splice(0).length });
  });
  process.send?.({ origins: simulator.originMap });
}

async function bench(latencies: readonly number[]): Promise<void> {
  const simulator = fork(new URL(import.meta.url), ['simulator'], { execArgv: [] });
  const answer = <T>(): Promise<T> =>
    new Promise((resolve) => simulator.once('message', (value) => resolve(value as T)));
  const ask = (message: ToSimulator): Promise<{ requests: number }> => {
    const answered = answer<{ requests: number }>();
    simulator.send(message);
    return answered;
  };
  const { origins } = await answer<{ origins: OriginMap }>();
  const count = countStatements();
  try {
    for (const latencyMs of latencies.length === 0 ? [0, 100] : latencies) {
      const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-bench-'));
      chmodSync(folder, 0o711);
      const env = readEnv({ DATA_DIR: folder, PORT: '0', ENCRYPTION_KEY: 'ab'.repeat(32) }, folder);
      const product = await compose({ env, log: nullLog, fetch: mapOrigins(origins) });
      try {
        await configure(product);
        await ask({ do: 'latency', latencyMs });
        await measure(product, latencyMs, ask, count);
      } finally {
        await product.close();
        rmSync(folder, { recursive: true, force: true });
      }
    }
  } finally {
    simulator.kill();
  }
}

async function configure({ store, box }: Product): Promise<void> {
  const { directory, client, secret } = tenant;
  await saveTarget(store.db, box, aTarget('http://127.0.0.1:1/'));
  await saveTenant(store.db, box, {
    id: 'contoso',
    name: 'Contoso',
    cloud: 'global',
    directory,
    client,
    access: 'tenant-wide',
    ceiling: 'full',
    credential: { kind: 'secret', secret },
  });
  const source = aGraphSource({ id: 'contoso-me', tenant: 'contoso', mailbox: me });
  await store.transaction((db) =>
    saveSource(db, box, source, 0, { bumpsEpoch: false, fullReading: true, isOther: false }),
  );
}

async function measure(
  product: Product,
  latencyMs: number,
  ask: (message: ToSimulator) => Promise<{ requests: number }>,
  count: () => number,
): Promise<void> {
  const run = async (what: string): Promise<void> => {
    await ask({ do: 'count' });
    count();
    const startedAt = performance.now();
    const cpu = process.cpuUsage();
    const result = await product.worker.run('ingest', 'contoso-me');
    const seconds = (performance.now() - startedAt) / 1_000;
    const statements = count();
    const { user, system } = process.cpuUsage(cpu);
    const { requests } = await ask({ do: 'count' });
    if (result?.kind !== 'done' || !('pages' in result.counts)) throw new Error(`${what}: ${JSON.stringify(result)}`);
    const { pages, rebuilt, changed } = result.counts;
    const perSeries = rebuilt === 0 ? '' : `, ${((requests - pages) / rebuilt).toFixed(2)} requests per series`;
    process.stdout.write(
      `${String(latencyMs).padStart(4)} ms  ${what.padEnd(22)} ${seconds.toFixed(2).padStart(7)} s (CPU ${((user + system) / 1e6).toFixed(2)})  ${requests} requests (${pages} pages${perSeries}), ` +
        `${statements} statements, ${changed} changed, ${memory()}\n`,
    );
  };
  process.stdout.write(`      before: ${memory()}\n`);
  await run('first reading');
  await run('idle poll');
  await run('idle poll');
  await ask({ do: 'change' });
  await run('one change');
  for (let times = 0; times < 3; times += 1) {
    await wantReading(product.store.db, 'contoso-me', true);
    await run('full reading again');
  }
}

/** What lives after a collection; the rest of the heap, and of RSS, is what the process has not given back. */
function memory(): string {
  globalThis.gc?.();
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  const [all, heap, live, outside] = [rss, heapTotal, heapUsed, external].map((bytes) => Math.round(bytes / 1_048_576));
  return `RSS ${all} MB, heap ${heap} MB, living ${live} MB, outside the heap ${outside} MB`;
}

/** Statements sent to PostgreSQL since the last call, the queue's own left out. */
function countStatements(): () => number {
  let statements = 0;
  const { prototype } = pg.Client;
  const query = Reflect.get(prototype, 'query') as (...args: unknown[]) => unknown;
  Reflect.set(
    prototype,
    'query',
    function (this: { connectionParameters?: { application_name?: string } }, ...args: unknown[]) {
      if (this.connectionParameters?.application_name !== 'calendar-sync hints') statements += 1;
      return query.apply(this, args);
    },
  );
  return () => {
    const counted = statements;
    statements = 0;
    return counted;
  };
}
