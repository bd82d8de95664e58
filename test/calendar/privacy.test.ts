import { describe, expect, it } from '@jest/globals';
import { defaultFilters, verdictOf } from '../../src/calendar/filters.ts';
import type { Filters } from '../../src/calendar/filters.ts';
import { redact } from '../../src/calendar/privacy.ts';
import type { Privacy } from '../../src/calendar/privacy.ts';
import { expandSeries } from '../../src/calendar/expand.ts';
import { renderSeries } from '../../src/calendar/render.ts';
import type { Entry, Series } from '../../src/calendar/series.ts';
import { anEntry, anOverride, aSeries, day, recurring, utc, zoned } from './builders.ts';
import { defaultOptions } from './golden.ts';

/** An entry in which every field that could tell something says SECRET. */
function secretEntry(change: Partial<Entry> = {}): Entry {
  return anEntry({
    summary: 'SECRET title',
    description: 'SECRET body',
    location: 'SECRET place',
    place: { latitude: 1.5, longitude: 2.5, title: 'SECRET' },
    importance: 'high',
    categories: ['SECRET'],
    joinUrl: 'https://teams.microsoft.com/SECRET',
    dialIn: ['tel:+1SECRET'],
    webLink: 'https://outlook.example/SECRET',
    organizer: { address: 'SECRET@contoso.example', name: 'SECRET' },
    attendees: [
      {
        address: 'SECRET2@contoso.example',
        name: null,
        role: 'required',
        kind: 'individual',
        participation: 'accepted',
        rsvp: true,
      },
    ],
    answer: 'accepted',
    disallowCounter: true,
    reminder: 15,
    createdAt: '2026-01-01T00:00:00Z',
    lastModifiedAt: '2026-01-02T00:00:00Z',
    foreign: [['x-secret', {}, 'text', 'SECRET']],
    ...change,
  });
}

const weekly = recurring('FREQ=WEEKLY;COUNT=4', zoned('2026-07-01T09:00:00'), zoned('2026-07-01T10:00:00'));
const second = zoned('2026-07-08T09:00:00');
const end = zoned('2026-07-08T10:00:00');

function told(series: Series | null): string {
  return series === null
    ? ''
    : renderSeries(series, defaultOptions)
        .map(({ text }) => text)
        .join('');
}

describe('busy mode', () => {
  it('lets no word out, in overrides neither, and keeps no override that only renames', () => {
    const series = {
      ...weekly,
      main: secretEntry(),
      overrides: [anOverride(second, { ...secretEntry(), summary: 'SECRET other', start: second, end })],
    };
    const redacted = redact(series, 'busy', 'full');

    expect(JSON.stringify(redacted)).not.toContain('SECRET');
    expect(redacted?.overrides).toEqual([]);
    expect(told(redacted)).toContain('SUMMARY:Busy\r\n');
    expect(told(redacted)).not.toMatch(/ORGANIZER|ATTENDEE|VALARM|PRIORITY|CREATED|LOCATION|GEO|URL|CONFERENCE/);
    expect(told(redacted)).toContain('CLASS:PRIVATE');
  });

  it.each([
    ['busy', 'Busy'],
    ['tentative', 'Tentative'],
    ['oof', 'Out of office'],
    ['workingElsewhere', 'Working elsewhere'],
  ] as const)('says of %s time: %s', (showAs, title) => {
    expect(redact(aSeries({ main: secretEntry({ showAs }) }), 'busy', 'full')?.main.summary).toBe(title);
  });

  it('drops free time', () => {
    expect(redact(aSeries({ main: secretEntry({ showAs: 'free' }) }), 'busy', 'full')).toBeNull();
  });

  it.each([
    ['time', { start: zoned('2026-07-08T11:00:00'), end: zoned('2026-07-08T12:00:00') }],
    ['length', { start: second, end: zoned('2026-07-08T12:00:00') }],
    ['status', { start: second, end, status: 'cancelled' as const }],
    ['use of time', { start: second, end, showAs: 'oof' as const }],
    ['all-day', { start: day('2026-07-08'), end: day('2026-07-09') }],
  ])('keeps an override that differs in %s', (_what, change) => {
    const redacted = redact({ ...weekly, overrides: [anOverride(second, change)] }, 'busy', 'full');

    expect(redacted?.overrides).toHaveLength(1);
  });

  it('turns an occurrence that is free into an exclusion', () => {
    const redacted = redact({ ...weekly, overrides: [anOverride(second, { end, showAs: 'free' })] }, 'busy', 'full');

    expect(redacted?.excluded).toEqual([second]);
    expect(redacted?.overrides).toEqual([]);
  });

  it('shows of a free series only the occurrences that are not', () => {
    const series = {
      ...weekly,
      main: { ...weekly.main, showAs: 'free' as const },
      overrides: [anOverride(second, { end })],
    };
    const redacted = redact(series, 'busy', 'full');

    expect(redacted === null ? [] : expandSeries(redacted, defaultOptions.window).map(({ start }) => start)).toEqual([
      '2026-07-08T07:00:00Z',
    ]);
  });
});

