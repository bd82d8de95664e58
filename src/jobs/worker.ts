import { scheduleJob, type Job } from 'node-schedule';
import { runDeliver, type DeliverDeps } from '../deliver/run-deliver.ts';
import { runIngest, type IngestDeps } from '../ingest/run-ingest.ts';
import type { Log } from '../shared/log.ts';
import { cleanUp } from '../store/clean-up.ts';
import type { Store } from '../store/database.ts';
import { dueSources } from '../store/sources.ts';
import { dueTargets } from '../store/targets.ts';
import type { Hints, Kind } from './hints.ts';
import { withLease, writeTimeoutMs } from './with-lease.ts';

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
  /** Takes up hints and sweeps from now on. */
  start(): Promise<void>;
  /** Lets what runs come to a point where it can stop; a write that has begun is finished. */
  stop(): Promise<void>;
}

export type RunResult = Awaited<ReturnType<typeof runIngest>> | Awaited<ReturnType<typeof runDeliver>>;

/** Runs at a time in one process; reading waits for the network most of the time. */
const slots: Readonly<Record<Kind, number>> = { ingest: 16, deliver: 8 };
/** Between the starts of two runs of one source or target: a flood of hints costs a few runs, a single one waits for none. */
const restMs: Readonly<Record<Kind, number>> = { ingest: 250, deliver: 50 };
/** A source that is hinted at without end rests longer each time, up to this. */
const longestRestMs: Readonly<Record<Kind, number>> = { ingest: 1_000, deliver: 50 };

/** Says when a source is read and a target written, never how. */
export function createWorker(deps: WorkerDeps): Worker {
  const stopping = new AbortController();
  const running = new Map<string, Promise<void>>();
  /** Runs that were hinted at while they ran: one more follows. */
  const hintedAgain = new Set<string>();
  const startedAt = new Map<string, number>();
  const resting = new Map<string, NodeJS.Timeout>();
  const rests = new Map<string, number>();
  const waiting: Record<Kind, (() => void)[]> = { ingest: [], deliver: [] };
  const free: Record<Kind, number> = { ...slots };
  const schedules: Job[] = [];
  let sweeping = false;

  const run = async (kind: Kind, id: string): Promise<RunResult | null> => {
    const name = `${kind === 'ingest' ? 'source' : 'target'}:${id}`;
    const held = await withLease<RunResult>(deps.store.db, name, deps.holder, stopping.signal, (lease, signal) =>
      kind === 'ingest'
        ? runIngest({ ...deps.ingest, onChanged: (target) => deps.hints.send('deliver', target) }, id, lease, signal)
        : runDeliver({ ...deps.deliver, writeTimeoutMs }, id, lease, signal),
    );
    return held?.result ?? null;
  };

  /** Starts a run in the background, once per source or target; waits for a slot, so that hints are not taken up for nothing. */
  const begin = async (kind: Kind, id: string, hasRested = false): Promise<void> => {
    const key = `${kind}:${id}`;
    if (running.has(key)) hintedAgain.add(key);
    if (running.has(key) || resting.has(key) || stopping.signal.aborted) return;
    const rest = rests.get(key) ?? restMs[kind];
    const waitMs = (startedAt.get(key) ?? -Infinity) + rest - performance.now();
    if (waitMs > 0 && !hasRested) {
      rests.set(key, Math.min(2 * rest, longestRestMs[kind]));
      const begun = (): void => {
        resting.delete(key);
        void begin(kind, id, true);
      };
      resting.set(key, setTimeout(begun, waitMs));
      return;
    }
    if (!hasRested) rests.delete(key);
    running.set(key, Promise.resolve());
    if (free[kind] > 0) free[kind] -= 1;
    else await new Promise<void>((resolve) => waiting[kind].push(resolve));
    running.set(key, runOnce(kind, id, key));
  };

  const runOnce = async (kind: Kind, id: string, key: string): Promise<void> => {
    startedAt.set(key, performance.now());
    hintedAgain.delete(key);
    try {
      if (!stopping.signal.aborted) await run(kind, id);
    } catch (error) {
      deps.log.event('worker.failed', { kind, id, reason: error instanceof Error ? error.message : String(error) });
    }
    running.delete(key);
    const next = waiting[kind].shift();
    if (next === undefined) free[kind] += 1;
    else next();
    if (hintedAgain.delete(key)) void begin(kind, id);
  };

  const sweep = async (): Promise<void> => {
    if (sweeping || stopping.signal.aborted) return;
    sweeping = true;
    try {
      for (const id of await dueSources(deps.store.db)) if (!running.has(`ingest:${id}`)) deps.hints.send('ingest', id);
      for (const id of await dueTargets(deps.store.db))
        if (!running.has(`deliver:${id}`)) deps.hints.send('deliver', id);
    } catch (error) {
      deps.log.event('worker.failed', {
        kind: 'sweep',
        id: '',
        reason: error instanceof Error ? error.message : String(error),
      });
    } finally {
      sweeping = false;
    }
  };

  return {
    run,
    async start() {
      await deps.hints.work(begin);
      schedules.push(scheduleJob('* * * * * *', () => void sweep()));
      schedules.push(
        scheduleJob('17 3 * * *', () => {
          void cleanUp(deps.store.db, deps).catch((error: unknown) => {
            deps.log.event('worker.failed', { kind: 'clean-up', id: '', reason: String(error) });
          });
        }),
      );
      await sweep();
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      for (const schedule of schedules) schedule.cancel();
      for (const timer of resting.values()) clearTimeout(timer);
      for (const resume of [...waiting.ingest.splice(0), ...waiting.deliver.splice(0)]) resume();
      await Promise.allSettled(running.values());
    },
  };
}
