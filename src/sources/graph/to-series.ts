import { dayOfSeconds, daySeconds, formatDay, formatLocal, tryParseLocal } from '../../calendar/civil.ts';
import type { Entry, Moment, Override, Recurrence, Series } from '../../calendar/series.ts';
import { momentAt, slotKey, wallSeconds } from '../../calendar/slot-key.ts';
import { timelineOf, walls } from '../../calendar/timeline.ts';
import { cleanUid } from '../../calendar/uid.ts';
import { instantSeconds } from '../../calendar/zones.ts';
import { entryOf, inherit } from './entry.ts';
import { recurrenceOf } from './pattern.ts';
import type { Owner } from './people.ts';
import { allDayTimes, instantOf, knownZone, ownTimes, parseIso, wallIn } from './times.ts';
import type { KnownZone, Times } from './times.ts';
import type { WireEvent } from './wire.ts';

/** Something that cannot be shown, with a stable code and a reason for the operator. */
export interface Unmappable {
  readonly kind: 'unmappable';
  readonly code: string;
  readonly reason: string;
}

export interface MappedSeries {
  readonly kind: 'series';
  readonly series: Series;
}

export interface MappedRule extends MappedSeries {
  /** A cancelled or changed date did not lie on the rule but its neighbour did. */
  readonly isShifted: boolean;
  /** Exceptions that name no occurrence in any way. */
  readonly unplaced: readonly WireEvent[];
}

/** A master with its parts, as `GET event` with exceptionOccurrences and cancelledOccurrences tells them. */
export interface SeriesParts {
  readonly master: WireEvent;
  readonly exceptions: readonly WireEvent[];
  /** `OID.{masterId}.{date}`. */
  readonly cancelled: readonly string[];
  /** Slots found by other means (elimination), by the exception's id. */
  readonly placed: ReadonlyMap<string, string>;
}

/**
 * A single event. One that was taken from another's series (its id carries the occurrence's date, or it names a master
 * that this calendar does not have) becomes an orphan: identity of the series, slot of the occurrence.
 */
export function singleSeries(event: WireEvent, owner: Owner): MappedSeries | Unmappable {
  const times = ownTimes(event);
  if (times === null) return noStart();
  const uid = cleanUid(event.iCalUId);
  const slot = orphanSlot(event, times, uid?.date ?? null);
  return {
    kind: 'series',
    series: {
      uid: uid?.uid ?? null,
      slot: slot === null ? '*' : slotKey(slot),
      main: entryOf(event, times, owner),
      recurrence: null,
      excluded: [],
      overrides: [],
      list: null,
      sequence: event.sequence,
    },
  };
}

/** Where an occurrence without its series belongs; null for an event of its own. */
function orphanSlot(event: WireEvent, { start }: Times, uidDate: string | null): Moment | null {
  const isMember = event.seriesMasterId !== null || event.type === 'exception' || event.type === 'occurrence';
  const date = dateOfOccurrenceId(event.occurrenceId) ?? uidDate;
  if (!isMember && date === null) return null;
  if (start.kind === 'date') return date === null ? start : { kind: 'date', date };
  const original = parseIso(event.originalStart);
  if (original !== null) return { kind: 'utc', instant: `${formatLocal(original)}Z` };
  if (date === null) return start;
  const day = tryParseLocal(date) ?? 0;
  return momentAt(day + (((wallSeconds(start) % daySeconds) + daySeconds) % daySeconds), start);
}

/** The zones that a master may count in, likeliest first; mapping by rule tries them in turn. */
export function zonesOf(master: WireEvent): KnownZone[] {
  const named = [
    knownZone(master.recurrence?.range.recurrenceTimeZone ?? null),
    knownZone(master.originalStartTimeZone),
    knownZone(master.originalEndTimeZone),
  ];
  const zones = new Map<string, KnownZone>();
  for (const zone of named) if (zone !== null) zones.set(zone.kind === 'zone' ? zone.zone : 'UTC', zone);
  return [...zones.values()];
}

/**
 * A master as a rule with exclusions and overrides, counted in `zone`. Original slots come from the date at the end of
 * occurrenceId at the master's time of day, else from originalStart (an instant; of all-day series it is a local
 * midnight), else stay `unplaced`: never from `start`, which is where the occurrence has moved to (graph-docs#2804).
 */
