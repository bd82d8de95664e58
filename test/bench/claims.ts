/**
 * A million claims: what the questions that every run asks cost, and whether any of them reads a whole table.
 * `node test/bench/claims.ts [claims] [sources]`. Exits with 1 when one does.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { blankEntry, singleSeries } from '../../src/calendar/blank.ts';
import { SecretBox } from '../../src/shared/secret-box.ts';
import {
  countRemovals,
  hasPending,
  markMeetingsDirty,
  upsertClaims,
  type StorableClaim,
} from '../../src/store/claims.ts';
import { saveSource, saveTarget } from '../../src/store/configuration.ts';
import { listConflicts } from '../../src/store/conflicts.ts';
import { openStore, type Db } from '../../src/store/database.ts';
import { allowedDeletions, countDeletions } from '../../src/store/deletions.ts';
import { startEmbedded } from '../../src/store/embedded-postgres.ts';
import { explainSeries } from '../../src/store/explain.ts';
import { readHistory } from '../../src/store/history.ts';
import { dueMeetings } from '../../src/store/meetings.ts';
import { listPins } from '../../src/store/pins.ts';
import { dueSources, dueStale, loadSource, markStale } from '../../src/store/sources.ts';
import { readStatus } from '../../src/store/status.ts';
import { dueTargets } from '../../src/store/targets.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';

const [claims = 1_000_000, sources = 20] = process.argv.slice(2).map(Number);
const big = ['claim', 'meeting', 'object', 'sync_history'];
const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-claims-'));
chmodSync(folder, 0o711);
const cluster = await startEmbedded(folder);
const store = await openStore(cluster.url, { waitMs: 30_000 });
const { db } = store;
try {
  process.exitCode = await bench();
} finally {
  await store.close();
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function bench(): Promise<number> {
  const box = new SecretBox(Buffer.alloc(32, 1), []);
  await saveTarget(db, box, aTarget('https://dav.example/dav.php/'));
  const effects = { bumpsEpoch: false, fullReading: false, isOther: false };
  for (let index = 0; index < sources; index += 1) {
    const id = `s${index}`;
    await saveSource(db, box, aGraphSource({ id, tenant: 't', mailbox: `${id}@t.example` }), index, effects);
  }
  const started = performance.now();
  await fill();
  process.stdout.write(`${claims} claims of ${sources} sources in ${seconds(started)} s\n`);

  const state = await loadSource(db, 's1');
  if (state === null) throw new Error('There is a source.');
  const claim = aClaim('key 21');
  const uid = await uidOf();
  /** What is asked while things run, and must not depend on how much there is. */
  const hot: [string, (db: Db) => Promise<unknown>][] = [
    ['sources that are due', dueSources],
    ['targets that are due', dueTargets],
    ['a source with its streams', (at) => loadSource(at, 's1')],
    ['a claim stored', (at) => upsertClaims(at, state, [claim], { round: '1', instance: 'bench' })],
    [
      'a page of 50 claims stored',
      (at) =>
        upsertClaims(
          at,
          state,
          Array.from({ length: 50 }, (_, n) => aClaim(`key ${1 + 20 * n}`)),
          { round: '1', instance: 'bench' },
        ),
    ],
    ['a meeting marked', (at) => markMeetingsDirty(at, 'me', { identities: [], ids: ['77'] })],
    [
      'series marked stale',
      (at) =>
        markStale(at, 's1', [
          { key: 'key 41', why: 'removed' },
          { key: 'a member', why: 'removed' },
        ]),
    ],
    ['stale series that are due', (at) => dueStale(at, 's1', 60)],
    ['whether removals wait', (at) => hasPending(at, 's1')],
    ['meetings that are due', (at) => dueMeetings(at, 'me', 100)],
    ['deletions that are allowed', (at) => allowedDeletions(at, 'me', [uid])],
    ['explain by UID', (at) => explainSeries(at, uid)],
    ['history of errors', (at) => readHistory(at, { status: 'error', limit: 30 })],
    ['history of a source', (at) => readHistory(at, { source: 's1', limit: 30 })],
    ['history of a target', (at) => readHistory(at, { target: 'me', limit: 30 })],
    ['open conflicts', (at) => listConflicts(at, { state: 'open', limit: 50 })],
    ['pins', listPins],
  ];
  /** What is asked by a person, or when removals are judged: may look at all of a source, or of everything. */
  const rare: [string, (db: Db) => Promise<unknown>][] = [
    ['removals counted (one source)', (at) => countRemovals(at, 's1')],
    ['deletions counted (one target)', (at) => countDeletions(at, 'me')],
    ['status of everything', readStatus],
    ['explain by a part of the title', (at) => explainSeries(at, 'Title 4242')],
  ];
  let wholeReads = 0;
  for (const [name, ask] of hot) {
    const { ms, whole } = await measure(ask);
    if (whole.length > 0) wholeReads += 1;
    tell(name, ms, whole);
  }
  process.stdout.write('\nrarely:\n');
  for (const [name, ask] of rare) tell(name, (await measure(ask)).ms, []);
  return wholeReads === 0 ? 0 : 1;
}

