import { sql } from 'kysely';
import { conflictsOfMeetings, type ConflictRecord } from './conflicts.ts';
import type { Db } from './database.ts';

/** What one source says of the series, and what became of it. */
export interface ClaimStory {
  readonly source: string;
  /** The source's own id of it. */
  readonly key: string;
  readonly uid: string | null;
  /** `*`: a single event or a whole series; else the one date that the source has of it. */
  readonly slot: string;
  /** As much of it as privacy lets through. */
  readonly title: string | null;
  readonly start: string | null;
  readonly detail: 'full' | 'title' | 'busy';
  /** The filter or rule that leaves it out; null: it may show. */
  readonly hiddenBy: string | null;
  /** `pending`: gone from the source, the guard has not judged yet; `held`: by the guard. */
  readonly state: 'shown' | 'pending' | 'held';
  readonly isShown: boolean;
  /** How the series was proven to be what the source shows: `rule`, `zone`, `shifted` or `list`; null: not a series. */
  readonly checkMode: string | null;
  /** What was tried instead, and why. */
  readonly checkDetail: string | null;
  readonly lastModifiedAt: string | null;
  readonly changedAt: string;
  readonly readAt: string;
}

/** A series that a source could not be asked for yet. */
export interface StaleStory {
  readonly source: string;
  readonly key: string;
  readonly why: string;
  readonly failures: number;
  readonly code: string | null;
  readonly reason: string | null;
  readonly nextTryAt: string | null;
}

export interface ObjectStory {
  readonly calendar: string;
  readonly part: string;
  readonly href: string;
  readonly etag: string | null;
  readonly writtenAt: string;
  readonly repairs: number;
}

export interface WriteStory {
  readonly at: string;
  readonly status: 'ok' | 'error';
  readonly action: string;
  readonly href: string | null;
  readonly httpStatus: number | null;
  readonly code: string | null;
  readonly message: string | null;
  readonly durationMs: number | null;
}

/** A meeting of a target with everything that is known of it; without one, what is left out of the target. */
export interface Story {
  readonly target: string | null;
  readonly uid: string | null;
  readonly slot: string;
  readonly sequence: number;
  /** `hidden`: a filter or rule leaves every copy out; `waiting`: the target does not show the newest yet. */
  readonly state: 'shown' | 'covered' | 'hidden' | 'gone' | 'waiting' | 'failing';
  readonly shownBy: string | null;
  readonly pinnedTo: string | null;
  /** What was chosen last, and why. */
  readonly why: string | null;
  readonly failures: number;
  readonly code: string | null;
  readonly reason: string | null;
  readonly nextTryAt: string | null;
  readonly claims: readonly ClaimStory[];
  readonly stale: readonly StaleStory[];
  readonly conflicts: readonly ConflictRecord[];
  readonly objects: readonly ObjectStory[];
  /** Newest first. */
  readonly writes: readonly WriteStory[];
}

const most = 20;
const writesTold = 50;

const instant = (column: string) => sql.raw(`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`);

/**
 * The whole story of each series that `query` names: by the UID that the target shows, the source's iCalUId, the
 * source's own id, the path of the object, or a part of the title. At most 20.
 */
