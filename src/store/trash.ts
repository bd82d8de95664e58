import { sql } from 'kysely';
import type { Series } from '../calendar/series.ts';
import type { Db } from './database.ts';
import { operatorSourceId, wantMeetings } from './meetings.ts';
import { copyPart } from './objects.ts';

export interface TrashEntry {
  readonly targetId: string;
  readonly calendarId: string;
  readonly meetingId: string;
  /** Whose words the body is, as far as it is known. */
  readonly sourceId: string | null;
  readonly part: string;
  readonly href: string;
  readonly uid: string;
  readonly body: string;
  readonly reason: string;
}

/** Keeps what a deletion takes away; a repeated deletion of one resource keeps one copy. */
export async function keepInTrash(db: Db, entry: TrashEntry): Promise<void> {
  await sql`
    insert into trash (target_id, calendar_id, meeting_id, source_id, part, href, uid, body, reason, deleted_at)
    select ${entry.targetId}, ${entry.calendarId}, ${entry.meetingId}, ${entry.sourceId}, ${entry.part}, ${entry.href},
      ${entry.uid}, ${entry.body}, ${entry.reason}, clock_timestamp()
    where not exists (select from trash where target_id = ${entry.targetId} and href = ${entry.href} and body = ${entry.body}
      and deleted_at > now() - interval '1 day' and restored_at is null)`.execute(db);
}

/** The copy kept last of what stood at this href, for putting back a deletion that left no trace in the change log. */
export async function lastInTrash(db: Db, targetId: string, href: string): Promise<string | null> {
  const found = await sql<{ body: string }>`
    select body from trash where target_id = ${targetId} and href = ${href} order by deleted_at desc limit 1`.execute(
    db,
  );
  return found.rows[0]?.body ?? null;
}

export interface TrashListing {
  readonly id: string;
  readonly target: string;
  readonly calendar: string;
  readonly source: string | null;
  readonly uid: string;
  readonly reason: string;
  readonly deletedAt: string;
  readonly restoredAt: string | null;
  readonly body: string;
}

/** What was deleted from targets in the last 30 days, newest first. */
export async function listTrash(
  db: Db,
  which: { readonly target?: string | undefined; readonly limit: number },
): Promise<TrashListing[]> {
  const found = await sql<TrashListing>`
    select id::text, target_id as target, calendar_id as calendar, source_id as source, uid, reason, body,
      to_char(deleted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "deletedAt",
      to_char(restored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "restoredAt"
    from trash where part <> ${copyPart} and (${which.target ?? null}::text is null or target_id = ${which.target ?? null})
    order by trash.deleted_at desc, trash.id desc limit ${which.limit}`.execute(db);
  return found.rows;
}

export interface RestorableEntry {
  readonly id: string;
  readonly targetId: string;
  readonly calendarId: string;
  readonly meetingId: string;
  readonly body: string;
  /** The source whose copy of the meeting shows at present; null when none does. */
  readonly shownBy: string | null;
}

/**
 * What belongs to this entry: of the same meeting, the copy deleted last of each of its objects. Empty when there is no
 * such entry, or its meeting or calendar is not kept any more.
 */
export async function restorable(db: Db, id: string): Promise<RestorableEntry[]> {
  const found = await sql<RestorableEntry>`
    select distinct on (t.href) t.id::text, t.target_id as "targetId", t.calendar_id as "calendarId",
      t.meeting_id::text as "meetingId", t.body,
      case when starts_with(m.shown_source_id, 'operator:') then null else m.shown_source_id end as "shownBy"
    from trash asked join trash t on t.meeting_id = asked.meeting_id and t.target_id = asked.target_id
        and t.calendar_id = asked.calendar_id
        and t.deleted_at between asked.deleted_at - interval '10 minutes' and asked.deleted_at + interval '10 minutes'
      join meeting m on m.id = t.meeting_id
      join target_calendar k on k.target_id = t.target_id and k.id = t.calendar_id
    where asked.id = ${id}::bigint and t.part <> ${copyPart}
    order by t.href, (t.id = asked.id) desc, t.deleted_at desc`.execute(db);
  return found.rows;
}

