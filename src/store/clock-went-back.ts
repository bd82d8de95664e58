import { sql } from 'kysely';
import type { Db, Store } from './database.ts';

/** Between two looks at the clock less than that may be put down to the order in which processes write. */
const toleranceMs = 5_000;

/**
 * Whether the database's clock was set back, and then what waits for a moment goes on waiting as long as it would have:
 * without that nothing would be read, tried again or compared until the clock is again where it was. Returns by how many
 * milliseconds, up to `ttlMs` too many; 0: it was not, or another process has seen to it.
 *
 * Leases tell it, also to a service that was stopped meanwhile: one is taken every few seconds, and none is for longer
 * than `ttlMs`. Moments that others gave (the end of a subscription, of a secret) stay as they are.
 */
export async function followClockBack(store: Store, ttlMs: number): Promise<number> {
  if ((await aheadMs(store.db, ttlMs)) === 0) return 0;
  return store.transaction(async (db) => {
    await sql`select from lease order by name for update`.execute(db);
    const backMs = await aheadMs(db, ttlMs);
    if (backMs === 0) return 0;
    const back = sql`${backMs} * interval '1 millisecond'`;
    await sql`
      update lease set expires_at = clock_timestamp()
        + case when holder is null then interval '0' else ${ttlMs} * interval '1 millisecond' end
      where expires_at > clock_timestamp()`.execute(db);
    await sql`
      update source set next_poll_at = next_poll_at - ${back}, not_before = not_before - ${back},
        compare_at = compare_at - ${back}, fresh_at = least(fresh_at, clock_timestamp())`.execute(db);
    await sql`update stale_series set not_before = not_before - ${back} where not_before is not null`.execute(db);
    await sql`update meeting set not_before = not_before - ${back} where not_before is not null`.execute(db);
    await sql`update intent set settle_at = settle_at - ${back}`.execute(db);
    await sql`update target set not_before = not_before - ${back} where not_before is not null`.execute(db);
    await sql`
      update target_calendar set checked_at = checked_at - ${back}, listed_at = listed_at - ${back}`.execute(db);
    await sql`update tenant_access set next_try_at = next_try_at - ${back}`.execute(db);
    await sql`update alarm_notice set not_before = not_before - ${back} where sent_at is null`.execute(db);
    return backMs;
  });
}

async function aheadMs(db: Db, ttlMs: number): Promise<number> {
  const found = await sql<{ ms: number | null }>`
    select max(extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 as ms from lease`.execute(db);
  const ms = found.rows[0]?.ms ?? 0;
  return ms > ttlMs + toleranceMs ? Math.round(ms) : 0;
}
