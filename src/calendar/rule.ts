/** RRULE values (RFC 5545 section 3.3.10) as data, and back in one canonical order. */
import { dayOfSeconds, daySeconds, formatDay, formatLocal, tryParseLocal } from './civil.ts';

export type Frequency = 'YEARLY' | 'MONTHLY' | 'WEEKLY' | 'DAILY' | 'HOURLY' | 'MINUTELY' | 'SECONDLY';

export interface DayOf {
  /** 0 is Monday. */
  readonly weekday: number;
  /** 0: every such day; 2: the second; -1: the last. */
  readonly nth: number;
}

export interface Rule {
  readonly frequency: Frequency;
  readonly interval: number;
  readonly count: number | null;
  readonly until: Until | null;
  /** 0 is Monday. */
  readonly weekStart: number;
  readonly months: readonly number[];
  readonly weeks: readonly number[];
  readonly yearDays: readonly number[];
  readonly monthDays: readonly number[];
  readonly days: readonly DayOf[];
  readonly hours: readonly number[];
  readonly minutes: readonly number[];
  readonly seconds: readonly number[];
  readonly positions: readonly number[];
}

/** The last moment, inclusive. `wall` is a plain wall clock in seconds: UTC, floating, or midnight of a date. */
export interface Until {
  readonly form: 'utc' | 'floating' | 'date';
  readonly wall: number;
}

export const weekdayNames = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'] as const;
const frequencies: readonly string[] = ['YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY', 'HOURLY', 'MINUTELY', 'SECONDLY'];

/**
 * Reads a rule. Null when it cannot be understood at all (no known FREQ, a part with an impossible value). INTERVAL=0
 * is read as 1 and COUNT=0 as 1, which is what the start by itself amounts to; parts of RFC 7529 (RSCALE, SKIP) and X-
 * parts are not supported and make the rule null rather than wrong.
 */
export function parseRule(text: string): Rule | null {
  const parts = new Map<string, string>();
  for (const part of text.trim().split(';')) {
    if (part === '') continue;
    const at = part.indexOf('=');
    if (at < 1) return null;
    parts.set(
      part.slice(0, at).trim().toUpperCase(),
      part
        .slice(at + 1)
        .trim()
        .toUpperCase(),
    );
  }
  const known = new Set(['FREQ', 'INTERVAL', 'COUNT', 'UNTIL', 'WKST', 'BYDAY', ...lists.map(([name]) => name)]);
  for (const name of parts.keys()) if (!known.has(name)) return null;

  const frequency = parts.get('FREQ') ?? '';
  if (!frequencies.includes(frequency)) return null;
  const interval = wholeNumber(parts.get('INTERVAL') ?? '1');
  const count = parts.has('COUNT') ? wholeNumber(parts.get('COUNT') ?? '') : null;
  const until = parts.has('UNTIL') ? parseUntil(parts.get('UNTIL') ?? '') : null;
  const weekStart = weekdayNames.indexOf((parts.get('WKST') ?? 'MO') as (typeof weekdayNames)[number]);
  const days = parseDays(parts.get('BYDAY'));
  if (interval === null || Number.isNaN(count) || weekStart < 0 || days === null) return null;
  if (parts.has('COUNT') && count === null) return null;
  if (parts.has('UNTIL') && until === null) return null;
  const numbers = new Map<string, number[]>();
  for (const [name, low, high, isSigned] of lists) {
    const values = parseNumbers(parts.get(name), low, high, isSigned);
    if (values === null) return null;
    numbers.set(name, values);
  }
  return {
    frequency: frequency as Frequency,
    interval: Math.max(1, interval),
    count: count === null ? null : Math.max(1, count),
    // RFC 5545: never both. COUNT is the stricter reading where a program wrote both.
    until: count === null ? until : null,
    weekStart,
    months: numbers.get('BYMONTH') ?? [],
    weeks: numbers.get('BYWEEKNO') ?? [],
    yearDays: numbers.get('BYYEARDAY') ?? [],
    monthDays: numbers.get('BYMONTHDAY') ?? [],
    days,
    hours: numbers.get('BYHOUR') ?? [],
    minutes: numbers.get('BYMINUTE') ?? [],
    seconds: numbers.get('BYSECOND') ?? [],
    positions: numbers.get('BYSETPOS') ?? [],
  };
}

