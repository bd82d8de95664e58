import { importanceOf, sensitivityOf, showAsOf } from '../../calendar/outlook-words.ts';
import { dayOfSeconds, daySeconds, formatDay, formatLocal, tryParseLocal } from '../../calendar/civil.ts';
import { findJoinLink } from '../../calendar/join-link.ts';
import type { Answer, Attendee, Entry, Moment } from '../../calendar/series.ts';
import { slotKey } from '../../calendar/slot-key.ts';
import { cap, CAPS, isAddress, line, placeholderAddress, safeUri, textOfHtml, tidy } from '../../calendar/text.ts';
import { cleanUid } from '../../calendar/uid.ts';
import { zoneOf } from '../../calendar/windows-zones.ts';
import { instantSeconds, isSecondPass, localSeconds } from '../../calendar/zones.ts';
import type { Claim } from '../source.ts';
import type { FlowItem, FlowTime } from './read-flow-body.ts';

/** Outlook's "default" reminder and other absurd ones lie above a year. */
const MAX_REMINDER = 366 * 1_440;
const MAX_ATTENDEES = 200;

/**
 * What a flow says of one event as a claim of its own. A flow tells neither pattern nor exceptions: an occurrence is a
 * claim with the identity of its series and the slot of its start, and so is a master, which stands for its first
 * occurrence. Subjects such as "Canceled: …" are words, no cancellation. Null: no start that a calendar can show, or
 * deleted. `owner` is the mailbox's address. Pure.
 */
export function toClaim(item: FlowItem, owner: string): Claim | null {
  const start = item.start === null ? null : momentOf(item.start, item.isAllDay);
  if (start === null || item.isDeleted) return null;
  const uid = cleanUid(item.iCalUId);
  const isOccurrence = item.seriesMasterId !== null || item.isMaster || uid?.date != null;
  return {
    key: item.id,
    version: item.changeKey ?? item.lastModifiedAt,
    series: {
      uid: uid?.uid ?? null,
      slot: isOccurrence ? slotKey(slotOf(start, uid?.date ?? null)) : '*',
      main: entryOf(item, start, endOf(item, start), owner.toLowerCase()),
      recurrence: null,
      excluded: [],
      overrides: [],
      list: null,
      sequence: null,
    },
    check: null,
  };
}

/**
 * The occurrence's original place. The date in Outlook's id is of the organizer's zone: only when it is more than a day
 * away has the occurrence been moved.
 */
function slotOf(start: Moment, date: string | null): Moment {
  const day = date === null ? null : tryParseLocal(date);
  if (day === null) return start;
  const wall = wallOf(start);
  if (Math.abs(dayOfSeconds(wall) - dayOfSeconds(day)) <= 1) return start;
  if (start.kind === 'date') return { kind: 'date', date: formatDay(dayOfSeconds(day)) };
  const moved = formatLocal(day + (wall - dayOfSeconds(wall) * daySeconds));
  return start.kind === 'zoned' ? { ...start, local: moved } : { kind: 'utc', instant: `${moved}Z` };
}

function wallOf(moment: Moment): number {
  const text =
    moment.kind === 'date' ? moment.date : moment.kind === 'utc' ? moment.instant.replace(/Z$/, '') : moment.local;
  return tryParseLocal(text) ?? 0;
}

/** All-day times are dates, whatever zone they claim. Null: outside of what calendars know. */
function momentOf({ text, zone: name }: FlowTime, isAllDay: boolean): Moment | null {
  const wall = tryParseLocal(text);
  const zone = zoneOf(name);
  if (isAllDay) {
    // A midnight somewhere that was moved to another zone: the nearest day.
    const at = wall ?? Math.floor(Date.parse(text) / 1_000);
    const day = dayOfSeconds(wall !== null && wall % daySeconds === 0 ? wall : at + daySeconds / 2);
    return isSane(day * daySeconds) ? { kind: 'date', date: formatDay(day) } : null;
  }
  const isInstant = wall === null || text.endsWith('Z');
  const at = isInstant
    ? Math.floor(Date.parse(text) / 1_000)
    : zone.kind === 'zone'
      ? instantSeconds(wall, zone.zone)
      : wall;
  if (!isSane(at)) return null;
  if (zone.kind !== 'zone' || isSecondPass(new Date(at * 1_000), zone.zone))
    return { kind: 'utc', instant: `${formatLocal(at)}Z` };
  return { kind: 'zoned', local: formatLocal(localSeconds(at, zone.zone)), zone: zone.zone };
}

function isSane(seconds: number): boolean {
  return seconds >= (tryParseLocal('1601-01-01') ?? 0) && seconds < (tryParseLocal('4500-01-01') ?? 0);
}

