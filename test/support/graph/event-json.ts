/** Stored items as Graph writes them (`event.md`, v1.0 typings), with the habits that integrators reported. */
import { iCalUIdOfDate, occurrenceIdFrom } from './ids.ts';
import { endMsOf, firstTiming, slotMs, startMsOf, type Instant } from './instances.ts';
import type { EventFields, ItemState, MailboxState, Timing } from './state.ts';
import type { Switches } from './switches.ts';
import { ianaZone, offsetMs, toLocal, utc } from './zones.ts';

export type Json = Record<string, unknown>;

/** What a request's Prefer headers ask for; headers are not part of delta links and must come each time. */
export interface Preferences {
  /** As given, Windows or IANA name. */
  readonly zone: string;
  readonly isImmutable: boolean;
  readonly bodyType: 'html' | 'text';
  readonly pageSize: number | null;
}

export interface Rendering {
  readonly preferences: Preferences;
  readonly switches: Switches;
  readonly mailbox: MailboxState;
}

const noDate = '0001-01-01T00:00:00Z';

export function idOf(item: ItemState, { preferences }: Rendering): string {
  return preferences.isImmutable ? item.key : item.id;
}

/** The docs promise immutable ids for events and are silent on occurrences, hence the switch. */
export function occurrenceIdOf(item: ItemState, date: string, { preferences, switches }: Rendering): string {
  const isImmutable = preferences.isImmutable && switches.immutableOccurrenceIds === 'yes';
  return occurrenceIdFrom(isImmutable ? item.key : item.id, item.generation, date);
}

function seriesMasterIdOf(item: ItemState, rendering: Rendering): string {
  const { preferences, switches } = rendering;
  return preferences.isImmutable && switches.immutableOccurrenceIds !== 'nor-seriesMasterId' ? item.key : item.id;
}

export function versionOf(item: ItemState): number {
  return item.touches.at(-1)?.sequence ?? 0;
}

/** One series shares its etag (contrib#7803). */
function etagOf(item: ItemState): Json {
  return { '@odata.etag': `W/"${changeKeyOf(item)}"` };
}

export function changeKeyOf(item: ItemState): string {
  return `DwAAABYAAA${versionOf(item).toString(36).toUpperCase().padStart(6, '0')}==`;
}

/**
 * An occurrence in delta is a stub: no subject, iCalUId or isAllDay (microsoft-graph-docs#7632, #22197, contrib#34).
 */
export function stubJson(item: ItemState, instance: Instant, rendering: Rendering): Json {
  return {
    '@odata.type': '#microsoft.graph.event',
    ...etagOf(item),
    id: occurrenceIdOf(item, instance.date ?? '', rendering),
    seriesMasterId: seriesMasterIdOf(item, rendering),
    type: 'occurrence',
    ...timesJson(instance.timing, rendering),
  };
}

/** A single, an occurrence or an exception, whole. */
export function instanceJson(item: ItemState, instance: Instant, rendering: Rendering): Json {
  const { switches } = rendering;
  const shared = commonJson(item, instance.fields, instance.timing, rendering);
  if (instance.type === 'singleInstance') {
    return { ...shared, ...(item.orphan ? orphanJson(item, item.orphan, rendering) : {}) };
  }
  const date = instance.date ?? '';
  return {
    ...shared,
    id: occurrenceIdOf(item, date, rendering),
    // Docs say that iCalUId differs per occurrence, the field says shared (microsoft-graph-docs#17479, #4447).
    iCalUId: switches.iCalUId === 'per-occurrence' ? iCalUIdOfDate(item.iCalUId, date) : item.iCalUId,
    type: instance.type,
    seriesMasterId: seriesMasterIdOf(item, rendering),
    occurrenceId: `OID.${seriesMasterIdOf(item, rendering)}.${date}`,
    originalStart:
      instance.type === 'exception' && switches.exceptionOriginalStart === 'null'
        ? null
        : instantJson(slotMs(item, date), rendering),
  };
}

/** An exception in delta; some report inherited subject and body as blank (keeper.sh#409). */
export function deltaExceptionJson(item: ItemState, instance: Instant, rendering: Rendering): Json {
  const json: Json = { '@odata.type': '#microsoft.graph.event', ...instanceJson(item, instance, rendering) };
  if (rendering.switches.exceptionFields === 'blank-inherited') {
    if (instance.own?.subject === undefined) json['subject'] = '';
    if (instance.own?.body === undefined) {
      json['body'] = { contentType: rendering.preferences.bodyType, content: '' };
      json['bodyPreview'] = '';
    }
  }
  return json;
}

