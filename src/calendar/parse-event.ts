/** One VEVENT in jCal as an Entry. */
import { dayOfSeconds, daySeconds, formatDay, formatLocal, parseLocal, tryParseLocal } from './civil.ts';
import { durationSeconds } from './duration.ts';
import type { ZoneFinder } from './foreign-zones.ts';
import { fixedZone, instantByRules } from './foreign-zones.ts';
import type { JCal, JCalProperty } from './ical.ts';
import { isCarried } from './render-event.ts';
import type { Answer, Attendee, Entry, ForeignProperty, Moment, Participation, Person, Place } from './series.ts';
import { momentAt } from './slot-key.ts';
import { CAPS, cap, cleanText, isAddress, line, safeUri, tidy } from './text.ts';
import { localSeconds, momentSeconds } from './zones.ts';

export interface EventReader {
  readonly zoneOf: ZoneFinder;
  /** X-WR-TIMEZONE of the calendar, an IANA zone: stands in for zones that nobody knows. */
  readonly defaultZone: string | null;
  /** Lower case addresses of the calendar's owner. */
  readonly self: ReadonlySet<string>;
  readonly report: (code: string, reason: string) => void;
}

export function first(component: JCal, wanted: string): JCalProperty | null {
  return component[1].find(([name]) => name === wanted) ?? null;
}

export function textValue(component: JCal, wanted: string): string | null {
  const value = first(component, wanted)?.[3];
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? String(value) : null;
}

/** A date or time of a property; null when it is none. */
export function momentOf(property: JCalProperty, value: unknown, reader: EventReader): Moment | null {
  const written = Array.isArray(value) ? String(value[0]) : String(value);
  // Some programs leave out VALUE=DATE or the seconds; ical.js then leaves their places empty.
  const text = written.replace(/T::$/, '').replace(/:(Z?)$/, ':00$1');
  const wall = tryParseLocal(text);
  if (wall === null) return null;
  if (!text.includes('T')) return { kind: 'date', date: formatDay(dayOfSeconds(wall)) };
  const local = formatLocal(wall);
  if (text.endsWith('Z')) return { kind: 'utc', instant: `${local}Z` };
  const tzid = property[1]['tzid'];
  if (typeof tzid !== 'string' || tzid.trim() === '') return { kind: 'floating', local };
  const found = reader.zoneOf(tzid);
  if (found?.kind === 'zone') return inZone(local, found.zone);
  if (found?.kind === 'rules') {
    const fixed = fixedZone(found.offsets);
    if (fixed !== null) return inZone(local, fixed);
    reader.report('ical.zone_converted', 'Its time zone is none that is known; its times are kept in UTC');
    return { kind: 'utc', instant: `${formatLocal(instantByRules(found.offsets, wall))}Z` };
  }
  reader.report('ical.zone_unknown', 'Its time zone is neither known nor defined in the calendar');
  return reader.defaultZone === null ? { kind: 'floating', local } : inZone(local, reader.defaultZone);
}

function inZone(local: string, zone: string): Moment {
  return zone === 'UTC' ? { kind: 'utc', instant: `${local}Z` } : { kind: 'zoned', local, zone };
}

/** The entry of a VEVENT; null when its start cannot be read, which is reported. */
export function readEntry(event: JCal, reader: EventReader): Entry | null {
  const startProperty = first(event, 'dtstart');
  const written = startProperty === null ? null : momentOf(startProperty, startProperty[3], reader);
  const start = written === null ? null : asAllDay(event, written);
  if (start === null) {
    reader.report('ical.start_missing', 'Its start is missing or is no date that exists');
    return null;
  }
  const location = line(textValue(event, 'location'), CAPS.location);
  const organizer = readOrganizer(event);
  const attendees = readAttendees(event);
  const status = textValue(event, 'status')?.toUpperCase();
  const links = readLinks(event);
  return {
    start,
    end: readEnd(event, start, reader),
    summary: line(textValue(event, 'summary'), CAPS.summary),
    description: readDescription(event),
    location,
    place: readPlace(event, location),
    showAs: readShowAs(event, status),
    status: status === 'CANCELLED' ? 'cancelled' : status === 'TENTATIVE' ? 'tentative' : 'confirmed',
    sensitivity: readSensitivity(event),
    importance: readImportance(event),
    categories: readCategories(event),
    ...links,
    organizer: attendees.length > 0 ? organizer : null,
    attendees,
    answer: readAnswer(organizer, attendees, reader.self),
    disallowCounter: textValue(event, 'x-microsoft-disallow-counter')?.toUpperCase() === 'TRUE',
    reminder: readReminder(event, start),
    createdAt: readStamp(event, 'created'),
    lastModifiedAt: readStamp(event, 'last-modified') ?? readStamp(event, 'dtstamp'),
    foreign: readForeign(event),
  };
}

