/**
 * The normalised series: what a source says of one event or one master with its exceptions and cancellations,
 * whatever it was written in. Plain JSON, so that a claim can be stored as it is.
 */

/** RFC 5545 section 3.3.5 and 3.3.4. `local` is `2026-07-01T09:00:00`, `date` is `2026-07-01`. */
export type Moment =
  | { readonly kind: 'date'; readonly date: string }
  | { readonly kind: 'zoned'; readonly local: string; readonly zone: string }
  | { readonly kind: 'utc'; readonly instant: string }
  | { readonly kind: 'floating'; readonly local: string };

export type ShowAs = 'free' | 'tentative' | 'busy' | 'oof' | 'workingElsewhere';
export type Status = 'confirmed' | 'tentative' | 'cancelled';
export type Sensitivity = 'normal' | 'personal' | 'private' | 'confidential';
export type Importance = 'low' | 'normal' | 'high';
export type Participation = 'needsAction' | 'accepted' | 'tentative' | 'declined';
/** The calendar owner's own answer; `organizer` when the meeting is theirs, `none` for a plain appointment. */
export type Answer = 'none' | 'organizer' | Participation;

export interface Person {
  /** An e-mail address without `mailto:`. */
  readonly address: string;
  readonly name: string | null;
}

export interface Attendee extends Person {
  readonly role: 'chair' | 'required' | 'optional' | 'nonParticipant';
  readonly kind: 'individual' | 'group' | 'room' | 'resource';
  readonly participation: Participation;
  readonly rsvp: boolean;
}

export interface Place {
  readonly latitude: number;
  readonly longitude: number;
  readonly title: string;
}

/** A property that we carry through without reading it (X- and unknown ones of iCalendar sources), as a jCal array. */
export type ForeignProperty = readonly [
  name: string,
  parameters: Readonly<Record<string, string | readonly string[]>>,
  type: string,
  ...values: unknown[],
];

/** What one VEVENT says, its times included. Texts are sanitised and capped. */
export interface Entry {
  readonly start: Moment;
  /** Exclusive. Null: a timed event without length (RFC 5545 wants DTEND later than DTSTART). */
  readonly end: Moment | null;
  readonly summary: string | null;
  readonly description: string | null;
  readonly location: string | null;
  readonly place: Place | null;
  readonly showAs: ShowAs;
  readonly status: Status;
  readonly sensitivity: Sensitivity;
  /** Null: not told. */
  readonly importance: Importance | null;
  readonly categories: readonly string[];
  /** https URL that joins the online meeting. */
  readonly joinUrl: string | null;
  /** tel: URIs. */
  readonly dialIn: readonly string[];
  readonly webLink: string | null;
  readonly organizer: Person | null;
  readonly attendees: readonly Attendee[];
  readonly answer: Answer;
  readonly disallowCounter: boolean;
  /** Minutes before the start; null: none. */
  readonly reminder: number | null;
  readonly createdAt: string | null;
  readonly lastModifiedAt: string | null;
  readonly foreign: readonly ForeignProperty[];
}

export interface Recurrence {
  /**
   * RRULE value parts as in RFC 5545 section 3.3.10, canonical order, COUNT or UNTIL included:
   * `FREQ=WEEKLY;INTERVAL=2;WKST=MO;BYDAY=TU,SU;COUNT=4`.
   */
  readonly rule: string;
  /**
   * 29 or 30: Exchange's day of month, which falls on the month's last day where the month is shorter. The rule then
   * says `BYMONTHDAY=29|30` and rendering splits it (a companion object for February). Null: the rule is RFC 5545's.
   */
  readonly clampedDay: 29 | 30 | null;
  /** Extra dates (RDATE) of iCalendar sources. */
  readonly extra: readonly Moment[];
}

/** An occurrence that differs. `slot` is the original start, written in the same form as the main entry's start. */
export interface Override {
  readonly slot: Moment;
  readonly entry: Entry;
}

export interface Series {
  /** The cleaned iCalUId or UID by which copies of one meeting recognise each other; null when there is no usable one. */
  readonly uid: string | null;
  /**
   * `*` for a single event or a whole series; else the slot of an occurrence whose series this source does not have
   * (an orphan), in the form of `slotKey`.
   */
  readonly slot: string;
  readonly main: Entry;
  readonly recurrence: Recurrence | null;
  /** Cancelled occurrences (EXDATE), sorted, in the form of the main entry's start. */
  readonly excluded: readonly Moment[];
  /** Sorted by slot. */
  readonly overrides: readonly Override[];
  /**
   * List mode: when no rule reproduces what the source shows, each occurrence in the window by itself (`main` then holds
   * the common fields). Null: the rule is true.
   */
  readonly list: readonly Override[] | null;
  /** The source's own revision number, where it has one (RFC 5545 SEQUENCE). */
  readonly sequence: number | null;
}

/** One happening of a series on the time line; what a person sees in a week view. */
export interface Instance {
  /** UTC instant `2026-07-01T07:00:00Z`, or a date `2026-07-01` when all-day; floating times have no Z. */
  readonly start: string;
  readonly end: string;
  readonly isAllDay: boolean;
  /** In the form of `slotKey`. */
  readonly slot: string;
  readonly entry: Entry;
}
