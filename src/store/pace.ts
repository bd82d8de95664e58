import { sql } from 'kysely';
import type { Db } from './database.ts';

/** How many readings of a tenant may run at a time, and when it last asked for fewer; null: never. */
export interface TenantPace {
  readonly tenant: string;
  readonly atATime: number;
  readonly throttledAt: string | null;
}

export async function readPaces(db: Db): Promise<TenantPace[]> {
  const { rows } = await sql<TenantPace>`
    select tenant_id as tenant, floor(cap)::int as "atATime",
      to_char(throttled_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "throttledAt"
    from tenant_pace order by tenant_id`.execute(db);
  return rows;
}