/** Outlook marks some all-day events by a property of its own and writes them from midnight to midnight. */
function asAllDay(event: JCal, moment: Moment): Moment {
  const isMarked = textValue(event, 'x-microsoft-cdo-alldayevent')?.toUpperCase() === 'TRUE';
  if (!isMarked || moment.kind === 'date' || moment.kind === 'utc') return moment;
  return moment.local.endsWith('T00:00:00') ? { kind: 'date', date: moment.local.slice(0, 10) } : moment;
}

function readEnd(event: JCal, start: Moment, reader: EventReader): Moment | null {
  const property = first(event, 'dtend');
  const found = property === null ? null : momentOf(property, property[3], reader);
  const written = found === null ? null : asAllDay(event, found);
  const seconds = durationSeconds(textValue(event, 'duration') ?? '');
  if (start.kind === 'date') {
    const day = dayOfSeconds(parseLocal(start.date));
    const end =
      written?.kind === 'date'
        ? dayOfSeconds(parseLocal(written.date))
        : day + Math.floor((seconds ?? daySeconds) / daySeconds);
    const last = Math.max(day + 1, end);
    return formatDay(last).length > 10 ? null : { kind: 'date', date: formatDay(last) };
  }
  const from = momentSeconds(start);
  if (written !== null && written.kind !== 'date') return momentSeconds(written) > from ? written : null;
  if (seconds === null || seconds <= 0) return null;
  const wall = start.kind === 'zoned' ? localSeconds(from + seconds, start.zone) : from + seconds;
  const end = momentAt(wall, start);
  // A duration may lead beyond the year 9999.
  return tryParseLocal(formatLocal(wall)) === null ? null : end;
}

function readDescription(event: JCal): string | null {
  const text = cap(tidy(cleanText(textValue(event, 'description') ?? '').slice(0, 1_048_576)), CAPS.description, '…');
  return text === '' ? null : text;
}

function readPlace(event: JCal, location: string | null): Place | null {
  const apple = first(event, 'x-apple-structured-location');
  const uri = /^geo:(-?[\d.]+),(-?[\d.]+)/i.exec(textValue(event, 'x-apple-structured-location') ?? '');
  const geo: unknown = first(event, 'geo')?.[3];
  const pair: unknown[] = uri !== null ? [uri[1], uri[2]] : Array.isArray(geo) ? (geo as unknown[]) : [];
  const [latitude, longitude] = [Number(pair[0] ?? Number.NaN), Number(pair[1] ?? Number.NaN)];
  if (!Number.isFinite(latitude) || !Number.isFinite(longitude)) return null;
  if (Math.abs(latitude) > 90 || Math.abs(longitude) > 180 || (latitude === 0 && longitude === 0)) return null;
  const title = apple?.[1]['x-title'];
  return { latitude, longitude, title: line(typeof title === 'string' ? title : location, CAPS.name) ?? '' };
}

function readShowAs(event: JCal, status: string | undefined): Entry['showAs'] {
  switch (textValue(event, 'x-microsoft-cdo-busystatus')?.toUpperCase()) {
    case 'FREE':
      return 'free';
    case 'TENTATIVE':
      return 'tentative';
    case 'OOF':
      return 'oof';
    case 'WORKINGELSEWHERE':
      return 'workingElsewhere';
    case 'BUSY':
      return 'busy';
    default:
      if (textValue(event, 'transp')?.toUpperCase() === 'TRANSPARENT') return 'free';
      return status === 'TENTATIVE' ? 'tentative' : 'busy';
  }
}

function readSensitivity(event: JCal): Entry['sensitivity'] {
  const value = textValue(event, 'class')?.toUpperCase() ?? 'PUBLIC';
  if (value === 'PUBLIC' || value === '') return 'normal';
  // RFC 5545 section 3.8.1.3: an unknown class is to be treated as PRIVATE.
  return value === 'CONFIDENTIAL' ? 'confidential' : 'private';
}

function readImportance(event: JCal): Entry['importance'] {
  const priority = Number(textValue(event, 'priority') ?? 0);
  if (priority >= 1 && priority <= 9) return priority < 5 ? 'high' : priority > 5 ? 'low' : 'normal';
  switch (textValue(event, 'x-microsoft-cdo-importance')) {
    case '2':
      return 'high';
    case '1':
      return 'normal';
    case '0':
      return 'low';
    default:
      return null;
  }
}

function readCategories(event: JCal): string[] {
  const categories = new Set<string>();
  for (const [name, , , ...values] of event[1]) {
    if (name !== 'categories') continue;
    for (const value of values) {
      const category = line(String(value), CAPS.name);
      if (category !== null && categories.size < 100) categories.add(category);
    }
  }
  return [...categories];
}

