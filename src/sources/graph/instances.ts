import type { Series } from '../../calendar/series.ts';
import type { Window } from '../../shared/window.ts';
import { allItems, calendarPath, type Session } from './calendars.ts';
import type { Owner } from './people.ts';
import { singleSeries } from './to-series.ts';
import { readEvent, type WireCalendar } from './wire.ts';

/** One happening as Graph lists it, each by itself, whatever rule it comes from. */
export interface SourceInstance {
  /** The claim's key: the series it belongs to, or the event itself. */
  readonly key: string;
  readonly series: Series;
}

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
  const first = await session.getPage(`${calendarPath(calendar)}/calendarView`, {
    startDateTime: window.from,
    endDateTime: window.to,
  });
  return (await allItems(session, first)).flatMap((item): SourceInstance[] => {
    const event = readEvent(item);
    const mapped = singleSeries(event, owner);
    const key = event.seriesMasterId ?? event.id;
    return mapped.kind === 'series' && key !== null ? [{ key, series: mapped.series }] : [];
  });
}
