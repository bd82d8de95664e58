import { dayOfSeconds, daySeconds, formatDay } from '../../calendar/civil.ts';
import { expandSeries } from '../../calendar/expand.ts';
import type { Moment, Series } from '../../calendar/series.ts';
import { slotKey, momentAt } from '../../calendar/slot-key.ts';
import { timelineOf, wallOfInstant } from '../../calendar/timeline.ts';
import { parseInstant } from '../../calendar/zones.ts';
import type { Window } from '../../shared/window.ts';
import type { SelfCheck } from '../source.ts';
import { fittingZones } from './fitting-zones.ts';
import type { Owner } from './people.ts';
import { differenceTo, inside, keyOf, shownByGraph, shownOf } from './shown.ts';
import { instantOf, type KnownZone } from './times.ts';
import { dateOfOccurrenceId, listSeries, ruleSeries, zonesOf, type MappedRule, type Unmappable } from './to-series.ts';
import type { WireEvent } from './wire.ts';

/** A series with all that Graph tells of it, read while its version stood still. */
export interface Evidence {
  readonly master: WireEvent;
  readonly exceptions: readonly WireEvent[];
  /** Null: this cloud does not tell them, what the instances lack is cancelled. */
  readonly cancelled: readonly string[] | null;
  /** What Graph shows in the window. */
  readonly instances: readonly WireEvent[];
  /** The zone of the mailbox, where it was asked for. */
  readonly mailboxZone: KnownZone | null;
}

export interface Proven {
  readonly kind: 'series';
  readonly series: Series;
  readonly check: SelfCheck;
}

/**
 * Maps a series so that what we would write shows what Graph shows in the window (starts, whole days, and ends as far as
 * changes of the clocks allow): by rule in the zone that it names, with shifted cancellations, in another zone that fits,
 * else as a list of single occurrences. Pure.
 */
export function checkSeries(evidence: Evidence, window: Window, owner: Owner): Proven | Unmappable {
  const { master, mailboxZone, instances } = evidence;
  const named = zonesOf(master);
  const shown = shownByGraph(instances, master);
  const seen = inside(shown, window);
  let reason = 'its zone is not known';

  for (const [index, zone] of named.entries()) {
    for (const isDerived of evidence.cancelled === null ? [true] : [false, true]) {
      const mapped = mapBy(evidence, zone, owner, window, isDerived);
      if (mapped.kind === 'unmappable') {
        reason = mapped.reason;
        continue;
      }
      const difference = differenceTo(seen, mapped.series, window, zone);
      if (difference !== null) {
        if (index === 0) reason = difference;
        continue;
      }
      const isShifted = mapped.isShifted || (isDerived && evidence.cancelled !== null);
      if (index > 0) return proven(mapped, 'zone', `counted in ${nameOf(zone)}, not ${nameOf(named[0])}`);
      return proven(mapped, isShifted ? 'shifted' : 'rule', isShifted ? 'a cancelled date was off by a day' : null);
    }
  }
  const plain = shownByGraph(instances.filter(isPlain), master);
  for (const zone of [...(mailboxZone === null ? [] : [mailboxZone]), ...fittingZones(plain)]) {
    const mapped = mapBy(evidence, zone, owner, window, evidence.cancelled === null);
    if (mapped.kind === 'series' && shown.length > 0 && differenceTo(seen, mapped.series, window, zone) === null) {
      return proven(mapped, 'zone', `counted in ${nameOf(zone)}, which fits`);
    }
  }
  const { exceptions } = evidence;
  const listed = listSeries({ master, exceptions, cancelled: [], placed: new Map() }, instances, owner);
  if (listed.kind === 'unmappable') return listed;
  return { ...listed, check: { mode: 'list', detail: `Shown date by date because ${reason}` } };
}

function isPlain({ type }: WireEvent): boolean {
  return type !== 'exception';
}

function proven({ series }: MappedRule, mode: SelfCheck['mode'], detail: string | null): Proven {
  return { kind: 'series', series, check: { mode, detail } };
}

function nameOf(zone: KnownZone | undefined): string {
  return zone?.kind === 'zone' ? zone.zone : 'UTC';
}

