import type { Clock } from '../shared/clock.ts';
import type { SyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Source } from '../sources/source.ts';
import type { Db, Store } from '../store/database.ts';
import type { Lease } from '../store/leases.ts';
import { lockForCommit, type ReadingSummary, type SourceState } from '../store/sources.ts';

export interface IngestDeps {
  readonly store: Store;
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Log;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
  /** Opens the source for this run; throws SyncError when its settings or secrets cannot be used. */
  readonly open: (state: SourceState) => Promise<Source>;
  /** Called after each commit that changed what a target should show. */
  readonly onChanged: (targetId: string) => void;
}

export interface IngestCounts {
  pages: number;
  requests: number;
  changed: number;
  rebuilt: number;
  /** Series that a routine full reading knew by their version. */
  unchanged: number;
  removed: number;
  held: number;
  failed: number;
}

export type IngestOutcome =
  /** `hasMore`: something was wanted or told while it ran, so that one more run is due at once. */
  | { readonly kind: 'done'; readonly counts: IngestCounts; readonly hasMore: boolean }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'failed'; readonly error: SyncError; readonly counts: IngestCounts };

/** One run over one source, from the state in which it was found. */
export interface Run {
  readonly deps: IngestDeps;
  readonly state: SourceState;
  readonly lease: Lease;
  readonly signal: AbortSignal;
  readonly counts: IngestCounts;
  readonly startedAtMs: number;
}

/** How the run went so far. */
export function summaryOf({ deps, counts, startedAtMs }: Run): ReadingSummary {
  return { durationMs: deps.clock.now().getTime() - startedAtMs, counts: { ...counts } };
}

/**
 * Commits `work`, unless the source's configuration or its lease is no longer the one that the run started from. Throws
 * `ingest.superseded`.
 */
export function commit<T>(run: Run, work: (db: Db) => Promise<T>): Promise<T> {
  return run.deps.store.transaction(async (db) => {
    await lockForCommit(db, run.state, run.lease.fence);
    return work(db);
  });
}

/** Counts series that changed, and hints that their target has something to show. */
export function tellChanged(run: Run, count: number): void {
  run.counts.changed += count;
  if (count > 0) run.deps.onChanged(run.state.targetId);
}

/** The run began with nothing but a stream of changes: no full reading is under way or wanted. */
export function isReadingChanges({ streams, isFullWanted }: SourceState): boolean {
  return !isFullWanted && streams.length > 0 && streams.every(({ kind }) => kind === 'delta');
}
