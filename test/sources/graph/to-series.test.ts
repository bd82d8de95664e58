import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { expandSeries } from '../../../src/calendar/expand.ts';
import type { Entry, Moment, Series } from '../../../src/calendar/series.ts';
import { utc, type KnownZone } from '../../../src/sources/graph/times.ts';
import { dateOfOccurrenceId, ruleSeries, singleSeries, zonesOf } from '../../../src/sources/graph/to-series.ts';
import { readEvent } from '../../../src/sources/graph/wire.ts';
import {
  aMaster,
  anEvent,
  anException,
  attendee,
  berlin,
  newYork,
  owner,
  person,
  recurrence,
  time,
} from './wire-builders.ts';
import type { Json } from './wire-builders.ts';

function single(fields: Json = {}): Series {
  const mapped = singleSeries(readEvent(anEvent(fields)), owner);
  if (mapped.kind === 'unmappable') throw new Error(mapped.reason);
  return mapped.series;
}

function entry(fields: Json = {}): Entry {
  return single(fields).main;
}

interface Parts {
  readonly exceptions?: readonly Json[];
  readonly cancelled?: readonly string[];
}

function byRule(master: Json, { exceptions = [], cancelled = [] }: Parts = {}): Series {
  const event = readEvent(master);
  const zone: KnownZone = zonesOf(event)[0] ?? utc;
  const parts = { master: event, exceptions: exceptions.map(readEvent), cancelled, placed: new Map<string, string>() };
  const mapped = ruleSeries(parts, zone, owner);
  if (mapped.kind === 'unmappable') throw new Error(mapped.reason);
  return mapped.series;
}

/** A master that starts at 09:00 UTC on its range's first day. */
function ruled(pattern: Json, range: Json & { startDate: string }): Series {
  return byRule(
    aMaster({
      start: time(`${range.startDate}T09:00:00`),
      end: time(`${range.startDate}T10:00:00`),
      originalStartTimeZone: 'UTC',
      recurrence: recurrence(pattern, { recurrenceTimeZone: 'UTC', ...range }),
    }),
  );
}

function starts(series: Series, from: string, to: string): string[] {
  return expandSeries(series, { from: `${from}T00:00:00Z`, to: `${to}T00:00:00Z` }).map(({ start }) => start);
}

function days(series: Series, from: string, to: string): string[] {
  return starts(series, from, to).map((start) => start.slice(0, 10));
}

function rule(series: Series): string {
  return series.recurrence?.rule ?? '';
}

const inNewYork = (local: string): Moment => ({ kind: 'zoned', local, zone: 'America/New_York' });

describe('times of a single event', () => {
  it('are local in the zone that Windows names', () => {
    expect(entry().start).toEqual({ kind: 'zoned', local: '2026-07-01T09:00:00', zone: 'Europe/Berlin' });
  });

  it.each(['tzone://Microsoft/Utc', 'tzone://Microsoft/Custom', null])('are UTC for %s', (zone) => {
    const { start } = entry({ originalStartTimeZone: zone, originalEndTimeZone: zone });
    expect(start).toEqual({ kind: 'utc', instant: '2026-07-01T07:00:00Z' });
  });

  it('are local in the first pass of the autumn hour and UTC in the second', () => {
    const at = (start: string, end: string): Moment => entry({ start: time(start), end: time(end) }).start;
    expect(at('2026-10-25T00:30:00', '2026-10-25T03:00:00')).toMatchObject({ local: '2026-10-25T02:30:00' });
    expect(at('2026-10-25T01:30:00', '2026-10-25T03:00:00')).toEqual({ kind: 'utc', instant: '2026-10-25T01:30:00Z' });
  });

  it('end in a zone of their own', () => {
    const { start, end } = entry({
      start: time('2026-03-02T17:00:00'),
      end: time('2026-03-02T22:30:00'),
      originalStartTimeZone: 'Pacific Standard Time',
      originalEndTimeZone: newYork,
    });
    expect(start).toMatchObject({ local: '2026-03-02T09:00:00', zone: 'America/Los_Angeles' });
    expect(end).toMatchObject({ local: '2026-03-02T17:30:00', zone: 'America/New_York' });
  });

  it('have no end where it is the start, lies before it or is missing', () => {
    for (const end of [time('2026-07-01T07:00:00'), time('2026-07-01T06:00:00'), null]) {
      expect(entry({ end }).end).toBeNull();
    }
  });

  it.each([
    ['midnights in whatever zone', '2026-06-10T00:00:00', '2026-06-11T00:00:00', 'Pacific Standard Time', '2026-06-11'],
    ['start and end the same', '2026-06-10T00:00:00', '2026-06-10T00:00:00', 'Pacific Standard Time', '2026-06-11'],
    ['instants of local midnights', '2026-06-09T22:00:00', '2026-06-10T22:00:00', berlin, '2026-06-11'],
  ])('of all-day events are dates: %s', (_, start, end, zone, lastDay) => {
    const times = { start: time(start), end: time(end), originalStartTimeZone: zone };
    expect(entry({ isAllDay: true, ...times })).toMatchObject({
      start: { kind: 'date', date: '2026-06-10' },
      end: { kind: 'date', date: lastDay },
    });
  });

  it('are read in the zone that comes with them when UTC was not granted', () => {
    const start = { dateTime: '2026-07-01T09:00:00.0000000', timeZone: berlin };
    expect(entry({ start }).start).toMatchObject({ local: '2026-07-01T09:00:00', zone: 'Europe/Berlin' });
  });
});

