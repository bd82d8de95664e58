import { sql } from 'kysely';
import type { Db } from './database.ts';

/** Failures that prove that access to a calendar was taken from us: by its administrator, or with the person's account. */
const withdrawing = new Set([
  'graph.access_denied',
  'graph.user_not_found',
  'graph.consent_missing',
  'graph.app_unknown',
  'graph.app_disabled',
]);

export function isWithdrawal(code: string): boolean {
  return withdrawing.has(code);
}

/** A reading failed so: proven now, and since when it first was. */
export async function recordWithdrawal(db: Db, sourceId: string, code: string): Promise<void> {
  await sql`
    insert into withdrawal (source_id, code, since, proven_at) values (${sourceId}, ${code}, now(), now())
    on conflict (source_id) do update set code = excluded.code, proven_at = now()`.execute(db);
}

/** The source was read again. */
export async function endWithdrawal(db: Db, sourceId: string): Promise<void> {
  await sql`delete from withdrawal where source_id = ${sourceId}`.execute(db);
}

export interface Withdrawn {
  readonly source: string;
  readonly tenant: string;
  readonly since: string;
  /** Days until its events go. */
  readonly daysLeft: number;
  readonly toldDays: number | null;
}

/**
 * Sources whose access is proven to be gone, whose events are still there and will go. Proven: the last try failed so, and
 * that was in the last three hours, for it is tried hourly.
 */
export async function withdrawnSources(db: Db): Promise<Withdrawn[]> {
  const found = await sql<Withdrawn>`
    select w.source_id as source, s.tenant_id as tenant,
      to_char(w.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since, w.told_days as "toldDays",
      ceil(t.keep_withdrawn_days - extract(epoch from now() - w.since) / 86400)::int as "daysLeft"
    from withdrawal w join source s on s.id = w.source_id join tenant t on t.id = s.tenant_id
    where t.keep_withdrawn_days > 0 and w.removed_at is null and s.paused_code = w.code
      and w.proven_at > now() - interval '3 hours'
    order by w.since, w.source_id`.execute(db);
  return found.rows;
}

export async function recordTold(db: Db, sourceId: string, days: number): Promise<void> {
  await sql`update withdrawal set told_days = ${days} where source_id = ${sourceId}`.execute(db);
}
