/** Arbitrary series as sources may tell them: texts of any kind, all forms of time, rules, exceptions. */
import fc from 'fast-check';
import { momentAt, slotKey, wallSeconds } from '../../src/calendar/slot-key.ts';
import { timelineOf, walls } from '../../src/calendar/timeline.ts';
import type { Entry, Moment, Series } from '../../src/calendar/series.ts';
import { anEntry, aSeries } from './builders.ts';

const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca', 'Asia/Kolkata'];
const minute = 60;
const day = 86_400;
const begin = Date.UTC(2025, 0, 1) / 1_000;

const text = fc.string({
  unit: fc.oneof(fc.constantFrom(',', ';', '\\', '"', '^', '\n', ':', '😀', 'é'), fc.string({ maxLength: 3 })),
  maxLength: 40,
});
const address = fc.stringMatching(/^[a-z]{1,8}$/).map((name) => `${name}@contoso.example`);

function start(): fc.Arbitrary<Moment> {
  const wall = fc.integer({ min: 0, max: 800 * 1_440 }).map((minutes) => begin + minutes * minute);
  const model: fc.Arbitrary<Moment> = fc.oneof(
    fc.constant<Moment>({ kind: 'date', date: '2026-01-01' }),
    fc.constant<Moment>({ kind: 'utc', instant: '2026-01-01T00:00:00Z' }),
    fc.constant<Moment>({ kind: 'floating', local: '2026-01-01T00:00:00' }),
    fc.constantFrom(...zones).map((zone): Moment => ({ kind: 'zoned', local: '2026-01-01T00:00:00', zone })),
  );
  return fc.tuple(wall, model).map(([at, form]) => momentAt(at, form));
}

function ending(from: Moment, minutes: number): Moment {
  const length = from.kind === 'date' ? day * (1 + (minutes % 3)) : minutes * minute;
  return momentAt(wallSeconds(from) + length, from);
}

function texts(): fc.Arbitrary<Partial<Entry>> {
  return fc.record({
    summary: fc.option(text),
    description: fc.option(text),
    location: fc.option(text),
    showAs: fc.constantFrom('free', 'tentative', 'busy', 'oof', 'workingElsewhere'),
    status: fc.constantFrom('confirmed', 'tentative', 'cancelled'),
    // Personal is written as PRIVATE, which reads back as private.
    sensitivity: fc.constantFrom('normal', 'private', 'confidential'),
    importance: fc.constantFrom('low', 'normal', 'high'),
    categories: fc.array(text, { maxLength: 3 }),
    reminder: fc.option(fc.integer({ min: 0, max: 10_000 })),
    organizer: fc.option(address.map((mail) => ({ address: mail, name: 'A, "B"' }))),
    attendees: fc.array(
      fc.record({
        address,
        name: fc.option(text),
        role: fc.constantFrom('chair', 'required', 'optional', 'nonParticipant'),
        kind: fc.constantFrom('individual', 'group', 'room', 'resource'),
        participation: fc.constantFrom('needsAction', 'accepted', 'tentative', 'declined'),
        rsvp: fc.boolean(),
      }),
      { maxLength: 3 },
    ),
    lastModifiedAt: fc.constantFrom('2026-01-02T03:04:05Z', '2025-12-31T23:59:59Z'),
    foreign: fc.constantFrom<Entry['foreign']>(
      [],
      [['x-team', { 'x-a': 'b,c' }, 'unknown', 'v\\, w']],
      [['color', {}, 'text', 'red']],
    ),
  }) as fc.Arbitrary<Partial<Entry>>;
}

const rules = fc.constantFrom(
  'FREQ=DAILY;COUNT=10',
  'FREQ=DAILY;INTERVAL=3',
  'FREQ=WEEKLY;COUNT=12',
  'FREQ=WEEKLY;INTERVAL=2;WKST=SU',
  'FREQ=MONTHLY;COUNT=7',
  'FREQ=MONTHLY',
  'FREQ=YEARLY;COUNT=3',
  'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=9',
  'FREQ=MONTHLY;BYMONTHDAY=-1',
);

/** A series as a source tells it: overrides and exclusions name true slots, in the form of the start. */
export function anySeries(): fc.Arbitrary<Series> {
  return fc
    .record({
      from: start(),
      minutes: fc.integer({ min: 1, max: 900 }),
      said: texts(),
      rule: fc.option(rules, { freq: 3 }),
      picks: fc.array(
        fc.record({
          index: fc.nat({ max: 6 }),
          isGone: fc.boolean(),
          shift: fc.integer({ min: -600, max: 600 }),
          said: texts(),
        }),
        {
          maxLength: 3,
        },
      ),
    })
    .map(({ from, minutes, said, rule, picks }) => {
      const main = anEntry({ ...said, start: from, end: ending(from, minutes) });
      if (rule === null) return aSeries({ main });
      const plain = aSeries({ main, recurrence: { rule, clampedDay: null, extra: [] } });
      const slots = [...Iterator.from(walls(timelineOf(plain))).take(7)].map((wall) => momentAt(wall, from));
      const excluded = new Map<string, Moment>();
      const overrides = new Map<string, Series['overrides'][number]>();
      for (const { index, isGone, shift, said: own } of picks) {
        const slot = slots[index];
        if (slot === undefined || overrides.has(slotKey(slot)) || excluded.has(slotKey(slot))) continue;
        if (isGone) excluded.set(slotKey(slot), slot);
        else {
          const moved = momentAt(wallSeconds(slot) + shift * minute, from);
          // One organizer per resource: an override has the series' own.
          const entry = anEntry({ ...own, organizer: main.organizer, start: moved, end: ending(moved, minutes) });
          overrides.set(slotKey(slot), { slot, entry });
        }
      }
      const sorted = <Item>(map: Map<string, Item>): Item[] =>
        [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item);
      return { ...plain, excluded: sorted(excluded), overrides: sorted(overrides) };
    });
}
