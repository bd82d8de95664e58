import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { contentFingerprint } from '../../src/calendar/client-state.ts';
import { expandSeries, expandText } from '../../src/calendar/expand.ts';
import { parseCalendar } from '../../src/calendar/parse.ts';
import { anchorFor, renderSeries, taggedUid } from '../../src/calendar/render.ts';
import type { Instance, Series } from '../../src/calendar/series.ts';
import { anEntry, anOverride, aSeries, day, recurring, utc, zoned } from './builders.ts';
import { defaultOptions, goldenCases, goldenText } from './golden.ts';
import { anySeries } from './any-series.ts';

function startsOf(instances: readonly Instance[]): string[] {
  return instances.map(({ start }) => start).sort();
}

function texts(series: Series, options = defaultOptions): string[] {
  return renderSeries(series, options).map(({ text }) => text);
}

describe('golden pairs of a series and its objects', () => {
  it.each(goldenCases().map((one) => [one.name, one] as const))('%s', (name, { series, options, starts }) => {
    const objects = renderSeries(series, options);
    const rendered = objects.map(({ text }) => text).join('');

    expect(rendered).toBe(goldenText(name, rendered));
    for (const object of objects) {
      expect(contentFingerprint(object.text)).toBe(object.fingerprint);
      expect(object.text).not.toMatch(/METHOD:/);
      for (const line of object.text.split('\r\n')) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(75);
    }
    const shown = startsOf(objects.flatMap(({ text }) => expandText(text, options.window)));
    expect(shown).toEqual(startsOf(expandSeries(series, options.window)));
    if (starts !== null) expect(shown).toEqual(starts);
  });
});

describe('rendering', () => {
  it('gives the same bytes for the same input', () => {
    for (const { series, options } of goldenCases()) expect(texts(series, options)).toEqual(texts(series, options));
  });

  it('keeps the fingerprint when only stamps and SEQUENCE change, and changes it with the title', () => {
    const [first] = renderSeries(aSeries(), defaultOptions);
    const bumped = aSeries({
      main: anEntry({ lastModifiedAt: '2026-05-05T05:05:05Z', createdAt: '2026-01-01T00:00:00Z' }),
    });
    const [second] = renderSeries(bumped, { ...defaultOptions, sequence: 9 });
    const [third] = renderSeries(aSeries({ main: anEntry({ summary: 'Other' }) }), defaultOptions);

    expect(second?.fingerprint).toBe(first?.fingerprint);
    expect(third?.fingerprint).not.toBe(first?.fingerprint);
    expect(third?.scheduleFingerprint).toBe(first?.scheduleFingerprint);
  });

  it.each([
    ['time', { end: zoned('2026-07-01T11:00:00') }],
    ['place', { location: 'Elsewhere' }],
    ['status', { status: 'cancelled' as const }],
  ])('changes the schedule fingerprint with the %s', (_what, change) => {
    const [first] = renderSeries(aSeries(), defaultOptions);
    const [second] = renderSeries(aSeries({ main: anEntry(change) }), defaultOptions);

    expect(second?.scheduleFingerprint).not.toBe(first?.scheduleFingerprint);
  });

  it('puts the tag of a companion before the host, where the suffix that proves it ours stays', () => {
    expect(taggedUid('abc@x.calendar-sync', 'feb')).toBe('abc-feb@x.calendar-sync');
    expect(taggedUid('abc', 'feb')).toBe('abc-feb');
  });

  it('names the first two hundred of a thousand people and how many are missing', () => {
    const attendees = Array.from({ length: 1_000 }, (_, index) => ({
      address: `p${String(index).padStart(4, '0')}@contoso.example`,
      name: null,
      role: index === 999 ? ('nonParticipant' as const) : ('required' as const),
      kind: index === 999 ? ('room' as const) : ('individual' as const),
      participation: 'needsAction' as const,
      rsvp: false,
    }));
    const [text = ''] = texts(aSeries({ main: anEntry({ attendees }) }));

    expect(text.match(/^ATTENDEE/gm)).toHaveLength(200);
    expect(text).toContain('p0999@contoso.example');
    expect(text).toContain('DESCRIPTION:\\n\\n[+800]');
  });

  it('cuts a body of five million characters', () => {
    const [text = ''] = texts(aSeries({ main: anEntry({ description: 'x'.repeat(5_000_000) }) }));

    expect(text.length).toBeLessThan(40_000);
  });

  it('writes lone surrogates as valid UTF-8 or not at all', () => {
    const [text = ''] = texts(aSeries({ main: anEntry({ summary: 'a\ud800b', location: '\udc00' }) }));

    expect(text.isWellFormed()).toBe(true);
    expect(text).toContain('SUMMARY:ab');
  });

  it('names the fault of a date that does not exist', () => {
    const series = aSeries({ main: anEntry({ start: day('2026-02-30'), end: null }) });

    expect(() => renderSeries(series, defaultOptions)).toThrow(
      expect.objectContaining({ code: 'calendar.moment_invalid' }),
    );
  });

  it('drops a rule that nobody can read and keeps the start', () => {
    const [text = ''] = texts(recurring('FREQ=FORTNIGHTLY', utc('2026-07-01T07:00:00Z'), null));

    expect(text).not.toContain('RRULE');
    expect(text).toContain('DTSTART:20260701T070000Z');
  });

  it('reads INTERVAL=0 as every and COUNT=0 as once', () => {
    const [text = ''] = texts(recurring('FREQ=DAILY;INTERVAL=0;COUNT=0', utc('2026-07-01T07:00:00Z'), null));

    expect(text).toContain('RRULE:FREQ=DAILY;COUNT=1\r\n');
  });
});