describe('a weekly series in New York', () => {
  it('starts on its local day, although that is the next in UTC', () => {
    const series = byRule(
      aMaster({
        start: time('2026-05-09T01:00:00'),
        end: time('2026-05-09T02:00:00'),
        recurrence: recurrence({ daysOfWeek: ['friday'] }, { startDate: '2026-05-08' }),
      }),
    );
    expect(series.main.start).toEqual(inNewYork('2026-05-08T21:00:00'));
    expect(rule(series)).toBe('FREQ=WEEKLY;WKST=SU;BYDAY=FR');
  });

  it('ends with its last local day, told in UTC', () => {
    const series = byRule(aMaster());
    expect(rule(series)).toBe('FREQ=WEEKLY;WKST=SU;BYDAY=TU;UNTIL=20260520T035959Z');
    expect(starts(series, '2026-01-01', '2027-01-01')).toEqual([
      '2026-05-05T23:00:00Z',
      '2026-05-12T23:00:00Z',
      '2026-05-19T23:00:00Z',
    ]);
  });

  it('leaves out a cancelled date whose id has dots in it', () => {
    const series = byRule(aMaster(), { cancelled: ['OID.AQ.a.b=.2026-05-12'] });
    expect(series.excluded).toEqual([inNewYork('2026-05-12T19:00:00')]);
  });

  it('knows a moved occurrence by its original start, offset and all, not by its start', () => {
    // Further than the day by which dates may be off.
    const moved = { start: time('2026-05-14T23:00:00'), end: time('2026-05-15T00:00:00') };
    const exception = anException({ originalStart: '2026-05-12T19:00:00-04:00', ...moved });
    const [override] = byRule(aMaster(), { exceptions: [exception] }).overrides;
    expect(override?.slot).toEqual(inNewYork('2026-05-12T19:00:00'));
    expect(override?.entry.start).toEqual(inNewYork('2026-05-14T19:00:00'));
  });

  it('keeps the form of its own start for the slot of an occurrence made all-day', () => {
    const allDay = { isAllDay: true, start: time('2026-05-12T00:00:00'), end: time('2026-05-13T00:00:00') };
    const exception = anException({ occurrenceId: 'OID.EVm1.2026-05-12', ...allDay });
    const [override] = byRule(aMaster(), { exceptions: [exception] }).overrides;
    expect(override?.slot).toEqual(inNewYork('2026-05-12T19:00:00'));
    expect(override?.entry.start).toEqual({ kind: 'date', date: '2026-05-12' });
  });

  it('prefers an override to a cancellation of the same date', () => {
    const series = byRule(aMaster(), {
      exceptions: [anException({ occurrenceId: 'OID.EVm1.2026-05-12' })],
      cancelled: ['OID.EVm1.2026-05-12'],
    });
    expect(series.excluded).toEqual([]);
    expect(series.overrides).toHaveLength(1);
  });

  it('shows an occurrence that the organizer cancelled as cancelled', () => {
    const exception = anException({ occurrenceId: 'OID.EVm1.2026-05-12', isCancelled: true });
    const series = byRule(aMaster(), { exceptions: [exception] });
    expect(series.overrides[0]?.entry.status).toBe('cancelled');
    expect(series.excluded).toEqual([]);
  });

  it('gives an exception what it leaves blank', () => {
    const master = aMaster({
      body: { contentType: 'html', content: '<p>Bring scores</p>' },
      location: { displayName: 'Hall' },
    });
    const exception = anException({ occurrenceId: 'OID.EVm1.2026-05-12', subject: '', location: null });
    expect(byRule(master, { exceptions: [exception] }).overrides[0]?.entry).toMatchObject({
      summary: 'Choir',
      description: 'Bring scores',
      location: 'Hall',
    });
  });

  it('takes the original start where the id names a date that is not on the rule', () => {
    const exception = anException({ occurrenceId: 'OID.EVm1.2026-05-20', originalStart: '2026-05-12T23:00:00Z' });
    const [override] = byRule(aMaster(), { exceptions: [exception] }).overrides;
    expect(override?.slot).toEqual(inNewYork('2026-05-12T19:00:00'));
  });

  it('takes the neighbouring date where a cancellation is off by one', () => {
    const series = byRule(aMaster(), { cancelled: ['OID.EVm1.2026-05-13'] });
    expect(series.excluded).toEqual([inNewYork('2026-05-12T19:00:00')]);
  });

  it('counts in the zone of its start where the recurrence names none', () => {
    const unnamed = recurrence({ daysOfWeek: ['tuesday'] }, { recurrenceTimeZone: '' });
    expect(byRule(aMaster({ recurrence: unnamed })).main.start).toEqual(inNewYork('2026-05-05T19:00:00'));
  });
});