function readLinks(event: JCal): Pick<Entry, 'joinUrl' | 'dialIn' | 'webLink'> {
  const conferences = event[1].filter(([name]) => name === 'conference').map((property) => String(property[3]));
  const joins = [
    ...conferences,
    textValue(event, 'x-microsoft-skypeteamsmeetingurl'),
    textValue(event, 'x-google-conference'),
    textValue(event, 'url'),
  ];
  return {
    joinUrl: joins.map((uri) => safeUri(uri)).find((uri) => uri !== null) ?? null,
    dialIn: conferences.map((uri) => safeUri(uri, ['tel'])).filter((uri) => uri !== null),
    webLink: safeUri(textValue(event, 'x-m365-weblink')),
  };
}

function readPerson(property: JCalProperty): Person | null {
  // ical.js leaves parts of quoted parameters before the value in some lines.
  const value = String(property[3]);
  const at = value.toLowerCase().lastIndexOf('mailto:');
  const email = property[1]['email'];
  const addresses = [at < 0 ? value : value.slice(at + 7), typeof email === 'string' ? email : ''];
  const address = addresses.map((text) => text.trim()).find(isAddress);
  const name = property[1]['cn'];
  return address === undefined ? null : { address, name: line(typeof name === 'string' ? name : null, CAPS.name) };
}

function readOrganizer(event: JCal): Person | null {
  const property = first(event, 'organizer');
  return property === null ? null : readPerson(property);
}

// Nobody reads more names, and a claim is stored whole.
const maxAttendees = 1_000;

function readAttendees(event: JCal): Attendee[] {
  const attendees = new Map<string, Attendee>();
  for (const property of event[1]) {
    if (property[0] !== 'attendee' || attendees.size >= maxAttendees) continue;
    const person = readPerson(property);
    if (person === null || attendees.has(person.address.toLowerCase())) continue;
    const parameter = (name: string): string => String(property[1][name] ?? '').toUpperCase();
    attendees.set(person.address.toLowerCase(), {
      ...person,
      role: roles[parameter('role')] ?? 'required',
      kind: kinds[parameter('cutype')] ?? 'individual',
      participation: participations[parameter('partstat')] ?? 'needsAction',
      rsvp: parameter('rsvp') === 'TRUE',
    });
  }
  return [...attendees.values()];
}

const roles: Readonly<Record<string, Attendee['role']>> = {
  CHAIR: 'chair',
  'OPT-PARTICIPANT': 'optional',
  'NON-PARTICIPANT': 'nonParticipant',
};
const kinds: Readonly<Record<string, Attendee['kind']>> = { GROUP: 'group', ROOM: 'room', RESOURCE: 'resource' };
const participations: Readonly<Record<string, Participation>> = {
  ACCEPTED: 'accepted',
  TENTATIVE: 'tentative',
  DECLINED: 'declined',
};

function readAnswer(organizer: Person | null, attendees: readonly Attendee[], self: ReadonlySet<string>): Answer {
  if (attendees.length === 0) return 'none';
  if (organizer !== null && self.has(organizer.address.toLowerCase())) return 'organizer';
  return attendees.find(({ address }) => self.has(address.toLowerCase()))?.participation ?? 'none';
}

/** Minutes of the nearest alarm before the start that shows or sounds. */
function readReminder(event: JCal, start: Moment): number | null {
  let nearest: number | null = null;
  for (const alarm of event[2]) {
    const action = textValue(alarm, 'action')?.toUpperCase() ?? 'DISPLAY';
    const trigger = first(alarm, 'trigger');
    if (alarm[0] !== 'valarm' || trigger === null || (action !== 'DISPLAY' && action !== 'AUDIO')) continue;
    if (first(alarm, 'related-to') !== null || String(trigger[1]['related'] ?? '').toUpperCase() === 'END') continue;
    const value = String(trigger[3]);
    const relative = durationSeconds(value);
    const absolute = value.endsWith('Z') ? tryParseLocal(value) : null;
    const before = relative !== null ? -relative : absolute !== null ? momentSeconds(start) - absolute : null;
    if (before === null || Math.abs(before) > 366 * daySeconds) continue;
    const minutes = Math.round(before / 60);
    if (nearest === null || (minutes >= 0 ? nearest < 0 || minutes < nearest : nearest < 0 && minutes > nearest)) {
      nearest = minutes;
    }
  }
  // -0 is not what JSON gives back.
  return nearest === null ? null : nearest + 0;
}

function readStamp(event: JCal, name: string): string | null {
  const wall = tryParseLocal(textValue(event, name) ?? '');
  return wall === null ? null : `${formatLocal(wall)}Z`;
}

function readForeign(event: JCal): ForeignProperty[] {
  const foreign: ForeignProperty[] = [];
  for (const [name, parameters, type, ...values] of event[1]) {
    const isPlain =
      values.length > 0 && values.every((value) => typeof value === 'string' || typeof value === 'number');
    if (!isCarried(name) || name === 'x-google-conference' || !isPlain || foreign.length >= 50) continue;
    if (values.reduce<number>((size, value) => size + String(value).length, 0) > 25_000) continue;
    foreign.push([name, parameters, type, ...values]);
  }
  return foreign;
}
