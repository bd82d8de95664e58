/** The pieces into which a recurring series is rendered, each with a rule that every client understands. */
import { civilOf, dayOfSeconds } from './civil.ts';
import { anchorWall, keepToCap } from './rebase.ts';
import type { Rule, Until } from './rule.ts';
import type { Moment, Override, Series } from './series.ts';
import { inFormOf, slotKey, wallSeconds } from './slot-key.ts';
import { instantOfWall, timelineOf, walls } from './timeline.ts';
import type { Timeline } from './timeline.ts';
import type { Window } from '../shared/window.ts';

export interface Part {
  readonly name: 'main' | 'feb';
  readonly timeline: Timeline;
  /** Null: one occurrence only. */
  readonly rule: Rule | null;
  readonly excluded: readonly Moment[];
  readonly overrides: readonly Override[];
}

export interface Parts {
  readonly parts: readonly Part[];
  /** Overrides of slots that no part has (extra dates, slots before a moved start): they need objects of their own. */
  readonly strays: readonly Override[];
}

/** Splits a recurring series, moves its start where a server's cap forces it, and leaves out what has nothing to show. */
export function partsOf(series: Series, window: Window, anchor: string | null): Parts {
  const timeline = timelineOf(series);
  const overrides = byWall(series.overrides, timeline.start);
  const excluded = excludedWalls(series, overrides);
  const { rule } = timeline;
  const split =
    rule !== null && timeline.clampedDay !== null
      ? splitClamped(timeline, rule, timeline.clampedDay)
      : [rebased(timeline, window, anchor)];

  const parts: Part[] = [];
  const used = new Set<number>();
  for (const { name, timeline: own } of split) {
    const isMine = (wall: number): boolean => {
      if (timeline.clampedDay === null) return wall >= own.startWall && wall <= (own.lastWall ?? Infinity);
      return (civilOf(dayOfSeconds(wall)).month === 2) === (name === 'feb');
    };
    const mine = [...overrides].filter(([wall]) => isMine(wall));
    for (const [wall] of mine) used.add(wall);
    const gone = [...excluded].filter(([wall]) => isMine(wall));
    const part: Part = {
      name,
      timeline: own,
      rule: own.rule,
      excluded: gone.sort(([a], [b]) => a - b).map(([, slot]) => slot),
      overrides: mine.sort(([a], [b]) => a - b).map(([, override]) => override),
    };
    if (mine.length > 0 || hasOccurrence(part, new Set(gone.map(([wall]) => wall)))) parts.push(part);
  }
  const strays = [...overrides].filter(([wall]) => !used.has(wall)).map(([, override]) => override);
  return { parts, strays };
}

function byWall(overrides: readonly Override[], start: Moment): Map<number, Override> {
  return new Map(
    overrides.map((override) => {
      const slot = inFormOf(override.slot, start);
      return [wallSeconds(slot), { ...override, slot }];
    }),
  );
}

/** An override beats an exclusion of the same slot. */
function excludedWalls(series: Series, overrides: ReadonlyMap<number, Override>): Map<number, Moment> {
  const excluded = new Map<number, Moment>();
  for (const moment of series.excluded) {
    const slot = inFormOf(moment, series.main.start);
    const wall = wallSeconds(slot);
    if (!overrides.has(wall)) excluded.set(wall, slot);
  }
  return excluded;
}

function hasOccurrence(part: Part, gone: ReadonlySet<number>): boolean {
  for (const wall of walls(part.timeline)) if (!gone.has(wall)) return true;
  return false;
}

interface Piece {
  readonly name: 'main' | 'feb';
  readonly timeline: Timeline;
}

function rebased(timeline: Timeline, window: Window, anchor: string | null): Piece {
  const wall = anchorWall(timeline, window, anchor);
  if (wall === null) return { name: 'main', timeline: ended(timeline, timeline.rule) };
  const moved = keepToCap({ ...timeline, startWall: wall }, timeline, window);
  return { name: 'main', timeline: ended(moved, moved.rule) };
}

/**
 * Exchange's day 29 or 30 falls on the last day of February; iCalendar leaves such months out. So the months that have
 * the day make one rule, and February another of its own.
 */
function splitClamped(timeline: Timeline, rule: Rule, day: 29 | 30): Piece[] {
  const isFebruary = (wall: number): boolean => civilOf(dayOfSeconds(wall)).month === 2;
  let [mainStart, febStart, last] = [null as number | null, null as number | null, timeline.lastWall];
  // Twelve occurrences meet every month that this interval can meet.
  let seen = 0;
  for (const wall of walls(timeline)) {
    if (isFebruary(wall)) febStart ??= wall;
    else mainStart ??= wall;
    seen += 1;
    if (rule.count === null && seen >= 13) break;
    last = rule.count === null ? last : wall;
  }
  const endless = { ...rule, count: null };
  const pieces: Piece[] = [];
  if (mainStart !== null) {
    const months = day === 29 ? [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] : [];
    const own: Rule = { ...endless, months, monthDays: [day] };
    const timelineOfMain = { ...timeline, rule: own, clampedDay: null, startWall: mainStart, lastWall: last };
    pieces.push({ name: 'main', timeline: ended(timelineOfMain, own) });
  }
  if (febStart !== null) {
    const interval = leastCommonMultiple(rule.interval, 12) / 12;
    const own: Rule = { ...endless, frequency: 'YEARLY', interval, months: [2], monthDays: [-1] };
    const timelineOfFeb = { ...timeline, rule: own, clampedDay: null, startWall: febStart, lastWall: last };
    pieces.push({ name: 'feb', timeline: ended(timelineOfFeb, own) });
  }
  return pieces;
}

function leastCommonMultiple(a: number, b: number): number {
  let [high, low] = [a, b];
  while (low > 0) [high, low] = [low, high % low];
  return (a / high) * b;
}

/** Writes UNTIL in the form that goes with the start (RFC 5545 section 3.3.10): UTC, floating, or a date. */
function ended(timeline: Timeline, rule: Rule | null): Timeline {
  if (rule === null) return timeline;
  const until = timeline.lastWall === null ? null : untilAt(timeline.lastWall, timeline.start);
  return { ...timeline, rule: { ...rule, until: rule.count === null ? until : null } };
}

function untilAt(wall: number, start: Moment): Until {
  if (start.kind === 'date') return { form: 'date', wall };
  if (start.kind === 'floating') return { form: 'floating', wall };
  return { form: 'utc', wall: instantOfWall(wall, start) };
}

/** In the form of `slotKey`. */
export function keyOf(override: Override): string {
  return slotKey(override.slot);
}