describe('an all-day series in Berlin', () => {
  const master = aMaster({
    isAllDay: true,
    start: time('2018-06-06T00:00:00'),
    end: time('2018-06-07T00:00:00'),
    originalStartTimeZone: berlin,
    recurrence: recurrence(
      { daysOfWeek: ['wednesday'] },
      { type: 'endDate', startDate: '2018-06-06', endDate: '2018-06-27', recurrenceTimeZone: berlin },
    ),
  });

  it('ends with a date', () => {
    expect(rule(byRule(master))).toBe('FREQ=WEEKLY;WKST=SU;BYDAY=WE;UNTIL=20180627');
  });

  it.each([{ occurrenceId: 'OID.EVm1.2018-06-06' }, { occurrenceId: null }])(
    'reads local midnight in UTC as the date that it is there (%j)',
    (ids) => {
      const exception = anException({ isAllDay: true, originalStart: '2018-06-05T22:00:00Z', ...ids });
      const [override] = byRule(master, { exceptions: [exception] }).overrides;
      expect(override?.slot).toEqual({ kind: 'date', date: '2018-06-06' });
    },
  );
});

describe('an all-day series of a lost zone', () => {
  it('reads a midnight of whatever zone as the nearest date', () => {
    const range = { startDate: '2018-06-06', recurrenceTimeZone: 'Customized Time Zone' };
    const series = byRule(
      aMaster({
        isAllDay: true,
        start: time('2018-06-06T00:00:00'),
        end: time('2018-06-07T00:00:00'),
        originalStartTimeZone: 'tzone://Microsoft/Custom',
        originalEndTimeZone: null,
        recurrence: recurrence({ type: 'daily' }, range),
      }),
      { exceptions: [anException({ isAllDay: true, originalStart: '2018-06-12T22:00:00Z' })] },
    );
    expect(series.overrides[0]?.slot).toEqual({ kind: 'date', date: '2018-06-13' });
  });
});

