import type { CalDav } from '../dav/calendar-client.ts';
import { backoffMs } from '../shared/backoff.ts';
import type { Clock } from '../shared/clock.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Store } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import type { Lease } from '../store/leases.ts';
import {
  goneCheckEveryMs,
  loadTarget,
  recordGone,
  recordTargetFailure,
  recordTargetWorks,
  type TargetCalendarState,
  type TargetState,
} from '../store/targets.ts';
import { asHolder } from './as-holder.ts';
import { blameFor } from './blame.ts';
import { checkDrift } from './check-drift.ts';
import type { DeliverContext, DeliverCounts } from './deliver-context.ts';
import { deliverMeetings } from './deliver-meetings.ts';
import { ensureCalendars } from './ensure-calendars.ts';
import { tellOwnMailbox } from './own-mailbox.ts';
import { reviewRestored } from './review-restored.ts';
import { settleIntents } from './settle-intents.ts';

export type { DeliverCounts } from './deliver-context.ts';

export interface DeliverDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Opens the target's account, the same one for the same settings; throws SyncError when its secret is unreadable. */
  readonly open: (target: TargetState) => CalDav;
  /** How long the requests of one write may take together; the lease must outlast it. */
  readonly writeTimeoutMs: number;
}

export type DeliverOutcome =
  | { readonly kind: 'done'; readonly counts: DeliverCounts }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'failed'; readonly error: SyncError; readonly counts: DeliverCounts };

const hourMs = 3_600_000;
/** One small request a minute tells when a server is back. */
const longestWaitMs = 60_000;
/** A run that is there anyhow asks what changed when it was not asked for that long. */
const checkInARunEveryMs = 60_000;

/**
 * Makes a target show what is wanted, whatever made it wanted: settles what became of earlier requests, writes and
 * deletes what differs, and looks whether others changed what we wrote. The caller holds the lease on `target:<id>`.
 * The target's failures are recorded on its row, not thrown.
 */
export async function runDeliver(
  deps: DeliverDeps,
  id: string,
  lease: Lease,
  signal: AbortSignal,
): Promise<DeliverOutcome> {
  const target = await loadTarget(deps.store.db, id);
  if (target === null) return { kind: 'nothing' };
  const counts: DeliverCounts = { created: 0, updated: 0, deleted: 0, unchanged: 0, failed: 0 };
  const startedAt = deps.clock.now().getTime();
  try {
    const dav = deps.open(target);
    if (target.review !== null) {
      const error = await reviewRestored(deps.store, dav, target, signal);
      return { kind: 'failed', error, counts };
    }
    const calendarHrefs = await ensureCalendars(
      deps.store,
      dav,
      target,
      lease,
      deps.clock.now().getUTCFullYear(),
      signal,
    );
    await tellOwnMailbox(deps.store.db, deps.log, dav, id, signal);
    const goneCalendars = new Map(
      target.calendars.filter((calendar) => calendar.isGone).map(({ id: gone, href }) => [gone, calendarGone(href)]),
    );
    const right = { lease, timeoutMs: deps.writeTimeoutMs };
    const context: DeliverContext = { ...deps, target, dav, right, calendarHrefs, goneCalendars, counts, signal };
    // A calendar that has come back is found before anything is put off once more.
    for (const calendar of target.calendars) if (calendar.isGone) await lookInto(context, calendar);
    await settleIntents(deps.store, dav, id, right, signal, new Set(goneCalendars.keys()));
    await deliverMeetings(context);
    let found = 0;
    for (const calendar of target.calendars) if (!calendar.isGone) found += await lookInto(context, calendar);
    if (found > 0) await deliverMeetings(context);
    const hasWritten = counts.created + counts.updated + counts.deleted > 0;
    await asHolder(deps.store, id, lease, (db) => recordTargetWorks(db, id, hasWritten));
    if (target.pausedCode !== null) deps.log.event('target.recovered', { target: id });
    return { kind: 'done', counts };
  } catch (thrown) {
    if (signal.aborted) return { kind: 'failed', error: stopped(), counts };
    // A server that took something in this run is not one that has been failing ever longer.
    const failures = counts.created + counts.updated + counts.deleted > 0 ? 0 : target.failures;
    return { kind: 'failed', error: await recordRunFailure(deps, { ...target, failures }, lease, thrown), counts };
  } finally {
    if (Object.values(counts).some((count) => count > 0))
      deps.log.event('deliver.run.finished', {
        target: id,
        durationMs: deps.clock.now().getTime() - startedAt,
        ...counts,
      });
  }
}

