/** Copies of meetings in invited people's calendars, and their answers. */
import { immutableId, ordinaryId } from './ids.ts';
import { occurrenceOn, slotMs } from './instances.ts';
import type { EventFields, ItemState, MailboxState, ResponseState } from './state.ts';
import type { World } from './world.ts';
import { utc } from './zones.ts';

export interface CopyOptions {
  /** Invite to this occurrence only. */
  date?: string;
  response?: ResponseState;
  showAs?: EventFields['showAs'];
}

const sharedNames: readonly (keyof EventFields)[] = [
  'subject',
  'body',
  'location',
  'locations',
  'importance',
  'attendees',
  'joinUrl',
  'isCancelled',
  'hideAttendees',
  'hasAttachments',
];

/** The changed fields that reach invited people: categories, reminder, showAs and sensitivity are each one's own. */
export function sharedOf(changes: object): Partial<EventFields> {
  const shared = new Set<string>(sharedNames);
  return Object.fromEntries(Object.entries(changes).filter(([name]) => shared.has(name)));
}

export function copiesOf(world: World, item: ItemState): ItemState[] {
  return world.state.items.filter(({ organizerKey }) => organizerKey === item.key);
}

/** Puts a copy into somebody's default calendar and names them among the organizer's attendees. */
export function copyTo(world: World, item: ItemState, mailbox: MailboxState, options: CopyOptions): ItemState {
  const calendar = world.calendarsOf(mailbox).find(({ isDefault }) => isDefault);
  if (!calendar) throw new Error(`${mailbox.upn} has no calendar.`);
  const { date, response = 'notResponded' } = options;
  const occurrence = date === undefined ? null : occurrenceOn(item, date);
  if (date !== undefined && occurrence === null) throw new Error(`The series has no occurrence of ${date}.`);
  const person = { name: mailbox.name, address: mailbox.upn, type: 'required' as const, response };
  const attendees = [...item.fields.attendees, person];
  if (date === undefined) item.fields = { ...item.fields, attendees };
  else
    item.exceptions[date] = {
      timing: null,
      ...item.exceptions[date],
      fields: { ...item.exceptions[date]?.fields, attendees },
    };
  world.touched(item, date === undefined ? 'whole' : { date });

  const counter = world.nextCount();
  const copy: ItemState = {
    ...structuredClone(item),
    key: immutableId(counter),
    id: ordinaryId(counter),
    calendar: calendar.id,
    fields: {
      ...structuredClone(occurrence?.fields ?? item.fields),
      attendees,
      isOrganizer: false,
      response,
      categories: [],
      // An unanswered invitation shows as tentative.
      showAs: options.showAs ?? (response === 'accepted' ? 'busy' : 'tentative'),
      sensitivity: item.fields.sensitivity,
    },
    organizerKey: item.key,
    createdAt: world.nowText(),
    touches: [],
  };
  if (occurrence && date !== undefined) {
    copy.timing = structuredClone(occurrence.timing);
    copy.recurrence = null;
    copy.exceptions = {};
    copy.cancelled = [];
    // The master that it names was never in this mailbox: GET answers 404.
    copy.orphan = { date, slot: utc(slotMs(item, date)), masterId: immutableId(world.nextCount()) };
  }
  world.add(copy);
  return copy;
}

/** Answers an invitation. Declining takes the event out of the calendar, unless it is kept (allodia-eu engine). */
export function respond(
  world: World,
  copy: ItemState,
  response: 'accepted' | 'tentativelyAccepted' | 'declined',
  options: { keep?: boolean } = {},
): void {
  const organizer = copy.organizerKey === null ? undefined : world.itemByKey(copy.organizerKey);
  const calendar = world.calendarById(copy.calendar);
  const owner = world.state.mailboxes.find(({ id }) => id === calendar.mailbox);
  const showAs = ({ accepted: 'busy', tentativelyAccepted: 'tentative', declined: 'free' } as const)[response];
  const isMine = (address: string): boolean => address === owner?.upn;
  const answered = (fields: Partial<EventFields>): Partial<EventFields> => ({
    ...fields,
    ...(fields.attendees && {
      attendees: fields.attendees.map((person) => (isMine(person.address) ? { ...person, response } : person)),
    }),
  });
  if (response === 'declined' && options.keep !== true) world.remove(copy);
  else {
    copy.fields = { ...copy.fields, response, showAs };
    world.touched(copy, 'whole');
  }
  if (!organizer) return;
  const date = copy.orphan?.date;
  const exception = date === undefined ? undefined : organizer.exceptions[date];
  if (date !== undefined && exception) exception.fields = answered(exception.fields);
  else organizer.fields = { ...organizer.fields, ...answered(organizer.fields) };
  // Each answer bumps the organizer's copy, though nothing that a calendar shows has changed.
  world.touched(organizer, date === undefined ? 'whole' : { date });
}
