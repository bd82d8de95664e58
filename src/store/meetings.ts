import { sql } from 'kysely';
import type { Series } from '../calendar/series.ts';
import type { SourceConfig } from '../config/model.ts';
import type { KnownObject } from '../consolidate/plan-meeting.ts';
import type { Db } from './database.ts';

/** A claim on a meeting, with what delivery must know of its source. */
export interface MeetingClaim {
  readonly id: string;
  readonly sourceId: string;
  readonly calendarId: string;
  readonly position: number;
  readonly settings: SourceConfig;
  readonly series: Series;
  readonly detail: 'full' | 'title' | 'busy';
  readonly lastModifiedAt: string | null;
}

export interface MeetingObject extends KnownObject {
  readonly scheduleFingerprint: string | null;
  readonly sentBodies: readonly string[];
}

/** A meeting that is due, with all that decides what should be there. */
export interface DueMeeting {
  readonly id: string;
  readonly uid: string;
  readonly slot: string;
  readonly sequence: number;
  readonly anchor: string | null;
  readonly pinnedSourceId: string | null;
  readonly wantedVersion: string;
  readonly failures: number;
  /** Instant since when the change has been waiting. */
  readonly wantedAt: string;
  readonly claims: readonly MeetingClaim[];
  /** For an orphan: whole series of the same uid in this target that may cover it. */
  readonly covers: readonly { readonly sourceId: string; readonly series: Series }[];
  readonly objects: readonly MeetingObject[];
}

/**
 * Meetings of a target whose wanted version is ahead and that may be tried now, those with something to show first, so
 * that what moves from one meeting to another is written before it is deleted.
 */
export async function dueMeetings(
  db: Db,
  targetId: string,
  limit: number,
  busyIds: readonly string[] = [],
): Promise<DueMeeting[]> {
  const found = await sql<DueMeeting>`
    with due as (
      select m.* from meeting m
      where m.target_id = ${targetId} and m.wanted_version > m.done_version
        and (m.not_before is null or m.not_before <= now()) and m.id <> all(${busyIds}::bigint[])
        and not exists (select from intent i where i.meeting_id = m.id)
      order by m.wanted_at, m.id limit ${limit})
    select d.id::text, d.uid, d.slot, d.sequence, d.anchor, d.pinned_source_id as "pinnedSourceId",
      d.wanted_version::text as "wantedVersion", d.failures,
      to_char(d.wanted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "wantedAt",
      coalesce((select jsonb_agg(jsonb_build_object('id', c.id::text, 'sourceId', c.source_id, 'calendarId', s.calendar_id,
          'position', s.position, 'settings', s.settings, 'series', c.series, 'detail', c.detail,
          'lastModifiedAt', c.last_modified_at) order by s.position, c.id)
        from claim c join source s on s.id = c.source_id where c.meeting_id = d.id and c.series is not null), '[]') as claims,
      case when d.slot = '*' or d.identity_uid is null then '[]' else
        coalesce((select jsonb_agg(jsonb_build_object('sourceId', c.source_id, 'series', c.series))
          from meeting w join claim c on c.meeting_id = w.id
          where w.target_id = d.target_id and w.identity_uid = d.identity_uid and w.slot = '*' and c.series is not null),
        '[]') end as covers,
      coalesce((select jsonb_agg(jsonb_build_object('id', o.id::text, 'part', o.part, 'uid', o.uid,
          'calendarId', o.calendar_id, 'href', o.href, 'etag', o.etag, 'fingerprint', o.fingerprint,
          'scheduleFingerprint', o.schedule_fingerprint, 'sentBodies', o.sent_bodies) order by o.id)
        from object o where o.meeting_id = d.id), '[]') as objects
    from due d
    order by exists (select from claim c where c.meeting_id = d.id and c.series is not null) desc, d.wanted_at, d.id`.execute(
    db,
  );
  return found.rows;
}

/** What was wanted when the meeting was loaded is there. */
export async function recordDelivered(
  db: Db,
  meeting: Pick<DueMeeting, 'id' | 'wantedVersion'>,
  result: { sequence: number; shownClaimId: string | null; why: string; anchor: string | null },
): Promise<void> {
  await sql`
    update meeting set done_version = greatest(done_version, ${meeting.wantedVersion}), failures = 0, code = null,
      reason = null, not_before = null, sequence = greatest(sequence, ${result.sequence}),
      shown_claim_id = ${result.shownClaimId}, why = ${result.why}, anchor = ${result.anchor}
    where id = ${meeting.id}`.execute(db);
}

/** Keeps the meeting due, but not before `afterMs`. With null: not until it changes. */
export async function recordDeliveryFailure(
  db: Db,
  meeting: Pick<DueMeeting, 'id' | 'wantedVersion'>,
  failure: { code: string; reason: string; afterMs: number | null },
): Promise<void> {
  await sql`
    update meeting set failures = failures + 1, code = ${failure.code}, reason = ${failure.reason},
      not_before = now() + ${failure.afterMs}::float8 * interval '1 millisecond',
      done_version = case when ${failure.afterMs === null} then greatest(done_version, ${meeting.wantedVersion}) else done_version end
    where id = ${meeting.id}`.execute(db);
}

