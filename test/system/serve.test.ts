import { existsSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';

import { startCalDavServer, type CalDavServer } from '../support/caldav/server.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import type { OutlookCalendar } from '../support/graph/outlook.ts';
import { startGraphSimulator, type GraphSimulator } from '../support/graph/simulator.ts';
import { aHome, startProcess, type Process } from '../support/process.ts';
import { until } from '../support/until.ts';

const directory = '6f0c2a0e-0000-4000-8000-000000000001';
const client = '1d2e0000-0000-4000-8000-000000000002';

let simulator: GraphSimulator;
let calendar: OutlookCalendar;
let caldav: CalDavServer;
let database: TestDatabase;
let home: ReturnType<typeof aHome>;
let processes: Process[];
let doors: { close(): Promise<void> }[];

const yaml = (): string => `
tenants:
  - { id: contoso, name: Contoso, cloud: global, directory: ${directory}, client: ${client}, access: tenant-wide, secret: right }
targets:
  - { id: me, url: '${caldav.url}', username: alice, password: secret, calendars: [ { id: work, name: Work } ] }
sources:
  - { id: ann, kind: graph, tenant: contoso, mailbox: ann@contoso.example, calendar: default, into: me/work, privacy: full }
`;

beforeEach(async () => {
  simulator = await startGraphSimulator();
  const tenant = simulator.addTenant({ directory, client, secret: 'right' });
  calendar = tenant.addMailbox({ upn: 'ann@contoso.example' }).calendar();
  caldav = await startCalDavServer({ auth: 'basic' });
  database = await createMigratedDatabase();
  home = aHome(yaml());
  processes = [];
  doors = [];
});

afterEach(async () => {
  for (const one of processes) await one.end('SIGKILL');
  for (const one of doors) await one.close();
  const lock = join(home.path, 'data', 'postgres', 'postmaster.pid');
  if (existsSync(lock)) process.kill(Number.parseInt(readFileSync(lock, 'utf8'), 10), 'SIGKILL');
  await caldav.close();
  await simulator.close();
  await database.drop();
  home.remove();
});

function start(command: string, env: Record<string, string> = { DATABASE_URL: database.url }): Process {
  const started = startProcess([command], { folder: home.path, env, originMap: simulator.originMap });
  processes.push(started);
  return started;
}

const day = (offset: number): string => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);

function addEvents(count: number, name = 'Event'): void {
  for (let index = 0; index < count; index += 1)
    calendar.createEvent({
      subject: `${name} ${index}`,
      start: `${day(1 + (index % 20))}T09:00`,
      end: `${day(1 + (index % 20))}T10:00`,
    });
}

const shown = (): string[] =>
  [...caldav.objects('alice', 'work').values()]
    .map(({ body }) => /^SUMMARY:(.*?)\r?$/m.exec(body)?.[1] ?? '')
    .toSorted();
const wanted = (): string[] =>
  calendar
    .events()
    .map(({ fields }) => fields.subject ?? '')
    .toSorted();
const agree = (withinMs = 40_000): Promise<number> =>
  until('the target shows what Outlook shows', () => JSON.stringify(shown()) === JSON.stringify(wanted()), withinMs);

async function query<T>(sql: string, url = database.url): Promise<T[]> {
  const connection = new Client({ connectionString: url });
  await connection.connect();
  try {
    return (await connection.query(sql)).rows as T[];
  } finally {
    await connection.end();
  }
}

/** As if the time-out of every write under way had passed. */
const passTimeouts = (url?: string): Promise<unknown> =>
  query(`update intent set settle_at = now() - interval '1 minute'`, url);

describe('SIGTERM', () => {
  it('lets a running write finish and be recorded, and the next start delivers the rest', async () => {
    addEvents(30);
    const held = caldav.fail({ on: 'PUT', at: 5, how: 'late-store' });
    const first = start('serve');
    await until('a write is under way', () => held.hits === 1);

    first.child.kill('SIGTERM');
    const startedAt = performance.now();
    await first.event('service.stopping');
    await held.release();
    expect(await first.ended()).toBe(0);
    const tookMs = performance.now() - startedAt;
    process.stdout.write(`SIGTERM during a write to the end of the process: ${Math.round(tookMs)} ms\n`);
    expect(tookMs).toBeLessThan(5_000);
    expect(first.events.at(-1)?.event).toBe('service.stopped');
    expect(shown().length).toBeGreaterThan(0);
    expect(shown().length).toBeLessThan(30);
    expect(await query('select from intent')).toEqual([]);
    expect(await query('select from object')).toHaveLength(shown().length);
    expect(await query('select from lease where holder is not null')).toEqual([]);

    start('serve');
    await agree();
  });

  it('ends process and embedded database within ten seconds although a write never answers; later it is settled', async () => {
    addEvents(3);
    const unanswered = caldav.fail({ on: 'PUT', how: 'timeout-not-stored' });
    const env = { DATA_DIR: join(home.path, 'data') };
    const first = start('serve', env);
    const { path } = await caldav.waitForRequest(({ method }) => method === 'PUT', 'arrived');
    const startedAt = performance.now();
    expect(await first.end()).toBe(0);
    const tookMs = performance.now() - startedAt;
    process.stdout.write(`SIGTERM during a write without an answer: ${Math.round(tookMs)} ms\n`);
    expect(tookMs).toBeLessThan(10_500);
    expect(existsSync(join(env.DATA_DIR, 'postgres', 'postmaster.pid'))).toBe(false);

    unanswered.stop();
    await start('serve', env).event('service.started');
    const url = await embeddedUrl(env.DATA_DIR);
    // What others were announced or written meanwhile is a matter of moments; of this one it is known that it is open.
    expect((await query<{ href: string }>('select href from intent', url)).map(({ href }) => href)).toContain(path);
    await passTimeouts(url);
    await agree();
  }, 90_000);
});

