/** What is known, and what is not, after a restore of either side: the books behind `restore approve`. */
import { sql } from 'kysely';
import type { SourceConfig } from '../config/model.ts';
import type { Db } from './database.ts';
import { recordAudit } from './history.ts';
import { unclaimedIdentity } from './identities.ts';
import { recutClaims } from './recut-claims.ts';

/** How strict the privacy of a source was in the database that a backup replaced. */
export interface Strictness {
  readonly id: string;
  readonly privacy: 'full' | 'title' | 'busy';
  readonly privateItems: 'full' | 'busy' | 'skip';
}

interface PendingRestore {
  readonly side: 'database' | 'target';
  readonly actor: string;
  readonly archive: string;
  readonly strictness: readonly Strictness[];
}

const pendingName = 'restore.pending';

/**
 * The statement that notes, in the transaction of a restore, what the next start has to do: the schema may have to be
 * brought up to date first.
 */
export function pendingRestore({ side, actor, archive, strictness }: PendingRestore): [string, unknown[]] {
  const value: PendingRestore = { side, actor, archive, strictness };
  return [
    'insert into setting (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value',
    [pendingName, JSON.stringify(value)],
  ];
}

/** Does what a restore left to be done, if one did. Inside the caller's transaction. */
export async function finishRestore(db: Db): Promise<void> {
  const found = await sql<{ value: string }>`delete from setting where name = ${pendingName} returning value`.execute(
    db,
  );
  const row = found.rows[0];
  if (row === undefined) return;
  const { side, actor, archive, strictness } = JSON.parse(row.value) as PendingRestore;
  for (const before of strictness) await keepStrict(db, before);
  await forgetOutside(db, side);
  await recordAudit(db, { actor, action: 'restore', subject: archive, detail: { side } });
}

const privacies = ['full', 'title', 'busy'];
const privateItems = ['full', 'busy', 'skip'];

/** A backup loosens no privacy: where today's was stricter, it stays. */
async function keepStrict(db: Db, today: Strictness): Promise<void> {
  const found = await sql<{
    settings: SourceConfig;
  }>`select settings from source where id = ${today.id} for update`.execute(db);
  const settings = found.rows[0]?.settings;
  if (settings === undefined) return;
  const stricter: SourceConfig = {
    ...settings,
    privacy: strictest(privacies, settings.privacy, today.privacy),
    privateItems: strictest(privateItems, settings.privateItems, today.privateItems),
  };
  if (stricter.privacy === settings.privacy && stricter.privateItems === settings.privateItems) return;
  await sql`update source set settings = ${JSON.stringify(stricter)}::jsonb where id = ${today.id}`.execute(db);
  await recutClaims(db, today.id, settings, stricter);
}

function strictest<T extends string>(order: readonly string[], a: T, b: T): T {
  return order.indexOf(b) > order.indexOf(a) ? b : a;
}

/**
 * Nothing that was known of the outside is known any more: cursors and sync tokens go, every source is read from its
 * start, every entry of ours compared, and nothing is written before the operator has approved. `side` is what went
 * back in time: our database, or the targets' server.
 */
export async function forgetOutside(db: Db, side: 'database' | 'target'): Promise<void> {
  await sql`delete from stream`.execute(db);
  await sql`delete from intent`.execute(db);
  await sql`update lease set holder = null, expires_at = clock_timestamp()`.execute(db);
  await sql`
    update source set epoch = epoch + 1, is_full_wanted = true, wanted_version = wanted_version + 1, next_poll_at = now(),
      not_before = null, failures = 0`.execute(db);
  await sql`update object set etag = null, fingerprint = null, schedule_fingerprint = null`.execute(db);
  await sql`
    update target_calendar set href = null, sync_token = null, listed_at = null, checked_at = null, gone_at = null`.execute(
    db,
  );
  await sql`
    update target set not_before = null, failures = 0, restored_at = clock_timestamp(), review = 'waiting',
      is_rewrite_wanted = is_rewrite_wanted or ${side === 'target'}`.execute(db);
  await sql`
    update meeting set wanted_version = greatest(wanted_version, done_version) + 1, wanted_at = now(), not_before = null,
      failures = 0, code = null, reason = null`.execute(db);
}

export interface UnreadSource {
  readonly id: string;
  readonly kind: string;
  /** Why it cannot be read, where it cannot. */
  readonly reason: string | null;
}

/**
 * Sources of a target that have not been read to their end since the last restore, or ever: what the target holds may be
 * theirs although nobody claims it. A flow's source counts when its whole window has come, or when another speaks for it.
 */
export async function unreadSources(db: Db, targetId: string): Promise<UnreadSource[]> {
  const found = await sql<UnreadSource>`
    select s.id, s.kind, s.paused_reason as reason from source s join target t on t.id = s.target_id
    where t.id = ${targetId} and s.yields_to is null
      and (exists (select from stale_series x where x.source_id = s.id and x.failures = 0)
        or exists (select from claim c where c.source_id = s.id and c.state = 'pending')
        or not exists (select from stream r where r.source_id = s.id and r.kind = 'delta' and r.finished_at is not null
          and (t.restored_at is null or r.started_at >= t.restored_at)))
    order by s.position, s.id`.execute(db);
  return found.rows;
}

/** What the operator must know while a target waits; shown where its other troubles are. */
export async function recordReview(
  db: Db,
  targetId: string,
  review: { readonly isReady: boolean; readonly reason: string; readonly remedy: string; readonly afterMs: number },
): Promise<void> {
  await sql`
    update target set review = ${review.isReady ? 'ready' : 'waiting'}, failures = 0,
      paused_code = 'restore.review', paused_reason = ${review.reason}, remedy = ${review.remedy},
      not_before = clock_timestamp() + ${review.afterMs} * interval '1 millisecond'
    where id = ${targetId} and review is not null`.execute(db);
}

