import { describe, expect, it } from '@jest/globals';
import { coversSlot } from '../../src/consolidate/covers-slot.ts';
import { identityOf } from '../../src/consolidate/identity.ts';
import { anOverride, day, recurring, zoned } from '../calendar/builders.ts';

const aClaim = { sourceId: 'contoso', key: 'AAMk1', uid: '040000008200E000', slot: '*' };
const identity = (change: Partial<typeof aClaim> = {}, ...rest: ['target' | 'calendar' | 'off', string, boolean?]) =>
  identityOf({ ...aClaim, ...change }, ...rest).identity;

describe('what a claim is a copy of', () => {
  it('is told by uid and slot, of whatever source, and by nothing else', () => {
    const own = identity({}, 'target', 'work');
    expect(identity({ sourceId: 'fabrikam', key: 'AAMk2' }, 'target', 'agency')).toBe(own);
    expect(identity({ slot: '2026-07-01T07:00:00Z' }, 'target', 'work')).not.toBe(own);
    expect(identity({ uid: aClaim.uid.toLowerCase() }, 'target', 'work')).not.toBe(own);
  });

  it('stays within its calendar where the target wants that, and is nothing where it wants none', () => {
    const own = identity({}, 'calendar', 'work');
    expect(identity({ sourceId: 'fabrikam', key: 'AAMk2' }, 'calendar', 'work')).toBe(own);
    expect(identity({ sourceId: 'fabrikam', key: 'AAMk2' }, 'calendar', 'agency')).not.toBe(own);
    expect(identity({}, 'off', 'work')).not.toBe(identity({ key: 'AAMk2' }, 'off', 'work'));
  });

  it('is itself alone where it has no uid, or its source another claim of that uid', () => {
    const twin = identity({ key: 'AAMk2' }, 'target', 'work', true);
    expect(twin).not.toBe(identity({}, 'target', 'work'));
    expect(twin).not.toBe(identity({ key: 'AAMk3' }, 'target', 'work', true));
    expect(identityOf({ ...aClaim, uid: null }, 'target', 'work')).toMatchObject({ identityUid: null });
  });
});

describe('a date of a series that somebody else was invited to alone', () => {
  const start = zoned('2026-07-01T09:00:00');
  const series = recurring('FREQ=DAILY;COUNT=5', start, zoned('2026-07-01T10:00:00'));

  it('is covered by the occurrence of its slot, not by others', () => {
    expect(coversSlot(series, '2026-07-03T07:00:00Z')).toBe(true);
    expect(coversSlot(series, '2026-07-09T07:00:00Z')).toBe(false);
  });

  it('is not covered where the series excludes or cancels it', () => {
    expect(coversSlot({ ...series, excluded: [zoned('2026-07-03T09:00:00')] }, '2026-07-03T07:00:00Z')).toBe(false);
    const moved = anOverride(zoned('2026-07-03T09:00:00'), { start: zoned('2026-07-03T15:00:00') });
    expect(coversSlot({ ...series, overrides: [moved] }, '2026-07-03T07:00:00Z')).toBe(true);
    const cancelled = anOverride(zoned('2026-07-03T09:00:00'), { status: 'cancelled' });
    expect(coversSlot({ ...series, overrides: [cancelled] }, '2026-07-03T07:00:00Z')).toBe(false);
    expect(coversSlot({ ...series, overrides: [cancelled] }, '2026-07-02T07:00:00Z')).toBe(true);
  });

  it('is covered by the one of its day where its own time of day is not known', () => {
    expect(coversSlot(series, '2026-07-03T13:00:00Z')).toBe(true);
    const cancelled = anOverride(zoned('2026-07-03T09:00:00'), { status: 'cancelled' });
    expect(coversSlot({ ...series, overrides: [cancelled] }, '2026-07-03T13:00:00Z')).toBe(false);
    // By the clock of the series: half past one at night in Berlin is the next day there.
    expect(coversSlot(series, '2026-07-05T23:30:00Z')).toBe(false);
  });

  it('is covered by a whole day of its date', () => {
    const days = recurring('FREQ=WEEKLY;COUNT=3', day('2026-07-01'), day('2026-07-02'));
    expect(coversSlot(days, '2026-07-08')).toBe(true);
    expect(coversSlot(days, '2026-07-09')).toBe(false);
  });
});
