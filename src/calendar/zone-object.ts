import { calendarText, componentText } from './ical.ts';
import { vtimezoneFor } from './vtimezone.ts';
import { canonicalZone } from './zones.ts';

/**
 * A zone as a calendar's own (`calendar-timezone`, RFC 4791 section 5.2.2): a calendar object that holds one VTIMEZONE,
 * true from this year on. Null for a zone that we do not know.
 */
export function zoneObject(zone: string, year: number): string | null {
  if (canonicalZone(zone) === null) return null;
  return calendarText([componentText(vtimezoneFor(zone, year, year))]);
}
