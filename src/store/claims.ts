import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Series } from '../calendar/series.ts';
import { identityOf } from '../consolidate/identity.ts';
import type { RemovalCount } from '../consolidate/judge-removals.ts';
import type { Db } from './database.ts';
import { createMeetings, moveClaims, settleIdentities } from './identities.ts';
import type { SourceState } from './sources.ts';

/** A claim as it may be stored: filtered and redacted. */
export interface StorableClaim {
  readonly key: string;
  readonly version: string | null;
  readonly uid: string | null;
  readonly slot: string;
  /** Null when a filter or `privateItems: skip` hides it. */
  readonly series: Series | null;
  readonly hiddenBy: string | null;
  readonly detail: 'full' | 'title' | 'busy';
  readonly lastModifiedAt: string | null;
  readonly firstStart: string | null;
  /** Null: endless. */
  readonly lastEnd: string | null;
  readonly check: unknown;
  /** Hashes (`memberHash`) of the ids of its occurrences, by whose removal a change of it may be told. */
  readonly members: readonly string[];
  /** Hash over what shows: series, verdict and detail. */
  readonly content: string;
}

/** Eight bytes of an occurrence's id, as a bigint: enough to recognise it within its source. */
export function memberHash(id: string): string {
  return createHash('sha256').update(id).digest().readBigInt64BE().toString();
}

interface ExistingClaim {
  readonly id: string;
  readonly key: string;
  readonly uid: string | null;
  readonly slot: string;
  readonly content: string;
  readonly meetingId: string | null;
  readonly identity: string | null;
  readonly state: string;
  readonly lastModifiedAt: Date | string | null;
}

/**
 * Stores claims inside the caller's transaction and marks the meetings they change dirty. A claim that says what it
 * said before only gets the new round and its source's time stamp. Returns how many changed.
 */
export async function upsertClaims(
  db: Db,
  state: SourceState,
  claims: readonly StorableClaim[],
  context: {
    readonly round: string;
    readonly instance: string;
    /** How long its changes take until they show is measured: they were read as changes, not by a full reading. */
    readonly isLive?: boolean;
    /** Since when a notification of them waited. */
    readonly toldSince?: string | null;
  },
): Promise<number> {
  if (claims.length === 0) return 0;
  const byKey = new Map(claims.map((claim) => [claim.key, claim]));
  const uids = [...new Set(claims.flatMap((claim) => (claim.uid === null ? [] : [claim.uid])))];
  const existing = await sql<ExistingClaim>`
    select c.id::text, c.key, c.uid, c.slot, c.content, c.meeting_id::text as "meetingId", m.identity, c.state,
      c.last_modified_at as "lastModifiedAt"
    from claim c left join meeting m on m.id = c.meeting_id
    where c.source_id = ${state.id} and (c.key = any(${[...byKey.keys()]}) or c.uid = any(${uids}))
    order by c.id`.execute(db);
  const before = new Map(existing.rows.map((row) => [row.key, row]));

  // The oldest claim of a source with an identity has it; a twin is its own.
  const owners = new Map<string, string>();
  for (const row of existing.rows) {
    const now = byKey.get(row.key);
    const [uid, slot] = now === undefined ? [row.uid, row.slot] : [now.uid, now.slot];
    if (uid !== null && !owners.has(`${uid}|${slot}`)) owners.set(`${uid}|${slot}`, row.key);
  }

  const rows = [...byKey.values()].map((claim) => {
    const twinKey = `${claim.uid ?? ''}|${claim.slot}`;
    if (claim.uid !== null && !owners.has(twinKey)) owners.set(twinKey, claim.key);
    const isTwin = claim.uid !== null && owners.get(twinKey) !== claim.key;
    const identity = identityOf({ ...claim, sourceId: state.id }, state.dedupe, state.calendarId, isTwin);
    const old = before.get(claim.key);
    const isChanged =
      old === undefined ||
      old.content !== claim.content ||
      old.state !== 'shown' ||
      (claim.series === null ? old.meetingId !== null : old.identity !== identity.identity);
    return { claim, identity, old, isChanged };
  });

  await touchUnchanged(db, state, rows, context.round);
  const changed = rows.filter((row) => row.isChanged);
  if (changed.length === 0) return 0;
  await moveClaims(
    db,
    state.targetId,
    changed.flatMap(({ claim, identity, old }) =>
      claim.series === null || old?.meetingId == null || old.identity === identity.identity
        ? []
        : [{ claimId: old.id, identity }],
    ),
  );
  const meetings = changed.filter((row) => row.claim.series !== null).map((row) => row.identity);
  await createMeetings(db, state.targetId, meetings, context.instance);

  const values = changed.map(({ claim, identity }) => ({
    ...claim,
    identity: claim.series === null ? null : identity.identity,
  }));
  await sql`
    insert into claim (source_id, key, version, series, uid, slot, hidden_by, detail, state, round, meeting_id, content,
      last_modified_at, first_start, last_end, "check", members, changed_at, read_at, told_at, is_live)
    select ${state.id}, r.key, r.version, nullif(r.series, 'null'::jsonb), r.uid, r.slot, r."hiddenBy", r.detail, 'shown',
      ${context.round}, m.id, r.content, r."lastModifiedAt", r."firstStart", r."lastEnd", nullif(r."check", 'null'::jsonb),
      r.members, now(), now(), ${context.toldSince ?? null}::timestamptz, ${context.isLive ?? false}
    from jsonb_to_recordset(${JSON.stringify(values)}::jsonb) as r(key text, version text, series jsonb, uid text, slot text,
      "hiddenBy" text, detail text, identity text, content text, "lastModifiedAt" timestamptz, "firstStart" timestamptz,
      "lastEnd" timestamptz, "check" jsonb, members bigint[])
      left join meeting m on m.target_id = ${state.targetId} and m.identity = r.identity
    on conflict (source_id, key) do update set
      version = excluded.version, series = excluded.series, uid = excluded.uid, slot = excluded.slot,
      hidden_by = excluded.hidden_by, detail = excluded.detail, state = 'shown',
      round = greatest(claim.round, excluded.round), meeting_id = excluded.meeting_id, content = excluded.content,
      last_modified_at = excluded.last_modified_at, first_start = excluded.first_start, last_end = excluded.last_end,
      "check" = excluded."check", members = excluded.members, changed_at = now(), read_at = now(),
      told_at = excluded.told_at, is_live = excluded.is_live`.execute(db);
  await endTwins(
    db,
    state.targetId,
    changed.flatMap(({ claim, old }) => (old === undefined || old.uid === claim.uid ? [] : [old])),
  );
  // Held or pending removals of what has come back are no longer wanted.
  await sql`
    update removal set state = 'discarded', decided_at = now()
    where source_id = ${state.id} and state = 'held' and claim_key = any(${changed.map((row) => row.claim.key)})`.execute(
    db,
  );
  await markMeetingsDirty(db, state.targetId, {
    identities: meetings.map((meeting) => meeting.identity),
    ids: changed.flatMap((row) => (row.old?.meetingId == null ? [] : [row.old.meetingId])),
  });
  return changed.length;
}