export interface Intent {
  readonly id: string;
  readonly meetingId: string;
  readonly calendarId: string;
  readonly part: string;
  readonly action: 'put' | 'delete';
  readonly href: string;
  readonly uid: string;
  readonly bodyMd5: string | null;
}

/**
 * Writes down what will be asked of the server before it is asked, but only while the lease outlasts the request.
 * Null: the lease is lost, and no request may start.
 */
export async function openIntent(
  db: Db,
  intent: Omit<Intent, 'id'> & { targetId: string },
  lease: { name: string; fence: string; outlastsMs: number },
): Promise<string | null> {
  const found = await sql<{ id: string }>`
    insert into intent (target_id, meeting_id, calendar_id, part, action, href, uid, body_md5, fence, at)
    select ${intent.targetId}, ${intent.meetingId}, ${intent.calendarId}, ${intent.part}, ${intent.action}, ${intent.href},
      ${intent.uid}, ${intent.bodyMd5}, ${lease.fence}, clock_timestamp()
    from lease where name = ${lease.name} and fence = ${lease.fence}
      and expires_at > clock_timestamp() + ${lease.outlastsMs} * interval '1 millisecond'
    returning id::text`.execute(db);
  return found.rows[0]?.id ?? null;
}

export async function closeIntent(db: Db, id: string): Promise<void> {
  await sql`delete from intent where id = ${id}`.execute(db);
}

/** Intents whose request can have no effect any more: `quietMs` have passed since it was allowed to start. */
export async function openIntents(db: Db, targetId: string, quietMs: number): Promise<Intent[]> {
  const found = await sql<Intent>`
    select id::text, meeting_id::text as "meetingId", calendar_id as "calendarId", part, action, href, uid, body_md5 as "bodyMd5"
    from intent where target_id = ${targetId} and at < clock_timestamp() - ${quietMs} * interval '1 millisecond'
    order by id`.execute(db);
  return found.rows;
}

export interface WrittenObject {
  readonly targetId: string;
  readonly meetingId: string;
  readonly calendarId: string;
  readonly part: string;
  readonly href: string;
  readonly uid: string;
  readonly etag: string | null;
  readonly fingerprint: string | null;
  readonly scheduleFingerprint: string | null;
  readonly bodyMd5: string | null;
}

const keptBodies = 5;

/** Records that the object stands there, and closes its intent, in one statement. */
export async function recordObject(db: Db, object: WrittenObject, intentId: string): Promise<void> {
  await sql`
    with closed as (delete from intent where id = ${intentId})
    insert into object (meeting_id, target_id, calendar_id, part, href, uid, etag, fingerprint, schedule_fingerprint,
      sent_bodies, repairs, written_at)
    values (${object.meetingId}, ${object.targetId}, ${object.calendarId}, ${object.part}, ${object.href}, ${object.uid},
      ${object.etag}, ${object.fingerprint}, ${object.scheduleFingerprint},
      ${JSON.stringify(object.bodyMd5 === null ? [] : [object.bodyMd5])}::jsonb, 0, clock_timestamp())
    on conflict (target_id, href) do update set meeting_id = excluded.meeting_id, calendar_id = excluded.calendar_id,
      part = excluded.part, uid = excluded.uid, etag = excluded.etag, fingerprint = excluded.fingerprint,
      schedule_fingerprint = coalesce(excluded.schedule_fingerprint, object.schedule_fingerprint),
      sent_bodies = (select coalesce(jsonb_agg(value order by ordinality), '[]') from (
        select * from jsonb_array_elements(object.sent_bodies || excluded.sent_bodies) with ordinality
        order by ordinality desc limit ${keptBodies}) as last),
      written_at = excluded.written_at`.execute(db);
}

/** Records that the object is gone, and closes its intent. */
export async function forgetObject(db: Db, targetId: string, href: string, intentId: string): Promise<void> {
  await sql`
    with closed as (delete from intent where id = ${intentId})
    delete from object where target_id = ${targetId} and href = ${href}`.execute(db);
}

/** Keeps what a deletion takes away; a repeated deletion of one resource keeps one copy. */
export async function keepInTrash(
  db: Db,
  entry: {
    targetId: string;
    calendarId: string;
    meetingId: string;
    href: string;
    uid: string;
    body: string;
    reason: string;
  },
): Promise<void> {
  await sql`
    insert into trash (target_id, calendar_id, meeting_id, href, uid, body, reason, deleted_at)
    select ${entry.targetId}, ${entry.calendarId}, ${entry.meetingId}, ${entry.href}, ${entry.uid}, ${entry.body},
      ${entry.reason}, clock_timestamp()
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

/** Marks one meeting to be looked at again. */
export async function wantMeeting(db: Db, meetingId: string): Promise<void> {
  await sql`
    update meeting set wanted_version = wanted_version + 1, not_before = null,
      wanted_at = case when wanted_version > done_version then wanted_at else now() end where id = ${meetingId}`.execute(
    db,
  );
}
