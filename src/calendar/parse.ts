import { hash } from 'node:crypto';
import { recurText } from './canonical.ts';
import { yearsOf, zonesOf } from './foreign-zones.ts';
import type { JCal } from './ical.ts';
import type { EventReader } from './parse-event.ts';
import { first, momentOf, readEntry, textValue } from './parse-event.ts';
import { readComponents } from './read-components.ts';
import { formatRule, parseRule } from './rule.ts';
import type { Entry, Moment, Override, Recurrence, Series } from './series.ts';
import { inFormOf, slotKey } from './slot-key.ts';
import { splitFrom } from './this-and-future.ts';
import { zoneOfTzid } from './tzid.ts';
import { cleanUid } from './uid.ts';

export interface ParsedCalendar {
  /** One for each UID, in the order of the text. */
  readonly resources: readonly ParsedResource[];
  readonly problems: readonly ParseProblem[];
}

export interface ParsedResource {
  /** As written; `no-uid-<hash>` where an event has none. */
  readonly uid: string;
  /**
   * Normally one. Overrides without a master are orphans, each with its slot. A THISANDFUTURE change makes the series
   * end before it and begin anew under a UID derived from both.
   */
  readonly series: readonly Series[];
}

export interface ParseProblem {
  readonly code:
    | 'ical.line_unreadable'
    | 'ical.start_missing'
    | 'ical.rule_unreadable'
    | 'ical.zone_unknown'
    | 'ical.zone_converted'
    | 'ical.master_repeated'
    | 'ical.slot_unreadable'
    | 'ical.event_unreadable';
  /** A sentence without anything of the event's content. */
  readonly reason: string;
  readonly uid: string | null;
}

export interface ParseOptions {
  /** Addresses of the calendar's owner, by which the owner's own answer is found. */
  readonly self?: readonly string[];
}

/**
 * Reads any iCalendar text (RFC 5545) into series; other components than VEVENT are ignored. What cannot be read is
 * reported singly and stops nothing else. Throws the SyncError `ical.unreadable` when the text is no calendar at all.
 */
export function parseCalendar(text: string, options: ParseOptions = {}): ParsedCalendar {
  const { roots, badLines } = readComponents(text);
  const problems: ParseProblem[] = badLines.map(({ property, uid }) => ({
    code: 'ical.line_unreadable',
    reason: `A line${property === null ? '' : ` ${property}`} cannot be read and was left out`,
    uid,
  }));
  const self = new Set((options.self ?? []).map((address) => address.toLowerCase()));
  const resources = roots.flatMap((calendar) => readCalendar(calendar, self, problems));
  return { resources, problems };
}

function readCalendar(calendar: JCal, self: ReadonlySet<string>, problems: ParseProblem[]): ParsedResource[] {
  const events = calendar[2].filter(([name]) => name === 'vevent');
  const years = yearsOf(events.map((event) => textValue(event, 'dtstart') ?? ''));
  const zoneOf = zonesOf(calendar, years);
  const named = textValue(calendar, 'x-wr-timezone');
  const defaultZone = named === null ? null : zoneOfTzid(named);
  const byUid = new Map<string, JCal[]>();
  for (const event of events) {
    const uid = uidOf(event);
    const known = byUid.get(uid);
    if (known === undefined) byUid.set(uid, [event]);
    else known.push(event);
  }
  return [...byUid].flatMap(([uid, own]) => {
    const told = new Set<string>();
    const report = (code: string, reason: string): void => {
      if (told.has(code)) return;
      told.add(code);
      problems.push({ code: code as ParseProblem['code'], reason, uid });
    };
    try {
      const series = readSeries(uid, own, { zoneOf, defaultZone, self, report });
      return series.length === 0 ? [] : [{ uid, series }];
    } catch {
      report('ical.event_unreadable', 'The event has a date or time outside the calendar');
      return [];
    }
  });
}

function uidOf(event: JCal): string {
  const uid = textValue(event, 'uid')?.trim() ?? '';
  if (uid !== '') return uid;
  // The same text gives the same id, so that the next reading recognises the event.
  const parts = ['dtstart', 'dtend', 'summary', 'rrule'].map((name) =>
    JSON.stringify(first(event, name)?.slice(3) ?? []),
  );
  return `no-uid-${hash('sha256', parts.join('\n')).slice(0, 32)}`;
}

// Nobody changes a series "from here on" more often; above it, only the occurrences themselves change.
const maxRanged = 30;

