/** What a series shows, as Graph lists it and as readers of our objects see it, brought to one form. */
import { daySeconds } from '../../calendar/civil.ts';
import { expandText } from '../../calendar/expand.ts';
import { renderSeries } from '../../calendar/render.ts';
import type { Instance, Series } from '../../calendar/series.ts';
import { momentSeconds, offsetAt, parseInstant } from '../../calendar/zones.ts';
import type { Window } from '../../shared/window.ts';
import { allDayTimes, instantOf, parseIso, utc, type KnownZone } from './times.ts';
import { zonesOf } from './to-series.ts';
import type { WireEvent } from './wire.ts';

/** Something on the time line, in seconds; dates as midnight UTC. */
export interface Shown {
  readonly at: number;
  /** Null: not told. */
  readonly until: number | null;
  readonly isAllDay: boolean;
}

/** No clock has ever been set by more at once, but for changes of the date line. */
const LARGEST_CHANGE = 2 * 3_600;

/** Two things shown at one time have equal keys, however long they last. */
export function keyOf({ at, isAllDay }: Shown): string {
  return `${at}${isAllDay ? 'd' : ''}`;
}

/** Rows that Graph lists for a master. Those without a readable start are left out. */
export function shownByGraph(instances: readonly WireEvent[], master: WireEvent): Shown[] {
  const zone = zonesOf(master)[0] ?? utc;
  return instances.flatMap((instance): Shown[] => {
    if (instance.isAllDay ?? master.isAllDay) {
      const { start, end } = allDayTimes(instance, zone) ?? {};
      if (start?.kind !== 'date') return [];
      const until = instance.end === null || end?.kind !== 'date' ? null : parseInstant(end.date);
      return [{ at: parseInstant(start.date), until, isAllDay: true }];
    }
    const at = instantOf(instance.start);
    const end = instantOf(instance.end);
    return at === null ? [] : [{ at, until: end === null ? null : Math.max(at, end), isAllDay: false }];
  });
}

/** What a reader of the objects that we would write sees: rendered, read back and expanded. */
export function shownByObjects(series: Series, window: Window): Shown[] {
  const uid = 'check@check.calendar-sync';
  const options = { uid, sequence: 0, titleTag: '', reminders: 'none', window, anchor: null } as const;
  return renderSeries(series, options).flatMap(({ text }) => shownOf(expandText(text, window)));
}

export function shownOf(instances: readonly Instance[]): Shown[] {
  return instances.flatMap(({ start, end, isAllDay }): Shown[] => {
    const at = parseIso(start);
    return at === null ? [] : [{ at, until: parseIso(end), isAllDay }];
  });
}

/** Away from the window's edges, where both sides count differently what only touches it. */
export function inside(shown: readonly Shown[], window: Window): Shown[] {
  const from = parseInstant(window.from) + daySeconds;
  const to = parseInstant(window.to) - daySeconds;
  return shown.filter(({ at }) => at >= from && at < to);
}

/** What keeps our objects from showing what Graph shows, which lies inside the window; null: nothing. */
export function differenceTo(theirs: readonly Shown[], series: Series, window: Window, zone: KnownZone): string | null {
  const ours = inside(shownByObjects(series, window), window).sort(inOrder);
  const sorted = [...theirs].sort(inOrder);
  if (ours.length !== sorted.length) return 'its rule gives other times than Graph shows';
  if (ours.some((each, index) => keyOf(each) !== keyOf(sorted[index] ?? each))) {
    return 'its rule gives other times than Graph shows';
  }
  // An iCalendar length is exact, Graph's follows the clock: where one of the two nights changes it, they may differ.
  const isMainTouched = isTouched(spanOfMain(series), zone);
  const isLonger = ours.some((each, index) => {
    const other = sorted[index]?.until ?? null;
    if (other === null || each.until === null || each.until === other) return false;
    const mayDiffer =
      !each.isAllDay && (isMainTouched || isTouched({ ...each, until: Math.max(each.until, other) }, zone));
    return !mayDiffer || Math.abs(each.until - other) > LARGEST_CHANGE;
  });
  return isLonger ? 'its occurrences last longer or shorter than Graph shows' : null;
}

function inOrder(a: Shown, b: Shown): number {
  return a.at - b.at || Number(a.isAllDay) - Number(b.isAllDay) || (a.until ?? 0) - (b.until ?? 0);
}

function spanOfMain({ main }: Series): Shown {
  const at = momentSeconds(main.start);
  return { at, until: main.end === null ? at : momentSeconds(main.end), isAllDay: main.start.kind === 'date' };
}

/** Whether clocks change between start and end. */
function isTouched({ at, until }: Shown, zone: KnownZone): boolean {
  return zone.kind === 'zone' && offsetAt(zone.zone, at) !== offsetAt(zone.zone, until ?? at);
}
