import { sql } from 'kysely';
import type { Db } from './database.ts';
import { wantReading } from './sources.ts';

/** A source that flows post to, as a request finds it. */
export interface FlowSource {
  readonly id: string;
  /** Hashes of the keys by which flows may post, see `hashKey`. */
  readonly keys: readonly string[];
  /** By which posts are signed, sealed; null: none may be. */
  readonly signingKeySealed: string | null;
}

/** Null when there is no source of this id, or it is of another kind. */
export async function findFlowSource(db: Db, id: string): Promise<FlowSource | null> {
  const found = await sql<{ id: string; key: string | null; formerKey: string | null; sealed: string | null }>`
    select id, settings->>'key' as key, settings->>'formerKey' as "formerKey", secret_sealed as sealed
    from source where id = ${id} and kind = 'powerautomate'`.execute(db);
  const row = found.rows[0];
  if (row === undefined) return null;
  const keys = [row.key, row.formerKey].filter((key) => key !== null && key !== '') as string[];
  return { id: row.id, keys, signingKeySealed: row.sealed };
}

/** Notes that a signed post is stored, inside its transaction. False: it was stored before. */
export async function rememberSignature(db: Db, sourceId: string, signature: string): Promise<boolean> {
  const found = await sql`
    insert into flow_signature (source_id, signature, until)
    values (${sourceId}, ${signature}, now() + ${signatureMinutes} * interval '1 minute')
    on conflict do nothing returning 1`.execute(db);
  return found.rows.length > 0;
}

/** Twice the time that a signature holds, to either side of our clock; after that its time stamp refuses it. */
const signatureMinutes = 20;

/**
 * Posts of one source are stored one after the other: they come in any order and at once. Tells whether Graph reads the
 * same mailbox.
 */
export async function lockFlowSource(db: Db, id: string): Promise<{ readonly hasGraphBeside: boolean }> {
  const found = await sql<{ hasGraphBeside: boolean }>`
    select exists (select from source g
      where g.kind = 'graph' and lower(g.settings->>'mailbox') = lower(f.settings->>'mailbox')) as "hasGraphBeside"
    from source f where f.id = ${id} for no key update of f`.execute(db);
  return { hasGraphBeside: found.rows[0]?.hasGraphBeside === true };
}

/** What is known of a key that a flow names. */
export interface KnownKey {
  readonly key: string;
  readonly uid: string | null;
  readonly slot: string | null;
  /** ISO 8601 instants. */
  readonly lastModifiedAt: string | null;
  readonly deletedAt: string | null;
}

export async function knownKeys(db: Db, sourceId: string, keys: readonly string[]): Promise<Map<string, KnownKey>> {
  const found = await sql<{
    key: string;
    uid: string | null;
    slot: string | null;
    lastModifiedAt: Date | string | null;
    deletedAt: Date | string | null;
  }>`
    select coalesce(c.key, t.key) as key, c.uid, c.slot, c.last_modified_at as "lastModifiedAt", t.at as "deletedAt"
    from (select * from claim where source_id = ${sourceId} and key = any(${keys})) c
      full join (select * from tombstone where source_id = ${sourceId} and key = any(${keys})) t on t.key = c.key`.execute(
    db,
  );
  const iso = (at: Date | string | null): string | null => (at === null ? null : new Date(at).toISOString());
  return new Map(
    found.rows.map((row) => [
      row.key,
      { ...row, lastModifiedAt: iso(row.lastModifiedAt), deletedAt: iso(row.deletedAt) },
    ]),
  );
}

/** Uids of which occurrences are known beside these keys: their masters' stand-ins are not needed. */
export async function uidsWithOccurrences(
  db: Db,
  sourceId: string,
  masters: readonly { readonly key: string; readonly uid: string | null }[],
): Promise<ReadonlySet<string>> {
  const uids = masters.flatMap(({ uid }) => (uid === null ? [] : [uid]));
  if (uids.length === 0) return new Set();
  const found = await sql<{ uid: string }>`
    select distinct uid from claim where source_id = ${sourceId} and uid = any(${uids})
      and not (key = any(${masters.map(({ key }) => key)}))`.execute(db);
  return new Set(found.rows.map(({ uid }) => uid));
}

