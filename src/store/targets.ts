import { sql } from 'kysely';
import type { Db } from './database.ts';

export interface TargetCalendarState {
  readonly id: string;
  readonly name: string;
  readonly color: string | null;
  readonly href: string | null;
}

export interface TargetState {
  readonly id: string;
  readonly url: string;
  readonly username: string;
  readonly passwordSealed: string;
  readonly strategy: 'last-write-wins' | 'priority';
  readonly failures: number;
  readonly pausedCode: string | null;
  readonly calendars: readonly TargetCalendarState[];
}

export async function loadTarget(db: Db, id: string): Promise<TargetState | null> {
  const found = await sql<TargetState>`
    select t.id, t.url, t.username, t.password_sealed as "passwordSealed", t.strategy, t.failures,
      t.paused_code as "pausedCode",
      coalesce((select json_agg(json_build_object('id', c.id, 'name', c.name, 'color', c.color, 'href', c.href)
        order by c.position) from target_calendar c where c.target_id = t.id), '[]') as calendars
    from target t where t.id = ${id}`.execute(db);
  return found.rows[0] ?? null;
}

/** Targets with something to deliver, to settle or to probe now. */
export async function dueTargets(db: Db, quietMs: number): Promise<string[]> {
  const found = await sql<{ id: string }>`
    select t.id from target t
    where (t.not_before is null or t.not_before <= now())
      and (exists (select from meeting m where m.target_id = t.id and m.wanted_version > m.done_version
          and (m.not_before is null or m.not_before <= now()) and not exists (select from intent i where i.meeting_id = m.id))
        or exists (select from intent i where i.target_id = t.id
          and i.at < clock_timestamp() - ${quietMs} * interval '1 millisecond')
        or exists (select from target_calendar c where c.target_id = t.id and c.href is null))`.execute(db);
  return found.rows.map((row) => row.id);
}

export async function recordCalendarHref(db: Db, targetId: string, calendarId: string, href: string): Promise<void> {
  await sql`update target_calendar set href = ${href} where target_id = ${targetId} and id = ${calendarId}`.execute(db);
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
  failure: { afterMs: number; paused: { code: string; reason: string; remedy: string } | null },
): Promise<void> {
  await sql`
    update target set failures = failures + 1, not_before = now() + ${failure.afterMs} * interval '1 millisecond',
      paused_code = ${failure.paused?.code ?? null}, paused_reason = ${failure.paused?.reason ?? null},
      remedy = ${failure.paused?.remedy ?? null}
    where id = ${targetId}`.execute(db);
}