function endOf(item: FlowItem, start: Moment): Moment | null {
  const end = item.end === null ? null : momentOf(item.end, item.isAllDay);
  if (start.kind === 'date') {
    const first = tryParseLocal(start.date) ?? 0;
    const last = end?.kind === 'date' ? (tryParseLocal(end.date) ?? 0) : 0;
    return { kind: 'date', date: formatDay(dayOfSeconds(Math.max(last, first + daySeconds))) };
  }
  return end === null || slotKey(end) <= slotKey(start) ? null : end;
}

function entryOf(item: FlowItem, start: Moment, end: Moment | null, owner: string): Entry {
  const showAs = showAsOf(item.showAs);
  const webLink = safeUri(item.webLink);
  const content = item.body?.content ?? '';
  const text = item.body?.isHtml === true ? textOfHtml(content) : tidy(content.slice(0, 4 * CAPS.description));
  return {
    start,
    end,
    summary: line(item.subject, CAPS.summary),
    description: cap(text, CAPS.description, webLink === null ? '\n…' : `\n…\n${webLink}`).trim() || null,
    location: line(item.location, CAPS.location),
    place: null,
    showAs,
    status: item.isCancelled ? 'cancelled' : showAs === 'tentative' ? 'tentative' : 'confirmed',
    sensitivity: sensitivityOf(item.sensitivity),
    importance: importanceOf(item.importance),
    categories: [...new Set(item.categories.flatMap((name) => line(name, CAPS.name) ?? []))],
    joinUrl: findJoinLink(item.location ?? '') ?? findJoinLink(content),
    dialIn: [],
    webLink,
    ...peopleOf(item, owner),
    disallowCounter: false,
    reminder:
      item.reminderMinutes !== null && item.reminderMinutes >= 0 && item.reminderMinutes <= MAX_REMINDER
        ? item.reminderMinutes
        : null,
    createdAt: secondsOf(item.createdAt),
    lastModifiedAt: secondsOf(item.lastModifiedAt),
    foreign: [],
  };
}

/** A plain appointment has nobody, although Outlook fills in an organizer. Of others' answers a flow tells nothing. */
function peopleOf(item: FlowItem, owner: string): Pick<Entry, 'organizer' | 'attendees' | 'answer'> {
  const told = answerOf(item.response);
  const listed = new Map<string, Attendee>();
  for (const one of item.attendees) {
    const address = one.address.trim().toLowerCase();
    if (!isAddress(address) || listed.has(address)) continue;
    listed.set(address, {
      address,
      name: line(one.name, CAPS.name),
      role: one.role === 'resource' ? 'nonParticipant' : one.role,
      kind: one.role === 'resource' ? 'resource' : 'individual',
      participation: 'needsAction',
      rsvp: false,
    });
  }
  const isMeeting = listed.size > 0 || (told !== 'none' && told !== 'organizer');
  if (!isMeeting) return { organizer: null, attendees: [], answer: 'none' };
  const given = (item.organizer ?? '').trim().toLowerCase();
  const chair = isAddress(given) ? given : told === 'organizer' ? owner : placeholderAddress(given);
  const answer = told !== 'none' ? told : chair === owner ? 'organizer' : 'needsAction';
  if (answer !== 'organizer' && chair !== owner) {
    const known = listed.get(owner) ?? individual(owner);
    listed.set(owner, { ...known, participation: answer });
  }
  if (isAddress(given))
    listed.set(chair, { ...(listed.get(chair) ?? individual(chair)), role: 'chair', participation: 'accepted' });
  const attendees = [...listed.values()].sort(
    (a, b) => Number(b.role === 'chair') - Number(a.role === 'chair') || (a.address < b.address ? -1 : 1),
  );
  const kept = attendees.filter(({ role, address }) => role === 'chair' || address === owner);
  return {
    organizer: { address: chair, name: null },
    attendees: attendees.length <= MAX_ATTENDEES ? attendees : kept,
    answer,
  };
}

function individual(address: string): Attendee {
  return { address, name: null, role: 'required', kind: 'individual', participation: 'needsAction', rsvp: false };
}

function answerOf(response: string | null): Answer {
  switch (response?.toLowerCase()) {
    case 'organizer':
      return 'organizer';
    case 'accepted':
      return 'accepted';
    case 'tentativelyaccepted':
      return 'tentative';
    case 'declined':
      return 'declined';
    case 'notresponded':
      return 'needsAction';
    default:
      return 'none';
  }
}

function secondsOf(instant: string | null): string | null {
  return instant === null ? null : `${instant.slice(0, 19)}Z`;
}
