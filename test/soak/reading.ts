/**
 * Random histories without end: `node test/soak/reading.ts [first seed] [how many] [steps]`. Each is told as it ends;
 * one that fails is shrunk to the steps that it needs, and told with its switches and its story. A seed and its steps give
 * the same history on any machine on any day. Exits with 1 if any did.
 */
import { hasFailed, randomHistory, shrinkHistory } from '../support/random-history.ts';
import { soak } from './soak.ts';

const shrinkingRuns = 40;

await soak(async (seed, steps) => {
  const outcome = await randomHistory(seed, steps);
  if (!hasFailed(outcome)) return { held: outcome.comparison.expected };
  process.stdout.write(`${seed} ${JSON.stringify({ ...outcome.comparison, troubles: outcome.troubles })}; shrinking\n`);
  const needed = await shrinkHistory(seed, steps, shrinkingRuns);
  const { story, switches, dialect, comparison, troubles } = await randomHistory(seed, needed);
  return { failed: JSON.stringify({ seed, needed, switches, dialect, comparison, troubles, story }, null, 1) };
});
