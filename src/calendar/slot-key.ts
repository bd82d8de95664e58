import { formatLocal, parseLocal, formatDay, dayOfSeconds } from './civil.ts';
import type { Moment } from './series.ts';
import { instantSeconds, localSeconds, momentSeconds, parseInstant } from './zones.ts';

/**
 * The canonical, comparable text of a slot: the UTC instant `2026-07-01T07:00:00Z`, the date `2026-07-01`, or for
 * floating times the wall clock `2026-07-01T09:00:00`. Two moments of one series have equal keys exactly when they name
 * the same occurrence. Throws `calendar.moment_invalid`.
 */
export function slotKey(slot: Moment): string {
  switch (slot.kind) {
    case 'date':
      return formatDay(dayOfSeconds(parseLocal(slot.date)));
    case 'utc':
      return `${formatLocal(parseInstant(slot.instant))}Z`;
    case 'zoned':
      return `${formatLocal(instantSeconds(parseLocal(slot.local), slot.zone))}Z`;
    case 'floating':
      return formatLocal(parseLocal(slot.local));
  }
}

/** The wall clock by which a series of this start counts, as plain seconds: of its zone, of UTC, or midnight of a date. */
export function wallSeconds(moment: Moment): number {
  switch (moment.kind) {
    case 'date':
      return parseLocal(moment.date);
    case 'utc':
      return parseInstant(moment.instant);
    case 'zoned':
    case 'floating':
      return parseLocal(moment.local);
  }
}

/** The moment that shows this wall clock, in the form of `model`. The reverse of `wallSeconds`. */
export function momentAt(wall: number, model: Moment): Moment {
  switch (model.kind) {
    case 'date':
      return { kind: 'date', date: formatDay(dayOfSeconds(wall)) };
    case 'utc':
      return { kind: 'utc', instant: `${formatLocal(wall)}Z` };
    case 'zoned':
      return { kind: 'zoned', local: formatLocal(wall), zone: model.zone };
    case 'floating':
      return { kind: 'floating', local: formatLocal(wall) };
  }
}

/**
 * A slot written in another form than its series, in the series' form: some programs write EXDATE and RECURRENCE-ID of
 * a timed series as dates or in UTC (RFC 5545 section 3.8.4.4 wants the form of DTSTART).
 */
export function inFormOf(slot: Moment, start: Moment): Moment {
  if (slot.kind === start.kind && (slot.kind !== 'zoned' || start.kind !== 'zoned' || slot.zone === start.zone)) {
    return slot;
  }
  if (start.kind === 'date') return momentAt(wallSeconds(slot), start);
  if (slot.kind === 'date') {
    const startWall = wallSeconds(start);
    return momentAt(wallSeconds(slot) + (startWall - dayOfSeconds(startWall) * 86_400), start);
  }
  if (slot.kind === 'floating' || start.kind === 'floating') return momentAt(wallSeconds(slot), start);
  const at = momentSeconds(slot);
  return momentAt(start.kind === 'zoned' ? localSeconds(at, start.zone) : at, start);
}
