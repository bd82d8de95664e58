/** Builders for the calendar room's tests: they fill in what a test does not care about. */
import { blankEntry, singleSeries } from '../../src/calendar/blank.ts';
import type { Entry, Moment, Override, Series } from '../../src/calendar/series.ts';

export const zoned = (local: string, zone = 'Europe/Berlin'): Moment => ({ kind: 'zoned', local, zone });
export const utc = (instant: string): Moment => ({ kind: 'utc', instant });
export const day = (date: string): Moment => ({ kind: 'date', date });
export const floating = (local: string): Moment => ({ kind: 'floating', local });

export function anEntry(change: Partial<Entry> = {}): Entry {
  return {
    ...blankEntry(zoned('2026-07-01T09:00:00'), zoned('2026-07-01T10:00:00')),
    summary: 'Stand-up',
    ...change,
  };
}

export function aSeries(change: Partial<Series> = {}): Series {
  return { ...singleSeries(anEntry()), uid: 'meeting-1', ...change };
}

/** A series that starts on the first line of its times and repeats. */
export function recurring(rule: string, start: Moment, end: Moment | null, change: Partial<Series> = {}): Series {
  return aSeries({
    main: anEntry({ start, end }),
    recurrence: { rule, clampedDay: null, extra: [] },
    ...change,
  });
}

/** An occurrence that differs; at its own slot's time unless told otherwise. */
export function anOverride(slot: Moment, change: Partial<Entry> = {}): Override {
  return { slot, entry: anEntry({ start: slot, end: null, ...change }) };
}
