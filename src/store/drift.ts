import { sql } from 'kysely';
import type { Db } from './database.ts';
import { lateDeletion } from './objects.ts';

/** An object of ours as comparing it with the server needs it. */
export interface StandingObject {
  readonly meetingId: string;
  readonly part: string;
  readonly href: string;
  readonly uid: string;
  readonly etag: string | null;
  readonly fingerprint: string | null;
  readonly sentBodies: readonly string[];
  /** Repairs in the 24 hours before the last one. */
  readonly repairs: number;
  readonly repairedMsAgo: number | null;
  /** A request for it has an unknown outcome; settling that comes first. */
  readonly isUnsettled: boolean;
}

/** Our objects in a calendar; with `hrefs` only those. */
export async function standingObjects(
  db: Db,
  targetId: string,
  calendarId: string,
  hrefs: readonly string[] | null,
): Promise<StandingObject[]> {
  const which = hrefs === null ? sql`true` : sql`o.href = any(${hrefs})`;
  const found = await sql<StandingObject>`
    select o.meeting_id::text as "meetingId", o.part, o.href, o.uid, o.etag, o.fingerprint, o.sent_bodies as "sentBodies", o.repairs,
      (extract(epoch from clock_timestamp() - o.repaired_at) * 1000)::float8 as "repairedMsAgo",
      exists (select from intent i where i.meeting_id = o.meeting_id and i.href = o.href) as "isUnsettled"
    from object o where o.target_id = ${targetId} and o.calendar_id = ${calendarId} and ${which} order by o.href`.execute(
    db,
  );
  return found.rows;
}

/** Meetings of the target by UID, with what we sent to their objects: md5 of the bodies, and fingerprints. */
export async function meetingsOfUids(
  db: Db,
  targetId: string,
  uids: readonly string[],
): Promise<Map<string, { readonly meetingId: string; readonly sent: readonly string[] }>> {
  if (uids.length === 0) return new Map();
  const found = await sql<{ uid: string; meetingId: string; sent: string[] }>`
    select m.uid, m.id::text as "meetingId",
      coalesce((select jsonb_agg(b) from object o,
        jsonb_array_elements_text(o.sent_bodies || coalesce(to_jsonb(o.fingerprint), '[]')) b
        where o.meeting_id = m.id), '[]') as sent
    from meeting m where m.target_id = ${targetId} and m.uid = any(${uids})`.execute(db);
  return new Map(found.rows.map(({ uid, ...rest }) => [uid, rest]));
}

/** What comparing found of an object. `isKnown`: what stands there is as it should be, or is to stay. */
export interface StandingChange {
  readonly href: string;
  readonly etag: string | null;
  readonly isKnown: boolean;
  readonly isRepair: boolean;
  /** Clients keep something of their own in it; null: as before. */
  readonly hasClientState: boolean | null;
}

/**
 * Records what stands there; what is not known to be ours is written again at the next delivery. What is gone may stand
 * in another place, and is known there by its fingerprint.
 */
export async function recordStanding(db: Db, targetId: string, changes: readonly StandingChange[]): Promise<void> {
  if (changes.length === 0) return;
  await sql`
    update object o set etag = r.etag,
      sent_bodies = case when r.etag is not null then o.sent_bodies
        else o.sent_bodies - ${lateDeletion}::text - coalesce(o.fingerprint, '') || coalesce(to_jsonb(o.fingerprint), '[]') end,
      has_client_state = coalesce(r."hasClientState", o.has_client_state),
      fingerprint = case when r."isKnown" then o.fingerprint end,
      repairs = case when not r."isRepair" then o.repairs
        when o.repaired_at > now() - interval '24 hours' then o.repairs + 1 else 1 end,
      repaired_at = case when r."isRepair" then clock_timestamp() else o.repaired_at end
    from jsonb_to_recordset(${JSON.stringify(changes)}::jsonb) as r(href text, etag text, "isKnown" boolean, "isRepair" boolean,
      "hasClientState" boolean)
    where o.target_id = ${targetId} and o.href = r.href`.execute(db);
}

/** A resource that bears one of our UIDs and of which we had no record. */
export interface FoundObject {
  readonly meetingId: string;
  /** Of none of the parts that are rendered, where delivery is to see it as surplus. */
  readonly part: string;
  readonly href: string;
  readonly uid: string;
  readonly etag: string | null;
}

/** Makes what was found an object of its meeting: delivery writes it again, or deletes it. */
export async function adoptObject(db: Db, targetId: string, calendarId: string, found: FoundObject): Promise<void> {
  await sql`
    insert into object (meeting_id, target_id, calendar_id, part, href, uid, etag, sent_bodies, repairs, written_at)
    values (${found.meetingId}, ${targetId}, ${calendarId}, ${found.part}, ${found.href}, ${found.uid}, ${found.etag}, '[]', 0,
      clock_timestamp())
    on conflict (target_id, href) do nothing`.execute(db);
}
