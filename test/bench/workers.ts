/**
 * Two `worker` processes against one, many sources on one database: `node test/bench/workers.ts [sources]`. Each source is
 * a mailbox of its own, in as many tenants as the pace of one would otherwise decide. Graph answers after 800 ms: slots are
 * what a worker runs short of then, not the cores that both workers share here with PostgreSQL and the simulated servers.
 * Both numbers come from one run, one after the other, twice. To be run on a machine that does nothing else.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { startCalDavServer } from '../support/caldav/server.ts';
import { startGraphSimulator } from '../support/graph/simulator.ts';
import { aHome, startProcess, type Process } from '../support/process.ts';
import { until } from '../support/until.ts';

const count = Number(process.argv[2] ?? 200);
const tenants = 10;
const databaseUrl = process.env['DATABASE_URL'];
if (databaseUrl === undefined) throw new Error('Set DATABASE_URL to an empty database that may be written to.');

const simulator = await startGraphSimulator({});
const client = '1d2e0000-0000-4000-8000-000000000002';
const directory = (index: number): string => `6f0c2a0e-0000-4000-8000-${String(index).padStart(12, '0')}`;
for (let index = 0; index < tenants; index += 1) {
  const tenant = simulator.addTenant({ directory: directory(index), client, secret: 'right' });
  for (let source = index; source < count; source += tenants)
    tenant.addMailbox({ upn: `user-${source}@t${index}.example` });
}
simulator.fail({ match: '/delta', how: { slowMs: 800 } });
const caldav = await startCalDavServer({ auth: 'basic' });
const home = aHome(`
tenants:
${Array.from({ length: tenants }, (_, index) => `  - { id: t${index}, name: T${index}, cloud: global, directory: ${directory(index)}, client: ${client}, access: tenant-wide, secret: right }`).join('\n')}
targets:
  - { id: me, url: '${caldav.url}', username: alice, password: secret, calendars: [ { id: work, name: Work } ] }
sources:
${Array.from({ length: count }, (_, index) => `  - { id: user-${index}, kind: graph, tenant: t${index % tenants}, mailbox: user-${index}@t${index % tenants}.example, into: me/work, privacy: full, every: 1h }`).join('\n')}
`);
const database = new Client({ connectionString: databaseUrl });
await database.connect();
const start = (): Process =>
  startProcess(['worker'], {
    folder: home.path,
    env: { DATABASE_URL: databaseUrl, ENCRYPTION_KEY: 'ab'.repeat(32), LOG_LEVEL: 'info', LOG_FILES: '0' },
    originMap: simulator.originMap,
  });
const workers: Process[] = [start()];
try {
  await workers[0]?.event('service.started', 60_000);
  await until('all were read once', async () => (await unread()) === 0, 300_000);
  // The pace that a tenant bears is found already.
  await database.query('update tenant_pace set cap = 32');
  const one: number[] = [];
  const two: number[] = [];
  for (let turn = 0; turn < 2; turn += 1) {
    one.push(await round());
    const other = start();
    workers.push(other);
    await other.event('service.started', 60_000);
    await pause(2_000);
    two.push(await round());
    await other.end('SIGTERM');
    workers.pop();
  }
  const best = (values: readonly number[]): number => Math.max(...values);
  process.stdout.write(
    `${count} sources: one worker ${best(one).toFixed(1)} readings/s, two ${best(two).toFixed(1)}: ${(best(two) / best(one)).toFixed(2)} times\n`,
  );
} finally {
  for (const worker of workers.toReversed()) await worker.end('SIGTERM');
  await database.end();
  await caldav.close();
  await simulator.close();
  home.remove();
}

async function unread(): Promise<number> {
  const { rows } = await database.query(
    'select count(*)::int as count from source where done_version < wanted_version',
  );
  return (rows[0] as { count: number }).count;
}

/** Readings a second when all sources are due at once. */
async function round(): Promise<number> {
  const startedAt = performance.now();
  await database.query('update source set wanted_version = wanted_version + 1');
  await until('all were read', async () => (await unread()) === 0, 300_000);
  return count / ((performance.now() - startedAt) / 1_000);
}
