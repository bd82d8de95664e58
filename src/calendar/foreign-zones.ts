/** What the TZIDs of one calendar object mean, foreign VTIMEZONEs included. */
import { daysOf, daySeconds, tryParseLocal } from './civil.ts';
import { recurText } from './canonical.ts';
import type { JCal } from './ical.ts';
import { occurrences } from './recurrence.ts';
import { parseRule } from './rule.ts';
import { zoneOfTzid } from './tzid.ts';
import { canonicalZone, offsetAt } from './zones.ts';

/** An IANA zone (or `UTC`), or clocks that only the object's own rules tell. */
export type ObjectZone =
  { readonly kind: 'zone'; readonly zone: string } | { readonly kind: 'rules'; readonly offsets: readonly Onset[] };

/** From `wall` (as the old clock shows it, plain seconds) the clock is `after` seconds ahead of UTC, before `before`. */
export interface Onset {
  readonly wall: number;
  readonly before: number;
  readonly after: number;
}

export type ZoneFinder = (tzid: string) => ObjectZone | null;

/**
 * Finds zones by name, then by the X-LIC-LOCATION of their definition, then by comparing the definition's rules with
 * zones in common use. `years` are those in which the object's events lie.
 */
export function zonesOf(calendar: JCal, years: { readonly from: number; readonly to: number }): ZoneFinder {
  const definitions = new Map<string, JCal>();
  for (const component of calendar[2]) {
    const tzid = component[0] === 'vtimezone' ? textOf(component, 'tzid') : null;
    if (tzid !== null) definitions.set(tzid, component);
  }
  const found = new Map<string, ObjectZone | null>();
  return (tzid) => {
    let zone = found.get(tzid);
    if (zone === undefined) {
      zone = findZone(tzid, definitions.get(tzid), years);
      found.set(tzid, zone);
    }
    return zone;
  };
}

function findZone(tzid: string, definition: JCal | undefined, years: { from: number; to: number }): ObjectZone | null {
  const byName = zoneOfTzid(tzid);
  if (byName !== null) return { kind: 'zone', zone: byName };
  if (definition === undefined) return null;
  const byLocation = zoneOfTzid(textOf(definition, 'x-lic-location') ?? '');
  if (byLocation !== null) return { kind: 'zone', zone: byLocation };

  const { from, to } = years;
  const offsets = onsetsOf(definition, from - 2, to + 1);
  if (offsets.length === 0) return null;
  // Outlook tells today's rules as if they had held for ever: what the newest years say is then the better witness.
  const match = [from, Math.max(from, to - 4)]
    .map((since) => commonZones.find((zone) => agrees(zone, offsets, since, to)))
    .find((zone) => zone !== undefined);
  return match === undefined ? { kind: 'rules', offsets } : { kind: 'zone', zone: canonicalZone(match) ?? match };
}

/** One zone for each set of rules that Outlook and others define under a name of their own. */
const commonZones = [
  'Europe/London Europe/Lisbon Europe/Berlin Europe/Helsinki Europe/Moscow Europe/Istanbul Europe/Chisinau',
  'America/New_York America/Chicago America/Denver America/Los_Angeles America/Phoenix America/Anchorage Pacific/Honolulu',
  'America/Halifax America/St_Johns America/Sao_Paulo America/Argentina/Buenos_Aires America/Bogota America/Mexico_City',
  'America/Santiago America/Asuncion America/Havana America/Caracas America/Nuuk Atlantic/Azores Atlantic/Cape_Verde',
  'Asia/Tokyo Asia/Shanghai Asia/Kolkata Asia/Dubai Asia/Karachi Asia/Dhaka Asia/Bangkok Asia/Jakarta Asia/Kathmandu',
  'Asia/Tehran Asia/Jerusalem Asia/Beirut Asia/Kabul Asia/Yangon Asia/Tashkent Asia/Vladivostok Asia/Magadan',
  'Australia/Sydney Australia/Brisbane Australia/Adelaide Australia/Darwin Australia/Perth Australia/Lord_Howe',
  'Pacific/Auckland Pacific/Chatham Pacific/Apia Pacific/Tongatapu Pacific/Noumea Pacific/Norfolk Pacific/Kiritimati',
  'Africa/Johannesburg Africa/Lagos Africa/Cairo Africa/Casablanca Africa/Nairobi Atlantic/Reykjavik Pacific/Pago_Pago',
].flatMap((line) => line.split(' '));

