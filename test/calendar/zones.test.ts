import { describe, expect, it } from '@jest/globals';
import ICAL from 'ical.js';
import { civilOf, daysOf, formatLocal, monthLength, tryParseLocal, weekdayOf } from '../../src/calendar/civil.ts';
import { inFormOf, slotKey } from '../../src/calendar/slot-key.ts';
import { vtimezoneFor } from '../../src/calendar/vtimezone.ts';
import { canonicalZone, isSecondPass, isZone, offsetAt, toInstant, toLocal } from '../../src/calendar/zones.ts';
import { day, floating, utc, zoned } from './builders.ts';

describe('days as numbers', () => {
  it('agree with Date through four hundred years', () => {
    for (let days = daysOf(1800, 1, 1); days < daysOf(2200, 1, 1); days += 17) {
      const date = new Date(days * 86_400_000);
      expect([civilOf(days).year, civilOf(days).month, civilOf(days).day, weekdayOf(days)]).toEqual([
        date.getUTCFullYear(),
        date.getUTCMonth() + 1,
        date.getUTCDate(),
        (date.getUTCDay() + 6) % 7,
      ]);
    }
  });

  it.each(['2026-02-29', '2026-13-01', '2026-00-10', '0000-01-01', '2026-01-01T24:00:00', '2026-1-1', 'tomorrow', ''])(
    'do not exist for %j',
    (text) => {
      expect(tryParseLocal(text)).toBeNull();
    },
  );

  it('reach from the year 1 to 9999', () => {
    for (const text of ['0001-01-01T00:00:00', '9999-12-31T23:59:59'])
      expect(formatLocal(tryParseLocal(text) ?? 0)).toBe(text);
    expect([monthLength(1900, 2), monthLength(2000, 2)]).toEqual([28, 29]);
  });
});

describe('an instant and its wall clock', () => {
  it.each([
    ['Europe/Berlin', '2026-07-01T09:00:00', '2026-07-01T07:00:00Z'],
    ['America/New_York', '2026-01-15T09:00:00', '2026-01-15T14:00:00Z'],
    ['Asia/Kathmandu', '2026-01-15T09:00:00', '2026-01-15T03:15:00Z'],
    ['Australia/Lord_Howe', '2026-01-15T09:00:00', '2026-01-14T22:00:00Z'],
    ['America/Sao_Paulo', '2018-12-15T09:00:00', '2018-12-15T11:00:00Z'],
    ['America/Sao_Paulo', '2026-12-15T09:00:00', '2026-12-15T12:00:00Z'],
    ['Pacific/Apia', '2011-12-29T09:00:00', '2011-12-29T19:00:00Z'],
    ['Pacific/Apia', '2011-12-31T09:00:00', '2011-12-30T19:00:00Z'],
    ['Europe/Berlin', '1880-01-01T00:00:00', '1879-12-31T23:06:32Z'],
  ])('in %s: %s is %s', (zone, local, instant) => {
    expect(toInstant(zoned(local, zone)).toISOString()).toBe(`${instant.slice(0, -1)}.000Z`);
    expect(toLocal(new Date(instant), zone)).toBe(local);
  });

  it('reads the hour that spring skips with the offset before it', () => {
    expect(toInstant(zoned('2026-03-29T02:30:00')).toISOString()).toBe('2026-03-29T01:30:00.000Z');
  });

  it('reads the hour that autumn doubles as the first of the two', () => {
    expect(toInstant(zoned('2026-10-25T02:30:00')).toISOString()).toBe('2026-10-25T00:30:00.000Z');
  });

  it.each([
    ['2026-10-25T00:30:00Z', false],
    ['2026-10-25T01:00:00Z', true],
    ['2026-10-25T01:59:59Z', true],
    ['2026-10-25T02:00:00Z', false],
    ['2026-03-29T01:00:00Z', false],
  ])('%s is the second pass: %p', (instant, expected) => {
    expect(isSecondPass(new Date(instant), 'Europe/Berlin')).toBe(expected);
  });

  it('takes dates as midnight UTC, floating times in the zone asked for, unknown zones as UTC', () => {
    expect(toInstant(day('2026-07-01')).toISOString()).toBe('2026-07-01T00:00:00.000Z');
    expect(toInstant(floating('2026-07-01T09:00:00'), 'Asia/Tokyo').toISOString()).toBe('2026-07-01T00:00:00.000Z');
    expect(toInstant(zoned('2026-07-01T09:00:00', 'Mars/Olympus')).toISOString()).toBe('2026-07-01T09:00:00.000Z');
  });

  it('comes back from every hour of a year in zones of all kinds', () => {
    for (const zone of [
      'Europe/Dublin',
      'America/St_Johns',
      'Africa/Casablanca',
      'Asia/Tehran',
      'Africa/Cairo',
      'Pacific/Chatham',
    ]) {
      for (let at = Date.UTC(2025, 0, 1); at < Date.UTC(2026, 0, 1); at += 3_600_000) {
        const instant = new Date(at);
        const again = toInstant(zoned(toLocal(instant, zone), zone));
        expect(again.getTime() === at).toBe(!isSecondPass(instant, zone));
      }
    }
  });
});

