import { describe, expect, it } from '@jest/globals';

import { slotKey } from '../../../src/calendar/slot-key.ts';
import { checkSeries, type Evidence, type Proven } from '../../../src/sources/graph/check-series.ts';
import type { KnownZone } from '../../../src/sources/graph/times.ts';
import { readEvent } from '../../../src/sources/graph/wire.ts';
import { aMaster, anException, berlin, newYork, owner, recurrence, time, type Json } from './wire-builders.ts';

const window = { from: '2026-01-01T00:00:00Z', to: '2027-06-01T00:00:00Z' };

interface Told {
  readonly master?: Json;
  readonly exceptions?: readonly Json[];
  readonly cancelled?: readonly string[] | null;
  /** Starts of plain occurrences. */
  readonly shown: readonly string[];
  /** How long they last; as long as the master by default. */
  readonly hours?: number;
  readonly mailboxZone?: KnownZone | null;
}

function check({
  master = aMaster(),
  exceptions = [],
  cancelled = [],
  shown,
  hours,
  mailboxZone = null,
}: Told): Proven {
  const plain = shown.map((start, index) => ({
    id: `o${index}`,
    type: 'occurrence',
    start: time(start),
    end: time(later(start, hours ?? lengthOf(master))),
  }));
  const evidence: Evidence = {
    master: readEvent(master),
    exceptions: exceptions.map(readEvent),
    cancelled,
    instances: [...plain, ...exceptions].map(readEvent),
    mailboxZone,
  };
  const proven = checkSeries(evidence, window, owner);
  if (proven.kind === 'unmappable') throw new Error(proven.reason);
  return proven;
}

function later(start: string, hours: number): string {
  return new Date(Date.parse(`${start}Z`) + hours * 3_600_000).toISOString().slice(0, 19);
}

function lengthOf(master: Json): number {
  const { start, end } = readEvent(master);
  return (Date.parse(`${end?.dateTime ?? ''}Z`) - Date.parse(`${start?.dateTime ?? ''}Z`)) / 3_600_000;
}

const excluded = ({ series }: Proven): string[] => series.excluded.map(slotKey);
const slots = ({ series }: Proven): string[] => series.overrides.map(({ slot }) => slotKey(slot));
const choir = ['2026-05-05T23:00:00', '2026-05-12T23:00:00', '2026-05-19T23:00:00'] as const;

/** Every Monday's 09:00 local time of a year as Graph tells it, the hour earlier in summer. */
function mondays(count: number, winter: string, summer: string, summerFrom: string, summerTo: string): string[] {
  return Array.from({ length: count }, (_, week) => {
    const date = new Date(Date.UTC(2026, 0, 5 + 7 * week)).toISOString().slice(0, 10);
    return `${date}T${date >= summerFrom && date < summerTo ? summer : winter}`;
  });
}

const monday = (zones: { recurrence: string; start: string }): Json =>
  aMaster({
    start: time('2026-01-05T08:00:00'),
    end: time('2026-01-05T09:00:00'),
    originalStartTimeZone: zones.start,
    originalEndTimeZone: zones.start,
    recurrence: recurrence(
      { daysOfWeek: ['monday'] },
      { startDate: '2026-01-05', recurrenceTimeZone: zones.recurrence },
    ),
  });
const inBerlin = mondays(73, '08:00:00', '07:00:00', '2026-03-29', '2026-10-25').map((at) =>
  at >= '2027-03-28' ? at.replace('T08', 'T07') : at,
);

describe('a series whose rule shows what Graph shows', () => {
  it('is proven', () => {
    expect(check({ shown: choir }).check).toEqual({ mode: 'rule', detail: null });
  });

  it('is proven with the zone of its start when that of the recurrence is wrong', () => {
    const proven = check({ master: monday({ recurrence: newYork, start: berlin }), shown: inBerlin });
    expect(proven.check).toEqual({ mode: 'zone', detail: 'counted in Europe/Berlin, not America/New_York' });
    expect(proven.series.main.start).toMatchObject({ zone: 'Europe/Berlin', local: '2026-01-05T09:00:00' });
  });

  it('is proven with a cancellation that is off by more than the rule can tell', () => {
    const daily = aMaster({
      recurrence: recurrence({ type: 'daily' }, { type: 'numbered', numberOfOccurrences: 4, startDate: '2026-05-05' }),
    });
    const shown = ['2026-05-05T23:00:00', '2026-05-07T23:00:00', '2026-05-08T23:00:00'];
    const proven = check({ master: daily, cancelled: ['OID.x.2026-05-07'], shown });
    expect(proven.check.mode).toBe('shifted');
    expect(excluded(proven)).toEqual(['2026-05-06T23:00:00Z']);
  });
});

