import { zoneOf } from './windows-zones.ts';
import { canonicalZone } from './zones.ts';

/** What a TZID means by its name alone: an IANA zone, `UTC`, or null when the name says nothing. */
export function zoneOfTzid(tzid: string): string | null {
  const known = cache.get(tzid);
  if (known !== undefined) return known;
  if (cache.size > 2_000) cache.clear();
  const zone = findZone(tzid);
  cache.set(tzid, zone);
  return zone;
}

const cache = new Map<string, string | null>();

function findZone(tzid: string): string | null {
  const name = tzid.trim().replace(/^"|"$/g, '');
  if (name === '' || name.length > 200) return null;
  const direct = canonicalZone(name);
  if (direct !== null) return direct;
  // Globally unique names: `/mozilla.org/20050126_1/Europe/Berlin`, `/citadel.org/20190914_1/America/Indiana/Knox`.
  const segments = name.split('/').filter((segment) => segment !== '');
  for (const length of [3, 2, 1]) {
    if (segments.length <= length) continue;
    const zone = canonicalZone(segments.slice(-length).join('/'));
    // One word (`…/EST`) would as likely be a year or a company.
    if (zone !== null && (length > 1 || zone === 'UTC')) return zone;
  }
  const found = zoneOf(name);
  if (found.kind === 'unknown') return null;
  return found.kind === 'utc' ? 'UTC' : canonicalZone(found.zone);
}
