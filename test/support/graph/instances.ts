/** What a calendar truly shows: occurrences of stored items, independent of the product's own calendar code. */
import { dayNumber, plusDays, seriesDates } from './patterns.ts';
import type { EventFields, ItemState, Timing } from './state.ts';
import { ianaZone, toInstant, utc } from './zones.ts';

export interface Instant {
  readonly type: 'singleInstance' | 'occurrence' | 'exception';
  /** Original date in the series' zone; null for a single event. */
  readonly date: string | null;
  readonly timing: Timing;
  readonly fields: EventFields;
  /** Fields that an exception has of its own. */
  readonly own: Partial<EventFields> | null;
  readonly startMs: number;
  readonly endMs: number;
}

/** One happening as Outlook would show it. */
export interface TruthInstance {
  readonly iCalUId: string;
  readonly subject: string | null;
  /** UTC instant `2026-07-01T07:00:00Z`, or a date when all-day; `end` is exclusive. */
  readonly start: string;
  readonly end: string;
  readonly isAllDay: boolean;
  readonly isCancelled: boolean;
  readonly showAs: EventFields['showAs'];
  readonly sensitivity: EventFields['sensitivity'];
  readonly importance: EventFields['importance'];
  readonly location: string | null;
  readonly categories: readonly string[];
  readonly response: EventFields['response'];
  /** Original start, in the form of `start`; null for a single event. */
  readonly slot: string | null;
}

/** The IANA zone in which an item's local times hold. */
export function zoneOf(timing: Timing): string {
  return timing.actualZone ?? ianaZone(timing.zone) ?? 'Etc/UTC';
}

export function startMsOf(timing: Timing): number {
  return toInstant(timing.start, zoneOf(timing));
}

export function endMsOf(timing: Timing): number {
  return toInstant(timing.end, timing.actualZone ?? ianaZone(timing.endZone) ?? zoneOf(timing));
}

/**
 * The times of the occurrence of a date: Exchange keeps start and end as minutes of local time, so an occurrence over a
 * DST change keeps its wall-clock end.
 */
export function timingOn(item: ItemState, date: string): Timing {
  const { timing } = item;
  const days = dayNumber(timing.end) - dayNumber(timing.start);
  return {
    ...timing,
    start: `${date}T${timing.start.slice(11)}`,
    end: `${plusDays(date, days)}T${timing.end.slice(11)}`,
  };
}

/** The original start of an occurrence: the instant at which its date's slot begins in the series' zone. */
export function slotMs(item: ItemState, date: string): number {
  return startMsOf(timingOn(item, date));
}

/** One occurrence of a series by its original date; null when the rule lacks it or it was cancelled. */
export function occurrenceOn(item: ItemState, date: string): Instant | null {
  if (item.recurrence === null || item.cancelled.includes(date)) return null;
  for (const candidate of seriesDates(item.recurrence.pattern, item.recurrence.range, date)) {
    if (candidate === date) return instantOn(item, date);
  }
  return null;
}

/** The occurrence of a date that is known to be in the rule and not cancelled. */
export function instantOn(item: ItemState, date: string): Instant {
  const exception = item.exceptions[date];
  const timing = exception?.timing ?? timingOn(item, date);
  return {
    type: exception ? 'exception' : 'occurrence',
    date,
    timing,
    fields: exception ? { ...item.fields, ...exception.fields } : item.fields,
    own: exception?.fields ?? null,
    startMs: startMsOf(timing),
    endMs: endMsOf(timing),
  };
}

/** All that an item shows in a span of instants, in order of start. Overlap counts; `toMs` is exclusive. */
export function instancesOf(item: ItemState, fromMs: number, toMs: number): Instant[] {
  const isInside = ({ startMs, endMs }: Instant): boolean =>
    startMs < toMs && (endMs > fromMs || (endMs === startMs && startMs >= fromMs));
  if (item.recurrence === null) {
    const { timing, fields } = item;
    const single: Instant = {
      type: 'singleInstance',
      date: null,
      timing,
      fields,
      own: null,
      startMs: startMsOf(timing),
      endMs: endMsOf(timing),
    };
    return isInside(single) ? [single] : [];
  }
  const { pattern, range } = item.recurrence;
  const length = dayNumber(item.timing.end) - dayNumber(item.timing.start);
  const near = plusDays(utc(fromMs).slice(0, 10), -length - 2);
  const last = plusDays(utc(toMs).slice(0, 10), 2);
  const found: Instant[] = [];
  for (const date of seriesDates(pattern, range, last)) {
    if (date >= near && !item.cancelled.includes(date) && !item.exceptions[date]) found.push(instantOn(item, date));
  }
  // An exception may have been moved any distance from its slot.
  for (const date of Object.keys(item.exceptions)) {
    if (!item.cancelled.includes(date)) found.push(instantOn(item, date));
  }
  return found.filter(isInside).sort((a, b) => a.startMs - b.startMs || (a.date ?? '').localeCompare(b.date ?? ''));
}

/** The first occurrence of a series, whatever became of it: a master's own start and end. */
export function firstTiming(item: ItemState): Timing {
  if (item.recurrence === null) return item.timing;
  const { pattern, range } = item.recurrence;
  const first = seriesDates(pattern, range, '9999-12-31').next();
  return first.done === true ? item.timing : timingOn(item, first.value);
}

/** An instant in the form in which `expected` tells it. */
export function truthOf(item: ItemState, instance: Instant): TruthInstance {
  const { timing, fields } = instance;
  const moment = (local: string, ms: number): string => (timing.isAllDay ? local.slice(0, 10) : utc(ms));
  return {
    iCalUId: item.iCalUId,
    subject: fields.subject,
    start: moment(timing.start, instance.startMs),
    end: moment(timing.end, instance.endMs),
    isAllDay: timing.isAllDay,
    isCancelled: fields.isCancelled,
    showAs: fields.showAs,
    sensitivity: fields.sensitivity,
    importance: fields.importance,
    location: fields.location?.displayName ?? null,
    categories: fields.categories,
    response: fields.response,
    slot: slotOf(item, instance.date),
  };
}

function slotOf(item: ItemState, date: string | null): string | null {
  if (item.orphan) return item.timing.isAllDay ? item.orphan.date : item.orphan.slot;
  if (date === null) return null;
  return item.timing.isAllDay ? date : utc(slotMs(item, date));
}
