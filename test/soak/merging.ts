/**
 * Random histories of several tenants in one target, without end: `node test/soak/merging.ts [first seed] [how many]
 * [steps]`. Each is told as it ends, one that fails with its story. Exits with 1 if any did.
 */
import { randomInt } from 'node:crypto';
import setUp, { tearDown } from '../support/database-setup.ts';
import { mergingHistory } from '../support/merging-history.ts';

const [first = randomInt(1_000_000), count = 100, steps = 60] = process.argv.slice(2).map(Number);
const say = (what: string): void => void process.stdout.write(`${what}\n`);

await setUp();
let failed = 0;
try {
  for (let seed = first; seed < first + count; seed += 1) {
    const startedAt = performance.now();
    const outcome = await mergingHistory(seed, { steps }).catch((thrown: unknown) => thrown as Error);
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    if (outcome instanceof Error) {
      failed += 1;
      say(`${seed} BROKE after ${seconds} s: ${outcome.stack ?? outcome.message}`);
      continue;
    }
    const { difference, faults, story } = outcome;
    if (difference.missing.length + difference.surplus.length + faults.length === 0) {
      say(`${seed} held (${difference.expected} happenings, ${seconds} s)`);
      continue;
    }
    failed += 1;
    say(`${seed} FAILED ${JSON.stringify({ steps, difference, faults, story }, null, 1)}`);
  }
} finally {
  await tearDown();
}
say(`${count} histories, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
