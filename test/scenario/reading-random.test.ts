import { randomInt } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { randomHistory } from '../support/random-history.ts';

/**
 * `HISTORIES=200 HISTORY_STEPS=100 npm test -- test/scenario/reading-random` soaks; `HISTORY_SEED=17 HISTORIES=1` runs one
 * again.
 */
const histories = Number(process.env['HISTORIES'] ?? 6);
const steps = Number(process.env['HISTORY_STEPS'] ?? 60);
const firstSeed = Number(process.env['HISTORY_SEED'] ?? randomInt(1_000_000));
const isTold = process.env['HISTORY_STORY'] !== undefined;

describe('any history of changes, faults and crashes', () => {
  it.each(Array.from({ length: histories }, (_, index) => firstSeed + index))(
    'ends with the target showing the truth (HISTORY_SEED=%i)',
    async (seed) => {
      const { comparison, switches, story, troubles } = await randomHistory(seed, steps);
      const { missing, surplus, expected } = comparison;
      expect(expected).toBeGreaterThan(0);
      const told = isTold ? { switches, story } : {};
      expect({ seed, missing, surplus, troubles, ...told }).toEqual({
        seed,
        missing: [],
        surplus: [],
        troubles: [],
        ...told,
      });
    },
    120_000,
  );
});
