import {
  civilOf,
  daysOf,
  formatDay,
  monthLength,
  tryParseLocal,
  dayOfSeconds,
  weekdayOf,
} from '../../calendar/civil.ts';
import type { Recurrence } from '../../calendar/series.ts';
import type { WirePattern, WireRange } from './wire.ts';

export interface PatternTimes {
  /** The series counts in whole days. */
  readonly isAllDay: boolean;
  /** First date where the range does not tell one: the local date of the master's start. */
  readonly startDate: string;
  /** The end of a local day (23:59:59) of the series' zone as `20260520T035959Z`. */
  endOfDay(date: string): string;
}

export type PatternOf =
  | {
      readonly kind: 'rule';
      readonly recurrence: Recurrence;
      /** The first date that the pattern hits, on or after the range's start: DTSTART must be one of the set. */
      readonly firstDate: string;
    }
  | { readonly kind: 'unknown'; readonly reason: string };

const WEEKDAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
const CODES = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'] as const;
const INDEXES: Readonly<Record<string, number>> = { first: 1, second: 2, third: 3, fourth: 4, last: -1 };
/** Exchange writes "no end" as a date in 4500. */
const ENDLESS_YEAR = 4_500;

/**
 * A Graph recurrence as RFC 5545's. Graph fills the fields that a type does not use with noise, so that each type reads
 * only its own. Exchange clamps day 29 and 30 to short months' last day, which is said by `clampedDay`. Never throws: a
 * pattern of an unknown type comes back with a reason. Source: `recurrencepattern.md`, `recurrencerange.md`; MS-OXCICAL
 * section 2.1.3.2 for day 31 and sets of weekdays.
 */
export function recurrenceOf(pattern: WirePattern, range: WireRange, times: PatternTimes): PatternOf {
  const startsOn = dayOf(range.startDate) ?? dayOf(times.startDate);
  if (startsOn === null) return { kind: 'unknown', reason: 'its range has no readable start date' };
  const shape = shapeOf(pattern, startsOn);
  if (shape === null) return { kind: 'unknown', reason: `its pattern type ${pattern.type ?? 'none'} is not known` };

  const firstDay = shape.firstFrom(startsOn);
  return {
    kind: 'rule',
    firstDate: formatDay(firstDay),
    recurrence: { rule: [...shape.parts, ...limit(range, times)].join(';'), clampedDay: shape.clampedDay, extra: [] },
  };
}

interface Shape {
  readonly parts: readonly string[];
  readonly clampedDay: 29 | 30 | null;
  /** First hit on or after a day, phases counted from the period of that day. */
  firstFrom(day: number): number;
}

function shapeOf(pattern: WirePattern, startsOn: number): Shape | null {
  const interval = whole(pattern.interval, 1, 9_999) ?? 1;
  switch (pattern.type?.toLowerCase()) {
    case 'daily':
      return shape('DAILY', interval, [], null, (day) => day);
    case 'weekly':
      return weekly(pattern, interval, startsOn);
    case 'absolutemonthly':
      return absoluteMonthly(dayOfMonth(pattern, startsOn), interval);
    case 'relativemonthly':
      return relativeMonthly(pattern, interval, startsOn);
    case 'absoluteyearly':
      return absoluteYearly(dayOfMonth(pattern, startsOn), month(pattern, startsOn), interval);
    case 'relativeyearly':
      return relativeYearly(pattern, month(pattern, startsOn), interval, startsOn);
    default:
      return null;
  }
}

function weekly(pattern: WirePattern, interval: number, startsOn: number): Shape {
  const weekStart = weekdayNumber(pattern.firstDayOfWeek) ?? 6;
  const days = weekdays(pattern, startsOn);
  const codes = days.map((day) => CODES[day]).join(',');
  return shape('WEEKLY', interval, [`WKST=${CODES[weekStart] ?? 'SU'}`, `BYDAY=${codes}`], null, (day) => {
    const firstOfWeek = day - ((weekdayOf(day) - weekStart + 7) % 7);
    const hit = (from: number): number | undefined =>
      days
        .map((each) => from + ((each - weekStart + 7) % 7))
        .sort((a, b) => a - b)
        .find((each) => each >= day);
    return hit(firstOfWeek) ?? hit(firstOfWeek + 7 * interval) ?? day;
  });
}

function absoluteMonthly(day: number, interval: number): Shape {
  const clampedDay = day === 29 || day === 30 ? day : null;
  const part = `BYMONTHDAY=${day === 31 ? -1 : day}`;
  return shape(
    'MONTHLY',
    interval,
    [part],
    clampedDay,
    byMonths(interval, (year, at) => clamp(year, at, day)),
  );
}

function relativeMonthly(pattern: WirePattern, interval: number, startsOn: number): Shape {
  const { days, index } = relative(pattern, startsOn);
  return shape(
    'MONTHLY',
    interval,
    nth(days, index),
    null,
    byMonths(interval, (y, m) => nthDay(y, m, days, index)),
  );
}

