import { sql } from 'kysely';
import type { Privacy } from '../calendar/privacy.ts';
import type { Db } from './database.ts';

const detail: Readonly<Record<Privacy, number>> = { busy: 0, title: 1, full: 2 };

/** The rules with as much privacy as the tenant's administrator demands: what shows less holds. */
export function capped<Rules extends { readonly privacy: Privacy }>(rules: Rules, ceiling: Privacy | null): Rules {
  return ceiling === null || detail[rules.privacy] <= detail[ceiling] ? rules : { ...rules, privacy: ceiling };
}

/** Of a source `s`: what its tenant's administrator permits at most; null: nothing is set, or it has no tenant. */
export const sourceCeiling = sql<Privacy | null>`(select a.ceiling from tenant_access a where a.tenant_id = s.tenant_id)`;

export async function ceilingOf(db: Db, sourceId: string): Promise<Privacy | null> {
  const found = await sql<{ ceiling: Privacy | null }>`
    select ${sourceCeiling} as ceiling from source s where s.id = ${sourceId}`.execute(db);
  return found.rows[0]?.ceiling ?? null;
}
