import type { Window } from '../../shared/window.ts';
import { allItems, calendarPath, orPlain, type Session } from './calendars.ts';
import type { SourceInstance } from '../source.ts';
import type { Owner } from './people.ts';
import { singleSeries } from './to-series.ts';
import { readEvent, type WireCalendar } from './wire.ts';

/** What a comparison looks at. createdDateTime and lastModifiedDateTime cannot be selected (`calendar-list-calendarview.md`). */
const FIELDS = [
  'id,type,seriesMasterId,iCalUId,subject,start,end,isAllDay,originalStart,originalStartTimeZone,originalEndTimeZone',
  'isOrganizer,responseStatus,showAs,sensitivity,categories,isCancelled',
].join(',');

/**
 * What Graph shows in a window, occurrence by occurrence (plain calendarView, no delta), for comparisons. Occurrences
 * that cannot be read are left out.
 */
export async function listInstances(
  session: Session,
  calendar: WireCalendar,
  owner: Owner,
  window: Window,
): Promise<SourceInstance[]> {
  const query = { startDateTime: window.from, endDateTime: window.to, $select: FIELDS };
  const first = await orPlain(query, (asked) => session.getPage(`${calendarPath(calendar)}/calendarView`, asked));
  return (await allItems(session, first)).flatMap((item): SourceInstance[] => {
    const event = readEvent(item);
    const mapped = singleSeries(event, owner);
    const key = event.seriesMasterId ?? event.id;
    return mapped.kind === 'series' && key !== null ? [{ key, series: mapped.series }] : [];
  });
}