describe('the length of occurrences', () => {
  it('is compared too', () => {
    const { check: told, series } = check({ shown: choir, hours: 2 });
    expect(told).toEqual({
      mode: 'list',
      detail: 'Shown date by date because its occurrences last longer or shorter than Graph shows',
    });
    expect(series.list?.[0]?.entry.end).toEqual({ kind: 'utc', instant: '2026-05-06T01:00:00Z' });
  });

  /** Nights from 22:00 to 06:00 in Berlin as Graph tells them: the clock's eight hours, whatever the night. */
  const nights = (startDate: string): Json =>
    aMaster({
      start: time(`${startDate}T20:00:00`),
      end: time(startDate === '2026-10-24' ? '2026-10-25T05:00:00' : later(`${startDate}T20:00:00`, 8)),
      originalStartTimeZone: berlin,
      originalEndTimeZone: berlin,
      recurrence: recurrence(
        { type: 'daily' },
        { type: 'numbered', numberOfOccurrences: 3, startDate, recurrenceTimeZone: berlin },
      ),
    });

  it.each([
    ['within the series', '2026-10-23', ['2026-10-23T20:00:00', '2026-10-24T20:00:00', '2026-10-25T21:00:00']],
    ['in its first night', '2026-10-24', ['2026-10-24T20:00:00', '2026-10-25T21:00:00', '2026-10-26T21:00:00']],
  ])('may differ by what the clocks are changed: %s', (_, startDate, shown) => {
    expect(check({ master: nights(startDate), shown, hours: 8 }).check.mode).toBe('rule');
    expect(check({ master: nights(startDate), shown, hours: 12 }).check.mode).toBe('list');
  });
});

describe('what a cloud does not tell', () => {
  it('is taken from what is missing: cancellations', () => {
    const proven = check({ cancelled: null, shown: [choir[0], choir[2]] });
    expect(proven.check.mode).toBe('rule');
    expect(excluded(proven)).toEqual(['2026-05-12T23:00:00Z']);
  });

  it('is found by elimination: slots of exceptions, the nearest first', () => {
    const exceptions = [
      anException({ id: 'x1', start: time('2026-05-13T20:00:00'), end: time('2026-05-13T21:00:00') }),
      anException({ id: 'x2', start: time('2026-05-18T20:00:00'), end: time('2026-05-18T21:00:00') }),
    ];
    const proven = check({ exceptions, shown: [choir[0]] });
    expect(proven.check.mode).toBe('rule');
    expect(slots(proven)).toEqual(['2026-05-12T23:00:00Z', '2026-05-19T23:00:00Z']);
    expect(proven.series.overrides[0]?.entry.start).toMatchObject({ local: '2026-05-13T16:00:00' });
  });

  it('is found by elimination: exceptions and cancellations at once', () => {
    const moved = anException({ id: 'x1', start: time('2026-05-13T20:00:00'), end: time('2026-05-13T21:00:00') });
    const proven = check({ exceptions: [moved], cancelled: null, shown: [choir[0]] });
    expect(slots(proven)).toEqual(['2026-05-12T23:00:00Z']);
    expect(excluded(proven)).toEqual(['2026-05-19T23:00:00Z']);
  });
});

