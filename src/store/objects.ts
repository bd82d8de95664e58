import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { Lease } from './leases.ts';

/** A request that is about to be made, or whose outcome nobody has recorded yet. */
export interface Intent {
  readonly id: string;
  readonly meetingId: string;
  readonly calendarId: string;
  readonly part: string;
  readonly action: 'put' | 'delete';
  readonly href: string;
  readonly uid: string;
  /** md5 of the body that is put. */
  readonly bodyMd5: string | null;
}

/** How long requests may take, and whose they are. */
export interface WriteRight {
  readonly lease: Pick<Lease, 'name' | 'fence'>;
  readonly timeoutMs: number;
}

/**
 * Writes down what will be asked of the server before it is asked, but only while the lease outlasts the requests.
 * Gives the intents with their ids, in the same order. Null: the lease is lost, and no request may start.
 */
export async function openIntents(
  db: Db,
  targetId: string,
  intents: readonly Omit<Intent, 'id'>[],
  right: WriteRight,
): Promise<Intent[] | null> {
  if (intents.length === 0) return [];
  const found = await sql<{ id: string; href: string }>`
    insert into intent (target_id, meeting_id, calendar_id, part, action, href, uid, body_md5, fence, at, settle_at)
    select ${targetId}, r."meetingId", r."calendarId", r.part, r.action, r.href, r.uid, r."bodyMd5", ${right.lease.fence},
      clock_timestamp(), clock_timestamp() + ${right.timeoutMs} * interval '1 millisecond'
    from jsonb_to_recordset(${JSON.stringify(intents)}::jsonb) as r("meetingId" bigint, "calendarId" text, part text,
      action text, href text, uid text, "bodyMd5" text), lease l
    where l.name = ${right.lease.name} and l.fence = ${right.lease.fence}
      and l.expires_at > clock_timestamp() + ${right.timeoutMs} * interval '1 millisecond'
    returning id::text, href`.execute(db);
  const ids = new Map(found.rows.map((row) => [row.href, row.id]));
  const opened = intents.flatMap((intent): Intent[] => {
    const id = ids.get(intent.href);
    return id === undefined ? [] : [{ ...intent, id }];
  });
  return opened.length === intents.length ? opened : null;
}

/** Prolongs intents whose requests have not been made yet, under the same condition. False: the lease is lost. */
export async function renewIntents(db: Db, ids: readonly string[], right: WriteRight): Promise<boolean> {
  const found = await sql<{ id: string }>`
    update intent i set at = clock_timestamp(), fence = ${right.lease.fence},
      settle_at = clock_timestamp() + ${right.timeoutMs} * interval '1 millisecond'
    from lease l where i.id = any(${ids}::bigint[]) and l.name = ${right.lease.name} and l.fence = ${right.lease.fence}
      and l.expires_at > clock_timestamp() + ${right.timeoutMs} * interval '1 millisecond'
    returning i.id::text`.execute(db);
  return found.rows.length === ids.length;
}

/** The body that is about to be put is another one than was announced. */
export async function announceBody(db: Db, id: string, bodyMd5: string): Promise<void> {
  await sql`update intent set body_md5 = ${bodyMd5} where id = ${id}`.execute(db);
}

export async function closeIntents(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await sql`delete from intent where id = any(${ids}::bigint[])`.execute(db);
}

/** Nobody knows what became of the request; it is looked into once `afterMs` have passed. */
export async function leaveIntent(db: Db, id: string, afterMs: number): Promise<void> {
  await sql`
    update intent set settle_at = clock_timestamp() + ${afterMs} * interval '1 millisecond' where id = ${id}`.execute(
    db,
  );
}

/** Intents whose request can have no effect any more. */
export async function intentsToSettle(db: Db, targetId: string): Promise<Intent[]> {
  const found = await sql<Intent>`
    select id::text, meeting_id::text as "meetingId", calendar_id as "calendarId", part, action, href, uid, body_md5 as "bodyMd5"
    from intent where target_id = ${targetId} and settle_at <= clock_timestamp() order by id`.execute(db);
  return found.rows;
}

