import { describe, expect, it } from '@jest/globals';
import type { Series } from '../../src/calendar/series.ts';
import { chooseClaim, type Candidate } from '../../src/consolidate/choose-claim.ts';
import { conflictsOf, type Speaker } from '../../src/consolidate/conflicts.ts';
import { keepMeetings, type StandingMeeting } from '../../src/consolidate/keep-meetings.ts';
import { redact } from '../../src/calendar/privacy.ts';
import { anEntry, aSeries, zoned } from '../calendar/builders.ts';

const start = zoned('2026-07-01T09:00:00');
const board = (changes: Partial<Series['main']> = {}, more: Partial<Series> = {}): Series =>
  aSeries({
    main: anEntry({ summary: 'Board', location: 'Room 1', start, end: zoned('2026-07-01T10:00:00'), ...changes }),
    ...more,
  });

function speaker(sourceId: string, series: Series, detail: Speaker['detail'] = 'full'): Speaker {
  const redacted = redact(series, detail, 'full');
  if (redacted === null) throw new Error('Nothing is left.');
  return { sourceId, detail, series: redacted };
}

const fieldsOf = (shown: Speaker, other: Speaker): string[] => conflictsOf(shown, [other]).map(({ field }) => field);

describe('conflicts between copies of a meeting', () => {
  it.each<[string, Partial<Series['main']>, Partial<Series>]>([
    ['times', { end: zoned('2026-07-01T11:00:00') }, {}],
    ['place', { location: 'Room 2' }, {}],
    ['title', { summary: 'Bored' }, {}],
    ['status', { status: 'cancelled' }, {}],
    ['recurrence', {}, { recurrence: { rule: 'FREQ=DAILY', clampedDay: null, extra: [] } }],
  ])('are seen in %s', (field, changes, more) => {
    expect(fieldsOf(speaker('a', board()), speaker('b', board(changes, more)))).toEqual([field]);
  });

  it('tell both values and whose they are', () => {
    const found = conflictsOf(speaker('a', board()), [speaker('b', board({ summary: 'Bored' }))]);

    expect(found).toEqual([
      { field: 'title', shown: { source: 'a', value: 'Board' }, other: { source: 'b', value: 'Bored' } },
    ]);
  });

  it('are none where copies differ only in blanks, case, reminders or answers', () => {
    const other = board({ summary: ' board', location: 'ROOM  1', reminder: 5, answer: 'accepted' });

    expect(conflictsOf(speaker('a', board()), [speaker('b', other)])).toEqual([]);
  });

  it.each(['full', 'title'] as const)(
    'of a copy that says all (%s) and one that says when are only of times',
    (detail) => {
      const other = board({ summary: 'Secret', location: 'Bunker', start: zoned('2026-07-01T09:30:00') });
      const found = conflictsOf(speaker('a', board(), detail), [speaker('b', other, 'busy')]);

      expect(found.map(({ field }) => field)).toEqual(['times']);
      expect(JSON.stringify(found)).not.toMatch(/Secret|Bunker|Board|Room/);
    },
  );

  it('leave the place out where one side shows titles only', () => {
    expect(fieldsOf(speaker('a', board()), speaker('b', board({ location: 'Bunker' }), 'title'))).toEqual([]);
  });
});

describe('meetings whose claims get other identities', () => {
  const standing = (
    id: string,
    identity: string,
    wants: Readonly<Record<string, string>>,
    shows = '',
  ): StandingMeeting => ({
    id,
    identity,
    hasObjects: true,
    shownClaimId: shows,
    claims: Object.entries(wants).map(([claim, wanted]) => ({ id: claim, identity: wanted })),
  });
  const keptOf = (...meetings: StandingMeeting[]) => Object.fromEntries(keepMeetings(meetings));

  it('split: the claim that shows keeps the meeting', () => {
    expect(keptOf(standing('1', 'x', { '1': 'a', '2': 'b' }, '2'))).toEqual({ '1': 'b' });
  });

  it('merge: the oldest that stands stays, in any order', () => {
    const [old, young] = [standing('3', 'a', { '7': 'x' }, '7'), standing('12', 'b', { '1': 'x' }, '1')];

    expect(keptOf(old, young)).toEqual({ '3': 'x', '12': null });
    expect(keptOf(young, old)).toEqual({ '3': 'x', '12': null });
  });

  it('let one that stands go before an older one that does not', () => {
    const empty = { ...standing('3', 'a', { '7': 'x' }), hasObjects: false };

    expect(keptOf(empty, standing('12', 'b', { '1': 'x' }))).toEqual({ '3': null, '12': 'x' });
  });

  it('take a name from a meeting that nobody has any more', () => {
    expect(keptOf(standing('1', 'x', {}), standing('2', 'a', { '5': 'x' }))).toEqual({ '1': null, '2': 'x' });
    expect(keptOf(standing('1', 'x', {}))).toEqual({ '1': 'x' });
  });

  it('keep their own name for those who stay when the claim that shows joins another meeting', () => {
    const from = standing('5', 'x', { '1': 'y', '2': 'x' }, '1');

    expect(keptOf(from, standing('2', 'y', { '9': 'y' }, '9'))).toEqual({ '5': 'x', '2': 'y' });
  });
});

describe('the copy changed last', () => {
  const now = new Date('2026-07-01T12:00:00Z');
  const candidate = (sourceId: string, lastModifiedAt: string | null, position: number): Candidate => ({
    claimId: sourceId,
    sourceId,
    calendarId: 'work',
    detail: 'full',
    lastModifiedAt: lastModifiedAt === null ? null : new Date(lastModifiedAt),
    priority: 100,
    position,
    isRestored: false,
    comparable: sourceId,
  });
  const shownOf = (...candidates: Candidate[]): (string | undefined)[] =>
    [candidates, candidates.toReversed()].map(
      (order) => chooseClaim(order, { strategy: 'last-write-wins', pinnedSourceId: null, now })?.shown.sourceId,
    );

  it('is not one from the year 2099 nor one without a time, in any order', () => {
    const [old, odd, silent] = [
      candidate('old', '2020-01-01T00:00:00Z', 2),
      candidate('odd', '2099-01-01T00:00:00Z', 0),
      candidate('silent', null, 1),
    ];

    expect(shownOf(old, odd, silent)).toEqual(['old', 'old']);
  });

  it('may be one by a clock that is some minutes ahead of ours', () => {
    const [before, ahead] = [
      candidate('before', '2026-07-01T11:59:00Z', 0),
      candidate('ahead', '2026-07-01T12:02:00Z', 1),
    ];

    expect(shownOf(before, ahead)).toEqual(['ahead', 'ahead']);
  });
});
