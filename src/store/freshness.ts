import { sql } from 'kysely';
import type { Db } from './database.ts';

/** Milliseconds below which so many of a hundred changes stayed; null: none was measured. */
export interface Percentiles {
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** How long changes of a source took until they were written, over the last 24 hours. */
export interface Freshness {
  readonly source: string;
  readonly changes: number;
  /** From the change in the source, by its own time stamp (whole seconds in Outlook's case). */
  readonly sinceChange: Percentiles;
  /** From the first notification of it; only of those that were told. */
  readonly sinceNotification: Percentiles;
  /** From the moment it was read and stored. */
  readonly sinceReading: Percentiles;
}

/** Sources without a change in that time are missing. */
export async function readFreshness(db: Db): Promise<Freshness[]> {
  const of = (column: string) => sql.raw(`percentile_cont(array[0.5, 0.95, 0.99]) within group (order by ${column})`);
  const { rows } = await sql<{ source: string; changes: number; change: Cuts; told: Cuts; read: Cuts }>`
    select source_id as source, count(*)::int as changes, ${of('change_ms')} as change, ${of('told_ms')} as told,
      ${of('read_ms')} as read
    from freshness where at > now() - interval '24 hours' group by source_id order by source_id`.execute(db);
  return rows.map(({ source, changes, change, told, read }) => ({
    source,
    changes,
    sinceChange: percentiles(change),
    sinceNotification: percentiles(told),
    sinceReading: percentiles(read),
  }));
}

type Cuts = readonly (number | null)[] | null;

function percentiles(cuts: Cuts): Percentiles {
  const [p50, p95, p99] = (cuts ?? []).map((ms) => (ms === null ? null : Math.round(ms)));
  return { p50: p50 ?? null, p95: p95 ?? null, p99: p99 ?? null };
}
