/**
 * The occurrences of a rule on the series' own wall clock (RFC 5545 section 3.3.10, all parts). Without zones: the
 * caller turns wall clocks into instants.
 */
import { civilOf, dayOfSeconds, daysOf, daySeconds, monthLength, weekdayOf } from './civil.ts';
import type { DayOf, Frequency, Rule } from './rule.ts';
import { timeOfDay } from './rule.ts';

export interface Occurrences {
  /** First occurrence, plain wall seconds. It always counts, even off the pattern (RFC 5545 section 3.8.5.3). */
  readonly start: number;
  readonly rule: Rule;
  /** The last wall clock that may occur; null: no end. COUNT ends the rule by itself. */
  readonly lastWall: number | null;
  /** Exchange's day 29 or 30, which falls on the last day of shorter months. */
  readonly clampedDay: 29 | 30 | null;
}

const lastDay = daysOf(9999, 12, 31);
// A rule may ask for a day that never comes (30 February). Periods in a row without any occurrence before we believe so;
// for hours and less, days that are left out whole count as one.
const maxEmpty: Readonly<Record<Frequency, number>> = {
  YEARLY: 1_000,
  MONTHLY: 5_000,
  WEEKLY: 5_000,
  DAILY: 15_000,
  HOURLY: 15_000,
  MINUTELY: 15_000,
  SECONDLY: 100_000,
};
// And a rule of seconds with a huge COUNT may have no end worth waiting for.
const maxSteps = 300_000;

/**
 * Yields the wall clocks in order, beginning with the first that is not before `from`. Jumps to `from` where the rule
 * has no COUNT; ends at the year 9999, and gives up on rules that never occur. Never endless for a finite reading, but
 * the caller must stop by itself when it has enough.
 */
export function* occurrences(series: Occurrences, from: number): Generator<number, void, undefined> {
  const { start, rule } = series;
  const last = series.lastWall ?? Infinity;
  let left = rule.count ?? Infinity;
  if (start > last) return;
  left -= 1;
  if (start >= from) yield start;

  let period = rule.count === null ? firstPeriod(series, from) : 0;
  let empty = 0;
  for (let step = 0; step < maxSteps && left > 0 && empty < maxEmpty[rule.frequency]; step += 1) {
    const walls = wallsOf(series, period);
    if (walls === null) return;
    period = walls.length === 0 ? periodAfterGap(series, period) : period + 1;
    empty += 1;
    for (const wall of walls) {
      if (wall <= start) continue;
      if (wall > last) return;
      empty = 0;
      if (wall >= from) yield wall;
      left -= 1;
      if (left <= 0) return;
    }
  }
}

/** Number of the period, counted from the one of the start, in which `from` lies or just before. */
function firstPeriod({ start, rule }: Occurrences, from: number): number {
  if (from <= start || !Number.isFinite(from)) return 0;
  const startDay = dayOfSeconds(start);
  const fromDay = dayOfSeconds(from);
  switch (rule.frequency) {
    case 'YEARLY':
      return Math.max(0, Math.floor((civilOf(fromDay).year - civilOf(startDay).year) / rule.interval) - 1);
    case 'MONTHLY':
      return Math.max(0, Math.floor((monthIndex(fromDay) - monthIndex(startDay)) / rule.interval) - 1);
    case 'WEEKLY':
      return Math.max(0, Math.floor((fromDay - startDay) / (7 * rule.interval)) - 1);
    case 'DAILY':
      return Math.max(0, Math.floor((fromDay - startDay) / rule.interval) - 1);
    default:
      return Math.max(0, Math.floor((from - start) / (unitSeconds[rule.frequency] * rule.interval)) - 1);
  }
}

/** The next period worth a look: rules of hours and less leave days that are not theirs in one step. */
function periodAfterGap({ start, rule }: Occurrences, period: number): number {
  if (!isWithinDay(rule.frequency)) return period + 1;
  const step = rule.interval * unitSeconds[rule.frequency];
  const day = dayOfSeconds(start + period * step);
  if (isDayAllowed(rule, day)) return period + 1;
  return Math.max(period + 1, Math.ceil(((day + 1) * daySeconds - start) / step));
}

function isWithinDay(frequency: Frequency): frequency is keyof typeof unitSeconds {
  return frequency in unitSeconds;
}

const unitSeconds = { HOURLY: 3_600, MINUTELY: 60, SECONDLY: 1 } as const;

function monthIndex(day: number): number {
  const { year, month } = civilOf(day);
  return year * 12 + month - 1;
}

