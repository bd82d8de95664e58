import { X509Certificate } from 'node:crypto';
import { sql } from 'kysely';
import type { Alarm, AlarmFacts, SourceFacts } from '../alarms/find-alarms.ts';
import type { Db } from './database.ts';
import { pollSeconds, flowSilence } from './status.ts';

const iso = (expression: string) => sql.raw(`to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`);

/**
 * What alarms are found in. A source may be without proof for as long as its own setting says; else for
 * `staleAfterSeconds` or three of its intervals, and one that flows post to for longer than they usually are silent.
 */
export async function readAlarmFacts(db: Db, staleAfterSeconds: number): Promise<Omit<AlarmFacts, 'backup'>> {
  const sources = await sql<SourceFacts>`
    select s.id, s.kind, t.id as tenant, t.name as "tenantName", s.target_id || '/' || s.calendar_id as target,
      ${iso('s.fresh_at')} as "freshAt", ${iso('s.updated_at')} as "configuredAt",
      coalesce((s.settings->>'staleAfterSeconds')::float8, case when s.kind = 'powerautomate' then extract(epoch from ${flowSilence})
        else greatest(${staleAfterSeconds}::int, 3 * ${pollSeconds} + 60) end::float8) as "limitSeconds",
      s.paused_code as code, coalesce(s.paused_reason, (
        select h.message from sync_history h where h.source_id = s.id and h.status = 'error' and s.failures > 0
        order by h.at desc limit 1)) as reason, s.remedy
    from source s left join tenant t on t.id = s.tenant_id left join subscription u on u.source_id = s.id
    where not coalesce((s.settings->>'isPaused')::boolean, false) and s.yields_to is null
    order by s.position, s.id`.execute(db);
  const held = await sql<AlarmFacts['held'][number]>`
    select source_id as subject, count(*)::int as count, ${iso('min(at)')} as since
    from removal where state = 'held' group by source_id order by source_id`.execute(db);
  const targets = await sql<AlarmFacts['targets'][number]>`
    select t.id, t.failures, t.paused_code as code, t.remedy,
      coalesce(t.paused_reason, (select h.message from sync_history h where h.target_id = t.id and h.status = 'error'
        and h.source_id is null and t.failures > 0 order by h.at desc limit 1)) as reason,
      coalesce((select array_agg(c.name order by c.position) from target_calendar c
        where c.target_id = t.id and c.gone_at is not null), '{}') as gone
    from target t order by t.id`.execute(db);
  const tenants = await sql<{ id: string; certificate: string | null; secretEndsAt: string | null }>`
    select id, certificate, ${iso('secret_expires_at')} as "secretEndsAt" from tenant order by id`.execute(db);
  const clock = await sql<{ now: Date | string }>`select clock_timestamp() as now`.execute(db);
  return {
    now: new Date(clock.rows[0]?.now ?? Date.now()),
    sources: sources.rows,
    held: held.rows,
    targets: targets.rows,
    credentials: tenants.rows.flatMap(({ id, certificate, secretEndsAt }) => [
      ...(secretEndsAt === null ? [] : [{ tenant: id, what: 'secret' as const, endsAt: secretEndsAt }]),
      ...endOf(certificate).map((endsAt) => ({ tenant: id, what: 'certificate' as const, endsAt })),
    ]),
  };
}

function endOf(certificate: string | null): string[] {
  if (certificate === null) return [];
  try {
    return [new X509Certificate(certificate).validToDate.toISOString()];
  } catch {
    // It is told where it is used.
    return [];
  }
}

export interface OpenAlarm extends Alarm {
  readonly raisedAt: string;
}

export async function openAlarms(db: Db): Promise<OpenAlarm[]> {
  const { rows } = await sql<OpenAlarm>`
    select key, kind, subject, message, remedy, ${iso('since')} as since, ${iso('raised_at')} as "raisedAt"
    from alarm where cleared_at is null order by raised_at, key`.execute(db);
  return rows;
}

export interface AlarmChange extends Alarm {
  readonly what: 'raised' | 'cleared';
}

/**
 * Books the alarms of now inside the caller's transaction: new ones are raised, those that are over cleared, and for each
 * of that one notice per channel is written down. What lasts is told no more. Gives what changed.
 */
export async function bookAlarms(
  db: Db,
  alarms: readonly Alarm[],
  channels: readonly string[],
): Promise<AlarmChange[]> {
  const now = JSON.stringify(alarms);
  const fields = sql.raw(`key, kind, subject, message, remedy, ${isoText('since')} as since`);
  const raised = await sql<Alarm>`
    insert into alarm (key, kind, subject, message, remedy, since, raised_at)
    select key, kind, subject, message, remedy, since, clock_timestamp()
    from jsonb_to_recordset(${now}::jsonb) as r(key text, kind text, subject text, message text, remedy text, since timestamptz)
    on conflict (key) do update set kind = excluded.kind, subject = excluded.subject, message = excluded.message,
      remedy = excluded.remedy, since = excluded.since, raised_at = excluded.raised_at, cleared_at = null
      where alarm.cleared_at is not null
    returning ${fields}`.execute(db);
  const keys = alarms.map(({ key }) => key);
  const cleared = await sql<Alarm>`
    update alarm set cleared_at = clock_timestamp() where cleared_at is null and not key = any(${keys}::text[])
    returning ${fields}`.execute(db);
  const changes: AlarmChange[] = [
    ...raised.rows.map((alarm) => ({ ...alarm, what: 'raised' as const })),
    ...cleared.rows.map((alarm) => ({ ...alarm, what: 'cleared' as const })),
  ];
  if (changes.length > 0)
    await sql`
      insert into alarm_notice (alarm_key, raised_at, what, channel, text)
      select a.key, a.raised_at, r.value->>'what', c.channel, r.value
      from jsonb_array_elements(${JSON.stringify(changes)}::jsonb) as r
        join alarm a on a.key = r.value->>'key' cross join unnest(${channels}::text[]) as c(channel)
      on conflict do nothing`.execute(db);
  return changes;
}

const isoText = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;

export interface DueNotice {
  readonly id: string;
  readonly alarm: AlarmChange;
  /** When it was written down. */
  readonly at: string;
  readonly attempts: number;
}

/** What a channel has not taken yet and may be asked to take now, oldest first. */
export async function dueNotices(db: Db, channel: string): Promise<DueNotice[]> {
  const { rows } = await sql<DueNotice>`
    select n.id::text, n.text as alarm, n.attempts,
      ${iso("case when n.what = 'raised' then n.raised_at else coalesce(a.cleared_at, n.raised_at) end")} as at
    from alarm_notice n join alarm a on a.key = n.alarm_key
    where n.sent_at is null and n.channel = ${channel} and (n.not_before is null or n.not_before <= now())
    order by n.id limit 100`.execute(db);
  return rows;
}

/** `failure` null: it was taken. */
export async function recordSent(
  db: Db,
  ids: readonly string[],
  failure: { readonly reason: string; readonly afterMs: number } | null,
): Promise<void> {
  await sql`
    update alarm_notice set attempts = attempts + 1, failure = ${failure?.reason ?? null},
      sent_at = case when ${failure === null} then clock_timestamp() end,
      not_before = now() + ${failure?.afterMs ?? null}::float8 * interval '1 millisecond'
    where id = any(${ids}::bigint[])`.execute(db);
}
