/**
 * Delivery against a bare loop: `node test/bench/delivery.ts [count] [--turns=2] [--bare=2] [--bare-count=…]
 * [--vdirsyncer=…] [--change]`. The product delivers `count` series into an empty calendar, then the bare loop puts the
 * same bodies (or the first `bare-count`) into another at each number of keep-alive connections; the best of them is
 * what the product is measured by. `--vdirsyncer` gives so many of them to that program. `--change` looks at everything
 * again, and makes one change among `count` and among 100,000 objects. Requests are counted where undici makes them.
 *
 * The server is the in-process one in a process of its own, or the one that CALDAV_URL, CALDAV_USERNAME,
 * CALDAV_PASSWORD name (Basic).
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sql } from 'kysely';
import { Pool } from 'undici';
import { openCalDav, type CalDav } from '../../src/dav/calendar-client.ts';
import { runDeliver } from '../../src/deliver/run-deliver.ts';
import { withLease } from '../../src/jobs/with-lease.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { nullLog } from '../../src/shared/log.ts';
import { SecretBox } from '../../src/shared/secret-box.ts';
import { upsertClaims } from '../../src/store/claims.ts';
import { saveSource, saveTarget } from '../../src/store/configuration.ts';
import { openStore, type Store } from '../../src/store/database.ts';
import { startEmbedded } from '../../src/store/embedded-postgres.ts';
import { loadSource } from '../../src/store/sources.ts';
import { anEntry, aSeries, zoned } from '../calendar/builders.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';

if (process.argv[2] === 'server') {
  const { startCalDavServer } = await import('../support/caldav/server.ts');
  const server = await startCalDavServer({ auth: 'basic' });
  process.stdout.write(`${server.url}\n`);
  process.on('disconnect', () => void server.close().then(() => process.exit(0)));
} else {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      turns: { type: 'string', default: '2' },
      bare: { type: 'string', default: '2' },
      'bare-count': { type: 'string' },
      vdirsyncer: { type: 'string' },
      change: { type: 'boolean', default: false },
    },
  });
  const count = Number(positionals[0] ?? 1_000);
  await bench(count, {
    turns: Number(values.turns),
    bare: values.bare.split(',').map(Number),
    bareCount: Number(values['bare-count'] ?? count),
    vdirsyncer: Number(values.vdirsyncer ?? 0),
    isChanging: values.change,
  });
}

interface Wish {
  readonly turns: number;
  /** Connections of the bare loop. */
  readonly bare: readonly number[];
  readonly bareCount: number;
  readonly vdirsyncer: number;
  readonly isChanging: boolean;
}

