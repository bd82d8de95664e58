/**
 * Golden pairs of the mapping, end to end: `test/fixtures/graph/<number>-<name>.json` is what Graph says, with what it
 * shows for it, `.ics` what our server gets.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { redact, type Privacy, type PrivateItems } from '../../../src/calendar/privacy.ts';
import { renderSeries, type RenderedObject } from '../../../src/calendar/render.ts';
import type { Series } from '../../../src/calendar/series.ts';
import type { Window } from '../../../src/shared/window.ts';
import { checkSeries, type Evidence } from '../../../src/sources/graph/check-series.ts';
import { singleSeries } from '../../../src/sources/graph/to-series.ts';
import { readEvent } from '../../../src/sources/graph/wire.ts';
import { aMaster, anEvent, anException, owner, recurrence, time, type Json } from './wire-builders.ts';

const folder = new URL('../../fixtures/graph/', import.meta.url);

/** An event as Graph tells it, in short hand: times are text, and a builder fills in the noise. */
interface Item {
  readonly event?: Json;
  readonly master?: Json;
  readonly exceptions?: readonly Json[];
  readonly cancelled?: readonly string[];
  /** What Graph shows of it in the window: `start/end` in UTC instants or dates. */
  readonly shows: readonly string[];
  /** The same, for what shows hundreds of times: from one instant on every so many days. */
  readonly every?: { readonly days: number; readonly minutes: number; readonly from: string; readonly to: string };
}

export interface MappingCase {
  readonly name: string;
  /** Numbers in the table of cases. */
  readonly cases: readonly number[];
  readonly about: string;
  readonly items: readonly Item[];
  /** Parts of unfolded lines that the objects must have, and may not have. */
  readonly says: readonly string[];
  readonly lacks: readonly string[];
  readonly counts?: Readonly<Record<string, number>>;
  readonly firstEventLacks?: string;
  readonly mostInstances?: number;
  readonly window: Window;
  readonly privacy?: Privacy;
  readonly privateItems?: PrivateItems;
}

export function mappingCases(): MappingCase[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({
      window: { from: '2026-01-01T00:00:00Z', to: '2028-01-01T00:00:00Z' },
      ...(JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Omit<MappingCase, 'name' | 'window'>),
      name: file.slice(0, -5),
    }));
}

/** The stored text; with UPDATE_GOLDEN=1 it is first replaced by `rendered`, to be read in review. */
export function storedText(name: string, rendered: string): string {
  const file = new URL(`${name}.ics`, folder);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, rendered);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

export interface Mapped {
  readonly mode: string | null;
  readonly series: Series;
  readonly objects: readonly RenderedObject[];
}

/** From the answer of Graph to the objects, as ingest and deliver do it. */
export function mapCase({ name, items, window, privacy = 'full', privateItems = 'full' }: MappingCase): Mapped[] {
  return items.map((item, index) => {
    const proven = item.event === undefined ? checkSeries(evidenceOf(item), window, owner) : null;
    const mapped = proven ?? singleSeries(readEvent(anEvent(full(item.event ?? {}))), owner);
    if (mapped.kind === 'unmappable') throw new Error(mapped.reason);
    const series = redact(mapped.series, privacy, privateItems);
    if (series === null) throw new Error('nothing is left of it');
    const objects = renderSeries(series, {
      uid: `case-${name}-${index}@a1b2.calendar-sync`,
      sequence: 0,
      titleTag: '',
      reminders: 'source',
      window,
      anchor: null,
    });
    return { mode: proven?.kind === 'series' ? proven.check.mode : null, series, objects };
  });
}

export function showsOf({ shows, every }: Item): string[] {
  if (every === undefined) return [...shows];
  const all: string[] = [];
  for (let at = Date.parse(every.from); at < Date.parse(every.to); at += every.days * 86_400_000) {
    all.push(`${instant(at)}/${instant(at + every.minutes * 60_000)}`);
  }
  return all;
}

function instant(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

function evidenceOf(item: Item): Evidence {
  const exceptions = (item.exceptions ?? []).map((each) => anException(full(each)));
  const moved = new Set(exceptions.map(({ start }) => startOf(start as Json)));
  const plain = showsOf(item).flatMap((shown, index): Json[] => {
    const [start = '', end = ''] = shown.split('/');
    if (moved.has(start.slice(0, 19)) || moved.has(`${start}T00:00:00`)) return [];
    return [{ id: `o${index}`, type: 'occurrence', start: bare(start), end: bare(end) }];
  });
  return {
    master: readEvent(aMaster(full(item.master ?? {}))),
    exceptions: exceptions.map(readEvent),
    cancelled: item.cancelled ?? [],
    instances: [...plain, ...exceptions].map(readEvent),
    mailboxZone: null,
  };
}

function startOf(start: Json): string {
  return String(start['dateTime']).slice(0, 19);
}

function bare(text: string): Json {
  return time(text.includes('T') ? text.slice(0, 19) : `${text}T00:00:00`);
}

function full(short: Json): Json {
  const { start, end, recurrence: rule, ...rest } = short;
  return {
    ...rest,
    ...(typeof start === 'string' ? { start: time(start) } : {}),
    ...(typeof end === 'string' ? { end: time(end) } : {}),
    ...(rule === undefined
      ? {}
      : { recurrence: recurrence((rule as { pattern: Json }).pattern, (rule as { range: Json }).range) }),
  };
}
