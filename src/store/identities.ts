import { sql } from 'kysely';
import { clockSkewMs } from '../consolidate/choose-claim.ts';
import { identityOf, mintUid, type Identity } from '../consolidate/identity.ts';
import { keepMeetings, type StandingMeeting } from '../consolidate/keep-meetings.ts';
import type { Db } from './database.ts';

export interface Move {
  readonly claimId: string;
  readonly identity: Identity;
}

/** What a meeting is called from which another one has taken over everything. Its objects go. */
const leftIdentity = (meetingId: string): string => `merged|${meetingId}`;

/** What a meeting is called whose entry was found in the target and that nobody claims. */
export const unclaimedIdentity = (uid: string): string => `unclaimed|${uid}`;

/**
 * Gives claims that have a meeting another identity, inside the caller's transaction: meetings are renamed, split or
 * merged so that what shows keeps its UID and href, and those that no meeting is left for get a new one: of the claims that
 * move, and of those that stay behind when the copy that shows takes their meeting along. Everything that changes is dirty
 * afterwards.
 */
export async function moveClaims(db: Db, targetId: string, moves: readonly Move[]): Promise<void> {
  if (moves.length === 0) return;
  const byClaim = new Map(moves.map((move) => [move.claimId, move.identity]));
  const wanted = new Map(moves.map(({ identity }) => [identity.identity, identity]));
  const found = await sql<Omit<StandingMeeting, 'claims'> & Identity & { claims: string[] }>`
    select m.id::text, m.identity, m.identity_uid as "identityUid", m.slot, m.shown_claim_id::text as "shownClaimId",
      exists (select from object o where o.meeting_id = m.id) as "hasObjects",
      coalesce((select jsonb_agg(c.id::text) from claim c where c.meeting_id = m.id
        and exists (select from source s where s.id = c.source_id)), '[]') as claims
    from meeting m where m.target_id = ${targetId} and (m.identity = any(${[...wanted.keys()]})
      or m.id in (select c.meeting_id from claim c where c.id = any(${[...byClaim.keys()]}::bigint[])))
    order by m.id for update of m`.execute(db);
  const meetings = found.rows.map((row) => ({
    ...row,
    claims: row.claims.map((id) => ({ id, identity: byClaim.get(id)?.identity ?? row.identity })),
  }));
  const kept = keepMeetings(meetings);
  const renamed = meetings.flatMap(({ id, identity }) => {
    const next = kept.get(id) ?? null;
    if (next === identity) return [];
    const given = next === null ? undefined : wanted.get(next);
    return [
      { id, identity: next ?? leftIdentity(id), identityUid: given?.identityUid ?? null, slot: given?.slot ?? null },
    ];
  });
  await markWithOrphans(
    db,
    targetId,
    meetings.map(({ id }) => id),
  );
  if (renamed.length > 0) {
    // The old names must be free before the new ones are given.
    await sql`
      update meeting set identity = 'moving|' || id where id = any(${renamed.map(({ id }) => id)}::bigint[])`.execute(
      db,
    );
    await sql`
      update meeting m set identity = r.identity, slot = coalesce(r.slot, m.slot),
        identity_uid = case when r.slot is null then null else r."identityUid" end
      from jsonb_to_recordset(${JSON.stringify(renamed)}::jsonb) as r(id bigint, identity text, "identityUid" text, slot text)
      where m.id = r.id`.execute(db);
  }
  // What the operator restored goes where its meeting went.
  const merged = meetings.flatMap(({ id, identity, claims }) =>
    kept.get(id) === null ? [{ id, identity: claims[0]?.identity ?? identity }] : [],
  );
  await sql`
    update claim c set meeting_id = m.id
    from jsonb_to_recordset(${JSON.stringify(merged)}::jsonb) as r(id bigint, identity text)
      join meeting m on m.target_id = ${targetId} and m.identity = r.identity
    where c.meeting_id = r.id and not exists (select from source s where s.id = c.source_id)`.execute(db);
  // A pin is the operator's word about the meeting, whichever of its rows goes on.
  await sql`
    update meeting m set pinned_source_id = w.pinned_source_id
    from jsonb_to_recordset(${JSON.stringify(merged)}::jsonb) as r(id bigint, identity text)
      join meeting w on w.id = r.id
    where m.target_id = ${targetId} and m.identity = r.identity and m.pinned_source_id is null
      and w.pinned_source_id is not null`.execute(db);
  const assigned = meetings.flatMap((meeting) => meeting.claims);
  const known = new Map<string, Identity>([
    ...meetings.map((meeting) => [meeting.identity, meeting] as const),
    ...wanted,
  ]);
  const standing = new Set(kept.values());
  const homeless = assigned.flatMap(({ identity }) => (standing.has(identity) ? [] : (known.get(identity) ?? [])));
  if (homeless.length > 0) await createMeetings(db, targetId, homeless, await instanceName(db));
  const placed = await sql<{ meetingId: string }>`
    update claim c set meeting_id = m.id
    from jsonb_to_recordset(${JSON.stringify(assigned)}::jsonb) as r(id bigint, identity text)
      join meeting m on m.target_id = ${targetId} and m.identity = r.identity
    where c.id = r.id and c.meeting_id is distinct from m.id
    returning m.id::text as "meetingId"`.execute(db);
  await markWithOrphans(db, targetId, [
    ...meetings.map(({ id }) => id),
    ...placed.rows.map(({ meetingId }) => meetingId),
  ]);
}

