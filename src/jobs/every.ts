/** Work that is done again and again. */
export interface Repetition {
  /** Begins no more; waits for what is under way. */
  stop(): Promise<void>;
}

/**
 * Begins `work` every `ms` milliseconds, unless what it gave to wait for is still under way. It counts on the monotonic
 * clock: cron plans by the wall clock, and for as long as that was set back nothing would begin. `work` must not throw.
 */
export function every(ms: number, work: () => Promise<void> | void): Repetition {
  let underWay: Promise<void> | null = null;
  const timer = setInterval(() => {
    underWay ??= Promise.resolve(work()).finally(() => (underWay = null));
  }, ms);
  return {
    async stop() {
      clearInterval(timer);
      await underWay;
    },
  };
}
