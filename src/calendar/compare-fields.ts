import { formatRule, parseRule } from './rule.ts';
import type { Entry, Moment, Series } from './series.ts';
import { slotKey } from './slot-key.ts';

export type ComparableField = 'times' | 'recurrence' | 'place' | 'title' | 'status';
export type ComparableFields = Readonly<Record<ComparableField, string>>;

/**
 * What two copies of a meeting must agree in, as plain texts: equal texts mean the same to a reader. Instants count, not
 * the zone that they are written in; blanks and letter case of titles and places do not count. Times of exceptions
 * belong to `recurrence`.
 */
export function comparableFields(series: Series): ComparableFields {
  const { main, recurrence } = series;
  return {
    times: timesOf(main),
    recurrence: series.list !== null ? listText(series.list) : recurrence === null ? '' : recurrenceText(series),
    place: folded(main.location),
    title: folded(main.summary),
    status: main.status,
  };
}

/** Names of the fields in which two copies disagree; `fields` narrows it to those that both sides may show. */
export function differingFields(
  one: ComparableFields,
  other: ComparableFields,
  fields: readonly ComparableField[] = ['times', 'recurrence', 'place', 'title', 'status'],
): ComparableField[] {
  return fields.filter((field) => one[field] !== other[field]);
}

function timesOf(entry: Entry): string {
  return `${slotKey(entry.start)}/${entry.end === null ? '' : slotKey(entry.end)}`;
}

function recurrenceText(series: Series): string {
  const { rule = '', clampedDay = null, extra = [] } = series.recurrence ?? {};
  const parsed = parseRule(rule);
  const { start } = series.main;
  return [
    parsed === null ? rule : formatRule(parsed),
    // The same rule in another zone drifts apart at the next change of clocks.
    start.kind === 'zoned' ? start.zone : start.kind,
    clampedDay ?? '',
    keysOf(extra),
    keysOf(series.excluded),
    listText(series.overrides),
  ].join('|');
}

function listText(items: Series['overrides']): string {
  return items
    .map(({ slot, entry }) => `${slotKey(slot)}=${timesOf(entry)},${entry.status}`)
    .sort()
    .join(' ');
}

function keysOf(moments: readonly Moment[]): string {
  return moments.map(slotKey).sort().join(' ');
}

function folded(text: string | null): string {
  return (text ?? '').normalize('NFC').replace(/\s+/g, ' ').trim().toLowerCase();
}
