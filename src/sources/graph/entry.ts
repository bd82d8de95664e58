import { importanceOf, sensitivityOf, showAsOf } from '../../calendar/outlook-words.ts';
import { findJoinLink } from '../../calendar/join-link.ts';
import type { Entry, Place } from '../../calendar/series.ts';
import { cap, CAPS, line, safeUri, textOfHtml, tidy } from '../../calendar/text.ts';
import { peopleOf, type Owner } from './people.ts';
import { instantText, type Times } from './times.ts';
import type { WireEvent, WireLocation } from './wire.ts';

/** Outlook's "default" reminder and other absurd ones lie above a year. */
const MAX_REMINDER = 366 * 1_440;

/** What one event says, put on the given times. Unknown values of enumerations read as their harmless default. */
export function entryOf(event: WireEvent, times: Times, owner: Owner): Entry {
  const { organizer, attendees, left, answer } = peopleOf(event, owner);
  const showAs = showAsOf(event.showAs);
  return {
    ...times,
    summary: line(event.subject, CAPS.summary),
    description: descriptionOf(event, left),
    location: locationOf(event),
    place: placeOf(event),
    showAs,
    status: event.isCancelled === true ? 'cancelled' : showAs === 'tentative' ? 'tentative' : 'confirmed',
    sensitivity: sensitivityOf(event.sensitivity),
    importance: importanceOf(event.importance),
    categories: [...new Set((event.categories ?? []).flatMap((name) => line(name, CAPS.name) ?? []))],
    joinUrl: joinUrlOf(event),
    dialIn: dialInOf(event),
    webLink: safeUri(event.webLink),
    organizer,
    attendees,
    answer,
    disallowCounter: event.allowNewTimeProposals === false,
    reminder: reminderOf(event),
    createdAt: instantText(event.createdDateTime),
    lastModifiedAt: instantText(event.lastModifiedDateTime),
    foreign: [],
  };
}

/**
 * An exception as a whole: what it leaves out or leaves blank, as some answers do with what it has in common with its
 * series, comes from the master. Times, ids and cancellation are its own.
 */
export function inherit(master: WireEvent, own: WireEvent): WireEvent {
  return {
    ...own,
    iCalUId: own.iCalUId ?? master.iCalUId,
    subject: own.subject === null || own.subject.trim() === '' ? master.subject : own.subject,
    body: isBlank(own) ? master.body : own.body,
    bodyPreview: isBlank(own) ? master.bodyPreview : own.bodyPreview,
    isAllDay: own.isAllDay ?? master.isAllDay,
    originalStartTimeZone: own.originalStartTimeZone ?? master.originalStartTimeZone,
    originalEndTimeZone: own.originalEndTimeZone ?? master.originalEndTimeZone,
    location: own.location ?? master.location,
    locations: own.locations ?? master.locations,
    attendees: own.attendees ?? master.attendees,
    organizer: own.organizer ?? master.organizer,
    isOrganizer: own.isOrganizer ?? master.isOrganizer,
    response: own.response ?? master.response,
    responseRequested: own.responseRequested ?? master.responseRequested,
    allowNewTimeProposals: own.allowNewTimeProposals ?? master.allowNewTimeProposals,
    showAs: own.showAs ?? master.showAs,
    sensitivity: own.sensitivity ?? master.sensitivity,
    importance: own.importance ?? master.importance,
    categories: own.categories ?? master.categories,
    isReminderOn: own.isReminderOn ?? master.isReminderOn,
    reminderMinutesBeforeStart: own.reminderMinutesBeforeStart ?? master.reminderMinutesBeforeStart,
    isCancelled: own.isCancelled ?? master.isCancelled,
    hideAttendees: own.hideAttendees ?? master.hideAttendees,
    onlineMeeting: own.onlineMeeting ?? master.onlineMeeting,
    onlineMeetingUrl: own.onlineMeetingUrl ?? master.onlineMeetingUrl,
    hasAttachments: own.hasAttachments ?? master.hasAttachments,
    createdDateTime: own.createdDateTime ?? master.createdDateTime,
    lastModifiedDateTime: own.lastModifiedDateTime ?? master.lastModifiedDateTime,
    webLink: own.webLink ?? master.webLink,
    sequence: own.sequence ?? master.sequence,
  };
}

/** The body of a whole event may be empty; without a subject either, it was left out. */
function isBlank(event: WireEvent): boolean {
  if (event.body === null) return true;
  return (event.subject ?? '').trim() === '' && bodyText(event) === '';
}

function bodyText({ body, bodyPreview }: WireEvent): string {
  if (body === null) return tidy(bodyPreview ?? '');
  return body.isHtml ? textOfHtml(body.content) : tidy(body.content.slice(0, 4 * CAPS.description));
}

function descriptionOf(event: WireEvent, left: number): string | null {
  const extras = [
    ...(left > 0 ? [`+${left} attendees`] : []),
    ...(event.hasAttachments === true ? ['[Attachments in Outlook]'] : []),
  ];
  const link = safeUri(event.webLink);
  const tail = extras.length === 0 ? '' : `\n\n${extras.join('\n')}`;
  const text = bodyText(event);
  const room = CAPS.description - tail.length;
  const body = cap(text, room, link === null ? '\n…' : `\n…\n${link}`);
  return `${body}${tail}`.trim() || null;
}

function locationOf({ location, locations }: WireEvent): string | null {
  if (location?.displayName !== null && location !== null) {
    const { displayName, address } = location;
    const isTold = address === null || displayName.toLowerCase().includes(address.toLowerCase());
    return line(isTold ? displayName : `${displayName}, ${address}`, CAPS.location);
  }
  const names = (locations ?? []).flatMap(({ displayName, address }) => displayName ?? address ?? []);
  return line(names.length > 0 ? names.join('; ') : location?.address, CAPS.location);
}

function placeOf({ location, locations }: WireEvent): Place | null {
  for (const each of [location, ...(locations ?? [])]) {
    const place = each === null ? null : coordinatesOf(each);
    if (place !== null) return place;
  }
  return null;
}

function coordinatesOf({ latitude, longitude, displayName, address }: WireLocation): Place | null {
  if (latitude === null || longitude === null || (latitude === 0 && longitude === 0)) return null;
  if (Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return null;
  return { latitude, longitude, title: line(displayName ?? address, CAPS.name) ?? '' };
}

function joinUrlOf(event: WireEvent): string | null {
  return (
    safeUri(event.onlineMeeting?.joinUrl) ??
    safeUri(event.onlineMeetingUrl) ??
    findJoinLink(event.location?.displayName ?? '') ??
    findJoinLink(event.body?.content ?? '')
  );
}

function dialInOf({ onlineMeeting }: WireEvent): string[] {
  const uris = (onlineMeeting?.numbers ?? []).flatMap((number) => {
    const digits = number.replace(/^tel:/i, '').replace(/[\s().-]/g, '');
    return /^\+?\d{3,20}(?:,{1,3}\d+#?)*$/.test(digits) ? [`tel:${digits}`] : [];
  });
  return [...new Set(uris)].slice(0, 10);
}

function reminderOf({ isReminderOn, reminderMinutesBeforeStart: minutes }: WireEvent): number | null {
  if (isReminderOn !== true || minutes === null) return null;
  return minutes >= 0 && minutes <= MAX_REMINDER ? Math.round(minutes) : null;
}