/**
 * By rule in one zone. What names no occurrence is placed by elimination: rule slots in the window at which Graph shows
 * no plain occurrence are free, and taken by the nearest. What then stays free is cancelled, if `isDerived`.
 */
function mapBy(
  evidence: Evidence,
  zone: KnownZone,
  owner: Owner,
  window: Window,
  isDerived: boolean,
): MappedRule | Unmappable {
  const { master, exceptions } = evidence;
  const told = evidence.cancelled ?? [];
  const cancelled = isDerived ? told.filter((id) => !liesInside(dateOfOccurrenceId(id), window)) : told;
  const first = ruleSeries({ master, exceptions, cancelled, placed: new Map() }, zone, owner);
  if (first.kind === 'unmappable' || (first.unplaced.length === 0 && !isDerived)) return first;

  const free = freeSlots(first.series, evidence, window);
  const placed = place(first.unplaced, free, first.series);
  const mapped = ruleSeries({ master, exceptions, cancelled, placed }, zone, owner);
  if (mapped.kind === 'unmappable' || !isDerived) return mapped;
  const excluded = new Map(mapped.series.excluded.map((slot) => [slotKey(slot), slot]));
  for (const { slot } of freeSlots(mapped.series, evidence, window)) excluded.set(slotKey(slot), slot);
  // Told cancellations may be off by a day; anything beyond is no shift but a rule that is not understood.
  if (evidence.cancelled !== null && !areNear(excluded, told)) return mapped;
  const sorted = [...excluded].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, slot]) => slot);
  return { ...mapped, series: { ...mapped.series, excluded: sorted } };
}

interface FreeSlot {
  readonly slot: Moment;
  readonly at: number;
}

/** Plain slots of the rule well inside the window at which Graph shows no plain occurrence. */
function freeSlots(series: Series, { instances, master }: Evidence, window: Window): FreeSlot[] {
  const taken = new Set(shownByGraph(instances.filter(isPlain), master).map(keyOf));
  const overridden = new Set(series.overrides.map(({ slot }) => slotKey(slot)));
  const { start } = series.main;
  return inside(shownOf(expandSeries(series, window).filter(({ slot }) => !overridden.has(slot))), window)
    .filter((each) => !taken.has(keyOf(each)))
    .map(({ at }) => ({ slot: momentAt(wallOfInstant(at, timelineOf(series).start), start), at }));
}

function place(unplaced: readonly WireEvent[], free: readonly FreeSlot[], series: Series): Map<string, string> {
  const left = [...free];
  const placed = new Map<string, string>();
  const isAllDay = series.main.start.kind === 'date';
  const sorted = unplaced
    .map((event) => ({ event, at: instantOf(event.start) ?? 0 }))
    .sort((a, b) => a.at - b.at || ((a.event.id ?? '') < (b.event.id ?? '') ? -1 : 1));
  for (const { event, at } of sorted) {
    const nearest = left.reduce<FreeSlot | undefined>(
      (best, each) => (best === undefined || Math.abs(each.at - at) < Math.abs(best.at - at) ? each : best),
      undefined,
    );
    if (nearest === undefined || event.id === null) continue;
    left.splice(left.indexOf(nearest), 1);
    const wall = isAllDay ? nearest.at : wallOfInstant(nearest.at, series.main.start);
    placed.set(event.id, formatDay(dayOfSeconds(wall)));
  }
  return placed;
}

function areNear(excluded: ReadonlyMap<string, Moment>, told: readonly string[]): boolean {
  const days = new Set(told.flatMap((id) => dayNumber(dateOfOccurrenceId(id)) ?? []));
  return [...excluded.keys()].every((key) => {
    const day = dayNumber(key.slice(0, 10)) ?? 0;
    return [day - 1, day, day + 1].some((each) => days.has(each));
  });
}

function dayNumber(date: string | null): number | null {
  return date === null ? null : dayOfSeconds(parseInstant(date));
}

function liesInside(date: string | null, window: Window): boolean {
  const day = dayNumber(date);
  if (day === null) return false;
  return day * daySeconds >= parseInstant(window.from) && day * daySeconds < parseInstant(window.to);
}