export function ruleSeries(parts: SeriesParts, zone: KnownZone, owner: Owner): MappedRule | Unmappable {
  const { master } = parts;
  const uid = cleanUid(master.iCalUId);
  const found = mainOf(master, zone, owner);
  if (found.kind === 'unmappable') return found;
  const { main, recurrence } = found;
  const bare: Series = {
    uid: uid?.uid ?? null,
    slot: '*',
    main,
    recurrence,
    excluded: [],
    overrides: [],
    list: null,
    sequence: master.sequence,
  };

  const slots = slotFinder(bare);
  const overrides = new Map<string, Override>();
  const unplaced: WireEvent[] = [];
  for (const own of parts.exceptions) {
    const slot = slots.ofException(own, zone, parts.placed.get(own.id ?? ''));
    if (slot === null) {
      unplaced.push(own);
      continue;
    }
    const whole = inherit(master, own);
    const times = ownTimes(whole, zone) ?? timesAt(slot, main);
    overrides.set(slotKey(slot), { slot, entry: entryOf(whole, times, owner) });
  }
  const excluded = new Map<string, Moment>();
  for (const id of parts.cancelled) {
    const date = dateOfOccurrenceId(id);
    const slot = date === null ? null : slots.near(date, null);
    // An override beats a cancellation of the same date.
    if (slot !== null && !overrides.has(slotKey(slot))) excluded.set(slotKey(slot), slot);
  }
  return {
    kind: 'series',
    series: { ...bare, excluded: sorted(excluded), overrides: sorted(overrides) },
    isShifted: slots.hasShifted(),
    unplaced,
  };
}

/** Each occurrence by itself, for series that no rule reproduces. Times in UTC: nobody knows their zone. */
export function listSeries(
  parts: SeriesParts,
  instances: readonly WireEvent[],
  owner: Owner,
): MappedSeries | Unmappable {
  const { master } = parts;
  const whole = new Map(parts.exceptions.flatMap((each) => (each.id === null ? [] : [[each.id, each] as const])));
  const list = new Map<string, Override>();
  for (const instance of instances) {
    const own = inherit(master, withInstanceTimes(instance, whole));
    const times = own.isAllDay === true ? ownTimes(own) : inUtc(own);
    if (times === null) continue;
    const original = times.start.kind === 'date' ? null : parseIso(instance.originalStart);
    const slot: Moment = original === null ? times.start : { kind: 'utc', instant: `${formatLocal(original)}Z` };
    list.set(slotKey(slot), { slot, entry: entryOf(own, times, owner) });
  }
  const items = sorted(list);
  const first = items[0]?.entry;
  const times = first ?? ownTimes(master);
  if (times === null) return noStart();
  return {
    kind: 'series',
    series: {
      uid: cleanUid(master.iCalUId)?.uid ?? null,
      slot: '*',
      main: entryOf(master, { start: times.start, end: times.end }, owner),
      recurrence: null,
      excluded: [],
      overrides: [],
      list: items,
      sequence: master.sequence,
    },
  };
}

function inUtc(event: WireEvent): Times | null {
  return ownTimes({ ...event, originalStartTimeZone: null, originalEndTimeZone: null });
}

/** The instance's row has times only; what an exception says beside comes from its whole form. */
function withInstanceTimes(instance: WireEvent, whole: ReadonlyMap<string, WireEvent>): WireEvent {
  const known = whole.get(instance.id ?? '');
  if (known === undefined) return instance;
  return { ...known, start: instance.start ?? known.start, end: instance.end ?? known.end };
}

/** `2026-05-12` at the end of `OID.{id with dots}.2026-05-12`; null for absurd years. */
export function dateOfOccurrenceId(id: string | null): string | null {
  const date = /\.(\d{4}-\d\d-\d\d)(?:T[^.]*)?$/.exec(id ?? '')?.[1] ?? null;
  return parseIso(date) === null ? null : date;
}

interface Main {
  readonly kind: 'main';
  readonly main: Entry;
  readonly recurrence: Recurrence;
}

function mainOf(master: WireEvent, zone: KnownZone, owner: Owner): Main | Unmappable {
  if (master.recurrence === null) {
    return unmappable('graph.no_recurrence', 'Graph calls it a series but sends no recurrence.');
  }
  const { pattern, range } = master.recurrence;
  const times = master.isAllDay === true ? allDayTimes(master, zone) : wallTimes(master, zone);
  if (times === null) return noStart();
  const isAllDay = times.start.kind === 'date';
  const startWall = wallSeconds(times.start);
  const found = recurrenceOf(pattern, range, {
    isAllDay,
    startDate: formatDay(dayOfSeconds(startWall)),
    endOfDay: (date) => endOfDay(date, zone),
  });
  if (found.kind === 'unknown') {
    return unmappable('graph.unknown_recurrence', `Its recurrence cannot be read: ${found.reason}.`);
  }
  // The first hit of the pattern at the master's time of day; the length is that of the master's own clock.
  const shift = (tryParseLocal(found.firstDate) ?? 0) - dayOfSeconds(startWall) * daySeconds;
  const moved = (moment: Moment): Moment => momentAt(wallSeconds(moment) + shift, moment);
  const entry = entryOf(
    master,
    { start: moved(times.start), end: times.end === null ? null : moved(times.end) },
    owner,
  );
  return { kind: 'main', main: entry, recurrence: found.recurrence };
}