describe('a series that is too long for the server', () => {
  const daily = recurring('FREQ=DAILY', zoned('2010-01-01T09:00:00'), zoned('2010-01-01T09:15:00'));
  const windowAt = (from: string, to: string): typeof defaultOptions.window => ({
    from: `${from}T00:00:00Z`,
    to: `${to}T00:00:00Z`,
  });

  it('keeps one anchor, and the same bytes beside it, while the window rolls through a year', () => {
    const months = Array.from({ length: 10 }, (_, index) => String(index + 1).padStart(2, '0'));
    const anchors = months.map((month) => anchorFor(daily, windowAt(`2026-${month}-05`, `2028-${month}-05`)));
    const fingerprints = months.map(
      (month) =>
        renderSeries(daily, { ...defaultOptions, window: windowAt(`2026-${month}-05`, `2028-${month}-05`) })[0]
          ?.fingerprint,
    );

    expect(new Set(anchors)).toEqual(new Set(['2025-12-31T08:00:00Z']));
    expect(new Set(fingerprints).size).toBe(1);
  });

  it('stays at a stored anchor for as long as that serves, and keeps the past since then', () => {
    const window = windowAt('2029-03-01', '2031-03-01');
    const [text = ''] = texts(daily, { ...defaultOptions, window, anchor: '2025-12-31T08:00:00Z' });

    expect(text).toContain('DTSTART;TZID=Europe/Berlin:20251231T090000');
  });

  it('leaves a stored anchor that has itself become too old', () => {
    const window = windowAt('2039-03-01', '2041-03-01');
    const [text = ''] = texts(daily, { ...defaultOptions, window, anchor: '2025-12-31T08:00:00Z' });

    expect(text).toContain('DTSTART;TZID=Europe/Berlin:20381231T090000');
  });

  it('cuts one that recurs every hour without end where the server would give up', () => {
    const hourly = recurring('FREQ=HOURLY', utc('2020-01-01T00:00:00Z'), null);
    const [text = ''] = texts(hourly, { ...defaultOptions, window: windowAt('2026-08-24', '2028-11-22') });
    const everything = { from: '2000-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z' };

    expect(text).toContain('DTSTART:20260824T000000Z');
    expect(expandText(text, everything)).toHaveLength(3_400);
  });

  it('has no anchor when its true start can be told', () => {
    const weekly = recurring('FREQ=WEEKLY', zoned('2010-01-01T09:00:00'), null);

    expect(anchorFor(weekly, defaultOptions.window)).toBeNull();
    expect(texts(weekly, { ...defaultOptions, anchor: '2025-12-26T08:00:00Z' })[0]).toContain('20100101T090000');
  });

  it('never has more occurrences than the server takes', () => {
    const counted = recurring('FREQ=DAILY;COUNT=9000', zoned('2015-01-01T09:00:00'), null);
    const [text = ''] = texts(counted);
    const everything = { from: '2000-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z' };

    expect(text).not.toContain('COUNT');
    expect(expandText(text, everything)).toHaveLength(3_400);
  });

  it('keeps the last occurrences of one that was over before the window', () => {
    const over = recurring('FREQ=DAILY;COUNT=5000', zoned('2000-01-01T09:00:00'), null);
    const everything = { from: '1990-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z' };
    const shown = expandText(texts(over)[0] ?? '', everything);

    expect(shown).toHaveLength(3_400);
    expect(shown.at(-1)?.start).toBe(expandSeries(over, everything).at(-1)?.start);
  });

  it('gives an override from before the anchor that reaches into the window an object of its own', () => {
    const moved = anOverride(zoned('2024-05-05T09:00:00'), { start: utc('2026-07-01T07:00:00Z'), summary: 'Late' });
    const objects = renderSeries({ ...daily, overrides: [moved] }, defaultOptions);

    expect(objects.map(({ part }) => part)).toEqual(['main', 'list:2024-05-05T07:00:00Z']);
    expect(objects[1]?.text).not.toContain('RECURRENCE-ID');
  });
});

describe('any series', () => {
  it('means the same after it was rendered, read and rendered again', () => {
    fc.assert(
      fc.property(anySeries(), (series) => {
        for (const object of renderSeries(series, defaultOptions)) {
          const { resources, problems } = parseCalendar(object.text);
          expect(problems).toEqual([]);
          expect(contentFingerprint(object.text)).toBe(object.fingerprint);
          const [read] = resources[0]?.series ?? [];
          expect(read).toBeDefined();
          if (read === undefined) continue;
          const [again] = renderSeries(read, { ...defaultOptions, uid: object.uid });
          expect(again?.text).toBe(object.text);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('shows in its objects what it shows by itself', () => {
    fc.assert(
      fc.property(anySeries(), (series) => {
        const objects = renderSeries(series, defaultOptions);
        const shown = objects.flatMap(({ text }) => expandText(text, defaultOptions.window));
        expect(startsOf(shown)).toEqual(startsOf(expandSeries(series, defaultOptions.window)));
      }),
      { numRuns: 300 },
    );
  });
});
