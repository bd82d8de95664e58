import { redact, type PrivateItems, type Privacy } from '../calendar/privacy.ts';
import { renderSeries } from '../calendar/render.ts';
import type { Entry, Series } from '../calendar/series.ts';
import type { Model, SourceConfig, Tenant } from '../config/model.ts';
import { conflictDays, removalDays, tombstoneDays, trashDays } from '../store/clean-up.ts';

/** Where one field of an event goes. */
export interface FieldReport {
  readonly field: string;
  /** What Graph calls it. */
  readonly graph: string;
  /** In the database, and in the target's calendar. `replaced`: by words that say how the time is taken, nothing else. */
  readonly stored: FieldFate;
  readonly shown: FieldFate;
}

export type FieldFate = 'yes' | 'no' | 'replaced';

export interface SourceReport {
  readonly id: string;
  readonly mailbox: string;
  readonly calendar: string;
  readonly target: string;
  /** Server and account in which the events show; whoever has its password reads them. */
  readonly account: string;
  readonly privacy: Privacy;
  readonly privateItems: PrivateItems;
  readonly isPaused: boolean;
  readonly window: string;
  readonly leftOut: readonly string[];
  readonly fields: readonly FieldReport[];
  /** The same for events marked personal, private or confidential; empty: they are left out. */
  readonly privateFields: readonly FieldReport[];
  /** Series in the database now: with their words, and left out of which only ids are kept. */
  readonly stored: number;
  readonly hidden: number;
}

export interface PlaceReport {
  readonly place: string;
  readonly what: string;
  readonly howLong: string;
}

/** What becomes of a tenant's data: for whoever answers for it. Holds no secret and no event. */
export interface DataReport {
  readonly tenant: Pick<Tenant, 'id' | 'name' | 'cloud' | 'directory' | 'access' | 'ceiling'>;
  readonly madeAt: string;
  readonly sources: readonly SourceReport[];
  readonly places: readonly PlaceReport[];
  readonly notes: readonly string[];
}

export interface DataReportInput {
  readonly model: Model;
  readonly tenantId: string;
  readonly counts: ReadonlyMap<string, { readonly stored: number; readonly hidden: number }>;
  readonly historyDays: number;
  readonly logFiles: number;
  readonly now: Date;
}

/**
 * The report on one tenant; null: there is no such tenant. Pure. Which field goes where is not written down here but found
 * out: an event with a mark in every field is sent through the same door as every event.
 */
export function dataReport(input: DataReportInput): DataReport | null {
  const { model, tenantId, now } = input;
  const tenant = model.tenants.find(({ id }) => id === tenantId);
  if (tenant === undefined) return null;
  const { id, name, cloud, directory, access, ceiling } = tenant;
  return {
    tenant: { id, name, cloud, directory, access, ceiling },
    madeAt: now.toISOString(),
    sources: model.sources.flatMap((source) =>
      source.kind === 'graph' && source.tenant === tenantId ? [sourceReport(source, input)] : [],
    ),
    places: placesOf(input),
    notes: notesOf(tenant),
  };
}

function sourceReport(
  source: SourceConfig & { readonly kind: 'graph' },
  { model, counts }: DataReportInput,
): SourceReport {
  const target = model.targets.find(({ id }) => id === source.into.target);
  const { pastDays, futureDays } = source.window;
  return {
    id: source.id,
    mailbox: source.mailbox,
    calendar: source.calendar,
    target: `${source.into.target}/${source.into.calendar}`,
    account: target === undefined ? 'unknown' : `${target.username} at ${new URL(target.url).host}`,
    privacy: source.privacy,
    privateItems: source.privateItems,
    isPaused: source.isPaused,
    window: `${pastDays} days back, ${futureDays} days ahead${source.keepPast ? '; what grows older stays' : ''}`,
    leftOut: leftOut(source),
    fields: fieldsOf(source, 'normal'),
    privateFields: fieldsOf(source, 'private'),
    stored: counts.get(source.id)?.stored ?? 0,
    hidden: counts.get(source.id)?.hidden ?? 0,
  };
}

