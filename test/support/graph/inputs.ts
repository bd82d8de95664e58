/** How people say what an event is and when, and how that becomes stored fields and times. */
import type { Pattern, Range } from './patterns.ts';
import type { EventFields, MailboxState, Timing } from './state.ts';

/** Local times such as `2026-07-01T09:00`; an all-day event takes dates, `end` exclusive and by default the next day. */
export interface When {
  start?: string;
  end?: string;
  isAllDay?: boolean;
  zone?: string;
  endZone?: string;
  /** The true zone when `zone` is `tzone://Microsoft/Custom` or the like. */
  actualZone?: string;
}
export type EventInput = Partial<EventFields> & When & { start: string; iCalUId?: string; transactionId?: string };
export type SeriesInput = Partial<EventFields> & {
  pattern: Pattern;
  range: Range;
  /** `09:00`; leave out for all-day. */
  start?: string;
  /** `10:00`; not later than `start` means the next day. Default an hour later. */
  end?: string;
  isAllDay?: boolean;
  /** Length in days of all-day occurrences. */
  days?: number;
  zone?: string;
  actualZone?: string;
  iCalUId?: string;
};
export type EventChanges = Partial<EventFields> & When;

/** A new event's fields before anybody says otherwise. */
export function blankFields(mailbox: MailboxState): EventFields {
  return {
    subject: '',
    body: { contentType: 'html', content: '' },
    location: null,
    locations: [],
    showAs: 'busy',
    sensitivity: 'normal',
    importance: 'normal',
    categories: [],
    isReminderOn: true,
    reminderMinutesBeforeStart: 15,
    isCancelled: false,
    attendees: [],
    // Graph fills the organizer on plain appointments too.
    organizer: { name: mailbox.name, address: mailbox.upn },
    isOrganizer: true,
    response: 'organizer',
    joinUrl: null,
    hideAttendees: false,
    hasAttachments: false,
    allowNewTimeProposals: true,
    responseRequested: true,
    isDraft: false,
  };
}

const notFields = new Set(
  'start end isAllDay zone endZone actualZone pattern range days iCalUId transactionId'.split(' '),
);

/** What of an input is fields: all but times, rule and ids. */
export function fieldsOf(changes: object): Partial<EventFields> {
  return Object.fromEntries(
    Object.entries(changes).filter(([name, value]) => !notFields.has(name) && value !== undefined),
  );
}

/** Times after a change. A new start alone keeps the length. */
export function timingFrom(before: Partial<Timing> & { zone: string; isAllDay: boolean }, changes: When): Timing {
  const isAllDay = changes.isAllDay ?? before.isAllDay;
  const zone = changes.zone ?? before.zone;
  const full = (local: string): string =>
    local.length === 10 ? `${local}T00:00:00` : local.length === 16 ? `${local}:00` : local;
  const length =
    before.start !== undefined && before.isAllDay === isAllDay ? minutesBetween(before) : isAllDay ? 1440 : 60;
  const start = full(changes.start ?? before.start ?? '');
  const shifted = new Date(Date.parse(`${start}Z`) + length * 60_000).toISOString().slice(0, 19);
  const unmoved = changes.start === undefined && before.isAllDay === isAllDay ? before.end : undefined;
  return {
    start,
    end: changes.end === undefined ? (unmoved ?? shifted) : full(changes.end),
    isAllDay,
    zone,
    endZone: changes.endZone ?? changes.zone ?? before.endZone ?? zone,
    actualZone: changes.actualZone ?? (changes.zone === undefined ? (before.actualZone ?? null) : null),
  };
}

/** Length in wall-clock minutes. */
export function minutesBetween({ start = '', end = '' }: Partial<Timing>): number {
  return (Date.parse(`${end}Z`) - Date.parse(`${start}Z`)) / 60_000;
}

/** `09:00` and 60 give `10:00`. */
export function laterBy(time: string, minutes: number): string {
  return new Date(Date.parse(`2026-01-01T${time}:00Z`) + minutes * 60_000).toISOString().slice(11, 16);
}
