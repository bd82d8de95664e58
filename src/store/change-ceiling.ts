import { sql } from 'kysely';
import type { Privacy } from '../calendar/privacy.ts';
import type { SourceConfig } from '../config/model.ts';
import { capped } from './ceiling.ts';
import { readAnew, rerenderTarget } from './configuration.ts';
import type { Db } from './database.ts';
import { recutClaims } from './recut-claims.ts';

const detail: Readonly<Record<Privacy, number>> = { busy: 0, title: 1, full: 2 };

/**
 * Sets what the tenant's administrator permits at most. Of its sources, those that showed more are cut down at once, with
 * all that is kept of them; those that may show more now are read anew. Call it in a transaction.
 */
export async function changeCeiling(db: Db, tenantId: string, ceiling: Privacy): Promise<void> {
  const before = await sql<{ ceiling: Privacy | null }>`
    select ceiling from tenant_access where tenant_id = ${tenantId} for update`.execute(db);
  const old = before.rows[0]?.ceiling ?? null;
  await sql`
    insert into tenant_access (tenant_id, ceiling, ceiling_at) values (${tenantId}, ${ceiling}, now())
    on conflict (tenant_id) do update set ceiling = excluded.ceiling, ceiling_at = now()`.execute(db);
  const sources = await sql<{ id: string; targetId: string; settings: SourceConfig }>`
    select id, target_id as "targetId", settings from source where tenant_id = ${tenantId} order by id for update`.execute(
    db,
  );
  for (const { id, targetId, settings } of sources.rows) {
    const [was, is] = [capped(settings, old), capped(settings, ceiling)];
    if (detail[is.privacy] < detail[was.privacy]) {
      await sql`
        update source set epoch = epoch + 1, wanted_version = wanted_version + 1 where id = ${id}`.execute(db);
      await recutClaims(db, id, was, is);
      await rerenderTarget(db, targetId);
    } else if (detail[is.privacy] > detail[was.privacy]) await readAnew(db, id);
  }
}