/** A master: start and end are those of the first occurrence ever, maybe years back. */
export function masterJson(item: ItemState, rendering: Rendering): Json {
  return {
    ...commonJson(item, item.fields, firstTiming(item), rendering),
    type: 'seriesMaster',
    recurrence: recurrenceJson(item, rendering),
  };
}

/** Master or single, by what the item is; exceptions and occurrences need `instanceJson`. */
export function itemJson(item: ItemState, rendering: Rendering): Json {
  if (item.recurrence !== null) return masterJson(item, rendering);
  const { timing, fields } = item;
  const startMs = startMsOf(timing);
  const single: Instant = { type: 'singleInstance', date: null, timing, fields, own: null, startMs, endMs: startMs };
  return instanceJson(item, single, rendering);
}

function orphanJson(item: ItemState, orphan: NonNullable<ItemState['orphan']>, rendering: Rendering): Json {
  const isNamed = rendering.switches.orphans === 'exception';
  // The copy of one date carries its date in the GlobalObjectId (MS-OXOCAL 2.2.1.27), unless the type tells it.
  const isDated = !isNamed || rendering.switches.iCalUId === 'per-occurrence';
  const iCalUId = isDated ? iCalUIdOfDate(item.iCalUId, orphan.date) : item.iCalUId;
  if (!isNamed) return { iCalUId };
  const originalStart = rendering.switches.exceptionOriginalStart === 'null' ? null : orphan.slot;
  const occurrenceId = `OID.${orphan.masterId}.${orphan.date}`;
  return { iCalUId, type: 'exception', seriesMasterId: orphan.masterId, occurrenceId, originalStart };
}

/**
 * UTC normally; with another outlook.timezone it carries an offset (davmail#481). Of an all-day occurrence it is local
 * midnight as an instant (microsoft-graph-docs#2804).
 */
function instantJson(ms: number, { preferences }: Rendering): string {
  const zone = ianaZone(preferences.zone) ?? 'Etc/UTC';
  const offset = offsetMs(ms, zone) / 60_000;
  if (zone === 'Etc/UTC') return utc(ms);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const sign = offset < 0 ? '-' : '+';
  return `${toLocal(ms, zone)}${sign}${two(Math.abs(offset) / 60)}:${two(Math.abs(offset) % 60)}`;
}

function timesJson(timing: Timing, { preferences, switches }: Rendering): Json {
  // Midnight "UTC" whatever the zone (contrib#7803), a date and not an instant.
  if (timing.isAllDay && switches.allDayTimes === 'midnight') {
    const midnight = (local: string): Json => ({ dateTime: `${local}.0000000`, timeZone: 'UTC' });
    return { start: midnight(timing.start), end: midnight(timing.end) };
  }
  const zone = ianaZone(preferences.zone) ?? 'Etc/UTC';
  const moment = (ms: number): Json => ({ dateTime: `${toLocal(ms, zone)}.0000000`, timeZone: preferences.zone });
  return { start: moment(startMsOf(timing)), end: moment(endMsOf(timing)) };
}

/** Unused fields are filled with noise: month 0, dayOfMonth 0, index first, endDate 0001-01-01, count 0. */
function recurrenceJson(item: ItemState, { switches }: Rendering): Json | null {
  if (item.recurrence === null) return null;
  const { pattern, range } = item.recurrence;
  return {
    pattern: {
      type: pattern.type,
      interval: pattern.interval ?? 1,
      month: 'month' in pattern ? pattern.month : 0,
      dayOfMonth: 'dayOfMonth' in pattern ? pattern.dayOfMonth : 0,
      daysOfWeek: 'daysOfWeek' in pattern ? pattern.daysOfWeek : [],
      firstDayOfWeek: (pattern.type === 'weekly' ? pattern.firstDayOfWeek : undefined) ?? 'sunday',
      index: ('index' in pattern ? pattern.index : undefined) ?? 'first',
    },
    range: {
      type: range.type,
      startDate: range.startDate,
      endDate: range.type === 'endDate' ? range.endDate : '0001-01-01',
      // Can be "" (microsoft-graph-docs#7163).
      recurrenceTimeZone: switches.recurrenceTimeZone === 'empty' ? '' : zoneLabel(item.timing),
      numberOfOccurrences: range.type === 'numbered' ? range.numberOfOccurrences : 0,
    },
  };
}

