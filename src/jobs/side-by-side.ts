import { limiter } from '../shared/limiter.ts';

/** Work on many tenants, of which none waits for another. */
export interface SideBySide {
  /** Begins with those that are not under way yet, and waits for all of them. `work` must not throw. */
  run(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void>;
  /** Waits for what is under way. */
  settled(): Promise<void>;
}

/** At most so many at a time; who is slow keeps its own place and no other: further rounds go on beside it. */
export function sideBySide(most: number): SideBySide {
  const underWay = new Map<string, Promise<void>>();
  const limit = limiter(most);

  const carryOut = (id: string, work: (id: string) => Promise<void>): Promise<void> =>
    limit('all', () => work(id)).finally(() => underWay.delete(id));
  return {
    async run(ids, work) {
      const begun = ids.map((id) => {
        const done = underWay.get(id) ?? carryOut(id, work);
        underWay.set(id, done);
        return done;
      });
      await Promise.all(begun);
    },
    async settled() {
      await Promise.allSettled(underWay.values());
    },
  };
}