/** Asks what changed in a calendar, when it is time to. Gives how many meetings are to be written again. */
async function lookInto(context: DeliverContext, calendar: TargetCalendarState): Promise<number> {
  const { store, dav, target, right, calendarHrefs, goneCalendars, signal } = context;
  const href = calendarHrefs.get(calendar.id);
  const everyMs = calendar.isGone ? goneCheckEveryMs : checkInARunEveryMs;
  if (href === undefined || (calendar.checkedMsAgo !== null && calendar.checkedMsAgo < everyMs)) return 0;
  if (!calendar.isGone && goneCalendars.has(calendar.id)) return 0;
  try {
    const found = await checkDrift(store, dav, target, calendar, href, right, signal);
    goneCalendars.delete(calendar.id);
    return found;
  } catch (thrown) {
    const error = toSyncError(thrown);
    if (blameFor(error) !== 'calendar') throw thrown;
    goneCalendars.set(calendar.id, error);
    if (await asHolder(store, target.id, right.lease, (db) => recordGone(db, target.id, calendar.id)))
      await recordHistory(store.db, {
        status: 'error',
        action: 'hold',
        targetId: target.id,
        code: error.code,
        message: `${error.message}; what goes there waits`,
      });
    return 0;
  }
}

function calendarGone(href: string | null): SyncError {
  return new SyncError(`The calendar ${href ?? ''} is gone from the server`, {
    code: 'dav.calendar_gone',
    recovery: {
      kind: 'operator',
      remedy:
        'Run "calendar-sync guard recreate <target/calendar>" to make it again, or take it out of the configuration.',
    },
  });
}

function stopped(): SyncError {
  return new SyncError('The worker is stopping; delivery continues where it was', {
    code: 'deliver.stopped',
    recovery: { kind: 'retry' },
  });
}

async function recordRunFailure(
  deps: DeliverDeps,
  target: TargetState,
  lease: Lease,
  thrown: unknown,
): Promise<SyncError> {
  const error = toSyncError(thrown);
  if (error.code === 'deliver.lease_lost') return error;
  const { recovery } = error;
  const afterMs =
    recovery.kind === 'operator'
      ? hourMs
      : recovery.kind === 'retry' && recovery.notBefore !== undefined
        ? Math.max(0, recovery.notBefore.getTime() - deps.clock.now().getTime())
        : backoffMs(target.failures + 1, deps.random(), 1_000, longestWaitMs);
  const paused =
    recovery.kind === 'operator' ? { code: error.code, reason: error.message, remedy: recovery.remedy } : null;
  try {
    await asHolder(deps.store, target.id, lease, async (db) => {
      await recordTargetFailure(db, target.id, { failures: target.failures + 1, afterMs, paused });
      await recordHistory(db, {
        status: 'error',
        action: recovery.kind === 'operator' ? 'pause' : 'deliver',
        targetId: target.id,
        code: error.code,
        message: error.message,
      });
    });
  } catch (failed) {
    // The settings with which it failed are others by now: the next run says what is true of them.
    const lost = toSyncError(failed);
    if (lost.code === 'deliver.lease_lost') return lost;
    throw failed;
  }
  deps.log.event('target.failing', { target: target.id, code: error.code, failures: target.failures + 1 });
  return error;
}
