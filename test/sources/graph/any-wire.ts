/** Graph gone mad: events with fields dropped, nulled, of other types, absurd. */
import fc from 'fast-check';
import type { Series } from '../../../src/calendar/series.ts';
import type { Window } from '../../../src/shared/window.ts';
import { checkSeries } from '../../../src/sources/graph/check-series.ts';
import { singleSeries } from '../../../src/sources/graph/to-series.ts';
import { readEvent } from '../../../src/sources/graph/wire.ts';
import {
  aMaster,
  anEvent,
  anException,
  attendee,
  newYork,
  owner,
  person,
  recurrence,
  time,
  type Json,
} from './wire-builders.ts';

export interface WireSeries {
  readonly single: unknown;
  readonly master: unknown;
  readonly exceptions: readonly unknown[];
  readonly cancelled: readonly string[] | null;
  readonly instances: readonly unknown[];
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom(
    '',
    ' ',
    'a\ud800b',
    '\udc00',
    '\u0000\u0007\u202e\ufeff',
    'BEGIN:VEVENT\r\nEND:VCALENDAR',
    'x'.repeat(70_000),
    '👩‍👩‍👧'.repeat(300),
    '<div>\r\n</div>',
    '<p>'.repeat(2_000),
    'mailto:a@b',
    '"quoted", ^n; \\n',
    'javascript:alert(1)',
    'https://teams.microsoft.com/l/meetup-join/19%3a_x/0',
    'https://x.example/a b\r\nX-EVIL:1',
    "ann'@x.example",
    'a"b@x.example',
    'ünï@x.example',
  ),
);
const dates = fc.constantFrom(
  '0001-01-01T00:00:00.0000000',
  '9999-12-31T23:59:59.9999999',
  '4500-12-31T00:00:00.0000000',
  '1601-01-01T00:00:00.0000000',
  '2026-02-30T00:00:00.0000000',
  '2026-03-29T01:30:00.0000000',
  '2026-10-25T01:30:00.0000000',
  '2026-05-05T23:00:00.0000000',
  '2026-05-06T00:00:00.0000000',
  '2026-05-12T19:00:00-04:00',
  '2026-05-12',
  'tomorrow',
  '',
);
const zoneNames = fc.constantFrom(
  'UTC',
  newYork,
  'W. Europe Standard Time',
  'Europe/Kyiv',
  'tzone://Microsoft/Custom',
  'Customized Time Zone',
  '(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna',
  'Mars/Olympus',
  'Europe/Berlin\r\nX:1',
  '',
);
const numbers = fc.constantFrom(0, -1, 1, 2, 3, 12, 29, 30, 31, 99, 1.5, 1e9, Number.NaN, Infinity);
const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(null, undefined, true, false, [], {}),
  numbers,
  text,
  dates,
  zoneNames,
  fc.anything({ withBigInt: false, maxDepth: 2 }),
);
const moment = fc.oneof(fc.record({ dateTime: dates, timeZone: zoneNames }), odd);
const someone = fc.oneof(
  fc.record({ emailAddress: fc.record({ name: text, address: text }, { requiredKeys: [] }), type: text, status: odd }),
  fc.constantFrom(attendee('bob@x.example'), person(null, null), person('X', '/O=EXCHANGELABS/CN=1')),
  odd,
);
const place = fc.oneof(
  fc.record({
    displayName: text,
    address: odd,
    coordinates: fc.record({ latitude: numbers, longitude: numbers }),
    locationType: text,
  }),
  odd,
);
const types = fc.constantFrom(
  'daily',
  'weekly',
  'absoluteMonthly',
  'relativeMonthly',
  'absoluteYearly',
  'relativeYearly',
  'lunar',
);
const patterns = fc.record(
  {
    type: fc.oneof(types, odd),
    interval: fc.oneof(numbers, odd),
    month: fc.oneof(numbers, odd),
    dayOfMonth: fc.oneof(numbers, odd),
    daysOfWeek: fc.oneof(fc.subarray(['sunday', 'monday', 'TUESDAY', 'friday', 'someday', '']), odd),
    firstDayOfWeek: fc.oneof(fc.constantFrom('monday', 'sunday', 'saturday'), odd),
    index: fc.oneof(fc.constantFrom('first', 'second', 'third', 'fourth', 'last', 'fifth'), odd),
  },
  { requiredKeys: [] },
);
const ranges = fc.record(
  {
    type: fc.oneof(fc.constantFrom('noEnd', 'endDate', 'numbered'), odd),
    startDate: fc.oneof(
      fc.constantFrom('2026-05-05', '0001-01-01', '1601-01-01', '9999-12-31', '2020-02-29', '2000-01-01'),
      odd,
    ),
    endDate: fc.oneof(fc.constantFrom('2026-05-19', '0001-01-01', '9999-12-31', '2040-12-31', '2019-01-01'), odd),
    recurrenceTimeZone: fc.oneof(zoneNames, odd),
    numberOfOccurrences: fc.oneof(numbers, odd),
  },
  { requiredKeys: [] },
);
const recurrences = fc.oneof(
  fc.tuple(patterns, ranges).map(([pattern, range]) => recurrence(pattern, range)),
  fc.record({ pattern: patterns, range: ranges }, { requiredKeys: [] }),
  odd,
);
const ids = fc.constantFrom(
  'OID.EVm1.2026-05-12',
  'OID.a.b=.2026-05-13',
  'OID.x',
  'OID.x.2026-13-45',
  '',
  'OID.x.9999-12-31',
);

