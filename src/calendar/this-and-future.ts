import { dayOfSeconds } from './civil.ts';
import type { Rule } from './rule.ts';
import { formatRule } from './rule.ts';
import type { Moment, Override, Series } from './series.ts';
import { momentAt, slotKey, wallSeconds } from './slot-key.ts';
import type { Timeline } from './timeline.ts';
import { instantOfWall, timelineOf, walls } from './timeline.ts';

/**
 * A series that changes from an occurrence on (RECURRENCE-ID;RANGE=THISANDFUTURE, RFC 5545 section 3.2.13), as two: the
 * head ends before that occurrence, the tail begins with it and goes by the same rule. The tail's UID is derived from
 * the head's and the slot, so copies of the meeting in other calendars still find each other. A tail whose rule cannot
 * be moved to its new weekday stays what it is without the range: an override of the one occurrence.
 */
export function splitFrom(series: Series, change: Override): Series[] {
  const timeline = timelineOf(series);
  const { rule } = timeline;
  const wall = wallSeconds(change.slot);
  const newWall = wallSeconds(change.entry.start);
  const sameForm = change.entry.start.kind === series.main.start.kind;
  const before = rule === null ? null : countBefore(timeline, wall);
  if (rule === null || before === null || !sameForm) return [series];
  const moved = shiftDays(rule, dayOfSeconds(newWall) - dayOfSeconds(wall));
  if (moved === null) return [series];

  const isTail = (slot: Moment): boolean => wallSeconds(slot) >= wall;
  const shift = (slot: Moment): Moment => momentAt(wallSeconds(slot) + newWall - wall, change.entry.start);
  const tailRule: Rule = { ...moved, count: rule.count === null ? null : Math.max(1, rule.count - before) };
  const headRule: Rule = { ...rule, count: null, until: untilBefore(wall, timeline) };
  const { extra = [] } = series.recurrence ?? {};
  const head: Series = {
    ...series,
    recurrence: { rule: formatRule(headRule), clampedDay: null, extra: extra.filter((slot) => !isTail(slot)) },
    excluded: series.excluded.filter((slot) => !isTail(slot)),
    overrides: series.overrides.filter(({ slot }) => !isTail(slot)),
  };
  const tail: Series = {
    ...series,
    uid: series.uid === null || before === 0 ? series.uid : `${series.uid}/${slotKey(change.slot)}`,
    main: change.entry,
    recurrence: { rule: formatRule(tailRule), clampedDay: null, extra: extra.filter(isTail).map(shift) },
    excluded: series.excluded.filter(isTail).map(shift),
    overrides: series.overrides
      .filter(({ slot }) => isTail(slot) && slotKey(slot) !== slotKey(change.slot))
      .map(({ slot, entry }) => ({ slot: shift(slot), entry })),
  };
  return before === 0 ? [tail] : [head, tail];
}

/** Occurrences before a slot; null when there are more than anybody would change one by one. */
function countBefore(timeline: Timeline, wall: number): number | null {
  let count = 0;
  for (const slot of walls(timeline)) {
    if (slot >= wall) return count;
    count += 1;
    if (count > 5_000) return null;
  }
  return null;
}

function untilBefore(wall: number, { start }: Timeline): Rule['until'] {
  if (start.kind === 'date') return { form: 'date', wall: wall - 86_400 };
  if (start.kind === 'floating') return { form: 'floating', wall: wall - 1 };
  return { form: 'utc', wall: instantOfWall(wall, start) - 1 };
}

/** The rule on weekdays that lie `days` later; null when its parts name days that do not move along. */
function shiftDays(rule: Rule, days: number): Rule | null {
  if (days === 0) return rule;
  const { months, weeks, yearDays, monthDays, positions } = rule;
  if ([months, weeks, yearDays, monthDays, positions].some((list) => list.length > 0)) return null;
  if (rule.days.some(({ nth }) => nth !== 0)) return null;
  if (rule.days.length > 0 && rule.frequency !== 'WEEKLY' && rule.frequency !== 'DAILY') return null;
  return { ...rule, days: rule.days.map(({ weekday, nth }) => ({ weekday: (((weekday + days) % 7) + 7) % 7, nth })) };
}