/** Recurrences of a lost custom zone are called so, starts `tzone://Microsoft/Custom` (azure-docs#39454). */
function zoneLabel(timing: Timing): string {
  return timing.zone === 'tzone://Microsoft/Custom' ? 'Customized Time Zone' : timing.zone;
}

function commonJson(item: ItemState, fields: EventFields, timing: Timing, rendering: Rendering): Json {
  const text =
    fields.body.contentType === 'html' ? fields.body.content.replaceAll(/<[^>]*>/g, '') : fields.body.content;
  const isHtml = rendering.preferences.bodyType === 'html';
  const html = fields.body.contentType === 'html' ? fields.body.content : `<html><body>${text}</body></html>`;
  const attendees = attendeesJson(fields);
  return {
    ...etagOf(item),
    id: idOf(item, rendering),
    createdDateTime: item.createdAt.replace('Z', '.0000000Z'),
    lastModifiedDateTime: item.modifiedAt.replace('Z', '.0000000Z'),
    changeKey: changeKeyOf(item),
    categories: fields.categories,
    transactionId: item.transactionId,
    originalStartTimeZone: timing.zone,
    originalEndTimeZone: timing.endZone,
    iCalUId: item.iCalUId,
    reminderMinutesBeforeStart: fields.reminderMinutesBeforeStart,
    isReminderOn: fields.isReminderOn,
    hasAttachments: fields.hasAttachments,
    subject: fields.subject,
    bodyPreview: text.trim().slice(0, 255),
    importance: fields.importance,
    sensitivity: fields.sensitivity,
    isAllDay: timing.isAllDay,
    isCancelled: fields.isCancelled,
    isOrganizer: fields.isOrganizer,
    IsRoomRequested: false,
    responseRequested: fields.responseRequested,
    seriesMasterId: null,
    showAs: fields.showAs,
    type: 'singleInstance',
    webLink: `https://outlook.office365.com/owa/?itemid=${encodeURIComponent(item.id)}&exvsurl=1&path=/calendar/item`,
    // Deprecated, null for Teams (event.md).
    onlineMeetingUrl: null,
    isOnlineMeeting: fields.joinUrl !== null,
    onlineMeetingProvider: fields.joinUrl === null ? 'unknown' : 'teamsForBusiness',
    allowNewTimeProposals: fields.allowNewTimeProposals,
    isDraft: fields.isDraft,
    hideAttendees: fields.hideAttendees,
    recurrence: null,
    originalStart: null,
    responseStatus: { response: fields.response, time: fields.response === 'none' ? noDate : item.modifiedAt },
    body: { contentType: isHtml ? 'html' : 'text', content: isHtml ? html : text },
    ...timesJson(timing, rendering),
    // Unset is an empty object in effect: a display name of "" and nothing else.
    location: fields.location ? placeJson(fields.location) : { displayName: '', locationType: 'default' },
    locations:
      fields.locations.length > 0
        ? fields.locations.map(placeJson)
        : fields.location
          ? [placeJson(fields.location)]
          : [],
    attendees,
    organizer: { emailAddress: fields.organizer },
    onlineMeeting: fields.joinUrl === null ? null : { joinUrl: fields.joinUrl },
  };
}

function placeJson(place: NonNullable<EventFields['location']>): Json {
  return { locationType: 'default', uniqueIdType: 'private', ...place };
}

/**
 * The organizer's own copy omits the organizer; an invitee's lists the organizer again, with status none
 * (allodia-eu engine), and shows every status as none (microsoft-graph-docs#5281, #4579).
 */
function attendeesJson(fields: EventFields): Json[] {
  const attendee = (type: string, response: string, { name, address }: { name: string; address: string }): Json => ({
    type,
    status: { response, time: noDate },
    emailAddress: { name, address },
  });
  if (fields.isOrganizer) return fields.attendees.map((person) => attendee(person.type, person.response, person));
  return [
    attendee('required', 'none', fields.organizer),
    ...fields.attendees.map((person) => attendee(person.type, 'none', person)),
  ];
}