/** A copy of an object, made by a client in another place: it is deleted, and nobody restores it. */
export const copyPart = 'copy';

/** Among the bodies sent to an object: a deletion of which nobody knows whether it still comes. */
export const lateDeletion = 'deletion';

const keptBodies = 5;
const lastBodies = (before: string, added: string) => sql`
  (select coalesce(jsonb_agg(value order by ordinality), '[]') from (
    select * from jsonb_array_elements(${sql.raw(before)} || ${sql.raw(added)}) with ordinality
    order by ordinality desc limit ${keptBodies}) as last)`;

/**
 * Closes an intent whose outcome was read: with `etag`, something stands there; with null, nothing does, though a late
 * write may still come, as a late deletion may after the former. Either way what stands there counts as unknown, and the
 * meeting is looked at again. False when somebody else has settled it.
 */
export async function recordSettled(db: Db, targetId: string, intent: Intent, etag: string | null): Promise<boolean> {
  const found = await sql<{ id: string }>`
    with closed as (delete from intent where id = ${intent.id} returning id),
    wanted as (
      update meeting set wanted_version = wanted_version + 1, not_before = null,
        wanted_at = case when wanted_version > done_version then wanted_at else now() end
      where id = ${intent.meetingId} and exists (select from closed)),
    stands as (
      insert into object (meeting_id, target_id, calendar_id, part, href, uid, etag, fingerprint, schedule_fingerprint,
        sent_bodies, repairs, written_at)
      select ${intent.meetingId}, ${targetId}, ${intent.calendarId}, ${intent.part}, ${intent.href}, ${intent.uid}, ${etag},
        null, null, ${JSON.stringify([intent.bodyMd5 ?? lateDeletion])}::jsonb, 0, clock_timestamp()
      from closed
      on conflict (target_id, href) do update set etag = excluded.etag, fingerprint = null,
        sent_bodies = ${lastBodies('object.sent_bodies', 'excluded.sent_bodies')})
    select id::text from closed`.execute(db);
  return found.rows.length === 1;
}

/** A deletion took effect: the object is gone, its intent closed, the meeting looked at again. */
export async function recordSettledDeletion(db: Db, targetId: string, intent: Intent): Promise<void> {
  await sql`
    with closed as (delete from intent where id = ${intent.id} returning id),
    wanted as (
      update meeting set wanted_version = wanted_version + 1, not_before = null,
        wanted_at = case when wanted_version > done_version then wanted_at else now() end
      where id = ${intent.meetingId} and exists (select from closed))
    delete from object where target_id = ${targetId} and href = ${intent.href} and exists (select from closed)`.execute(
    db,
  );
}

/** A change of a claim counts once it is written, if it is what made the meeting due. The clocks of sources may be ahead. */
const msSince = (column: string) => sql.raw(`greatest(0, extract(epoch from clock_timestamp() - ${column}) * 1000)`);

/** A request that was made and answered. */
export interface WriteRecord {
  readonly intentId: string;
  readonly action: 'create' | 'update' | 'delete';
  readonly meetingId: string;
  readonly calendarId: string;
  readonly part: string;
  readonly href: string;
  readonly uid: string;
  readonly etag: string | null;
  readonly fingerprint: string | null;
  readonly scheduleFingerprint: string | null;
  readonly bodyMd5: string | null;
  readonly hasClientState: boolean;
  readonly why: string;
  readonly durationMs: number;
}

/** What was wanted of a meeting when it was loaded is there. */
export interface DeliveredRecord {
  readonly meetingId: string;
  readonly wantedVersion: string;
  readonly sequence: number;
  readonly shownClaimId: string | null;
  readonly shownSourceId: string | null;
  readonly shownUntil: string | null;
  readonly why: string;
  readonly anchor: string | null;
}

