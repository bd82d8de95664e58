/** Web processes and workers that share one PostgreSQL, while each of them and it are killed in the middle of changes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { type EmbeddedPostgres, startEmbedded } from '../../src/store/embedded-postgres.ts';
import { startCalDavServer, type CalDavServer } from '../support/caldav/server.ts';
import type { OutlookCalendar } from '../support/graph/outlook.ts';
import { startGraphSimulator, type GraphSimulator } from '../support/graph/simulator.ts';
import { at } from '../support/one-calendar.ts';
import { aHome, startProcess, type Process } from '../support/process.ts';
import { until } from '../support/until.ts';

const directory = '6f0c2a0e-0000-4000-8000-000000000001';
const client = '1d2e0000-0000-4000-8000-000000000002';
const names = ['web-1', 'web-2', 'worker-1', 'worker-2'] as const;

let folder: string;
let postgres: EmbeddedPostgres;
let simulator: GraphSimulator;
let calendar: OutlookCalendar;
let caldav: CalDavServer;
let home: ReturnType<typeof aHome>;
let live: Map<string, Process>;
let passing: NodeJS.Timeout | undefined;

/** As a proxy before the web processes: one that is there. */
const callbackFetch: typeof fetch = async (input, init) => {
  const door = [...live.values()]
    .filter(({ child }) => child.exitCode === null && child.signalCode === null)
    .flatMap(({ events }) => events.find(({ event }) => event === 'service.started')?.['address'] ?? [])
    .at(-1);
  if (typeof door !== 'string') throw new TypeError('fetch failed');
  const { pathname, search } = new URL(input instanceof Request ? input.url : String(input));
  return await fetch(`${door}${pathname}${search}`, init);
};

beforeEach(async () => {
  live = new Map();
  folder = mkdtempSync(join(tmpdir(), 'several-processes-'));
  postgres = await startEmbedded(folder);
  simulator = await startGraphSimulator({ callbackFetch });
  calendar = simulator
    .addTenant({ directory, client, secret: 'right' })
    .addMailbox({ upn: 'ann@contoso.example' })
    .calendar();
  caldav = await startCalDavServer({ auth: 'basic' });
  home = aHome(`
tenants:
  - { id: contoso, cloud: global, directory: ${directory}, client: ${client}, access: tenant-wide, secret: right }
targets:
  - { id: me, url: '${caldav.url}', username: alice, password: secret, calendars: [ { id: work, name: Work } ] }
sources:
  - { id: ann, kind: graph, tenant: contoso, mailbox: ann@contoso.example, into: me/work, privacy: full, every: 10s }
`);
}, 60_000);

afterEach(async () => {
  clearInterval(passing);
  for (const one of live.values()) await one.end('SIGKILL');
  await postgres.stop();
  await caldav.close();
  await simulator.close();
  home.remove();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

function start(name: string): void {
  const [command = ''] = name.split('-');
  const env = { DATABASE_URL: postgres.url, ENCRYPTION_KEY: 'ab'.repeat(32), PUBLIC_URL: 'https://calendar.example' };
  live.set(name, startProcess([command], { folder: home.path, env, originMap: simulator.originMap }));
}

const shown = (): string[] =>
  [...caldav.objects('alice', 'work').values()].map(({ body }) => /^SUMMARY:(.*)$/m.exec(body)?.[1]?.trim() ?? '');
const isTrue = (): boolean =>
  JSON.stringify(shown().toSorted()) ===
  JSON.stringify(
    calendar
      .events()
      .map(({ fields }) => fields.subject ?? '')
      .toSorted(),
  );

/** New events, one renamed, and one deleted where that is wanted: of more than ten a day the guard would hold some. */
function change(round: number, isDeleted = false): void {
  const [oldest, next] = calendar.events();
  for (const hour of ['09', '11', '13'])
    calendar.createEvent({ subject: `Event ${round} at ${hour}`, start: at(1 + (round % 20), `${hour}:00`) });
  if (next !== undefined) calendar.updateEvent(next, { subject: `Renamed in ${round}` });
  if (oldest !== undefined && isDeleted) calendar.delete(oldest);
}

async function query<T extends object>(text: string): Promise<T[]> {
  const connection = new Client({ connectionString: postgres.url });
  connection.on('error', () => undefined);
  try {
    await connection.connect();
    return (await connection.query<T>(text)).rows;
  } finally {
    await connection.end();
  }
}

/** As if the time-out of every write that nobody is at any more had passed, again and again. PostgreSQL may be away. */
function passTimeouts(): NodeJS.Timeout {
  return setInterval(
    () =>
      void query(`update intent set settle_at = now() where at < clock_timestamp() - interval '2 seconds'`).catch(
        () => undefined,
      ),
    500,
  );
}

it('lose nothing, show nothing twice, and need nobody', async () => {
  for (const name of names) start(name);
  change(0);
  await until('the first events', isTrue, 60_000);
  const postmaster = (): number =>
    Number.parseInt(readFileSync(join(folder, 'postgres', 'postmaster.pid'), 'utf8'), 10);

  const acts: (() => void)[] = [
    () => void live.get('web-2')?.child.kill('SIGKILL'),
    () => void live.get('worker-1')?.child.kill('SIGKILL'),
    () => void process.kill(postmaster(), 'SIGKILL'),
    () => {
      live.get('worker-1')?.child.kill('SIGKILL');
      live.get('worker-2')?.child.kill('SIGKILL');
    },
    () => void process.kill(postmaster(), 'SIGINT'),
  ];
  passing = passTimeouts();
  for (const [round, act] of acts.entries()) {
    const written = caldav.waitForRequest(({ method }) => method === 'PUT');
    change(round + 1);
    await written;
    act();
    change(round + 101, true);
    for (const [name, { child }] of live)
      if (child.signalCode !== null || child.exitCode !== null || child.killed) start(name);
    await until(`all shows after act ${round}`, isTrue, 60_000);
  }
  await until(
    'nothing is under way',
    async () => {
      const open = `select from intent union all select from meeting where wanted_version > done_version`;
      return (await query(open)).length === 0;
    },
    60_000,
  );
  expect(isTrue()).toBe(true);
  expect(caldav.mails).toEqual([]);
  for (const { child } of live.values()) expect(child.exitCode).toBeNull();
}, 240_000);
