import pg from 'pg';
import type { Clock } from '../../src/shared/clock.ts';

/** A time that only moves when it is told to, the same for whoever asks it and for a database. */
export interface ControlledClock extends Clock {
  advance(ms: number): Promise<void>;
}

/**
 * Makes `now()` in a database, which decides when things are due, tell a time of the test's; connections made from then
 * on see it. `clock_timestamp()`, by which leases go, runs on from there as time truly passes.
 */
export async function controlledClock(databaseUrl: string, startsAt: Date): Promise<ControlledClock> {
  let now = startsAt;
  const query = async (text: string, values: unknown[] = []): Promise<void> => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      await client.query(text, values);
    } finally {
      await client.end();
    }
  };
  const name = new URL(databaseUrl).pathname.slice(1);
  await query(`
    create table test_clock (at timestamptz not null, since timestamptz not null);
    insert into test_clock values ('${startsAt.toISOString()}', pg_catalog.clock_timestamp());
    create function public.now() returns timestamptz language sql stable as 'select at from public.test_clock';
    create function public.clock_timestamp() returns timestamptz language sql volatile as
      'select at + (pg_catalog.clock_timestamp() - since) from public.test_clock';
    alter database "${name}" set search_path = public, pg_catalog`);
  return {
    now: () => now,
    async advance(ms) {
      now = new Date(now.getTime() + ms);
      await query('update test_clock set at = $1, since = pg_catalog.clock_timestamp()', [now]);
    },
  };
}
