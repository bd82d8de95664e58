import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { judgeRemovals, type RemovalCount } from '../../src/consolidate/judge-removals.ts';

/** A calendar of upcoming events of which some are pending; a test names what else matters. */
function counts(shown: number, pending: number, others: Partial<RemovalCount> = {}): RemovalCount {
  return { shown, upcoming: shown, pending, pendingUpcoming: pending, done: 0, doneUpcoming: 0, ...others };
}

describe('removals of a source', () => {
  it.each([
    ['the only event', counts(1, 1), 'apply'],
    ['two of two', counts(2, 2), 'apply'],
    ['three of three', counts(3, 3), 'hold'],
    ['the last of three, two of which went today', counts(1, 1, { done: 2, doneUpcoming: 2 }), 'hold'],
    ['the last of three, two of which went days ago', counts(1, 1), 'apply'],
    ['ten of twelve', counts(12, 10), 'apply'],
    ['eleven of twelve', counts(12, 11), 'hold'],
    ['a fifth of a hundred', counts(100, 20), 'apply'],
    ['one more than a fifth', counts(100, 21), 'hold'],
    ['a fifth of a thousand', counts(1_000, 200), 'apply'],
    ['one more than a fifth of a thousand', counts(1_000, 201), 'hold'],
    ['a fifth together with what went today', counts(90, 10, { done: 10, doneUpcoming: 10 }), 'apply'],
    ['more than a fifth together with what went today', counts(90, 11, { done: 10, doneUpcoming: 10 }), 'hold'],
    ['many that are over', counts(500, 300, { upcoming: 100, pendingUpcoming: 0 }), 'apply'],
    ['all that there is, over or not', counts(40, 40, { upcoming: 4, pendingUpcoming: 4 }), 'hold'],
    ['one more while others are held', counts(100, 26), 'hold'],
    ['nothing', counts(0, 0), 'apply'],
  ] as const)('%s', (_, count, verdict) => {
    expect(judgeRemovals(count).kind).toBe(verdict);
  });

  it('are held with a reason that a person understands', () => {
    expect(judgeRemovals(counts(4_000, 1_000))).toEqual({
      kind: 'hold',
      reason: '1000 of 4000 upcoming events would be gone within 24 hours',
    });
    expect(judgeRemovals(counts(3, 3))).toEqual({ kind: 'hold', reason: 'it would leave nothing of 3 events' });
  });

  it('are judged alike however they are spread over runs of a day', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 200 }), sizes, (total, runs) => {
        let done = 0;
        for (const size of runs) {
          const shown = total - done;
          if (size >= shown) return;
          const verdict = judgeRemovals(counts(shown, size, { done, doneUpcoming: done }));
          expect(verdict.kind).toBe(done + size > Math.max(10, Math.floor(total * 0.2)) ? 'hold' : 'apply');
          if (verdict.kind === 'hold') return;
          done += size;
        }
      }),
    );
  });
});
