/** One entry as a VEVENT in jCal: the properties of RFC 5545 and those that Outlook, Apple and Teams users expect. */
import { hash } from 'node:crypto';
import { dayOfSeconds, daySeconds, formatDay, parseLocal, yearOfSeconds } from './civil.ts';
import type { JCal, JCalProperty } from './ical.ts';
import type { Attendee, Entry, ForeignProperty, Moment, Person } from './series.ts';
import { slotKey } from './slot-key.ts';
import { CAPS, cap, cleanText, isAddress, line, placeholderAddress, safeUri, tidy } from './text.ts';
import { canonicalZone, momentSeconds, parseInstant } from './zones.ts';

export interface EventContext {
  readonly uid: string;
  readonly sequence: number;
  /** Put before the title as it is: `[Agency] `. */
  readonly titleTag: string;
  /** Only a part of the event is shown: whoever reads it is told that it is not public. */
  readonly isRedacted: boolean;
  readonly reminders: 'source' | 'none' | number;
  /** One for the whole resource: Baikal refuses resources whose components name different ones. */
  readonly organizer: Person | null;
  /** Original start of an override, in the form of the master's DTSTART. */
  readonly recurrenceId: Moment | null;
  /** RRULE and EXDATE of a master. */
  readonly recurrence: readonly JCalProperty[];
  /** Zones in use with their first and last year; filled in here. */
  readonly zones: ZoneYears;
}

export type ZoneYears = Map<string, { from: number; to: number }>;

/** Above this many people only the organizer, rooms and the first of the others are named. */
const maxAttendees = 200;
const epoch = '1970-01-01T00:00:00Z';

/** Throws `calendar.moment_invalid`. */
export function renderEvent(entry: Entry, context: EventContext): JCal {
  const people = renderPeople(entry, context.organizer);
  const summary = line(`${context.titleTag}${entry.summary ?? ''}`, CAPS.summary);
  const properties: (JCalProperty | null)[] = [
    ['uid', {}, 'text', context.uid],
    ['dtstamp', {}, 'date-time', stamp(entry.lastModifiedAt ?? entry.createdAt) ?? epoch],
    context.recurrenceId === null ? null : momentProperty('recurrence-id', context.recurrenceId, context.zones),
    momentProperty('dtstart', entry.start, context.zones),
    endProperty(entry, context.zones),
    ...context.recurrence,
    text('summary', summary),
    text('description', description(entry, people.hidden)),
    ...placeProperties(entry),
    ...stateProperties(entry, context.isRedacted),
    ...linkProperties(entry),
    ...people.properties,
    entry.disallowCounter ? ['x-microsoft-disallow-counter', {}, 'unknown', 'TRUE'] : null,
    ['sequence', {}, 'integer', context.sequence],
    instantProperty('created', entry.createdAt),
    instantProperty('last-modified', entry.lastModifiedAt),
    ...foreignProperties(entry.foreign),
  ];
  const alarm = renderAlarm(entry, context, summary);
  return ['vevent', properties.filter((property) => property !== null), alarm === null ? [] : [alarm]];
}

/** A date or time with its zone, which is noted in `zones`. An unknown zone is written as UTC. */
export function momentProperty(name: string, moment: Moment, zones: ZoneYears): JCalProperty {
  switch (moment.kind) {
    case 'date':
      return [name, {}, 'date', formatDay(dayOfSeconds(parseLocal(moment.date)))];
    case 'floating':
      return [name, {}, 'date-time', localText(moment.local)];
    case 'utc':
      return [name, {}, 'date-time', utcText(moment.instant)];
    case 'zoned': {
      const zone = canonicalZone(moment.zone) ?? 'UTC';
      if (zone === 'UTC') return [name, {}, 'date-time', `${localText(moment.local)}Z`];
      const local = localText(moment.local);
      noteYear(zones, zone, Number(local.slice(0, 4)));
      return [name, { tzid: zone }, 'date-time', local];
    }
  }
}

/** Notes that a zone is needed in a year. */
export function noteYear(zones: ZoneYears, zone: string, year: number): void {
  const known = zones.get(zone);
  if (known === undefined) zones.set(zone, { from: year, to: year });
  else {
    known.from = Math.min(known.from, year);
    known.to = Math.max(known.to, year);
  }
}

