/** A claim as a candidate for being shown. */
export interface Candidate {
  readonly claimId: string;
  readonly sourceId: string;
  /** Where the source goes into: the calendar of the target. */
  readonly calendarId: string;
  readonly detail: 'full' | 'title' | 'busy';
  /** Instant, or null where the source does not say. */
  readonly lastModifiedAt: Date | null;
  /** Smaller is stronger. */
  readonly priority: number;
  /** The source's place in the configuration. */
  readonly position: number;
  /** Taken out of the trash by the operator: shows only while no source's claim does. */
  readonly isRestored: boolean;
  /** Equal for two claims that agree in every field that matters. */
  readonly comparable: string;
}

export interface Choice<C extends Candidate> {
  readonly shown: C;
  readonly why: 'only' | 'pinned' | 'detail' | 'last-write-wins' | 'priority' | 'order';
}

const detailRank = { full: 0, title: 1, busy: 2 } as const;

/**
 * Which claim of a meeting shows: a source's before a restored one; the operator's pin; the most permitted detail; then, only where comparable fields
 * differ, the target's strategy; then the order of sources. A lastModified that is missing, or in the future by more than clocks differ,
 * ranks last.
 * The same for any order of the input. Null when there is no claim.
 */
export function chooseClaim<C extends Candidate>(
  candidates: readonly C[],
  options: { strategy: 'last-write-wins' | 'priority'; pinnedSourceId: string | null; now: Date },
): Choice<C> | null {
  const ofSources = candidates.filter((candidate) => !candidate.isRestored);
  const inOrder = (ofSources.length > 0 ? ofSources : candidates).toSorted(
    (a, b) => a.position - b.position || compareText(a.sourceId, b.sourceId) || compareText(a.claimId, b.claimId),
  );
  const [first, second] = inOrder;
  if (first === undefined) return null;
  if (second === undefined) return { shown: first, why: 'only' };

  const pinned = inOrder.find((candidate) => candidate.sourceId === options.pinnedSourceId);
  if (pinned !== undefined) return { shown: pinned, why: 'pinned' };

  const best = Math.min(...inOrder.map((candidate) => detailRank[candidate.detail]));
  const detailed = inOrder.filter((candidate) => detailRank[candidate.detail] === best);
  const leader = detailed[0] ?? first;
  if (detailed.length === 1) return { shown: leader, why: 'detail' };
  if (detailed.every((candidate) => candidate.comparable === leader.comparable)) return { shown: leader, why: 'order' };

  const rank = (candidate: C): number =>
    options.strategy === 'priority' ? candidate.priority : -modifiedRank(candidate.lastModifiedAt, options.now);
  const strongest = Math.min(...detailed.map(rank));
  const winners = detailed.filter((candidate) => rank(candidate) === strongest);
  return { shown: winners[0] ?? leader, why: winners.length === 1 ? options.strategy : 'order' };
}

/** A source's clock may be ahead of ours; what was changed just now must not rank last for it. */
export const clockSkewMs = 3_600_000;

function modifiedRank(at: Date | null, now: Date): number {
  return at === null || at.getTime() > now.getTime() + clockSkewMs ? Number.NEGATIVE_INFINITY : at.getTime();
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
