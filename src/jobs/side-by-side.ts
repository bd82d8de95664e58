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
  const waiting: (() => void)[] = [];
  let free = most;

  const carryOut = async (id: string, work: (id: string) => Promise<void>): Promise<void> => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      await work(id);
    } finally {
      underWay.delete(id);
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
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