/** An entry of ours as it stands in the target. */
export interface Standing {
  readonly href: string;
  readonly uid: string;
  readonly etag: string | null;
  readonly fingerprint: string | null;
  readonly scheduleFingerprint: string | null;
  /** The highest SEQUENCE in it. */
  readonly sequence: number;
  /** Instant when its last occurrence is over; null: endless or unknown. */
  readonly until: string | null;
  readonly meetingUid: string;
  readonly part: string;
}

/**
 * Makes the books of a calendar what stands there: entries that we knew or that a meeting of ours claims by its UID are
 * adopted as they are, entries of ours that are not there are forgotten. Gives what bears our suffix and no meeting
 * claims.
 */
export async function adoptStanding(
  db: Db,
  targetId: string,
  calendarId: string,
  standing: readonly Standing[],
): Promise<Standing[]> {
  const found = await sql<{ href: string }>`
    with r as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(standing)}::jsonb) as r(href text, uid text, etag text,
        fingerprint text, "scheduleFingerprint" text, sequence int, "meetingUid" text, part text)),
    gone as (
      delete from object o where o.target_id = ${targetId} and o.calendar_id = ${calendarId}
        and not exists (select from r where r.href = o.href)),
    claimed as (
      select r.*, m.id as meeting_id, t.is_rewrite_wanted from r
        join meeting m on m.target_id = ${targetId} and m.uid = r."meetingUid" join target t on t.id = m.target_id),
    raised as (
      update meeting m set sequence = greatest(m.sequence, c.sequence) from claimed c where m.id = c.meeting_id),
    adopted as (
      insert into object as o (meeting_id, target_id, calendar_id, part, href, uid, etag, fingerprint,
        schedule_fingerprint, sent_bodies, repairs, written_at)
      select meeting_id, ${targetId}, ${calendarId}, part, href, uid, etag,
        case when not is_rewrite_wanted then fingerprint end, "scheduleFingerprint", '[]', 0, clock_timestamp()
      from claimed
      on conflict (target_id, href) do update set meeting_id = excluded.meeting_id, calendar_id = excluded.calendar_id,
        uid = excluded.uid, etag = excluded.etag, fingerprint = excluded.fingerprint,
        schedule_fingerprint = excluded.schedule_fingerprint)
    select r.href from r where not exists (select from claimed c where c.href = r.href)`.execute(db);
  const unclaimed = new Set(found.rows.map(({ href }) => href));
  return standing.filter(({ href }) => unclaimed.has(href));
}

/**
 * Takes entries that bear our suffix and that nobody claims into the books, as meetings that no source shows: what is
 * delivered next moves them to the trash, under the target's ceiling. Those of another target of ours are left alone.
 * Gives how many.
 */
export async function takeUnclaimed(
  db: Db,
  targetId: string,
  calendarId: string,
  entries: readonly Standing[],
): Promise<number> {
  if (entries.length === 0) return 0;
  const named = entries.map((entry) => ({ ...entry, identity: unclaimedIdentity(entry.meetingUid) }));
  const found = await sql<{ href: string }>`
    with r as materialized (
      select r.* from jsonb_to_recordset(${JSON.stringify(named)}::jsonb) as r(href text, uid text, etag text,
        sequence int, until timestamptz, "meetingUid" text, part text, identity text)
      where not exists (select from meeting m where m.uid = r."meetingUid" and m.identity <> r.identity)
        and r."meetingUid" like '%@' || (select value from setting where name = 'instance') || '.calendar-sync'),
    made as (
      insert into meeting (target_id, identity, slot, uid, sequence, shown_until, wanted_version, done_version, created_at,
        wanted_at)
      select ${targetId}, identity, '*', "meetingUid", max(sequence),
        case when count(until) = count(*) then max(until) end, 1, 0, now(), now()
      from r group by identity, "meetingUid"
      on conflict (target_id, identity) do update set wanted_version = meeting.wanted_version + 1, wanted_at = now(),
        not_before = null
      returning id, uid)
    insert into object (meeting_id, target_id, calendar_id, part, href, uid, etag, sent_bodies, repairs, written_at)
    select made.id, ${targetId}, ${calendarId}, r.part, r.href, r.uid, r.etag, '[]', 0, clock_timestamp()
    from r join made on made.uid = r."meetingUid"
    on conflict (target_id, href) do nothing returning href`.execute(db);
  return found.rows.length;
}

/** Targets that wait for the operator's approval. */
export async function targetsInReview(
  db: Db,
): Promise<{ readonly id: string; readonly review: 'waiting' | 'ready'; readonly restoredAt: string }[]> {
  const found = await sql<{ id: string; review: 'waiting' | 'ready'; restoredAt: string }>`
    select id, review, to_char(restored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "restoredAt"
    from target where review is not null order by id`.execute(db);
  return found.rows;
}

/** The operator has seen the plan: what is due is delivered, and what it deletes of upcoming meetings counts as approved. */
export async function endReview(db: Db, targetId: string, approvedUids: readonly string[]): Promise<void> {
  await sql`
    insert into removal (source_id, claim_key, is_upcoming, state, reason, at, decided_at)
    select ${`target:${targetId}`}, uid, true, 'approved', 'approved after a restore', now(), now()
    from unnest(${approvedUids}::text[]) as uid`.execute(db);
  await sql`
    update target set review = null, is_rewrite_wanted = false, not_before = null, paused_code = null,
      paused_reason = null, remedy = null where id = ${targetId}`.execute(db);
}