/** Start and end of a timed master on the series' clock: a rule counts in local time, whatever the offset was. */
function wallTimes(master: WireEvent, zone: KnownZone): Times | null {
  const start = instantOf(master.start);
  if (start === null) return null;
  const end = instantOf(master.end);
  const form = (wall: number): Moment => {
    const local = formatLocal(wall);
    return zone.kind === 'zone' ? { kind: 'zoned', local, zone: zone.zone } : { kind: 'utc', instant: `${local}Z` };
  };
  const startWall = wallIn(start, zone);
  if (end === null || end <= start) return { start: form(startWall), end: null };
  const endWall = wallIn(end, zone);
  // Clocks set back in between: the exact length then.
  return { start: form(startWall), end: form(endWall > startWall ? endWall : startWall + end - start) };
}

function endOfDay(date: string, zone: KnownZone): string {
  const wall = (tryParseLocal(date) ?? 0) + daySeconds - 1;
  const at = zone.kind === 'zone' ? instantSeconds(wall, zone.zone) : wall;
  return `${formatLocal(at).replace(/[-:]/g, '')}Z`;
}

interface SlotFinder {
  /** The slot of a date if it lies on the rule, else of `other`, else of a neighbouring date; null: none does. */
  near(date: string, other: string | null): Moment | null;
  ofException(own: WireEvent, zone: KnownZone, placed: string | undefined): Moment | null;
  hasShifted(): boolean;
}

function slotFinder(series: Series): SlotFinder {
  const { start } = series.main;
  const time = wallSeconds(start) - dayOfSeconds(wallSeconds(start)) * daySeconds;
  const isOnRule = ruleDays(series);
  let shifted = false;

  const at = (day: number): Moment => momentAt(day * daySeconds + time, start);
  const near = (date: string, other: string | null): Moment | null => {
    const day = dayNumber(date);
    if (isOnRule(day)) return at(day);
    if (other !== null && isOnRule(dayNumber(other))) return at(dayNumber(other));
    const neighbour = [day + 1, day - 1].find(isOnRule);
    if (neighbour === undefined) return null;
    shifted = true;
    return at(neighbour);
  };
  return {
    near,
    ofException(own, zone, placed) {
      const original = parseIso(own.originalStart);
      // Of an all-day series it is local midnight; where the zone is only presumed, half a day tells the date.
      const leeway = start.kind === 'date' && zone.kind === 'utc' ? daySeconds / 2 : 0;
      const originalDate = original === null ? null : formatDay(dayOfSeconds(wallIn(original, zone) + leeway));
      const date = dateOfOccurrenceId(own.occurrenceId) ?? placed ?? originalDate;
      // Off the rule altogether (it was shortened later): it still stands for the date that it names.
      return date === null ? null : (near(date, originalDate) ?? at(dayNumber(date)));
    },
    hasShifted: () => shifted,
  };
}

/** Whether a day is one of the rule's. A rule with a count is walked once, as far as it is asked; others are jumped into. */
function ruleDays(series: Series): (day: number) => boolean {
  const timeline = timelineOf(series);
  if (timeline.rule?.count == null) {
    return (day) => {
      for (const wall of walls(timeline, day * daySeconds)) return dayOfSeconds(wall) === day;
      return false;
    };
  }
  const days = new Set<number>();
  const steps = walls(timeline)[Symbol.iterator]();
  let reached = -Infinity;
  return (day) => {
    while (reached < day) {
      const next = steps.next();
      if (next.done === true) {
        reached = Infinity;
        break;
      }
      reached = dayOfSeconds(next.value);
      days.add(reached);
    }
    return days.has(day);
  };
}

function timesAt(slot: Moment, main: Entry): Times {
  if (main.end === null) return { start: slot, end: null };
  const length = wallSeconds(main.end) - wallSeconds(main.start);
  return { start: slot, end: momentAt(wallSeconds(slot) + length, slot) };
}

function dayNumber(date: string): number {
  return dayOfSeconds(tryParseLocal(date) ?? 0);
}

function sorted<T>(items: ReadonlyMap<string, T>): T[] {
  return [...items].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item);
}

function noStart(): Unmappable {
  return unmappable('graph.no_start', 'It has no start that a calendar can show (years 1601 to 4499).');
}

function unmappable(code: string, reason: string): Unmappable {
  return { kind: 'unmappable', code, reason };
}
