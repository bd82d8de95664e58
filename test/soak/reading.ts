/**
 * Random histories without end: `node test/soak/reading.ts [first seed] [how many] [steps]`. Each is told as it ends;
 * one that fails is shrunk to the steps that it needs, and told with its switches and its story. A seed and its steps give
 * the same history on any machine on any day. Exits with 1 if any did.
 */
import { randomInt } from 'node:crypto';
import setUp, { tearDown } from '../support/database-setup.ts';
import { hasFailed, randomHistory, shrinkHistory } from '../support/random-history.ts';

const [first = randomInt(1_000_000), count = 100, steps = 60] = process.argv.slice(2).map(Number);
const shrinkingRuns = 40;

const say = (what: string): void => void process.stdout.write(`${what}\n`);

await setUp();
let failed = 0;
try {
  for (let seed = first; seed < first + count; seed += 1) {
    const startedAt = performance.now();
    const outcome = await randomHistory(seed, steps).catch((thrown: unknown) => thrown as Error);
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    if (outcome instanceof Error) {
      failed += 1;
      say(`${seed} BROKE after ${seconds} s: ${outcome.stack ?? outcome.message}`);
      continue;
    }
    if (!hasFailed(outcome)) {
      say(`${seed} held (${outcome.comparison.expected} happenings, ${seconds} s)`);
      continue;
    }
    failed += 1;
    say(`${seed} FAILED ${JSON.stringify({ ...outcome.comparison, troubles: outcome.troubles })}; shrinking`);
    const needed = await shrinkHistory(seed, steps, shrinkingRuns);
    const { story, switches, dialect, comparison, troubles } = await randomHistory(seed, needed);
    say(JSON.stringify({ seed, needed, switches, dialect, comparison, troubles, story }, null, 1));
  }
} finally {
  await tearDown();
}
say(`${count} histories, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
