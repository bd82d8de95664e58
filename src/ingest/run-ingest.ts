import { judgeRemovals } from '../consolidate/judge-removals.ts';
import type { Clock } from '../shared/clock.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import { backoffMs } from '../shared/backoff.ts';
import type { Log } from '../shared/log.ts';
import type { Window } from '../shared/window.ts';
import type { Page, Rebuilt, Source } from '../sources/source.ts';
import {
  countRemovals,
  hasPending,
  holdPending,
  markPending,
  markSeen,
  removeClaims,
  upsertClaims,
} from '../store/claims.ts';
import type { Store } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import type { Lease } from '../store/leases.ts';
import {
  beginFullReading,
  clearStale,
  dropStream,
  dueStale,
  endFullReading,
  loadSource,
  lockForCommit,
  markStale,
  moveCursor,
  postponeStale,
  recordFailure,
  recordReading,
  type SourceState,
  type StaleSeries,
  type Stream,
} from '../store/sources.ts';
import { prepareClaim } from './prepare-claim.ts';

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
  removed: number;
  held: number;
  failed: number;
}

export type IngestOutcome =
  | { readonly kind: 'done'; readonly counts: IngestCounts }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'failed'; readonly error: SyncError; readonly counts: IngestCounts };

const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** A full reading rolls the window, compares and repairs; weekly, spread over a day by the caller's jitter. */
const fullReadingEveryMs = 7 * dayMs;
const rebuildsAtATime = 3;
const rebuildBatch = 60;

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
  const counts: IngestCounts = { pages: 0, requests: 0, changed: 0, rebuilt: 0, removed: 0, held: 0, failed: 0 };
  const run = new IngestRun(deps, state, lease, signal, counts);
  const startedAt = deps.clock.now().getTime();
  try {
    await run.read();
    const { wasPaused } = await recordReading(deps.store.db, state, pollDelayMs(state, deps.random()));
    if (wasPaused) deps.log.event('source.resumed', { source: id });
  } catch (thrown) {
    return { kind: 'failed', error: await recordRunFailure(deps, state, thrown, signal), counts };
  } finally {
    const durationMs = deps.clock.now().getTime() - startedAt;
    deps.log.event('ingest.run.finished', { source: id, durationMs, ...counts });
    if (counts.changed + counts.removed + counts.held + counts.failed > 0)
      await recordHistory(deps.store.db, {
        status: 'ok',
        action: 'ingest',
        sourceId: id,
        targetId: state.targetId,
        durationMs,
        counts: { ...counts },
      });
  }
  return { kind: 'done', counts };
}

class IngestRun {
  private readonly deps: IngestDeps;
  private readonly state: SourceState;
  private readonly lease: Lease;
  private readonly signal: AbortSignal;
  private readonly counts: IngestCounts;

  constructor(deps: IngestDeps, state: SourceState, lease: Lease, signal: AbortSignal, counts: IngestCounts) {
    this.deps = deps;
    this.state = state;
    this.lease = lease;
    this.signal = signal;
    this.counts = counts;
  }

  async read(): Promise<void> {
    const source = await this.deps.open(this.state);
    const now = this.deps.clock.now();
    const delta = this.state.streams.find((stream) => stream.kind === 'delta');
    let full = this.state.streams.find((stream) => stream.kind === 'full');
    if (delta !== undefined) await this.readStream(source, delta);
    const isDue = delta === undefined || now.getTime() - Date.parse(delta.startedAt) > fullReadingEveryMs;
    if (full === undefined && (isDue || this.state.isFullWanted))
      full = await this.deps.store.transaction((db) => beginFullReading(db, this.state, windowAt(now, this.state)));
    if (full !== undefined) await this.readStream(source, full);
    const stream = full ?? delta;
    if (stream === undefined) return;
    await this.rebuildStale(source, stream);
    await this.judge();
  }

  /** Follows one stream to the end of its present round. */
  private async readStream(source: Source, from: Stream): Promise<void> {
    let stream = from;
    for (;;) {
      this.signal.throwIfAborted();
      const page = await this.readPage(source, stream);
      this.counts.pages += 1;
      this.counts.requests += page.requests;
      await this.commitPage(stream, page);
      if (page.isLast) return;
      stream = { ...stream, cursor: page.cursor, cursorSeq: String(BigInt(stream.cursorSeq) + 1n) };
    }
  }

  private async readPage(source: Source, stream: Stream): Promise<Page> {
    try {
      return await source.readPage(stream.cursor, stream.window, this.signal);
    } catch (thrown) {
      const error = toSyncError(thrown);
      if (error.recovery.kind === 'reread')
        await this.deps.store.transaction((db) => dropStream(db, this.state, stream));
      throw error;
    }
  }

  private async commitPage(stream: Stream, page: Page): Promise<void> {
    const claims = page.claims.map((claim) => prepareClaim(claim, this.state.config));
    const changed = await this.deps.store.transaction(async (db) => {
      await lockForCommit(db, this.state, this.lease.fence);
      const count = await upsertClaims(db, this.state, claims, { round: stream.round, instance: this.deps.instance });
      await markStale(db, this.state.id, page.stale);
      await moveCursor(db, this.state, stream, page.cursor);
      if (page.isLast && stream.kind === 'full') await endFullReading(db, this.state, stream);
      return count;
    });
    this.counts.changed += changed;
    if (changed > 0) this.deps.onChanged(this.state.targetId);
  }

