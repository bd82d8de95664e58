/**
 * Delivery against a bare loop: `node test/bench/delivery.ts [count] [--large]`. Puts the same bodies into the same
 * server, first by a bare keep-alive loop, then by the product; then runs again, and makes one change. The server is
 * the in-process one in a process of its own, or the one that CALDAV_URL, CALDAV_USERNAME, CALDAV_PASSWORD name.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
} else await bench(Number(process.argv[2] ?? 1_000));

async function bench(count: number): Promise<void> {
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
    for (let turn = 1; turn <= 2; turn += 1) {
      const calendar = `bench-${randomBytes(4).toString('hex')}`;
      await setUp(store, account, calendar, count);
      const started = performance.now();
      await deliver(store, dav);
      const ours = rate(`delivery, turn ${turn}`, count, started);
      const href = (await one<{ href: string }>(store, sql`select href from target_calendar`)).href;
      const bare = await bareLoop(dav, account, href, calendar);
      process.stdout.write(`  share of the bare loop: ${Math.round((100 * ours) / bare)} %\n`);
    }
    await smallRuns(store, dav, count, count);
    await pretendMore(store, 100_000);
    await smallRuns(store, dav, count, 100_000);
  } finally {
    await dav.close();
    await store.close();
    await embedded.stop();
    rmSync(folder, { recursive: true, force: true });
    child?.stop();
  }
}

/** The same bodies under the same names, one after the other on each of two connections, into a calendar of its own. */
async function bareLoop(
  dav: CalDav,
  account: { url: string; username: string; password: string },
  href: string,
  name: string,
): Promise<number> {
  const listed = (await dav.list(href)).map((entry) => entry.href);
  const bodies = [...(await dav.multiget(href, listed))].map(
    ([from, { body }]) => [from.split('/').at(-1) ?? '', body] as const,
  );
  const to = await dav.makeCalendar(`${name}-bare`, { displayName: 'bare', color: null });
  const pool = new Pool(new URL(account.url).origin, { connections: 2 });
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
  await Promise.all([writer(), writer()]);
  const result = rate('bare loop, two connections', bodies.length, started);
  await pool.close();
  return result;
}

async function smallRuns(store: Store, dav: CalDav, count: number, objects: number): Promise<void> {
  const again = performance.now();
  await sql`update meeting set wanted_version = wanted_version + 1 where done_version > 0 and identity not like 'pretended%'`.execute(
    store.db,
  );
  await deliver(store, dav);
  rate('everything looked at again, nothing changed', count, again);
  const before = await one<{ n: number }>(
    store,
    sql`select count(*)::int as n from sync_history where action in ('create', 'update', 'delete')`,
  );
  const times: number[] = [];
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
    `one change at ${objects} objects: median ${times.toSorted((a, b) => a - b)[10]?.toFixed(1) ?? '?'} ms, ${after.n - before.n} writes for 21 changes\n`,
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

async function setUp(
  store: Store,
  account: { url: string; username: string; password: string },
  calendar: string,
  count: number,
): Promise<void> {
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
