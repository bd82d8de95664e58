import { sql, type RawBuilder } from 'kysely';
import type { Series } from '../calendar/series.ts';
import type { SourceConfig } from '../config/model.ts';
import type { KnownObject } from '../consolidate/plan-meeting.ts';
import type { Db } from './database.ts';

/** What delivery must know of a claim's source. */
export type ClaimSettings = Pick<SourceConfig, 'titleTag' | 'reminders' | 'priority' | 'window'>;

/** A claim on a meeting, with what delivery must know of its source. */
export interface MeetingClaim {
  readonly id: string;
  readonly sourceId: string;
  readonly calendarId: string;
  readonly position: number;
  readonly settings: ClaimSettings;
  readonly series: Series;
  readonly detail: 'full' | 'title' | 'busy';
  readonly lastModifiedAt: string | null;
  /** Null: endless. */
  readonly lastEnd: string | null;
  /** The operator took it out of the trash: which object of the meeting it is. Null for a source's claim. */
  readonly restored: { readonly part: string; readonly uid: string } | null;
}

export interface MeetingObject extends KnownObject {
  readonly scheduleFingerprint: string | null;
  /** md5 of bodies that we sent, newest last. */
  readonly sentBodies: readonly string[];
  /** Clients keep something of their own in it. */
  readonly hasClientState: boolean;
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
  /** Of the last failure. */
  readonly code: string | null;
  /** Instant since when the change has been waiting. */
  readonly wantedAt: string;
  /** Whose words show now; null: nobody's. */
  readonly shownSourceId: string | null;
  /** Whether what shows is not over yet. */
  readonly isUpcoming: boolean;
  /** Another meeting has taken over what it showed. */
  readonly isMerged: boolean;
  /** Its tenant was forgotten: what stands there goes at once, and nothing of it is kept. */
  readonly isForgotten: boolean;
  /** What became of the copy that shows; null: it may show. */
  readonly lostBecause: string | null;
  /** Its copies disagreed when it was last looked at. */
  readonly hasConflicts: boolean;
  readonly claims: readonly MeetingClaim[];
  /** For an orphan: the claims of the whole series of the same uid in this target; what shows of it may cover it. */
  readonly covers: readonly MeetingClaim[];
  /** Of the operator, for that series. */
  readonly coverPinnedSourceId: string | null;
  readonly objects: readonly MeetingObject[];
}

/** What claims have for a source that the operator took out of the trash. It is no source: nobody reads it. */
export const operatorSourceId = (targetId: string): string => `operator:${targetId}`;

/** What claims that say how a source fares have before the source's id: they go where the source goes. */
export const statusSourcePrefix = 'status:';

/** A restored claim shows as it was, after every source's. */
const restoredSettings: ClaimSettings & { readonly position: number } = {
  titleTag: '',
  reminders: 'source',
  priority: Number.MAX_SAFE_INTEGER,
  window: { pastDays: 36_500, futureDays: 36_500 },
  position: Number.MAX_SAFE_INTEGER,
};

type ClaimRecord = Omit<MeetingClaim, 'restored' | 'calendarId' | 'position' | 'settings'> & {
  readonly calendarId: string | null;
  readonly position: number | null;
  readonly settings: ClaimSettings | null;
  readonly restored: { readonly part: string; readonly uid: string; readonly calendarId: string } | null;
};

/**
 * Meetings of a target whose wanted version is ahead and that may be tried now, the longest waiting first; with `after`
 * those behind that one. None whose last request has an unknown outcome.
 */
export async function dueMeetings(
  db: Db,
  targetId: string,
  limit: number,
  after: Pick<DueMeeting, 'wantedAt' | 'id'> | null = null,
): Promise<DueMeeting[]> {
  return load(db, targetId, behind(after), sql`limit ${limit}`);
}

/** The same for these meetings, those of them that are still due. */
export async function dueMeetingsOf(db: Db, targetId: string, ids: readonly string[]): Promise<DueMeeting[]> {
  return load(db, targetId, sql`m.id = any(${ids}::bigint[])`, sql``);
}

/** All whose wanted version is ahead, whether they may be tried now or not: for telling what would be done. */
export async function waitingMeetings(
  db: Db,
  targetId: string,
  limit: number,
  after: Pick<DueMeeting, 'wantedAt' | 'id'> | null = null,
): Promise<DueMeeting[]> {
  return load(db, targetId, behind(after), sql`limit ${limit}`, sql`true`);
}

function behind(after: Pick<DueMeeting, 'wantedAt' | 'id'> | null): RawBuilder<unknown> {
  return after === null ? sql`true` : sql`(m.wanted_at, m.id) > (${after.wantedAt}::timestamptz, ${after.id}::bigint)`;
}

const mayBeTried = sql`(m.not_before is null or m.not_before <= now())
  and not exists (select from intent i where i.meeting_id = m.id)`;