describe('patterns', () => {
  it('keep local time over the change of clocks', () => {
    const series = byRule(
      aMaster({
        start: time('2026-03-27T08:00:00'),
        end: time('2026-03-27T09:00:00'),
        recurrence: recurrence(
          { type: 'daily', interval: 3 },
          { type: 'numbered', numberOfOccurrences: 5, startDate: '2026-03-27', recurrenceTimeZone: berlin },
        ),
      }),
    );
    expect(starts(series, '2026-01-01', '2027-01-01')).toEqual([
      '2026-03-27T08:00:00Z',
      '2026-03-30T07:00:00Z',
      '2026-04-02T07:00:00Z',
      '2026-04-05T07:00:00Z',
      '2026-04-08T07:00:00Z',
    ]);
  });

  it.each([
    ['sunday', ['1997-08-05', '1997-08-17', '1997-08-19', '1997-08-31']],
    ['monday', ['1997-08-05', '1997-08-10', '1997-08-19', '1997-08-24']],
  ])('every second week begun on %s', (firstDayOfWeek, expected) => {
    const pattern = { interval: 2, daysOfWeek: ['tuesday', 'sunday'], firstDayOfWeek };
    const series = ruled(pattern, { type: 'numbered', numberOfOccurrences: 4, startDate: '1997-08-05' });
    expect(days(series, '1997-01-01', '1998-01-01')).toEqual(expected);
    expect(rule(series)).toContain('TU,SU');
  });

  it('start on the first hit when the range starts off the pattern', () => {
    const series = ruled(
      { interval: 2, daysOfWeek: ['monday'] },
      { type: 'numbered', numberOfOccurrences: 2, startDate: '2026-01-07' },
    );
    expect(days(series, '2026-01-01', '2027-01-01')).toEqual(['2026-01-19', '2026-02-02']);
  });

  const monthly = (dayOfMonth: number, interval = 1): Json => ({ type: 'absoluteMonthly', dayOfMonth, interval });
  const relative = (index: string, daysOfWeek: string[], more: Json = {}): Json => ({
    type: 'relativeMonthly',
    index,
    daysOfWeek,
    ...more,
  });
  const workdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday'];
  const everyDay = [...workdays, 'saturday', 'sunday'];

  it.each<[string, Json, string, string, string[]]>([
    [
      'day 31 is the last',
      monthly(31),
      '2026-01-31',
      'FREQ=MONTHLY;BYMONTHDAY=-1',
      ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30'],
    ],
    [
      'day 30 clamps in February',
      monthly(30),
      '2027-01-30',
      'FREQ=MONTHLY;BYMONTHDAY=30',
      ['2027-01-30', '2027-02-28', '2027-03-30'],
    ],
    [
      'day 29 clamps in February',
      monthly(29),
      '2027-12-29',
      'FREQ=MONTHLY;BYMONTHDAY=29',
      ['2027-12-29', '2028-01-29', '2028-02-29', '2028-03-29'],
    ],
    [
      'day 30 that never meets February',
      monthly(30, 2),
      '2026-01-30',
      'FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=30',
      ['2026-01-30', '2026-03-30', '2026-05-30'],
    ],
    [
      'day 30 begun in a February',
      monthly(30),
      '2026-02-15',
      'FREQ=MONTHLY;BYMONTHDAY=30',
      ['2026-02-28', '2026-03-30', '2026-04-30'],
    ],
    [
      'second Tuesday',
      relative('second', ['tuesday'], { interval: 2 }),
      '2025-06-10',
      'FREQ=MONTHLY;INTERVAL=2;BYDAY=2TU',
      ['2025-06-10', '2025-08-12', '2025-10-14'],
    ],
    [
      'last workday',
      relative('last', workdays),
      '2025-06-30',
      'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1',
      ['2025-06-30', '2025-07-31', '2025-08-29', '2025-09-30'],
    ],
    [
      'last of all days',
      relative('last', everyDay),
      '2025-06-30',
      'FREQ=MONTHLY;BYMONTHDAY=-1',
      ['2025-06-30', '2025-07-31'],
    ],
    [
      'first weekend day',
      relative('first', ['sunday', 'saturday']),
      '2025-06-01',
      'FREQ=MONTHLY;BYDAY=SA,SU;BYSETPOS=1',
      ['2025-06-01', '2025-07-05', '2025-08-02'],
    ],
    [
      'second Thursday or Friday of November',
      relative('second', ['thursday', 'friday'], { type: 'relativeYearly', month: 11 }),
      '2025-11-07',
      'FREQ=MONTHLY;INTERVAL=12;BYDAY=TH,FR;BYSETPOS=2',
      ['2025-11-07', '2026-11-06', '2027-11-05'],
    ],
    [
      '29 February',
      { type: 'absoluteYearly', month: 2, dayOfMonth: 29 },
      '2024-02-29',
      'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1',
      ['2024-02-29', '2025-02-28', '2026-02-28', '2027-02-28', '2028-02-29'],
    ],
    [
      '31 April',
      { type: 'absoluteYearly', month: 4, dayOfMonth: 31 },
      '2026-01-01',
      'FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=-1',
      ['2026-04-30', '2027-04-30'],
    ],
    [
      'last Monday of May',
      relative('last', ['monday'], { type: 'relativeYearly', month: 5 }),
      '2026-06-01',
      'FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO',
      ['2027-05-31'],
    ],
  ])('%s', (_, pattern, startDate, expectedRule, expectedDays) => {
    const series = ruled(pattern, { startDate });
    expect(rule(series)).toBe(expectedRule);
    const all = days(series, '2024-01-01', '2030-01-01');
    expect(all.slice(0, expectedDays.length)).toEqual(expectedDays);
    const isClamped =
      pattern['dayOfMonth'] === 30 || (pattern['dayOfMonth'] === 29 && pattern['type'] === 'absoluteMonthly');
    expect(series.recurrence?.clampedDay ?? null).toBe(isClamped ? pattern['dayOfMonth'] : null);
  });

  it('have no end in the years that mean none', () => {
    for (const endDate of ['0001-01-01', '4500-08-31', 'soon']) {
      expect(rule(ruled({ type: 'daily' }, { type: 'endDate', endDate, startDate: '2026-01-01' }))).toBe('FREQ=DAILY');
    }
  });

  it('with an interval of 0 or none count as 1', () => {
    for (const interval of [0, -3, null, 1.5]) {
      expect(rule(ruled({ type: 'daily', interval }, { startDate: '2026-01-01' }))).toBe('FREQ=DAILY');
    }
  });

  it('without a range start with the master itself', () => {
    const { pattern } = recurrence({ daysOfWeek: ['tuesday'] }) as { pattern: Json };
    const series = byRule(aMaster({ recurrence: { pattern } }));
    expect(days(series, '2026-05-01', '2026-05-15')).toEqual(['2026-05-05', '2026-05-12']);
  });
});

