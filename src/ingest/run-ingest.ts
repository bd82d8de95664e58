import { backoffMs } from '../shared/backoff.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import { recordHistory } from '../store/history.ts';
import { settleHandOver } from '../store/hand-over.ts';
import type { Lease } from '../store/leases.ts';
import { endWithdrawal, isWithdrawal, recordWithdrawal } from '../store/withdrawals.ts';
import { highestCap, recordBorne, recordThrottled } from '../store/source-lease.ts';
import { loadSource, pollWithPushSeconds, recordFailure, recordReading, type SourceState } from '../store/sources.ts';
import { guardRemovals } from './guard-removals.ts';
import { readStreams } from './read-streams.ts';
import { rebuildStale } from './rebuild-stale.ts';
import { isReadingChanges, summaryOf, type IngestDeps, type IngestOutcome, type Run } from './run.ts';

export type { IngestDeps } from './run.ts';

const hourMs = 3_600_000;
/** Without a word of the server's; then its return shows soon. */
const longestWaitMs = 5 * 60_000;
/** Those that were told the same time do not all come back at once. */
const spreadMs = 500;
/** After failures have healed the next look comes that soon. */
const healedSeconds = 10;

/**
 * Reads one source from where it stands to where it is now: pages, then stale series, then the guard over what is gone.
 * The caller holds the lease on `source:<id>`. Never throws for the source's failures: they are recorded on its row.
 */
export async function runIngest(
  deps: IngestDeps,
  id: string,
  lease: Lease,
  signal: AbortSignal,
): Promise<IngestOutcome> {
  const state = await loadSource(deps.store.db, id);
  if (state === null || state.config.isPaused || state.config.kind === 'powerautomate') return { kind: 'nothing' };
  const counts = { pages: 0, requests: 0, changed: 0, rebuilt: 0, unchanged: 0, removed: 0, held: 0, failed: 0 };
  const run: Run = { deps, state, lease, signal, counts, startedAtMs: deps.clock.now().getTime() };
  let error: SyncError | null = null;
  let hasMore = false;
  try {
    hasMore = await read(run);
    if (state.config.kind === 'graph' && (state.pace ?? 0) < highestCap)
      await recordBorne(deps.store.db, state.config.tenant);
    if (state.pausedCode !== null) {
      deps.log.event('source.resumed', { source: id });
      await endWithdrawal(deps.store.db, id);
      await handOver(run);
    }
  } catch (thrown) {
    error = await recordRunFailure(run, thrown);
  }
  const { durationMs } = summaryOf(run);
  deps.log.event('ingest.run.finished', { source: id, durationMs, ...counts });
  if (counts.changed + counts.removed + counts.held + counts.failed > 0)
    await recordHistory(deps.store.db, {
      status: 'ok',
      action: 'ingest',
      sourceId: id,
      targetId: state.targetId,
      durationMs,
      counts,
    });
  return error === null ? { kind: 'done', counts, hasMore } : { kind: 'failed', error, counts };
}

/** True: something was wanted or told while it ran. */
async function read(run: Run): Promise<boolean> {
  const { deps, state } = run;
  const nextPollMs = pollDelayMs(state, deps.random());
  const source = await deps.open(state);
  const { stream, isDone, hasMore } = await readStreams(run, source, nextPollMs);
  if (isDone) return hasMore;
  await rebuildStale(run, source, stream);
  await guardRemovals(run);
  // A poll that finds what no notification told: they get lost on their way.
  const isUntold = state.hasPush && isMerePoll(state) && run.counts.changed + run.counts.removed > 0;
  const isMore = await recordReading(deps.store.db, state, run.lease.fence, {
    nextPollMs,
    isUntold,
    summary: summaryOf(run),
  });
  await handOver(run);
  return isMore;
}

/** A flow of the same mailbox speaks until this reading has come to its end, and again when it cannot be read. */
async function handOver({ deps, state }: Run): Promise<void> {
  if (state.config.kind !== 'graph') return;
  if (await deps.store.transaction((db) => settleHandOver(db))) deps.onChanged(state.targetId);
}

/** Nobody asked for this run. */
function isMerePoll(state: SourceState): boolean {
  return state.toldSince === null && state.wantedVersion === state.doneVersion && isReadingChanges(state);
}

/**
 * Changes that Graph tells of need no frequent question; the question stays, for notifications get lost. Who asked us to
 * slow down is asked less often for some time; what has just healed is looked at again soon.
 */
export function pollDelayMs(
  {
    config,
    hasPush,
    slowed,
    failures,
  }: Pick<SourceState, 'hasPush' | 'slowed' | 'failures'> & {
    readonly config: Pick<SourceState['config'], 'everySeconds'>;
  },
  random: number,
): number {
  const usual = hasPush ? Math.max(config.everySeconds, pollWithPushSeconds) : config.everySeconds;
  const seconds =
    slowed > 0
      ? Math.min(usual * 2 ** slowed, Math.max(usual, pollWithPushSeconds))
      : failures > 0
        ? Math.min(usual, Math.max(healedSeconds, config.everySeconds / 4))
        : usual;
  return Math.round(seconds * 1_000 * (0.9 + 0.2 * random));
}

/** Writes a failure down where it decides what happens next; what only concerns this worker leaves no trace. */
async function recordRunFailure(run: Run, thrown: unknown): Promise<SyncError> {
  const { deps, state, lease, signal } = run;
  if (signal.aborted)
    return new SyncError('The worker is stopping; the reading continues where it was', {
      code: 'ingest.stopped',
      recovery: { kind: 'retry' },
    });
  const error = toSyncError(thrown);
  if (error.code === 'ingest.superseded') return error;
  const { recovery } = error;
  await recordFailure(deps.store.db, state, lease.fence, {
    afterMs: waitMs(run, error),
    isThrottled: isThrottled(error),
    paused: recovery.kind === 'operator' ? { code: error.code, reason: error.message, remedy: recovery.remedy } : null,
  });
  await recordHistory(deps.store.db, {
    status: 'error',
    action: recovery.kind === 'operator' ? 'pause' : 'ingest',
    sourceId: state.id,
    targetId: state.targetId,
    code: error.code,
    message: error.message,
  });
  if (isWithdrawal(error.code)) await recordWithdrawal(deps.store.db, state.id, error.code);
  if (state.config.kind === 'graph' && isThrottled(error)) await recordThrottled(deps.store.db, state.config.tenant);
  if (recovery.kind === 'operator') await handOver(run);
  if (recovery.kind === 'operator')
    deps.log.event('source.paused', { source: state.id, code: error.code, remedy: recovery.remedy });
  return error;
}

/** It asks us to slow down: with 429, or with any answer that names a time. */
function isThrottled({ code, recovery }: SyncError): boolean {
  return code.endsWith('.throttled') || (recovery.kind === 'retry' && recovery.notBefore !== undefined);
}

function waitMs({ deps, state }: Run, { recovery }: SyncError): number {
  if (recovery.kind === 'operator') return hourMs;
  if (recovery.kind === 'retry' && recovery.notBefore !== undefined)
    return Math.max(0, recovery.notBefore.getTime() - deps.clock.now().getTime()) + deps.random() * spreadMs;
  return backoffMs(state.failures + 1, deps.random(), 1_000, longestWaitMs);
}