async function load(
  db: Db,
  targetId: string,
  which: RawBuilder<unknown>,
  limit: RawBuilder<unknown>,
  when: RawBuilder<unknown> = mayBeTried,
): Promise<DueMeeting[]> {
  const found = await sql<Omit<DueMeeting, 'claims' | 'covers'> & { claims: ClaimRecord[]; covers: ClaimRecord[] }>`
    with due as (
      select m.* from meeting m
      where m.target_id = ${targetId} and m.wanted_version > m.done_version and ${which}
        and ${when}
      order by m.wanted_at, m.id ${limit})
    select d.id::text, d.uid, d.slot, d.sequence, d.anchor, d.pinned_source_id as "pinnedSourceId",
      d.wanted_version::text as "wantedVersion", d.failures, d.code,
      to_char(d.wanted_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "wantedAt",
      d.shown_source_id as "shownSourceId", (d.shown_until is null or d.shown_until > now()) as "isUpcoming",
      starts_with(d.identity, 'merged|') as "isMerged", d.is_forgotten as "isForgotten", ${lostBecause} as "lostBecause",
      exists (select from conflict x where x.meeting_id = d.id and x.closed_at is null) as "hasConflicts",
      ${claimsOf(sql`c.meeting_id = d.id`, targetId)} as claims,
      case when w.id is null then '[]' else ${claimsOf(sql`c.meeting_id = w.id`, targetId)} end as covers,
      w.pinned_source_id as "coverPinnedSourceId",
      coalesce((select jsonb_agg(jsonb_build_object('id', o.id::text, 'part', o.part, 'uid', o.uid,
          'calendarId', o.calendar_id, 'href', o.href, 'etag', o.etag, 'fingerprint', o.fingerprint,
          'scheduleFingerprint', o.schedule_fingerprint, 'sentBodies', o.sent_bodies, 'hasClientState', o.has_client_state) order by o.id)
        from object o where o.meeting_id = d.id), '[]') as objects
    from due d left join meeting w on d.slot <> '*' and d.identity_uid is not null and w.target_id = d.target_id
      and w.identity_uid = d.identity_uid and w.slot = '*'
    order by d.wanted_at, d.id`.execute(db);
  return found.rows.map((row) => ({
    ...row,
    claims: row.claims.flatMap(toClaim),
    covers: row.covers.flatMap(toClaim),
  }));
}

/** In words, for the reason of a deletion. */
const lostBecause = sql.raw(`
  case when d.shown_source_id is null or starts_with(d.shown_source_id, 'operator:') then null
    when not exists (select from source x where x.id = d.shown_source_id) then d.shown_source_id || ' is no source any more'
    when not exists (select from source x where x.id = d.shown_source_id and x.target_id = d.target_id)
      then d.shown_source_id || ' goes into another target'
    else (select case when k.hidden_by = 'privateItems' then k.source_id || ' shows no private items'
        when k.hidden_by is not null then k.source_id || ' leaves it out by the filter ' || k.hidden_by end
      from (select d.shown_claim_id as id) w left join claim k on k.id = w.id) end`);

const claimsOf = (which: RawBuilder<unknown>, targetId: string) => sql`
  coalesce((select jsonb_agg(jsonb_build_object('id', c.id::text, 'sourceId', c.source_id, 'calendarId', s.calendar_id,
      'position', s.position, 'settings', s.settings, 'series', c.series, 'detail', c.detail,
      'lastModifiedAt', c.last_modified_at, 'lastEnd', c.last_end,
      'restored', case when s.id is null then (
        select jsonb_build_object('part', t.part, 'uid', t.uid, 'calendarId', t.calendar_id) from trash t
        where t.id = case when c.key ~ '^[0-9]{1,18}$' then c.key::bigint end) end) order by s.position, c.id)
    from claim c left join source s on s.id = case when starts_with(c.source_id, ${statusSourcePrefix})
        then substr(c.source_id, ${statusSourcePrefix.length + 1}::int) else c.source_id end
    where ${which} and c.series is not null and (s.yields_to is null or starts_with(c.source_id, ${statusSourcePrefix})) and (s.id is not null or c.source_id = ${operatorSourceId(targetId)})), '[]')`;

function toClaim(record: ClaimRecord): MeetingClaim[] {
  const { restored, calendarId, position, settings, ...claim } = record;
  if (calendarId !== null && position !== null && settings !== null)
    return [{ ...claim, calendarId, position, settings, restored: null }];
  if (restored === null) return [];
  const { position: last, ...shown } = restoredSettings;
  return [{ ...claim, calendarId: restored.calendarId, position: last, settings: shown, restored }];
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

/** Puts meetings off together: what stands in their way is none of their making. */
export async function postponeMeetings(
  db: Db,
  ids: readonly string[],
  why: { code: string; reason: string; afterMs: number },
): Promise<void> {
  await sql`
    update meeting set code = ${why.code}, reason = ${why.reason},
      not_before = now() + ${why.afterMs} * interval '1 millisecond'
    where id = any(${ids}::bigint[])`.execute(db);
}

/** Before a write is tried: whatever becomes of it, a later one must not say a smaller SEQUENCE. */
export async function raiseSequences(
  db: Db,
  meetings: readonly { readonly id: string; readonly sequence: number }[],
): Promise<void> {
  if (meetings.length === 0) return;
  await sql`
    update meeting m set sequence = greatest(m.sequence, r.sequence)
    from jsonb_to_recordset(${JSON.stringify(meetings)}::jsonb) as r(id bigint, sequence int) where m.id = r.id`.execute(
    db,
  );
}

/** Marks meetings to be looked at again. */
export async function wantMeetings(db: Db, ids: readonly string[]): Promise<void> {
  await sql`
    update meeting set wanted_version = wanted_version + 1, not_before = null,
      wanted_at = case when wanted_version > done_version then wanted_at else now() end
    where id = any(${ids}::bigint[])`.execute(db);
}