describe('identity', () => {
  const dated = '040000008200E00074C5B7101A82E00807EA050CAA01';

  it('is the meeting, whatever occurrence its id names', () => {
    const copy = single({ iCalUId: dated });
    expect(copy.uid).toBe('040000008200E00074C5B7101A82E00800000000AA01');
    expect(single().uid).toBe(copy.uid);
  });

  it('of one date out of a series is that date at its own time of day', () => {
    const times = {
      start: time('2026-05-12T23:00:00'),
      end: time('2026-05-13T00:00:00'),
      originalStartTimeZone: newYork,
    };
    expect(single({ iCalUId: dated, ...times }).slot).toBe('2026-05-12T23:00:00Z');
    expect(single().slot).toBe('*');
  });

  it('of an exception without its series is its original start', () => {
    const orphan = singleSeries(readEvent(anException({ originalStart: '2026-05-12T23:00:00Z' })), owner);
    expect(orphan).toMatchObject({ series: { slot: '2026-05-12T23:00:00Z', recurrence: null, overrides: [] } });
  });

  it('is nobody else’s without a usable id', () => {
    expect(single({ iCalUId: ' ' }).uid).toBeNull();
    expect(single({ iCalUId: null }).uid).toBeNull();
  });

  it('is the inner id of a meeting that another program sent', () => {
    const inner = Buffer.from('standup@calendar.example\0').toString('hex').toUpperCase();
    const header = `040000008200E00074C5B7101A82E00800000000${'0'.repeat(32)}25000000`;
    const wrapped = `${header}7643616C2D55696401000000${inner}`;
    expect(single({ iCalUId: wrapped }).uid).toBe('standup@calendar.example');
  });

  it('has the revision of the extended property', () => {
    const properties = [{ id: 'Integer {00062002-0000-0000-c000-000000000046} Id 0x8201', value: '7' }];
    expect(single({ singleValueExtendedProperties: properties }).sequence).toBe(7);
    expect(single().sequence).toBeNull();
  });
});

