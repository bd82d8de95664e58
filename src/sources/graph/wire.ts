/**
 * Graph's JSON at the border: whatever arrives becomes a typed event, fields that are missing, null or of a wrong type
 * become null. Says nothing of meaning. Source: Graph docs, `event.md`, `recurrencepattern.md`, `recurrencerange.md`.
 */

export type EventType = 'singleInstance' | 'occurrence' | 'exception' | 'seriesMaster';

export interface WireTime {
  /** Without offset, up to seven decimals. */
  readonly dateTime: string;
  readonly timeZone: string | null;
}

export interface WirePattern {
  readonly type: string | null;
  readonly interval: number | null;
  readonly month: number | null;
  readonly dayOfMonth: number | null;
  readonly daysOfWeek: readonly string[];
  readonly firstDayOfWeek: string | null;
  readonly index: string | null;
}

export interface WireRange {
  readonly type: string | null;
  readonly startDate: string | null;
  readonly endDate: string | null;
  readonly numberOfOccurrences: number | null;
  readonly recurrenceTimeZone: string | null;
}

export interface WireAddress {
  readonly name: string | null;
  readonly address: string | null;
}

export interface WireAttendee {
  readonly type: string | null;
  readonly response: string | null;
  readonly email: WireAddress;
}

export interface WireLocation {
  readonly displayName: string | null;
  readonly address: string | null;
  readonly email: string | null;
  readonly type: string | null;
  readonly latitude: number | null;
  readonly longitude: number | null;
}

export interface WireMeeting {
  readonly joinUrl: string | null;
  readonly numbers: readonly string[];
}

export interface WireEvent {
  readonly id: string | null;
  /** Left the view: deleted, or moved out of the window. */
  readonly isRemoved: boolean;
  readonly type: EventType | null;
  readonly seriesMasterId: string | null;
  readonly iCalUId: string | null;
  readonly occurrenceId: string | null;
  /** changeKey, else what the etag wraps, which is the changeKey. A series has one for all its parts (contrib#7803). */
  readonly version: string | null;
  readonly subject: string | null;
  readonly body: { readonly isHtml: boolean; readonly content: string } | null;
  readonly bodyPreview: string | null;
  readonly start: WireTime | null;
  readonly end: WireTime | null;
  readonly isAllDay: boolean | null;
  readonly originalStart: string | null;
  readonly originalStartTimeZone: string | null;
  readonly originalEndTimeZone: string | null;
  readonly recurrence: { readonly pattern: WirePattern; readonly range: WireRange } | null;
  /** Null: the answer does not say. */
  readonly cancelledOccurrences: readonly string[] | null;
  readonly exceptionOccurrences: readonly WireEvent[] | null;
  readonly exceptionsNextLink: string | null;
  readonly location: WireLocation | null;
  readonly locations: readonly WireLocation[] | null;
  readonly attendees: readonly WireAttendee[] | null;
  readonly organizer: WireAddress | null;
  readonly isOrganizer: boolean | null;
  readonly response: string | null;
  readonly responseRequested: boolean | null;
  readonly allowNewTimeProposals: boolean | null;
  readonly showAs: string | null;
  readonly sensitivity: string | null;
  readonly importance: string | null;
  readonly categories: readonly string[] | null;
  readonly isReminderOn: boolean | null;
  readonly reminderMinutesBeforeStart: number | null;
  readonly isCancelled: boolean | null;
  readonly hideAttendees: boolean | null;
  readonly onlineMeeting: WireMeeting | null;
  readonly onlineMeetingUrl: string | null;
  readonly hasAttachments: boolean | null;
  readonly createdDateTime: string | null;
  readonly lastModifiedDateTime: string | null;
  readonly webLink: string | null;
  /** Extended property 0x8201, the organizer's revision. */
  readonly sequence: number | null;
}

/** The extended property in which Exchange keeps a meeting's revision (MS-OXOCAL PidLidAppointmentSequence). */
export const SEQUENCE_PROPERTY = 'Integer {00062002-0000-0000-C000-000000000046} Id 0x8201';

