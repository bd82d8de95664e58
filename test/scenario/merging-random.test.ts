import { writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { mergingHistory } from '../support/merging-history.ts';

/**
 * `HISTORIES=200 HISTORY_STEPS=100 npm test -- test/scenario/merging-random` soaks; `HISTORY_SEED=17 HISTORIES=1` runs one
 * again, and `HISTORY_STORY=file` writes down what happened in it (with the seed behind its name).
 */
const histories = Number(process.env['HISTORIES'] ?? 2);
const steps = Number(process.env['HISTORY_STEPS'] ?? 40);
const firstSeed = Number(process.env['HISTORY_SEED'] ?? 5_000);
const storyFile = process.env['HISTORY_STORY'];
const seeds = Array.from({ length: histories }, (_, index) => firstSeed + index);

describe('any history of several tenants in one target', () => {
  it.each(seeds)(
    'ends with what the model says (HISTORY_SEED=%i)',
    async (seed) => {
      const { difference, faults, story } = await mergingHistory(seed, { steps });
      if (storyFile !== undefined)
        writeFileSync(`${storyFile}-${seed}`, JSON.stringify({ seed, difference, faults, story }, null, 1));
      const { missing, surplus, expected } = difference;
      expect(expected).toBeGreaterThan(0);
      expect({ seed, missing, surplus, faults }).toEqual({ seed, missing: [], surplus: [], faults: [] });
    },
    600_000,
  );
});

describe('the order in which sources are read', () => {
  it('changes nothing of what shows', async () => {
    const orders = [
      ['contoso', 'fabrikam', 'tailspin'],
      ['tailspin', 'fabrikam', 'contoso'],
    ];
    const outcomes = [];
    for (const calmOrder of orders) {
      const { shown, difference } = await mergingHistory(firstSeed, { steps, calmOrder });
      expect(difference).toMatchObject({ missing: [], surplus: [] });
      outcomes.push(shown.map(({ calendar, title, body }) => `${calendar} ${title} ${timesOf(body)}`).sort());
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
  }, 120_000);
});

function timesOf(body: string): string {
  return body
    .split('\r\n')
    .filter((line) => /^(DTSTART|DTEND|RRULE|EXDATE|RECURRENCE-ID|STATUS|TRANSP)/.test(line))
    .join(' ');
}