/** The claims of these keys go without being a removal: others say the same. Returns the ids of their meetings. */
export async function dropClaims(db: Db, sourceId: string, keys: readonly string[]): Promise<string[]> {
  if (keys.length === 0) return [];
  const gone = await sql<{ meetingId: string | null }>`
    delete from claim where source_id = ${sourceId} and key = any(${keys})
    returning meeting_id::text as "meetingId"`.execute(db);
  return gone.rows.flatMap(({ meetingId }) => (meetingId === null ? [] : [meetingId]));
}

/**
 * What is deleted as of now: its claims wait for the guard, and nothing brings it back that was modified before. A flow
 * does not tell when it was deleted; a time of its last modification could be older than a change that is still on its
 * way.
 */
export async function bury(db: Db, sourceId: string, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await sql`
    insert into tombstone (source_id, key, at)
    select ${sourceId}, key, now() from unnest(${[...new Set(keys)]}::text[]) key
    on conflict (source_id, key) do update set at = excluded.at`.execute(db);
  await sql`
    update claim set state = 'pending', changed_at = now()
    where source_id = ${sourceId} and state = 'shown' and key = any(${keys})`.execute(db);
}

export async function unbury(db: Db, sourceId: string, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  await sql`delete from tombstone where source_id = ${sourceId} and key = any(${keys})`.execute(db);
}

/** A listing has them, although what it says of them is older than what we know. */
export async function markListed(db: Db, sourceId: string, keys: readonly string[], round: string): Promise<void> {
  if (keys.length === 0) return;
  await sql`
    update claim set round = greatest(round, ${round}), read_at = now(), state = 'shown'
    where source_id = ${sourceId} and key = any(${keys})`.execute(db);
}

/** One part of a listed window. Instants as in ISO 8601. */
export interface ListedPart {
  readonly id: string;
  readonly part: number;
  readonly parts: number;
  readonly from: string;
  readonly to: string;
  readonly listedAt: string | null;
}

/** A listing under way; `null` where a part is of one that has ended or was overtaken by a newer one. */
export interface Listing {
  readonly round: string;
  /** With this part all have come. */
  readonly isWhole: boolean;
  /** What was stored later than this may be missing from the listing. */
  readonly listedAt: string;
}

interface ListingCursor {
  readonly id: string;
  readonly parts: number;
  readonly seen: readonly number[];
  readonly listedAt: string;
}

/**
 * Notes that a part of a listing came: the first one begins a full reading on a stream of its own. Parts come in any
 * order and more than once.
 */
export async function joinListing(db: Db, sourceId: string, part: ListedPart): Promise<Listing | null> {
  const streams = await sql<{ id: string; kind: string; round: string; cursor: string }>`
    select id::text, kind, round::text, coalesce(cursor, '{}') as cursor from stream
    where source_id = ${sourceId}`.execute(db);
  const parsed = streams.rows.map((row) => ({ ...row, listing: JSON.parse(row.cursor) as ListingCursor }));
  const clock = await sql<{ now: Date | string }>`select now() as now`.execute(db);
  const receivedAt = new Date(clock.rows[0]?.now ?? 0).toISOString();
  const listedAt = part.listedAt !== null && part.listedAt < receivedAt ? part.listedAt : receivedAt;
  const full = parsed.find(({ kind }) => kind === 'full');
  if (full?.listing.id === part.id && full.listing.parts === part.parts) {
    const seen = [...new Set([...full.listing.seen, part.part])];
    const cursor: ListingCursor = { ...full.listing, seen };
    await sql`
      update stream set cursor = ${JSON.stringify(cursor)}, cursor_seq = cursor_seq + 1 where id = ${full.id}`.execute(
      db,
    );
    return { round: full.round, isWhole: seen.length === part.parts, listedAt: full.listing.listedAt };
  }
  if (parsed.some(({ listing }) => listing.id === part.id || listing.listedAt > listedAt)) return null;
  const cursor: ListingCursor = { id: part.id, parts: part.parts, seen: [part.part], listedAt };
  const begun = await sql<{ round: string }>`
    insert into stream (source_id, kind, cursor, cursor_seq, round, window_from, window_to, started_at)
    select ${sourceId}, 'full', ${JSON.stringify(cursor)}, 0,
      greatest(coalesce((select max(round) from claim where source_id = ${sourceId}), 0),
        coalesce((select max(round) from stream where source_id = ${sourceId}), 0)) + 1,
      ${part.from}::timestamptz, ${part.to}::timestamptz, now()
    on conflict (source_id, kind) do update
      set cursor = excluded.cursor, cursor_seq = stream.cursor_seq + 1, round = excluded.round,
        window_from = excluded.window_from, window_to = excluded.window_to, started_at = excluded.started_at
    returning round::text`.execute(db);
  return { round: begun.rows[0]?.round ?? '0', isWhole: part.parts === 1, listedAt };
}