/** Reads one event of any shape; never throws. */
export function readEvent(json: unknown): WireEvent {
  const raw = record(json);
  const type = text(raw['type']);
  return {
    id: text(raw['id']),
    isRemoved: raw['@removed'] !== undefined && raw['@removed'] !== null,
    type: isEventType(type) ? type : null,
    seriesMasterId: text(raw['seriesMasterId']),
    iCalUId: text(raw['iCalUId']) ?? text(raw['uid']),
    occurrenceId: text(raw['occurrenceId']),
    version: text(raw['changeKey']) ?? versionOfEtag(text(raw['@odata.etag'])),
    subject: string(raw['subject']),
    body: readBody(raw['body']),
    bodyPreview: string(raw['bodyPreview']),
    start: readTime(raw['start']),
    end: readTime(raw['end']),
    isAllDay: boolean(raw['isAllDay']),
    originalStart: text(raw['originalStart']),
    originalStartTimeZone: text(raw['originalStartTimeZone']),
    originalEndTimeZone: text(raw['originalEndTimeZone']),
    recurrence: readRecurrence(raw['recurrence']),
    cancelledOccurrences: texts(raw['cancelledOccurrences']),
    exceptionOccurrences: list(raw['exceptionOccurrences'])?.map(readEvent) ?? null,
    exceptionsNextLink: text(raw['exceptionOccurrences@odata.nextLink']),
    location: isRecord(raw['location']) ? readLocation(raw['location']) : null,
    locations: list(raw['locations'])?.map(readLocation) ?? null,
    attendees: list(raw['attendees'])?.map(readAttendee) ?? null,
    organizer: isRecord(raw['organizer']) ? readAddress(raw['organizer']['emailAddress']) : null,
    isOrganizer: boolean(raw['isOrganizer']),
    response: text(record(raw['responseStatus'])['response']),
    responseRequested: boolean(raw['responseRequested']),
    allowNewTimeProposals: boolean(raw['allowNewTimeProposals']),
    showAs: text(raw['showAs']),
    sensitivity: text(raw['sensitivity']),
    importance: text(raw['importance']),
    categories: texts(raw['categories']),
    isReminderOn: boolean(raw['isReminderOn']),
    reminderMinutesBeforeStart: number(raw['reminderMinutesBeforeStart']),
    isCancelled: boolean(raw['isCancelled']),
    hideAttendees: boolean(raw['hideAttendees']),
    onlineMeeting: isRecord(raw['onlineMeeting']) ? readMeeting(raw['onlineMeeting']) : null,
    onlineMeetingUrl: text(raw['onlineMeetingUrl']),
    hasAttachments: boolean(raw['hasAttachments']),
    createdDateTime: text(raw['createdDateTime']),
    lastModifiedDateTime: text(raw['lastModifiedDateTime']),
    webLink: text(raw['webLink']),
    sequence: readSequence(raw['singleValueExtendedProperties']),
  };
}

/** A collection answer: its items, and the link that goes on. Null when it is no collection. */
export interface WirePage {
  readonly items: readonly unknown[];
  readonly nextLink: string | null;
  readonly deltaLink: string | null;
}

export function readCollection(json: unknown): WirePage | null {
  const raw = record(json);
  const items = list(raw['value']);
  if (items === null) return null;
  return { items, nextLink: text(raw['@odata.nextLink']), deltaLink: text(raw['@odata.deltaLink']) };
}

export interface WireCalendar {
  readonly id: string;
  readonly name: string;
  readonly owner: WireAddress;
  readonly isDefault: boolean;
  readonly canEdit: boolean | null;
  /** Unset for a local copy of somebody else's calendar. */
  readonly canShare: boolean | null;
  readonly canViewPrivateItems: boolean | null;
  readonly color: string | null;
}

export function readCalendar(json: unknown): WireCalendar | null {
  const raw = record(json);
  const id = text(raw['id']);
  if (id === null) return null;
  const color = text(raw['hexColor']);
  return {
    id,
    name: string(raw['name']) ?? '',
    owner: readAddress(raw['owner']),
    isDefault: boolean(raw['isDefaultCalendar']) ?? false,
    canEdit: boolean(raw['canEdit']),
    canShare: boolean(raw['canShare']),
    canViewPrivateItems: boolean(raw['canViewPrivateItems']),
    color: color !== null && /^#[0-9a-f]{6}$/i.test(color) ? color : null,
  };
}