const lists: readonly (readonly [name: string, low: number, high: number, isSigned: boolean])[] = [
  ['BYMONTH', 1, 12, false],
  ['BYWEEKNO', 1, 53, true],
  ['BYYEARDAY', 1, 366, true],
  ['BYMONTHDAY', 1, 31, true],
  ['BYHOUR', 0, 23, false],
  ['BYMINUTE', 0, 59, false],
  ['BYSECOND', 0, 60, false],
  ['BYSETPOS', 1, 366, true],
];

function wholeNumber(text: string): number | null {
  // Nine digits are beyond any calendar and still exact.
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

function parseNumbers(text: string | undefined, low: number, high: number, isSigned: boolean): number[] | null {
  if (text === undefined) return [];
  const values = new Set<number>();
  for (const item of text.split(',')) {
    if (!/^[+-]?\d{1,3}$/.test(item)) return null;
    const value = Number(item);
    if (Math.abs(value) < low || Math.abs(value) > high || (value < 0 && !isSigned)) return null;
    values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}

function parseDays(text: string | undefined): DayOf[] | null {
  if (text === undefined) return [];
  const days = new Map<string, DayOf>();
  for (const item of text.split(',')) {
    const match = /^([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)$/.exec(item);
    if (match === null) return null;
    const nth = Number(match[1] ?? 0);
    if (Math.abs(nth) > 53) return null;
    const weekday = weekdayNames.indexOf(match[2] as (typeof weekdayNames)[number]);
    days.set(`${nth}/${weekday}`, { weekday, nth });
  }
  return [...days.values()].sort((a, b) => a.weekday - b.weekday || a.nth - b.nth);
}

function parseUntil(text: string): Until | null {
  const match = /^(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d):?(\d\d)(Z?))?$/.exec(text);
  if (match === null) return null;
  const [, year = '', month = '', day = '', hour, minute = '', second = '', zulu] = match;
  const isDate = hour === undefined;
  const wall = tryParseLocal(`${year}-${month}-${day}${isDate ? '' : `T${hour}:${minute}:${second}`}`);
  if (wall === null) return null;
  return { form: isDate ? 'date' : zulu === 'Z' ? 'utc' : 'floating', wall };
}

/** The value with its parts in the order FREQ, INTERVAL, WKST, BY… , COUNT or UNTIL; defaults are left out. */
export function formatRule(rule: Rule): string {
  const parts: [string, string][] = [['FREQ', rule.frequency]];
  if (rule.interval > 1) parts.push(['INTERVAL', String(rule.interval)]);
  if (rule.weekStart !== 0) parts.push(['WKST', weekdayNames[rule.weekStart] ?? 'MO']);
  const numbered: [string, readonly number[]][] = [
    ['BYMONTH', rule.months],
    ['BYWEEKNO', rule.weeks],
    ['BYYEARDAY', rule.yearDays],
    ['BYMONTHDAY', rule.monthDays],
  ];
  for (const [name, values] of numbered) if (values.length > 0) parts.push([name, values.join(',')]);
  if (rule.days.length > 0) {
    const days = rule.days.map(({ weekday, nth }) => `${nth === 0 ? '' : nth}${weekdayNames[weekday] ?? ''}`);
    parts.push(['BYDAY', days.join(',')]);
  }
  const clocks: [string, readonly number[]][] = [
    ['BYHOUR', rule.hours],
    ['BYMINUTE', rule.minutes],
    ['BYSECOND', rule.seconds],
    ['BYSETPOS', rule.positions],
  ];
  for (const [name, values] of clocks) if (values.length > 0) parts.push([name, values.join(',')]);
  if (rule.count !== null) parts.push(['COUNT', String(rule.count)]);
  if (rule.until !== null) parts.push(['UNTIL', formatUntil(rule.until)]);
  return parts.map(([name, value]) => `${name}=${value}`).join(';');
}

function formatUntil(until: Until): string {
  if (until.form === 'date') return formatDay(dayOfSeconds(until.wall)).replaceAll('-', '');
  return `${formatLocal(until.wall).replaceAll(/[-:]/g, '')}${until.form === 'utc' ? 'Z' : ''}`;
}

/** Seconds of the day of a wall clock. */
export function timeOfDay(wall: number): number {
  return wall - dayOfSeconds(wall) * daySeconds;
}
