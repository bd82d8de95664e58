import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { expandSeries, expandText } from '../../src/calendar/expand.ts';
import { parseCalendar } from '../../src/calendar/parse.ts';
import type { ParsedCalendar } from '../../src/calendar/parse.ts';
import { renderSeries } from '../../src/calendar/render.ts';
import type { Entry, Series } from '../../src/calendar/series.ts';
import { SyncError } from '../../src/shared/errors.ts';
import { defaultOptions } from './golden.ts';

const window = { from: '2026-01-01T00:00:00Z', to: '2027-01-01T00:00:00Z' };

function calendar(...lines: readonly string[]): string {
  return ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Test//EN', ...lines, 'END:VCALENDAR', ''].join('\r\n');
}

function event(...lines: readonly string[]): string {
  return ['BEGIN:VEVENT', 'UID:e1', 'DTSTAMP:20260101T000000Z', ...lines, 'END:VEVENT'].join('\r\n');
}

function onlySeries(parsed: ParsedCalendar): Series {
  const [resource] = parsed.resources;
  const [series] = resource?.series ?? [];
  if (series === undefined) throw new Error('no series was read');
  return series;
}

function read(...lines: readonly string[]): Series {
  return onlySeries(parseCalendar(calendar(event(...lines))));
}

function readMain(...lines: readonly string[]): Entry {
  return read('DTSTART:20260701T070000Z', 'DTEND:20260701T080000Z', ...lines).main;
}

function starts(text: string): string[] {
  return expandText(text, window).map(({ start }) => start);
}

