import { setTimeout as pause } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { isHeard, isLivePush, pollWithPushSeconds } from './sources.ts';

export interface SourceStatus {
  readonly id: string;
  readonly kind: string;
  readonly target: string;
  /** `fresh`, `reading` (never read to its end yet), `late`, `paused` (by the operator), `failing`, `needs-operator`. */
  readonly state: 'fresh' | 'reading' | 'late' | 'paused' | 'failing' | 'needs-operator';
  /** When a reading last proved that we show what the source shows. */
  readonly freshAt: string | null;
  /** The last reading that ended well: when, how long it took, what it did. */
  readonly lastReading: Readonly<Record<string, number | string>> | null;
  /** Happenings by which source and target differed when they were last compared, weekly; should be 0. */
  readonly drift: number | null;
  readonly comparedAt: string | null;
  readonly shown: number;
  readonly hidden: number;
  readonly held: number;
  readonly stale: number;
  readonly failures: number;
  readonly code: string | null;
  readonly reason: string | null;
  readonly remedy: string | null;
  /**
   * Change notifications: `live`, `mailbox` (they may tell of this calendar or not), `silent` (a poll found what none had
   * told), `off`; null: not a kind that has them.
   */
  readonly push: 'live' | 'mailbox' | 'silent' | 'off' | null;
  /** Until when it is read, where Graph cannot answer for the whole window; null: the whole is read. */
  readonly readUntil: string | null;
  /** When it last asked us to slow down, so that it is polled less often; null: at its usual pace. */
  readonly slowedAt: string | null;
  /** Why they are not live, where something stands in their way. */
  readonly pushCode: string | null;
  readonly pushReason: string | null;
}

export interface TargetStatus {
  readonly id: string;
  readonly state: 'current' | 'delivering' | 'failing' | 'needs-operator';
  readonly objects: number;
  readonly due: number;
  readonly failed: number;
  readonly lastWriteAt: string | null;
  readonly code: string | null;
  readonly reason: string | null;
  readonly remedy: string | null;
}

export interface Status {
  readonly sources: readonly SourceStatus[];
  readonly targets: readonly TargetStatus[];
}

const iso = (column: string) => sql.raw(`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`);

/** Seconds between polls of `source s` with its `subscription u`, at least. */
export const pollSeconds = sql`greatest(coalesce((s.settings->>'everySeconds')::int, 60),
  case when s.slowed > 0 or (u.source_id is not null and ${isLivePush}) then ${pollWithPushSeconds}::int end)`;

/**
 * How long a flow may be silent: three times the usual gap between its last posts that told something, a day at least,
 * for nights and weekends are silent too.
 */
export const flowSilence = sql`greatest(interval '1 day', 3 * (
  select percentile_cont(0.5) within group (order by gap) from (
    select h.at - lag(h.at) over (order by h.at) as gap from (
      select at from sync_history where source_id = s.id and action = 'ingest' order by at desc limit 30) h) g))`;

/**
 * A source is late when it has not been proven fresh for three of its intervals and a minute; one that flows post to,
 * when they are silent for longer than they usually are.
 */