/** All wall clocks of one period in order, BYSETPOS applied; null beyond the last year. */
function wallsOf(series: Occurrences, period: number): readonly number[] | null {
  const { start, rule } = series;
  const startDay = dayOfSeconds(start);
  switch (rule.frequency) {
    case 'YEARLY': {
      const year = civilOf(startDay).year + period * rule.interval;
      return year > 9999 ? null : timed(series, daysOfYear(rule, year, startDay));
    }
    case 'MONTHLY': {
      const index = monthIndex(startDay) + period * rule.interval;
      const [year, month] = [Math.floor(index / 12), (index % 12) + 1];
      return year > 9999 ? null : timed(series, daysOfMonth(series, year, month, startDay));
    }
    case 'WEEKLY': {
      const weekday = (weekdayOf(startDay) - rule.weekStart + 7) % 7;
      const monday = startDay - weekday + period * 7 * rule.interval;
      return monday > lastDay ? null : timed(series, daysOfWeek(rule, monday, startDay));
    }
    case 'DAILY': {
      const day = startDay + period * rule.interval;
      if (day > lastDay) return null;
      return timed(series, isDayAllowed(rule, day) ? [day] : []);
    }
    default:
      return wallsWithinDay(series, start + period * rule.interval * unitSeconds[rule.frequency]);
  }
}

/** Puts the times of day on the days; then BYSETPOS. */
function timed({ start, rule }: Occurrences, days: readonly number[]): readonly number[] {
  if (rule.hours.length === 0 && rule.minutes.length === 0 && rule.seconds.length === 0) {
    const time = timeOfDay(start);
    const walls = days.map((day) => day * daySeconds + time);
    return rule.positions.length === 0 ? walls : atPositions(walls, rule.positions);
  }
  const time = timeOfDay(start);
  const hours = rule.hours.length > 0 ? rule.hours : [Math.floor(time / 3_600)];
  const minutes = rule.minutes.length > 0 ? rule.minutes : [Math.floor(time / 60) % 60];
  const seconds = rule.seconds.length > 0 ? rule.seconds : [time % 60];
  const walls: number[] = [];
  for (const day of days) {
    for (const hour of hours) {
      for (const minute of minutes) {
        for (const second of seconds) walls.push(day * daySeconds + hour * 3_600 + minute * 60 + Math.min(second, 59));
      }
    }
  }
  return rule.positions.length === 0 ? walls : atPositions(walls, rule.positions);
}

function atPositions(walls: readonly number[], positions: readonly number[]): number[] {
  const chosen = new Set<number>();
  for (const position of positions) {
    const wall = walls.at(position > 0 ? position - 1 : position);
    if (wall !== undefined) chosen.add(wall);
  }
  return [...chosen].sort((a, b) => a - b);
}

/** Rules of hours, minutes and seconds: the period is one wall clock that parts narrow or spread. */
function wallsWithinDay({ start, rule }: Occurrences, wall: number): readonly number[] | null {
  const day = dayOfSeconds(wall);
  if (day > lastDay) return null;
  if (!isDayAllowed(rule, day)) return [];
  const time = timeOfDay(wall);
  const [hour, minute] = [Math.floor(time / 3_600), Math.floor(time / 60) % 60];
  if (rule.hours.length > 0 && !rule.hours.includes(hour)) return [];
  const isMinutely = rule.frequency !== 'HOURLY';
  if (isMinutely && rule.minutes.length > 0 && !rule.minutes.includes(minute)) return [];
  if (rule.frequency === 'SECONDLY') {
    return rule.seconds.length > 0 && !rule.seconds.includes(time % 60) ? [] : [wall];
  }
  const startTime = timeOfDay(start);
  const minutes = isMinutely ? [minute] : rule.minutes.length > 0 ? rule.minutes : [Math.floor(startTime / 60) % 60];
  const seconds = rule.seconds.length > 0 ? rule.seconds : [startTime % 60];
  const walls = minutes.flatMap((m) => seconds.map((s) => day * daySeconds + hour * 3_600 + m * 60 + Math.min(s, 59)));
  return rule.positions.length === 0 ? walls : atPositions(walls, rule.positions);
}

function isDayAllowed(rule: Rule, day: number): boolean {
  if (rule.months.length === 0 && rule.monthDays.length === 0 && rule.days.length === 0 && rule.yearDays.length === 0) {
    return true;
  }
  const { year, month, day: dayOfMonth } = civilOf(day);
  if (rule.months.length > 0 && !rule.months.includes(month)) return false;
  if (rule.yearDays.length > 0) {
    const dayOfYear = day - daysOf(year, 1, 1) + 1;
    const length = daysOf(year + 1, 1, 1) - daysOf(year, 1, 1);
    if (!rule.yearDays.includes(dayOfYear) && !rule.yearDays.includes(dayOfYear - length - 1)) return false;
  }
  if (rule.monthDays.length > 0) {
    const fromEnd = dayOfMonth - monthLength(year, month) - 1;
    if (!rule.monthDays.includes(dayOfMonth) && !rule.monthDays.includes(fromEnd)) return false;
  }
  return isWeekdayAllowed(rule.days, day);
}

function isWeekdayAllowed(days: readonly DayOf[], day: number): boolean {
  return days.length === 0 || days.some(({ weekday }) => weekday === weekdayOf(day));
}

function daysOfWeek(rule: Rule, firstDay: number, startDay: number): readonly number[] {
  const days: number[] = [];
  for (let day = firstDay; day < firstDay + 7; day += 1) {
    const isHit = rule.days.length > 0 ? isWeekdayAllowed(rule.days, day) : weekdayOf(day) === weekdayOf(startDay);
    if (isHit && (rule.months.length === 0 || rule.months.includes(civilOf(day).month))) days.push(day);
  }
  return days;
}