/** The same content in a new round; a newer time stamp alone may still decide which of several claims shows. */
async function touchUnchanged(
  db: Db,
  state: SourceState,
  rows: readonly { claim: StorableClaim; old: ExistingClaim | undefined; isChanged: boolean }[],
  round: string,
): Promise<void> {
  const unchanged = rows.filter((row) => !row.isChanged);
  if (unchanged.length === 0) return;
  const stamps = unchanged.map(({ claim: { key, version, lastModifiedAt, members } }) => ({
    key,
    version,
    lastModifiedAt,
    members,
  }));
  await sql`
    update claim c set round = greatest(c.round, ${round}), read_at = now(), version = r.version,
      last_modified_at = r."lastModifiedAt", members = r.members
    from jsonb_to_recordset(${JSON.stringify(stamps)}::jsonb) as r(key text, version text, "lastModifiedAt" timestamptz, members bigint[])
    where c.source_id = ${state.id} and c.key = r.key`.execute(db);
  const restamped = unchanged.flatMap(({ claim, old }) =>
    old?.meetingId != null && msOf(old.lastModifiedAt) !== msOf(claim.lastModifiedAt) ? [old.meetingId] : [],
  );
  if (restamped.length === 0) return;
  const contested = await sql<{ id: string }>`
    select meeting_id::text as id from claim where meeting_id = any(${restamped}::bigint[])
    group by meeting_id having count(*) > 1`.execute(db);
  if (contested.rows.length > 0)
    await markMeetingsDirty(db, state.targetId, { identities: [], ids: contested.rows.map(({ id }) => id) });
}

function msOf(at: Date | string | null): number | null {
  return at === null ? null : new Date(at).getTime();
}

/** Raises the wanted version of these meetings and of those of the same series (orphans are covered by it or not). */
export async function markMeetingsDirty(
  db: Db,
  targetId: string,
  which: { identities: readonly string[]; ids: readonly string[] },
): Promise<void> {
  await sql`
    with direct as (
      select id, identity_uid from meeting
      where target_id = ${targetId} and (identity = any(${which.identities}) or id = any(${which.ids}::bigint[])))
    update meeting m set wanted_version = m.wanted_version + 1, not_before = null,
      wanted_at = case when m.wanted_version > m.done_version then m.wanted_at else now() end
    where m.id in (
      select id from direct
      union
      select o.id from meeting o join direct d on o.target_id = ${targetId} and o.identity_uid = d.identity_uid)`.execute(
    db,
  );
}

