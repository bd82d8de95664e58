/** What is known of a target's deletions when some are about to be made. Of meetings that are not over yet. */
export interface DeletionCount {
  /** Meetings that show now, those to be deleted included. */
  readonly upcoming: number;
  /** About to be deleted because nobody shows them any more, whatever the cause. */
  readonly pendingUpcoming: number;
  /** Deleted in the last 24 hours. */
  readonly doneUpcoming: number;
  /** Removals that the operator approved in the guard of a source in the last 24 hours: not asked for twice. */
  readonly approvedUpcoming: number;
}

const alwaysAllowed = 10;
const share = 0.2;

/**
 * The ceiling of a target: why its deletions are to be held, or null. It counts deletions from any cause, changes of
 * the configuration included, and comes after the guard of each source.
 */
export function judgeDeletions(count: DeletionCount): string | null {
  const before = count.upcoming + count.doneUpcoming;
  const limit = Math.max(alwaysAllowed, Math.floor(before * share)) + count.approvedUpcoming;
  const deleted = count.pendingUpcoming + count.doneUpcoming;
  if (deleted <= limit) return null;
  return `${deleted} of ${before} upcoming meetings would be deleted from the target within 24 hours`;
}