function absoluteYearly(day: number, at: number, interval: number): Shape {
  // A day that the month reaches only sometimes, or never, means its last.
  const part = day >= (at === 2 ? 29 : monthLength(2023, at)) ? -1 : day;
  const first = byMonths(12 * interval, (year, m) => clamp(year, m, day), at);
  return shape('YEARLY', interval, [`BYMONTH=${at}`, `BYMONTHDAY=${part}`], null, first);
}

function relativeYearly(pattern: WirePattern, at: number, interval: number, startsOn: number): Shape {
  const { days, index } = relative(pattern, startsOn);
  const first = byMonths(12 * interval, (y, m) => nthDay(y, m, days, index), at);
  // Android applies BYSETPOS to monthly rules only.
  if (days.length > 1 && days.length < 7) return shape('MONTHLY', 12 * interval, nth(days, index), null, first);
  return shape('YEARLY', interval, [`BYMONTH=${at}`, ...nth(days, index)], null, first);
}

function shape(
  frequency: string,
  interval: number,
  parts: readonly string[],
  clampedDay: 29 | 30 | null,
  firstFrom: (day: number) => number,
): Shape {
  const head = interval > 1 ? [`FREQ=${frequency}`, `INTERVAL=${interval}`] : [`FREQ=${frequency}`];
  return { parts: [...head, ...parts], clampedDay, firstFrom };
}

/** BYDAY and BYSETPOS of "the k-th of these days"; all seven days make a day of the month. */
function nth(days: readonly number[], index: number): string[] {
  const codes = days.map((day) => CODES[day]).join(',');
  if (days.length === 1) return [`BYDAY=${index}${codes}`];
  return days.length === 7 ? [`BYMONTHDAY=${index}`] : [`BYDAY=${codes}`, `BYSETPOS=${index}`];
}

/** Steps through months from the one of the start (or its year's month `fixed`) to the first hit. */
function byMonths(step: number, hit: (year: number, month: number) => number, fixed?: number) {
  return (day: number): number => {
    const start = civilOf(day);
    let index = start.year * 12 + (fixed ?? start.month) - 1;
    // The first hit is at most one step away.
    for (let tries = 0; tries < 3; tries += 1, index += step) {
      const found = hit(Math.floor(index / 12), (index % 12) + 1);
      if (found >= day) return found;
    }
    return day;
  };
}

function clamp(year: number, at: number, day: number): number {
  return daysOf(year, at, Math.min(day, monthLength(year, at)));
}

function nthDay(year: number, at: number, days: readonly number[], index: number): number {
  const first = daysOf(year, at, 1);
  const hits = Array.from({ length: monthLength(year, at) }, (_, offset) => first + offset).filter((day) =>
    days.includes(weekdayOf(day)),
  );
  return hits.at(index > 0 ? index - 1 : index) ?? first;
}

function limit(range: WireRange, times: PatternTimes): string[] {
  if (range.type === 'numbered') {
    const count = whole(range.numberOfOccurrences, 1, 1_000_000);
    return count === null ? [] : [`COUNT=${count}`];
  }
  if (range.type !== 'endDate') return [];
  const lastDay = dayOf(range.endDate);
  if (lastDay === null) return [];
  const { year } = civilOf(lastDay);
  if (year <= 1 || year >= ENDLESS_YEAR) return [];
  const date = formatDay(lastDay);
  return [`UNTIL=${times.isAllDay ? date.replaceAll('-', '') : times.endOfDay(date)}`];
}

function relative(pattern: WirePattern, startsOn: number): { days: number[]; index: number } {
  return { days: weekdays(pattern, startsOn), index: INDEXES[pattern.index?.toLowerCase() ?? ''] ?? 1 };
}

/** Monday is 0; sorted, each once; the start's own day where none is named. */
function weekdays(pattern: WirePattern, startsOn: number): number[] {
  const days = new Set(pattern.daysOfWeek.map(weekdayNumber).filter((day) => day !== null));
  return days.size === 0 ? [weekdayOf(startsOn)] : [...days].sort((a, b) => a - b);
}

function weekdayNumber(name: string | null): number | null {
  const at = (WEEKDAYS as readonly string[]).indexOf(name?.toLowerCase() ?? '');
  return at < 0 ? null : at;
}

function dayOfMonth(pattern: WirePattern, startsOn: number): number {
  return whole(pattern.dayOfMonth, 1, 31) ?? civilOf(startsOn).day;
}

function month(pattern: WirePattern, startsOn: number): number {
  return whole(pattern.month, 1, 12) ?? civilOf(startsOn).month;
}

function whole(value: number | null, least: number, most: number): number | null {
  return value !== null && Number.isInteger(value) && value >= least && value <= most ? value : null;
}

/** A readable date that a calendar may hold; null for 0001-01-01 and the like. */
function dayOf(date: string | null): number | null {
  const seconds = date === null ? null : tryParseLocal(date.slice(0, 10));
  if (seconds === null) return null;
  const day = dayOfSeconds(seconds);
  const { year } = civilOf(day);
  return year < 1601 || year > 9_998 ? null : day;
}
