import { daySeconds } from '../../calendar/civil.ts';
import { windowsZones } from '../../calendar/windows-zones.ts';
import { localSeconds } from '../../calendar/zones.ts';
import { type Shown } from './shown.ts';
import { utc, type KnownZone } from './times.ts';

/** Half a year proves nothing: clocks change twice. */
const FULL_YEAR_DAYS = 365;

/** Named before others that show the same times, for people read them. */
const FAMILIAR = [
  'America/New_York',
  'America/Chicago',
  'America/Denver',
  'America/Los_Angeles',
  'Europe/Berlin',
  'Europe/London',
  'Europe/Kiev',
  'Asia/Tokyo',
  'Asia/Shanghai',
  'Australia/Sydney',
];

/**
 * Zones in which a series of a lost zone may count, UTC first: those in whose wall clock everything shown, over at least
 * a year, begins at one time of day. Of zones that show the same time of day one is tried.
 */
export function fittingZones(plain: readonly Shown[]): KnownZone[] {
  if (!spansYear(plain)) return [];
  if (plain.some(({ isAllDay }) => isAllDay)) return [utc];
  const found = new Map<number, KnownZone>();
  for (const zone of new Set([...FAMILIAR, ...windowsZones()])) {
    const [first = 0, ...others] = plain.map(({ at }) => at);
    const time = timeOfDay(first, zone);
    if (!found.has(time) && others.every((at) => timeOfDay(at, zone) === time)) found.set(time, { kind: 'zone', zone });
  }
  return [utc, ...found.values()];
}

function timeOfDay(at: number, zone: string): number {
  const wall = localSeconds(at, zone);
  return ((wall % daySeconds) + daySeconds) % daySeconds;
}

function spansYear(shown: readonly Shown[]): boolean {
  const times = shown.map(({ at }) => at);
  return times.length > 1 && Math.max(...times) - Math.min(...times) >= FULL_YEAR_DAYS * daySeconds;
}
