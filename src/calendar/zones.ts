/**
 * Instants and wall clocks of IANA zones. The tz database is the one that Node's Intl carries; its answers are kept as
 * one small table per zone and year, so that a conversion costs a look-up and no formatting.
 */
import { dayOfSeconds, civilOf, daysOf, daySeconds, formatLocal, parseLocal, tryParseLocal } from './civil.ts';
import type { Moment } from './series.ts';

/** From `startsAt` (seconds since 1970, UTC) on the zone is `offset` seconds ahead of UTC. */
export interface Span {
  readonly startsAt: number;
  readonly offset: number;
}

interface Zone {
  readonly name: string;
  readonly format: Intl.DateTimeFormat;
  readonly years: Map<number, readonly Span[]>;
  /** The answer given last, with the seconds between which it holds: the next question mostly lies there too. */
  recent: { readonly from: number; readonly to: number; readonly offset: number };
}

const zones = new Map<string, Zone | null>();
const namePattern = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+){0,3}$/;
// Strangers' texts name zones: the memory of what is none must not grow with them.
const maxNames = 4_000;

function findZone(name: string): Zone | null {
  const known = zones.get(name);
  if (known !== undefined) return known;
  if (zones.size > maxNames) zones.clear();
  const zone = openZone(name);
  zones.set(name, zone);
  return zone;
}

function openZone(name: string): Zone | null {
  if (!namePattern.test(name)) return null;
  try {
    const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
    const canonical = format.resolvedOptions().timeZone;
    if (canonical !== name) return findZone(canonical);
    return { name, format, years: new Map(), recent: { from: 0, to: 0, offset: 0 } };
  } catch {
    return null;
  }
}

/** Whether the name is a zone of the tz database, aliases and any letter case included. Offsets (`+01:00`) are none. */
export function isZone(name: string): boolean {
  return findZone(name) !== null;
}

/**
 * The one spelling that we write for a zone and its aliases, or null. It is the older spelling where the database has
 * two (`Europe/Kiev`), which more clients know.
 */
export function canonicalZone(name: string): string | null {
  return findZone(name)?.name ?? null;
}

function formattedOffset(zone: Zone, at: number): number {
  const text = zone.format.format(at * 1_000);
  const offset = text.slice(text.indexOf('GMT') + 3);
  if (offset === '') return 0;
  const [hours = '0', minutes = '0', seconds = '0'] = offset.slice(1).split(':');
  const size = Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
  // ICU writes U+2212 as minus in some versions.
  return offset.startsWith('+') ? size : -size;
}

// No zone has ever changed twice within a week.
const stepSeconds = 7 * daySeconds;

function spansOf(zone: Zone, year: number): readonly Span[] {
  const known = zone.years.get(year);
  if (known !== undefined) return known;
  const begin = daysOf(year, 1, 1) * daySeconds;
  const end = daysOf(year + 1, 1, 1) * daySeconds;
  let offset = formattedOffset(zone, begin);
  const spans: Span[] = [{ startsAt: begin, offset }];
  for (let low = begin; low < end; low += stepSeconds) {
    const high = Math.min(low + stepSeconds, end);
    const next = formattedOffset(zone, high);
    if (next === offset) continue;
    const startsAt = bisect(zone, low, high, offset);
    if (startsAt < end) spans.push({ startsAt, offset: next });
    offset = next;
  }
  zone.years.set(year, spans);
  return spans;
}

function bisect(zone: Zone, from: number, to: number, before: number): number {
  let [low, high] = [from, to];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (formattedOffset(zone, middle) === before) low = middle;
    else high = middle;
  }
  return high;
}

function offsetIn(zone: Zone, at: number): number {
  if (at >= zone.recent.from && at < zone.recent.to) return zone.recent.offset;
  const { year } = civilOf(dayOfSeconds(at));
  const spans = spansOf(zone, year);
  let index = spans.length - 1;
  while (index > 0 && (spans[index]?.startsAt ?? 0) > at) index -= 1;
  const { startsAt: from, offset } = spans[index] ?? { startsAt: at, offset: 0 };
  const to = spans[index + 1]?.startsAt ?? daysOf(year + 1, 1, 1) * daySeconds;
  zone.recent = { from, to, offset };
  return offset;
}

/** Seconds that the zone is ahead of UTC at an instant (seconds since 1970). An unknown zone counts as UTC. */
export function offsetAt(zone: string, at: number): number {
  const found = findZone(zone);
  return found === null ? 0 : offsetIn(found, at);
}

/** The changes of a zone's clock in a year, the first span being what holds when the year begins (in UTC). */
export function spansOfYear(zone: string, year: number): readonly Span[] {
  const found = findZone(zone);
  return found === null ? [{ startsAt: daysOf(year, 1, 1) * daySeconds, offset: 0 }] : spansOf(found, year);
}

/** The same as `toInstant` on plain seconds. */
export function instantSeconds(local: number, zone: string): number {
  const found = findZone(zone);
  if (found === null) return local;
  // Clocks are at most 15 hours from UTC: a day to either side lies safely around any change near this time.
  const before = offsetIn(found, local - daySeconds);
  const after = offsetIn(found, local + daySeconds);
  if (before === after) return local - before;
  if (offsetIn(found, local - before) === before) return local - before;
  if (offsetIn(found, local - after) === after) return local - after;
  return local - before;
}

/**
 * The instant of a moment. A date is midnight UTC by convention; a floating time is taken in `floatingZone` (default
 * UTC); an unknown zone counts as UTC. A wall clock that happens twice in autumn means the first time, one that is
 * skipped in spring is read with the offset before the change, which is later by the gap (RFC 5545 section 3.3.5).
 * Throws `calendar.moment_invalid`.
 */
export function toInstant(moment: Moment, floatingZone = 'UTC'): Date {
  return new Date(momentSeconds(moment, floatingZone) * 1_000);
}

/** As `toInstant`, in seconds since 1970. */
export function momentSeconds(moment: Moment, floatingZone = 'UTC'): number {
  switch (moment.kind) {
    case 'date':
      return parseLocal(moment.date);
    case 'utc':
      return parseInstant(moment.instant);
    case 'zoned':
      return instantSeconds(parseLocal(moment.local), moment.zone);
    case 'floating':
      return instantSeconds(parseLocal(moment.local), floatingZone);
  }
}

/** Seconds of an ISO 8601 instant; texts with an offset are understood too. Throws `calendar.moment_invalid`. */
export function parseInstant(text: string): number {
  const plain = tryParseLocal(text);
  if (plain !== null) return plain;
  const parsed = Date.parse(text);
  return Number.isNaN(parsed) ? parseLocal(text) : Math.floor(parsed / 1_000);
}

/** The wall clock of a zone at an instant: `2026-07-01T09:00:00`. An unknown zone counts as UTC. */
export function toLocal(instant: Date, zone: string): string {
  return formatLocal(localSeconds(Math.floor(instant.getTime() / 1_000), zone));
}

/** The wall clock as plain seconds. */
export function localSeconds(at: number, zone: string): number {
  return at + offsetAt(zone, at);
}

/** Whether the instant lies in an autumn hour that the wall clock shows for the second time. */
export function isSecondPass(instant: Date, zone: string): boolean {
  const at = Math.floor(instant.getTime() / 1_000);
  return instantSeconds(localSeconds(at, zone), zone) < at;
}