export async function explainSeries(db: Db, query: string): Promise<Story[]> {
  const text = query.trim();
  if (text === '') return [];
  const { meetingIds, claimIds } = await find(db, text);
  const meetings = await readMeetings(db, meetingIds);
  const claims = await readClaims(db, meetingIds, claimIds);
  const conflicts = await conflictsOfMeetings(db, meetingIds);
  const objects = await readObjects(db, meetingIds);
  const writes = await readWrites(db, meetingIds);
  const stale = await readStale(db, text, claims);

  const stories = meetings.map((meeting): Story => {
    const own = claims.filter(
      (claim) =>
        claim.meetingId === meeting.id ||
        (claim.meetingId === null &&
          claim.target === meeting.target &&
          claim.uid !== null &&
          claim.uid === meeting.identityUid &&
          claim.slot === meeting.slot),
    );
    return {
      ...withoutIds(meeting),
      state: stateOf(meeting, own),
      claims: own.map(withoutPlace),
      stale: stale.filter((one) => own.some((claim) => claim.source === one.source && claim.key === one.key)),
      conflicts: conflicts.filter((one) => one.meetingId === meeting.id).map(({ meetingId: _, ...one }) => one),
      objects: objects.filter((one) => one.meetingId === meeting.id).map(({ meetingId: _, ...one }) => one),
      writes: writes.filter((one) => one.meetingId === meeting.id).map(({ meetingId: _, ...one }) => one),
    };
  });
  const told = new Set(stories.flatMap((story) => story.claims.map(({ source, key }) => `${source} ${key}`)));
  const alone = claims.filter(({ source, key }) => !told.has(`${source} ${key}`));
  const names = new Set([...told, ...alone.map(({ source, key }) => `${source} ${key}`)]);
  return [
    ...stories,
    ...alone.map((claim) =>
      leftOut(
        claim.target,
        [withoutPlace(claim)],
        stale.filter((one) => isOf(one, claim)),
      ),
    ),
    ...stale.filter((one) => !names.has(`${one.source} ${one.key}`)).map((one) => leftOut(null, [], [one])),
  ];
}

function isOf(one: StaleStory, { source, key }: ClaimStory): boolean {
  return one.source === source && one.key === key;
}

function leftOut(target: string | null, claims: ClaimStory[], stale: StaleStory[]): Story {
  return {
    target,
    uid: null,
    slot: claims[0]?.slot ?? '*',
    sequence: 0,
    state: claims.length === 0 ? 'waiting' : 'hidden',
    shownBy: null,
    pinnedTo: null,
    why: null,
    failures: 0,
    code: null,
    reason: null,
    nextTryAt: null,
    claims,
    stale,
    conflicts: [],
    objects: [],
    writes: [],
  };
}

interface MeetingFound extends Omit<Story, 'state' | 'claims' | 'stale' | 'conflicts' | 'objects' | 'writes'> {
  readonly id: string;
  readonly identityUid: string | null;
  readonly isDue: boolean;
  readonly hasObjects: boolean;
}

function withoutIds({ id: _id, identityUid: _uid, isDue: _due, hasObjects: _has, ...meeting }: MeetingFound) {
  return meeting;
}

function stateOf(meeting: MeetingFound, claims: readonly ClaimStory[]): Story['state'] {
  if (meeting.code !== null) return 'failing';
  if (meeting.isDue) return 'waiting';
  if (meeting.hasObjects) return 'shown';
  if (claims.some(({ hiddenBy }) => hiddenBy === null)) return 'covered';
  return claims.length > 0 ? 'hidden' : 'gone';
}

async function find(db: Db, text: string): Promise<{ meetingIds: string[]; claimIds: string[] }> {
  type Found = { readonly claimId: string | null; readonly meetingId: string | null };
  const named = await sql<Found>`
    select id::text as "claimId", meeting_id::text as "meetingId" from claim
      where source_id in (select id from source) and key = ${text}
    union select id::text, meeting_id::text from claim where uid = ${text}
    union select null, id::text from meeting where uid = ${text}
    union select null, id::text from meeting where target_id in (select id from target) and identity_uid = ${text}
    union select null, meeting_id::text from object where uid = ${text}
    union select null, meeting_id::text from object where target_id in (select id from target) and href = ${text}
    union select null, meeting_id::text from trash where meeting_id is not null and (uid = ${text} or href = ${text})
    limit ${most}`.execute(db);
  // Titles have no index: they are looked through only for what is no name.
  const found =
    named.rows.length > 0
      ? named
      : await sql<Found>`
          select id::text as "claimId", meeting_id::text as "meetingId" from claim
          where strpos(lower(series->'main'->>'summary'), lower(${text})) > 0 limit ${most}`.execute(db);
  const ids = (name: 'claimId' | 'meetingId'): string[] => [
    ...new Set(found.rows.flatMap((row) => (row[name] === null ? [] : [row[name]]))),
  ];
  return { meetingIds: ids('meetingId'), claimIds: ids('claimId') };
}