/** The source confirmed that it does not have this any more: pending, still shown, until the guard has judged. */
export async function markPending(db: Db, state: SourceState, key: string): Promise<boolean> {
  const found = await sql<{ id: string }>`
    update claim set state = 'pending', changed_at = now()
    where source_id = ${state.id} and key = ${key} and state = 'shown' returning id`.execute(db);
  return found.rows.length > 0;
}

/** It is there, outside or inside the window: seen in this round, and not to be removed. */
export async function markSeen(db: Db, state: SourceState, key: string, round: string): Promise<void> {
  await sql`
    update claim set round = greatest(round, ${round}), read_at = now(), state = 'shown'
    where source_id = ${state.id} and key = ${key}`.execute(db);
}

/** What the guard judges by. What has grown too old to be asked for is out of the source's reach and not counted. */
export async function countRemovals(db: Db, sourceId: string): Promise<RemovalCount> {
  const found = await sql<{ [K in keyof RemovalCount]: string }>`
    with reach as (select max(window_from) as since from stream where source_id = ${sourceId}),
    c as (
      select state, last_end is null or last_end > now() as is_upcoming from claim, reach
      where source_id = ${sourceId} and series is not null
        and (state <> 'shown' or since is null or last_end is null or last_end > since)),
    r as (
      select is_upcoming from removal
      where source_id = ${sourceId} and state = 'done' and at > now() - interval '24 hours')
    select (select count(*) from c) as shown,
      (select count(*) from c where is_upcoming) as upcoming,
      (select count(*) from c where state <> 'shown') as pending,
      (select count(*) from c where state <> 'shown' and is_upcoming) as "pendingUpcoming",
      (select count(*) from r) as done,
      (select count(*) from r where is_upcoming) as "doneUpcoming"`.execute(db);
  const row = found.rows[0];
  const count = (name: keyof RemovalCount): number => Number(row?.[name] ?? 0);
  return {
    shown: count('shown'),
    upcoming: count('upcoming'),
    pending: count('pending'),
    pendingUpcoming: count('pendingUpcoming'),
    done: count('done'),
    doneUpcoming: count('doneUpcoming'),
  };
}

export async function hasPending(db: Db, sourceId: string): Promise<boolean> {
  const found = await sql<{ yes: boolean }>`
    select exists (select from claim where source_id = ${sourceId} and state = 'pending') as yes`.execute(db);
  return found.rows[0]?.yes ?? false;
}

/**
 * Carries out the removal of claims: they go, and their meetings are dirty. Of the pending ones a record is kept, for the
 * guard counts 24 hours; those held were approved by the operator. Returns how many.
 */
export async function removeClaims(
  db: Db,
  source: { readonly id: string; readonly targetId: string },
  state: 'pending' | 'held',
): Promise<number> {
  const gone = await sql<{ key: string; uid: string | null; meetingId: string | null; isUpcoming: boolean }>`
    delete from claim where source_id = ${source.id} and state = ${state}
    returning key, uid, meeting_id::text as "meetingId", (last_end is null or last_end > now()) as "isUpcoming"`.execute(
    db,
  );
  if (state === 'held')
    await sql`
      update removal set state = 'approved', decided_at = now()
      where source_id = ${source.id} and state = 'held'`.execute(db);
  else if (gone.rows.length > 0)
    await sql`
      insert into removal (source_id, claim_key, is_upcoming, state, reason, at)
      select ${source.id}, r.key, r."isUpcoming", 'done', 'gone from the source', now()
      from jsonb_to_recordset(${JSON.stringify(gone.rows)}::jsonb) as r(key text, "isUpcoming" boolean)`.execute(db);
  await markDirtyOf(db, source.targetId, gone.rows);
  await endTwins(db, source.targetId, gone.rows);
  return gone.rows.length;
}

/** A copy that was its source's second of a meeting joins the meeting when the first has gone. */
async function endTwins(db: Db, targetId: string, gone: readonly { readonly uid: string | null }[]): Promise<void> {
  const uids = gone.flatMap(({ uid }) => (uid === null ? [] : [uid]));
  if (uids.length > 0) await settleIdentities(db, targetId, uids);
}

/** Pending claims that a filter hides show nowhere: they just go, and no guard counts them. */
export async function removeHidden(db: Db, sourceId: string): Promise<void> {
  await sql`delete from claim where source_id = ${sourceId} and state = 'pending' and series is null`.execute(db);
}