/**
 * Records requests and what they amount to in one statement: intents closed, objects as they stand, history, meetings
 * done. A write whose intent somebody else has settled meanwhile (we stalled, and lost the lease) is not recorded:
 * false.
 */
export async function recordWork(
  db: Db,
  targetId: string,
  writes: readonly WriteRecord[],
  delivered: readonly DeliveredRecord[],
): Promise<boolean> {
  const found = await sql<{ closed: number }>`
    with w as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(writes)}::jsonb) as r("intentId" bigint, action text,
        "meetingId" bigint, "calendarId" text, part text, href text, uid text, etag text, fingerprint text,
        "scheduleFingerprint" text, "bodyMd5" text, "hasClientState" boolean, why text, "durationMs" int)),
    closed as (delete from intent i using w where i.id = w."intentId" returning i.id),
    stands as (
      insert into object (meeting_id, target_id, calendar_id, part, href, uid, etag, fingerprint, schedule_fingerprint,
        sent_bodies, has_client_state, repairs, written_at)
      select w."meetingId", ${targetId}, w."calendarId", w.part, w.href, w.uid, w.etag, w.fingerprint,
        w."scheduleFingerprint", jsonb_build_array(w."bodyMd5"), w."hasClientState", 0, clock_timestamp()
      from w join closed c on c.id = w."intentId" where w.action <> 'delete'
      on conflict (target_id, href) do update set meeting_id = excluded.meeting_id, calendar_id = excluded.calendar_id,
        part = excluded.part, uid = excluded.uid, etag = excluded.etag, fingerprint = excluded.fingerprint,
        schedule_fingerprint = excluded.schedule_fingerprint, has_client_state = excluded.has_client_state, written_at = excluded.written_at,
        sent_bodies = ${lastBodies('object.sent_bodies', 'excluded.sent_bodies')}),
    gone as (
      delete from object o using w join closed c on c.id = w."intentId"
      where w.action = 'delete' and o.target_id = ${targetId} and o.href = w.href),
    told as (
      insert into sync_history (at, status, action, target_id, meeting_id, uid, href, message, duration_ms)
      select clock_timestamp(), 'ok', w.action, ${targetId}, w."meetingId", w.uid, w.href, w.why, w."durationMs"
      from w join closed c on c.id = w."intentId"),
    d as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(delivered)}::jsonb) as d("meetingId" bigint, "wantedVersion" bigint,
        sequence int, "shownClaimId" bigint, "shownSourceId" text, "shownUntil" timestamptz, why text, anchor text)),
    done as (
      update meeting m set done_version = d."wantedVersion", failures = 0, code = null, reason = null, not_before = null,
        sequence = greatest(m.sequence, d.sequence), shown_claim_id = d."shownClaimId", why = d.why, anchor = d.anchor,
        shown_source_id = d."shownSourceId", shown_until = d."shownUntil",
        is_forgotten = m.is_forgotten and d."shownClaimId" is null
      from d where m.id = d."meetingId" and m.done_version < d."wantedVersion"),
    fresh as (
      insert into freshness (source_id, at, change_ms, told_ms, read_ms)
      select c.source_id, clock_timestamp(), ${msSince('c.last_modified_at')}, ${msSince('c.told_at')}, ${msSince('c.changed_at')}
      from d join meeting m on m.id = d."meetingId" join claim c on c.id = d."shownClaimId"
      where c.is_live and c.changed_at >= m.wanted_at and exists (
        select from w join closed k on k.id = w."intentId" where w."meetingId" = m.id and w.action <> 'delete'))
    select count(*)::int as closed from closed`.execute(db);
  return (found.rows[0]?.closed ?? 0) === writes.length;
}

/** Something else stands at the object's href; it is none of ours any more. */
export async function disownObject(db: Db, targetId: string, href: string): Promise<void> {
  await sql`delete from object where target_id = ${targetId} and href = ${href}`.execute(db);
}