describe('a database that comes late', () => {
  it('is waited for, which is told, and then the service is ready', async () => {
    const door = await aDoor();
    await door.close();
    const service = start('serve', { DATABASE_URL: door.url, ENCRYPTION_KEY: 'ab'.repeat(32) });
    const waiting = await service.event('store.waiting');
    expect(waiting.level).toBe('warn');

    await door.open();
    const tookMs = await until('it is ready', () => service.events.some(({ event }) => event === 'service.started'));
    process.stdout.write(`database there to ready: ${Math.round(tookMs)} ms\n`);
  });

  it('is waited for again where it goes while the service starts', async () => {
    const door = await aDoor();
    const told: string[] = [];
    for (let connections = 1; connections <= 5; connections += 1) {
      door.breakAfter(connections);
      const service = start('serve', { DATABASE_URL: door.url, ENCRYPTION_KEY: 'ab'.repeat(32) });
      await service.event('service.started');
      told.push(...service.events.filter(({ event }) => event === 'store.waiting').map(({ reason }) => String(reason)));
      expect(await service.end()).toBe(0);
    }
    expect(told.some((reason) => reason.startsWith('PostgreSQL broke the connection: '))).toBe(true);
  });

  it('does not keep the service from being stopped meanwhile', async () => {
    const door = await aDoor();
    await door.close();
    const service = start('serve', { DATABASE_URL: door.url, ENCRYPTION_KEY: 'ab'.repeat(32) });
    await service.event('store.waiting');
    const startedAt = performance.now();
    expect(await service.end()).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  it('is not waited for where the password or the name is wrong', async () => {
    const url = new URL(database.url);
    url.pathname = '/no_such_database';
    const service = start('serve', { DATABASE_URL: url.href });
    expect(await service.ended()).toBe(3);
    expect(service.output().stderr).toMatch(/no_such_database.*store\.refused/);
  });
});

describe('a service that loses its database for a while', () => {
  it('says so at its health, stays, and goes on when it is back', async () => {
    const door = await aDoor();
    const service = start('serve', { DATABASE_URL: door.url, ENCRYPTION_KEY: 'ab'.repeat(32) });
    const { address } = await service.event('service.started');
    const health = async (): Promise<number> => (await fetch(`${String(address)}/api/health`)).status;
    expect(await health()).toBe(200);

    await door.close();
    const before = performance.now();
    expect(await health()).toBe(503);
    expect(performance.now() - before).toBeLessThan(3_000);
    addEvents(2);

    await door.open();
    await query('update source set next_poll_at = now()');
    await agree();
    expect(await health()).toBe(200);
    expect(service.child.exitCode).toBeNull();
  });
});

describe('a start that cannot succeed', () => {
  it('tells all faults of the file and ends with 2', async () => {
    home.remove();
    home = aHome(yaml().replace('privacy: full', 'privacy: fool').replace('cloud: global', 'cloud: glbal'));
    const service = start('serve');
    expect(await service.ended()).toBe(2);
    const { stderr } = service.output();
    expect(stderr).toMatch(/calendars\.yaml:3:.*glbal/);
    expect(stderr).toMatch(/calendars\.yaml:7:.*fool/);
    expect(await query('select from tenant')).toEqual([]);
  });

  it('names the setting of a taken port and ends with 2', async () => {
    const first = start('web');
    const { address } = await first.event('service.started');
    const second = start('serve', { DATABASE_URL: database.url, PORT: new URL(String(address)).port });
    expect(await second.ended()).toBe(2);
    expect(second.output().stderr).toMatch(/port is taken.*http\.cannot_listen/);
  });
});

describe('a worker killed with -9 between any two requests', () => {
  type Moment = (kill: () => void) => Promise<unknown>;
  const beforeGraphAnswers =
    (request: string): Moment =>
    (kill) =>
      new Promise<void>((reached) => {
        simulator.before(request, () => {
          kill();
          reached();
        });
      });
  /** At the `at`th request of a method and all behind it, which get no answer: nothing can go on before the signal. */
  const withoutAnswer =
    (on: string, how: 'timeout-stored' | 'timeout-not-stored', at = 1): Moment =>
    async (kill) => {
      const fault = caldav.fail({ on, at, how, times: Infinity });
      await until(`a ${on} waits for its answer`, () => fault.hits > 0, 60_000);
      kill();
      fault.stop();
    };
  const afterAnswer =
    (on: string): Moment =>
    (kill) =>
      caldav.waitForRequest(({ method }) => method === on).then(kill);

  async function killAt(moment: Moment, worker: Process | null = null): Promise<void> {
    let killed = worker;
    const reached = moment(() => killed?.child.kill('SIGKILL'));
    await query('update source set next_poll_at = now()');
    killed ??= start('worker');
    await reached;
    await killed.ended();
    expect(killed.child.signalCode).toBe('SIGKILL');
    await passTimeouts();
  }

  it('is followed by another that takes over at once, until all is as in Outlook', async () => {
    // Each costs the start of a process; those that are much like another are left to soaks.
    const isSoak = process.env['KILL_AT_ALL'] === '1';
    const moments = [
      ...(isSoak ? [withoutAnswer('PROPFIND', 'timeout-not-stored')] : []),
      withoutAnswer('MKCALENDAR', 'timeout-stored'),
      ...(isSoak ? [beforeGraphAnswers('/oauth2/')] : []),
      beforeGraphAnswers('calendarView/delta'),
      ...(isSoak ? [withoutAnswer('PUT', 'timeout-not-stored', 3)] : []),
      withoutAnswer('PUT', 'timeout-stored', 3),
      afterAnswer('PUT'),
    ];
    for (const [index, moment] of moments.entries()) {
      addEvents(4, `Event ${index}`);
      await killAt(moment);
    }
    const next = start('worker');
    await agree(60_000);
    const [gone, changed] = calendar.events();
    if (gone !== undefined) calendar.delete(gone);
    if (changed !== undefined) calendar.updateEvent(changed, { subject: 'Renamed' });
    await killAt(withoutAnswer('DELETE', 'timeout-stored'), next);

    const last = start('worker');
    const tookMs = await agree(60_000);
    process.stdout.write(`after the last kill: ${Math.round(tookMs)} ms to agreement\n`);
    await until('nothing is under way', async () => (await query('select from intent')).length === 0);
    expect(await query('select from object')).toHaveLength(4 * moments.length - 1);
    expect(last.child.exitCode).toBeNull();
  }, 240_000);
});

describe('the embedded database', () => {
  it('may be killed under load: the service goes on, and the next start is quick', async () => {
    addEvents(40);
    const env = { DATA_DIR: join(home.path, 'data') };
    const service = start('serve', env);
    await until('it writes', () => shown().length > 3, 20_000);
    const lock = join(env.DATA_DIR, 'postgres', 'postmaster.pid');
    const pid = Number.parseInt(readFileSync(lock, 'utf8'), 10);
    process.kill(pid, 'SIGKILL');

    await until('it is there again', () => existsSync(lock) && Number.parseInt(readFileSync(lock, 'utf8'), 10) !== pid);
    const url = await embeddedUrl(env.DATA_DIR);
    await until('it answers again', () =>
      query('select 1', url).then(
        () => true,
        () => false,
      ),
    );
    const passing = setInterval(() => void passTimeouts(url).catch(() => undefined), 500);
    await agree(30_000).finally(() => clearInterval(passing));
    expect(service.child.exitCode).toBeNull();
    expect(await service.end()).toBe(0);
    expect(existsSync(lock)).toBe(false);

    const again = start('serve', env);
    const { durationMs } = await again.event('service.started');
    process.stdout.write(`start to ready, existing embedded database: ${String(durationMs)} ms\n`);
    expect(durationMs).toBeLessThan(5_000);
    expect(await again.end()).toBe(0);
  }, 120_000);
});

async function embeddedUrl(dataDir: string): Promise<string> {
  const { describeCluster } = await import('../../src/store/embedded-cluster.ts');
  return (await describeCluster(dataDir)).url;
}

/** A TCP port in front of the tests' database, that can be shut and opened. */
async function aDoor(): Promise<{
  url: string;
  open(): Promise<void>;
  close(): Promise<void>;
  /** Breaks all connections once, when so many more have been made. */
  breakAfter(connections: number): void;
}> {
  const url = new URL(database.url);
  const socketPath = join(
    decodeURIComponent(url.searchParams.get('host') ?? url.hostname),
    `.s.PGSQL.${url.port === '' ? '5432' : url.port}`,
  );
  const sockets = new Set<Socket>();
  let server: Server;
  let port = 0;
  let toBreak = Infinity;
  const open = async (): Promise<void> => {
    server = createServer((socket) => {
      const inner = connect(socketPath);
      for (const one of [socket, inner]) {
        sockets.add(one);
        one.on('error', () => undefined);
        one.on('close', () => {
          socket.destroy();
          inner.destroy();
        });
      }
      socket.pipe(inner).pipe(socket);
      toBreak -= 1;
      if (toBreak !== 0) return;
      // Once this one has said something: it is asked for something then.
      socket.once('data', () => {
        for (const one of sockets) one.destroy();
      });
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  };
  await open();
  const door = {
    url: `postgresql://${url.username}@127.0.0.1:${port}${url.pathname}`,
    open,
    breakAfter: (connections: number) => {
      toBreak = connections;
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  doors.push(door);
  return door;
}
