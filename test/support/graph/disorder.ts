/** The disorder that delta queries may show (`delta-query-overview.md`): any order, repeats, replays, empty pages. */
import type { Entry } from './delta-entries.ts';
import { seededRandom, type Switches } from './switches.ts';

export class Disorderer {
  private readonly switches: Switches;
  private seed: number | null = null;
  private random: () => number = seededRandom(0);

  constructor(switches: Switches) {
    this.switches = switches;
  }

  /** True as often as the named share says; never without disorder. */
  happens(what: 'duplicates' | 'replays' | 'emptyPages'): boolean {
    const { disorder } = this.switches;
    if (!disorder || disorder[what] === 0) return false;
    return this.draw(disorder.seed) < disorder[what];
  }

  /**
   * The groups (an event or series each) of a round as they are sent. An id may come several times, the last one is true;
   * a first round may hold removals of things that were never there.
   */
  arrange(groups: readonly Entry[][], isFirst: boolean): Entry[][] {
    const filled = groups.filter((group) => group.length > 0);
    const { disorder } = this.switches;
    if (!disorder) return filled;
    const all = isFirst && disorder.strangeRemovals ? [...filled, ...strangers] : filled;
    const sent = disorder.shuffle
      ? this.shuffled(
          all.map((group) => this.shuffled(group, disorder.seed)),
          disorder.seed,
        )
      : all;
    const early = sent.filter(() => this.happens('duplicates'));
    return [...early.map((group) => group.map((entry): Entry => ({ ...entry, isOld: true }))), ...sent];
  }

  private shuffled<T>(list: readonly T[], seed: number): T[] {
    return list
      .map((value) => ({ value, rank: this.draw(seed) }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ value }) => value);
  }

  private draw(seed: number): number {
    if (seed !== this.seed) {
      this.seed = seed;
      this.random = seededRandom(seed);
    }
    return this.random();
  }
}

const strangers: readonly Entry[][] = [1, 2].map((number) => [
  { kind: 'removed', id: `AAMkNobody${number}=`, immutableId: `AAkANobody${number}=`, isOccurrence: false },
]);