describe('title mode', () => {
  it('keeps times, titles and class, and nothing else', () => {
    const redacted = redact(
      aSeries({ main: secretEntry({ summary: 'Open title', sensitivity: 'normal' }) }),
      'title',
      'full',
    );

    expect(redacted?.main.summary).toBe('Open title');
    expect(JSON.stringify(redacted)).not.toContain('SECRET');
    expect(told(redacted)).not.toMatch(/ORGANIZER|ATTENDEE|VALARM|PRIORITY|IMPORTANCE|CREATED|LOCATION/);
  });

  it('is written as private, whatever the event is', () => {
    for (const sensitivity of ['normal', 'confidential'] as const) {
      const redacted = redact(aSeries({ main: secretEntry({ sensitivity }) }), 'title', 'full');
      const [object] = redacted === null ? [] : renderSeries(redacted, { ...defaultOptions, detail: 'title' });
      expect(object?.text).toContain('\r\nCLASS:PRIVATE\r\n');
    }
  });
});

describe('private items', () => {
  const privateSeries = aSeries({ main: secretEntry({ sensitivity: 'private' }) });

  it('are shown as busy, left out, or shown as the rest', () => {
    expect(redact(privateSeries, 'full', 'busy')?.main.summary).toBe('Busy');
    expect(redact(privateSeries, 'full', 'skip')).toBeNull();
    expect(redact(privateSeries, 'full', 'full')?.main.summary).toBe('SECRET title');
  });

  it.each(['personal', 'private', 'confidential'] as const)('include %s ones', (sensitivity) => {
    expect(redact(aSeries({ main: secretEntry({ sensitivity }) }), 'full', 'skip')).toBeNull();
  });

  it('hide a private occurrence of an open series, although only its title differs', () => {
    const own = secretEntry({ start: second, end, sensitivity: 'private' });
    const redacted = redact({ ...weekly, overrides: [{ slot: second, entry: own }] }, 'full', 'busy');

    expect(redacted?.overrides[0]?.entry.summary).toBe('Busy');
    expect(redact({ ...weekly, overrides: [{ slot: second, entry: own }] }, 'full', 'skip')?.excluded).toEqual([
      second,
    ]);
  });

  it.each(['full', 'title', 'busy'] as const)('never show more than the mode %s allows', (mode: Privacy) => {
    const redacted = redact(privateSeries, mode, 'full');

    expect(JSON.stringify(redacted).includes('SECRET body')).toBe(mode === 'full');
  });
});

describe('redaction of a list', () => {
  it('redacts each entry and drops those that may not be shown', () => {
    const list = [
      { slot: utc('2026-07-01T07:00:00Z'), entry: secretEntry() },
      { slot: utc('2026-07-08T07:00:00Z'), entry: secretEntry({ sensitivity: 'private' }) },
    ];
    const redacted = redact(aSeries({ main: secretEntry(), list }), 'busy', 'skip');

    expect(redacted?.list).toHaveLength(1);
    expect(JSON.stringify(redacted)).not.toContain('SECRET');
  });
});