function localText(local: string): string {
  // Parsed for the error that it throws; the text itself is already in jCal's form.
  parseLocal(local);
  return local.slice(0, 19);
}

function utcText(instant: string): string {
  return stamp(instant) ?? `${localText(instant)}Z`;
}

/** DTEND must be later than DTSTART (RFC 5545 section 3.8.2.2); an all-day entry always has one, for old clients. */
function endProperty(entry: Entry, zones: ZoneYears): JCalProperty | null {
  if (entry.start.kind === 'date') {
    const start = dayOfSeconds(parseLocal(entry.start.date));
    const end = entry.end?.kind === 'date' ? dayOfSeconds(parseLocal(entry.end.date)) : start + 1;
    const last = Math.max(start + 1, end);
    return yearOfSeconds(last * daySeconds) > 9999 ? null : ['dtend', {}, 'date', formatDay(last)];
  }
  if (entry.end === null || entry.end.kind === 'date') return null;
  if (momentSeconds(entry.end) <= momentSeconds(entry.start)) return null;
  return momentProperty('dtend', entry.end, zones);
}

function text(name: string, value: string | null): JCalProperty | null {
  return value === null || value === '' ? null : [name, {}, 'text', value];
}

function stamp(instant: string | null): string | null {
  if (instant === null) return null;
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(instant)) return instant;
  try {
    return `${new Date(parseInstant(instant) * 1_000).toISOString().slice(0, 19)}Z`;
  } catch {
    // A stamp that nobody can read is no reason to lose the event.
    return null;
  }
}

function instantProperty(name: string, instant: string | null): JCalProperty | null {
  const value = stamp(instant);
  return value === null ? null : [name, {}, 'date-time', value];
}

function description(entry: Entry, hiddenPeople: number): string | null {
  const notes = hiddenPeople > 0 ? `\n\n[+${hiddenPeople}]` : '';
  const link = safeUri(entry.webLink);
  const cleaned = tidy(entry.description ?? '');
  if (cleaned === '' && notes === '') return null;
  return cap(`${cleaned}${notes}`, CAPS.description, link === null ? '…' : `…\n${link}`);
}

function placeProperties({ location, place }: Entry): (JCalProperty | null)[] {
  const properties = [text('location', line(location, CAPS.location))];
  if (place === null || !isPlace(place.latitude, place.longitude)) return properties;
  const { latitude, longitude } = place;
  const title = line(place.title, CAPS.name) ?? line(location, CAPS.name) ?? '';
  return [
    ...properties,
    ['geo', {}, 'float', [latitude, longitude]],
    [
      'x-apple-structured-location',
      { 'x-apple-radius': '70', 'x-title': parameterText(title) },
      'uri',
      `geo:${latitude},${longitude}`,
    ],
  ];
}

function isPlace(latitude: number, longitude: number): boolean {
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 && (latitude !== 0 || longitude !== 0);
}

const busyStatus = {
  free: 'FREE',
  tentative: 'TENTATIVE',
  busy: 'BUSY',
  oof: 'OOF',
  workingElsewhere: 'WORKINGELSEWHERE',
} as const;
const priorities = { high: 1, normal: 5, low: 9 } as const;
const importances = { high: '2', normal: '1', low: '0' } as const;
const classes = { normal: 'PUBLIC', personal: 'PRIVATE', private: 'PRIVATE', confidential: 'CONFIDENTIAL' } as const;

