/**
 * VTIMEZONE components (RFC 5545 section 3.6.5) out of the same tz database by which we convert. Ready-made collections
 * are cut down or stale, which moves meetings by an hour.
 */
import type { JCal } from './ical.ts';
import { civilOf, dayOfSeconds, daysOf, daySeconds, formatLocal, monthLength, weekdayOf } from './civil.ts';
import { weekdayNames } from './rule.ts';
import { canonicalZone, offsetAt, spansOfYear } from './zones.ts';

/** One change of the clock. Seconds since 1970 and seconds ahead of UTC. */
interface Change {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** Changes of one kind in consecutive years, as long as one rule of month and weekday tells them all. */
interface Run {
  readonly signature: string;
  readonly changes: Change[];
  readonly year: number;
}

// Long enough that the earliest and the latest day of every yearly rule turn up (a rule "Sunday on or after the 8th").
const lookAheadYears = 30;
// The tz database tells no change before the first and none that is not yearly after the last (Morocco's, until 2087).
const firstChangeYear = 1840;
const lastIrregularYear = 2090;
const cache = new Map<string, JCal>();

/**
 * Zones renamed of late. We write the old name, which more devices know; sabre/dav (vobject 4.6) knows only the new one,
 * and would take the zone for UTC in its time-range queries. It looks here next (libical's property, which Google writes
 * too).
 */
const newNames: ReadonlyMap<string, string> = new Map([
  ['America/Godthab', 'America/Nuuk'],
  ['Asia/Rangoon', 'Asia/Yangon'],
  ['Europe/Kiev', 'Europe/Kyiv'],
  ['Pacific/Enderbury', 'Pacific/Kanton'],
]);

/**
 * The component for a zone, true for every instant of the years `from` to `to`, and beyond `to` where the zone changes
 * by a regular yearly rule. The same arguments give the same component; it is shared, so do not change it. An unknown
 * zone gives the one of UTC.
 */
export function vtimezoneFor(zone: string, from: number, to: number): JCal {
  const name = canonicalZone(zone) ?? 'UTC';
  const first = clampYear(from);
  const last = Math.min(clampYear(Math.max(from, to)), Math.max(first, lastIrregularYear));
  const key = `${name}/${first}/${last}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  if (cache.size > 2_000) cache.clear();
  const component = build(name, first, last);
  cache.set(key, component);
  return component;
}

function clampYear(year: number): number {
  return Math.min(9_998, Math.max(2, year));
}

function build(zone: string, from: number, to: number): JCal {
  const lastScanned = Math.min(9_999, to + lookAheadYears);
  const changes = changesBetween(zone, from - 1, lastScanned);
  const begin = daysOf(from, 1, 1) * daySeconds;
  const end = daysOf(to + 1, 1, 1) * daySeconds;
  const observances: { at: number; component: JCal }[] = [];
  for (const run of runsOf(changes)) {
    const firstChange = run.changes[0];
    if (firstChange === undefined || firstChange.at >= end) continue;
    for (const observance of observancesOf(run, lastScanned, end)) observances.push(observance);
  }
  // What held before the first change that we tell.
  if (!changes.some(({ at }) => at <= begin)) {
    const at = daysOf(from - 1, 1, 1) * daySeconds;
    const offset = offsetAt(zone, at);
    observances.push({ at: at - daySeconds, component: observance('standard', at, offset, offset, null) });
  }
  observances.sort((a, b) => a.at - b.at);
  const newName = newNames.get(zone);
  const names: JCal[1] = [
    ['tzid', {}, 'text', zone],
    ...(newName === undefined ? [] : [['x-lic-location', {}, 'unknown', newName] as const]),
  ];
  return ['vtimezone', names, observances.map(({ component }) => component)];
}

function changesBetween(zone: string, from: number, to: number): Change[] {
  const changes: Change[] = [];
  let before = offsetAt(zone, daysOf(from, 1, 1) * daySeconds);
  for (let year = Math.max(from, firstChangeYear); year <= to; year += 1) {
    for (const { startsAt, offset } of spansOfYear(zone, year)) {
      if (offset !== before) changes.push({ at: startsAt, before, after: offset });
      before = offset;
    }
  }
  return changes;
}

function runsOf(changes: readonly Change[]): Run[] {
  const runs: Run[] = [];
  const open = new Map<string, Run>();
  for (const change of changes) {
    const wall = change.at + change.before;
    const day = dayOfSeconds(wall);
    const { year, month } = civilOf(day);
    const signature = [change.before, change.after, month, weekdayOf(day), wall - day * daySeconds].join('/');
    const run = open.get(signature);
    const previous = run?.changes.at(-1);
    const isNext = previous !== undefined && civilOf(dayOfSeconds(previous.at + previous.before)).year === year - 1;
    if (run !== undefined && isNext && dayRule([...run.changes, change], false) !== null) {
      run.changes.push(change);
    } else {
      const fresh: Run = { signature, changes: [change], year };
      runs.push(fresh);
      open.set(signature, fresh);
    }
  }
  return runs;
}

/** The yearly rule's day part that hits exactly the day of each change in its year; null when there is none. */
function dayRule(changes: readonly Change[], mustBeCertain: boolean): Record<string, unknown> | null {
  const days = changes.map(({ at, before }) => civilOf(dayOfSeconds(at + before)));
  const first = changes[0];
  if (first === undefined) return null;
  const weekday = weekdayNames[weekdayOf(dayOfSeconds(first.at + first.before))] ?? 'SU';
  const numbers = days.map(({ day }) => day);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const nth = Math.ceil(low / 7);
  if (days.every(({ year, month, day }) => day > monthLength(year, month) - 7)) return { byday: `-1${weekday}` };
  if (nth === Math.ceil(high / 7)) return { byday: `${nth}${weekday}` };
  if (high - low > 6 || (mustBeCertain && high - low < 6)) return null;
  const window = Array.from({ length: 7 }, (_, index) => low + index).filter((day) => day <= 31);
  return { bymonthday: window, byday: weekday };
}

function observancesOf(run: Run, lastScanned: number, end: number): { at: number; component: JCal }[] {
  const [first] = run.changes;
  const last = run.changes.at(-1);
  if (first === undefined || last === undefined) return [];
  const month = civilOf(dayOfSeconds(first.at + first.before)).month;
  // In the year scanned last the change may lie just beyond the turn of the year in UTC; one year less is as certain.
  const isOpen = civilOf(dayOfSeconds(last.at)).year >= lastScanned - 1 && run.changes.length > lookAheadYears / 2;
  const endless = isOpen ? dayRule(run.changes, true) : null;
  if (endless !== null) {
    return [{ at: first.at, component: change(first, { freq: 'YEARLY', bymonth: month, ...endless }) }];
  }
  const told = run.changes.filter(({ at }) => at < end);
  const lastTold = told.at(-1);
  const finite = dayRule(told, false);
  if (told.length < 3 || lastTold === undefined || finite === null) {
    return told.map((one) => ({ at: one.at, component: change(one, null) }));
  }
  const until = `${formatLocal(lastTold.at)}Z`;
  return [{ at: first.at, component: change(first, { freq: 'YEARLY', bymonth: month, ...finite, until }) }];
}

function change({ at, before, after }: Change, rule: Record<string, unknown> | null): JCal {
  return observance(after > before ? 'daylight' : 'standard', at + before, before, after, rule);
}

function observance(
  name: 'standard' | 'daylight',
  wall: number,
  before: number,
  after: number,
  rule: Record<string, unknown> | null,
): JCal {
  return [
    name,
    [
      ['dtstart', {}, 'date-time', formatLocal(wall)],
      ['tzoffsetfrom', {}, 'utc-offset', offsetText(before)],
      ['tzoffsetto', {}, 'utc-offset', offsetText(after)],
      ...(rule === null ? [] : [['rrule', {}, 'recur', rule] as const]),
    ],
    [],
  ];
}

/** jCal's form: `+01:00`, with seconds where a zone once had them. */
function offsetText(offset: number): string {
  const size = Math.abs(offset);
  const parts = [Math.floor(size / 3_600), Math.floor(size / 60) % 60, size % 60].map((n) =>
    String(n).padStart(2, '0'),
  );
  return `${offset < 0 ? '-' : '+'}${(parts[2] === '00' ? parts.slice(0, 2) : parts).join(':')}`;
}