/** Some fields replaced by what Graph should never say; a field may be missing, null, of another type, or absurd. */
function mangled(sensible: Json): fc.Arbitrary<Json> {
  const known: Record<string, fc.Arbitrary<unknown>> = {
    ...Object.fromEntries(Object.keys(sensible).map((key) => [key, odd])),
    type: fc.oneof(
      fc.constantFrom('singleInstance', 'occurrence', 'exception', 'seriesMaster', 'unknownFutureValue'),
      odd,
    ),
    subject: text,
    body: fc.oneof(fc.record({ contentType: fc.constantFrom('html', 'text', 'rtf'), content: text }), odd),
    start: moment,
    end: moment,
    originalStart: fc.oneof(dates, odd),
    occurrenceId: fc.oneof(ids, odd),
    originalStartTimeZone: fc.oneof(zoneNames, odd),
    originalEndTimeZone: fc.oneof(zoneNames, odd),
    isAllDay: fc.oneof(fc.boolean(), odd),
    attendees: fc.oneof(fc.array(someone, { maxLength: 4 }), odd),
    organizer: someone,
    isOrganizer: fc.oneof(fc.boolean(), odd),
    responseStatus: fc.oneof(
      fc.record({ response: fc.constantFrom('accepted', 'notResponded', 'declined', 'x') }),
      odd,
    ),
    location: place,
    locations: fc.oneof(fc.array(place, { maxLength: 3 }), odd),
    categories: fc.oneof(fc.array(odd, { maxLength: 3 }), odd),
    onlineMeeting: fc.oneof(fc.record({ joinUrl: text, tollNumber: text, phones: odd }), odd),
    onlineMeetingUrl: text,
    webLink: text,
    showAs: fc.oneof(fc.constantFrom('free', 'tentative', 'oof', 'workingElsewhere', 'unknownFutureValue'), odd),
    sensitivity: fc.oneof(fc.constantFrom('private', 'personal', 'confidential', 'secret'), odd),
    importance: odd,
    isCancelled: odd,
    isReminderOn: fc.oneof(fc.boolean(), odd),
    reminderMinutesBeforeStart: numbers,
    createdDateTime: dates,
    lastModifiedDateTime: dates,
    hasAttachments: odd,
    hideAttendees: odd,
    singleValueExtendedProperties: odd,
  };
  const fields = Object.keys(known);
  return fc
    .uniqueArray(fc.constantFrom(...fields), { maxLength: 7 })
    .chain((chosen) =>
      fc.record(
        Object.fromEntries(chosen.map((key) => [key, fc.option(known[key] ?? odd, { nil: undefined, freq: 8 })])),
      ),
    )
    .map((changes) => ({ ...sensible, ...changes }));
}

/** A single event, and a master with exceptions, cancellations and the rows that Graph lists for it. */
export function anyWireSeries(): fc.Arbitrary<WireSeries> {
  const rule = fc.oneof(
    { weight: 4, arbitrary: recurrences },
    { weight: 3, arbitrary: fc.constant(aMaster()['recurrence']) },
  );
  const row = fc.oneof(
    fc.constantFrom('2026-05-05', '2026-05-12', '2026-05-19').map((day) => ({
      id: `o${day}`,
      type: 'occurrence',
      start: time(`${day}T23:00:00`),
      end: time(`${day}T23:50:00`),
    })),
    mangled({ id: 'o9', type: 'occurrence', start: time('2026-05-05T23:00:00'), end: time('2026-05-06T00:30:00') }),
    odd,
  );
  return fc.record({
    single: fc.oneof({ weight: 9, arbitrary: mangled(anEvent()) }, { weight: 1, arbitrary: odd }),
    master: fc.tuple(mangled(aMaster()), rule).map(([master, own]): Json => ({ ...master, recurrence: own })),
    exceptions: fc.array(mangled(anException({ occurrenceId: 'OID.EVm1.2026-05-12' })), { maxLength: 3 }),
    cancelled: fc.option(fc.array(ids, { maxLength: 2 })),
    instances: fc.array(row, { maxLength: 5 }),
  });
}

/** What the mapping makes of it: series, or nothing where it gives a reason instead. */
export function mapWire(wire: WireSeries, window: Window): Series[] {
  const read = wire.exceptions.map(readEvent);
  const evidence = {
    master: readEvent(wire.master),
    exceptions: read,
    cancelled: wire.cancelled,
    instances: [...wire.instances.map(readEvent), ...read],
    mailboxZone: null,
  };
  const mapped = [singleSeries(readEvent(wire.single), owner), checkSeries(evidence, window, owner)];
  return mapped.flatMap((one) => (one.kind === 'unmappable' ? [] : [one.series]));
}
