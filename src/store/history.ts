import { sql, type RawBuilder } from 'kysely';
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
  /** What the meeting is called where it shows now, with as much as its source may say; null: nowhere, or nothing. */
  readonly title: string | null;
  readonly href: string | null;
  readonly httpStatus: number | null;
  readonly code: string | null;
  readonly message: string | null;
  readonly durationMs: number | null;
  readonly counts: Record<string, number> | null;
}

/** Which lines of a log, newest first: of a span of time, and of those as many as make a page. */
export interface LogPage {
  readonly since?: Date | undefined;
  /** Exclusive. */
  readonly until?: Date | undefined;
  /** Only lines before this one: for the next page. */
  readonly before?: string | undefined;
  readonly limit: number;
}

export interface HistoryQuery extends LogPage {
  readonly status?: 'ok' | 'error' | undefined;
  readonly source?: string | undefined;
  readonly target?: string | undefined;
  readonly action?: string | undefined;
  /** The UID that the target shows. */
  readonly uid?: string | undefined;
}

const at = sql.raw(`to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`);

export async function readHistory(db: Db, query: HistoryQuery): Promise<HistoryRecord[]> {
  const { uid } = query;
  return readLog<HistoryRecord>(db, 'sync_history', query, {
    columns: sql`status, action, source_id as source, target_id as target, uid,
      (select c.series -> 'main' ->> 'summary' from meeting m join claim c on c.id = m.shown_claim_id
        where m.id = l.meeting_id) as title,
      href, http_status as "httpStatus", code, message, duration_ms as "durationMs", counts`,
    wanted: [
      ...is('status', query.status),
      ...is('source_id', query.source),
      ...is('target_id', query.target),
      ...is('action', query.action),
      ...(uid === undefined ? [] : [sql<boolean>`meeting_id in (select id from meeting where uid = ${uid})`]),
    ],
  });
}

function is(column: string, value: string | undefined): RawBuilder<boolean>[] {
  return value === undefined ? [] : [sql<boolean>`${sql.ref(column)} = ${value}`];
}

async function readLog<Line>(
  db: Db,
  log: 'sync_history' | 'audit',
  { since, until, before, limit }: LogPage,
  { columns, wanted }: { readonly columns: RawBuilder<unknown>; readonly wanted: readonly RawBuilder<boolean>[] },
): Promise<Line[]> {
  const table = sql.table(log);
  const conditions = [
    ...wanted,
    ...(since === undefined ? [] : [sql<boolean>`l.at >= ${since}`]),
    ...(until === undefined ? [] : [sql<boolean>`l.at < ${until}`]),
    ...(before === undefined
      ? []
      : [sql<boolean>`(l.at, l.id) < (select b.at, b.id from ${table} b where b.id = ${before}::bigint)`]),
  ];
  const where = conditions.length === 0 ? sql`` : sql`where ${sql.join(conditions, sql` and `)}`;
  const result = await sql<Line>`
    select id::text, ${at} as at, ${columns} from ${table} l ${where}
    order by l.at desc, l.id desc limit ${limit}`.execute(db);
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

export interface AuditQuery extends LogPage {
  readonly actor?: string | undefined;
  /** An action or the beginning of some: `config` means `config.add` too. */
  readonly action?: string | undefined;
  readonly subject?: string | undefined;
}

export async function readAudit(db: Db, query: AuditQuery): Promise<AuditRecord[]> {
  const { action } = query;
  return readLog<AuditRecord>(db, 'audit', query, {
    columns: sql`actor, action, subject, detail`,
    wanted: [
      ...is('actor', query.actor),
      ...(action === undefined ? [] : [sql<boolean>`(action = ${action} or starts_with(action, ${action} || '.'))`]),
      ...is('subject', query.subject),
    ],
  });
}