/** `W/"k1"` is `k1`. */
function versionOfEtag(etag: string | null): string | null {
  return etag === null ? null : etag.replace(/^W\//, '').replace(/^"(.*)"$/, '$1');
}

function isEventType(type: string | null): type is EventType {
  return type === 'singleInstance' || type === 'occurrence' || type === 'exception' || type === 'seriesMaster';
}

function readBody(json: unknown): WireEvent['body'] {
  const raw = record(json);
  const content = string(raw['content']);
  return content === null ? null : { isHtml: string(raw['contentType'])?.toLowerCase() !== 'text', content };
}

function readTime(json: unknown): WireTime | null {
  const raw = record(json);
  const dateTime = text(raw['dateTime']);
  return dateTime === null ? null : { dateTime, timeZone: text(raw['timeZone']) };
}

function readRecurrence(json: unknown): WireEvent['recurrence'] {
  if (!isRecord(json)) return null;
  const pattern = record(json['pattern']);
  const range = record(json['range']);
  return {
    pattern: {
      type: text(pattern['type']),
      interval: number(pattern['interval']),
      month: number(pattern['month']),
      dayOfMonth: number(pattern['dayOfMonth']),
      daysOfWeek: texts(pattern['daysOfWeek']) ?? [],
      firstDayOfWeek: text(pattern['firstDayOfWeek']),
      index: text(pattern['index']),
    },
    range: {
      type: text(range['type']),
      startDate: text(range['startDate']),
      endDate: text(range['endDate']),
      numberOfOccurrences: number(range['numberOfOccurrences']),
      recurrenceTimeZone: text(range['recurrenceTimeZone']),
    },
  };
}

function readAddress(json: unknown): WireAddress {
  const raw = record(json);
  return { name: text(raw['name']), address: text(raw['address']) };
}

function readAttendee(json: unknown): WireAttendee {
  const raw = record(json);
  return {
    type: text(raw['type']),
    response: text(record(raw['status'])['response']),
    email: readAddress(raw['emailAddress']),
  };
}

function readLocation(json: unknown): WireLocation {
  const raw = record(json);
  const address = record(raw['address']);
  const coordinates = record(raw['coordinates']);
  const parts = ['street', 'postalCode', 'city', 'state', 'countryOrRegion'].map((part) => text(address[part])?.trim());
  return {
    displayName: text(raw['displayName']),
    address: parts.filter((part) => part !== undefined && part !== '').join(', ') || null,
    email: text(raw['locationEmailAddress']),
    type: text(raw['locationType']),
    latitude: number(coordinates['latitude']),
    longitude: number(coordinates['longitude']),
  };
}

function readMeeting(raw: Readonly<Record<string, unknown>>): WireMeeting {
  const phones = (list(raw['phones']) ?? []).map((phone) => text(record(phone)['number']));
  const numbers = [
    text(raw['quickDial']),
    text(raw['tollNumber']),
    ...(texts(raw['tollFreeNumbers']) ?? []),
    ...phones,
  ];
  return { joinUrl: text(raw['joinUrl']), numbers: numbers.filter((each) => each !== null) };
}

function readSequence(json: unknown): number | null {
  for (const each of list(json) ?? []) {
    const property = record(each);
    if (!/^Integer \{00062002-[^}]*\} Id 0x8201$/i.test(text(property['id']) ?? '')) continue;
    const value = Number(property['value']);
    if (Number.isSafeInteger(value) && value >= 0 && value < 2 ** 31) return value;
  }
  return null;
}

type Raw = Readonly<Record<string, unknown>>;

function isRecord(json: unknown): json is Raw {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function record(json: unknown): Raw {
  return isRecord(json) ? json : {};
}

function list(json: unknown): readonly unknown[] | null {
  return Array.isArray(json) ? (json as readonly unknown[]) : null;
}

function texts(json: unknown): readonly string[] | null {
  return list(json)?.filter((each): each is string => typeof each === 'string' && each !== '') ?? null;
}

function string(json: unknown): string | null {
  return typeof json === 'string' ? json : null;
}

/** A string that says something. */
function text(json: unknown): string | null {
  return typeof json === 'string' && json !== '' ? json : null;
}

function number(json: unknown): number | null {
  return typeof json === 'number' && Number.isFinite(json) ? json : null;
}

function boolean(json: unknown): boolean | null {
  return typeof json === 'boolean' ? json : null;
}
