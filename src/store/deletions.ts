import { sql } from 'kysely';
import type { DeletionCount } from '../consolidate/judge-deletions.ts';
import type { Db } from './database.ts';

/** Under what name a target's deletions stand in the guard's books, beside those of sources. */
export const targetInBooks = (targetId: string): string => `target:${targetId}`;

/** Deletions of a target in the last 24 hours, and what it shows. `pendingUpcoming` is the caller's. */
export async function countDeletions(db: Db, targetId: string): Promise<Omit<DeletionCount, 'pendingUpcoming'>> {
  const found = await sql<{ upcoming: number; done: number; approved: number }>`
    select
      (select count(*)::int from meeting m where m.target_id = ${targetId} and m.shown_source_id is not null
        and (m.shown_until is null or m.shown_until > now())) as upcoming,
      (select count(*)::int from removal where source_id = ${targetInBooks(targetId)} and state = 'done' and is_upcoming
        and at > now() - interval '24 hours') as done,
      (select count(*)::int from removal r join source s on s.id = r.source_id where s.target_id = ${targetId}
        and r.state = 'approved' and r.is_upcoming and r.decided_at > now() - interval '24 hours') as approved`.execute(
    db,
  );
  const row = found.rows[0];
  return {
    upcoming: row?.upcoming ?? 0,
    doneUpcoming: row?.done ?? 0,
    approvedUpcoming: row?.approved ?? 0,
  };
}

/** Which of these deletions are allowed already: the operator has agreed, or they stand in the books as done. */
export async function allowedDeletions(db: Db, targetId: string, uids: readonly string[]): Promise<Set<string>> {
  const found = await sql<{ uid: string }>`
    select claim_key as uid from removal where source_id = ${targetInBooks(targetId)} and claim_key = any(${uids})
      and (state = 'approved' and decided_at > now() - interval '24 hours'
        or state = 'done' and at > now() - interval '24 hours')`.execute(db);
  return new Set(found.rows.map((row) => row.uid));
}

export async function bookDeletions(db: Db, targetId: string, uids: readonly string[]): Promise<void> {
  await sql`
    insert into removal (source_id, claim_key, is_upcoming, state, reason, at)
    select ${targetInBooks(targetId)}, uid, true, 'done', 'shown by no source any more', now()
    from unnest(${uids}::text[]) as uid
    where not exists (select from removal where source_id = ${targetInBooks(targetId)} and claim_key = uid
      and state = 'done' and at > now() - interval '24 hours')`.execute(db);
}

/** Holds deletions for the operator to decide: the meetings go on showing. Returns how many were newly held. */
export async function holdDeletions(
  db: Db,
  targetId: string,
  meetings: readonly { readonly id: string; readonly uid: string; readonly wantedVersion: string }[],
  reason: string,
): Promise<number> {
  const held = await sql<{ uid: string }>`
    with r as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(meetings)}::jsonb) as r(id bigint, uid text, "wantedVersion" bigint)),
    quiet as (
      update meeting m set code = 'deliver.deletion_held', reason = ${reason},
        done_version = greatest(m.done_version, r."wantedVersion")
      from r where m.id = r.id)
    insert into removal (source_id, claim_key, is_upcoming, state, reason, at)
    select ${targetInBooks(targetId)}, uid, true, 'held', ${reason}, now() from r
    where not exists (select from removal h where h.source_id = ${targetInBooks(targetId)} and h.claim_key = r.uid
      and h.state = 'held')
    returning claim_key as uid`.execute(db);
  return held.rows.length;
}

/** A source shows it again: nothing is to be decided. */
export async function dropHeldDeletion(db: Db, targetId: string, uid: string): Promise<void> {
  await sql`
    update removal set state = 'discarded', decided_at = now()
    where source_id = ${targetInBooks(targetId)} and claim_key = ${uid} and state = 'held'`.execute(db);
}

/** The operator agrees: what is held is deleted at the next delivery. Returns how many. */
export async function approveDeletions(db: Db, targetId: string): Promise<number> {
  return decide(db, targetId, 'approved', 0);
}

const rereadMs = 10 * 60_000;

/**
 * The operator does not agree: all sources of the target are read anew. What none of them shows by then comes before
 * the ceiling again. Returns how many.
 */
export async function discardDeletions(db: Db, targetId: string): Promise<number> {
  await sql`
    update source set is_full_wanted = true, wanted_version = wanted_version + 1 where target_id = ${targetId}`.execute(
    db,
  );
  return decide(db, targetId, 'discarded', rereadMs);
}

async function decide(db: Db, targetId: string, state: 'approved' | 'discarded', afterMs: number): Promise<number> {
  const found = await sql<{ uid: string }>`
    with decided as (
      update removal set state = ${state}, decided_at = now()
      where source_id = ${targetInBooks(targetId)} and state = 'held' returning claim_key)
    update meeting m set wanted_version = wanted_version + 1,
      not_before = now() + ${afterMs} * interval '1 millisecond',
      wanted_at = case when wanted_version > done_version then wanted_at else now() end
    from decided d where m.target_id = ${targetId} and m.uid = d.claim_key returning m.uid`.execute(db);
  return found.rows.length;
}