/** In words, what filters leave out. */
function leftOut({ filters }: SourceConfig): string[] {
  const switches = (['declined', 'free', 'tentative', 'cancelled', 'allDay'] as const).filter(
    (name) => filters[name] === 'hide',
  );
  return [
    ...switches.map((name) => `events that are ${name === 'allDay' ? 'all-day' : name}`),
    ...(filters.titles.length === 0 ? [] : [`titles that match one of ${filters.titles.length} patterns`]),
    ...(filters.categories.length === 0 ? [] : [`${filters.categories.length} categories`]),
    ...filters.sensitivities.map((name) => `events marked ${name}`),
    ...(filters.hours === null
      ? []
      : [`what lies outside ${filters.hours.from}-${filters.hours.to} (${filters.hours.zone})`]),
  ];
}

interface Probe {
  readonly field: string;
  readonly graph: string;
  /** The marks by which it is found again. */
  readonly marks: readonly string[];
}

const probes: readonly Probe[] = [
  {
    field: 'start, end, recurrence, time zones',
    graph: 'start, end, isAllDay, recurrence',
    marks: ['2031-05-06', '20310506'],
  },
  { field: 'title', graph: 'subject', marks: ['mark-title'] },
  { field: 'body', graph: 'body', marks: ['mark-body'] },
  { field: 'place', graph: 'location, locations', marks: ['mark-place'] },
  { field: 'organizer', graph: 'organizer', marks: ['mark-organizer'] },
  { field: 'attendees and their answers', graph: 'attendees', marks: ['mark-attendee'] },
  { field: 'categories', graph: 'categories', marks: ['mark-category'] },
  { field: 'link to join', graph: 'onlineMeeting.joinUrl', marks: ['mark-join'] },
  { field: 'numbers to dial in', graph: 'onlineMeeting.phones', marks: ['+49555000111'] },
  { field: 'link into Outlook', graph: 'webLink', marks: ['mark-weblink'] },
  { field: 'reminder', graph: 'reminderMinutesBeforeStart', marks: ['"reminder":37', '-PT37M'] },
  { field: 'importance', graph: 'importance', marks: ['"importance":"high"', 'PRIORITY:1'] },
  { field: 'free, tentative, busy, out of office', graph: 'showAs', marks: ['"showAs":"oof"', 'OOF'] },
  { field: 'cancelled or not', graph: 'isCancelled', marks: ['"status":"confirmed"', 'STATUS:CONFIRMED'] },
  { field: 'time of the last change', graph: 'lastModifiedDateTime', marks: ['2031-04-03', '20310403'] },
  { field: 'time of creation', graph: 'createdDateTime', marks: ['2031-04-02', '20310402'] },
];

function fieldsOf(source: SourceConfig, sensitivity: Entry['sensitivity']): FieldReport[] {
  const redacted = redact(probeSeries(sensitivity), source.privacy, source.privateItems);
  if (redacted === null) return [];
  const stored = JSON.stringify(redacted);
  const shown = renderSeries(redacted, {
    uid: 'probe',
    sequence: 0,
    titleTag: source.titleTag,
    reminders: source.reminders,
    window: { from: '2031-01-01T00:00:00Z', to: '2032-01-01T00:00:00Z' },
    anchor: null,
  })
    .map(({ text }) => text.replaceAll('\r\n ', ''))
    .join('');
  const isReplaced = redacted.main.summary !== null && !stored.includes('mark-title');
  const fate = (text: string, { field, marks }: Probe): FieldFate => {
    if (marks.some((mark) => text.includes(mark))) return 'yes';
    return field === 'title' && isReplaced ? 'replaced' : 'no';
  };
  return [
    ...probes.map((probe): FieldReport => {
      const { field, graph } = probe;
      return { field, graph, stored: fate(stored, probe), shown: fate(shown, probe) };
    }),
    // Read beside the series itself, to recognise it again; the target gets hashes made of them.
    { field: 'identifiers and version', graph: 'id, iCalUId, changeKey', stored: 'yes', shown: 'no' },
    { field: 'attachments, other properties', graph: 'attachments, extensions', stored: 'no', shown: 'no' },
  ];
}