/** Claims that have ended before `instant` go: the source is one that does not keep its past. Returns how many. */
export async function removeAged(
  db: Db,
  source: { readonly id: string; readonly targetId: string },
  instant: string,
): Promise<number> {
  const gone = await sql<{ uid: string | null; meetingId: string | null }>`
    delete from claim where source_id = ${source.id} and last_end <= ${instant}::timestamptz
    returning uid, meeting_id::text as "meetingId"`.execute(db);
  await markDirtyOf(db, source.targetId, gone.rows);
  await endTwins(db, source.targetId, gone.rows);
  return gone.rows.length;
}

function markDirtyOf(db: Db, targetId: string, gone: readonly { readonly meetingId: string | null }[]): Promise<void> {
  const ids = gone.flatMap((row) => (row.meetingId === null ? [] : [row.meetingId]));
  return markMeetingsDirty(db, targetId, { identities: [], ids });
}

/** Holds what is pending, for the operator to decide. Returns how many were newly held. */
export async function holdPending(db: Db, sourceId: string, reason: string): Promise<number> {
  const held = await sql<{ key: string }>`
    with held as (update claim set state = 'held' where source_id = ${sourceId} and state = 'pending'
      returning key, (last_end is null or last_end > now()) as is_upcoming)
    insert into removal (source_id, claim_key, is_upcoming, state, reason, at)
    select ${sourceId}, key, is_upcoming, 'held', ${reason}, now() from held returning claim_key as key`.execute(db);
  return held.rows.length;
}

/** Forgets the held removals: the claims show on, and a full reading is ordered. */
export async function discardHeld(db: Db, sourceId: string): Promise<number> {
  const back = await sql<{ key: string }>`
    update claim set state = 'shown' where source_id = ${sourceId} and state in ('held', 'pending') returning key`.execute(
    db,
  );
  await sql`update removal set state = 'discarded', decided_at = now() where source_id = ${sourceId} and state = 'held'`.execute(
    db,
  );
  await sql`update source set is_full_wanted = true, wanted_version = wanted_version + 1 where id = ${sourceId}`.execute(
    db,
  );
  return back.rows.length;
}

export interface HeldRemoval {
  readonly source: string;
  readonly count: number;
  readonly upcoming: number;
  readonly since: string;
  readonly reason: string;
}

export async function heldRemovals(db: Db): Promise<HeldRemoval[]> {
  const found = await sql<{ source: string; count: string; upcoming: string; since: string; reason: string }>`
    select source_id as source, count(*) as count, count(*) filter (where is_upcoming) as upcoming,
      to_char(min(at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since,
      (array_agg(reason order by at desc))[1] as reason
    from removal where state = 'held' group by source_id order by source_id`.execute(db);
  return found.rows.map((row) => ({ ...row, count: Number(row.count), upcoming: Number(row.upcoming) }));
}

/** How many series of each source are stored, and how many are left out of what it shows. */
export async function countClaims(
  db: Db,
): Promise<ReadonlyMap<string, { readonly stored: number; readonly hidden: number }>> {
  const found = await sql<{ source: string; stored: number; hidden: number }>`
    select source_id as source, count(*) filter (where series is not null)::int as stored,
      count(*) filter (where series is null)::int as hidden
    from claim group by source_id`.execute(db);
  return new Map(found.rows.map(({ source, ...counts }) => [source, counts]));
}

/** Where a claim stands: what became of it in its target. */
export interface ClaimPlace {
  readonly key: string;
  readonly uid: string | null;
  readonly state: 'shown' | 'pending' | 'held';
  readonly hiddenBy: string | null;
  readonly meetingId: string | null;
  /** The source whose claim the meeting shows; null while nothing is delivered, or where another meeting covers it. */
  readonly shownBy: string | null;
  readonly why: string | null;
}

export async function claimPlaces(db: Db, sourceId: string): Promise<ClaimPlace[]> {
  const found = await sql<ClaimPlace>`
    select c.key, c.uid, c.state, c.hidden_by as "hiddenBy", c.meeting_id::text as "meetingId", m.why,
      (select w.source_id from claim w where w.id = m.shown_claim_id) as "shownBy"
    from claim c left join meeting m on m.id = c.meeting_id where c.source_id = ${sourceId}`.execute(db);
  return found.rows;
}

/** The resources of a source's meetings. */
export async function objectsOfSource(
  db: Db,
  sourceId: string,
): Promise<{ meetingId: string; calendarId: string; href: string }[]> {
  const found = await sql<{ meetingId: string; calendarId: string; href: string }>`
    select o.meeting_id::text as "meetingId", o.calendar_id as "calendarId", o.href from object o
    where o.meeting_id in (select c.meeting_id from claim c where c.source_id = ${sourceId})`.execute(db);
  return found.rows;
}
