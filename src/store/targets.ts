import { sql } from 'kysely';
import type { Db } from './database.ts';

export interface TargetCalendarState {
  readonly id: string;
  readonly name: string;
  readonly color: string | null;
  readonly href: string | null;
  /** Where the last look at what changed there ended. */
  readonly syncToken: string | null;
  /** The server said that it is not there; nothing is written to it until it is back. */
  readonly isGone: boolean;
  /** How long ago it was last asked what changed, and all of it compared; null: never. */
  readonly checkedMsAgo: number | null;
  readonly listedMsAgo: number | null;
}

export interface TargetState {
  readonly id: string;
  readonly url: string;
  readonly username: string;
  readonly passwordSealed: string;
  readonly strategy: 'last-write-wins' | 'priority';
  /** What is done about a client's edit of what we wrote. */
  readonly drift: 'repair' | 'keep';
  readonly failures: number;
  readonly pausedCode: string | null;
  /** After a restore, until the operator has approved: nothing is written. */
  readonly review: 'waiting' | 'ready' | null;
  readonly calendars: readonly TargetCalendarState[];
}

export async function loadTarget(db: Db, id: string): Promise<TargetState | null> {
  const found = await sql<TargetState>`
    select t.id, t.url, t.username, t.password_sealed as "passwordSealed", t.strategy, t.drift, t.failures,
      t.paused_code as "pausedCode", t.review,
      coalesce((select json_agg(json_build_object('id', c.id, 'name', c.name, 'color', c.color, 'href', c.href,
          'syncToken', c.sync_token, 'isGone', c.gone_at is not null,
          'checkedMsAgo', extract(epoch from clock_timestamp() - c.checked_at) * 1000,
          'listedMsAgo', extract(epoch from clock_timestamp() - c.listed_at) * 1000)
        order by c.position) from target_calendar c where c.target_id = t.id), '[]') as calendars
    from target t where t.id = ${id}`.execute(db);
  return found.rows[0] ?? null;
}

/** A calendar is asked at least that often whether something changed there: one small request. */
const checkEveryMs = 5 * 60_000;
/** A calendar that is gone is looked for that often. */
export const goneCheckEveryMs = 60 * 60_000;

// PostgreSQL cannot know that few meetings are due, and would look for one from the table's beginning; in this order it
// asks the index that holds nothing else.
const hasDueMeeting = sql`(select m.id from meeting m where m.target_id = t.id and m.wanted_version > m.done_version
      and (m.not_before is null or m.not_before <= now()) and not exists (select from intent i where i.meeting_id = m.id)
    order by m.wanted_at limit 1) is not null`;

/** Of `target t`: it has something to deliver, to settle, to compare or to probe now. */
export const isTargetDue = sql`(t.not_before is null or t.not_before <= now())
  and (${hasDueMeeting}
    or exists (select from intent i where i.target_id = t.id and i.settle_at <= clock_timestamp())
    or exists (select from target_calendar c where c.target_id = t.id and (c.href is null or c.checked_at is null
      or c.checked_at < now() - case when c.gone_at is null then ${checkEveryMs}::int else ${goneCheckEveryMs}::int end
        * interval '1 millisecond')))`;

export async function dueTargets(db: Db): Promise<string[]> {
  const found = await sql<{ id: string }>`select t.id from target t where ${isTargetDue}`.execute(db);
  return found.rows.map((row) => row.id);
}

/** The calendar was compared up to this token; `isFull`: all of it. It is there. */
export async function recordChecked(
  db: Db,
  targetId: string,
  calendarId: string,
  checked: { readonly syncToken: string | null; readonly isFull: boolean },
): Promise<void> {
  await sql`
    update target_calendar set sync_token = ${checked.syncToken}, checked_at = clock_timestamp(), gone_at = null,
      listed_at = case when ${checked.isFull} then clock_timestamp() else listed_at end
    where target_id = ${targetId} and id = ${calendarId}`.execute(db);
}