describe('times as other programs write them', () => {
  it.each([
    ['an IANA name', 'DTSTART;TZID=Europe/Berlin:20260701T090000'],
    ['a quoted name', 'DTSTART;TZID="Europe/Berlin":20260701T090000'],
    ['a globally unique name', 'DTSTART;TZID=/mozilla.org/20050126_1/Europe/Berlin:20260701T090000'],
    ['another one', 'DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Berlin:20260701T090000'],
    ['a Windows name', 'DTSTART;TZID=W. Europe Standard Time:20260701T090000'],
    [
      'an Outlook display name',
      'DTSTART;TZID="(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna":20260701T090000',
    ],
  ])('finds the zone behind %s', (_what, line) => {
    expect(read(line).main.start).toEqual({ kind: 'zoned', local: '2026-07-01T09:00:00', zone: 'Europe/Berlin' });
  });

  it.each(['UTC', 'Etc/UTC', 'GMT', 'Z'])('reads TZID=%s as UTC', (zone) => {
    expect(read(`DTSTART;TZID=${zone}:20260701T090000`).main.start).toEqual({
      kind: 'utc',
      instant: '2026-07-01T09:00:00Z',
    });
  });

  const customZone = (
    tzid: string,
    standard: string,
    daylight: string,
    rules: readonly [string, string],
    hour = '03',
  ): string =>
    [
      'BEGIN:VTIMEZONE',
      `TZID:${tzid}`,
      'BEGIN:STANDARD',
      `DTSTART:16010101T${hour}0000`,
      `TZOFFSETFROM:${daylight}`,
      `TZOFFSETTO:${standard}`,
      `RRULE:FREQ=YEARLY;INTERVAL=1;${rules[1]}`,
      'END:STANDARD',
      'BEGIN:DAYLIGHT',
      'DTSTART:16010101T020000',
      `TZOFFSETFROM:${standard}`,
      `TZOFFSETTO:${daylight}`,
      `RRULE:FREQ=YEARLY;INTERVAL=1;${rules[0]}`,
      'END:DAYLIGHT',
      'END:VTIMEZONE',
    ].join('\r\n');

  it('recognises a zone with a name of its own by its rules', () => {
    const zone = customZone('Customized Time Zone', '+0100', '+0200', [
      'BYDAY=-1SU;BYMONTH=3',
      'BYDAY=-1SU;BYMONTH=10',
    ]);
    const { resources, problems } = parseCalendar(
      calendar(zone, event('DTSTART;TZID=Customized Time Zone:20260701T090000', 'RRULE:FREQ=WEEKLY')),
    );

    expect(problems).toEqual([]);
    expect(resources[0]?.series[0]?.main.start).toEqual({
      kind: 'zoned',
      local: '2026-07-01T09:00:00',
      zone: 'Europe/Berlin',
    });
  });

  it('tells zones apart whose changes lie a week from each other', () => {
    const zone = customZone('Eastern', '-0500', '-0400', ['BYDAY=1SU;BYMONTH=4', 'BYDAY=-1SU;BYMONTH=10'], '02');
    const { resources, problems } = parseCalendar(calendar(zone, event('DTSTART;TZID=Eastern:20260701T090000')));

    expect(resources[0]?.series[0]?.main.start).toEqual({ kind: 'utc', instant: '2026-07-01T13:00:00Z' });
    expect(problems.map(({ code }) => code)).toEqual(['ical.zone_converted']);
  });

  it('recognises today’s rules in a calendar with events from before them', () => {
    const zone = customZone('Outlook', '-0500', '-0400', ['BYDAY=2SU;BYMONTH=3', 'BYDAY=1SU;BYMONTH=11'], '02');
    const old = event('DTSTART;TZID=Outlook:20050701T090000').replace('UID:e1', 'UID:old');
    const { resources, problems } = parseCalendar(calendar(zone, event('DTSTART;TZID=Outlook:20260701T090000'), old));

    expect(problems).toEqual([]);
    expect(resources.map(({ series }) => series[0]?.main.start)).toEqual([
      { kind: 'zoned', local: '2026-07-01T09:00:00', zone: 'America/New_York' },
      { kind: 'zoned', local: '2005-07-01T09:00:00', zone: 'America/New_York' },
    ]);
  });

  it('keeps the wall clock of a custom zone that never changes', () => {
    const zone = [
      'BEGIN:VTIMEZONE',
      'TZID:Ship',
      'BEGIN:STANDARD',
      'DTSTART:19700101T000000',
      'TZOFFSETFROM:-0200',
      'TZOFFSETTO:-0200',
      'END:STANDARD',
      'END:VTIMEZONE',
    ].join('\r\n');
    const parsed = parseCalendar(calendar(zone, event('DTSTART;TZID=Ship:20260701T090000', 'RRULE:FREQ=DAILY')));

    expect(onlySeries(parsed).main.start).toEqual({ kind: 'zoned', local: '2026-07-01T09:00:00', zone: 'Etc/GMT+2' });
  });

  it('falls back to the calendar’s own zone for a name that nobody knows, and says so', () => {
    const { resources, problems } = parseCalendar(
      calendar('X-WR-TIMEZONE:Europe/Paris', event('DTSTART;TZID=Nowhere:20260701T090000')),
    );

    expect(resources[0]?.series[0]?.main.start).toEqual({
      kind: 'zoned',
      local: '2026-07-01T09:00:00',
      zone: 'Europe/Paris',
    });
    expect(problems).toEqual([
      { code: 'ical.zone_unknown', reason: expect.any(String) as unknown as string, uid: 'e1' },
    ]);
  });

  it('reads a zone that nobody knows as the reader’s own clock where the calendar names none', () => {
    expect(read('DTSTART;TZID=Nowhere:20260701T090000').main.start).toEqual({
      kind: 'floating',
      local: '2026-07-01T09:00:00',
    });
  });

  it.each([
    ['DURATION', ['DTSTART;TZID=Europe/Berlin:20260701T090000', 'DURATION:PT1H30M'], '2026-07-01T10:30:00'],
    [
      'DTEND',
      ['DTSTART;TZID=Europe/Berlin:20260701T090000', 'DTEND;TZID=Europe/Berlin:20260701T103000'],
      '2026-07-01T10:30:00',
    ],
  ])('reads the end from %s', (_what, lines, local) => {
    expect(read(...lines).main.end).toEqual({ kind: 'zoned', local, zone: 'Europe/Berlin' });
  });

  it.each([
    ['no end', ['DTSTART;VALUE=DATE:20260701'], '2026-07-02'],
    ['a duration', ['DTSTART;VALUE=DATE:20260701', 'DURATION:P3D'], '2026-07-04'],
    ['an end on the start', ['DTSTART;VALUE=DATE:20260701', 'DTEND;VALUE=DATE:20260701'], '2026-07-02'],
    ['a date without VALUE', ['DTSTART:20260701', 'DTEND:20260703'], '2026-07-03'],
  ])('gives an all-day event with %s its last day', (_what, lines, date) => {
    expect(read(...lines).main.end).toEqual({ kind: 'date', date });
  });

  it('reads Outlook’s mark of an all-day event written from midnight to midnight', () => {
    const { main } = read(
      'DTSTART;TZID=Europe/Berlin:20260701T000000',
      'DTEND;TZID=Europe/Berlin:20260703T000000',
      'X-MICROSOFT-CDO-ALLDAYEVENT:TRUE',
    );

    expect([main.start, main.end]).toEqual([
      { kind: 'date', date: '2026-07-01' },
      { kind: 'date', date: '2026-07-03' },
    ]);
  });

  it('has no length when the end lies before the start', () => {
    expect(read('DTSTART:20260701T090000Z', 'DTEND:20260701T080000Z').main.end).toBeNull();
  });
});

