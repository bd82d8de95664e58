/** What is known of one source's removals when a round has ended. */
export interface RemovalCount {
  /** Claims that show now, pending and held ones included. */
  readonly shown: number;
  /** Of these, those that are not over yet. */
  readonly upcoming: number;
  /** Claims whose absence is confirmed but which still show. */
  readonly pending: number;
  readonly pendingUpcoming: number;
  /** Removed in the last 24 hours. */
  readonly done: number;
  readonly doneUpcoming: number;
}

export type Verdict = { readonly kind: 'apply' } | { readonly kind: 'hold'; readonly reason: string };

const alwaysAllowed = 10;
const share = 0.2;
const smallestCalendarGuarded = 3;

/**
 * The guard: whether confirmed removals may be carried out. They are held when those of upcoming series over 24 hours
 * exceed `max(10, 20 %)` of what was upcoming before them, or when they would empty a calendar of three or more.
 */
export function judgeRemovals(count: RemovalCount): Verdict {
  const before = count.shown + count.done;
  if (count.pending > 0 && count.shown === count.pending && before >= smallestCalendarGuarded)
    return { kind: 'hold', reason: `it would leave nothing of ${before} events` };
  const upcomingBefore = count.upcoming + count.doneUpcoming;
  const limit = Math.max(alwaysAllowed, Math.floor(upcomingBefore * share));
  const removed = count.pendingUpcoming + count.doneUpcoming;
  if (removed > limit)
    return { kind: 'hold', reason: `${removed} of ${upcomingBefore} upcoming events would be gone within 24 hours` };
  return { kind: 'apply' };
}