export async function readStatus(db: Db): Promise<Status> {
  const sources = await sql<SourceStatus>`
    select s.id, s.kind, s.target_id || '/' || s.calendar_id as target, ${iso('s.fresh_at')} as "freshAt",
      case when coalesce((s.settings->>'isPaused')::boolean, false) then 'paused'
        when s.paused_code is not null then 'needs-operator'
        when s.failures > 0 then 'failing'
        when s.fresh_at is null then 'reading'
        when s.kind <> 'powerautomate'
          and s.fresh_at < now() - (3 * ${pollSeconds} + 60) * interval '1 second' then 'late'
        when s.kind = 'powerautomate' and s.fresh_at < now() - ${flowSilence} then 'late'
        else 'fresh' end as state,
      s.last_reading as "lastReading", s.drift, ${iso('s.compared_at')} as "comparedAt",
      coalesce(c.shown, 0)::int as shown, coalesce(c.hidden, 0)::int as hidden, coalesce(c.held, 0)::int as held,
      (select count(*)::int from stale_series x where x.source_id = s.id) as stale,
      s.failures, s.paused_code as code, s.paused_reason as reason, s.remedy,
      case when s.kind <> 'graph' then null when u.graph_id is null or u.expires_at <= now() then 'off'
        when not ${isHeard} then 'silent' when u.scope = 'mailbox' then 'mailbox' else 'live' end as push,
      case when s.slowed > 0 then to_char(s.slowed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end as "slowedAt",
      (select ${iso('r.window_to')} from stream r
        where r.source_id = s.id and r.kind = 'delta' and r.halvings > 0) as "readUntil",
      u.code as "pushCode", u.reason as "pushReason"
    from source s left join subscription u on u.source_id = s.id left join (
      select source_id, count(*) filter (where series is not null) as shown, count(*) filter (where series is null) as hidden,
        count(*) filter (where state = 'held') as held
      from claim group by source_id) c on c.source_id = s.id
    order by s.position, s.id`.execute(db);
  const targets = await sql<TargetStatus>`
    select t.id,
      case when t.paused_code is not null then 'needs-operator' when t.failures > 0 then 'failing'
        when coalesce(m.due, 0) > 0 then 'delivering' else 'current' end as state,
      coalesce(o.objects, 0)::int as objects, coalesce(m.due, 0)::int as due, coalesce(m.failed, 0)::int as failed,
      ${iso('t.last_write_at')} as "lastWriteAt", t.paused_code as code, t.paused_reason as reason, t.remedy
    from target t
      left join (select target_id, count(*) filter (where wanted_version > done_version) as due,
        count(*) filter (where code is not null) as failed from meeting group by target_id) m on m.target_id = t.id
      left join (select target_id, count(*) as objects from object group by target_id) o on o.target_id = t.id
    order by t.id`.execute(db);
  return { sources: sources.rows, targets: targets.rows };
}

export interface Activity {
  /** Lines of the history of the last 24 hours by action and status. */
  readonly last24Hours: readonly { readonly action: string; readonly status: string; readonly count: number }[];
  readonly trash: number;
  readonly databaseBytes: number;
  /** Series by how their self-check ended: `rule`, `zone`, `shifted`, `list`. Singles have none. */
  readonly checks: Readonly<Record<string, number>>;
}

export async function readActivity(db: Db): Promise<Activity> {
  const lines = await sql<{ action: string; status: string; count: number }>`
    select action, status, count(*)::int as count from sync_history where at > now() - interval '24 hours'
    group by action, status order by action, status`.execute(db);
  const rest = await sql<{ trash: number; bytes: string }>`
    select (select count(*)::int from trash where restored_at is null) as trash,
      pg_database_size(current_database())::text as bytes`.execute(db);
  return {
    last24Hours: lines.rows,
    trash: rest.rows[0]?.trash ?? 0,
    databaseBytes: Number(rest.rows[0]?.bytes ?? 0),
    checks: await readChecks(db),
  };
}

/** How many series each mode of the self-check shows, the likeliest first; a mode that none has is 0. */
export async function readChecks(db: Db): Promise<Readonly<Record<string, number>>> {
  const { rows } = await sql<{ mode: string; count: number }>`
    select "check"->>'mode' as mode, count(*)::int as count from claim where "check" is not null group by 1`.execute(
    db,
  );
  return { rule: 0, zone: 0, shifted: 0, list: 0, ...Object.fromEntries(rows.map(({ mode, count }) => [mode, count])) };
}

/** Series that show as single dates because no rule shows what the source shows, by source and reason. */
export interface ListedSeries {
  readonly source: string;
  /** A sentence without anything of the events' content. */
  readonly reason: string;
  readonly count: number;
}

export async function readListed(db: Db): Promise<ListedSeries[]> {
  const { rows } = await sql<ListedSeries>`
    select source_id as source, coalesce("check"->>'detail', '') as reason, count(*)::int as count from claim
    where "check"->>'mode' = 'list' group by 1, 2 order by 1, 2`.execute(db);
  return rows;
}

/** Whether the database answers within two seconds: who asks for health will not wait for longer. */
export async function answers(db: Db): Promise<boolean> {
  const asked = sql`select 1`.execute(db).then(
    () => true,
    () => false,
  );
  const patience = new AbortController();
  const late = pause(2_000, false, { signal: patience.signal }).catch(() => false);
  try {
    return await Promise.race([asked, late]);
  } finally {
    patience.abort();
  }
}