describe('people', () => {
  const invited = { isOrganizer: false, organizer: person('Ann', 'ann@x.example') };

  it('of a plain appointment are none, although Graph names an organizer', () => {
    expect(entry()).toMatchObject({ organizer: null, attendees: [], answer: 'none' });
  });

  it('answer by responseStatus in an attendee’s own copy', () => {
    const { attendees, answer } = entry({
      ...invited,
      attendees: [attendee('me@contoso.example'), attendee('bob@x.example')],
      responseStatus: { response: 'accepted' },
    });
    expect(answer).toBe('accepted');
    expect(attendees).toMatchObject([
      { address: 'ann@x.example', role: 'chair', participation: 'accepted' },
      { address: 'bob@x.example', participation: 'needsAction' },
      { address: 'me@contoso.example', participation: 'accepted', rsvp: false },
    ]);
  });

  it('are asked to reply while they have not, unless no reply is wanted', () => {
    const meeting = {
      ...invited,
      attendees: [attendee('me@contoso.example')],
      responseStatus: { response: 'notResponded' },
    };
    const self = (fields: Json) => entry({ ...meeting, showAs: 'tentative', ...fields }).attendees.at(-1);
    expect(self({})).toMatchObject({ participation: 'needsAction', rsvp: true });
    expect(self({ responseRequested: false })).toMatchObject({ rsvp: false });
    expect(entry({ ...meeting, showAs: 'tentative' })).toMatchObject({ status: 'tentative', showAs: 'tentative' });
  });

  it('who declined and kept the event do not cancel it', () => {
    const kept = entry({
      ...invited,
      attendees: [attendee('me@contoso.example')],
      responseStatus: { response: 'declined' },
      showAs: 'free',
    });
    expect(kept).toMatchObject({ answer: 'declined', showAs: 'free', status: 'confirmed' });
    expect(kept.attendees.at(-1)?.participation).toBe('declined');
  });

  it('are one line each, the organizer as chair, whatever the case of addresses', () => {
    const { attendees } = entry({
      ...invited,
      attendees: [attendee('ANN@x.example'), attendee('ann@X.example'), attendee('me@contoso.example')],
    });
    expect(attendees.map(({ address, role }) => `${role} ${address}`)).toEqual([
      'chair ann@x.example',
      'required me@contoso.example',
    ]);
  });

  it('include the owner who was invited through a group', () => {
    const { attendees } = entry({
      ...invited,
      attendees: [attendee('all@x.example')],
      responseStatus: { response: 'accepted' },
    });
    expect(attendees.map(({ address }) => address)).toContain('me@contoso.example');
  });

  it('look the same in the organizer’s copy, which leaves the organizer out', () => {
    const mine = entry({
      isOrganizer: true,
      organizer: person('Me', 'ME@contoso.example'),
      attendees: [attendee('bob@x.example')],
    });
    expect(mine.attendees.map(({ address, role }) => `${role} ${address}`)).toEqual([
      'chair me@contoso.example',
      'required bob@x.example',
    ]);
    expect(mine.answer).toBe('organizer');
  });

  it('without an address that mail knows become a placeholder as organizer and nobody as attendee', () => {
    const legacy = '/O=EXCHANGELABS/OU=X/CN=RECIPIENTS/CN=1';
    const { organizer, attendees } = entry({
      isOrganizer: false,
      organizer: person('Old', legacy),
      attendees: [attendee(legacy), attendee('bob@x.example')],
      responseStatus: { response: 'accepted' },
    });
    expect(organizer?.address).toMatch(/^[0-9a-f]{16}@m365\.invalid$/);
    expect(attendees.map(({ address }) => address)).toEqual(['bob@x.example', 'me@contoso.example']);
    expect(
      entry({ isOrganizer: false, organizer: null, attendees: [attendee('bob@x.example')] }).organizer?.address,
    ).toContain('@m365.invalid');
  });

  it('that are rooms are told from other resources by the location', () => {
    const { attendees } = entry({
      attendees: [
        attendee('room1@x.example', { type: 'resource' }),
        attendee('beamer@x.example', { type: 'resource' }),
      ],
      locations: [{ displayName: 'Room 1', locationEmailAddress: 'Room1@x.example', locationType: 'conferenceRoom' }],
    });
    expect(attendees.filter(({ role }) => role === 'nonParticipant')).toMatchObject([
      { address: 'beamer@x.example', kind: 'resource' },
      { address: 'room1@x.example', kind: 'room' },
    ]);
  });

  it('that may not see each other are only the owner and the organizer', () => {
    const { attendees } = entry({
      ...invited,
      hideAttendees: true,
      attendees: [attendee('bob@x.example'), attendee('me@contoso.example')],
    });
    expect(attendees.map(({ address }) => address)).toEqual(['ann@x.example', 'me@contoso.example']);
  });

  it('beyond two hundred are counted', () => {
    const many = Array.from({ length: 1_000 }, (_, index) => attendee(`a${index}@x.example`));
    const { attendees, description } = entry({ ...invited, attendees: many, responseStatus: { response: 'accepted' } });
    expect(attendees).toHaveLength(2);
    expect(description).toBe('+1000 attendees');
  });
});