describe('series as other programs write them', () => {
  it('reads EXDATE in one line, as dates and in UTC', () => {
    const series = read(
      'DTSTART;TZID=Europe/Berlin:20260701T090000',
      'RRULE:FREQ=DAILY;COUNT=8',
      'EXDATE;TZID=Europe/Berlin:20260702T090000,20260703T090000',
      'EXDATE;VALUE=DATE:20260704',
      'EXDATE:20260705T070000Z',
    );

    expect(series.excluded.map((slot) => (slot.kind === 'zoned' ? slot.local : slot.kind))).toEqual([
      '2026-07-02T09:00:00',
      '2026-07-03T09:00:00',
      '2026-07-04T09:00:00',
      '2026-07-05T09:00:00',
    ]);
  });

  it('puts overrides on their slots, written with another zone or in UTC', () => {
    const text = calendar(
      event('RECURRENCE-ID:20260702T070000Z', 'DTSTART:20260702T100000Z', 'DTEND:20260702T110000Z'),
      event(
        'DTSTART;TZID=Europe/Berlin:20260701T090000',
        'DTEND;TZID=Europe/Berlin:20260701T100000',
        'RRULE:FREQ=DAILY;COUNT=3',
      ),
    );

    expect(onlySeries(parseCalendar(text)).overrides[0]?.slot).toEqual({
      kind: 'zoned',
      local: '2026-07-02T09:00:00',
      zone: 'Europe/Berlin',
    });
    expect(starts(text)).toEqual(['2026-07-01T07:00:00Z', '2026-07-02T10:00:00Z', '2026-07-03T07:00:00Z']);
  });

  it('makes exceptions without a master orphans with their slots', () => {
    const { resources } = parseCalendar(
      calendar(
        event('RECURRENCE-ID;TZID=Europe/Berlin:20260702T090000', 'DTSTART;TZID=Europe/Berlin:20260702T110000'),
        event('RECURRENCE-ID;TZID=Europe/Berlin:20260709T090000', 'DTSTART;TZID=Europe/Berlin:20260709T110000'),
      ),
    );

    expect(resources[0]?.series.map(({ slot, recurrence }) => [slot, recurrence])).toEqual([
      ['2026-07-02T07:00:00Z', null],
      ['2026-07-09T07:00:00Z', null],
    ]);
  });

  it('reads extra dates, periods and those without a rule', () => {
    const text = calendar(
      event(
        'DTSTART:20260701T070000Z',
        'DTEND:20260701T080000Z',
        'RDATE:20260703T070000Z,20260705T070000Z',
        'RDATE;VALUE=PERIOD:20260707T070000Z/PT1H',
      ),
    );

    expect(starts(text)).toEqual([
      '2026-07-01T07:00:00Z',
      '2026-07-03T07:00:00Z',
      '2026-07-05T07:00:00Z',
      '2026-07-07T07:00:00Z',
    ]);
  });

  const changedFrom = (rule: string, ...change: string[]): string =>
    calendar(
      event('DTSTART;TZID=Europe/Berlin:20260706T090000', 'DTEND;TZID=Europe/Berlin:20260706T100000', rule),
      event('RECURRENCE-ID;TZID=Europe/Berlin;RANGE=THISANDFUTURE:20260720T090000', ...change),
    );

  it('splits a series that changes from one occurrence on', () => {
    const text = changedFrom(
      'RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=4',
      'DTSTART;TZID=Europe/Berlin:20260721T110000',
      'DTEND;TZID=Europe/Berlin:20260721T120000',
    );

    expect(starts(text)).toEqual([
      '2026-07-06T07:00:00Z',
      '2026-07-13T07:00:00Z',
      '2026-07-21T09:00:00Z',
      '2026-07-28T09:00:00Z',
    ]);
    expect(parseCalendar(text).resources[0]?.series.map(({ uid }) => uid)).toEqual(['e1', 'e1/2026-07-20T07:00:00Z']);
  });

  it('changes the whole series when the first occurrence is the one', () => {
    const text = changedFrom('RRULE:FREQ=WEEKLY;COUNT=2', 'DTSTART;TZID=Europe/Berlin:20260706T110000').replace(
      '20260720T090000',
      '20260706T090000',
    );

    expect(starts(text)).toEqual(['2026-07-06T09:00:00Z', '2026-07-13T09:00:00Z']);
    expect(parseCalendar(text).resources[0]?.series.map(({ uid }) => uid)).toEqual(['e1']);
  });

  it('changes only the one occurrence when the rule cannot move along', () => {
    const text = changedFrom(
      'RRULE:FREQ=MONTHLY;BYDAY=1MO,3MO;COUNT=4',
      'DTSTART;TZID=Europe/Berlin:20260721T110000',
      'DTEND;TZID=Europe/Berlin:20260721T120000',
    );

    expect(starts(text)).toEqual([
      '2026-07-06T07:00:00Z',
      '2026-07-21T09:00:00Z',
      '2026-08-03T07:00:00Z',
      '2026-08-17T07:00:00Z',
    ]);
  });
});

