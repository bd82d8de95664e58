import { writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { randomHistory } from '../support/random-history.ts';

/**
 * `HISTORIES=200 HISTORY_STEPS=100 npm test -- test/scenario/reading-random` soaks; `HISTORY_SEED=17 HISTORIES=1` runs one
 * again, and `HISTORY_STORY=file` writes down what happened in it.
 */
const histories = Number(process.env['HISTORIES'] ?? 2);
const steps = Number(process.env['HISTORY_STEPS'] ?? 30);
const firstSeed = Number(process.env['HISTORY_SEED'] ?? 5_000);
const storyFile = process.env['HISTORY_STORY'];

describe('any history of changes, faults and crashes', () => {
  it.each(Array.from({ length: histories }, (_, index) => firstSeed + index))(
    'ends with the target showing the truth (HISTORY_SEED=%i)',
    async (seed) => {
      const { comparison, switches, story, troubles } = await randomHistory(seed, steps);
      const { missing, surplus, expected } = comparison;
      expect(expected).toBeGreaterThan(0);
      if (storyFile !== undefined)
        writeFileSync(storyFile, JSON.stringify({ seed, switches, comparison, story }, null, 1));
      expect({ seed, missing, surplus, troubles }).toEqual({ seed, missing: [], surplus: [], troubles: [] });
    },
    600_000,
  );

  it('replays exactly from its seed', async () => {
    const seed = 5_003;
    const [first, second] = [await randomHistory(seed, 8), await randomHistory(seed, 8)];
    expect(first.trace.length).toBeGreaterThan(30);
    expect(second.trace).toEqual(first.trace);
    expect(second.story).toEqual(first.story);
  }, 600_000);
});
