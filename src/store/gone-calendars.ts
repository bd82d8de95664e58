import { sql } from 'kysely';
import type { Db } from './database.ts';

/** A calendar of a target that its server has no more. What goes there waits. */
export interface GoneCalendar {
  readonly target: string;
  readonly calendar: string;
  readonly since: string;
  /** Objects that stood in it. */
  readonly objects: number;
}

export async function goneCalendars(db: Db): Promise<GoneCalendar[]> {
  const found = await sql<GoneCalendar>`
    select k.target_id as target, k.id as calendar,
      to_char(k.gone_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since,
      (select count(*)::int from object o where o.target_id = k.target_id and o.calendar_id = k.id) as objects
    from target_calendar k where k.gone_at is not null order by k.target_id, k.position`.execute(db);
  return found.rows;
}

/**
 * The operator wants a calendar that is gone made again: nothing that we know to stand there stands there, and all of it
 * is written anew. False when it is not gone. Inside the caller's transaction.
 */
export async function wantCalendarAgain(db: Db, targetId: string, calendarId: string): Promise<boolean> {
  const found = await sql<{ id: string }>`
    update target_calendar set href = null, sync_token = null, listed_at = null, checked_at = null, gone_at = null
    where target_id = ${targetId} and id = ${calendarId} and gone_at is not null returning id`.execute(db);
  if (found.rows.length === 0) return false;
  await sql`delete from intent where target_id = ${targetId} and calendar_id = ${calendarId}`.execute(db);
  // What only stood there has nothing left to be deleted; what shows there, or waits to, is written again.
  await sql`
    with gone as (
      delete from object where target_id = ${targetId} and calendar_id = ${calendarId} returning meeting_id)
    update meeting set wanted_version = wanted_version + 1, not_before = null, code = null, reason = null,
      wanted_at = case when wanted_version > done_version then wanted_at else now() end
    where target_id = ${targetId} and (id in (select meeting_id from gone) or id in (
      select c.meeting_id from claim c join source s on s.id = c.source_id
      where s.target_id = ${targetId} and s.calendar_id = ${calendarId}))`.execute(db);
  await sql`update target set not_before = null where id = ${targetId}`.execute(db);
  return true;
}
