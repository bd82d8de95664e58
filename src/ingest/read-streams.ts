import { createHash } from 'node:crypto';
import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Page, Source, Stale } from '../sources/source.ts';
import { removeAged, upsertClaims } from '../store/claims.ts';
import type { Db } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import {
  beginFullReading,
  dropStream,
  endFullReading,
  endTrial,
  markStale,
  moveCursor,
  recordIdlePoll,
  seeUnchanged,
  type SourceState,
  type Stream,
} from '../store/sources.ts';
import { halvedWindow, mostHalvings, patienceMs } from './halved-window.ts';
import { prepareClaim } from './prepare-claim.ts';
import { commit, summaryOf, tellChanged, type Run } from './run.ts';

const dayMs = 86_400_000;
/** A full reading rolls the window, compares and repairs. */
const fullReadingEveryMs = 7 * dayMs;
/** What a shorter window may help against, once smaller pages have not: as many failed runs take some minutes. */
const tooMuch = new Set(['graph.overloaded', 'graph.timeout']);
const failuresThatBlameTheWindow = 8;

/** Where the pages ended: the stream that goes on from here, and whether the whole run is recorded already. */
export interface StreamsRead {
  readonly stream: Stream;
  readonly isDone: boolean;
  /** Something was wanted or told while it ran. */
  readonly hasMore: boolean;
}

/**
 * Reads the pages that are due: the delta stream to the end of its present round; where a full reading is due, wanted or
 * under way, that one as well. A full reading's stream takes over only with its last page, and after a last round of the
 * old stream. A cursor that the source no longer knows leads to a full reading at once; a second one fails the run.
 *
 * A window for which Graph fails again and again, while the calendar answers, is read anew, half as long. An hour later
 * the whole is tried again beside the delta, which goes on; what was only a bad hour of Graph's is over by then. A trial
 * that gets no further ends; the next ones come ever later, with a window twice as long as the one that works. What was
 * ordered tries the whole until it succeeds.
 *
 * A routine full reading, beside a delta that has told every change, takes a series whose version it knows for unchanged.
 */
export async function readStreams(run: Run, source: Source, nextPollMs: number): Promise<StreamsRead> {
  const { state } = run;
  const now = run.deps.clock.now();
  let delta = state.streams.find((stream) => stream.kind === 'delta') ?? null;
  let full = state.streams.find((stream) => stream.kind === 'full') ?? null;
  const isWanted = state.isFullWanted || (full === null && (delta === null || isFullDue(state.id, delta, now)));
  let extent = extentOf(state, delta, full, now);
  let hasLostCursor = false;
  const toldLost = async (error: SyncError, stream: Stream): Promise<void> => {
    if (error.code === tooLong) extent = { halvings: stream.halvings + 1, failedTrials: 0 };
    else if (hasLostCursor || error.recovery.kind !== 'reread') throw error;
    else hasLostCursor = true;
    await recordLostCursor(run, error);
  };

  if (delta !== null) {
    const mayBeIdle = full === null && !isWanted;
    try {
      const read = await follow(run, source, delta, mayBeIdle ? nextPollMs : null);
      if (read.isDone) return read;
      delta = read.stream;
    } catch (thrown) {
      await toldLost(toSyncError(thrown), delta);
      delta = null;
      // What changed since then is told by no delta.
      if (full?.isRoutine === true) full = null;
    }
  }
  const isRoutine = delta !== null && !state.isFullWanted;
  // What was ordered after a full reading began may concern what that one has read already.
  if (isWanted || (delta === null && full === null)) full = await begin(run, now, isRoutine, extent);
  for (;;) {
    if (full === null) {
      if (delta === null) full = await begin(run, now, false, extent);
      else return { stream: delta, isDone: false, hasMore: false };
    }
    const pagesBefore = run.counts.pages;
    try {
      return await followFull(run, source, full, delta);
    } catch (thrown) {
      const error = toSyncError(thrown);
      if (delta !== null && isTrial(full, delta) && tooMuch.has(error.code)) {
        // One that got further goes on with the next poll.
        if (run.counts.pages === pagesBefore) await recordFailedTrial(run, full, delta, error);
        return { stream: delta, isDone: false, hasMore: false };
      }
      await toldLost(error, full);
      full = await begin(run, now, isRoutine, extent);
    }
  }
}

