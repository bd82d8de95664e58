import { createHash } from 'node:crypto';
import { toSyncError, type SyncError } from '../shared/errors.ts';
import type { Window } from '../shared/window.ts';
import type { Page, Source, Stale } from '../sources/source.ts';
import { removeAged, upsertClaims } from '../store/claims.ts';
import type { Db } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import {
  beginFullReading,
  dropStream,
  endFullReading,
  markStale,
  moveCursor,
  recordIdlePoll,
  seeUnchanged,
  type SourceState,
  type Stream,
} from '../store/sources.ts';
import { prepareClaim } from './prepare-claim.ts';
import { commit, summaryOf, tellChanged, type Run } from './run.ts';

const dayMs = 86_400_000;
/** A full reading rolls the window, compares and repairs. */
const fullReadingEveryMs = 7 * dayMs;

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
 * A routine full reading, beside a delta that has told every change, takes a series whose version it knows for unchanged.
 */
export async function readStreams(run: Run, source: Source, nextPollMs: number): Promise<StreamsRead> {
  const { state } = run;
  const now = run.deps.clock.now();
  let delta = state.streams.find((stream) => stream.kind === 'delta') ?? null;
  let full = state.streams.find((stream) => stream.kind === 'full') ?? null;
  const isWanted = state.isFullWanted || (full === null && (delta === null || isFullDue(state.id, delta, now)));
  let hasLostCursor = false;
  const toldLost = async (error: SyncError): Promise<void> => {
    if (hasLostCursor || error.recovery.kind !== 'reread') throw error;
    hasLostCursor = true;
    await recordLostCursor(run, error);
  };

  if (delta !== null) {
    const mayBeIdle = full === null && !isWanted;
    try {
      const read = await follow(run, source, delta, mayBeIdle ? nextPollMs : null);
      if (read.isDone) return read;
      delta = read.stream;
    } catch (thrown) {
      await toldLost(toSyncError(thrown));
      delta = null;
      // What changed since then is told by no delta.
      if (full?.isRoutine === true) full = null;
    }
  }
  const isRoutine = delta !== null && !state.isFullWanted;
  // What was ordered after a full reading began may concern what that one has read already.
  if (isWanted || (delta === null && full === null)) full = await begin(run, now, isRoutine);
  for (;;) {
    if (full === null) {
      if (delta === null) full = await begin(run, now, false);
      else return { stream: delta, isDone: false, hasMore: false };
    }
    try {
      return await followFull(run, source, full, delta);
    } catch (thrown) {
      await toldLost(toSyncError(thrown));
      full = await begin(run, now, isRoutine);
    }
  }
}

function begin(run: Run, now: Date, isRoutine: boolean): Promise<Stream> {
  return commit(run, (db) => beginFullReading(db, run.state, windowAt(now, run.state), isRoutine));
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
        const aged = await removeAged(db, run.state, stream.window.from);
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
    const error = toSyncError(thrown);
    if (error.recovery.kind === 'reread') await commit(run, (db) => dropStream(db, run.state, stream));
    throw error;
  }
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

/** Weekly, each source at another hour of the day after. */
function isFullDue(sourceId: string, delta: Stream, now: Date): boolean {
  const share = createHash('sha256').update(sourceId).digest().readUInt32BE() / 2 ** 32;
  return now.getTime() - Date.parse(delta.startedAt) > fullReadingEveryMs + share * dayMs;
}

function windowAt(now: Date, state: SourceState): Window {
  const day = Math.floor(now.getTime() / dayMs) * dayMs;
  const { pastDays, futureDays } = state.config.window;
  const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
  return { from: iso(day - pastDays * dayMs), to: iso(day + (futureDays + 1) * dayMs) };
}
