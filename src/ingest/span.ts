import { expandSeries } from '../calendar/expand.ts';
import type { Entry, Series } from '../calendar/series.ts';
import { toInstant } from '../calendar/zones.ts';

export interface Span {
  /** Instant of the first start. */
  readonly first: string;
  /** Instant after which nothing of it happens; null for an endless series. */
  readonly last: string | null;
}

const farPast = '0001-01-01T00:00:00Z';
const farFuture = '9999-12-31T00:00:00Z';

/** From when to when a series can show anything, for windows and for the guard. Pure. */
export function spanOf(series: Series): Span {
  const entries = [
    series.main,
    ...series.overrides.map((override) => override.entry),
    ...(series.list ?? []).map((one) => one.entry),
  ];
  const first = Math.min(...entries.map((entry) => toInstant(entry.start).getTime()));
  const rule = series.recurrence?.rule ?? '';
  if (series.recurrence !== null && series.list === null && !/COUNT=|UNTIL=/.test(rule))
    return { first: iso(first), last: null };
  const ends = entries.map(endOf);
  if (series.recurrence !== null && series.list === null)
    for (const instance of expandSeries(series, { from: farPast, to: farFuture })) ends.push(Date.parse(instance.end));
  return { first: iso(first), last: iso(Math.max(...ends)) };
}

function endOf(entry: Entry): number {
  return toInstant(entry.end ?? entry.start).getTime();
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
