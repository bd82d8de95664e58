import type { Answer, Attendee, Participation, Person } from '../../calendar/series.ts';
import { CAPS, isAddress, line, placeholderAddress } from '../../calendar/text.ts';
import type { WireAddress, WireAttendee, WireEvent } from './wire.ts';

/** Whose calendar is read: `responseStatus` speaks of them. */
export interface Owner {
  /** All addresses by which the owner may be listed, lower case. */
  readonly addresses: readonly string[];
  readonly name: string | null;
}

export interface People {
  readonly organizer: Person | null;
  /** The chair first, then by address. */
  readonly attendees: readonly Attendee[];
  /** Attendees left out because there are too many. */
  readonly left: number;
  readonly answer: Answer;
}

/** Above this only the organizer, the owner and the rooms are listed. */
const MAX_ATTENDEES = 200;

/**
 * Organizer, attendees and the owner's answer. A plain appointment has none, although Graph fills in an organizer. In an
 * attendee's copy all statuses of others read "none" (graph-docs#5281); the owner's own answer is in `responseStatus`,
 * and the owner is missing from the list when invited through a group.
 */
export function peopleOf(event: WireEvent, owner: Owner): People {
  const own = answerOf(event);
  const listed = listedOf(event);
  const isMeeting = listed.size > 0 || (event.isOrganizer === false && own !== 'none' && own !== 'organizer');
  if (!isMeeting) return { organizer: null, attendees: [], left: 0, answer: 'none' };

  const answer = own === 'none' ? (event.isOrganizer === true ? 'organizer' : 'needsAction') : own;
  const organizer = organizerOf(event, owner);
  const chair = organizer.address;
  const rooms = roomsOf(event);
  const wantsReply = event.responseRequested !== false;
  const self = selfAddress(owner, listed, answer, chair);
  const attendees = new Map<string, Attendee>();
  for (const [address, wire] of listed) attendees.set(address, attendee(address, wire, rooms, wantsReply));
  if (self !== null && self !== chair) {
    const participation = participationOfAnswer(answer);
    const known = attendees.get(self) ?? person(self, owner.name);
    attendees.set(self, { ...known, participation, rsvp: wantsReply && participation === 'needsAction' });
  }
  if (isAddress(chair) && !chair.endsWith('.invalid')) {
    const known = attendees.get(chair) ?? person(chair, organizer.name);
    attendees.set(chair, {
      ...known,
      name: known.name ?? organizer.name,
      role: 'chair',
      kind: 'individual',
      participation: 'accepted',
      rsvp: false,
    });
  }
  const all = [...attendees.values()].sort(
    (a, b) => Number(b.role === 'chair') - Number(a.role === 'chair') || (a.address < b.address ? -1 : 1),
  );
  const isKept = (each: Attendee): boolean => each.role === 'chair' || each.address === self;
  if (event.hideAttendees === true) return { organizer, attendees: all.filter(isKept), left: 0, answer };
  if (all.length <= MAX_ATTENDEES) return { organizer, attendees: all, left: 0, answer };
  const kept = all.filter((each) => isKept(each) || each.kind === 'room').slice(0, MAX_ATTENDEES);
  return { organizer, attendees: kept, left: all.length - kept.length, answer };
}

function answerOf(event: WireEvent): Answer {
  switch (event.response?.toLowerCase()) {
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
      return event.isOrganizer === true ? 'organizer' : 'none';
  }
}

/** Attendees with an address that mail knows, each once whatever its case. */
function listedOf(event: WireEvent): Map<string, WireAttendee> {
  const listed = new Map<string, WireAttendee>();
  for (const each of event.attendees ?? []) {
    const address = addressOf(each.email);
    if (address !== null && !listed.has(address)) listed.set(address, each);
  }
  return listed;
}

function organizerOf(event: WireEvent, owner: Owner): Person {
  const wire = event.organizer;
  const name = line(wire?.name, CAPS.name);
  const address = wire === null ? null : addressOf(wire);
  if (address !== null) return { address, name };
  const [own] = owner.addresses;
  if (event.isOrganizer === true && own !== undefined && isAddress(own))
    return { address: own, name: name ?? owner.name };
  return { address: placeholderAddress(wire?.address ?? wire?.name ?? ''), name };
}

/** The address under which the owner takes part, null when they do not. */
function selfAddress(owner: Owner, listed: Map<string, unknown>, answer: Answer, chair: string): string | null {
  const found = owner.addresses.find((address) => listed.has(address) || address === chair);
  if (found !== undefined) return found;
  return answer === 'organizer' ? null : (owner.addresses.find((address) => isAddress(address)) ?? null);
}

function attendee(address: string, wire: WireAttendee, rooms: ReadonlySet<string>, wantsReply: boolean): Attendee {
  const type = wire.type?.toLowerCase();
  const participation = participationOf(wire.response);
  return {
    address,
    name: line(wire.email.name, CAPS.name),
    role: type === 'resource' ? 'nonParticipant' : type === 'optional' ? 'optional' : 'required',
    kind: type === 'resource' ? (rooms.has(address) ? 'room' : 'resource') : 'individual',
    participation,
    rsvp: wantsReply && participation === 'needsAction',
  };
}

function person(address: string, name: string | null): Attendee {
  const cleaned = line(name, CAPS.name);
  return { address, name: cleaned, role: 'required', kind: 'individual', participation: 'needsAction', rsvp: false };
}

function participationOf(response: string | null): Participation {
  switch (response?.toLowerCase()) {
    case 'accepted':
    case 'organizer':
      return 'accepted';
    case 'tentativelyaccepted':
      return 'tentative';
    case 'declined':
      return 'declined';
    default:
      return 'needsAction';
  }
}

function participationOfAnswer(answer: Answer): Participation {
  return answer === 'organizer' ? 'accepted' : answer === 'none' ? 'needsAction' : answer;
}

function roomsOf(event: WireEvent): ReadonlySet<string> {
  const places = [...(event.locations ?? []), ...(event.location === null ? [] : [event.location])];
  return new Set(
    places.flatMap(({ email, type }) =>
      email !== null && type?.toLowerCase() === 'conferenceroom' ? [email.toLowerCase()] : [],
    ),
  );
}

function addressOf({ address }: WireAddress): string | null {
  const trimmed = (address ?? '').trim().toLowerCase();
  return isAddress(trimmed) ? trimmed : null;
}
