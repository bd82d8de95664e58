import { sql } from 'kysely';
import { removeEntry } from './configuration.ts';
import type { Db } from './database.ts';
import { recordAudit } from './history.ts';
import { wantMeetings } from './meetings.ts';
import { purgeWords } from './recut-claims.ts';

/** What was removed, by table. */
export type Removed = Readonly<Record<string, number>>;

export interface ForgottenSource {
  readonly id: string;
  readonly mailbox: string | null;
  readonly target: string;
}

/** The sources of a tenant; null: there is no such tenant, nor anything of it. */
export async function sourcesOfTenant(db: Db, tenantId: string): Promise<ForgottenSource[] | null> {
  const found = await sql<ForgottenSource>`
    select id, settings->>'mailbox' as mailbox, target_id as target from source where tenant_id = ${tenantId}
    order by position, id`.execute(db);
  if (found.rows.length > 0) return found.rows;
  const rest = await sql<{ there: boolean }>`
    select exists (select from tenant where id = ${tenantId}) or exists (select from subscription where tenant_id = ${tenantId})
      as there`.execute(db);
  return rest.rows[0]?.there === true ? [] : null;
}

/** One source, of whatever kind; null: there is none of this name. */
export async function sourceToForget(db: Db, id: string): Promise<ForgottenSource | null> {
  const found = await sql<ForgottenSource>`
    select id, settings->>'mailbox' as mailbox, target_id as target from source where id = ${id}`.execute(db);
  return found.rows[0] ?? null;
}

/**
 * Ends sources with all that is kept of their words: claims, trash and what was restored from it,
 * conflicts, history, cursors. What only they showed is marked: it leaves the targets at the next delivery, past the
 * ceiling and without a trace in the trash. The tenant's own rows stay, so that Graph can still be told. Inside the
 * caller's transaction.
 */
export async function endSources(db: Db, sources: readonly ForgottenSource[], actor: string): Promise<Removed> {
  const removed = new Map<string, number>();
  const ids = sources.map(({ id }) => id);
  const meetings = await sql<{ id: string }>`
    select id::text from meeting where shown_source_id = any(${ids}) or pinned_source_id = any(${ids})
      or id in (select meeting_id from claim where source_id = any(${ids}))
      or id in (select meeting_id from trash where source_id = any(${ids}))`.execute(db);
  const meetingIds = meetings.rows.map(({ id }) => id);
  const kept = await countWords(db, ids, meetingIds);
  for (const id of ids) {
    await purgeWords(db, id);
    for (const [table, count] of Object.entries(await deleteRowsOf(db, 'source_id', id)))
      if (!(table in kept)) add(removed, table, count);
    await removeEntry(db, 'source', id);
    await recordAudit(db, { actor, action: 'source.forget', subject: `sources/${id}` });
  }
  await sql`delete from sync_history where meeting_id = any(${meetingIds}::bigint[])`.execute(db);
  await sql`delete from conflict where meeting_id = any(${meetingIds}::bigint[])`.execute(db);
  await sql`delete from lease where name = any(${ids.map((id) => `source:${id}`)})`.execute(db);
  await sql`
    update meeting m set pinned_source_id = case when pinned_source_id = any(${ids}) then null else pinned_source_id end,
      is_forgotten = not exists (select from claim c where c.meeting_id = m.id and c.series is not null)
    where m.id = any(${meetingIds}::bigint[])`.execute(db);
  // What was held of them, or put off, goes as well.
  await sql`
    delete from removal r using meeting m
    where m.id = any(${meetingIds}::bigint[]) and m.is_forgotten and r.source_id = 'target:' || m.target_id
      and r.claim_key = m.uid`.execute(db);
  await wantMeetings(db, meetingIds);
  return { ...kept, ...Object.fromEntries(removed), source: ids.length };
}

async function countWords(
  db: Db,
  ids: readonly string[],
  meetingIds: readonly string[],
): Promise<Record<string, number>> {
  const found = await sql<{ claim: number; trash: number; conflict: number; history: number }>`
    select (select count(*)::int from claim where source_id = any(${ids})) as claim,
      (select count(*)::int from trash where source_id = any(${ids})
        or meeting_id in (select meeting_id from claim where source_id = any(${ids}))) as trash,
      (select count(*)::int from conflict where meeting_id = any(${meetingIds}::bigint[])) as conflict,
      (select count(*)::int from sync_history where source_id = any(${ids}) or meeting_id = any(${meetingIds}::bigint[]))
        as history`.execute(db);
  const row = found.rows[0];
  return {
    claim: row?.claim ?? 0,
    trash: row?.trash ?? 0,
    conflict: row?.conflict ?? 0,
    sync_history: row?.history ?? 0,
  };
}

/** The tenant itself: credentials, sign-ins, links, subscriptions, whatever table has rows of it. */
export async function endTenant(db: Db, tenantId: string, actor: string): Promise<Removed> {
  const rows = await deleteRowsOf(db, 'tenant_id', tenantId);
  await sql`
    delete from lease where name = ${`push:${tenantId}`} or starts_with(name, ${`mailbox:${tenantId}/`})`.execute(db);
  const tenant = await sql<{ id: string }>`delete from tenant where id = ${tenantId} returning id`.execute(db);
  await recordAudit(db, { actor, action: 'tenant.forget', subject: `tenants/${tenantId}` });
  return { ...rows, tenant: tenant.rows.length };
}

/**
 * Deletes the rows of every table that has this column: none that is added later can be left out. Subscriptions go with
 * the tenant: until then Graph can be told.
 */
async function deleteRowsOf(db: Db, column: 'source_id' | 'tenant_id', id: string): Promise<Record<string, number>> {
  const tables = await sql<{ name: string }>`
    select c.table_name as name from information_schema.columns c
      join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
    where c.table_schema = current_schema() and c.column_name = ${column} and t.table_type = 'BASE TABLE'
      and c.table_name not in ('source', 'claim')
      and not (c.column_name = 'source_id' and c.table_name = 'subscription') order by 1`.execute(db);
  const removed: Record<string, number> = {};
  for (const { name } of tables.rows) {
    const gone = await sql`delete from ${sql.table(name)} where ${sql.ref(column)} = ${id}`.execute(db);
    removed[name] = Number(gone.numAffectedRows ?? 0);
  }
  return removed;
}

function add(removed: Map<string, number>, table: string, count: number): void {
  removed.set(table, (removed.get(table) ?? 0) + count);
}

/** Entries of forgotten tenants that still stand in targets, by target. */
export async function forgottenEntries(db: Db): Promise<ReadonlyMap<string, number>> {
  const found = await sql<{ target: string; count: number }>`
    select m.target_id as target, count(*)::int as count from meeting m
    where m.is_forgotten and (exists (select from object o where o.meeting_id = m.id)
      or exists (select from intent i where i.meeting_id = m.id))
    group by m.target_id order by m.target_id`.execute(db);
  return new Map(found.rows.map(({ target, count }) => [target, count]));
}

/** Lets go of meetings of forgotten tenants that stand nowhere any more, with what was written of their end. */
export async function dropForgotten(db: Db): Promise<number> {
  const found = await sql<{ id: string }>`
    delete from meeting m where m.is_forgotten
      and not exists (select from claim c where c.meeting_id = m.id)
      and not exists (select from object o where o.meeting_id = m.id)
      and not exists (select from intent i where i.meeting_id = m.id)
    returning id::text`.execute(db);
  await sql`delete from sync_history where meeting_id = any(${found.rows.map(({ id }) => id)}::bigint[])`.execute(db);
  return found.rows.length;
}