/** The next look at what changed there is due `inMs` from now at the latest. */
export async function checkSoon(db: Db, targetId: string, calendarId: string, inMs: number): Promise<void> {
  await sql`
    update target_calendar
    set checked_at = least(checked_at, clock_timestamp() - ${checkEveryMs - inMs} * interval '1 millisecond')
    where target_id = ${targetId} and id = ${calendarId}`.execute(db);
}

/** Mailboxes that are mirrored anywhere, lower case. */
export async function mirroredMailboxes(db: Db): Promise<Set<string>> {
  const found = await sql<{ mailbox: string }>`
    select distinct lower(settings->>'mailbox') as mailbox from source where settings ? 'mailbox'`.execute(db);
  return new Set(found.rows.map((row) => row.mailbox));
}

/** The next look at the calendar compares all of it. */
export async function compareAllSoon(db: Db, targetId: string, calendarId: string): Promise<void> {
  await sql`
    update target_calendar set listed_at = null where target_id = ${targetId} and id = ${calendarId}`.execute(db);
}

/** The server says that the calendar is not there. True when it was there before. */
export async function recordGone(db: Db, targetId: string, calendarId: string): Promise<boolean> {
  const found = await sql<{ wasThere: boolean }>`
    with before as (select gone_at is null as "wasThere" from target_calendar
      where target_id = ${targetId} and id = ${calendarId} for update)
    update target_calendar set gone_at = coalesce(gone_at, now()), checked_at = clock_timestamp()
    from before where target_id = ${targetId} and id = ${calendarId} returning before."wasThere"`.execute(db);
  return found.rows[0]?.wasThere ?? false;
}

export async function recordCalendarHref(db: Db, targetId: string, calendarId: string, href: string): Promise<void> {
  await sql`update target_calendar set href = ${href} where target_id = ${targetId} and id = ${calendarId}`.execute(db);
}

/** Paths at which our entries of each calendar stood when we last knew: for a calendar that is still to be looked for. */
export async function lastKnownPaths(db: Db, targetId: string): Promise<ReadonlyMap<string, string>> {
  const found = await sql<{ calendar: string; path: string }>`
    select calendar_id as calendar, max(regexp_replace(href, '[^/]*$', '')) as path from object
    where target_id = ${targetId} group by calendar_id`.execute(db);
  return new Map(found.rows.map(({ calendar, path }) => [calendar, path]));
}

/** The zone in which most of what goes into a calendar begins; null while nothing with a zone does. */
export async function mostUsedZone(db: Db, targetId: string, calendarId: string): Promise<string | null> {
  const found = await sql<{ zone: string }>`
    select c.series #>> '{main,start,zone}' as zone from claim c join source s on s.id = c.source_id
    where s.target_id = ${targetId} and s.calendar_id = ${calendarId} and c.series #>> '{main,start,zone}' is not null
    group by 1 order by count(*) desc, 1 limit 1`.execute(db);
  return found.rows[0]?.zone ?? null;
}

/** A request succeeded: the target works. */
export async function recordTargetWorks(db: Db, targetId: string, hasWritten: boolean): Promise<void> {
  await sql`
    update target set failures = 0, not_before = null, paused_code = null, paused_reason = null, remedy = null,
      last_write_at = case when ${hasWritten} then now() else last_write_at end
    where id = ${targetId}`.execute(db);
}

export async function recordTargetFailure(
  db: Db,
  targetId: string,
  failure: { failures: number; afterMs: number; paused: { code: string; reason: string; remedy: string } | null },
): Promise<void> {
  await sql`
    update target set failures = ${failure.failures}, not_before = now() + ${failure.afterMs} * interval '1 millisecond',
      paused_code = ${failure.paused?.code ?? null}, paused_reason = ${failure.paused?.reason ?? null},
      remedy = ${failure.paused?.remedy ?? null}
    where id = ${targetId}`.execute(db);
}
