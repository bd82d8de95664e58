import { sql } from 'kysely';
import type { Db } from './database.ts';
import { markStale } from './sources.ts';

/** A source that is to be compared with its target. */
export interface DueComparison {
  readonly id: string;
  readonly targetId: string;
}

/** A source's first comparison is planned for a day after its first reading. */
const firstAfter = sql.raw(`interval '1 day'`);

/**
 * Sources to be compared now: read to their end, with nothing left to read, to judge or to deliver. Plans the first
 * comparison of those that have none planned yet.
 */
export async function dueComparisons(db: Db): Promise<DueComparison[]> {
  await sql`
    update source s set compare_at = r.finished_at + ${firstAfter} from stream r
    where r.source_id = s.id and r.kind = 'delta' and r.finished_at is not null and s.compare_at is null
      and s.kind <> 'powerautomate'`.execute(db);
  const found = await sql<DueComparison>`
    select s.id, s.target_id as "targetId" from source s
    where s.compare_at <= now() and s.failures = 0 and s.paused_code is null
      and not coalesce((s.settings->>'isPaused')::boolean, false)
      and exists (select from stream r where r.source_id = s.id and r.kind = 'delta')
      and not exists (select from stale_series x where x.source_id = s.id and x.failures = 0)
      and (select m.id from meeting m where m.target_id = s.target_id and m.wanted_version > m.done_version
        and m.not_before is null order by m.wanted_at limit 1) is null
    order by s.compare_at`.execute(db);
  return found.rows;
}

/** What a comparison found: happenings that differ. The next is due after `nextMs`. */
export async function recordComparison(db: Db, id: string, drift: number, nextMs: number): Promise<void> {
  await sql`
    update source set drift = ${drift}, compared_at = now(), compare_at = now() + ${nextMs} * interval '1 millisecond'
    where id = ${id}`.execute(db);
}

/** It could not be compared now. */
export async function postponeComparison(db: Db, id: string, afterMs: number): Promise<void> {
  await sql`
    update source set compare_at = now() + ${afterMs} * interval '1 millisecond' where id = ${id}`.execute(db);
}

/** Has what differs read again, and its meetings looked at. */
export async function askForDiffering(db: Db, id: string, keys: readonly string[]): Promise<void> {
  await markStale(
    db,
    id,
    keys.map((key) => ({ key, why: 'thin' })),
  );
  await sql`update source set wanted_version = wanted_version + 1, not_before = null where id = ${id}`.execute(db);
  await sql`
    update meeting m set wanted_version = wanted_version + 1, not_before = null,
      wanted_at = case when wanted_version > done_version then wanted_at else now() end
    where m.id in (select meeting_id from claim where source_id = ${id} and key = any(${keys}))`.execute(db);
}
