import { hash } from 'node:crypto';
import { fingerprintsOf } from './canonical.ts';
import type { JCal, JCalProperty } from './ical.ts';
import { calendarText, componentText } from './ical.ts';
import type { Part } from './part.ts';
import { keyOf, partsOf } from './part.ts';
import type { EventContext, ZoneYears } from './render-event.ts';
import { momentProperty, noteYear, renderEvent } from './render-event.ts';
import type { Privacy } from './privacy.ts';
import type { Rule } from './rule.ts';
import { weekdayNames } from './rule.ts';
import type { Entry, Moment, Override, Person, Series } from './series.ts';
import { momentAt, slotKey } from './slot-key.ts';
import { durationOf, timelineOf } from './timeline.ts';
import { formatDay, dayOfSeconds, formatLocal } from './civil.ts';
import { vtimezoneFor } from './vtimezone.ts';
import { localSeconds, momentSeconds } from './zones.ts';
import type { Window } from '../shared/window.ts';

export { anchorFor } from './rebase.ts';

export interface RenderOptions {
  /** The meeting's UID. Companions get it with a tag, see `taggedUid`. */
  readonly uid: string;
  readonly sequence: number;
  /** Put before each title as it is: `[Agency] `. Empty: none. */
  readonly titleTag: string;
  /** How much of the source's words the series still has; what is not whole is written as CLASS:PRIVATE. Default `full`. */
  readonly detail?: Privacy;
  /** As the source has it, none, or one that many minutes before each start. */
  readonly reminders: 'source' | 'none' | number;
  readonly window: Window;
  /** A stored `anchorFor`; used only if the series is too long for the server. Null: found anew. */
  readonly anchor: string | null;
}

export interface RenderedObject {
  /** `main`, `feb` (the companion of a series on day 29 or 30), or `list:<slot>` for an occurrence by itself. */
  readonly part: string;
  readonly uid: string;
  readonly text: string;
  /** sha256 hex of what the text says: equal for texts that differ only in stamps, SEQUENCE and zone definitions. */
  readonly fingerprint: string;
  /** sha256 hex of times, recurrence, place and status only. */
  readonly scheduleFingerprint: string;
}

/**
 * The calendar objects that show a series, mostly one. Pure: the same input gives the same bytes. No METHOD, the master
 * first, a VTIMEZONE for each TZID, lines of at most 75 octets (RFC 5545, RFC 4791 section 4.1). Empty when nothing is
 * left to show. Throws `calendar.moment_invalid`.
 *
 * A series on day 29 or 30 that Exchange clamps gets a companion for February. Extra dates (RDATE), and overrides of
 * dates that the written rule does not have, become objects of their own, because servers and phones read RDATE
 * differently or not at all.
 */
export function renderSeries(series: Series, options: RenderOptions): RenderedObject[] {
  if (series.list !== null) {
    return series.list.map(({ slot, entry }) => renderAlone(series, options, slotKey(slot), entry));
  }
  if (series.recurrence === null) {
    return [renderObject('main', options.uid, [singleEvent(series, options, options.uid, series.main)])];
  }
  const { parts, strays } = partsOf(series, options.window, options.anchor);
  const objects = parts.map((part) => renderPart(series, part, options));
  for (const override of strays) {
    if (isWanted(override, options.window, series)) {
      objects.push(renderAlone(series, options, keyOf(override), override.entry));
    }
  }
  const overridden = new Set(series.overrides.map(keyOf));
  const excluded = new Set(series.excluded.map(slotKey));
  for (const extra of series.recurrence.extra) {
    const slot = slotKey(extra);
    if (overridden.has(slot) || excluded.has(slot)) continue;
    overridden.add(slot);
    objects.push(renderAlone(series, options, slot, entryFrom(series.main, extra)));
  }
  return objects;
}

/** `abc@host` with the tag `feb` is `abc-feb@host`, so that the suffix which proves a UID ours stays at its end. */
export function taggedUid(uid: string, tag: string): string {
  const at = uid.lastIndexOf('@');
  return at < 0 ? `${uid}-${tag}` : `${uid.slice(0, at)}-${tag}${uid.slice(at)}`;
}

/** A stray that is an extra date shows always, one from before a moved start only while it reaches into the window. */
function isWanted(override: Override, window: Window, series: Series): boolean {
  if (series.recurrence?.extra.some((extra) => slotKey(extra) === keyOf(override)) === true) return true;
  const end = momentSeconds(override.entry.start) + durationOf(override.entry);
  return end > Date.parse(window.from) / 1_000 || override.entry.start.kind === 'floating';
}

interface Event {
  readonly component: JCal;
  readonly zones: ZoneYears;
}

function renderAlone(series: Series, options: RenderOptions, slot: string, entry: Entry): RenderedObject {
  const uid = taggedUid(options.uid, hash('sha256', slot).slice(0, 12));
  return renderObject(`list:${slot}`, uid, [singleEvent(series, options, uid, entry)]);
}

function singleEvent(series: Series, options: RenderOptions, uid: string, entry: Entry): Event {
  const zones: ZoneYears = new Map();
  const organizer = entry.organizer ?? series.main.organizer;
  return { component: renderEvent(entry, contextOf(options, uid, organizer, zones)), zones };
}