/** How short a window is, and how often a longer one was tried in vain. */
type Extent = Pick<Stream, 'halvings' | 'failedTrials'>;

function begin(run: Run, now: Date, isRoutine: boolean, { halvings, failedTrials }: Extent): Promise<Stream> {
  const window = halvedWindow(now, run.state.config.window, halvings);
  return commit(run, (db) => beginFullReading(db, run.state, { window, isRoutine, halvings, failedTrials }));
}

/** How short the window of a full reading that begins now is to be. */
function extentOf({ isFullWanted }: SourceState, delta: Stream | null, full: Stream | null, now: Date): Extent {
  const whole = { halvings: 0, failedTrials: 0 };
  if (isFullWanted) return whole;
  if (delta === null) return { halvings: full?.halvings ?? 0, failedTrials: 0 };
  if (!isTrialDue(delta, now)) return delta;
  return delta.failedTrials === 0 ? whole : { halvings: delta.halvings - 1, failedTrials: 0 };
}

function isTrialDue(delta: Stream, now: Date): boolean {
  return delta.halvings > 0 && now.getTime() - Date.parse(delta.startedAt) >= patienceMs(delta.failedTrials);
}

/** Whether a full reading that nobody ordered is there to find out whether its longer window can be read by now. */
function isTrial(full: Stream, delta: Stream): boolean {
  return full.isRoutine && full.halvings < delta.halvings;
}

async function recordFailedTrial(run: Run, full: Stream, delta: Stream, error: SyncError): Promise<void> {
  await commit(run, (db) => endTrial(db, run.state, full, delta));
  await recordHistory(run.deps.store.db, {
    status: 'ok',
    action: 'reread',
    sourceId: run.state.id,
    targetId: run.state.targetId,
    code: tooLong,
    message: `${error.message} The window stays as short as it is; a longer one is tried again later.`,
  });
}

/** Follows the delta stream to the end of its present round. With `nextPollMs`, an idle poll ends the run. */
async function follow(run: Run, source: Source, from: Stream, nextPollMs: number | null): Promise<StreamsRead> {
  let stream = from;
  for (;;) {
    const page = await readPage(run, source, stream);
    if (nextPollMs !== null && page.isLast && page.claims.length + page.stale.length === 0) {
      const ended = await recordIdlePoll(
        run.deps.store.db,
        run.state,
        run.lease.fence,
        stream,
        page.cursor,
        nextPollMs,
        summaryOf(run),
      );
      return { stream: advanced(stream, page), ...ended };
    }
    tellChanged(
      run,
      await commit(run, async (db) => {
        const changed = await storePage(run, db, page, stream);
        await moveCursor(db, run.state, stream, page.cursor);
        return changed;
      }),
    );
    stream = advanced(stream, page);
    if (page.isLast) return { stream, isDone: false, hasMore: false };
  }
}

/** Follows a full reading from where it stands to its end, and lets its stream take over. */
async function followFull(run: Run, source: Source, from: Stream, old: Stream | null): Promise<StreamsRead> {
  let stream = from;
  let delta = old;
  for (;;) {
    const page = await readPage(run, source, stream);
    if (page.isLast && delta !== null) {
      await readLastRound(run, source, delta);
      delta = null;
    }
    tellChanged(
      run,
      await commit(run, async (db) => {
        const changed = await storePage(run, db, page, stream);
        await moveCursor(db, run.state, stream, page.cursor);
        if (!page.isLast) return changed;
        await endFullReading(db, run.state, stream);
        if (run.state.config.keepPast) return changed;
        const { from: keptFrom } = halvedWindow(new Date(stream.startedAt), run.state.config.window, 0);
        const aged = await removeAged(db, run.state, keptFrom);
        run.counts.removed += aged;
        return changed + aged;
      }),
    );
    stream = advanced(stream, page);
    if (page.isLast) return { stream: { ...stream, kind: 'delta' }, isDone: false, hasMore: false };
  }
}

