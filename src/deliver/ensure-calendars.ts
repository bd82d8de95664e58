import { zoneObject } from '../calendar/zone-object.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import { SyncError } from '../shared/errors.ts';
import type { Store } from '../store/database.ts';
import type { WriteRight } from '../store/objects.ts';
import { mostUsedZone, recordCalendarHref, type TargetCalendarState, type TargetState } from '../store/targets.ts';
import { asHolder } from './as-holder.ts';

/**
 * The collections of a target's calendars by calendar id, each path with a trailing slash. One that has never been seen
 * is looked for in the home by the last segment of its path, and made when it is not there. A calendar that was there
 * once is not made again: its disappearance is for the operator.
 */
export async function ensureCalendars(
  store: Store,
  dav: CalDav,
  target: TargetState,
  lease: WriteRight['lease'],
  year: number,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const hrefs = new Map<string, string>();
  const unknown = target.calendars.filter((calendar) => {
    if (calendar.href !== null) hrefs.set(calendar.id, calendar.href);
    return calendar.href === null;
  });
  if (unknown.length === 0) {
    // An account just opened learns here what the server's answers must carry; later it remembers.
    await dav.discover(signal);
    return hrefs;
  }
  const there = await dav.listCalendars(signal);
  for (const calendar of unknown) {
    const found = there.find((one) => lastSegment(one.href) === calendar.id);
    if (found !== undefined && found.components.length > 0 && !found.components.includes('VEVENT'))
      throw new SyncError(`The calendar ${calendar.id} of ${target.id} does not take events`, {
        code: 'deliver.calendar_without_events',
        field: `targets.${target.id}.calendars.${calendar.id}`,
        recovery: { kind: 'operator', remedy: 'Give the calendar another id, so that a calendar for events is made.' },
      });
    const href = withSlash(
      found?.href ?? (await dav.makeCalendar(calendar.id, await lookOf(store, target.id, calendar, year), signal)),
    );
    await asHolder(store, target.id, lease, (db) => recordCalendarHref(db, target.id, calendar.id, href));
    hrefs.set(calendar.id, href);
  }
  return hrefs;
}

/** Its zone, for whom the server asks by days (free-busy, all-day events), is the one that most of its events are in. */
async function lookOf(
  store: Store,
  targetId: string,
  { id, name, color }: TargetCalendarState,
  year: number,
): Promise<Parameters<CalDav['makeCalendar']>[1]> {
  const zone = await mostUsedZone(store.db, targetId, id);
  return { displayName: name, color, timezone: zone === null ? null : zoneObject(zone, year) };
}

function lastSegment(href: string): string {
  return decodeURIComponent(href.replace(/\/+$/, '').split('/').at(-1) ?? '');
}

function withSlash(href: string): string {
  return href.endsWith('/') ? href : `${href}/`;
}