function contextOf(options: RenderOptions, uid: string, organizer: Person | null, zones: ZoneYears): EventContext {
  const { sequence, titleTag, reminders, detail = 'full' } = options;
  const isRedacted = detail !== 'full';
  return { uid, sequence, titleTag, isRedacted, reminders, organizer, recurrenceId: null, recurrence: [], zones };
}

function renderPart(series: Series, part: Part, options: RenderOptions): RenderedObject {
  const uid = part.name === 'main' ? options.uid : taggedUid(options.uid, part.name);
  const zones: ZoneYears = new Map();
  const organizer = series.main.organizer ?? series.overrides.find(({ entry }) => entry.organizer)?.entry.organizer;
  const context = contextOf(options, uid, organizer ?? null, zones);
  const { timeline } = part;
  const start = momentAt(timeline.startWall, timeline.start);
  const main = timeline.startWall === timelineOf(series).startWall ? series.main : entryFrom(series.main, start);
  const recurrence: JCalProperty[] = part.rule === null ? [] : [['rrule', {}, 'recur', recurOf(part.rule)]];
  for (const slot of part.excluded) recurrence.push(momentProperty('exdate', slot, zones));
  const events: JCal[] = [renderEvent(main, { ...context, recurrence })];
  for (const { slot, entry } of part.overrides) {
    events.push(renderEvent(entry, { ...context, recurrenceId: slot }));
  }
  if (part.rule !== null) noteHorizon(zones, part, options.window);
  return renderObject(
    part.name,
    uid,
    events.map((component) => ({ component, zones })),
  );
}

/**
 * Years for which a zone is told beyond the window. What is written once may stand for years: a new zone definition
 * alone is no reason to write.
 */
const horizonYears = 10;

/** A zone's definition must reach as far as its series does within sight. */
function noteHorizon(zones: ZoneYears, part: Part, window: Window): void {
  const last = part.timeline.lastWall;
  const horizon = Number(window.to.slice(0, 4)) + horizonYears;
  const ends = last === null ? horizon : Math.min(horizon, Number(formatDay(dayOfSeconds(last)).slice(0, 4)) + 1);
  for (const zone of zones.keys()) noteYear(zones, zone, ends);
}

/** The entry with its length, beginning at another moment. */
function entryFrom(entry: Entry, start: Moment): Entry {
  if (entry.end === null) return { ...entry, start };
  const at = momentSeconds(start) + durationOf(entry);
  return { ...entry, start, end: momentOfInstant(at, start.kind === 'date' ? start : entry.end) };
}

function momentOfInstant(at: number, model: Moment): Moment {
  return momentAt(model.kind === 'zoned' ? localSeconds(at, model.zone) : at, model);
}

function renderObject(part: string, uid: string, events: readonly Event[]): RenderedObject {
  const zones: ZoneYears = new Map();
  for (const { zones: own } of events) {
    for (const [zone, { from, to }] of own) {
      noteYear(zones, zone, from);
      noteYear(zones, zone, to);
    }
  }
  const components = events.map(({ component }) => component);
  const definitions = [...zones]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([zone, { from, to }]) => zoneText(zone, from, to));
  const { content, schedule } = fingerprintsOf(components);
  return {
    part,
    uid,
    text: calendarText([...definitions, ...components.map(componentText)]),
    fingerprint: content,
    scheduleFingerprint: schedule,
  };
}

const zoneTexts = new WeakMap<JCal, string>();

function zoneText(zone: string, from: number, to: number): string {
  const component = vtimezoneFor(zone, from, to);
  const known = zoneTexts.get(component);
  if (known !== undefined) return known;
  const text = componentText(component);
  zoneTexts.set(component, text);
  return text;
}

/** A rule as ical.js writes it: the parts in this order. */
function recurOf(rule: Rule): Record<string, unknown> {
  const list = (values: readonly number[]): number[] | undefined => (values.length === 0 ? undefined : [...values]);
  const days = rule.days.map(({ weekday, nth }) => `${nth === 0 ? '' : nth}${weekdayNames[weekday] ?? ''}`);
  const { until } = rule;
  const parts: Record<string, unknown> = {
    freq: rule.frequency,
    interval: rule.interval > 1 ? rule.interval : undefined,
    wkst: rule.weekStart === 0 ? undefined : weekdayNames[rule.weekStart],
    bymonth: list(rule.months),
    byweekno: list(rule.weeks),
    byyearday: list(rule.yearDays),
    bymonthday: list(rule.monthDays),
    byday: days.length === 0 ? undefined : days,
    byhour: list(rule.hours),
    byminute: list(rule.minutes),
    bysecond: list(rule.seconds),
    bysetpos: list(rule.positions),
    count: rule.count ?? undefined,
    until:
      until === null
        ? undefined
        : until.form === 'date'
          ? formatDay(dayOfSeconds(until.wall))
          : `${formatLocal(until.wall)}${until.form === 'utc' ? 'Z' : ''}`,
  };
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}
