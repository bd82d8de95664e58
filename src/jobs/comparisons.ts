import type { Compared } from '../compare/compare-source.ts';
import { toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import {
  askForDiffering,
  dueComparisons,
  postponeComparison,
  recordComparison,
  type DueComparison,
} from '../store/comparisons.ts';
import { recordHistory } from '../store/history.ts';
import type { Store } from '../store/database.ts';
import { every, type Repetition } from './every.ts';
import { withLease } from './with-lease.ts';
import type { Worker } from './worker.ts';

export interface ComparisonDeps {
  readonly store: Store;
  readonly log: Log;
  readonly holder: string;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
  /** Throws SyncError when source or target cannot be read. */
  readonly compare: (id: string, signal: AbortSignal) => Promise<Compared>;
  readonly worker: Pick<Worker, 'run'>;
}

/** Compares each source with its target once a week, and publishes by how much they differ, which should be nothing. */
export interface ComparisonKeeper {
  /** Does all that is due now, one after the other, and waits for it. Never throws for what a source or target answers. */
  run(): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

const hourMs = 3_600_000;
const weekMs = 7 * 24 * hourMs;
const lookEveryMs = 60_000;
const shortlyMs = 10 * 60_000;

export function comparisonKeeper(deps: ComparisonDeps): ComparisonKeeper {
  const stopping = new AbortController();
  let running: Promise<void> | null = null;
  let repetition: Repetition | null = null;

  const runAll = async (): Promise<void> => {
    for (const due of await dueComparisons(deps.store.db)) {
      if (stopping.signal.aborted) return;
      await withLease(deps.store.db, `compare:${due.id}`, deps.holder, stopping.signal, (_, signal) =>
        compareOne(deps, due, signal),
      );
    }
  };
  const run = (): Promise<void> => {
    running ??= runAll()
      .catch((error: unknown) => {
        deps.log.event('worker.failed', { kind: 'compare', id: '', reason: String(error) });
      })
      .finally(() => (running = null));
    return running;
  };
  return {
    run,
    start() {
      repetition = every(lookEveryMs, run);
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      await repetition?.stop();
      await running;
    },
  };
}

/** What differs is read and delivered once more before it is told: something may have changed in between. */
async function compareOne(deps: ComparisonDeps, { id, targetId }: DueComparison, signal: AbortSignal): Promise<void> {
  const { db } = deps.store;
  const startedAt = performance.now();
  let compared: Compared;
  try {
    compared = await deps.compare(id, signal);
    if (compared.outcome === 'compared' && driftOf(compared) > 0) {
      await askForDiffering(db, id, compared.keys);
      const read = await deps.worker.run('ingest', id);
      const delivered = await deps.worker.run('deliver', targetId);
      if (read === null || delivered === null) return await postponeComparison(db, id, shortlyMs);
      compared = await deps.compare(id, signal);
    }
  } catch (thrown) {
    if (signal.aborted) return;
    const { code, message } = toSyncError(thrown);
    deps.log.event('source.not_compared', { source: id, code, reason: message });
    return postponeComparison(db, id, hourMs);
  }
  if (compared.outcome === 'skipped') return postponeComparison(db, id, 24 * hourMs);
  const drift = driftOf(compared);
  await recordComparison(db, id, drift, Math.round(weekMs * (0.95 + 0.1 * deps.random())));
  await tell(deps, id, targetId, compared, Math.round(performance.now() - startedAt));
}

type Comparison = Extract<Compared, { outcome: 'compared' }>;

function driftOf({ missing, surplus }: Comparison): number {
  return missing.length + surplus.length;
}

async function tell(
  deps: ComparisonDeps,
  sourceId: string,
  targetId: string,
  compared: Comparison,
  durationMs: number,
): Promise<void> {
  const sum = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((total, count) => total + count, 0);
  const counts = {
    same: compared.same,
    hidden: sum(compared.hidden),
    elsewhere: sum(compared.elsewhere),
    held: compared.held,
    missing: compared.missing.length,
    surplus: compared.surplus.length,
  };
  deps.log.event('source.compared', { source: sourceId, durationMs, ...counts });
  const drift = driftOf(compared);
  await recordHistory(deps.store.db, {
    status: drift === 0 ? 'ok' : 'error',
    action: 'compare',
    sourceId,
    targetId,
    durationMs,
    counts,
    ...(drift === 0
      ? {}
      : {
          code: 'compare.drift',
          message: `The target shows ${counts.missing} happenings too few and ${counts.surplus} too many. "calendar-sync verify ${sourceId}" names them.`,
        }),
  });
}
