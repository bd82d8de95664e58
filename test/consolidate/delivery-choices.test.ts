import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chooseClaim, type Candidate } from '../../src/consolidate/choose-claim.ts';
import { judgeDeletions } from '../../src/consolidate/judge-deletions.ts';
import { planMeeting, type KnownObject, type WantedObject } from '../../src/consolidate/plan-meeting.ts';

const now = new Date('2026-11-22T12:00:00Z');
const aCandidate = (claimId: string, change: Partial<Candidate> = {}): Candidate => ({
  claimId,
  sourceId: claimId,
  calendarId: 'work',
  detail: 'full',
  lastModifiedAt: new Date('2026-11-01T00:00:00Z'),
  priority: 100,
  position: 0,
  isRestored: false,
  comparable: claimId,
  ...change,
});
const choose = (...candidates: Candidate[]): string | undefined =>
  chooseClaim(candidates, { strategy: 'last-write-wins', pinnedSourceId: null, now })?.shown.claimId;

describe('which claim of a meeting shows', () => {
  it('is the one with the most permitted detail, whoever wrote last', () => {
    const busy = aCandidate('b', { detail: 'busy', lastModifiedAt: now });
    expect(choose(busy, aCandidate('a'))).toBe('a');
  });

  it('is the one written last, where a date in the future or none ranks last', () => {
    const future = aCandidate('future', { lastModifiedAt: new Date('2099-01-01T00:00:00Z') });
    const none = aCandidate('none', { lastModifiedAt: null });
    const late = aCandidate('late', { lastModifiedAt: new Date('2026-11-20T00:00:00Z') });
    expect(choose(future, none, aCandidate('early'), late)).toBe('late');
  });

  it('stays with the first source as long as nothing that matters differs', () => {
    const same = { comparable: 'same' };
    const second = aCandidate('b', { ...same, position: 1, lastModifiedAt: now });
    expect(choose(second, aCandidate('a', same))).toBe('a');
  });

  it('is what the operator restored only while no source has it', () => {
    const restored = aCandidate('trash', { isRestored: true });
    expect(choose(restored)).toBe('trash');
    expect(choose(restored, aCandidate('a', { detail: 'busy', lastModifiedAt: null }))).toBe('a');
  });

  it('does not depend on the order in which claims arrive', () => {
    const stamp = fc.oneof(
      fc.constantFrom(null, '2026-11-22T12:59:00Z', '2026-11-22T13:01:00Z', '2099-01-01T00:00:00Z'),
      fc.integer({ min: 1, max: 21 }).map((day) => new Date(Date.UTC(2026, 10, day)).toISOString()),
    );
    const candidates = fc.uniqueArray(
      fc.record({
        claimId: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
        detail: fc.constantFrom('full' as const, 'title' as const, 'busy' as const),
        stamp,
        priority: fc.integer({ min: 1, max: 3 }),
        position: fc.nat(2),
        comparable: fc.constantFrom('x', 'y'),
        isRestored: fc.boolean(),
      }),
      { selector: (one) => one.claimId, minLength: 1 },
    );
    const options = fc.record({
      strategy: fc.constantFrom('last-write-wins' as const, 'priority' as const),
      pinnedSourceId: fc.constantFrom(null, 'a', 'c', 'nobody'),
    });
    fc.assert(
      fc.property(candidates, options, fc.nat(), (drawn, how, turn) => {
        const all = drawn.map(({ claimId, stamp: at, ...change }) =>
          aCandidate(claimId, { ...change, lastModifiedAt: at === null ? null : new Date(at) }),
        );
        const at = turn % all.length;
        const turned = [...all.slice(at), ...all.slice(0, at)];
        expect(chooseClaim(turned, { ...how, now })).toEqual(chooseClaim(all.toReversed(), { ...how, now }));
      }),
    );
  });

  it('is weaker in nothing than another by the rules in their order', () => {
    const aDetail = fc.constantFrom('full' as const, 'title' as const, 'busy' as const);
    const pair = fc.record({ details: fc.tuple(aDetail, aDetail), days: fc.tuple(fc.nat(20), fc.nat(20)) });
    fc.assert(
      fc.property(pair, ({ details: [one, other], days: [first, second] }) => {
        const dated = (day: number): Date => new Date(Date.UTC(2026, 10, 1 + day));
        const shown = choose(
          aCandidate('one', { detail: one, lastModifiedAt: dated(first) }),
          aCandidate('other', { detail: other, lastModifiedAt: dated(second), position: 1 }),
        );
        const says = ['busy', 'title', 'full'];
        const byDetail = says.indexOf(one) - says.indexOf(other);
        expect(shown).toBe((byDetail || first - second || 1) > 0 ? 'one' : 'other');
      }),
    );
  });
});

describe('the steps of a meeting', () => {
  const aWanted = (href: string, change: Partial<WantedObject> = {}): WantedObject => ({
    part: 'main',
    uid: 'u',
    calendarId: 'work',
    href,
    text: 'text',
    fingerprint: 'new',
    scheduleFingerprint: 's',
    ...change,
  });
  const aKnown = (href: string, change: Partial<KnownObject> = {}): KnownObject => ({
    id: href,
    part: 'main',
    uid: 'u',
    calendarId: 'work',
    href,
    etag: '"1"',
    fingerprint: 'new',
    ...change,
  });

  it('are none when what stands there is what is wanted', () => {
    expect(planMeeting([aWanted('/x')], [aKnown('/x')], 'why')).toEqual([]);
  });

  it('write before they delete, and know from where a meeting moves', () => {
    const steps = planMeeting([aWanted('/home/x', { calendarId: 'home' })], [aKnown('/work/x')], 'why');
    expect(steps.map((step) => step.do)).toEqual(['create', 'delete']);
    expect(steps[0]).toMatchObject({ movedFrom: { href: '/work/x' } });
  });

  it('write again what is not known to be ours', () => {
    expect(planMeeting([aWanted('/x')], [aKnown('/x', { fingerprint: null })], 'why')).toMatchObject([
      { do: 'update' },
    ]);
  });
});

describe('the ceiling of a target', () => {
  const none = { upcoming: 0, pendingUpcoming: 0, doneUpcoming: 0, approvedUpcoming: 0 };
  it.each([
    ['ten of ten', { ...none, upcoming: 10, pendingUpcoming: 10 }, false],
    ['eleven of thirty', { ...none, upcoming: 30, pendingUpcoming: 11 }, true],
    ['twenty of a hundred', { ...none, upcoming: 100, pendingUpcoming: 20 }, false],
    ['one more after twenty of a hundred', { ...none, upcoming: 80, doneUpcoming: 20, pendingUpcoming: 1 }, true],
    ['what the operator approved', { ...none, upcoming: 100, pendingUpcoming: 90, approvedUpcoming: 70 }, false],
  ])('with %s', (_name, count, isHeld) => {
    expect(judgeDeletions(count) !== null).toBe(isHeld);
  });
});
