import { dayOfSeconds, daySeconds, formatDay, formatLocal, tryParseLocal } from '../../calendar/civil.ts';
import type { Moment } from '../../calendar/series.ts';
import { zoneOf, type ZoneOf } from '../../calendar/windows-zones.ts';
import { instantSeconds, isSecondPass, localSeconds } from '../../calendar/zones.ts';
import type { WireEvent, WireTime } from './wire.ts';

/** A zone in which times can be written. */
export type KnownZone = Exclude<ZoneOf, { kind: 'unknown' }>;

export interface Times {
  readonly start: Moment;
  readonly end: Moment | null;
}

export const utc: KnownZone = { kind: 'utc' };

/** Times before Windows' calendar or in its "no date" years are nobody's meeting. */
const EARLIEST = tryParseLocal('1601-01-01') ?? 0;
const LATEST = tryParseLocal('4500-01-01') ?? 0;

/** The instant in seconds; null when it is missing, unreadable or absurd. */
export function instantOf(time: WireTime | null): number | null {
  if (time === null) return null;
  const wall = tryParseLocal(time.dateTime);
  if (wall === null) return parseIso(time.dateTime);
  const zone = time.dateTime.endsWith('Z') ? utc : zoneOf(time.timeZone);
  return sane(zone.kind === 'zone' ? instantSeconds(wall, zone.zone) : wall);
}

/** Seconds of an ISO 8601 instant, offset honoured (davmail#481), UTC when there is none; null when absurd. */
export function parseIso(text: string | null): number | null {
  if (text === null) return null;
  const wall = tryParseLocal(text);
  if (wall !== null) return sane(wall);
  const [, local = '', sign, hours, minutes] = /^(.+)([+-])(\d\d):?(\d\d)$/.exec(text) ?? [];
  const offsetWall = tryParseLocal(local);
  if (offsetWall === null) return null;
  const offset = (Number(hours) * 60 + Number(minutes)) * 60;
  return sane(sign === '-' ? offsetWall + offset : offsetWall - offset);
}

/** `2026-07-01T07:00:00Z` of a date-time property, null when it says "never" (year 1). */
export function instantText(text: string | null): string | null {
  const seconds = parseIso(text);
  return seconds === null ? null : `${formatLocal(seconds)}Z`;
}

/** The zone an event names for one of its ends, null when it names none or one that nobody knows. */
export function knownZone(name: string | null): KnownZone | null {
  if (name === null || name.trim() === '') return null;
  const zone = zoneOf(name);
  return zone.kind === 'unknown' ? null : zone;
}

/**
 * Start and end of an event by itself, each in the zone that it names (`fallback` where that says nothing). An instant
 * in the second pass of an autumn hour is written in UTC, for no local form can name it. Null: no readable start.
 */
export function ownTimes(event: WireEvent, fallback: KnownZone = utc): Times | null {
  const zone = knownZone(event.originalStartTimeZone) ?? fallback;
  if (event.isAllDay === true) return allDayTimes(event, zone);
  const start = instantOf(event.start);
  if (start === null) return null;
  const end = instantOf(event.end);
  const endZone = knownZone(event.originalEndTimeZone) ?? zone;
  return { start: momentIn(start, zone), end: end === null || end <= start ? null : momentIn(end, endZone) };
}

/** An instant in a zone, in UTC where the wall clock would be ambiguous. */
export function momentIn(at: number, zone: KnownZone): Moment {
  if (zone.kind === 'utc' || isSecondPass(new Date(at * 1_000), zone.zone)) {
    return { kind: 'utc', instant: `${formatLocal(at)}Z` };
  }
  return { kind: 'zoned', local: formatLocal(localSeconds(at, zone.zone)), zone: zone.zone };
}

/** The wall clock of a zone, as plain seconds. */
export function wallIn(at: number, zone: KnownZone): number {
  return zone.kind === 'utc' ? at : localSeconds(at, zone.zone);
}

/** All-day times are dates, whatever zone they claim (contrib#7803); the end is exclusive. */
export function allDayTimes(event: WireEvent, zone: KnownZone): Times | null {
  const first = dateOf(event.start, zone);
  if (first === null) return null;
  const last = dateOf(event.end, zone);
  const end = last === null || last <= first ? first + 1 : last;
  return { start: { kind: 'date', date: formatDay(first) }, end: { kind: 'date', date: formatDay(end) } };
}

/** Midnight is the date itself; anything else is a midnight somewhere, shifted: the nearest day of the original zone. */
function dateOf(time: WireTime | null, zone: KnownZone): number | null {
  const wall = time === null ? null : tryParseLocal(time.dateTime);
  if (wall !== null && wall % daySeconds === 0) return sane(wall) === null ? null : dayOfSeconds(wall);
  const at = instantOf(time);
  return at === null ? null : dayOfSeconds(wallIn(at, zone) + daySeconds / 2);
}

function sane(seconds: number): number | null {
  return seconds >= EARLIEST && seconds < LATEST ? seconds : null;
}
