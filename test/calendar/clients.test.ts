import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { expandSeries, expandText } from '../../src/calendar/expand.ts';
import { parseCalendar } from '../../src/calendar/parse.ts';
import { renderSeries } from '../../src/calendar/render.ts';
import type { Entry } from '../../src/calendar/series.ts';
import { defaultOptions } from './golden.ts';

/** Texts in the manner of each program, made for this by hand: what they write is what sources and drift must read. */
const read = (name: string): string =>
  readFileSync(new URL(`../fixtures/clients/${name}.ics`, import.meta.url), 'utf8');
const { window } = defaultOptions;

const shown: readonly (readonly [client: string, lines: readonly string[]])[] = [
  [
    'icloud',
    [
      '2026-02-25T16:00:00Z 2026-02-25T17:00:00Z Standup ☕️',
      '2026-03-04T17:00:00Z 2026-03-04T18:00:00Z Standup, late',
      '2026-03-25T15:00:00Z 2026-03-25T16:00:00Z Standup ☕️',
      '2026-04-01T15:00:00Z 2026-04-01T16:00:00Z Standup ☕️',
    ],
  ],
  [
    'google',
    [
      '2026-03-23T09:00:00Z 2026-03-23T09:30:00Z Weekly',
      '2026-03-31T09:00:00Z 2026-03-31T09:30:00Z Weekly (moved)',
      '2026-04-05 2026-04-06 Easter',
      '2026-04-06T08:00:00Z 2026-04-06T08:30:00Z Weekly',
      '2026-04-10T07:30:00Z 2026-04-10T08:00:00Z Dentist',
      '2026-04-13T08:00:00Z 2026-04-13T08:30:00Z Weekly',
    ],
  ],
  [
    'fastmail',
    [
      '2026-04-01T07:30:00Z 2026-04-01T09:00:00Z Rehearsal',
      '2026-04-03T07:30:00Z 2026-04-03T09:00:00Z Rehearsal',
      '2026-04-05T08:30:00Z 2026-04-05T10:00:00Z Rehearsal',
      '2026-04-09T08:30:00Z 2026-04-09T10:00:00Z Rehearsal',
      '2026-04-11T02:00:00Z 2026-04-11T03:30:00Z Rehearsal',
    ],
  ],
  [
    'nextcloud',
    [
      '2026-03-02T08:00:00Z 2026-03-02T08:30:00Z Planning',
      '2026-03-09T08:00:00Z 2026-03-09T08:30:00Z Planning',
      '2026-03-16T08:00:00Z 2026-03-16T08:30:00Z Planning',
      '2026-03-23T13:00:00Z 2026-03-23T13:30:00Z Planning in the afternoon',
      '2026-03-30T12:00:00Z 2026-03-30T12:30:00Z Planning in the afternoon',
      '2026-04-06T12:00:00Z 2026-04-06T12:30:00Z Planning in the afternoon',
    ],
  ],
  [
    'outlook',
    [
      "2026-01-30T22:00:00Z 2026-01-30T22:30:00Z Month's end",
      "2026-03-31T21:00:00Z 2026-03-31T21:30:00Z Month's end",
      "2026-04-30T21:00:00Z 2026-04-30T21:30:00Z Month's end",
      '2026-07-04 2026-07-05 Independence Day',
    ],
  ],
];

describe('what other programs write', () => {
  it.each(shown)('is shown as %s means it, and so is what we make of it', (client, lines) => {
    const { resources, problems } = parseCalendar(read(client));
    expect(problems).toEqual([]);
    const all = resources.flatMap(({ series }) => series);
    const told = (instances: ReturnType<typeof expandSeries>): string[] =>
      instances.map(({ start, end, entry }) => `${start} ${end} ${entry.summary ?? ''}`).sort();
    expect(told(all.flatMap((one) => expandSeries(one, window)))).toEqual(lines);

    const texts = all.flatMap((one, index) =>
      renderSeries(one, { ...defaultOptions, uid: `m-${index}@a1b2.calendar-sync` }).map(({ text }) => text),
    );
    expect(told(texts.flatMap((text) => expandText(text, window)))).toEqual(lines);
  });

  it.each<[string, Partial<Entry>]>([
    [
      'icloud',
      {
        location: 'Apple Park Visitor Center 10600 N Tantau Ave, Cupertino',
        place: { latitude: 37.3329, longitude: -122.00524, title: 'Apple Park Visitor Center' },
        organizer: { address: 'ann@icloud.example', name: 'Ann Doe' },
        answer: 'organizer',
        reminder: 15,
      },
    ],
    [
      'google',
      {
        joinUrl: 'https://meet.google.com/abc-defg-hij',
        answer: 'none',
        reminder: 10,
        location: null,
        importance: null,
      },
    ],
    ['fastmail', { sensitivity: 'private', joinUrl: 'https://meet.jit.si/rehearsal', reminder: 5 }],
    ['nextcloud', { categories: ['Work', 'Plans, big', 'Team'], showAs: 'busy' }],
    [
      'outlook',
      {
        sensitivity: 'confidential',
        importance: 'high',
        showAs: 'oof',
        disallowCounter: true,
        joinUrl: 'https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0',
      },
    ],
  ])('is read in full: %s', (client, said) => {
    const { resources } = parseCalendar(read(client), { self: ['ann@icloud.example'] });
    expect(resources[0]?.series[0]?.main).toMatchObject(said);
  });
});