describe('filters', () => {
  const hide = (change: Partial<Filters>): Filters => ({ ...defaultFilters, ...change });

  it('hide declined meetings by default and nothing else', () => {
    expect(verdictOf(aSeries({ main: anEntry({ answer: 'declined' }) }), defaultFilters)).toEqual({
      shown: false,
      by: 'declined',
    });
    for (const change of [{ showAs: 'free' }, { status: 'tentative' }, { status: 'cancelled' }] as const) {
      const series = aSeries({ main: anEntry(change) });
      expect(verdictOf(series, defaultFilters)).toEqual({ shown: true, series });
    }
  });

  it.each([
    ['free', hide({ free: 'hide' }), { showAs: 'free' }],
    ['tentative', hide({ tentative: 'hide' }), { showAs: 'tentative' }],
    ['cancelled', hide({ cancelled: 'hide' }), { status: 'cancelled' }],
    ['allDay', hide({ allDay: 'hide' }), { start: day('2026-07-01'), end: day('2026-07-02') }],
    ['title', hide({ titles: ['^lunch'] }), { summary: 'LUNCH with Ann' }],
    ['category', hide({ categories: ['Private'] }), { categories: ['x', 'private'] }],
    ['sensitivity', hide({ sensitivities: ['personal'] }), { sensitivity: 'personal' }],
    [
      'hours',
      hide({ hours: { zone: 'Europe/Berlin', from: '10:00', to: '18:00' } }),
      { start: zoned('2026-07-01T09:00:00'), end: zoned('2026-07-01T10:00:00') },
    ],
  ] as const)('name themselves: %s', (by, filters, change) => {
    expect(verdictOf(aSeries({ main: anEntry(change) }), filters)).toEqual({ shown: false, by });
    expect(verdictOf(aSeries(), hide({})).shown).toBe(true);
  });

  it.each([
    ['08:00', '18:00', '2026-07-01T17:30:00', '2026-07-01T19:00:00', true],
    ['08:00', '18:00', '2026-07-01T07:00:00', '2026-07-01T08:00:01', true],
    ['08:00', '18:00', '2026-07-01T18:00:00', '2026-07-01T19:00:00', false],
    ['08:00', '18:00', '2026-07-01T20:00:00', '2026-07-02T20:00:00', true],
    ['22:00', '06:00', '2026-07-01T23:00:00', '2026-07-01T23:30:00', true],
    ['22:00', '06:00', '2026-07-01T05:00:00', '2026-07-01T07:00:00', true],
    ['22:00', '06:00', '2026-07-01T12:00:00', '2026-07-01T13:00:00', false],
  ])('hours %s to %s of an event from %s to %s: %p', (from, to, start, stop, shown) => {
    const series = aSeries({ main: anEntry({ start: zoned(start), end: zoned(stop) }) });

    expect(verdictOf(series, hide({ hours: { zone: 'Europe/Berlin', from, to } })).shown).toBe(shown);
  });

  it('turn a hidden occurrence into an exclusion', () => {
    const series = { ...weekly, overrides: [anOverride(second, { answer: 'declined' })] };
    const verdict = verdictOf(series, defaultFilters);

    expect(verdict.shown && verdict.series.excluded).toEqual([second]);
    expect(verdict.shown && verdict.series.overrides).toEqual([]);
  });

  it('show the one accepted date of a declined series by itself', () => {
    const series = {
      ...weekly,
      main: { ...weekly.main, answer: 'declined' as const },
      overrides: [anOverride(second, { answer: 'accepted' })],
    };
    const verdict = verdictOf(series, defaultFilters);

    expect(verdict.shown && expandSeries(verdict.series, defaultOptions.window).map(({ start }) => start)).toEqual([
      '2026-07-08T07:00:00Z',
    ]);
  });

  it('treat a pattern that is none as one that matches nothing', () => {
    expect(verdictOf(aSeries(), hide({ titles: ['('] })).shown).toBe(true);
  });
});
