import { scheduleJob, type Job } from 'node-schedule';
import { runDeliver, type DeliverDeps } from '../deliver/run-deliver.ts';
import { runIngest, type IngestDeps } from '../ingest/run-ingest.ts';
import type { Log } from '../shared/log.ts';
import { cleanUp } from '../store/clean-up.ts';
import { followClockBack } from '../store/clock-went-back.ts';
import type { Store } from '../store/database.ts';
import { groupOf, isWaiting, pickSources, pickTargets, releaseDead, releaseLeftOver } from '../store/due-work.ts';
import { markWhatIsAheadNoMore } from '../store/identities.ts';
import { every, type Repetition } from './every.ts';
import type { Hints, Kind } from './hints.ts';
import { isDeadHolder } from './holder.ts';
import { isHeldHere, leaseTtlMs, withLease, withSourceLease, writeTimeoutMs } from './with-lease.ts';

export interface WorkerDeps {
  readonly store: Store;
  readonly log: Log;
  readonly hints: Hints;
  readonly holder: string;
  /** How long history is kept. */
  readonly historyDays: number;
  readonly ingest: Omit<IngestDeps, 'onChanged'>;
  readonly deliver: Omit<DeliverDeps, 'writeTimeoutMs'>;
}

export interface Worker {
  /** Runs one source or target now and waits for it, whatever is due. Null when another worker is at it. */
  run(kind: Kind, id: string): Promise<RunResult | null>;
  /** Hints at a source or target: this process takes it up if it can and may at once, else whichever can first. */
  hint(kind: Kind, id: string): void;
  /** Takes up hints and sweeps from now on. */
  start(): Promise<void>;
  /** Lets what runs come to a point where it can stop; a write that has begun is finished. */
  stop(): Promise<void>;
}

export type RunResult = Awaited<ReturnType<typeof runIngest>> | Awaited<ReturnType<typeof runDeliver>>;

/** Runs at a time in one process; reading waits for the network most of the time. */
const slots: Readonly<Record<Kind, number>> = { ingest: 16, deliver: 8 };
/** Of one tenant (or kind): however slow its calendars are, there is room for another's. A target is its own group. */
const mostOfOneGroup: Readonly<Record<Kind, number>> = { ingest: 12, deliver: 8 };
/** Between the starts of two runs of one source or target: a flood of hints costs a few runs, a single one waits for none. */
const restMs: Readonly<Record<Kind, number>> = { ingest: 250, deliver: 50 };
/** A source that is hinted at without end rests longer each time, up to about this. */
const longestRestMs: Readonly<Record<Kind, number>> = { ingest: 1_000, deliver: 50 };
const kinds: readonly Kind[] = ['ingest', 'deliver'];
const sweepEveryMs = 1_000;