describe('names of zones', () => {
  it.each(['Europe/Berlin', 'europe/berlin', 'US/Pacific', 'Etc/GMT+5', 'EST5EDT', 'UTC'])('knows %s', (name) => {
    expect(isZone(name)).toBe(true);
  });

  it.each(['', '+01:00', 'W. Europe Standard Time', 'Mars/Olympus', '../../etc/passwd', 'Europe/Berlin\r\nX:1'])(
    'does not know %j',
    (name) => {
      expect(isZone(name)).toBe(false);
    },
  );

  it('writes each zone in one spelling', () => {
    expect([canonicalZone('Europe/Kyiv'), canonicalZone('Asia/Kolkata'), canonicalZone('nowhere')]).toEqual([
      'Europe/Kiev',
      'Asia/Calcutta',
      null,
    ]);
  });
});

describe('slots', () => {
  it('have one key in whatever form they are written', () => {
    expect([slotKey(zoned('2026-07-01T09:00:00')), slotKey(utc('2026-07-01T07:00:00Z'))]).toEqual([
      '2026-07-01T07:00:00Z',
      '2026-07-01T07:00:00Z',
    ]);
    expect([slotKey(day('2026-07-01')), slotKey(floating('2026-07-01T09:00:00'))]).toEqual([
      '2026-07-01',
      '2026-07-01T09:00:00',
    ]);
  });

  it('take the form of their series', () => {
    const start = zoned('2026-07-01T09:00:00');

    expect(inFormOf(day('2026-07-08'), start)).toEqual(zoned('2026-07-08T09:00:00'));
    expect(inFormOf(utc('2026-07-08T07:00:00Z'), start)).toEqual(zoned('2026-07-08T09:00:00'));
    expect(inFormOf(utc('2026-07-08T07:00:00Z'), day('2026-07-01'))).toEqual(day('2026-07-08'));
    expect(inFormOf(zoned('2026-07-08T03:00:00', 'America/New_York'), start)).toEqual(zoned('2026-07-08T09:00:00'));
  });
});

describe('a zone’s definition', () => {
  /** Offset that ical.js computes from our component: another program's reading of it. */
  function readOffset(zone: string, from: number, to: number): (at: number) => number {
    const component = new ICAL.Component(vtimezoneFor(zone, from, to) as unknown as unknown[]);
    const read = new ICAL.Timezone({ component, tzid: zone });
    return (at) => {
      const local = formatLocal(at + offsetAt(zone, at));
      const time = ICAL.Time.fromDateTimeString(local, undefined);
      time.zone = read;
      return read.utcOffset(time);
    };
  }

  it.each([
    ['America/New_York', 2006, 2030],
    ['Europe/Berlin', 1994, 2040],
    ['Australia/Sydney', 2006, 2030],
    ['Asia/Tehran', 2015, 2030],
    ['Africa/Casablanca', 2017, 2030],
    ['Pacific/Apia', 2009, 2023],
    ['Africa/Cairo', 2008, 2032],
    ['America/Sao_Paulo', 2009, 2030],
    ['Asia/Jerusalem', 2010, 2032],
    ['America/Santiago', 2014, 2032],
    ['Europe/Moscow', 2009, 2026],
    ['America/Phoenix', 2020, 2030],
  ])('of %s is true from %i to %i', (zone, from, to) => {
    const read = readOffset(zone, from, to);
    const wrong: string[] = [];
    for (let at = Date.UTC(from, 0, 1, 11) / 1_000; at < Date.UTC(to + 1, 0, 1) / 1_000; at += 86_400) {
      const isDouble = toInstant(zoned(toLocal(new Date(at * 1_000), zone), zone)).getTime() !== at * 1_000;
      if (!isDouble && read(at) !== offsetAt(zone, at)) wrong.push(new Date(at * 1_000).toISOString());
    }
    expect(wrong).toEqual([]);
  });

  it('ends in two yearly rules where the zone is regular, however far the years reach', () => {
    const [, properties, observances] = vtimezoneFor('Europe/Berlin', 2026, 2070);

    expect(properties).toEqual([['tzid', {}, 'text', 'Europe/Berlin']]);
    expect(observances).toHaveLength(2);
  });

  it.each([
    ['Europe/Kyiv', 'Europe/Kiev', 'Europe/Kyiv'],
    ['America/Nuuk', 'America/Godthab', 'America/Nuuk'],
  ])('of %s has its new name beside the old one, for servers that know no other', (zone, old, now) => {
    expect(vtimezoneFor(zone, 2026, 2028)[1]).toEqual([
      ['tzid', {}, 'text', old],
      ['x-lic-location', {}, 'unknown', now],
    ]);
  });

  it('is one observance where clocks never change', () => {
    expect(vtimezoneFor('Asia/Tokyo', 2026, 2028)[2]).toHaveLength(1);
  });

  it('is UTC for a zone that nobody knows', () => {
    expect(vtimezoneFor('Mars/Olympus', 2026, 2028)[1]).toEqual([['tzid', {}, 'text', 'UTC']]);
  });

  it('is the same object for the same question', () => {
    expect(vtimezoneFor('Europe/Rome', 2026, 2028)).toBe(vtimezoneFor('Europe/Rome', 2026, 2028));
  });
});
