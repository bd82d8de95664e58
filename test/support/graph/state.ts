/** Everything the simulator must not forget, as plain JSON: what `snapshot()` gives and the state file holds. */
import type { Pattern, Range } from './patterns.ts';

export interface WorldState {
  /** Source of all ids. */
  counter: number;
  /** Grows with each change; versions, change keys and delta tokens refer to it. */
  sequence: number;
  /** Signs access tokens, so that they outlive a restart. */
  tokenKey: string;
  tenants: TenantState[];
  mailboxes: MailboxState[];
  calendars: CalendarState[];
  items: ItemState[];
  tombstones: Tombstone[];
  subscriptions: SubscriptionState[];
}

export interface TenantState {
  cloud: string;
  /** GUID. */
  directory: string;
  /** A verified domain, accepted wherever the GUID is. */
  domain: string;
  name: string;
  client: string;
  secret: string | null;
  /** UTC instant; null: never. */
  secretExpiresAt: string | null;
  /** PEM of the registered certificate. */
  certificate: string | null;
  isAppDisabled: boolean;
  /** Entra grant of Calendars.Read. */
  consent: boolean;
  /**
   * With consent: the mailboxes an ApplicationAccessPolicy leaves (all: no policy). Without: those that Exchange RBAC for
   * Applications names (all: none).
   */
  allowedMailboxes: 'all' | string[];
  /** Other granted application permissions, such as `User.Read.All`, `MailboxSettings.Read`. */
  roles: string[];
}

export interface MailboxState {
  /** GUID. */
  id: string;
  directory: string;
  upn: string;
  name: string;
  /** Windows or IANA name. */
  zone: string;
  /** A guest or unlicensed account has no mailbox; a deleted user is gone. */
  kind: 'mailbox' | 'guest' | 'deleted';
}

export interface CalendarState {
  id: string;
  mailbox: string;
  name: string;
  isDefault: boolean;
  color: string;
  hexColor: string;
  /** Local copy of somebody else's calendar: address and name of the owner. */
  owner: PersonState | null;
  /** The calendar whose events the copy shows. */
  copyOf: string | null;
  /** Old-style shares answer 500 ErrorInternalServerTransientError (`known-issues.md`). */
  isBrokenShare: boolean;
}

export interface PersonState {
  name: string;
  address: string;
}

export type ResponseState = 'none' | 'organizer' | 'tentativelyAccepted' | 'accepted' | 'declined' | 'notResponded';

export interface AttendeeState extends PersonState {
  type: 'required' | 'optional' | 'resource';
  response: ResponseState;
}

export interface PlaceState {
  displayName: string;
  address?: { street?: string; city?: string; countryOrRegion?: string; postalCode?: string };
  coordinates?: { latitude: number; longitude: number };
  locationEmailAddress?: string;
  locationType?: string;
}

/** What an event says besides its times. */
export interface EventFields {
  subject: string | null;
  body: { contentType: 'html' | 'text'; content: string };
  location: PlaceState | null;
  locations: PlaceState[];
  showAs: 'free' | 'tentative' | 'busy' | 'oof' | 'workingElsewhere' | 'unknown';
  sensitivity: 'normal' | 'personal' | 'private' | 'confidential';
  importance: 'low' | 'normal' | 'high';
  categories: string[];
  isReminderOn: boolean;
  reminderMinutesBeforeStart: number;
  isCancelled: boolean;
  attendees: AttendeeState[];
  organizer: PersonState;
  isOrganizer: boolean;
  response: ResponseState;
  joinUrl: string | null;
  hideAttendees: boolean;
  hasAttachments: boolean;
  allowNewTimeProposals: boolean;
  responseRequested: boolean;
  isDraft: boolean;
}

/** Local wall-clock times; for all-day events midnights, `end` exclusive. */
export interface Timing {
  start: string;
  end: string;
  isAllDay: boolean;
  /** As Graph names them: a Windows or IANA name, or `tzone://Microsoft/Custom`. */
  zone: string;
  endZone: string;
  /** The zone that truly holds, as IANA name, when `zone` does not tell it. */
  actualZone: string | null;
}

export interface ExceptionState {
  /** Fields that differ from the master's. */
  fields: Partial<EventFields>;
  timing: Timing | null;
}

export interface RecurrenceState {
  pattern: Pattern;
  range: Range;
}

export interface Touch {
  sequence: number;
  /** `whole`: the single or the master; a date: that occurrence alone; `cancelled`: one occurrence is no more. */
  what: 'whole' | 'cancelled' | { date: string };
}

/** A single event, an orphaned occurrence or a whole series in one calendar. */
export interface ItemState {
  /** Immutable id; the simulator's own key too. */
  key: string;
  /** The ordinary id: changes when the item moves to another calendar. */
  id: string;
  calendar: string;
  /** With the instance date zeroed. */
  iCalUId: string;
  timing: Timing;
  fields: EventFields;
  recurrence: RecurrenceState | null;
  /** New occurrence ids on every rescheduling. */
  generation: number;
  /** By original date in the series' zone. */
  exceptions: Record<string, ExceptionState>;
  cancelled: string[];
  /** Set on a copy of one date of a series: that date's slot and the (absent) master's id. */
  orphan: { date: string; slot: string; masterId: string } | null;
  /** Key of the organizer's item when this is an attendee's copy. */
  organizerKey: string | null;
  transactionId: string | null;
  createdAt: string;
  modifiedAt: string;
  touches: Touch[];
}

/** What left a calendar. */
export interface Tombstone {
  sequence: number;
  calendar: string;
  item: ItemState;
}

export interface SubscriptionState {
  id: string;
  directory: string;
  client: string;
  resource: string;
  mailbox: string;
  calendar: string | null;
  changeType: string;
  notificationUrl: string;
  lifecycleNotificationUrl: string | null;
  clientState: string | null;
  expiresAt: string;
  isImmutable: boolean;
}
