/** What a round of calendarView/delta says about one event or series, and how that is written. */
import { deltaExceptionJson, itemJson, masterJson, stubJson, type Json, type Rendering } from './event-json.ts';
import { occurrenceIdFrom } from './ids.ts';
import { firstTiming, instancesOf, instantOn, startMsOf } from './instances.ts';
import type { ItemState, Touch } from './state.ts';
import type { Switches } from './switches.ts';
import type { World } from './world.ts';

/** One entry of a round; written out only when its page is asked for. */
export type Entry = { readonly isOld?: boolean } & (
  | { readonly kind: 'single' | 'master'; readonly key: string }
  | { readonly kind: 'occurrence'; readonly key: string; readonly date: string; readonly generation: number }
  | { readonly kind: 'removed'; readonly id: string; readonly immutableId: string; readonly isOccurrence: boolean }
);

/**
 * A calendar through a frozen window, and what its client was ever told of: item keys, and `key generation date` of
 * occurrences.
 */
export interface View {
  readonly calendar: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly known: Set<string>;
}

/** An item as a first round (or a replay) sends it: nothing when it lies outside the window. */
export function wholeEntries(view: View, item: ItemState, switches: Switches): Entry[] {
  const instances = instancesOf(item, view.fromMs, view.toMs);
  if (instances.length === 0) return [];
  if (!item.recurrence) {
    view.known.add(item.key);
    return [{ kind: 'single', key: item.key }];
  }
  const occurrences = instances.map(({ date }) => occurrenceEntry(view, item, date ?? ''));
  return [...masterEntries(view, item, switches), ...occurrences];
}

/** An item that changed since the last round. */
export function changedEntries(view: View, item: ItemState, touches: readonly Touch[], switches: Switches): Entry[] {
  const dates = touches.flatMap(({ what }) => (typeof what === 'object' ? [what.date] : []));
  const isWhole = touches.some(({ what }) => what === 'whole');
  // A deleted occurrence is never mentioned: the master and what remains come instead (microsoft-graph-docs PR#4501).
  const isCancelled = touches.some(({ what }) => what === 'cancelled');
  const isOne = !isWhole && !isCancelled && switches.afterOccurrenceChange === 'exception-only';
  if (item.recurrence && isOne) return exceptionEntries(view, item, dates, switches);
  const entries = wholeEntries(view, item, switches);
  // Touched outside the window: may come as removed although it exists (`event-delta.md`).
  if (entries.length === 0) return isTold(view, item.key, switches) ? [removed(item)] : [];
  if (!item.recurrence || switches.afterMasterChange === 'all-occurrences' || !isWhole) return entries;
  return [...masterEntries(view, item, switches), ...exceptionEntries(view, item, dates, switches)];
}

/** An item that left the calendar. What a deleted series sends is unknown, hence the switch. */
export function removedEntries(view: View, item: ItemState, switches: Switches): Entry[] {
  if (!isTold(view, item.key, switches)) return [];
  const whole = removed(item);
  if (!item.recurrence) return [whole];
  const parts = [...view.known].flatMap((name) => {
    const [key, generation, date] = name.split(' ');
    return key === item.key && date !== undefined ? [removedOccurrence(item, Number(generation), date)] : [];
  });
  if (parts.length === 0) return [whole];
  return { master: [whole], occurrences: parts, both: [whole, ...parts] }[switches.seriesDeleted];
}

/** The entry as the client sees it; null when it is gone since the round began (the next round tells). */
export function writeEntry(world: World, view: View, entry: Entry, rendering: Rendering): Json | null {
  if (entry.kind === 'removed') {
    const { preferences, switches } = rendering;
    const mayBeImmutable = !entry.isOccurrence || switches.immutableOccurrenceIds === 'yes';
    const id = preferences.isImmutable && mayBeImmutable ? entry.immutableId : entry.id;
    return { '@odata.type': '#microsoft.graph.event', id, '@removed': { reason: switches.removedReason } };
  }
  const item = world.itemByKey(entry.key);
  if (item?.calendar !== view.calendar) return null;
  if (entry.kind === 'occurrence') {
    if (entry.generation !== item.generation || item.cancelled.includes(entry.date)) return null;
    const instance = instantOn(item, entry.date);
    if (instance.type === 'occurrence') return stubJson(item, instance, rendering);
    return aged(entry, deltaExceptionJson(item, instance, rendering));
  }
  const json = entry.kind === 'master' ? masterJson(item, rendering) : itemJson(item, rendering);
  return aged(entry, { '@odata.type': '#microsoft.graph.event', ...json });
}

/** An earlier state of an entry that comes again, true, later in the round. */
function aged(entry: Entry, json: Json): Json {
  return entry.isOld === true ? { ...json, subject: 'An earlier title' } : json;
}

function exceptionEntries(view: View, item: ItemState, dates: readonly string[], switches: Switches): Entry[] {
  const inside = new Set(instancesOf(item, view.fromMs, view.toMs).map(({ date }) => date));
  return [...new Set(dates)].flatMap((date) => {
    if (inside.has(date)) return [occurrenceEntry(view, item, date)];
    return isTold(view, occurrenceName(item, date), switches) ? [removedOccurrence(item, item.generation, date)] : [];
  });
}

function occurrenceEntry(view: View, item: ItemState, date: string): Entry {
  view.known.add(occurrenceName(item, date));
  return { kind: 'occurrence', key: item.key, date, generation: item.generation };
}

function occurrenceName(item: ItemState, date: string): string {
  return `${item.key} ${item.generation} ${date}`;
}

/** Several projects do not see a master that began before the window (keeper.sh#409), others do (allodia-eu engine). */
function masterEntries(view: View, item: ItemState, switches: Switches): Entry[] {
  view.known.add(item.key);
  const isEarlier = startMsOf(firstTiming(item)) < view.fromMs;
  return isEarlier && switches.mastersBeforeWindow === 'not' ? [] : [{ kind: 'master', key: item.key }];
}

function isTold(view: View, name: string, switches: Switches): boolean {
  return switches.outsideTouched === 'removed' || view.known.has(name);
}

function removed(item: ItemState): Entry {
  return { kind: 'removed', id: item.id, immutableId: item.key, isOccurrence: false };
}

function removedOccurrence(item: ItemState, generation: number, date: string): Entry {
  return {
    kind: 'removed',
    id: occurrenceIdFrom(item.id, generation, date),
    immutableId: occurrenceIdFrom(item.key, generation, date),
    isOccurrence: true,
  };
}