export interface TrashSpan {
  readonly since: Date;
  /** Exclusive. */
  readonly until?: Date | undefined;
  readonly target?: string | undefined;
}

/** One entry for each meeting that was deleted in this span and does not show now, oldest first. */
export async function restorableSince(db: Db, { since, until, target }: TrashSpan): Promise<string[]> {
  const found = await sql<{ id: string }>`
    select max(t.id)::text as id from trash t join meeting m on m.id = t.meeting_id
    where t.deleted_at >= ${since} and (${until ?? null}::timestamptz is null or t.deleted_at < ${until ?? null})
      and (${target ?? null}::text is null or t.target_id = ${target ?? null})
      and t.restored_at is null and m.shown_source_id is null and t.part <> ${copyPart}
    group by t.meeting_id order by max(t.id)`.execute(db);
  return found.rows.map(({ id }) => id);
}

export interface Restored {
  readonly targetId: string;
  readonly objects: number;
  /** The source that shows the meeting still. */
  readonly shownBy: string | null;
}

/** What a restoration comes to, in words for the operator. */
export function restoredText({ targetId, shownBy }: Restored): string {
  return shownBy === null
    ? `It is written to ${targetId} again, and stays until a source shows it once more.`
    : `${shownBy} shows this meeting still, so its copy stands as it is: what it left out stays out while it does.`;
}

/**
 * Makes the operator's claim of a deleted object. It ranks behind every source's: it shows while no source shows the
 * meeting, and ends when one does again.
 */
export async function claimRestored(
  db: Db,
  entry: RestorableEntry,
  series: Series,
  span: { readonly first: string | null; readonly last: string | null },
): Promise<void> {
  await sql`
    insert into claim (source_id, key, series, slot, detail, state, round, meeting_id, content, first_start, last_end,
      changed_at, read_at)
    values (${operatorSourceId(entry.targetId)}, ${entry.id}, ${JSON.stringify(series)}::jsonb, '*', 'full', 'shown', 0,
      ${entry.meetingId}, 'restored', ${span.first}, ${span.last}, now(), now())
    on conflict (source_id, key) do update set series = excluded.series, meeting_id = excluded.meeting_id, changed_at = now()`.execute(
    db,
  );
  await sql`update trash set restored_at = now() where id = ${entry.id}`.execute(db);
  await wantMeetings(db, [entry.meetingId]);
}

/** A source shows the meeting again: what the operator had restored of it is not needed any more. */
export async function endRestored(db: Db, targetId: string, meetingId: string): Promise<void> {
  await sql`
    delete from claim where source_id = ${operatorSourceId(targetId)} and meeting_id = ${meetingId}`.execute(db);
}

/** Purges what the trash holds of a source's words, restored copies with it; their meetings are looked at again. */
export async function purgeTrashOf(db: Db, sourceId: string): Promise<void> {
  const gone = await sql<{ meetingId: string }>`
    with purged as (
      delete from trash where source_id = ${sourceId}
        or meeting_id in (select meeting_id from claim where source_id = ${sourceId})
      returning id, target_id)
    delete from claim c using purged p where c.source_id = 'operator:' || p.target_id and c.key = p.id::text
    returning c.meeting_id::text as "meetingId"`.execute(db);
  await wantMeetings(
    db,
    gone.rows.map((row) => row.meetingId),
  );
}

/** For the operator's own eyes: the trash is theirs. */
export function titleOf(body: string): string {
  const unfolded = body.replaceAll(/\r?\n[ \t]/g, '');
  return (/^SUMMARY[^:\r\n]*:([^\r\n]*)/m.exec(unfolded)?.[1] ?? '').replaceAll(/\\([,;\\])/g, '$1');
}
