import { sql } from 'kysely';
import type { Conflict } from '../consolidate/conflicts.ts';
import type { Db, Store } from './database.ts';

/** What is at odds in a meeting now. */
export interface MeetingConflicts {
  readonly meetingId: string;
  /** Of the meeting as it was when the conflicts were found. */
  readonly wantedVersion: string;
  readonly conflicts: readonly Conflict[];
  /** What decided which copy shows. */
  readonly rule: string;
  /** Whose words are in it. */
  readonly sourceIds: readonly string[];
}

/**
 * Makes the books say what is at odds now: new conflicts are opened, known ones keep the time since when they are open,
 * those on which the copies agree again are closed. Nothing is written of a meeting that has changed meanwhile: under
 * tighter rules its words may have been purged.
 */
export async function recordConflicts(store: Store, meetings: readonly MeetingConflicts[]): Promise<void> {
  if (meetings.length === 0) return;
  await store.transaction(async (db) => {
    // Whoever changes a source's rules holds its row; what they change is seen after this.
    await sql`
      select id from source where id = any(${meetings.flatMap(({ sourceIds }) => sourceIds)}) order by id for share`.execute(
      db,
    );
    const current = await sql<{ id: string }>`
      select m.id::text from meeting m
        join jsonb_to_recordset(${JSON.stringify(meetings)}::jsonb) as r("meetingId" bigint, "wantedVersion" bigint)
          on m.id = r."meetingId" and m.wanted_version = r."wantedVersion"
      order by m.id for share of m`.execute(db);
    const ids = new Set(current.rows.map(({ id }) => id));
    const now = meetings
      .filter(({ meetingId }) => ids.has(meetingId))
      .flatMap(({ meetingId, rule, conflicts }) => conflicts.map((conflict) => ({ meetingId, rule, ...conflict })));
    await replaceOpen(db, [...ids], now);
  });
}

async function replaceOpen(db: Db, meetingIds: readonly string[], now: readonly unknown[]): Promise<void> {
  await sql`
    with found as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(now)}::jsonb)
        as r("meetingId" bigint, field text, shown jsonb, other jsonb, rule text)),
    closed as (
      update conflict c set closed_at = clock_timestamp()
      where c.meeting_id = any(${meetingIds}::bigint[]) and c.closed_at is null
        and not exists (select from found f where f."meetingId" = c.meeting_id and f.field = c.field
          and f.other->>'source' = c.other->>'source')),
    kept as (
      update conflict c set shown = f.shown, other = f.other, rule = f.rule from found f
      where c.meeting_id = f."meetingId" and c.field = f.field and c.other->>'source' = f.other->>'source'
        and c.closed_at is null and (c.shown, c.other, c.rule) is distinct from (f.shown, f.other, f.rule))
    insert into conflict (meeting_id, field, shown, other, rule, opened_at)
    select f."meetingId", f.field, f.shown, f.other, f.rule, clock_timestamp() from found f
    where not exists (select from conflict c where c.meeting_id = f."meetingId" and c.field = f.field
      and c.other->>'source' = f.other->>'source' and c.closed_at is null)`.execute(db);
}

export interface ConflictRecord extends Conflict {
  readonly rule: string;
  readonly openedAt: string;
  /** Null while it is open. */
  readonly closedAt: string | null;
}

/** Open conflicts of these meetings first, then closed ones, the latest first. */
export async function conflictsOfMeetings(
  db: Db,
  meetingIds: readonly string[],
): Promise<(ConflictRecord & { readonly meetingId: string })[]> {
  const found = await sql<ConflictRecord & { meetingId: string }>`
    select meeting_id::text as "meetingId", field, shown, other, rule,
      to_char(opened_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "openedAt",
      to_char(closed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "closedAt"
    from conflict where meeting_id = any(${meetingIds}::bigint[])
    order by closed_at is not null, conflict.opened_at desc, id desc limit 100`.execute(db);
  return found.rows;
}

export interface ConflictListing extends ConflictRecord {
  readonly id: string;
  readonly target: string;
  /** The UID that the target shows. */
  readonly uid: string;
  readonly title: string | null;
}

export interface ConflictQuery {
  readonly state: 'open' | 'closed' | 'all';
  /** Of either side. */
  readonly source?: string | undefined;
  readonly target?: string | undefined;
  readonly limit: number;
}

/** Where copies disagree, or did; the latest first. */
export async function listConflicts(db: Db, query: ConflictQuery): Promise<ConflictListing[]> {
  const found = await sql<ConflictListing>`
    select x.id::text, m.target_id as target, m.uid, c.series->'main'->>'summary' as title, x.field, x.shown, x.other, x.rule,
      to_char(x.opened_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "openedAt",
      to_char(x.closed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "closedAt"
    from conflict x join meeting m on m.id = x.meeting_id left join claim c on c.id = m.shown_claim_id
    where (${query.state} = 'all' or (x.closed_at is null) = (${query.state} = 'open'))
      and (${query.source ?? null}::text is null or ${query.source ?? null} in (x.shown->>'source', x.other->>'source'))
      and (${query.target ?? null}::text is null or m.target_id = ${query.target ?? null})
    order by x.opened_at desc, x.id desc limit ${query.limit}`.execute(db);
  return found.rows;
}