describe('what an event says', () => {
  it('reads Outlook’s own properties', () => {
    expect(
      readMain(
        'X-MICROSOFT-CDO-BUSYSTATUS:OOF',
        'X-MICROSOFT-CDO-IMPORTANCE:2',
        'X-MICROSOFT-DISALLOW-COUNTER:TRUE',
        'X-MICROSOFT-SKYPETEAMSMEETINGURL:https://teams.microsoft.com/l/meetup-join/1',
        'CLASS:CONFIDENTIAL',
      ),
    ).toMatchObject({
      showAs: 'oof',
      importance: 'high',
      disallowCounter: true,
      joinUrl: 'https://teams.microsoft.com/l/meetup-join/1',
      sensitivity: 'confidential',
    });
  });

  it('reads Apple’s place and carries other properties through', () => {
    const main = readMain(
      'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-APPLE-RADIUS=70;X-TITLE=Office:geo:52.5,13.4',
      'X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC',
      'X-MOZ-LASTACK:20260101T000000Z',
      'X-TEAM:blue',
    );

    expect(main.place).toEqual({ latitude: 52.5, longitude: 13.4, title: 'Office' });
    expect(main.foreign.map(([name]) => name)).toEqual(['x-apple-travel-advisory-behavior', 'x-team']);
  });

  it('reads people, whatever their parameters look like, and the owner’s answer', () => {
    const text = calendar(
      event(
        'DTSTART:20260701T070000Z',
        'ORGANIZER;CN="Boss, The":MAILTO:boss@contoso.example',
        'ATTENDEE;MEMBER="mailto:team@contoso.example","mailto:all@contoso.example";PARTSTAT=DECLINED:mailto:Ann@contoso.example',
        'ATTENDEE;CUTYPE=ROOM;ROLE=NON-PARTICIPANT:mailto:room@contoso.example',
        'ATTENDEE;CN=Nobody:invalid:nomail',
      ),
    );
    const { main } = onlySeries(parseCalendar(text, { self: ['ann@CONTOSO.example'] }));

    expect(main.organizer).toEqual({ address: 'boss@contoso.example', name: 'Boss, The' });
    expect(main.attendees.map(({ address, kind }) => [address, kind])).toEqual([
      ['Ann@contoso.example', 'individual'],
      ['room@contoso.example', 'room'],
    ]);
    expect(main.answer).toBe('declined');
  });

  it.each([
    [['BEGIN:VALARM', 'ACTION:DISPLAY', 'TRIGGER:-PT15M', 'END:VALARM'], 15],
    [['BEGIN:VALARM', 'ACTION:AUDIO', 'TRIGGER;VALUE=DATE-TIME:20260701T063000Z', 'END:VALARM'], 30],
    [['BEGIN:VALARM', 'ACTION:NONE', 'TRIGGER;VALUE=DATE-TIME:19760401T005545Z', 'END:VALARM'], null],
    [['BEGIN:VALARM', 'ACTION:EMAIL', 'TRIGGER:-PT15M', 'END:VALARM'], null],
    [['BEGIN:VALARM', 'ACTION:DISPLAY', 'TRIGGER:-P1D', 'END:VALARM', 'BEGIN:VALARM', 'TRIGGER:PT0S', 'END:VALARM'], 0],
  ])('takes the nearest alarm before the start: %j is %p', (lines, minutes) => {
    expect(readMain(...lines).reminder).toBe(minutes);
  });

  it('treats an unknown class as private, as the standard asks', () => {
    expect(readMain('CLASS:X-SECRET').sensitivity).toBe('private');
  });

  it('cleans and caps texts', () => {
    const main = readMain(`SUMMARY:a\u0007b\\nc${'d'.repeat(600)}`, `DESCRIPTION:${'x'.repeat(5_000_000)}`);

    expect(main.summary).toMatch(/^ab cd+$/);
    expect(main.summary?.length).toBeLessThanOrEqual(500);
    expect(main.description?.length).toBeLessThanOrEqual(32_000);
  });
});

