/**
 * Random histories of several tenants in one target, without end: `node test/soak/merging.ts [first seed] [how many]
 * [steps]`. Each is told as it ends, one that fails with its story. Exits with 1 if any did.
 */
import { mergingHistory } from '../support/merging-history.ts';
import { soak } from './soak.ts';

await soak(async (seed, steps) => {
  const { difference, faults, story } = await mergingHistory(seed, { steps });
  return difference.missing.length + difference.surplus.length + faults.length === 0
    ? { held: difference.expected }
    : { failed: JSON.stringify({ steps, difference, faults, story }, null, 1) };
});