/** Says when a source is read and a target written, never how. */
export function createWorker(deps: WorkerDeps): Worker {
  const { db } = deps.store;
  const stopping = new AbortController();
  /** What is under way, with its group. */
  const running = new Map<string, { readonly group: string; readonly done: Promise<void> }>();
  /** Runs that were hinted at while they ran: one more follows. */
  const hintedAgain = new Set<string>();
  const startedAt = new Map<string, number>();
  const resting = new Map<string, NodeJS.Timeout>();
  const rests = new Map<string, number>();
  const free: Record<Kind, number> = { ...slots };
  /** There may be more due than was taken up: a run that ends makes room for it. */
  const hasBacklog: Record<Kind, boolean> = { ingest: false, deliver: false };
  const pulling: Record<Kind, Promise<void> | null> = { ingest: null, deliver: null };
  const groups = new Map<string, string>();
  let sweeps: Repetition | null = null;
  let nightly: Job | null = null;
  let isStarted = false;

  const tellFailure = (kind: string, id: string) => (error: unknown) => {
    if (!stopping.signal.aborted)
      deps.log.event('worker.failed', { kind, id, reason: error instanceof Error ? error.message : String(error) });
  };

  const run = async (kind: Kind, id: string): Promise<RunResult | null> => {
    const { signal: outer } = stopping;
    const held =
      kind === 'ingest'
        ? await withSourceLease<RunResult>(db, id, deps.holder, outer, (lease, signal) =>
            runIngest({ ...deps.ingest, onChanged: (target) => hint('deliver', target) }, id, lease, signal),
          )
        : await withLease<RunResult>(db, `target:${id}`, deps.holder, outer, (lease, signal) =>
            runDeliver({ ...deps.deliver, writeTimeoutMs }, id, lease, signal),
          );
    return held?.result ?? null;
  };

  const runsOf = (kind: Kind): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const [key, { group }] of running) if (key.startsWith(`${kind}:`)) counts[group] = (counts[group] ?? 0) + 1;
    return counts;
  };
  const hasRoom = (kind: Kind, group: string): boolean =>
    free[kind] > 0 && (runsOf(kind)[group] ?? 0) < mostOfOneGroup[kind];

  /**
   * Starts a run in the background, once per source or target. False: there is no room for it here, or it may not be
   * started any more; who has room finds it by its row.
   */
  const begin = (kind: Kind, id: string, group: string, hasRested = false): boolean => {
    const key = `${kind}:${id}`;
    if (stopping.signal.aborted) return false;
    if (running.has(key)) hintedAgain.add(key);
    if (running.has(key) || resting.has(key)) return true;
    if (!hasRoom(kind, group)) {
      hasBacklog[kind] = true;
      return false;
    }
    const rest = rests.get(key) ?? restMs[kind];
    const waitMs = (startedAt.get(key) ?? -Infinity) + rest - performance.now();
    if (waitMs > 0 && !hasRested) {
      // Sources that were hinted at together do not stay together.
      const spread = 0.8 + 0.4 * deps.ingest.random();
      rests.set(key, Math.min(2 * rest, longestRestMs[kind]) * spread);
      const begun = (): void => {
        resting.delete(key);
        begin(kind, id, group, true);
      };
      resting.set(key, setTimeout(begun, waitMs));
      return true;
    }
    if (!hasRested) rests.delete(key);
    free[kind] -= 1;
    running.set(key, { group, done: runOnce(kind, id, key, group) });
    return true;
  };

  const runOnce = async (kind: Kind, id: string, key: string, group: string): Promise<void> => {
    startedAt.set(key, performance.now());
    hintedAgain.delete(key);
    let hasMore = false;
    try {
      if (!(await isWaiting(db, kind, id))) {
        const result = await run(kind, id);
        hasMore = result !== null && 'hasMore' in result && result.hasMore;
        // Its mailbox or tenant is at its limit: the next one that ends may make room.
        if (result === null) hasBacklog[kind] = true;
      }
    } catch (error) {
      tellFailure(kind, id)(error);
    }
    running.delete(key);
    free[kind] += 1;
    if (hintedAgain.delete(key) || hasMore) begin(kind, id, group);
    if (hasBacklog[kind]) void pull(kind);
  };

  /** Takes up what is due, as much as there is room for. */
  const pull = (kind: Kind): Promise<void> => {
    pulling[kind] ??= pullOnce(kind)
      .catch(tellFailure('sweep', kind))
      .finally(() => (pulling[kind] = null));
    return pulling[kind];
  };
  const pullOnce = async (kind: Kind): Promise<void> => {
    hasBacklog[kind] = false;
    if (free[kind] === 0) hasBacklog[kind] = true;
    if (free[kind] === 0 || !isStarted || stopping.signal.aborted) return;
    const except = [...running.keys(), ...resting.keys()]
      .filter((key) => key.startsWith(`${kind}:`))
      .map((key) => key.slice(kind.length + 1));
    const limit = free[kind];
    const wanted = { limit, except, running: runsOf(kind), mostOfOneGroup: mostOfOneGroup[kind] };
    const due = await (kind === 'ingest' ? pickSources(db, wanted) : pickTargets(db, wanted));
    for (const { id, group } of due) {
      groups.set(`${kind}:${id}`, group);
      begin(kind, id, group);
    }
    if (due.length >= limit) hasBacklog[kind] = true;
  };

  /** A hint from elsewhere. What there is no room for is left to its row. */
  const take = async (kind: Kind, id: string): Promise<boolean> => {
    const key = `${kind}:${id}`;
    const known = kind === 'deliver' ? id : groups.get(key);
    if (known !== undefined) return begin(kind, id, known);
    const group = await groupOf(db, id);
    groups.set(key, group);
    return begin(kind, id, group);
  };

  const hint = (kind: Kind, id: string): void => {
    if (!isStarted || stopping.signal.aborted) deps.hints.send(kind, id);
    else
      take(kind, id).then(
        (isTaken) => {
          if (!isTaken) deps.hints.send(kind, id);
        },
        () => deps.hints.send(kind, id),
      );
  };

  const sweep = async (): Promise<void> => {
    if (stopping.signal.aborted) return;
    try {
      const backMs = await followClockBack(deps.store, leaseTtlMs);
      if (backMs > 0) deps.log.event('worker.clock_went_back', { seconds: Math.round(backMs / 1_000) });
      await releaseDead(db, isDeadHolder);
      await markWhatIsAheadNoMore(db);
      await releaseLeftOver(db, deps.holder, leaseTtlMs, (name) => isHeldHere(deps.holder, name));
      await Promise.all(kinds.map(pull));
    } catch (error) {
      tellFailure('sweep', '')(error);
    }
  };

  return {
    run,
    hint,
    async start() {
      isStarted = true;
      await deps.hints.work(async (kind, id) => {
        await take(kind, id);
      });
      nightly = scheduleJob('17 3 * * *', () => {
        void cleanUp(db, deps).catch(tellFailure('clean-up', ''));
      });
      await sweep();
      sweeps = every(sweepEveryMs, sweep);
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      nightly?.cancel();
      for (const timer of resting.values()) clearTimeout(timer);
      resting.clear();
      await sweeps?.stop();
      await Promise.allSettled([...Object.values(pulling), ...[...running.values()].map(({ done }) => done)]);
    },
  };
}