  /** One poisonous series never stops a calendar: each has its own back-off while its old claim goes on showing. */
  private async rebuildStale(source: Source, stream: Stream): Promise<void> {
    let failedInARow = 0;
    for (;;) {
      const batch = await dueStale(this.deps.store.db, this.state.id, rebuildBatch);
      if (batch.length === 0) return;
      const queue = [...batch];
      const work = async (): Promise<void> => {
        for (let stale = queue.shift(); stale !== undefined; stale = queue.shift()) {
          this.signal.throwIfAborted();
          const error = await this.rebuildOne(source, stream, stale);
          failedInARow = error === null ? 0 : failedInARow + 1;
          // Not this series but the source behind it is in trouble.
          if (
            error !== null &&
            (error.recovery.kind !== 'retry' || error.recovery.notBefore !== undefined || failedInARow >= 5)
          )
            throw error;
        }
      };
      const results = await Promise.allSettled(Array.from({ length: rebuildsAtATime }, work));
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
  }

  private async rebuildOne(source: Source, stream: Stream, stale: StaleSeries): Promise<SyncError | null> {
    let rebuilt: Rebuilt;
    try {
      rebuilt = await source.rebuild(stale.key, stream.window, this.signal);
    } catch (thrown) {
      this.signal.throwIfAborted();
      const error = toSyncError(thrown);
      await this.postpone(
        stale,
        error.code,
        error.message,
        backoffMs(stale.failures + 1, this.deps.random(), 5_000, hourMs),
      );
      return error;
    }
    this.counts.requests += rebuilt.requests;
    if (rebuilt.kind === 'unmappable') {
      await this.postpone(stale, rebuilt.code, rebuilt.reason, dayMs);
      return null;
    }
    const claims =
      rebuilt.kind === 'series' ? rebuilt.claims.map((claim) => prepareClaim(claim, this.state.config)) : [];
    const changed = await this.deps.store.transaction(async (db) => {
      await lockForCommit(db, this.state, this.lease.fence);
      await clearStale(db, this.state.id, stale);
      const count = await upsertClaims(db, this.state, claims, { round: stream.round, instance: this.deps.instance });
      if (claims.some((claim) => claim.key === stale.key)) await markSeen(db, this.state, stale.key, stream.round);
      else await markPending(db, this.state, stale.key);
      return count;
    });
    this.counts.rebuilt += 1;
    this.counts.changed += changed;
    if (changed > 0) this.deps.onChanged(this.state.targetId);
    return null;
  }

  private async postpone(stale: StaleSeries, code: string, reason: string, afterMs: number): Promise<void> {
    this.counts.failed += 1;
    await postponeStale(this.deps.store.db, this.state.id, stale, { code, reason, afterMs });
    await recordHistory(this.deps.store.db, {
      status: 'error',
      action: 'rebuild',
      sourceId: this.state.id,
      targetId: this.state.targetId,
      code,
      message: reason,
    });
  }

  /** The guard over all that was confirmed gone in this run. */
  private async judge(): Promise<void> {
    if (!(await hasPending(this.deps.store.db, this.state.id))) return;
    const { removed, held } = await this.deps.store.transaction(async (db) => {
      await lockForCommit(db, this.state, this.lease.fence);
      const verdict = judgeRemovals(await countRemovals(db, this.state.id));
      if (verdict.kind === 'apply')
        return { removed: await removeClaims(db, this.state, ['pending'], 'done'), held: null };
      return {
        removed: 0,
        held: { count: await holdPending(db, this.state.id, verdict.reason), reason: verdict.reason },
      };
    });
    this.counts.removed += removed;
    if (removed > 0) this.deps.onChanged(this.state.targetId);
    if (held === null) return;
    this.counts.held += held.count;
    this.deps.log.event('guard.held', { source: this.state.id, count: held.count, reason: held.reason });
    await recordHistory(this.deps.store.db, {
      status: 'error',
      action: 'hold',
      sourceId: this.state.id,
      targetId: this.state.targetId,
      code: 'guard.held',
      message: `${held.count} removals are held: ${held.reason}. Look at them with "calendar-sync guard list".`,
      counts: { held: held.count },
    });
  }
}

function windowAt(now: Date, state: SourceState): Window {
  const day = Math.floor(now.getTime() / dayMs) * dayMs;
  const { pastDays, futureDays } = state.config.window;
  const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
  return { from: iso(day - pastDays * dayMs), to: iso(day + (futureDays + 1) * dayMs) };
}

function pollDelayMs(state: SourceState, random: number): number {
  return Math.round(state.config.everySeconds * 1_000 * (0.9 + 0.2 * random));
}

async function recordRunFailure(
  deps: IngestDeps,
  state: SourceState,
  thrown: unknown,
  signal: AbortSignal,
): Promise<SyncError> {
  if (signal.aborted)
    return new SyncError('The worker is stopping; the reading continues where it was', {
      code: 'ingest.stopped',
      recovery: { kind: 'retry' },
    });
  const error = toSyncError(thrown);
  if (error.code === 'ingest.superseded') return error;
  const random = deps.random();
  const { recovery } = error;
  const waitMs =
    recovery.kind === 'operator'
      ? hourMs
      : recovery.kind === 'reread' && state.failures === 0
        ? 0
        : recovery.kind === 'reread' || recovery.notBefore === undefined
          ? backoffMs(state.failures + 1, random)
          : Math.max(0, recovery.notBefore.getTime() - deps.clock.now().getTime());
  await recordFailure(deps.store.db, state.id, {
    afterMs: waitMs,
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
  if (recovery.kind === 'operator')
    deps.log.event('source.paused', { source: state.id, code: error.code, remedy: recovery.remedy });
  return error;
}
