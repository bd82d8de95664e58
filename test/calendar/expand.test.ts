import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { expandSeries, maxInstances } from '../../src/calendar/expand.ts';
import { formatRule, parseRule } from '../../src/calendar/rule.ts';
import type { Series } from '../../src/calendar/series.ts';
import { anEntry, anOverride, aSeries, day, floating, recurring, utc, zoned } from './builders.ts';

const window = { from: '2026-01-01T00:00:00Z', to: '2028-01-01T00:00:00Z' };

function starts(series: Series, span = window): string[] {
  return expandSeries(series, span).map(({ start }) => start);
}

describe('what overlaps a window', () => {
  const span = { from: '2026-07-01T08:00:00Z', to: '2026-07-01T10:00:00Z' };

  it.each([
    ['ends as it begins', '2026-07-01T07:00:00Z', '2026-07-01T08:00:00Z', false],
    ['reaches into it', '2026-07-01T07:00:00Z', '2026-07-01T08:00:01Z', true],
    ['spans it', '2026-06-01T07:00:00Z', '2026-08-01T08:00:00Z', true],
    ['begins as it ends', '2026-07-01T10:00:00Z', '2026-07-01T11:00:00Z', false],
  ])('an event that %s: %s to %s', (_what, from, to, isShown) => {
    const series = aSeries({ main: anEntry({ start: utc(from), end: utc(to) }) });

    expect(starts(series, span)).toEqual(isShown ? [from] : []);
  });

  it('includes a moment without length at its beginning', () => {
    expect(starts(aSeries({ main: anEntry({ start: utc(span.from), end: null }) }), span)).toEqual([span.from]);
  });

  it('includes an occurrence that began long before it', () => {
    const month = recurring('FREQ=MONTHLY', utc('2020-01-01T00:00:00Z'), utc('2020-01-30T00:00:00Z'));

    expect(starts(month, span)).toEqual(['2026-07-01T00:00:00Z']);
    expect(starts(month, { from: '2026-07-29T12:00:00Z', to: '2026-07-29T13:00:00Z' })).toEqual([
      '2026-07-01T00:00:00Z',
    ]);
  });
});

describe('an instance', () => {
  it('names start, end and slot of a zoned occurrence in UTC', () => {
    const series = recurring('FREQ=WEEKLY;COUNT=1', zoned('2026-07-01T09:00:00'), zoned('2026-07-01T10:30:00'));

    expect(expandSeries(series, window)).toEqual([
      {
        start: '2026-07-01T07:00:00Z',
        end: '2026-07-01T08:30:00Z',
        isAllDay: false,
        slot: '2026-07-01T07:00:00Z',
        entry: series.main,
      },
    ]);
  });

  it('is a date when all day and has no Z when floating', () => {
    const allDay = recurring('FREQ=DAILY;COUNT=2', day('2026-07-01'), day('2026-07-03'));
    const here = recurring('FREQ=DAILY;COUNT=1', floating('2026-07-01T09:00:00'), null);

    expect(expandSeries(allDay, window).map(({ start, end, slot }) => [start, end, slot])).toEqual([
      ['2026-07-01', '2026-07-03', '2026-07-01'],
      ['2026-07-02', '2026-07-04', '2026-07-02'],
    ]);
    expect(starts(here)).toEqual(['2026-07-01T09:00:00']);
  });

  it('of an orphan has the orphan’s slot', () => {
    const orphan = aSeries({
      slot: '2026-05-12T23:00:00Z',
      main: anEntry({ start: utc('2026-05-13T08:00:00Z'), end: null }),
    });

    expect(expandSeries(orphan, window)[0]?.slot).toBe('2026-05-12T23:00:00Z');
  });
});

