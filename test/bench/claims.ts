/**
 * A million claims: what the questions that every run asks cost, and whether any of them reads a whole table.
 * `node test/bench/claims.ts [claims] [sources]`. Exits with 1 when one does.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { SecretBox } from '../../src/shared/secret-box.ts';
import { countRemovals, hasPending, markMeetingsDirty, upsertClaims } from '../../src/store/claims.ts';
import { dueComparisons } from '../../src/store/comparisons.ts';
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
import { aClaim, fillWithClaims } from './fill-claims.ts';

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
  await fillWithClaims(db, { claims, sources });
  process.stdout.write(`${claims} claims of ${sources} sources in ${seconds(started)} s\n`);

  const state = await loadSource(db, 's1');
  if (state === null) throw new Error('There is a source.');
  const claim = aClaim('key 21');
  const uid = await uidOf();
  /** What is asked while things run, and must not depend on how much there is. */
  const hot: [string, (db: Db) => Promise<unknown>][] = [
    ['sources that are due', dueSources],
    ['targets that are due', dueTargets],
    ['sources to be compared', dueComparisons],
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

async function uidOf(): Promise<string> {
  const found = await sql<{ uid: string }>`select uid from meeting where identity_uid = 'u4242'`.execute(db);
  return found.rows[0]?.uid ?? '';
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1_000).toFixed(1);
}
