/**
 * Long series. Baikal (sabre/dav 4.7) refuses a finite rule of 3,500 or more occurrences, and an endless one that began
 * that many occurrences before a query's range makes every time-range query on the calendar fail. Only then the start
 * moves forward, to just before the window.
 */
import { civilOf, dayOfSeconds, daysOf, daySeconds } from './civil.ts';
import type { Series } from './series.ts';
import { slotAt, timelineOf, wallOfInstant, walls } from './timeline.ts';
import type { Timeline } from './timeline.ts';
import { parseInstant } from './zones.ts';
import type { Window } from '../shared/window.ts';

/** Most occurrences that an object may have, below the server's own 3,500. */
export const maxOccurrences = 3_400;

/**
 * The slot at which a series must begin, in the form of `slotKey`; null when it can be told from its true start. It
 * depends on the year in which the window begins, not on its day, so it moves at most once a year. (A series that recurs
 * every few hours without end is the exception: no server holds a year of it, so it follows the window.)
 */
export function anchorFor(series: Series, window: Window): string | null {
  if (series.recurrence === null || series.list !== null) return null;
  const timeline = timelineOf(series);
  const wall = anchorWall(timeline, window, null);
  return wall === null ? null : slotAt(wall, timeline.start);
}

/** The wall clock of the anchor; a stored one is used as long as it serves. Null: no need to move. */
export function anchorWall(timeline: Timeline, window: Window, stored: string | null): number | null {
  const { rule, clampedDay, start } = timeline;
  if (rule === null || clampedDay !== null) return null;
  const windowStart = wallOfInstant(parseInstant(window.from), start);
  const windowEnd = wallOfInstant(parseInstant(window.to), start);
  if (!isTooLong(timeline, windowEnd)) return null;

  if (stored !== null) {
    const at = lastSlotUpTo(timeline, wallOfInstant(parseInstant(stored), start));
    if (at !== null && !isTooLong({ ...timeline, startWall: at, rule: { ...rule, count: null } }, windowEnd)) return at;
  }
  const year = civilOf(dayOfSeconds(windowStart)).year;
  const boundary = daysOf(year, 1, 1) * daySeconds;
  const wall = endedBefore(timeline, boundary) ?? lastSlotUpTo(timeline, boundary) ?? timeline.startWall;
  if (!isTooLong({ ...timeline, startWall: wall, rule: { ...rule, count: null } }, windowEnd)) return wall;
  // Every hour or denser: only the window's own beginning leaves room for what is to come.
  return timeline.lastWall === null && rule.count === null ? (lastSlotUpTo(timeline, windowStart) ?? wall) : wall;
}

/** A moved series: COUNT becomes an end, and what exceeds the cap is cut off. */
export function keepToCap(moved: Timeline, original: Timeline, window: Window): Timeline {
  if (moved.rule === null) return moved;
  const rule = { ...moved.rule, count: null };
  const isEndless = original.rule?.count === null && original.lastWall === null;
  const windowEnd = wallOfInstant(parseInstant(window.to), moved.start);
  if (isEndless && !isTooLong({ ...moved, rule }, windowEnd)) return { ...moved, rule };
  let [last, seen] = [moved.startWall, 0];
  for (const wall of walls(original, moved.startWall)) {
    last = wall;
    seen += 1;
    if (seen >= maxOccurrences) break;
  }
  return { ...moved, rule, lastWall: last };
}

function isTooLong(timeline: Timeline, windowEnd: number): boolean {
  const { rule, startWall, lastWall } = timeline;
  if (rule === null) return false;
  if (rule.count !== null && rule.count <= maxOccurrences) return false;
  const end = lastWall ?? (rule.count === null ? windowEnd : Infinity);
  const days = (end - startWall) / daySeconds + 2;
  const timesADay = [rule.hours, rule.minutes, rule.seconds].reduce((all, list) => all * Math.max(1, list.length), 1);
  const isByDay = ['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'].includes(rule.frequency);
  if (isByDay && days * timesADay <= maxOccurrences) return false;
  let seen = 0;
  for (const wall of walls(timeline)) {
    if (wall > end) return false;
    seen += 1;
    if (seen > maxOccurrences) return true;
  }
  return false;
}

/** For a series that is over before the boundary: where its last occurrences, as many as the cap allows, begin. */
function endedBefore(timeline: Timeline, boundary: number): number | null {
  if (timeline.rule?.count === null && (timeline.lastWall === null || timeline.lastWall >= boundary)) return null;
  let tail: number[] = [];
  for (const wall of walls(timeline)) {
    if (wall >= boundary) return null;
    tail.push(wall);
    if (tail.length > 2 * maxOccurrences) tail = tail.slice(-maxOccurrences);
  }
  return tail.slice(-maxOccurrences)[0] ?? null;
}

function lastSlotUpTo(timeline: Timeline, limit: number): number | null {
  // Look back a little first and further only if nothing is there: rules without COUNT can start anywhere.
  for (let back = 40 * daySeconds; ; back *= 8) {
    const from = timeline.rule?.count === null ? limit - back : -Infinity;
    let found: number | null = null;
    for (const wall of walls(timeline, from)) {
      if (wall > limit) break;
      found = wall;
    }
    if (found !== null || from <= timeline.startWall) return found;
  }
}