describe('a series of a lost zone', () => {
  const lost = monday({ recurrence: 'Customized Time Zone', start: 'tzone://Microsoft/Custom' });

  it('takes the zone of the mailbox if it fits', () => {
    const mailboxZone = { kind: 'zone', zone: 'Europe/Berlin' } as const;
    expect(check({ master: lost, shown: inBerlin, mailboxZone }).check.mode).toBe('zone');
    const wrong = { kind: 'zone', zone: 'America/New_York' } as const;
    const untilApril = { type: 'endDate', startDate: '2026-01-05', endDate: '2026-04-27' };
    const short = {
      ...lost,
      recurrence: recurrence({ daysOfWeek: ['monday'] }, { ...untilApril, recurrenceTimeZone: '' }),
    };
    expect(check({ master: short, shown: inBerlin.slice(0, 17), mailboxZone: wrong }).check.mode).toBe('list');
  });

  it('takes a zone in which a full year begins at one time of day', () => {
    expect(check({ master: lost, shown: inBerlin }).check).toEqual({
      mode: 'zone',
      detail: 'counted in Europe/Berlin, which fits',
    });
    const inTokyo = mondays(74, '23:00:00', '23:00:00', '', '').map((at) => later(at, -24));
    const master = { ...lost, start: time('2026-01-04T23:00:00'), end: time('2026-01-05T00:00:00') };
    expect(check({ master, shown: inTokyo }).check.detail).toBe('counted in Asia/Tokyo, which fits');
  });

  it('takes a zone that fits when the one that it names does not', () => {
    const wrong = monday({ recurrence: newYork, start: newYork });
    expect(check({ master: wrong, shown: inBerlin }).check.detail).toBe('counted in Europe/Berlin, which fits');
  });

  it('takes a fixed offset only when a full year agrees', () => {
    const all = mondays(73, '08:00:00', '08:00:00', '', '');
    expect(check({ master: lost, shown: all }).check).toEqual({ mode: 'zone', detail: 'counted in UTC, which fits' });
    const until = {
      type: 'endDate',
      startDate: '2026-01-05',
      endDate: '2026-03-30',
      recurrenceTimeZone: 'Customized Time Zone',
    };
    const short = { ...lost, recurrence: recurrence({ daysOfWeek: ['monday'] }, until) };
    expect(check({ master: short, shown: all.slice(0, 13) }).check.mode).toBe('list');
  });
});

describe('a series that no rule reproduces', () => {
  it('is not excused by a cancellation a week away', () => {
    expect(check({ cancelled: ['OID.x.2026-05-19'], shown: [choir[0], choir[2]] }).check.mode).toBe('list');
  });

  it('is shown date by date, as Graph shows it', () => {
    const exception = anException({
      subject: 'Concert',
      start: time('2026-05-13T18:00:00'),
      end: time('2026-05-13T19:00:00'),
    });
    const { series, check: told } = check({
      exceptions: [exception],
      shown: ['2026-05-05T20:00:00', '2026-05-20T01:00:00'],
    });
    expect(told.mode).toBe('list');
    expect(series.recurrence).toBeNull();
    expect(series.list?.map(({ slot, entry }) => `${slotKey(slot)} ${entry.summary}`)).toEqual([
      '2026-05-05T20:00:00Z Choir',
      '2026-05-13T18:00:00Z Concert',
      '2026-05-20T01:00:00Z Choir',
    ]);
  });

  it.each([
    ['a pattern of an unknown type', recurrence({ type: 'lunar' })],
    ['none at all', null],
  ])('is shown date by date: %s', (_, odd) => {
    const { check: told, series } = check({ master: aMaster({ recurrence: odd }), shown: choir });
    expect(told.mode).toBe('list');
    expect(series.list).toHaveLength(3);
  });

  it('is not said to be proven by a window in which it does not happen', () => {
    const over = { type: 'endDate', startDate: '2020-05-05', endDate: '2020-05-19', recurrenceTimeZone: '' };
    const zones = { originalStartTimeZone: null, originalEndTimeZone: null };
    const lost = aMaster({ ...zones, start: time('2020-05-05T23:00:00'), recurrence: recurrence({}, over) });
    const mailboxZone = { kind: 'zone', zone: 'Europe/Berlin' } as const;
    expect(check({ master: lost, shown: [] }).check.mode).toBe('list');
    expect(check({ master: lost, shown: [], mailboxZone }).check.mode).toBe('list');
  });
});