async function readMeetings(db: Db, ids: readonly string[]): Promise<MeetingFound[]> {
  const found = await sql<MeetingFound>`
    select m.id::text, m.target_id as target, m.identity_uid as "identityUid", m.uid, m.slot, m.sequence,
      m.shown_source_id as "shownBy", m.pinned_source_id as "pinnedTo", m.why, m.failures, m.code, m.reason,
      ${instant('m.not_before')} as "nextTryAt", m.wanted_version > m.done_version as "isDue",
      exists (select from object o where o.meeting_id = m.id) as "hasObjects"
    from meeting m where m.id = any(${ids}::bigint[]) order by m.id`.execute(db);
  return found.rows;
}

type ClaimFound = ClaimStory & { readonly meetingId: string | null; readonly target: string | null };

async function readClaims(db: Db, meetingIds: readonly string[], claimIds: readonly string[]): Promise<ClaimFound[]> {
  const found = await sql<ClaimFound>`
    select c.meeting_id::text as "meetingId", s.target_id as target, c.source_id as source, c.key, c.uid, c.slot,
      c.series->'main'->>'summary' as title, ${instant('c.first_start')} as start, c.detail, c.hidden_by as "hiddenBy",
      c.state, c.id is not distinct from m.shown_claim_id as "isShown", c."check"->>'mode' as "checkMode", c."check"->>'detail' as "checkDetail",
      ${instant('c.last_modified_at')} as "lastModifiedAt", ${instant('c.changed_at')} as "changedAt",
      ${instant('c.read_at')} as "readAt"
    from claim c left join source s on s.id = c.source_id left join meeting m on m.id = c.meeting_id
    where c.id = any(${claimIds}::bigint[]) or c.meeting_id = any(${meetingIds}::bigint[])
      or (c.meeting_id is null and c.uid in (
        select w.uid from claim w where w.meeting_id = any(${meetingIds}::bigint[]) and w.uid is not null))
    order by s.position, c.id`.execute(db);
  return found.rows;
}

function withoutPlace({ meetingId: _meeting, target: _target, ...claim }: ClaimFound): ClaimStory {
  return claim;
}

async function readObjects(db: Db, ids: readonly string[]): Promise<(ObjectStory & { meetingId: string })[]> {
  const found = await sql<ObjectStory & { meetingId: string }>`
    select meeting_id::text as "meetingId", calendar_id as calendar, part, href, etag,
      ${instant('written_at')} as "writtenAt", repairs
    from object where meeting_id = any(${ids}::bigint[]) order by id`.execute(db);
  return found.rows;
}

async function readWrites(db: Db, ids: readonly string[]): Promise<(WriteStory & { meetingId: string })[]> {
  const found = await sql<WriteStory & { meetingId: string }>`
    select h.meeting_id::text as "meetingId", ${instant('h.at')} as at, h.status, h.action, h.href,
      h.http_status as "httpStatus", h.code, h.message, h.duration_ms as "durationMs"
    from unnest(${ids}::bigint[]) as m(id) cross join lateral (
      select * from sync_history where meeting_id = m.id order by at desc, id desc limit ${writesTold}) h
    order by h.at desc, h.id desc`.execute(db);
  return found.rows;
}

async function readStale(db: Db, text: string, claims: readonly ClaimStory[]): Promise<StaleStory[]> {
  const found = await sql<StaleStory>`
    select source_id as source, key, why, failures, code, reason, ${instant('not_before')} as "nextTryAt"
    from stale_series where key = any(${[text, ...claims.map(({ key }) => key)]})
    order by source_id, key`.execute(db);
  return found.rows;
}