/**
 * All parts have come: what lies in the window, was stored before the calendar was listed and was not seen is absent,
 * for a flow's own listing is the only judge that there is. Pending, for the guard.
 */
export async function endListing(db: Db, sourceId: string, listing: Listing): Promise<void> {
  await sql`
    update claim c set state = 'pending', changed_at = now()
    from stream r
    where r.source_id = ${sourceId} and r.kind = 'full' and c.source_id = r.source_id and c.state = 'shown'
      and c.round < r.round and c.read_at < ${listing.listedAt}::timestamptz
      and (c.last_end is null or c.last_end > r.window_from) and (c.first_start is null or c.first_start < r.window_to)`.execute(
    db,
  );
  await sql`delete from stream where source_id = ${sourceId} and kind = 'delta'`.execute(db);
  await sql`
    update stream set kind = 'delta', finished_at = now() where source_id = ${sourceId} and kind = 'full'`.execute(db);
}

/** Something came and was understood. */
export async function recordFlowPost(db: Db, sourceId: string): Promise<void> {
  await sql`
    update source set fresh_at = now(), done_version = wanted_version, failures = 0, is_full_wanted = false
    where id = ${sourceId}`.execute(db);
}

/** Asks for a reading of whatever reads by Graph the mailbox that this flow is of; returns these sources. */
export async function wantReadingsBeside(db: Db, sourceId: string): Promise<string[]> {
  const found = await sql<{ id: string }>`
    select g.id from source f join source g on g.kind = 'graph' and lower(g.settings->>'mailbox') = lower(f.settings->>'mailbox')
    where f.id = ${sourceId} and not coalesce((g.settings->>'isPaused')::boolean, false)`.execute(db);
  for (const { id } of found.rows) await wantReading(db, id);
  return found.rows.map(({ id }) => id);
}

export async function pendingMeetings(db: Db, sourceId: string): Promise<string[]> {
  const found = await sql<{ id: string }>`
    select distinct meeting_id::text as id from claim
    where source_id = ${sourceId} and state = 'pending' and meeting_id is not null`.execute(db);
  return found.rows.map(({ id }) => id);
}

/**
 * Drops what Graph had of these meetings while it cannot be asked any more: consent was withdrawn or it is paused, and
 * the flow of the same mailbox says that they are gone. Returns the meetings of what was dropped.
 */
export async function dropFrozen(db: Db, sourceId: string, meetings: readonly string[]): Promise<string[]> {
  const gone = await sql<{ meetingId: string }>`
    delete from claim c using source g, source f
    where f.id = ${sourceId} and g.kind = 'graph' and g.target_id = f.target_id
      and lower(g.settings->>'mailbox') = lower(f.settings->>'mailbox') and g.settings->>'calendar' = 'default'
      and (g.paused_code is not null or coalesce((g.settings->>'isPaused')::boolean, false))
      and c.source_id = g.id and c.meeting_id = any(${meetings}::bigint[])
    returning c.meeting_id::text as "meetingId"`.execute(db);
  return gone.rows.map(({ meetingId }) => meetingId);
}