function probeSeries(sensitivity: Entry['sensitivity']): Series {
  return {
    uid: 'probe',
    slot: '*',
    main: {
      start: { kind: 'utc', instant: '2031-05-06T09:00:00Z' },
      end: { kind: 'utc', instant: '2031-05-06T10:00:00Z' },
      summary: 'mark-title',
      description: 'mark-body',
      location: 'mark-place',
      place: null,
      showAs: 'oof',
      status: 'confirmed',
      sensitivity,
      importance: 'high',
      categories: ['mark-category'],
      joinUrl: 'https://mark-join.example/',
      dialIn: ['tel:+49555000111'],
      webLink: 'https://mark-weblink.example/',
      organizer: { address: 'mark-organizer@example.com', name: 'mark-organizer' },
      attendees: [
        {
          address: 'mark-attendee@example.com',
          name: 'mark-attendee',
          role: 'required',
          kind: 'individual',
          participation: 'accepted',
          rsvp: false,
        },
      ],
      answer: 'accepted',
      disallowCounter: false,
      reminder: 37,
      createdAt: '2031-04-02T00:00:00Z',
      lastModifiedAt: '2031-04-03T00:00:00Z',
      foreign: [],
    },
    recurrence: null,
    excluded: [],
    overrides: [],
    list: null,
    sequence: 0,
  };
}

function placesOf({ historyDays, logFiles }: DataReportInput): PlaceReport[] {
  return [
    {
      place: 'database: claims',
      what: 'the fields above as "stored"; of series that a filter or privateItems leaves out only ids and times of reading',
      howLong: 'until the event is gone from the source, the source is removed, or the tenant is forgotten',
    },
    {
      place: "target's calendar",
      what: 'the fields above as "shown"',
      howLong: 'as the claims; clients keep copies of their own',
    },
    {
      place: 'database: trash',
      what: 'entries that were deleted from a target, as they stood there',
      howLong: `${trashDays} days; restored ones as long as the operator keeps them`,
    },
    {
      place: 'database: conflicts',
      what: 'where copies of a meeting disagree: both values, as far as privacy permits',
      howLong: `while they disagree, and ${conflictDays(historyDays)} days after`,
    },
    {
      place: 'database: history',
      what: 'ids, times, codes; never words of an event',
      howLong: `${historyDays} days (HISTORY_DAYS)`,
    },
    {
      place: 'database: books of the guard, tombstones of flows',
      what: 'ids of removed events and when',
      howLong: `${removalDays} and ${tombstoneDays} days`,
    },
    {
      place: 'database: audit log',
      what: 'who changed the configuration, and how; no events',
      howLong: 'for good: the database refuses to delete from it',
    },
    {
      place: 'database: credentials, sign-ins',
      what: 'sealed with AES-256-GCM; the key is kept apart',
      howLong: 'until they are replaced or the tenant is forgotten',
    },
    {
      place: 'database: job queue',
      what: 'ids of sources and targets that have something to do',
      howLong: 'an hour at most',
    },
    {
      place: 'log',
      what: 'ids, codes, counts; no titles, bodies or tokens',
      howLong:
        logFiles === 0
          ? "standard output only: as the machine's own rules say"
          : `${logFiles} files, one a day or each 20 MB (LOG_FILES)`,
    },
    {
      place: 'backups',
      what: 'what the database and the CalDAV server held when they were made',
      howLong: 'the newest 14 (BACKUP_KEEP); neither tighter privacy nor "forget" changes one that exists',
    },
  ];
}

function notesOf({ access, ceiling }: Tenant): string[] {
  return [
    'Microsoft 365 is only read. The permission is Calendars.Read; nothing is written, sent or answered there.',
    access === 'scoped'
      ? 'Access is scoped: Exchange RBAC for Applications names the mailboxes that can be read at all.'
      : 'Access is tenant-wide: the consent lets the application read every calendar of the tenant; it reads those above.',
    `No source of this tenant may show more than "${ceiling}", the ceiling set for it.`,
    'Filters are asked first, then privacy cuts each event down to the fields above, and only then it is stored. What is cut never reaches the database, the log or a backup.',
    'When privacy is tightened, what was stored, trashed and recorded in conflicts and history is cut or deleted at once, and the entries are written anew.',
    'Data goes to the CalDAV servers above and nowhere else: no telemetry, no third party.',
    '"calendar-sync forget <tenant>" removes all of it and prints what was removed where.',
  ];
}