describe('what an event says', () => {
  it.each([
    ['free', 'free', 'confirmed'],
    ['workingElsewhere', 'workingElsewhere', 'confirmed'],
    ['tentative', 'tentative', 'tentative'],
    ['oof', 'oof', 'confirmed'],
    ['unknown', 'busy', 'confirmed'],
    ['somethingNew', 'busy', 'confirmed'],
  ])('showAs %s is %s and %s', (value, showAs, status) => {
    expect(entry({ showAs: value })).toMatchObject({ showAs, status });
  });

  it('is cancelled when the organizer cancelled it', () => {
    expect(entry({ isCancelled: true }).status).toBe('cancelled');
  });

  it('is secret when it claims a secrecy that we do not know', () => {
    expect(
      ['normal', 'personal', 'private', 'confidential', 'topSecret', null].map(
        (sensitivity) => entry({ sensitivity }).sensitivity,
      ),
    ).toEqual(['normal', 'personal', 'private', 'confidential', 'private', 'normal']);
  });

  it('reminds when the reminder is on, at the start too', () => {
    const at = (isReminderOn: boolean, reminderMinutesBeforeStart: number) =>
      entry({ isReminderOn, reminderMinutesBeforeStart }).reminder;
    expect([at(true, 0), at(true, 15), at(false, 15), at(true, -5), at(true, 1_525_252_321)]).toEqual([
      0,
      15,
      null,
      null,
      null,
    ]);
  });

  it('has a clean title of one line', () => {
    const subject = `Plan\u0000\u0007\u202E of\r\nthe day\uD800 ${'🎉'.repeat(60)}`;
    expect(entry({ subject }).summary).toBe(`Plan of the day ${'🎉'.repeat(60)}`);
    expect(entry({ subject: '👩‍👩‍👧'.repeat(200) }).summary?.length).toBeLessThanOrEqual(500);
  });

  it('has no description when the body shows nothing', () => {
    for (const content of ['<div>\r\n</div>', '', '<html><head><style>p{}</style></head><body>&nbsp;</body></html>']) {
      expect(entry({ body: { contentType: 'html', content } }).description).toBeNull();
    }
  });

  it('keeps paragraphs and links of its body, cut with a link to the whole', () => {
    const body = { contentType: 'html', content: '<h1>Agenda</h1><p>One <a href="https://a.example/x">notes</a></p>' };
    expect(entry({ body }).description).toBe('Agenda\n\nOne notes [https://a.example/x]');
    const long = { contentType: 'html', content: `<p>${'word '.repeat(1_000_000)}</p>` };
    const cut = entry({ body: long, webLink: 'https://outlook.example/item' }).description ?? '';
    expect(cut.length).toBeLessThanOrEqual(32_000);
    expect(cut.endsWith('\n…\nhttps://outlook.example/item')).toBe(true);
  });

  it('finds the way into the meeting, even behind a SafeLink', () => {
    const teams = 'https://teams.microsoft.com/l/meetup-join/19%3ameeting_x/0';
    expect(entry({ onlineMeeting: { joinUrl: teams } }).joinUrl).toBe(teams);
    const safe = `https://eur01.safelinks.protection.outlook.com/?url=${encodeURIComponent(teams)}&amp;data=05%7C`;
    expect(entry({ body: { contentType: 'html', content: `<a href="${safe}">Join</a>` } }).joinUrl).toBe(teams);
    expect(entry({ onlineMeeting: { joinUrl: 'javascript:alert(1)' } }).joinUrl).toBeNull();
    expect(entry({ body: { contentType: 'html', content: 'https://example.com/l/meetup-join/' } }).joinUrl).toBeNull();
  });

  it('tells the place, with coordinates unless they are nobody’s', () => {
    const address = { street: 'Main St 1', city: 'Springfield' };
    expect(entry({ location: { displayName: 'Hall', address } }).location).toBe('Hall, Main St 1, Springfield');
    expect(entry({ location: {}, locations: [{ displayName: 'A' }, { displayName: 'B' }] }).location).toBe('A; B');
    const at = (latitude: unknown, longitude: unknown) =>
      entry({ location: { displayName: 'Hall', coordinates: { latitude, longitude } } }).place;
    expect(at(52.5, 13.4)).toEqual({ latitude: 52.5, longitude: 13.4, title: 'Hall' });
    expect([at(0, 0), at(52.5, null), at('x', 1), at(99, 1)]).toEqual([null, null, null, null]);
  });

  it('keeps categories apart that have commas in them', () => {
    expect(entry({ categories: ['a,b', 'c;d', 'a,b', ''] }).categories).toEqual(['a,b', 'c;d']);
  });

  it('was never created in the year 1', () => {
    expect(
      entry({ createdDateTime: '0001-01-01T00:00:00Z', lastModifiedDateTime: '2026-02-03T04:05:06.7890123Z' }),
    ).toMatchObject({
      createdAt: null,
      lastModifiedAt: '2026-02-03T04:05:06Z',
    });
  });
});

