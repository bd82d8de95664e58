/**
 * Exchange's recurrence: six patterns by three ranges (Graph docs `recurrencepattern.md`, `recurrencerange.md`), on
 * plain dates. A day of month that a month lacks falls on its last day (EWS AbsoluteMonthlyRecurrence).
 */
export type Weekday = 'sunday' | 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday';
export type WeekIndex = 'first' | 'second' | 'third' | 'fourth' | 'last';

export type Pattern =
  | { type: 'daily'; interval?: number }
  | { type: 'weekly'; interval?: number; daysOfWeek: Weekday[]; firstDayOfWeek?: Weekday }
  | { type: 'absoluteMonthly'; interval?: number; dayOfMonth: number }
  | { type: 'relativeMonthly'; interval?: number; daysOfWeek: Weekday[]; index?: WeekIndex }
  | { type: 'absoluteYearly'; interval?: number; month: number; dayOfMonth: number }
  | { type: 'relativeYearly'; interval?: number; month: number; daysOfWeek: Weekday[]; index?: WeekIndex };

/** Dates are local to the recurrence's zone; `endDate` is inclusive. */
export type Range =
  | { type: 'endDate'; startDate: string; endDate: string }
  | { type: 'noEnd'; startDate: string }
  | { type: 'numbered'; startDate: string; numberOfOccurrences: number };

export const weekdays: readonly Weekday[] = [
  'sunday',
  'monday',
  'tuesday',
  'wednesday',
  'thursday',
  'friday',
  'saturday',
];
const dayMs = 86_400_000;

/** Days since 1970-01-01 of a date. */
export function dayNumber(date: string): number {
  return Math.round(Date.parse(`${date.slice(0, 10)}T00:00:00Z`) / dayMs);
}

/** The date `2026-07-01` of a day number. */
export function dateOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}

/** A date some days later (or earlier). */
export function plusDays(date: string, days: number): string {
  return dateOf(dayNumber(date) + days);
}

export function weekdayOf(day: number): number {
  return (((day + 4) % 7) + 7) % 7;
}

/** The dates of a series, ascending, up to and including `last`. */
export function* seriesDates(pattern: Pattern, range: Range, last: string): Generator<string> {
  const first = dayNumber(range.startDate);
  const until = Math.min(dayNumber(last), range.type === 'endDate' ? dayNumber(range.endDate) : Infinity);
  let left = range.type === 'numbered' ? range.numberOfOccurrences : Infinity;
  for (const day of patternDays(pattern, first)) {
    if (day > until || left <= 0) return;
    if (day < first) continue;
    left -= 1;
    yield dateOf(day);
  }
}

/** Endless; may begin with days of the first period that lie before `first`. */
function* patternDays(pattern: Pattern, first: number): Generator<number> {
  const interval = Math.max(1, pattern.interval ?? 1);
  if (pattern.type === 'daily') {
    for (let day = first; ; day += interval) yield day;
  }
  if (pattern.type === 'weekly') {
    // firstDayOfWeek decides which days belong to the first week, and so the phase of longer intervals.
    const weekStart = weekdays.indexOf(pattern.firstDayOfWeek ?? 'sunday');
    const days = pattern.daysOfWeek.length > 0 ? indices(pattern.daysOfWeek) : [weekdayOf(first)];
    const inWeek = days.map((day) => (day - weekStart + 7) % 7).sort((a, b) => a - b);
    for (let week = first - ((weekdayOf(first) - weekStart + 7) % 7); ; week += 7 * interval) {
      for (const day of inWeek) yield week + day;
    }
  }
  const start = new Date(first * dayMs);
  const isYearly = pattern.type === 'absoluteYearly' || pattern.type === 'relativeYearly';
  let month = start.getUTCFullYear() * 12 + (isYearly ? pattern.month - 1 : start.getUTCMonth());
  for (; ; month += isYearly ? 12 * interval : interval) {
    if (pattern.type === 'absoluteMonthly' || pattern.type === 'absoluteYearly') {
      yield firstOfMonth(month) + Math.min(pattern.dayOfMonth, daysIn(month)) - 1;
    } else {
      yield nthMatching(month, indices(pattern.daysOfWeek), pattern.index ?? 'first');
    }
  }
}

function indices(days: readonly Weekday[]): number[] {
  return days.map((day) => weekdays.indexOf(day));
}

function firstOfMonth(month: number): number {
  return Date.UTC(Math.floor(month / 12), month % 12, 1) / dayMs;
}

function daysIn(month: number): number {
  return firstOfMonth(month + 1) - firstOfMonth(month);
}

/** Several days in a relative pattern mean the first (second, ... last) day that is one of them. */
function nthMatching(month: number, days: readonly number[], index: WeekIndex): number {
  const matching: number[] = [];
  for (let day = firstOfMonth(month); day < firstOfMonth(month + 1); day += 1) {
    if (days.includes(weekdayOf(day))) matching.push(day);
  }
  const position = { first: 0, second: 1, third: 2, fourth: 3, last: matching.length - 1 }[index];
  return matching[position] ?? firstOfMonth(month);
}