function tell(name: string, ms: number, whole: readonly string[]): void {
  const note = whole.length === 0 ? '' : `  reads all of ${whole.join(', ')}`;
  process.stdout.write(`${name.padEnd(34)} ${ms.toFixed(1).padStart(9)} ms${note}\n`);
}

/** The best of three, each in a transaction of its own; and which big tables were read from end to end. */
async function measure(ask: (db: Db) => Promise<unknown>): Promise<{ ms: number; whole: string[] }> {
  let best = Infinity;
  const before = await scans();
  for (let round = 0; round < 3; round += 1)
    await store.transaction(async (at) => {
      const started = performance.now();
      await ask(at);
      best = Math.min(best, performance.now() - started);
    });
  const after = await scans();
  return { ms: best, whole: big.filter((table) => (after.get(table) ?? 0) > (before.get(table) ?? 0)) };
}

async function scans(): Promise<Map<string, number>> {
  // Counts are kept by each connection for a moment: a second without work lets them all be told.
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  await sql`select pg_stat_force_next_flush()`.execute(db);
  const found = await sql<{ name: string; count: string }>`
    select relname as name, seq_scan as count from pg_stat_user_tables where relname = any(${big})`.execute(db);
  return new Map(found.rows.map(({ name, count }) => [name, Number(count)]));
}

/** A meeting, an object and a line of history for each claim. */
async function fill(): Promise<void> {
  const series = JSON.stringify(aClaim('x').series);
  await sql`
    insert into meeting (target_id, identity, identity_uid, slot, uid, shown_source_id, shown_until, wanted_version, done_version, created_at, wanted_at)
    select 'me', 'uid|u' || n || '|*', 'u' || n, '*', md5(n::text) || '@bench.calendar-sync', 's' || n % ${sources}::int,
      now() + (n % 700) * interval '1 day', 1, 1, now(), now()
    from generate_series(1, ${claims}::int) n`.execute(db);
  await sql`
    insert into claim (source_id, key, version, series, uid, slot, detail, state, round, meeting_id, content,
      last_modified_at, first_start, last_end, members, changed_at, read_at)
    select 's' || n % ${sources}::int, 'key ' || n, 'v', jsonb_set(${series}::jsonb, '{main,summary}', to_jsonb('Title ' || n)),
      'u' || n, '*', 'full', 'shown', 1, m.id, 'c', now(), now(), now() + (n % 700) * interval '1 day',
      case when n % 10 = 0 then array[n, n + 1]::bigint[] else '{}' end, now(), now()
    from generate_series(1, ${claims}::int) n join meeting m on m.identity_uid = 'u' || n`.execute(db);
  await sql`
    insert into object (meeting_id, target_id, calendar_id, part, href, uid, etag, fingerprint, sent_bodies, written_at)
    select id, 'me', 'work', 'main', '/work/' || uid || '.ics', uid, 'e', 'f', '[]', now() from meeting`.execute(db);
  await sql`
    insert into sync_history (at, status, action, source_id, target_id, meeting_id)
    select now() - n * interval '1 second', case when n % 1000 = 0 then 'error' else 'ok' end, 'update', 's' || n % ${sources}::int, 'me', n
    from generate_series(1, ${claims}::int) n`.execute(db);
  await sql`update meeting set wanted_version = 2 where id % 1000 = 0`.execute(db);
  await sql`vacuum analyze`.execute(db);
}

async function uidOf(): Promise<string> {
  const found = await sql<{ uid: string }>`select uid from meeting where identity_uid = 'u4242'`.execute(db);
  return found.rows[0]?.uid ?? '';
}

function aClaim(key: string): StorableClaim {
  const moment = { kind: 'zoned', local: '2027-03-01T09:00:00', zone: 'Europe/Berlin' } as const;
  const number = key.replace('key ', '');
  return {
    key,
    version: 'v2',
    uid: `u${number}`,
    slot: '*',
    series: {
      ...singleSeries({
        ...blankEntry(moment, { ...moment, local: '2027-03-01T10:00:00' }),
        summary: `Changed ${performance.now()}`,
        description: 'Agenda. '.repeat(40),
        location: 'Room 1',
        reminder: 15,
      }),
      uid: `u${number}`,
    },
    hiddenBy: null,
    detail: 'full',
    lastModifiedAt: null,
    firstStart: '2027-03-01T08:00:00Z',
    lastEnd: '2027-03-01T09:00:00Z',
    check: null,
    members: [],
    content: `changed ${performance.now()}`,
  };
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1_000).toFixed(1);
}
