import type { Window } from '../../../shared/window.ts';
import { instantOf } from '../times.ts';
import { readCalendar, readCollection, readEvent, type WireCalendar, type WireEvent } from '../wire.ts';
import type { Exchange, Purpose } from './exchange.ts';

/** A master as a reading asked for it. */
export interface SeenMaster {
  /** The id by which it was asked for: the one that its occurrences name, or its own. */
  readonly asked: string;
  readonly event: WireEvent;
  readonly instances: readonly WireEvent[];
}

/** What came to light, over all calendars that were looked at. */
export interface Seen {
  readonly window: Window;
  readonly skewMs: number | null;
  /** First rounds of delta, what came last of each id. */
  readonly rows: readonly WireEvent[];
  readonly hasRemovals: boolean;
  readonly masters: readonly SeenMaster[];
  /** Ids that rows or events name as their series, and which are not there. */
  readonly absentMasters: readonly string[];
  /** Exceptions, wherever they came from but delta. */
  readonly exceptions: readonly WireEvent[];
  readonly view: readonly WireEvent[];
  readonly ordinaryView: readonly WireEvent[];
  readonly calendars: readonly WireCalendar[];
  /** What was tried otherwise than by looking, by question. */
  readonly tried: Readonly<Record<string, readonly string[]>>;
  of(purpose: Purpose): readonly Exchange[];
}

/** Sorts exchanges by what they tell. Pure: the same exchanges, scrubbed or not, tell the same. */
export function seenIn(
  exchanges: readonly Exchange[],
  { window, skewMs, tried = {} }: Pick<Seen, 'window' | 'skewMs'> & Partial<Pick<Seen, 'tried'>>,
): Seen {
  const byPurpose = Map.groupBy(exchanges, ({ purpose }) => purpose);
  const of = (purpose: Purpose): readonly Exchange[] => byPurpose.get(purpose) ?? [];
  const reading = of('reading').map((exchange) => ({ exchange, ...addressed(exchange) }));
  const answered = reading.filter(({ exchange }) => exchange.status === 200);
  const items = answered.filter(({ isDelta }) => isDelta).flatMap(({ exchange }) => itemsOf(exchange));
  const rows = new Map<string, WireEvent>();
  for (const event of items.map(readEvent)) if (event.id !== null && !event.isRemoved) rows.set(event.id, event);
  const direct = of('exception').map((exchange) => ({ exchange, ...addressed(exchange) }));
  const events = [...answered, ...direct].flatMap(({ exchange, event }) =>
    event === null || exchange.status !== 200 ? [] : [{ asked: event, event: readEvent(exchange.body) }],
  );
  const listed = Map.groupBy(answered, ({ listOf }) => listOf);
  const masters = new Map<string, SeenMaster>();
  for (const { asked, event } of events) {
    // The last look at a master may be for its version alone.
    if (event.recurrence === null || masters.has(asked)) continue;
    const instances = (listed.get(asked) ?? []).flatMap(({ exchange }) => itemsOf(exchange)).map(readEvent);
    masters.set(asked, { asked, event, instances });
  }
  const exceptions = [
    ...[...masters.values()].flatMap(({ event, instances }) => [...(event.exceptionOccurrences ?? []), ...instances]),
    ...events.map(({ event }) => event),
  ].filter(({ type }) => type === 'exception');
  const named = new Set(
    [...rows.values(), ...events.map(({ event }) => event)].flatMap((row) => row.seriesMasterId ?? []),
  );
  const missing = reading.filter(({ exchange }) => exchange.status === 404).flatMap(({ event }) => event ?? []);
  return {
    window,
    skewMs,
    tried,
    rows: [...rows.values()],
    hasRemovals: items.some((item) => readEvent(item).isRemoved),
    masters: [...masters.values()],
    absentMasters: [...new Set(missing)].filter((id) => named.has(id)),
    exceptions,
    view: of('view').flatMap(itemsOf).map(readEvent),
    ordinaryView: of('view-ordinary').flatMap(itemsOf).map(readEvent),
    calendars: of('calendars')
      .flatMap(itemsOf)
      .flatMap((item) => readCalendar(item) ?? []),
    of,
  };
}

export function itemsOf({ body }: Exchange): readonly unknown[] {
  return readCollection(body)?.items ?? [];
}

/** The code of a refusal, empty where there is none. */
export function codeOf({ body }: Exchange): string {
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : null;
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return typeof code === 'string' && /^[A-Za-z][\w.]{0,60}$/.test(code) ? code : '';
}

export function beginsBefore({ start }: WireEvent, { from }: Window): boolean {
  const at = instantOf(start);
  return at !== null && at * 1_000 < Date.parse(from);
}

/** The id in `…/events/{id}`, null for any other address. */
export function eventIdOf(url: string): string | null {
  return eventIn(new URL(url).pathname);
}

function eventIn(path: string): string | null {
  const [, id] = /\/events\/([^/]+)$/.exec(path) ?? [];
  return id === undefined ? null : decodeURIComponent(id);
}

/** What a request was about: delta, one event, or the instances of one. */
function addressed({ url }: Exchange): { isDelta: boolean; event: string | null; listOf: string | null } {
  const { pathname } = new URL(url);
  const [, series] = /\/events\/([^/]+)\/instances$/.exec(pathname) ?? [];
  return {
    isDelta: /\/calendarView\/delta(?:\(\))?$/i.test(pathname),
    event: eventIn(pathname),
    listOf: series === undefined ? null : decodeURIComponent(series),
  };
}
