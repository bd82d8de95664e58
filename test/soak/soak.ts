/** Random histories one after the other, each told as it ends. */
import { randomInt } from 'node:crypto';
import setUp, { tearDown } from '../support/database-setup.ts';

/** How one history ended: how many happenings were compared, or what is to be told of its failure. */
export type Ending = { readonly held: number } | { readonly failed: string };

/** Takes first seed, how many and steps from the command line; ends the process, with 1 if any failed. */
export async function soak(play: (seed: number, steps: number) => Promise<Ending>): Promise<never> {
  const [first = randomInt(1_000_000), count = 100, steps = 60] = process.argv.slice(2).map(Number);
  const say = (what: string): void => void process.stdout.write(`${what}\n`);
  let failed = 0;
  await setUp();
  try {
    for (let seed = first; seed < first + count; seed += 1) {
      const startedAt = performance.now();
      const ending = await play(seed, steps).catch((thrown: unknown) => thrown as Error);
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
      if ('held' in ending) say(`${seed} held (${ending.held} happenings, ${seconds} s)`);
      else {
        failed += 1;
        if (ending instanceof Error) say(`${seed} BROKE after ${seconds} s: ${ending.stack ?? ending.message}`);
        else say(`${seed} FAILED ${ending.failed}`);
      }
    }
  } finally {
    await tearDown();
  }
  say(`${count} histories, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}
