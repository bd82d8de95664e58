import { backoffMs } from '../shared/backoff.ts';
import { toSyncError, type SyncError } from '../shared/errors.ts';
import type { Rebuilt, Source } from '../sources/source.ts';
import { markPending, markSeen, upsertClaims } from '../store/claims.ts';
import { recordHistory } from '../store/history.ts';
import { clearStale, dueStale, postponeStale, type StaleSeries, type Stream } from '../store/sources.ts';
import { prepareClaim } from './prepare-claim.ts';
import { commit, isReadingChanges, tellChanged, type Run } from './run.ts';

const rebuildsAtATime = 3;
const batchSize = 60;
const failuresThatBlameTheSource = 5;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/**
 * Rebuilds what is stale, series by series. One poisonous series never stops a calendar: each has its own back-off while
 * its old claim goes on showing. Only when the source asks us to wait, or several fail in a row, it is the source that
 * is in trouble: then it throws that failure.
 */
export async function rebuildStale(run: Run, source: Source, stream: Stream): Promise<void> {
  let failedInARow = 0;
  for (;;) {
    const queue = await dueStale(run.deps.store.db, run.state.id, batchSize);
    if (queue.length === 0) return;
    const troubles: SyncError[] = [];
    const work = async (): Promise<void> => {
      for (let stale = queue.shift(); stale !== undefined && troubles.length === 0; stale = queue.shift()) {
        run.signal.throwIfAborted();
        const error = await rebuildOne(run, source, stream, stale);
        failedInARow = error === null ? 0 : failedInARow + 1;
        if (error !== null && (isAskedToWait(error) || failedInARow >= failuresThatBlameTheSource))
          troubles.push(error);
      }
    };
    const results = await Promise.allSettled(Array.from({ length: rebuildsAtATime }, work));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    const [trouble] = troubles;
    if (trouble !== undefined) throw trouble;
  }
}

function isAskedToWait({ recovery }: SyncError): boolean {
  return recovery.kind === 'retry' && recovery.notBefore !== undefined;
}

async function rebuildOne(run: Run, source: Source, stream: Stream, stale: StaleSeries): Promise<SyncError | null> {
  const { state } = run;
  let rebuilt: Rebuilt;
  try {
    rebuilt = await source.rebuild(stale.key, stream.window, run.signal);
  } catch (thrown) {
    run.signal.throwIfAborted();
    const error = toSyncError(thrown);
    await postpone(run, stale, error, backoffMs(stale.failures + 1, run.deps.random(), 5_000, hourMs));
    return error;
  }
  run.counts.requests += rebuilt.requests;
  if (rebuilt.kind === 'unmappable') {
    // A refusal may pass in a minute, and Graph tells of no permission that comes back: only what stays waits long.
    const afterMs = backoffMs(stale.failures + 1, run.deps.random(), minuteMs, dayMs);
    await postpone(run, stale, { code: rebuilt.code, message: rebuilt.reason }, afterMs);
    return null;
  }
  const claims = rebuilt.kind === 'series' ? rebuilt.claims.map((claim) => prepareClaim(claim, state.config)) : [];
  const changed = await commit(run, async (db) => {
    await clearStale(db, state.id, stale);
    const count = await upsertClaims(db, state, claims, {
      round: stream.round,
      instance: run.deps.instance,
      isLive: isReadingChanges(state),
      toldSince: state.toldSince,
    });
    if (claims.some((claim) => claim.key === stale.key)) await markSeen(db, state, stale.key, stream.round);
    else await markPending(db, state, stale.key);
    return count;
  });
  run.counts.rebuilt += 1;
  tellChanged(run, changed);
  return null;
}

async function postpone(
  run: Run,
  stale: StaleSeries,
  failure: { readonly code: string; readonly message: string },
  afterMs: number,
): Promise<void> {
  const { state, deps } = run;
  run.counts.failed += 1;
  await postponeStale(deps.store.db, state.id, stale, { code: failure.code, reason: failure.message, afterMs });
  await recordHistory(deps.store.db, {
    status: 'error',
    action: 'rebuild',
    sourceId: state.id,
    targetId: state.targetId,
    code: failure.code,
    message: failure.message,
  });
}