describe('faulty calendars', () => {
  const good = event('DTSTART:20260701T070000Z', 'SUMMARY:Good').replace('UID:e1', 'UID:good');

  it.each([
    ['nothing', ''],
    ['a web page', '<!doctype html><title>Sign in</title>'],
    ['a card', 'BEGIN:VCARD\r\nVERSION:4.0\r\nFN:X\r\nEND:VCARD\r\n'],
    ['binary', '\u0000\u0001\u0002'],
  ])('refuses %s with a code', (_what, text) => {
    let thrown: unknown;
    try {
      parseCalendar(text);
    } catch (error) {
      thrown = error;
    }

    expect(thrown).toBeInstanceOf(SyncError);
    expect((thrown as SyncError).code).toBe('ical.unreadable');
  });

  it.each([
    ['a line without a colon', event('DTSTART:20260701T070000Z', 'rubbish without end'), 'ical.line_unreadable'],
    [
      'a quote that never ends',
      event('DTSTART:20260701T070000Z', 'ATTENDEE;CN="x:mailto:a@b.example'),
      'ical.line_unreadable',
    ],
    ['an unknown frequency', event('DTSTART:20260701T070000Z', 'RRULE:FREQ=FORTNIGHTLY'), 'ical.line_unreadable'],
    ['an impossible day', event('DTSTART:20260701T070000Z', 'RRULE:FREQ=WEEKLY;BYDAY=XX'), 'ical.line_unreadable'],
    [
      'a calendar of its own',
      event('DTSTART:20260701T070000Z', 'RRULE:RSCALE=CHINESE;FREQ=YEARLY'),
      'ical.rule_unreadable',
    ],
    ['no start', event('SUMMARY:x'), 'ical.start_missing'],
    ['a start that does not exist', event('DTSTART:20260230T070000Z'), 'ical.start_missing'],
    ['an empty start', event('DTSTART:'), 'ical.start_missing'],
    ['an exception without a slot', event('RECURRENCE-ID:', 'DTSTART:20260701T070000Z'), 'ical.slot_unreadable'],
  ])('reports %s and reads the rest', (_what, bad, code) => {
    const { resources, problems } = parseCalendar(calendar(bad, good));

    expect(problems.map((problem) => problem.code)).toContain(code);
    expect(problems.every(({ reason }) => !/rubbish/i.test(reason))).toBe(true);
    expect(resources.map(({ uid }) => uid)).toContain('good');
  });

  it('ends components that were never ended', () => {
    const { resources } = parseCalendar(`BEGIN:VCALENDAR\r\n${good.replace('\r\nEND:VEVENT', '')}`);

    expect(resources.map(({ uid }) => uid)).toEqual(['good']);
  });

  it('reads several calendars, old line ends and a byte order mark', () => {
    const text = `\uFEFF${calendar(good)}${calendar(good.replace('UID:good', 'UID:other'))}`.replaceAll('\r\n', '\r');

    expect(parseCalendar(text).resources.map(({ uid }) => uid)).toEqual(['good', 'other']);
  });

  it('gives events without UID one that the next reading finds again', () => {
    const text = calendar(event('DTSTART:20260701T070000Z', 'SUMMARY:a').replace('UID:e1\r\n', ''));
    const [first] = parseCalendar(text).resources;

    expect(first?.uid).toMatch(/^no-uid-[0-9a-f]{32}$/);
    expect(parseCalendar(text).resources[0]?.uid).toBe(first?.uid);
    expect(first?.series[0]?.uid).toBeNull();
  });

  it('takes the newest of several masters with one UID', () => {
    const { resources, problems } = parseCalendar(
      calendar(
        event('DTSTART:20260701T070000Z', 'SEQUENCE:2', 'SUMMARY:new'),
        event('DTSTART:20260701T070000Z', 'SEQUENCE:1', 'SUMMARY:old'),
      ),
    );

    expect(resources[0]?.series.map(({ main }) => main.summary)).toEqual(['new']);
    expect(problems.map(({ code }) => code)).toEqual(['ical.master_repeated']);
  });

  it('ignores tasks and journals', () => {
    const { resources, problems } = parseCalendar(calendar('BEGIN:VTODO', 'UID:t', 'END:VTODO', good));

    expect([resources.length, problems.length]).toEqual([1, 0]);
  });

  const badValues = [
    '',
    '20260701T070000Z',
    '00010101T000000Z',
    '16010101T000000',
    '99991231T235959Z',
    '20261301',
    'FREQ=SECONDLY;COUNT=999999999',
    'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30',
    'FREQ=DAILY;INTERVAL=0',
    'FREQ=DAILY;COUNT=0',
    'FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30',
    'P999999999999W',
    '-PT1S',
    '\ud800',
    'null',
    '1e999',
  ];
  const badLine = fc
    .tuple(
      fc.constantFrom(
        'DTSTART',
        'DTEND',
        'DURATION',
        'RRULE',
        'EXDATE',
        'RDATE',
        'RECURRENCE-ID',
        'GEO',
        'SEQUENCE',
        'X-A',
        'CLASS',
        'ATTENDEE',
        'UID',
      ),
      fc.constantFrom('', ';VALUE=DATE', ';TZID=Mars', ';VALUE=PERIOD', ';RANGE=THISANDFUTURE', ';X="', ';='),
      fc.oneof(fc.constantFrom(...badValues), fc.string()),
    )
    .map(([name, parameter, value]) => `${name}${parameter}:${value}`);

  it('never throws for any rubbish inside a calendar, and what it reads can be expanded and rendered', () => {
    fc.assert(
      fc.property(fc.array(fc.array(badLine, { maxLength: 6 }), { maxLength: 3 }), (events) => {
        const { resources } = parseCalendar(
          calendar(...events.map((lines) => event('DTSTART:20260701T070000Z', ...lines)), good),
        );
        expect(resources.length).toBeGreaterThan(0);
        for (const series of resources.flatMap((resource) => resource.series)) {
          expandSeries(series, window);
          for (const { text } of renderSeries(series, defaultOptions))
            expect(parseCalendar(text).resources).toHaveLength(1);
        }
      }),
      { numRuns: 200 },
    );
  }, 120_000);
});
