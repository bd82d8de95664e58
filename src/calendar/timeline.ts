/** A recurring series on the time line: its occurrences as slots, before overrides and cancellations are looked at. */
import { dayOfSeconds, daySeconds, formatDay, formatLocal } from './civil.ts';
import { occurrences } from './recurrence.ts';
import type { Rule, Until } from './rule.ts';
import { parseRule } from './rule.ts';
import type { Entry, Moment, Series } from './series.ts';
import { wallSeconds } from './slot-key.ts';
import { instantSeconds, localSeconds, momentSeconds } from './zones.ts';

export interface Timeline {
  readonly start: Moment;
  /** Null: the series has no rule that can be understood and happens once (and on its extra dates). */
  readonly rule: Rule | null;
  readonly clampedDay: 29 | 30 | null;
  readonly startWall: number;
  readonly lastWall: number | null;
}

export function timelineOf(series: Series): Timeline {
  const { start } = series.main;
  const rule = series.recurrence === null ? null : parseRule(series.recurrence.rule);
  return {
    start,
    rule,
    clampedDay: rule?.frequency === 'MONTHLY' ? (series.recurrence?.clampedDay ?? null) : null,
    startWall: wallSeconds(start),
    lastWall: rule?.until ? lastWall(rule.until, start) : null,
  };
}

/**
 * UNTIL on the series' wall clock. Lenient with programs that write it in the wrong form: a date on a timed series
 * means that whole day, a time on an all-day series its date.
 */
function lastWall(until: Until, start: Moment): number {
  if (start.kind === 'date') return dayOfSeconds(until.wall) * daySeconds;
  if (until.form === 'date') return until.wall + daySeconds - 1;
  return until.form === 'utc' && start.kind === 'zoned' ? localSeconds(until.wall, start.zone) : until.wall;
}

/** The wall clocks of all slots from `fromWall` on, in order; see `occurrences` for its limits. */
export function walls(timeline: Timeline, fromWall = -Infinity): Iterable<number> {
  const { rule, startWall, lastWall, clampedDay } = timeline;
  if (rule === null) return startWall >= fromWall ? [startWall] : [];
  return occurrences({ start: startWall, rule, lastWall, clampedDay }, fromWall);
}

/** The instant of a wall clock of the series, in seconds; dates and floating times by convention as if in UTC. */
export function instantOfWall(wall: number, start: Moment): number {
  return start.kind === 'zoned' ? instantSeconds(wall, start.zone) : wall;
}

/** The wall clock of the series at an instant. */
export function wallOfInstant(at: number, start: Moment): number {
  return start.kind === 'zoned' ? localSeconds(at, start.zone) : at;
}

/** The key (`slotKey`) of the slot at a wall clock of the series. */
export function slotAt(wall: number, start: Moment): string {
  if (start.kind === 'date') return formatDay(dayOfSeconds(wall));
  return start.kind === 'floating' ? formatLocal(wall) : `${formatLocal(instantOfWall(wall, start))}Z`;
}

/**
 * Exact length in seconds, never negative. An all-day entry lasts at least a day; a timed one without an end, or one
 * that ends before it starts, has none. An end of the other kind (a date of a timed entry) says nothing.
 */
export function durationOf({ start, end }: Entry): number {
  const isAllDay = start.kind === 'date';
  const shortest = isAllDay ? daySeconds : 0;
  if (end === null || (end.kind === 'date') !== isAllDay) return shortest;
  return Math.max(shortest, momentSeconds(end) - momentSeconds(start));
}