describe('absurd input', () => {
  it.each([
    ['year 1', { start: time('0001-01-01T00:00:00') }],
    ['year 9999', { start: time('9999-12-31T23:59:59') }],
    ['no start', { start: null }],
    ['a start without a time', { start: { timeZone: 'UTC' } }],
    ['a start that is no date', { start: time('2026-02-30T00:00:00') }],
    ['year 1 all day', { isAllDay: true, start: time('0001-01-01T00:00:00') }],
  ])('gives a reason: %s', (_, fields) => {
    expect(singleSeries(readEvent(anEvent(fields)), owner)).toMatchObject({
      kind: 'unmappable',
      code: 'graph.no_start',
    });
  });

  it('of an exception that names no occurrence is set aside', () => {
    const parts = {
      master: readEvent(aMaster()),
      exceptions: [readEvent(anException())],
      cancelled: [],
      placed: new Map<string, string>(),
    };
    expect(ruleSeries(parts, utc, owner)).toMatchObject({ unplaced: [{ id: 'EVm1o2' }] });
  });

  it('of an occurrence id has no date', () => {
    expect(['', 'OID.x', 'OID.x.2026-13-01', 'OID.x.2026-05-12x', null].map(dateOfOccurrenceId)).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
    expect(dateOfOccurrenceId('OID.a.b=.2026-05-12')).toBe('2026-05-12');
  });

  it('never throws', () => {
    const anything = fc.anything({ withBigInt: false, maxDepth: 2 });
    const mangled = fc.dictionary(
      fc.constantFrom(
        ...Object.keys(aMaster()),
        'location',
        'locations',
        'onlineMeeting',
        'categories',
        'originalStart',
        'occurrenceId',
      ),
      anything,
    );
    const oddPattern = fc.record({
      pattern: fc.dictionary(
        fc.constantFrom('type', 'interval', 'month', 'dayOfMonth', 'daysOfWeek', 'index'),
        fc.oneof(anything, fc.constantFrom('daily', 'weekly', 'absoluteYearly', 'relativeMonthly')),
      ),
      range: anything,
    });
    fc.assert(
      fc.property(mangled, oddPattern, (fields, odd) => {
        const exceptions = [readEvent({ ...anException(), ...fields })];
        for (const master of [{ ...aMaster(), ...fields }, aMaster({ recurrence: odd })]) {
          const event = readEvent(master);
          singleSeries(event, owner);
          ruleSeries(
            { master: event, exceptions, cancelled: ['x', 'OID.1.2026-05-12'], placed: new Map() },
            utc,
            owner,
          );
        }
      }),
      { numRuns: 300 },
    );
  });
});
