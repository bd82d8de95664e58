import { sql } from 'kysely';
import type { Db } from './database.ts';

/** What is known of how a tenant's Graph answers; `json` as it was stored, null: nothing is. */
export interface StoredBehaviours {
  readonly json: unknown;
  /** When `probe` last asked. */
  readonly probedAt: Date | null;
}

export async function loadBehaviours(db: Db, tenantId: string): Promise<StoredBehaviours> {
  const found = await sql<{ json: unknown; probedAt: string | null }>`
    select behaviours as json, probed_at::text as "probedAt" from tenant_access where tenant_id = ${tenantId}`.execute(
    db,
  );
  const [row] = found.rows;
  const probedAt = row?.probedAt ?? null;
  return { json: row?.json ?? null, probedAt: probedAt === null ? null : new Date(probedAt) };
}

/**
 * Keeps what a probe found over what was known, of the app and directory that were asked; what it left open stays as it
 * was. False when the tenant is another one by now, and nothing was kept. Open sources take it up with their next run.
 */
export async function saveProbed(
  db: Db,
  tenant: { readonly id: string; readonly cloud: string; readonly directory: string; readonly client: string },
  behaviours: object,
  at: Date,
): Promise<boolean> {
  const saved = await sql`
    insert into tenant_access (tenant_id, behaviours, probed_at)
    select id, ${JSON.stringify(behaviours)}::jsonb, ${at.toISOString()} from tenant
      where id = ${tenant.id} and (cloud, directory, client) = (${tenant.cloud}, ${tenant.directory}, ${tenant.client})
    on conflict (tenant_id) do update set probed_at = excluded.probed_at,
      behaviours = coalesce(tenant_access.behaviours, '{}'::jsonb) || excluded.behaviours
    returning tenant_id`.execute(db);
  return saved.rows.length === 1;
}

/** Adds one thing that the reading met, over what a probe may have found. */
export async function saveMet(db: Db, tenantId: string, question: string, behaviour: object): Promise<void> {
  await sql`
    insert into tenant_access (tenant_id, behaviours)
    select id, jsonb_build_object(${question}::text, ${JSON.stringify(behaviour)}::jsonb) from tenant where id = ${tenantId}
    on conflict (tenant_id) do update set behaviours = coalesce(tenant_access.behaviours, '{}'::jsonb) || excluded.behaviours`.execute(
    db,
  );
}