async function instanceName(db: Db): Promise<string> {
  const found = await sql<{ value: string }>`select value from setting where name = 'instance'`.execute(db);
  return found.rows[0]?.value ?? '';
}

/** Makes meetings for identities that have none, each with a UID that no other meeting of the target has. */
export async function createMeetings(
  db: Db,
  targetId: string,
  identities: readonly Identity[],
  instance: string,
): Promise<void> {
  if (identities.length === 0) return;
  const wanted = [...new Map(identities.map((identity) => [identity.identity, identity])).values()].toSorted((a, b) =>
    a.identity < b.identity ? -1 : 1,
  );
  const minted = wanted.map((identity) => ({ ...identity, uid: mintUid(targetId, identity.identity, instance) }));
  // What was found in the target without anybody to claim it has found its claim.
  await sql`
    update meeting m set identity = r.identity, identity_uid = r."identityUid", slot = r.slot
    from jsonb_to_recordset(${JSON.stringify(minted)}::jsonb) as r(identity text, "identityUid" text, slot text, uid text)
    where m.target_id = ${targetId} and m.uid = r.uid and m.identity = ${unclaimedIdentity('')} || r.uid
      and not exists (select from meeting o where o.target_id = ${targetId} and o.identity = r.identity)`.execute(db);
  // A meeting that was renamed keeps its UID; who has its old name now needs another.
  for (let attempt = 1; ; attempt += 1) {
    const taken = await sql<{ uid: string; identity: string }>`
      select uid, identity from meeting where target_id = ${targetId} and uid = any(${minted.map(({ uid }) => uid)})`.execute(
      db,
    );
    const others = new Map(taken.rows.map((row) => [row.uid, row.identity]));
    let isFree = true;
    for (const meeting of minted) {
      const holder = others.get(meeting.uid);
      if (holder === undefined || holder === meeting.identity) continue;
      isFree = false;
      meeting.uid = mintUid(targetId, `${meeting.identity}|${attempt}`, instance);
    }
    if (isFree) break;
  }
  await sql`
    insert into meeting (target_id, identity, identity_uid, slot, uid, sequence, wanted_version, done_version, failures,
      created_at, wanted_at)
    select ${targetId}, r.identity, r."identityUid", r.slot, r.uid, 0, 0, 0, 0, now(), now()
    from jsonb_to_recordset(${JSON.stringify(minted)}::jsonb) as r(identity text, "identityUid" text, slot text, uid text)
    on conflict (target_id, identity) do nothing`.execute(db);
}

/**
 * Puts every claim of a target (or only those with these uids) to the meeting that it belongs to by today's
 * configuration, without reading anything: after `dedupe` or `into` changed, or when the copy went of which another
 * claim of its source was the twin.
 */
export async function settleIdentities(db: Db, targetId: string, uids: readonly string[] | null = null): Promise<void> {
  const found = await sql<{
    id: string;
    sourceId: string;
    key: string;
    uid: string | null;
    slot: string;
    calendarId: string;
    dedupe: 'target' | 'calendar' | 'off';
    identity: string | null;
  }>`
    select c.id::text, c.source_id as "sourceId", c.key, c.uid, c.slot, s.calendar_id as "calendarId", t.dedupe, m.identity
    from claim c join source s on s.id = c.source_id join target t on t.id = s.target_id
      left join meeting m on m.id = c.meeting_id
    where t.id = ${targetId} and (${uids}::text[] is null or c.uid = any(${uids}))
    order by c.id`.execute(db);
  const owners = new Map<string, string>();
  const moves: Move[] = [];
  for (const { id, identity: current, dedupe, calendarId, ...claim } of found.rows) {
    const name = JSON.stringify([claim.sourceId, claim.uid, claim.slot]);
    if (!owners.has(name)) owners.set(name, id);
    const identity = identityOf(claim, dedupe, calendarId, owners.get(name) !== id);
    if (current !== null && current !== identity.identity) moves.push({ claimId: id, identity });
  }
  await moveClaims(db, targetId, moves);
}

/**
 * A claim whose lastModified lay ahead of our clock ranked last (`chooseClaim`); once that moment has come it is a date
 * like any other, so its meeting is decided anew. Gives the targets of such meetings.
 */
export async function markWhatIsAheadNoMore(db: Db): Promise<string[]> {
  const skew = sql`${clockSkewMs} * interval '1 millisecond'`;
  const found = await sql<{ targetId: string; ids: string[] }>`
    select m.target_id as "targetId", array_agg(distinct m.id::text) as ids
    from claim c join meeting m on m.id = c.meeting_id
    where c.last_modified_at > c.read_at and c.last_modified_at <= now() + ${skew}
      and c.last_modified_at > m.wanted_at + ${skew} and m.wanted_version <= m.done_version
    group by m.target_id order by m.target_id`.execute(db);
  for (const { targetId, ids } of found.rows) await markWithOrphans(db, targetId, ids);
  return found.rows.map(({ targetId }) => targetId);
}

/** Raises the wanted version of these meetings and of those that share their uid (orphans are covered by a series or not). */
async function markWithOrphans(db: Db, targetId: string, ids: readonly string[]): Promise<void> {
  await sql`
    update meeting m set wanted_version = m.wanted_version + 1, not_before = null,
      wanted_at = case when m.wanted_version > m.done_version then m.wanted_at else now() end
    where m.id = any(${ids}::bigint[]) or m.id in (
      select o.id from meeting d join meeting o on o.target_id = d.target_id and o.identity_uid = d.identity_uid
      where d.id = any(${ids}::bigint[]) and d.target_id = ${targetId})`.execute(db);
}