/**
 * The old stream's last round, just before it goes. It may lag behind the new one, so that what it tells is not stored
 * but asked for singly. Its cursor may be lost by now; the full reading makes up for that.
 */
async function readLastRound(run: Run, source: Source, from: Stream): Promise<void> {
  let stream = from;
  for (;;) {
    let page: Page;
    try {
      page = await readPage(run, source, stream);
    } catch (thrown) {
      if (toSyncError(thrown).recovery.kind === 'reread') return;
      throw thrown;
    }
    const told = page.claims.map(({ key }) => ({ key, why: 'thin' as const }));
    await commit(run, async (db) => {
      await markStale(db, run.state.id, [...told, ...page.stale]);
      await moveCursor(db, run.state, stream, page.cursor);
    });
    stream = advanced(stream, page);
    if (page.isLast) return;
  }
}

async function readPage(run: Run, source: Source, stream: Stream): Promise<Page> {
  run.signal.throwIfAborted();
  try {
    const page = await source.readPage(stream.cursor, stream.window, run.signal);
    run.counts.pages += 1;
    run.counts.requests += page.requests;
    return page;
  } catch (thrown) {
    const failure = toSyncError(thrown);
    const error = (await isTooLong(run, source, stream, failure)) ? windowTooLong(failure) : failure;
    // One that begins anew keeps how short it has become.
    const isKept = error.code === tooLong && stream.kind === 'full';
    if (error.recovery.kind === 'reread' && !isKept) await commit(run, (db) => dropStream(db, run.state, stream));
    throw error;
  }
}

async function isTooLong(
  { state, signal }: Run,
  source: Source,
  stream: Stream,
  { code }: SyncError,
): Promise<boolean> {
  if (!tooMuch.has(code) || state.failures + 1 < failuresThatBlameTheWindow) return false;
  return stream.halvings < mostHalvings && (await source.answers?.(signal)) === true;
}

const tooLong = 'ingest.window_too_long';

function windowTooLong(cause: SyncError): SyncError {
  return new SyncError(`The source cannot answer for so long a window: ${cause.message} It is read half as long.`, {
    code: tooLong,
    recovery: { kind: 'reread' },
    cause,
  });
}

async function storePage(run: Run, db: Db, page: Page, { kind, round, isRoutine }: Stream): Promise<number> {
  const claims = page.claims.map((claim) => prepareClaim(claim, run.state.config));
  const { toldSince } = run.state;
  const context = { round, instance: run.deps.instance, isLive: kind === 'delta', toldSince };
  const changed = await upsertClaims(db, run.state, claims, context);
  const told = kind === 'full' && isRoutine ? page.stale.flatMap(withVersion) : [];
  const unchanged = await seeUnchanged(db, run.state.id, told, round);
  run.counts.unchanged += unchanged.size;
  await markStale(
    db,
    run.state.id,
    page.stale.filter(({ key, series }) => !unchanged.has(key) && !(series !== undefined && unchanged.has(series))),
  );
  return changed;
}

function withVersion({ key, version }: Stale): { key: string; version: string }[] {
  return version === undefined ? [] : [{ key, version }];
}

function advanced(stream: Stream, page: Page): Stream {
  return { ...stream, cursor: page.cursor, cursorSeq: String(BigInt(stream.cursorSeq) + 1n) };
}

function recordLostCursor(run: Run, error: SyncError): Promise<void> {
  return recordHistory(run.deps.store.db, {
    status: 'ok',
    action: 'reread',
    sourceId: run.state.id,
    targetId: run.state.targetId,
    code: error.code,
    message: `${error.message} Everything in the window is compared anew.`,
  });
}

/** Weekly, each source at another hour of the day after; sooner where the window is to become longer. */
function isFullDue(sourceId: string, delta: Stream, now: Date): boolean {
  if (isTrialDue(delta, now)) return true;
  const share = createHash('sha256').update(sourceId).digest().readUInt32BE() / 2 ** 32;
  return now.getTime() - Date.parse(delta.startedAt) > fullReadingEveryMs + share * dayMs;
}