function daysOfMonth({ rule, clampedDay }: Occurrences, year: number, month: number, startDay: number): number[] {
  if (rule.months.length > 0 && !rule.months.includes(month)) return [];
  if (clampedDay !== null) return [daysOf(year, month, Math.min(clampedDay, monthLength(year, month)))];
  const first = daysOf(year, month, 1);
  const last = first + monthLength(year, month) - 1;
  if (rule.monthDays.length > 0) return among(rule.days, first, last, monthDays(rule.monthDays, year, month));
  if (rule.days.length > 0) return weekdaysBetween(rule.days, first, last);
  return monthDays([civilOf(startDay).day], year, month);
}

function monthDays(wanted: readonly number[], year: number, month: number): number[] {
  const length = monthLength(year, month);
  const days = new Set<number>();
  for (const value of wanted) {
    const day = value > 0 ? value : length + 1 + value;
    if (day >= 1 && day <= length) days.add(daysOf(year, month, day));
  }
  return [...days].sort((a, b) => a - b);
}

/** Those of the days that BYDAY allows too, the nth counted within the span. */
function among(wanted: readonly DayOf[], first: number, last: number, days: readonly number[]): number[] {
  if (wanted.length === 0) return [...days];
  const allowed = new Set(weekdaysBetween(wanted, first, last));
  return days.filter((day) => allowed.has(day));
}

/** The days of BYDAY in a span: all of a weekday, or its nth from the beginning or the end. */
function weekdaysBetween(wanted: readonly DayOf[], first: number, last: number): number[] {
  const days = new Set<number>();
  for (const { weekday, nth } of wanted) {
    const firstHit = first + ((weekday - weekdayOf(first) + 7) % 7);
    const lastHit = last - ((weekdayOf(last) - weekday + 7) % 7);
    if (nth === 0) for (let day = firstHit; day <= last; day += 7) days.add(day);
    else {
      const day = nth > 0 ? firstHit + 7 * (nth - 1) : lastHit + 7 * (nth + 1);
      if (day >= first && day <= last) days.add(day);
    }
  }
  return [...days].sort((a, b) => a - b);
}

function daysOfYear(rule: Rule, year: number, startDay: number): number[] {
  const first = daysOf(year, 1, 1);
  const last = daysOf(year, 12, 31);
  const start = civilOf(startDay);
  const months = rule.months;
  const isMonth = (day: number): boolean => months.length === 0 || months.includes(civilOf(day).month);
  if (rule.weeks.length > 0) {
    const weekdays = rule.days.length > 0 ? rule.days : [{ weekday: weekdayOf(startDay), nth: 0 }];
    const narrowed: Rule = { ...rule, days: weekdays.map(({ weekday }) => ({ weekday, nth: 0 })) };
    return weekDays(rule, year).filter((day) => isDayAllowed(narrowed, day));
  }
  if (rule.yearDays.length > 0) {
    const length = last - first + 1;
    const days = new Set<number>();
    for (const value of rule.yearDays) {
      const offset = value > 0 ? value - 1 : length + value;
      if (offset >= 0 && offset < length) days.add(first + offset);
    }
    const sorted = [...days].sort((a, b) => a - b);
    return among(rule.days, first, last, sorted).filter((day) =>
      isDayAllowed({ ...rule, yearDays: [], days: [] }, day),
    );
  }
  const chosen = months.length > 0 ? months : [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
  if (rule.monthDays.length > 0) {
    const days = chosen.flatMap((month) => monthDays(rule.monthDays, year, month));
    if (months.length === 0) return among(rule.days, first, last, days);
    return months.flatMap((month) => {
      const begin = daysOf(year, month, 1);
      return among(rule.days, begin, begin + monthLength(year, month) - 1, monthDays(rule.monthDays, year, month));
    });
  }
  if (rule.days.length > 0) {
    if (months.length === 0) return weekdaysBetween(rule.days, first, last);
    return months.flatMap((month) => {
      const begin = daysOf(year, month, 1);
      return weekdaysBetween(rule.days, begin, begin + monthLength(year, month) - 1);
    });
  }
  if (months.length > 0) return months.flatMap((month) => monthDays([start.day], year, month));
  return monthDays([start.day], year, start.month).filter(isMonth);
}

/** The days of BYWEEKNO: week 1 is the first with at least four days in the year (RFC 5545, as ISO 8601). */
function weekDays(rule: Rule, year: number): number[] {
  const begin = firstWeek(rule.weekStart, year);
  const weeks = Math.round((firstWeek(rule.weekStart, year + 1) - begin) / 7);
  const days = new Set<number>();
  for (const value of rule.weeks) {
    const week = value > 0 ? value : weeks + 1 + value;
    if (week < 1 || week > weeks) continue;
    for (let day = 0; day < 7; day += 1) days.add(begin + (week - 1) * 7 + day);
  }
  return [...days].sort((a, b) => a - b);
}

function firstWeek(weekStart: number, year: number): number {
  const fourth = daysOf(year, 1, 4);
  return fourth - ((weekdayOf(fourth) - weekStart + 7) % 7);
}