function stateProperties(entry: Entry, isRedacted: boolean): (JCalProperty | null)[] {
  const isFree = entry.showAs === 'free' || entry.showAs === 'workingElsewhere';
  const categories = entry.categories
    // ical.js, and clients built on it, take a backslash before the dividing comma for an escaped comma.
    .map((category) => line(category.replace(/[\\\s]+$/, ''), CAPS.name))
    .filter((name) => name !== null);
  return [
    ['status', {}, 'text', entry.status.toUpperCase()],
    ['transp', {}, 'text', isFree ? 'TRANSPARENT' : 'OPAQUE'],
    ['x-microsoft-cdo-busystatus', {}, 'unknown', busyStatus[entry.showAs]],
    entry.start.kind === 'date' ? ['x-microsoft-cdo-alldayevent', {}, 'unknown', 'TRUE'] : null,
    ['class', {}, 'text', isRedacted ? 'PRIVATE' : classes[entry.sensitivity]],
    entry.importance === null ? null : ['priority', {}, 'integer', priorities[entry.importance]],
    entry.importance === null ? null : ['x-microsoft-cdo-importance', {}, 'unknown', importances[entry.importance]],
    categories.length === 0 ? null : ['categories', {}, 'text', ...new Set(categories)],
  ];
}

function linkProperties(entry: Entry): (JCalProperty | null)[] {
  const join = safeUri(entry.joinUrl);
  const web = safeUri(entry.webLink);
  const isTeams = join !== null && /^[^/]+\/\/(?:[^/?#]*\.)?teams\.(?:microsoft|live)\./i.test(join);
  const phones = entry.dialIn.map((uri) => safeUri(uri, ['tel'])).filter((uri) => uri !== null);
  return [
    join === null ? null : ['url', {}, 'uri', join],
    join === null ? null : ['conference', { feature: 'VIDEO', label: 'Join' }, 'uri', join],
    ...phones.map((uri): JCalProperty => ['conference', { feature: 'PHONE' }, 'uri', uri]),
    join !== null && isTeams ? ['x-microsoft-skypeteamsmeetingurl', {}, 'unknown', join] : null,
    web === null ? null : ['x-m365-weblink', {}, 'unknown', web],
  ];
}

const kinds = { individual: null, group: 'GROUP', room: 'ROOM', resource: 'RESOURCE' } as const;
const roles = {
  chair: 'CHAIR',
  required: 'REQ-PARTICIPANT',
  optional: 'OPT-PARTICIPANT',
  nonParticipant: 'NON-PARTICIPANT',
} as const;
const answers = {
  needsAction: 'NEEDS-ACTION',
  accepted: 'ACCEPTED',
  tentative: 'TENTATIVE',
  declined: 'DECLINED',
} as const;

/**
 * ORGANIZER and ATTENDEE lines, the organizer's first, then by address. SCHEDULE-AGENT=CLIENT on each of them keeps the
 * server from mailing anybody (RFC 6638 section 7.1; sabre/dav honours no other value).
 */
function renderPeople(entry: Entry, organizer: Person | null): { properties: JCalProperty[]; hidden: number } {
  const people = new Map<string, Attendee>();
  for (const attendee of entry.attendees) {
    const key = attendee.address.toLowerCase();
    if (isAddress(attendee.address) && !people.has(key)) people.set(key, attendee);
  }
  if (people.size === 0) return { properties: [], hidden: 0 };
  const chair = organizer?.address.toLowerCase() ?? '';
  const rank = ({ address, role, kind }: Attendee): number => {
    if (address.toLowerCase() === chair || role === 'chair') return 0;
    return people.size > maxAttendees && (kind === 'room' || kind === 'resource') ? 1 : 2;
  };
  const sorted = [...people.values()].sort(
    (a, b) => rank(a) - rank(b) || (a.address.toLowerCase() < b.address.toLowerCase() ? -1 : 1),
  );
  const shown = sorted.slice(0, maxAttendees);
  const properties = shown.map((attendee) => attendeeProperty(attendee, attendee.address.toLowerCase() === chair));
  if (organizer !== null) properties.unshift(organizerProperty(organizer));
  return { properties, hidden: sorted.length - shown.length };
}

function organizerProperty(organizer: Person): JCalProperty {
  const address = isAddress(organizer.address)
    ? organizer.address
    : placeholderAddress(organizer.address || (organizer.name ?? ''));
  return ['organizer', { ...commonName(organizer), 'schedule-agent': 'CLIENT' }, 'cal-address', `mailto:${address}`];
}

function attendeeProperty(attendee: Attendee, isOrganizer: boolean): JCalProperty {
  const kind = kinds[attendee.kind];
  const participation = isOrganizer ? 'accepted' : attendee.participation;
  return [
    'attendee',
    {
      ...commonName(attendee),
      ...(kind === null ? {} : { cutype: kind }),
      role: roles[isOrganizer ? 'chair' : attendee.role],
      partstat: answers[participation],
      ...(attendee.rsvp && participation === 'needsAction' ? { rsvp: 'TRUE' } : {}),
      'schedule-agent': 'CLIENT',
    },
    'cal-address',
    `mailto:${attendee.address}`,
  ];
}

function commonName({ name }: Person): Record<string, string> {
  const cleaned = line(name, CAPS.name);
  return cleaned === null ? {} : { cn: parameterText(cleaned) };
}

/** Parameters know no backslash escapes (RFC 6868), but ical.js undoes them there: `CORP\\nancy` would break the line. */
function parameterText(text: string): string {
  return text.replaceAll('\\', '/');
}

/** Names that this module writes by itself, that would break the object, or that are a client's own state. */
const ownNames =
  /^(?:x-microsoft-cdo-(?:busystatus|alldayevent|importance)|x-microsoft-(?:disallow-counter|skypeteamsmeetingurl)|x-m365-weblink|x-apple-structured-location|x-moz-.*|x-lic-error)$/;
const carriedNames = /^(?:x-[a-z0-9-]{1,60}|color|comment|contact|resources|image)$/;
const maxForeign = 50;
// DAVx5 drops unknown properties above this.
const maxForeignLength = 25_000;

/** Whether a property of a source, lower case, is carried through unread. */
export function isCarried(name: string): boolean {
  return carriedNames.test(name) && !ownNames.test(name);
}

function foreignProperties(foreign: readonly ForeignProperty[]): JCalProperty[] {
  const properties: JCalProperty[] = [];
  for (const [name, parameters, type, ...values] of foreign) {
    const texts = values.filter((value) => typeof value === 'string' || typeof value === 'number');
    const size = texts.reduce<number>((sum, value) => sum + String(value).length, 0);
    if (!isCarried(name) || texts.length !== values.length || values.length === 0 || size > maxForeignLength) continue;
    if (!['text', 'unknown', 'uri', 'integer', 'float'].includes(type)) continue;
    const cleaned = texts.map((value) => {
      if (typeof value === 'number') return value;
      return type === 'text' ? cleanText(value) : cleanText(value).replaceAll('\n', ' ');
    });
    properties.push([name, cleanParameters(parameters), type, ...cleaned]);
    if (properties.length >= maxForeign) break;
  }
  return properties;
}

function cleanParameters(parameters: ForeignProperty[1]): Record<string, string> {
  const cleaned: Record<string, string> = {};
  for (const [name, value] of Object.entries(parameters)) {
    if (/^[a-z0-9-]{1,60}$/.test(name) && name !== 'value')
      cleaned[name] = parameterText(cleanText([value].flat().join(','))).slice(0, 1_000);
  }
  return cleaned;
}

function renderAlarm(entry: Entry, context: EventContext, summary: string | null): JCal | null {
  const minutes =
    context.reminders === 'source' ? entry.reminder : context.reminders === 'none' ? null : context.reminders;
  if (minutes === null || entry.status === 'cancelled') return null;
  const whole = Math.max(-525_600, Math.min(525_600, Math.round(minutes)));
  const slot = context.recurrenceId === null ? '' : slotKey(context.recurrenceId);
  return [
    'valarm',
    [
      ['action', {}, 'text', 'DISPLAY'],
      ['description', {}, 'text', summary ?? 'Reminder'],
      ['uid', {}, 'text', alarmUid(`${context.uid}/${slot}`)],
      ['trigger', {}, 'duration', whole === 0 ? 'PT0S' : `${whole > 0 ? '-' : ''}PT${Math.abs(whole)}M`],
    ],
    [],
  ];
}

const namespace = Buffer.from('6ba7b8119dad11d180b400c04fd430c8', 'hex');

/** A name-based UUID (RFC 9562 section 5.5), so that the alarm keeps its id, and clients what they know of it. */
function alarmUid(name: string): string {
  const digest = hash('sha1', Buffer.concat([namespace, Buffer.from(name)]), 'buffer');
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = digest.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