interface Account {
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

type Body = readonly [file: string, text: string];

async function bench(count: number, wish: Wish): Promise<void> {
  let requests = 0;
  subscribe('undici:request:create', () => (requests += 1));
  const child = process.env['CALDAV_URL'] === undefined ? await startServer() : null;
  const account = {
    url: process.env['CALDAV_URL'] ?? child?.url ?? '',
    username: process.env['CALDAV_USERNAME'] ?? 'alice',
    password: process.env['CALDAV_PASSWORD'] ?? 'secret',
  };
  const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-bench-'));
  const embedded = await startEmbedded(folder);
  const store = await openStore(embedded.url, { poolSize: 6 });
  const dav = openCalDav(account, { timeoutMs: 40_000 });
  try {
    for (let turn = 1; turn <= wish.turns; turn += 1) {
      const calendar = `bench-${randomBytes(4).toString('hex')}`;
      await setUp(store, account, calendar, count);
      const started = performance.now();
      await deliver(store, dav);
      const ours = rate(`delivery, turn ${turn}`, count, started);
      const { href } = await one<{ href: string }>(store, sql`select href from target_calendar`);
      const bodies = await bodiesOf(dav, href, Math.max(wish.bareCount, wish.vdirsyncer));
      const rates: number[] = [];
      for (const connections of wish.bare)
        rates.push(
          await bareLoop(dav, account, bodies.slice(0, wish.bareCount), `${calendar}-${connections}`, connections),
        );
      if (rates.length > 0)
        process.stdout.write(`  share of the best bare loop: ${Math.round((100 * ours) / Math.max(...rates))} %\n`);
      if (wish.vdirsyncer > 0) await vdirsyncer(dav, account, bodies.slice(0, wish.vdirsyncer), `${calendar}-v`);
    }
    const before = requests;
    await deliver(store, dav);
    process.stdout.write(`run with nothing changed: ${requests - before} requests\n`);
    if (wish.isChanging) {
      await smallRuns(store, dav, count, count, () => requests);
      await pretendMore(store, 100_000);
      await smallRuns(store, dav, count, 100_000, () => requests);
    }
  } finally {
    await dav.close();
    await store.close();
    await embedded.stop();
    rmSync(folder, { recursive: true, force: true });
    child?.stop();
  }
}

async function bodiesOf(dav: CalDav, href: string, count: number): Promise<Body[]> {
  const listed = (await dav.list(href)).map((entry) => entry.href).slice(0, count);
  return [...(await dav.multiget(href, listed))].map(
    ([from, { body }]) => [from.split('/').at(-1) ?? '', body] as const,
  );
}

/** Bodies under their names, one after the other on each of some connections, into a calendar of their own. */
async function bareLoop(
  dav: CalDav,
  account: Account,
  bodies: readonly Body[],
  name: string,
  connections: number,
): Promise<number> {
  const to = await dav.makeCalendar(name, { displayName: 'bare', color: null });
  const pool = new Pool(new URL(account.url).origin, { connections });
  const authorization = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`;
  const started = performance.now();
  const queue = bodies.values();
  const writer = async (): Promise<void> => {
    for (const [file, body] of queue) {
      const response = await pool.request({
        method: 'PUT',
        path: `${to}${file}`,
        body,
        headers: {
          authorization,
          'content-type': 'text/calendar; charset=utf-8',
          'if-none-match': '*',
          'schedule-reply': 'F',
        },
      });
      await response.body.dump();
      if (response.statusCode !== 201) throw new Error(`PUT answered ${response.statusCode}`);
    }
  };
  await Promise.all(Array.from({ length: connections }, writer));
  const result = rate(`bare loop, connections: ${connections}`, bodies.length, started);
  await pool.close();
  return result;
}

/** The same bodies by vdirsyncer, out of a folder of files into an empty calendar. */
async function vdirsyncer(dav: CalDav, account: Account, bodies: readonly Body[], name: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-bench-'));
  try {
    await dav.makeCalendar(name, { displayName: 'vdirsyncer', color: null });
    mkdirSync(join(folder, 'files', name), { recursive: true });
    for (const [file, body] of bodies) writeFileSync(join(folder, 'files', name, file), body);
    const config = join(folder, 'config');
    writeFileSync(
      config,
      `[general]
status_path = "${folder}/status/"
[pair mirror]
a = "files"
b = "server"
collections = ["${name}"]
[storage files]
type = "filesystem"
path = "${folder}/files/"
fileext = ".ics"
[storage server]
type = "caldav"
url = "${account.url}"
username = "${account.username}"
password = "${account.password}"
item_types = ["VEVENT"]
`,
    );
    execFileSync('vdirsyncer', ['-c', config, 'discover'], { stdio: 'ignore' });
    const started = performance.now();
    execFileSync('vdirsyncer', ['-c', config, 'sync'], { stdio: 'ignore' });
    rate('vdirsyncer', bodies.length, started);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function smallRuns(
  store: Store,
  dav: CalDav,
  count: number,
  objects: number,
  requests: () => number,
): Promise<void> {
  const seen = requests();
  const again = performance.now();
  await sql`update meeting set wanted_version = wanted_version + 1 where done_version > 0 and identity not like 'pretended%'`.execute(
    store.db,
  );
  await deliver(store, dav);
  rate(`everything looked at again, ${requests() - seen} requests`, count, again);
  const before = await one<{ n: number }>(
    store,
    sql`select count(*)::int as n from sync_history where action in ('create', 'update', 'delete')`,
  );
  const times: number[] = [];
  const asked = requests();
  for (let turn = 0; turn < 21; turn += 1) {
    await say(store, [series(0, `changed ${turn}`)]);
    const started = performance.now();
    await deliver(store, dav);
    times.push(performance.now() - started);
  }
  const after = await one<{ n: number }>(
    store,
    sql`select count(*)::int as n from sync_history where action in ('create', 'update', 'delete')`,
  );
  process.stdout.write(
    `one change at ${objects} objects: median ${times.toSorted((a, b) => a - b)[10]?.toFixed(1) ?? '?'} ms, ${after.n - before.n} writes and ${requests() - asked} requests for 21 changes\n`,
  );
}

/** Rows of meetings and objects that are done, so that the tables are as large as those of a large target. */
async function pretendMore(store: Store, objects: number): Promise<void> {
  await sql`
    insert into meeting (target_id, identity, slot, uid, wanted_version, done_version, created_at, wanted_at, shown_source_id)
    select 'me', 'pretended ' || n, '*', 'pretended-' || n, 1, 1, now(), now(), 'a' from generate_series(1, ${objects}::int) n`.execute(
    store.db,
  );
  await sql`
    insert into object (meeting_id, target_id, calendar_id, part, href, uid, etag, fingerprint, sent_bodies, written_at)
    select id, 'me', 'elsewhere', 'main', '/pretended/' || id, uid, 'e', 'f', '[]', now() from meeting
    where identity like 'pretended%'`.execute(store.db);
  await sql`vacuum analyze`.execute(store.db);
}

async function setUp(store: Store, account: Account, calendar: string, count: number): Promise<void> {
  const box = new SecretBox(Buffer.alloc(32, 7));
  for (const table of ['claim', 'meeting', 'object', 'source', 'target', 'target_calendar', 'trash'])
    await sql`delete from ${sql.table(table)}`.execute(store.db);
  await saveTarget(
    store.db,
    box,
    aTarget(account.url, { ...account, calendars: [{ id: calendar, name: calendar, color: null }] }),
  );
  const source = aGraphSource({ id: 'a', tenant: 't', mailbox: 'a@b.example', into: { target: 'me', calendar } });
  await store.transaction((db) =>
    saveSource(db, box, source, 0, { bumpsEpoch: false, fullReading: false, isOther: false }),
  );
  for (let start = 0; start < count; start += 500)
    await say(
      store,
      Array.from({ length: Math.min(500, count - start) }, (_, index) =>
        series(start + index, `Meeting ${start + index}`),
      ),
    );
  await sql`vacuum analyze`.execute(store.db);
}

function series(index: number, summary: string): { key: string; series: ReturnType<typeof aSeries> } {
  const day = `2027-0${(index % 9) + 1}-${String((index % 28) + 1).padStart(2, '0')}`;
  const people = ['ann', 'bob', 'cy'].map((name) => ({
    address: `${name}@contoso.example`,
    name,
    role: 'required' as const,
    kind: 'individual' as const,
    participation: 'accepted' as const,
    rsvp: false,
  }));
  return {
    key: `k${index}`,
    series: aSeries({
      uid: `uid-${index}`,
      main: anEntry({
        summary,
        start: zoned(`${day}T09:00:00`),
        end: zoned(`${day}T10:00:00`),
        description: 'Agenda: one, two; three. '.repeat(12),
        organizer: { address: 'boss@contoso.example', name: 'Boss' },
        attendees: people,
      }),
    }),
  };
}

async function say(store: Store, said: readonly ReturnType<typeof series>[]): Promise<void> {
  const state = await loadSource(store.db, 'a');
  if (state === null) throw new Error('no source');
  const claims = said.map((one) => ({
    key: one.key,
    version: null,
    uid: one.series.uid,
    slot: '*',
    series: one.series,
    hiddenBy: null,
    detail: 'full' as const,
    lastModifiedAt: null,
    firstStart: null,
    lastEnd: null,
    check: null,
    members: [],
    content: createHash('sha256').update(JSON.stringify(one.series)).digest('hex'),
  }));
  await store.transaction((db) => upsertClaims(db, state, claims, { round: '1', instance: 'bench' }));
}

async function deliver(store: Store, dav: CalDav): Promise<void> {
  const deps = {
    store,
    clock: systemClock,
    log: nullLog,
    random: () => 0.5,
    open: () => dav,
    writeTimeoutMs: 40_000,
  };
  const held = await withLease(store.db, 'target:me', 'bench', new AbortController().signal, (lease, signal) =>
    runDeliver(deps, 'me', lease, signal),
  );
  if (held?.result.kind !== 'done') throw new Error(`delivery: ${JSON.stringify(held?.result)}`);
}

async function one<T>(store: Store, query: ReturnType<typeof sql<T>> | ReturnType<typeof sql>): Promise<T> {
  const found = await query.execute(store.db);
  return found.rows[0] as T;
}

function rate(what: string, count: number, started: number): number {
  const seconds = (performance.now() - started) / 1_000;
  process.stdout.write(`${what}: ${count} in ${seconds.toFixed(2)} s, ${Math.round(count / seconds)} per s\n`);
  return count / seconds;
}

async function startServer(): Promise<{ url: string; stop(): void }> {
  const child = spawn(process.execPath, [import.meta.filename, 'server'], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const url = await new Promise<string>((resolve) =>
    child.stdout?.once('data', (data: Buffer) => resolve(data.toString().trim())),
  );
  return { url, stop: () => child.disconnect() };
}
