import { formatDay, formatLocal, dayOfSeconds, daySeconds } from './civil.ts';
import { parseCalendar } from './parse.ts';
import type { Entry, Instance, Moment, Override, Series } from './series.ts';
import { slotKey } from './slot-key.ts';
import { durationOf, instantOfWall, timelineOf, wallOfInstant, walls } from './timeline.ts';
import { momentSeconds, parseInstant } from './zones.ts';
import type { Window } from '../shared/window.ts';

/** No series shows more often than this in a window: beyond it the expansion stops. */
export const maxInstances = 20_000;

interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * What a series shows in a window: everything that overlaps it, sorted by start. Slots whose override exists take the
 * override, others in `excluded` vanish; an override that belongs to no slot still shows. An override beats an
 * exclusion of the same slot. Cancelled entries are shown, with that status. The `entry` of a plain occurrence is the
 * main entry itself, whose own start and end are those of the first occurrence.
 *
 * Occurrences keep the wall clock of their zone and the exact length of the first (RFC 5545 section 3.8.5.3). A rule
 * that cannot be understood shows its start only. At most `maxInstances`. Throws `calendar.moment_invalid`.
 */
export function expandSeries(series: Series, window: Window): Instance[] {
  const span: Span = { from: parseInstant(window.from), to: parseInstant(window.to) };
  const found: Timed[] = [];
  if (series.list !== null) {
    addOverrides(found, series.list, span);
  } else {
    addOccurrences(found, series, span);
    addOverrides(found, series.overrides, span);
  }
  found.sort((a, b) => a.at - b.at || (a.instance.slot < b.instance.slot ? -1 : 1));
  return found.map(({ instance }) => instance);
}

/**
 * What a server's copy shows in a window: every event of the text, sorted by start. Throws `ical.unreadable`; events
 * that cannot be read are left out.
 */
export function expandText(text: string, window: Window): Instance[] {
  const instances = parseCalendar(text).resources.flatMap(({ series }) =>
    series.flatMap((one) => expandSeries(one, window)),
  );
  return instances.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.slot < b.slot ? -1 : 1));
}

interface Timed {
  readonly at: number;
  readonly instance: Instance;
}

function addOccurrences(found: Timed[], series: Series, span: Span): void {
  const timeline = timelineOf(series);
  const { start } = timeline;
  const duration = durationOf(series.main);
  const taken = new Set(series.excluded.map(slotKey));
  for (const { slot } of series.overrides) taken.add(slotKey(slot));

  if (series.recurrence === null) {
    const at = instantOfWall(timeline.startWall, start);
    const slot = series.slot === '*' ? show(at, start) : series.slot;
    if (overlaps(at, at + duration, span)) found.push(timed(at, duration, slot, start, series.main));
    return;
  }
  // A day to both sides: wall clocks and UTC are less than a day apart.
  const fromWall = wallOfInstant(span.from - duration, start) - daySeconds;
  const toWall = wallOfInstant(span.to, start) + daySeconds;
  for (const wall of walls(timeline, fromWall)) {
    if (wall > toWall || found.length >= maxInstances) break;
    const at = instantOfWall(wall, start);
    if (!overlaps(at, at + duration, span)) continue;
    // An occurrence's slot is its own start.
    const slot = show(at, start);
    if (!taken.has(slot)) found.push(timed(at, duration, slot, start, series.main, slot));
  }
  const shown = new Set(found.map(({ instance }) => instance.slot));
  for (const extra of series.recurrence.extra) {
    const slot = slotKey(extra);
    const at = momentSeconds(extra);
    if (taken.has(slot) || shown.has(slot) || !overlaps(at, at + duration, span)) continue;
    shown.add(slot);
    found.push(timed(at, duration, slot, extra, series.main));
  }
}

function addOverrides(found: Timed[], overrides: readonly Override[], span: Span): void {
  for (const { slot, entry } of overrides) {
    const at = momentSeconds(entry.start);
    const duration = durationOf(entry);
    if (overlaps(at, at + duration, span)) found.push(timed(at, duration, slotKey(slot), entry.start, entry));
  }
}

function overlaps(from: number, to: number, span: Span): boolean {
  return from < span.to && (to > span.from || (from === to && from >= span.from));
}

function timed(at: number, duration: number, slot: string, form: Moment, entry: Entry, start = show(at, form)): Timed {
  return {
    at,
    instance: {
      start,
      end: duration === 0 ? start : show(at + duration, form),
      isAllDay: form.kind === 'date',
      slot,
      entry,
    },
  };
}

function show(at: number, form: Moment): string {
  if (form.kind === 'date') return formatDay(dayOfSeconds(at));
  return form.kind === 'floating' ? formatLocal(at) : `${formatLocal(at)}Z`;
}