function readSeries(uid: string, events: readonly JCal[], reader: EventReader): Series[] {
  const masters = events.filter((event) => first(event, 'recurrence-id') === null);
  const exceptions = events.filter((event) => first(event, 'recurrence-id') !== null);
  if (masters.length > 1) {
    reader.report('ical.master_repeated', 'The UID is used by several events; the one of the highest SEQUENCE counts');
  }
  const [master] = [...masters].sort((a, b) => (sequenceOf(b) ?? 0) - (sequenceOf(a) ?? 0));
  const main = master === undefined ? null : readEntry(master, reader);
  const clean = uid.startsWith('no-uid-') ? null : (cleanUid(uid)?.uid ?? null);
  if (master === undefined || main === null) return orphans(clean, exceptions, reader);

  const recurrence = readRecurrence(master, main, reader);
  const ranged: Override[] = [];
  const overrides = new Map<string, Override>();
  for (const exception of exceptions) {
    const override = readOverride(exception, main.start, reader);
    if (override === null) continue;
    if (recurrence !== null && isRanged(exception) && ranged.length < maxRanged) ranged.push(override);
    overrides.set(slotKey(override.slot), override);
  }
  // Exceptions of an event that does not recur are its own later versions in some exports.
  const whole: Series = {
    uid: clean,
    slot: '*',
    main,
    recurrence,
    excluded: recurrence === null ? [] : readExcluded(master, main.start, overrides, reader),
    overrides: [...overrides].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, override]) => override),
    list: null,
    sequence: sequenceOf(master),
  };
  if (recurrence === null && whole.overrides.length > 0) {
    return [{ ...whole, overrides: [] }, ...orphans(clean, exceptions, reader)];
  }
  return ranged
    .sort((a, b) => (slotKey(a.slot) < slotKey(b.slot) ? -1 : 1))
    .reduce<Series[]>(
      (pieces, override) => [...pieces.slice(0, -1), ...splitFrom(pieces.at(-1) ?? whole, override)],
      [whole],
    );
}

function sequenceOf(event: JCal): number | null {
  const value = first(event, 'sequence')?.[3];
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

function isRanged(event: JCal): boolean {
  return String(first(event, 'recurrence-id')?.[1]['range'] ?? '').toUpperCase() === 'THISANDFUTURE';
}

function orphans(uid: string | null, exceptions: readonly JCal[], reader: EventReader): Series[] {
  const found = new Map<string, Series>();
  for (const exception of exceptions) {
    const override = readOverride(exception, null, reader);
    if (override === null) continue;
    const slot = slotKey(override.slot);
    const sequence = sequenceOf(exception);
    found.set(slot, {
      uid,
      slot,
      main: override.entry,
      recurrence: null,
      excluded: [],
      overrides: [],
      list: null,
      sequence,
    });
  }
  return [...found.values()];
}

function readOverride(event: JCal, start: Moment | null, reader: EventReader): Override | null {
  const entry = readEntry(event, reader);
  const property = first(event, 'recurrence-id');
  const slot = property === null ? null : momentOf(property, property[3], reader);
  if (entry === null) return null;
  if (slot === null) {
    reader.report('ical.slot_unreadable', 'An exception does not tell which occurrence it is');
    return null;
  }
  return { slot: start === null ? slot : inFormOf(slot, start), entry };
}

function readRecurrence(master: JCal, main: Entry, reader: EventReader): Recurrence | null {
  const extra = readExtra(master, main.start, reader);
  const rules = master[1].filter(([name]) => name === 'rrule');
  const parsed = rules.map((property) => parseRule(recurText(property[3]))).filter((rule) => rule !== null);
  const [rule] = parsed;
  if (rules.length > parsed.length || rules.length > 1 || first(master, 'exrule') !== null) {
    const reason = 'Its recurrence has a rule that is not supported; what can be read of it counts';
    reader.report('ical.rule_unreadable', reason);
  }
  if (rule === undefined && extra.length === 0) return null;
  // A rule that gives the start alone stands for "no rule, only these dates".
  return { rule: rule === undefined ? 'FREQ=DAILY;COUNT=1' : formatRule(rule), clampedDay: null, extra };
}

function readExtra(master: JCal, start: Moment, reader: EventReader): Moment[] {
  const own = slotKey(start);
  const extra = new Map<string, Moment>();
  for (const moment of momentsOf(master, 'rdate', reader)) {
    const slot = inFormOf(moment, start);
    if (slotKey(slot) !== own && extra.size < 1_000) extra.set(slotKey(slot), slot);
  }
  return [...extra].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, slot]) => slot);
}

function readExcluded(
  master: JCal,
  start: Moment,
  overrides: ReadonlyMap<string, Override>,
  reader: EventReader,
): Moment[] {
  const excluded = new Map<string, Moment>();
  for (const moment of momentsOf(master, 'exdate', reader)) {
    const slot = inFormOf(moment, start);
    const key = slotKey(slot);
    if (!overrides.has(key)) excluded.set(key, slot);
  }
  return [...excluded].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, slot]) => slot);
}

function momentsOf(master: JCal, wanted: string, reader: EventReader): Moment[] {
  return master[1].flatMap((property) => {
    const [name, , , ...values] = property;
    if (name !== wanted) return [];
    return values.map((value) => momentOf(property, value, reader)).filter((moment) => moment !== null);
  });
}