describe('exceptions', () => {
  const weekly = recurring('FREQ=WEEKLY;COUNT=4', zoned('2026-07-01T09:00:00'), zoned('2026-07-01T10:00:00'));
  const second = zoned('2026-07-08T09:00:00');

  it('leaves out what is excluded, in whatever form the slot is written', () => {
    expect(starts({ ...weekly, excluded: [second, utc('2026-07-15T07:00:00Z')] })).toEqual([
      '2026-07-01T07:00:00Z',
      '2026-07-22T07:00:00Z',
    ]);
  });

  it('shows an override instead of its slot, even of an excluded one', () => {
    const moved = anOverride(second, { start: utc('2026-07-07T12:00:00Z') });

    expect(starts({ ...weekly, excluded: [second], overrides: [moved] })).toEqual([
      '2026-07-01T07:00:00Z',
      '2026-07-07T12:00:00Z',
      '2026-07-15T07:00:00Z',
      '2026-07-22T07:00:00Z',
    ]);
  });

  it('shows an override moved into the window from a slot outside of it, and hides the reverse', () => {
    const span = { from: '2026-07-10T00:00:00Z', to: '2026-07-17T00:00:00Z' };
    const into = anOverride(second, { start: utc('2026-07-11T12:00:00Z') });
    const out = anOverride(zoned('2026-07-15T09:00:00'), { start: utc('2026-07-20T12:00:00Z') });

    expect(starts({ ...weekly, overrides: [into, out] }, span)).toEqual(['2026-07-11T12:00:00Z']);
  });

  it('counts the wall clock through both changes of the clocks', () => {
    const nightly = recurring('FREQ=DAILY;COUNT=3', zoned('2026-03-28T02:30:00'), null);
    const autumn = recurring('FREQ=DAILY;COUNT=3', zoned('2026-10-24T02:30:00'), null);

    // The skipped 02:30 of 29 March is read with the offset before; the doubled one of 25 October is the first.
    expect(starts(nightly)).toEqual(['2026-03-28T01:30:00Z', '2026-03-29T01:30:00Z', '2026-03-30T00:30:00Z']);
    expect(starts(autumn)).toEqual(['2026-10-24T00:30:00Z', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z']);
  });
});

describe('rules that make trouble', () => {
  it('falls on the last day of shorter months where Exchange clamps', () => {
    const series = {
      ...recurring('FREQ=MONTHLY;BYMONTHDAY=30;COUNT=4', utc('2026-12-30T09:00:00Z'), null),
      recurrence: { rule: 'FREQ=MONTHLY;BYMONTHDAY=30;COUNT=4', clampedDay: 30 as const, extra: [] },
    };

    expect(starts(series)).toEqual([
      '2026-12-30T09:00:00Z',
      '2027-01-30T09:00:00Z',
      '2027-02-28T09:00:00Z',
      '2027-03-30T09:00:00Z',
    ]);
  });

  it.each([
    'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30',
    'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30',
    'FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30',
    'FREQ=SECONDLY;COUNT=999999999',
    'FREQ=MONTHLY;INTERVAL=999999999',
    'FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6',
  ])('ends soon for %s', (rule) => {
    const shown = expandSeries(recurring(rule, utc('0001-01-01T00:00:00Z'), null), window);

    expect(shown.length).toBeLessThanOrEqual(maxInstances);
  });

  it('stops at the cap', () => {
    expect(starts(recurring('FREQ=MINUTELY', utc('2026-01-01T00:00:00Z'), null))).toHaveLength(maxInstances);
  });

  it('reaches a window far from the start without counting through', () => {
    const series = recurring('FREQ=SECONDLY;INTERVAL=3600', utc('1601-01-01T00:00:00Z'), null);

    expect(starts(series, { from: '2026-07-01T00:00:00Z', to: '2026-07-01T03:00:00Z' })).toEqual([
      '2026-07-01T00:00:00Z',
      '2026-07-01T01:00:00Z',
      '2026-07-01T02:00:00Z',
    ]);
  });

  it('shows the start of a series whose rule cannot be understood', () => {
    expect(starts(recurring('FREQ=LUNAR', utc('2026-07-01T07:00:00Z'), null))).toEqual(['2026-07-01T07:00:00Z']);
  });

  it('finds the minutes of one month a year', () => {
    const series = recurring('FREQ=MINUTELY;INTERVAL=30;BYMONTH=1;BYHOUR=9', utc('2020-01-01T09:00:00Z'), null);

    expect(starts(series)).toHaveLength(2 * 31 * 2);
  });
});

describe('the examples of RFC 5545 section 3.8.5.3', () => {
  const start = zoned('1997-09-02T09:00:00', 'America/New_York');
  const span = { from: '1997-01-01T00:00:00Z', to: '2005-01-01T00:00:00Z' };
  const first = (rule: string, from = start, count = 6): string[] =>
    expandSeries(recurring(rule, from, null), span)
      .slice(0, count)
      .map((instance) => instance.start.slice(0, 10));

  it.each([
    ['FREQ=MONTHLY;COUNT=10;BYDAY=1FR', '1997-09-05', ['1997-09-05', '1997-10-03', '1997-11-07', '1997-12-05']],
    [
      'FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU',
      '1997-09-07',
      ['1997-09-07', '1997-09-28', '1997-11-02', '1997-11-30'],
    ],
    ['FREQ=MONTHLY;BYMONTHDAY=-3', '1997-09-28', ['1997-09-28', '1997-10-29', '1997-11-28', '1997-12-29']],
    ['FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1', '1997-09-30', ['1997-09-30', '1997-10-01', '1997-10-31', '1997-11-01']],
    [
      'FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200',
      '1997-01-01',
      ['1997-01-01', '1997-04-10', '1997-07-19', '2000-01-01'],
    ],
    ['FREQ=YEARLY;BYDAY=20MO', '1997-05-19', ['1997-05-19', '1998-05-18', '1999-05-17', '2000-05-15']],
    ['FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO', '1997-05-12', ['1997-05-12', '1998-05-11', '1999-05-17', '2000-05-15']],
    ['FREQ=YEARLY;BYMONTH=3;BYDAY=TH', '1997-03-13', ['1997-03-13', '1997-03-20', '1997-03-27', '1998-03-05']],
    ['FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13', '1998-02-13', ['1998-02-13', '1998-03-13', '1998-11-13', '1999-08-13']],
    [
      'FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13',
      '1997-09-13',
      ['1997-09-13', '1997-10-11', '1997-11-08', '1997-12-13'],
    ],
    ['FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8', '2000-11-07', ['2000-11-07', '2004-11-02']],
    ['FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3', '1997-09-04', ['1997-09-04', '1997-10-07', '1997-11-06']],
    [
      'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2',
      '1997-09-29',
      ['1997-09-29', '1997-10-30', '1997-11-27', '1997-12-30'],
    ],
    [
      'FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5',
      '2000-01-15',
      ['2000-01-15', '2000-01-30', '2000-02-15', '2000-03-15', '2000-03-30'],
    ],
  ])('%s from %s', (rule, from, expected) => {
    expect(first(rule, zoned(`${from}T09:00:00`, 'America/New_York'), expected.length)).toEqual(expected);
  });

  it('works within a day too', () => {
    const times = (rule: string): string[] =>
      starts(recurring(rule, utc('1997-09-02T09:00:00Z'), null), span)
        .slice(0, 4)
        .map((text) => text.slice(11, 16));

    expect(times('FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z')).toEqual(['09:00', '12:00', '15:00']);
    expect(times('FREQ=MINUTELY;INTERVAL=90;COUNT=4')).toEqual(['09:00', '10:30', '12:00', '13:30']);
    expect(times('FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,20;COUNT=4')).toEqual(['09:00', '09:20', '10:00', '10:20']);
  });
});

describe('any rule', () => {
  interface Parts {
    readonly frequency: 'DAILY' | 'WEEKLY' | 'MONTHLY' | 'YEARLY';
    readonly interval: number;
    readonly count: number | null;
    readonly months: readonly number[];
    readonly monthDays: readonly number[];
    readonly weekdays: readonly number[];
    readonly weekStart: number;
  }
  const names = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'];
  const dayMs = 86_400_000;

  function textOf(parts: Parts): string {
    const list = (name: string, values: readonly unknown[]): string =>
      values.length === 0 ? '' : `;${name}=${values.join(',')}`;
    return [
      `FREQ=${parts.frequency};INTERVAL=${parts.interval};WKST=${names[parts.weekStart] ?? 'MO'}`,
      list('BYMONTH', parts.months),
      list('BYMONTHDAY', parts.monthDays),
      list(
        'BYDAY',
        parts.weekdays.map((index) => names[index]),
      ),
      parts.count === null ? '' : `;COUNT=${parts.count}`,
    ].join('');
  }

  /** Looks at each day by itself and asks whether the rule hits it; shares nothing with the code under test. */
  function naive(parts: Parts, from: string, until: string): string[] {
    const begin = Date.parse(`${from}T00:00:00Z`);
    const hits: string[] = [];
    for (let at = begin; at < Date.parse(`${until}T00:00:00Z`); at += dayMs) {
      if (at === begin || isHit(parts, new Date(begin), new Date(at)))
        hits.push(new Date(at).toISOString().slice(0, 10));
      if (hits.length === parts.count) break;
    }
    return hits;
  }

  function isHit(parts: Parts, begin: Date, date: Date): boolean {
    const weekday = (one: Date): number => (one.getUTCDay() + 6) % 7;
    const monday = (one: Date): number => one.getTime() - ((weekday(one) - parts.weekStart + 7) % 7) * dayMs;
    const months = (one: Date): number => one.getUTCFullYear() * 12 + one.getUTCMonth();
    const periods = {
      DAILY: Math.round((date.getTime() - begin.getTime()) / dayMs),
      WEEKLY: Math.round((monday(date) - monday(begin)) / dayMs / 7),
      MONTHLY: months(date) - months(begin),
      YEARLY: date.getUTCFullYear() - begin.getUTCFullYear(),
    };
    if (periods[parts.frequency] % parts.interval !== 0) return false;
    const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
    const dayOfMonth = date.getUTCDate();
    const { frequency } = parts;
    // What the rule does not say comes from the start (RFC 5545 section 3.3.10).
    const isSpelled = parts.monthDays.length > 0 || parts.weekdays.length > 0;
    const monthDays =
      parts.monthDays.length > 0 || isSpelled || frequency === 'DAILY' || frequency === 'WEEKLY'
        ? parts.monthDays
        : [begin.getUTCDate()];
    const weekdays = parts.weekdays.length > 0 ? parts.weekdays : frequency === 'WEEKLY' ? [weekday(begin)] : [];
    const chosen =
      parts.months.length > 0 || frequency !== 'YEARLY' || isSpelled ? parts.months : [begin.getUTCMonth() + 1];
    if (chosen.length > 0 && !chosen.includes(date.getUTCMonth() + 1)) return false;
    if (monthDays.length > 0 && !monthDays.includes(dayOfMonth) && !monthDays.includes(dayOfMonth - last - 1))
      return false;
    return weekdays.length === 0 || weekdays.includes(weekday(date));
  }

  const anyParts: fc.Arbitrary<Parts> = fc
    .record({
      frequency: fc.constantFrom('DAILY' as const, 'WEEKLY' as const, 'MONTHLY' as const, 'YEARLY' as const),
      interval: fc.integer({ min: 1, max: 4 }),
      count: fc.option(fc.integer({ min: 1, max: 30 })),
      months: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 3 }),
      monthDays: fc.uniqueArray(fc.constantFrom(1, 2, 13, 28, 29, 30, 31, -1, -2, -30), { maxLength: 3 }),
      weekdays: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 4 }),
      weekStart: fc.integer({ min: 0, max: 6 }),
    })
    // RFC 5545 forbids BYMONTHDAY in weekly rules.
    .map((parts) => (parts.frequency === 'WEEKLY' ? { ...parts, monthDays: [] } : parts));
  const anyDay = fc
    .integer({ min: 0, max: 1_200 })
    .map((days) => new Date(Date.UTC(2024, 0, 1) + days * dayMs).toISOString().slice(0, 10));

  it('hits the days that a look at each single day finds', () => {
    fc.assert(
      fc.property(anyParts, anyDay, (parts, from) => {
        const shown = starts(recurring(textOf(parts), day(from), null), {
          from: '2000-01-01T00:00:00Z',
          to: '2033-01-01T00:00:00Z',
        });
        expect(shown).toEqual(naive(parts, from, '2033-01-01'));
      }),
      { numRuns: 200 },
    );
  });

  it('shows the same in a late window as in one from the beginning', () => {
    fc.assert(
      fc.property(anyParts, anyDay, (parts, from) => {
        const series = recurring(textOf(parts), zoned(`${from}T09:00:00`), zoned(`${from}T10:00:00`));
        const all = starts(series, { from: '2000-01-01T00:00:00Z', to: '2035-01-01T00:00:00Z' });
        const late = starts(series, { from: '2031-05-05T00:00:00Z', to: '2035-01-01T00:00:00Z' });
        expect(late).toEqual(all.filter((text) => text >= '2031-05-05'));
      }),
      { numRuns: 150 },
    );
  });

  it('is written in one order and reads back the same', () => {
    fc.assert(
      fc.property(anyParts, (parts) => {
        const rule = parseRule(textOf(parts));
        const text = rule === null ? '' : formatRule(rule);
        expect(parseRule(text)).toEqual(rule);
        expect(formatRule(parseRule(text) ?? ({ ...rule } as never))).toBe(text);
      }),
    );
  });
});
