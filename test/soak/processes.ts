/**
 * Several processes under everything that befalls a machine, without end:
 * `node test/soak/processes.ts [first seed] [how many] [steps]`. Two web processes and two workers share one PostgreSQL;
 * people go on changing three tenants' calendars, notifications are pushed, and between any two steps processes are
 * killed with -9, PostgreSQL is killed or restarted, Graph and the CalDAV server fail. After quiet the target must show
 * what Outlook shows. CALDAV_URL, CALDAV_USERNAME and CALDAV_PASSWORD name a real server to write to; what befalls it is
 * up to you then, besides what a proxy before it does. A seed gives the same happenings; how they meet the processes is up to the machine.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { startEmbedded } from '../../src/store/embedded-postgres.ts';
import { openCalDav } from '../../src/dav/calendar-client.ts';
import { startFaultProxy } from '../support/caldav/fault-proxy.ts';
import { startCalDavServer, type FaultKind } from '../support/caldav/server.ts';
import { compareWithTruth, type Comparison } from '../support/compare-truth.ts';
import { demoSources, demoWorld, type DemoWorld } from '../support/graph/demo-world.ts';
import type { How } from '../support/graph/faults.ts';
import { startGraphSimulator } from '../support/graph/simulator.ts';
import { seededRandom } from '../support/graph/switches.ts';
import { aHome, startProcess, type Process } from '../support/process.ts';
import { until } from '../support/until.ts';
import { soak, type Ending } from './soak.ts';

const quietMs = 180_000;

function configuration(
  world: DemoWorld,
  account: { url: string; username: string; password: string },
  calendar: string,
): string {
  const tenants = world.tenants.map(
    ({ cloud, directory, client, secret }, index) =>
      `  - { id: ${demoSources[index]?.source ?? ''}, cloud: ${cloud}, directory: ${directory}, client: ${client}, secret: ${secret}, access: ${cloud === 'gcch' ? 'scoped' : 'tenant-wide'} }`,
  );
  const sources = demoSources.map(({ source: name, privacy, privateItems, titleTag }) => {
    return `  - { id: ${name}, kind: graph, tenant: ${name}, mailbox: kim@${name}.example, into: me/${calendar}, privacy: ${privacy}, privateItems: ${privateItems}, titleTag: '${titleTag}', every: 10s }`;
  });
  const target = `  - { id: me, url: '${account.url}', username: ${account.username}, password: ${account.password}, calendars: [ { id: ${calendar}, name: Work } ] }`;
  return ['tenants:', ...tenants, 'targets:', target, 'sources:', ...sources, ''].join('\n');
}

const graphFaults: readonly How[] = [
  { status: 429, retryAfter: '1' },
  { status: 503 },
  { status: 504 },
  { status: 500 },
  { reset: 'before' },
  { reset: 'after' },
  { truncated: true },
  { html: 200 },
  { status: 410, code: 'syncStateNotFound' },
];
const caldavFaults: readonly FaultKind[] = [
  '500-stored',
  '500-not-stored',
  'reset-before',
  'reset-after',
  'reset-midway',
  'html-200',
  'lose-etag',
  'in-pieces',
  { status: 503 },
  { status: 502, isDone: true },
];

await soak(async (seed, steps): Promise<Ending> => {
  const random = seededRandom(seed);
  const below = (count: number): number => Math.floor(random() * count);
  const folder = mkdtempSync(join(tmpdir(), 'processes-'));
  const live = new Map<string, Process>();
  const story: string[] = [];
  const stopFaults: (() => void)[] = [];
  let turn = 0;

  const simulator = await startGraphSimulator({
    callbackFetch: async (input, init) => {
      // As a proxy spreads them.
      const doors = [...live.values()].flatMap(
        ({ events }) => events.find(({ event }) => event === 'service.started') ?? [],
      );
      const door = doors[(turn += 1) % doors.length]?.['address'];
      if (typeof door !== 'string') throw new TypeError('fetch failed');
      const { pathname, search } = new URL(input instanceof Request ? input.url : String(input));
      return await fetch(`${door}${pathname}${search}`, init);
    },
  });
  const world = demoWorld(simulator, seed);
  const server = await startCalDavServer({ auth: 'basic' });
  const realUrl = process.env['CALDAV_URL'];
  const caldav = realUrl === undefined ? server : await startFaultProxy(realUrl);
  const { CALDAV_USERNAME: username = 'alice', CALDAV_PASSWORD: password = 'secret' } = process.env;
  const account = { url: caldav.url, username, password };
  const calendarId = `work-${seed}-${process.pid}`;
  // Past the faults.
  const hand = openCalDav({ ...account, url: realUrl ?? server.url });
  const standing = async (): Promise<Map<string, string>> => {
    if (realUrl === undefined)
      return new Map([...server.objects('alice', calendarId)].map(([href, { body }]) => [href, body]));
    const home = (await hand.discover()).home;
    const found = (await hand.listCalendars()).find(({ href }) => href === `${home}${calendarId}/`);
    if (found === undefined) return new Map();
    const hrefs = (await hand.list(found.href)).map(({ href }) => href);
    return new Map([...(await hand.multiget(found.href, hrefs))].map(([href, { body }]) => [href, body]));
  };
  const postgres = await startEmbedded(folder);
  const home = aHome(configuration(world, account, calendarId));
  const start = (name: string): void => {
    const [command = ''] = name.split('-');
    live.set(
      name,
      startProcess([command], {
        folder: home.path,
        env: { DATABASE_URL: postgres.url, ENCRYPTION_KEY: 'ab'.repeat(32), PUBLIC_URL: 'https://calendar.example' },
        originMap: simulator.originMap,
      }),
    );
  };

  const postmaster = (signal: NodeJS.Signals): void => {
    try {
      process.kill(Number.parseInt(readFileSync(join(folder, 'postgres', 'postmaster.pid'), 'utf8'), 10), signal);
    } catch {
      // It is down already.
    }
  };
  const happenings: readonly [string, number, () => unknown][] = [
    ['a process is killed', 4, () => void [...live.values()].at(below(live.size))?.child.kill('SIGKILL')],
    ['a process is asked to end', 1, () => void [...live.values()].at(below(live.size))?.child.kill('SIGTERM')],
    ['PostgreSQL is killed', 1, () => postmaster('SIGKILL')],
    ['PostgreSQL is stopped at once', 1, () => postmaster('SIGQUIT')],
    ['PostgreSQL is stopped fast', 1, () => postmaster('SIGINT')],
    [
      'Graph fails',
      3,
      () => {
        const how = graphFaults[below(graphFaults.length)] ?? { status: 503 };
        const fault = simulator.fail({ match: /graph\./, times: 1 + below(12), how });
        stopFaults.push(() => fault.clear());
      },
    ],
    [
      'the CalDAV server fails',
      3,
      () => {
        const on = ['*', 'PUT', 'DELETE', 'REPORT', 'GET'][below(5)] ?? '*';
        const how = caldavFaults[below(caldavFaults.length)] ?? '500-stored';
        const fault = caldav.fail({ on, times: 1 + below(8), how });
        stopFaults.push(() => fault.stop());
      },
    ],
    ['people change their calendars', 12, () => void Array.from({ length: 1 + below(5) }, () => world.step(random))],
    ['nothing happens for a while', 3, () => pause(below(3_000))],
  ];
  const bag = happenings.flatMap((happening) => Array.from({ length: happening[1] }, () => happening));

  /** A server that is away is compared later. */
  const compare = (): Promise<Comparison> =>
    compareNow().catch((thrown: unknown) => ({ expected: 0, shown: 0, missing: [String(thrown)], surplus: [] }));
  const compareNow = async (): Promise<Comparison> => {
    const iso = (days: number): string =>
      `${new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;
    const window = { from: iso(-80), to: iso(700) };
    const truths = demoSources.map((how, index) => {
      const calendar = world.calendars[index];
      if (calendar === undefined) throw new Error(`No calendar of ${how.source}.`);
      return { ...how, instances: simulator.expected(calendar, window) };
    });
    return compareWithTruth(truths, [...(await standing()).values()], window);
  };
  const isEqual = ({ missing, surplus }: Comparison): boolean => missing.length + surplus.length === 0;
  const ask = async (sql: string): Promise<Record<string, unknown>[]> => {
    const client = new Client({ connectionString: postgres.url });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  };

  const revive = (): void => {
    for (const [name, { child }] of live) {
      if (child.exitCode === null && child.signalCode === null) continue;
      if (child.exitCode !== null && child.exitCode !== 0)
        story.push(
          `${name} ended with ${child.exitCode}: ${live.get(name)?.output().stdout.slice(-1500)}${live.get(name)?.output().stderr.slice(-1_500)}`,
        );
      start(name);
    }
  };
  const outputs = (): string =>
    [...live]
      .map(([name, one]) => `--- ${name}\n${one.output().stdout.slice(-4_000)}\n${one.output().stderr.slice(-2_000)}`)
      .join('\n');

  try {
    for (const name of ['web-1', 'web-2', 'worker-1', 'worker-2']) start(name);
    await until('the first mirror', async () => isEqual(await compare()), 240_000);
    for (let step = 0; step < steps; step += 1) {
      const [what, , happen] = bag[below(bag.length)] ?? ['nothing', 0, () => undefined];
      story.push(what);
      await happen();
      await pause(below(400));
      if (random() < 0.5) revive();
    }
    for (const stop of stopFaults) stop();
    revive();
    const started = performance.now();
    let last = await compare();
    while (!isEqual(last) && performance.now() - started < quietMs) {
      await pause(250);
      revive();
      last = await compare();
    }
    const healedMs = Math.round(performance.now() - started);
    if (!isEqual(last)) return { failed: `${JSON.stringify(last)}\n${story.join('\n')}\n${outputs()}` };
    // Equal it must stay, with nothing under way and books that say what stands there.
    await until(
      'nothing is under way',
      async () => {
        const rows = await ask(
          'select (select count(*) from intent) + (select count(*) from meeting where wanted_version > done_version) as open',
        ).catch(() => []);
        return rows[0]?.['open'] === '0';
      },
      quietMs,
    );
    const books = await ask(`select href from object order by href`);
    const hrefs = [...(await standing()).keys()].toSorted();
    if (JSON.stringify(books.map(({ href }) => href)) !== JSON.stringify(hrefs))
      return {
        failed: `the books name ${books.length} objects, there are ${hrefs.length}\n${story.join('\n')}\n${outputs()}`,
      };
    const again = await compare();
    if (!isEqual(again))
      return { failed: `equal, and then not: ${JSON.stringify(again)}\n${story.join('\n')}\n${outputs()}` };
    if (server.mails.length > 0) return { failed: `${server.mails.length} mails` };
    process.stdout.write(
      `${seed}: ${healedMs} ms to agreement; ${story.filter((line) => line.includes('ended with')).join(', ')}\n`,
    );
    return { held: last.expected };
  } finally {
    for (const one of live.values()) await one.end('SIGKILL');
    await postgres.stop();
    await hand.close();
    await caldav.close();
    if (realUrl !== undefined) await server.close();
    await simulator.close();
    home.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});