/** Whether definition and zone show the same at fourteen-day steps through the years in question. */
function agrees(zone: string, offsets: readonly Onset[], from: number, to: number): boolean {
  const end = daysOf(to + 1, 1, 1) * daySeconds;
  for (let at = daysOf(from, 1, 1) * daySeconds; at < end; at += 14 * daySeconds) {
    if (offsetAt(zone, at) !== offsetByRules(offsets, at)) return false;
  }
  // The days of change themselves, which decide between rules that differ by a week.
  return offsets.every(({ wall, before, after }) => {
    const at = wall - before;
    if (at < daysOf(from, 1, 1) * daySeconds || at >= end || before === after) return true;
    return offsetAt(zone, at - 1) === before && offsetAt(zone, at) === after;
  });
}

function offsetByRules(offsets: readonly Onset[], at: number): number {
  let offset = offsets[0]?.before ?? 0;
  for (const onset of offsets) if (onset.wall - onset.before <= at) offset = onset.after;
  return offset;
}

/** The instant of a wall clock by an object's own rules, with the same reading of gaps and folds as `toInstant`. */
export function instantByRules(offsets: readonly Onset[], wall: number): number {
  let offset = offsets[0]?.before ?? 0;
  for (const onset of offsets) {
    // In a fold the old offset counts until the old clock reaches the change; so it does in a gap.
    if (onset.wall <= wall)
      offset = wall < onset.wall + Math.max(0, onset.after - onset.before) ? onset.before : onset.after;
  }
  return wall - offset;
}

/** The changes that a VTIMEZONE tells in a span of years, in order, and the first of each of its observances. */
function onsetsOf(definition: JCal, firstYear: number, lastYear: number): Onset[] {
  const onsets: Onset[] = [];
  const begin = daysOf(firstYear, 1, 1) * daySeconds;
  const end = daysOf(lastYear + 1, 1, 1) * daySeconds;
  for (const observance of definition[2]) {
    const start = tryParseLocal(textOf(observance, 'dtstart') ?? '');
    const before = offsetSeconds(textOf(observance, 'tzoffsetfrom'));
    const after = offsetSeconds(textOf(observance, 'tzoffsetto'));
    if (start === null || before === null || after === null) continue;
    const walls = new Set([start]);
    for (const [name, , , ...values] of observance[1]) {
      if (name === 'rdate') for (const value of values) addWall(walls, tryParseLocal(String(value)));
      if (name === 'rrule')
        for (const wall of ruleWalls(recurText(values[0]), { start, before, begin, end })) walls.add(wall);
    }
    for (const wall of walls) onsets.push({ wall, before, after });
  }
  return onsets.sort((a, b) => a.wall - b.wall);
}

function addWall(walls: Set<number>, wall: number | null): void {
  if (wall !== null) walls.add(wall);
}

interface RuleSpan {
  readonly start: number;
  readonly before: number;
  readonly begin: number;
  readonly end: number;
}

function ruleWalls(text: string, { start, before, begin, end }: RuleSpan): number[] {
  const rule = parseRule(text);
  if (rule?.frequency !== 'YEARLY') return [];
  const until = rule.until === null ? null : rule.until.form === 'utc' ? rule.until.wall + before : rule.until.wall;
  const walls: number[] = [];
  // Outlook begins its rules in 1601.
  for (const wall of occurrences({ start, rule, lastWall: until, clampedDay: null }, begin)) {
    if (wall > end) break;
    walls.push(wall);
  }
  return walls;
}

/** Seconds of jCal's `+01:00`. */
function offsetSeconds(text: string | null): number | null {
  const match = /^([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(text ?? '');
  if (match === null) return null;
  const size = Number(match[2]) * 3_600 + Number(match[3]) * 60 + Number(match[4] ?? 0);
  return match[1] === '-' ? -size : size;
}

function textOf([, properties]: JCal, wanted: string): string | null {
  const value = properties.find(([name]) => name === wanted)?.[3];
  return typeof value === 'string' ? value : null;
}

/** The fixed zone of a definition that never changes its clock, by whole hours (`Etc/GMT-3`); else null. */
export function fixedZone(offsets: readonly Onset[]): string | null {
  const [first] = offsets;
  if (first === undefined || offsets.some(({ before, after }) => before !== first.after || after !== first.after))
    return null;
  const hours = first.after / 3_600;
  if (!Number.isInteger(hours) || hours < -12 || hours > 14) return null;
  return hours === 0 ? 'UTC' : `Etc/GMT${hours > 0 ? '-' : '+'}${Math.abs(hours)}`;
}

/** Years of the events of an object, from the texts of their starts. */
export function yearsOf(starts: readonly string[]): { from: number; to: number } {
  let [from, to] = [Infinity, -Infinity];
  for (const text of starts) {
    const year = Number(text.slice(0, 4));
    // A birthday in 1904 or a nonsense year says nothing about the zone's rules today.
    if (!(year >= 1970 && year <= 2100)) continue;
    from = Math.min(from, year);
    to = Math.max(to, year);
  }
  return from > to ? { from: 2_020, to: 2_030 } : { from, to: to + 2 };
}
