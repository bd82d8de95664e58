import { sql } from 'kysely';
import type { Db } from './database.ts';

/** One line of `sync_history`: a write, or a decision that left something out. Never a subject or a body. */
export interface HistoryEntry {
  readonly status: 'ok' | 'error';
  /** `ingest`, `rebuild`, `create`, `update`, `delete`, `hold`, `settle`, `pause`, `resume`… */
  readonly action: string;
  readonly sourceId?: string;
  readonly targetId?: string;
  readonly meetingId?: string;
  readonly uid?: string;
  readonly href?: string;
  readonly httpStatus?: number;
  readonly code?: string;
  readonly message?: string;
  readonly durationMs?: number;
  readonly counts?: Readonly<Record<string, number>>;
}

export async function recordHistory(db: Db, entry: HistoryEntry): Promise<void> {
  await sql`
    insert into sync_history (at, status, action, source_id, target_id, meeting_id, uid, href, http_status, code, message,
      duration_ms, counts)
    values (clock_timestamp(), ${entry.status}, ${entry.action}, ${entry.sourceId ?? null}, ${entry.targetId ?? null},
      ${entry.meetingId ?? null}, ${entry.uid ?? null}, ${entry.href ?? null}, ${entry.httpStatus ?? null},
      ${entry.code ?? null}, ${entry.message ?? null}, ${entry.durationMs ?? null},
      ${entry.counts === undefined ? null : JSON.stringify(entry.counts)}::jsonb)`.execute(db);
}

export interface HistoryRecord {
  readonly id: string;
  readonly at: string;
  readonly status: 'ok' | 'error';
  readonly action: string;
  readonly source: string | null;
  readonly target: string | null;
  readonly uid: string | null;
  readonly href: string | null;
  readonly httpStatus: number | null;
  readonly code: string | null;
  readonly message: string | null;
  readonly durationMs: number | null;
  readonly counts: Record<string, number> | null;
}

export interface HistoryQuery {
  readonly status?: 'ok' | 'error' | undefined;
  readonly source?: string | undefined;
  readonly target?: string | undefined;
  readonly action?: string | undefined;
  /** The UID that the target shows. */
  readonly uid?: string | undefined;
  readonly since?: Date | undefined;
  /** Exclusive. */
  readonly until?: Date | undefined;
  /** Only lines before this one: for the next page. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function readHistory(db: Db, query: HistoryQuery): Promise<HistoryRecord[]> {
  const result = await sql<HistoryRecord>`
    select id::text, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at, status, action, source_id as source,
      target_id as target, uid, href, http_status as "httpStatus", code, message, duration_ms as "durationMs", counts
    from sync_history
    where (${query.status ?? null}::text is null or status = ${query.status ?? null})
      and (${query.source ?? null}::text is null or source_id = ${query.source ?? null})
      and (${query.target ?? null}::text is null or target_id = ${query.target ?? null})
      and (${query.action ?? null}::text is null or action = ${query.action ?? null})
      and (${query.uid ?? null}::text is null or meeting_id in (select id from meeting where uid = ${query.uid ?? null}))
      and (${query.since ?? null}::timestamptz is null or at >= ${query.since ?? null})
      and (${query.until ?? null}::timestamptz is null or at < ${query.until ?? null})
      and (${query.before ?? null}::bigint is null or (sync_history.at, sync_history.id) < (
        select h.at, h.id from sync_history h where h.id = ${query.before ?? null}::bigint))
    order by sync_history.at desc, id desc limit ${query.limit}`.execute(db);
  return result.rows;
}

/** Who changed what. The table takes lines and loses none: the database refuses every other change of it. */
export async function recordAudit(
  db: Db,
  entry: { actor: string; action: string; subject: string; detail?: unknown },
): Promise<void> {
  await sql`
    insert into audit (at, actor, action, subject, detail)
    values (clock_timestamp(), ${entry.actor}, ${entry.action}, ${entry.subject},
      ${entry.detail === undefined ? null : JSON.stringify(entry.detail)}::jsonb)`.execute(db);
}

export interface AuditRecord {
  readonly id: string;
  readonly at: string;
  /** `cli`, `api`, `web`, or `start` for what a starting service applied from its file. */
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly detail: unknown;
}

export interface AuditQuery {
  readonly actor?: string | undefined;
  /** An action or the beginning of some: `config` means `config.add` too. */
  readonly action?: string | undefined;
  readonly subject?: string | undefined;
  readonly since?: Date | undefined;
  /** Exclusive. */
  readonly until?: Date | undefined;
  /** Only lines before this one: for the next page. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function readAudit(db: Db, query: AuditQuery): Promise<AuditRecord[]> {
  const result = await sql<AuditRecord>`
    select id::text, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at, actor, action, subject, detail
    from audit
    where (${query.actor ?? null}::text is null or actor = ${query.actor ?? null})
      and (${query.action ?? null}::text is null or action = ${query.action ?? null}
        or starts_with(action, ${query.action ?? null} || '.'))
      and (${query.subject ?? null}::text is null or subject = ${query.subject ?? null})
      and (${query.since ?? null}::timestamptz is null or at >= ${query.since ?? null})
      and (${query.until ?? null}::timestamptz is null or at < ${query.until ?? null})
      and (${query.before ?? null}::bigint is null or audit.id < ${query.before ?? null}::bigint)
    order by audit.id desc limit ${query.limit}`.execute(db);
  return result.rows;
}
