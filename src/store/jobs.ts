import { sql } from 'kysely';
import type { Db } from './database.ts';
import { wantMeetings } from './meetings.ts';
import { wantReading } from './sources.ts';

/** Work that failed: it is tried again at `nextAt`, or (`failed`) not before it changes or somebody asks for it. */
export interface FailedJob {
  /** `source:…`, `series:<source>/<key>`, `target:…`, `meeting:…`, `subscription:…`, `notice:…` */
  readonly id: string;
  readonly state: 'retrying' | 'needs-operator' | 'failed';
  readonly code: string | null;
  readonly reason: string | null;
  readonly remedy: string | null;
  readonly failures: number;
  readonly nextAt: string | null;
}

const iso = (expression: string) => sql.raw(`to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`);

/** Those that a person must see to first; then by id. `kind` null: all kinds. */
export async function failedJobs(db: Db, limit: number): Promise<FailedJob[]> {
  const { rows } = await sql<FailedJob>`
    select * from (
      select 'source:' || id as id, case when paused_code is null then 'retrying' else 'needs-operator' end as state,
        coalesce(paused_code, last.code) as code, coalesce(paused_reason, last.message) as reason, remedy, failures,
        ${iso('not_before')} as "nextAt"
      from source s left join lateral (
        select code, message from sync_history h where h.source_id = s.id and h.status = 'error' order by at desc limit 1) last on true
      where failures > 0 or paused_code is not null
      union all
      select 'series:' || source_id || '/' || key, 'retrying', code, reason, null, failures, ${iso('not_before')}
      from stale_series where failures > 0
      union all
      select 'target:' || id, case when paused_code is null then 'retrying' else 'needs-operator' end,
        coalesce(paused_code, last.code), coalesce(paused_reason, last.message), remedy, failures, ${iso('not_before')}
      from target t left join lateral (
        select code, message from sync_history h where h.target_id = t.id and h.source_id is null and h.status = 'error'
        order by at desc limit 1) last on true
      where failures > 0 or paused_code is not null
      union all
      select 'meeting:' || id, case when wanted_version > done_version then 'retrying' else 'failed' end, code, reason, null,
        failures, case when wanted_version > done_version then ${iso('not_before')} end
      from meeting where code is not null and code <> 'deliver.deletion_held'
      union all
      select 'subscription:' || source_id, 'retrying', code, reason, null, failures, ${iso('not_before')}
      from subscription where graph_id is null and code is not null
      union all
      select 'notice:' || id, 'retrying', 'alarm.not_delivered', failure, null, attempts, ${iso('not_before')}
      from alarm_notice where sent_at is null and failure is not null) j
    order by array_position(array['needs-operator', 'failed', 'retrying'], j.state), j.id limit ${limit}`.execute(db);
  return rows;
}

/** What is under way: leases that are held, with their holders. */
export async function runningJobs(db: Db): Promise<{ readonly name: string; readonly holder: string }[]> {
  const { rows } = await sql<{ name: string; holder: string }>`
    select name, holder from lease
    where holder is not null and expires_at > clock_timestamp() and name !~ '^mailbox:' order by name`.execute(db);
  return rows;
}

/** What a retry makes due: sources to read, targets to write. */
export interface Retried {
  readonly sources: readonly string[];
  readonly targets: readonly string[];
}

/**
 * What waits for the operator is tried now, not with its hourly probe: somebody seems to have mended something. All of
 * it, or one `source:<id>` or `target:<id>`. A target that waits for approval after a restore goes on waiting.
 */
export async function tryPaused(db: Db, id: string | null = null): Promise<Retried> {
  const sources = await sql<{ id: string }>`
    update source set not_before = null where paused_code is not null and not_before > now()
      and (${id}::text is null or 'source:' || id = ${id}) returning id`.execute(db);
  const targets = await sql<{ id: string }>`
    update target set not_before = null where paused_code is not null and not_before > now() and review is null
      and (${id}::text is null or 'target:' || id = ${id}) returning id`.execute(db);
  return { sources: sources.rows.map((row) => row.id), targets: targets.rows.map((row) => row.id) };
}

/** Makes a failed job due now. Null: there is none of that id. */
export async function retryJob(db: Db, id: string): Promise<Retried | null> {
  const [, kind, name] = /^(\w+):(.+)$/s.exec(id) ?? [];
  if (name === undefined) return null;
  switch (kind) {
    case 'source': {
      if (!(await wantReading(db, name))) return null;
      await sql`update source set not_before = null where id = ${name}`.execute(db);
      return { sources: [name], targets: [] };
    }
    case 'series': {
      const { rows } = await sql<{ source: string }>`
        update stale_series set not_before = null where source_id || '/' || key = ${name} returning source_id as source`.execute(
        db,
      );
      return rows.length === 0 ? null : { sources: rows.map(({ source }) => source), targets: [] };
    }
    case 'target': {
      const { rows } = await sql`update target set not_before = null where id = ${name} returning id`.execute(db);
      return rows.length === 0 ? null : { sources: [], targets: [name] };
    }
    case 'meeting': {
      if (!/^\d{1,18}$/.test(name)) return null;
      const { rows } = await sql<{ target: string }>`
        select target_id as target from meeting where id = ${name}`.execute(db);
      await wantMeetings(db, [name]);
      return rows.length === 0 ? null : { sources: [], targets: rows.map(({ target }) => target) };
    }
    case 'subscription': {
      const { rows } = await sql`
        update subscription set not_before = null where source_id = ${name} returning source_id`.execute(db);
      return rows.length === 0 ? null : { sources: [], targets: [] };
    }
    case 'notice': {
      if (!/^\d{1,18}$/.test(name)) return null;
      const { rows } = await sql`
        update alarm_notice set not_before = null where id = ${name} and sent_at is null returning id`.execute(db);
      return rows.length === 0 ? null : { sources: [], targets: [] };
    }
    default:
      return null;
  }
}
