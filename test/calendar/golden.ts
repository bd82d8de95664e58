/** Golden pairs: `test/fixtures/ical/<case>.json` is a series in short hand, `<case>.ics` what it is rendered to. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { RenderOptions } from '../../src/calendar/render.ts';
import type { Entry, Moment, Override, Series } from '../../src/calendar/series.ts';
import { anEntry, aSeries } from './builders.ts';

const folder = new URL('../fixtures/ical/', import.meta.url);

export interface GoldenCase {
  readonly name: string;
  readonly about: string;
  readonly series: Series;
  readonly options: RenderOptions;
  /** Starts that a reader must see in the window, all objects together. */
  readonly starts: readonly string[] | null;
}

type ShortEntry = Partial<Omit<Entry, 'start' | 'end'>> & { readonly start: string; readonly end: string | null };
interface ShortOverride {
  readonly slot: string;
  readonly entry: ShortEntry;
}
interface ShortCase {
  readonly about: string;
  readonly main: ShortEntry;
  readonly slot?: string;
  readonly rule?: string;
  readonly clampedDay?: 29 | 30;
  readonly extra?: readonly string[];
  readonly excluded?: readonly string[];
  readonly overrides?: readonly ShortOverride[];
  readonly list?: readonly ShortOverride[];
  readonly options?: Partial<RenderOptions>;
  readonly starts?: readonly string[];
}

export const defaultOptions: RenderOptions = {
  uid: 'm-golden@a1b2.calendar-sync',
  sequence: 0,
  titleTag: '',
  reminders: 'source',
  window: { from: '2026-01-01T00:00:00Z', to: '2028-01-01T00:00:00Z' },
  anchor: null,
};

export function goldenCases(): GoldenCase[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => {
      const short = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as ShortCase;
      return {
        name: file.slice(0, -5),
        about: short.about,
        series: seriesOf(short),
        options: { ...defaultOptions, ...short.options },
        starts: short.starts ?? null,
      };
    });
}

/** The stored text; with UPDATE_GOLDEN=1 it is first replaced by `rendered`, to be read in review. */
export function goldenText(name: string, rendered: string): string {
  const file = new URL(`${name}.ics`, folder);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, rendered);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

function seriesOf(short: ShortCase): Series {
  const { rule, clampedDay = null, extra = [], excluded = [], overrides = [], list } = short;
  return aSeries({
    slot: short.slot ?? '*',
    main: entryOf(short.main),
    recurrence: rule === undefined ? null : { rule, clampedDay, extra: extra.map(momentOf) },
    excluded: excluded.map(momentOf),
    overrides: overrides.map(overrideOf),
    list: list === undefined ? null : list.map(overrideOf),
  });
}

function overrideOf({ slot, entry }: ShortOverride): Override {
  return { slot: momentOf(slot), entry: entryOf(entry) };
}

function entryOf({ start, end, ...rest }: ShortEntry): Entry {
  return anEntry({ ...rest, start: momentOf(start), end: end === null ? null : momentOf(end) });
}

/** `2026-07-01`, `…T09:00:00`, `…T09:00:00Z` or `…T09:00:00[Europe/Berlin]`. */
function momentOf(text: string): Moment {
  if (!text.includes('T')) return { kind: 'date', date: text };
  if (text.endsWith('Z')) return { kind: 'utc', instant: text };
  const zone = /^(.*)\[(.*)\]$/.exec(text);
  if (zone === null) return { kind: 'floating', local: text };
  return { kind: 'zoned', local: zone[1] ?? '', zone: zone[2] ?? '' };
}
