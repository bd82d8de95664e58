import { planMeeting, type Step } from '../consolidate/plan-meeting.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import { DavError } from '../dav/dav-error.ts';
import { backoffMs } from '../shared/backoff.ts';
import type { Clock } from '../shared/clock.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Store } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import type { Lease } from '../store/leases.ts';
import {
  closeIntent,
  dueMeetings,
  forgetObject,
  keepInTrash,
  openIntent,
  recordDelivered,
  recordDeliveryFailure,
  recordObject,
  type DueMeeting,
} from '../store/meetings.ts';
import { loadTarget, recordTargetFailure, recordTargetWorks, type TargetState } from '../store/targets.ts';
import { decideMeeting, type Decision } from './decide-meeting.ts';
import { ensureCalendars } from './ensure-calendars.ts';
import { settleIntents } from './settle-intents.ts';
import { foreign, isOurs, writeObject } from './write-object.ts';

export interface DeliverDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Opens the target's account, the same one for the same settings; throws SyncError when its secret is unreadable. */
  readonly open: (target: TargetState) => CalDav;
  /** How long one write may take; the lease must outlast it. */
  readonly writeTimeoutMs: number;
}

export interface DeliverCounts {
  created: number;
  updated: number;
  deleted: number;
  unchanged: number;
  failed: number;
}

export type DeliverOutcome =
  | { readonly kind: 'done'; readonly counts: DeliverCounts }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'failed'; readonly error: SyncError; readonly counts: DeliverCounts };

/** Baikal's SQLite gains nothing from more than two writers (measured: more connections only add tail). */
const writersAtATime = 2;
const chunkSize = 200;
const failuresThatBlameTheTarget = 3;
const hourMs = 3_600_000;

/**
 * Makes a target show what is wanted, whatever made it wanted: for each meeting whose wanted version is ahead, decides
 * what should be there and writes the difference. The caller holds the lease on `target:<id>`. The target's failures
 * are recorded on its row, not thrown.
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
    const calendarHrefs = await ensureCalendars(deps.store, dav, target, signal);
    await settleIntents(deps.store, dav, id, deps.writeTimeoutMs, signal);
    const run = new DeliverRun(deps, target, dav, lease, calendarHrefs, counts, signal);
    await run.deliver();
    await recordTargetWorks(deps.store.db, id, counts.created + counts.updated + counts.deleted > 0);
    if (target.pausedCode !== null) deps.log.event('target.recovered', { target: id });
    return { kind: 'done', counts };
  } catch (thrown) {
    if (signal.aborted) return { kind: 'failed', error: stopped(), counts };
    return { kind: 'failed', error: await recordRunFailure(deps, target, thrown), counts };
  } finally {
    if (Object.values(counts).some((count) => count > 0))
      deps.log.event('deliver.run.finished', {
        target: id,
        durationMs: deps.clock.now().getTime() - startedAt,
        ...counts,
      });
  }
}

class DeliverRun {
  private readonly deps: DeliverDeps;
  private readonly target: TargetState;
  private readonly dav: CalDav;
  private readonly lease: Lease;
  private readonly calendarHrefs: ReadonlyMap<string, string>;
  private readonly counts: DeliverCounts;
  private readonly signal: AbortSignal;
  private failedInARow = 0;

  constructor(
    deps: DeliverDeps,
    target: TargetState,
    dav: CalDav,
    lease: Lease,
    calendarHrefs: ReadonlyMap<string, string>,
    counts: DeliverCounts,
    signal: AbortSignal,
  ) {
    this.deps = deps;
    this.target = target;
    this.dav = dav;
    this.lease = lease;
    this.calendarHrefs = calendarHrefs;
    this.counts = counts;
    this.signal = signal;
  }

  async deliver(): Promise<void> {
    for (;;) {
      const due = await dueMeetings(this.deps.store.db, this.target.id, chunkSize);
      if (due.length === 0) return;
      const decided = due.map((meeting) => ({ meeting, decision: this.decide(meeting) }));
      // What shows is written before what no longer shows is deleted: a meeting that merges or moves is never absent.
      await this.inParallel(
        decided.filter(({ decision }) => decision instanceof SyncError || decision.wanted.length > 0),
      );
      await this.inParallel(
        decided.filter(({ decision }) => !(decision instanceof SyncError) && decision.wanted.length === 0),
      );
    }
  }

  private decide(meeting: DueMeeting): Decision | SyncError {
    try {
      return decideMeeting(meeting, {
        strategy: this.target.strategy,
        now: this.deps.clock.now(),
        calendarHrefs: this.calendarHrefs,
      });
    } catch (thrown) {
      return new SyncError(`The meeting cannot be rendered: ${toSyncError(thrown).message}`, {
        code: 'deliver.unrenderable',
        recovery: { kind: 'operator', remedy: 'Report this with the output of "calendar-sync explain" for its uid.' },
        cause: thrown,
      });
    }
  }

  private async inParallel(work: readonly { meeting: DueMeeting; decision: Decision | SyncError }[]): Promise<void> {
    const queue = [...work];
    const writer = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        this.signal.throwIfAborted();
        await this.deliverOne(next.meeting, next.decision);
      }
    };
    const results = await Promise.allSettled(Array.from({ length: writersAtATime }, writer));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  private async deliverOne(meeting: DueMeeting, decision: Decision | SyncError): Promise<void> {
    try {
      if (decision instanceof SyncError) throw decision;
      const steps = planMeeting(decision.wanted, meeting.objects, decision.why);
      for (const step of steps) await this.carryOut(meeting, step);
      if (steps.length === 0) this.counts.unchanged += 1;
      await recordDelivered(this.deps.store.db, meeting, {
        sequence: decision.sequence,
        shownClaimId: decision.shown?.id ?? null,
        why: decision.why,
        anchor: decision.anchor,
      });
      this.failedInARow = 0;
    } catch (thrown) {
      await this.recordFailure(meeting, toSyncError(thrown));
    }
  }

  private async carryOut(meeting: DueMeeting, step: Step): Promise<void> {
    const object = step.do === 'delete' ? step.known : step.wanted;
    // Counted before the intent is written: a process that slept in between must not send what it no longer may.
    const deadline = performance.now() + this.deps.writeTimeoutMs;
    const intentId = await openIntent(
      this.deps.store.db,
      {
        targetId: this.target.id,
        meetingId: meeting.id,
        calendarId: object.calendarId,
        part: object.part,
        action: step.do === 'delete' ? 'delete' : 'put',
        href: object.href,
        uid: object.uid,
        bodyMd5: null,
      },
      { name: this.lease.name, fence: this.lease.fence, outlastsMs: this.deps.writeTimeoutMs },
    );
    if (intentId === null || performance.now() >= deadline) throw leaseLost(this.target.id);
    const startedAt = performance.now();
    // A stop lets a request that has begun come to its end; only its time-out cuts it.
    const limit = AbortSignal.timeout(Math.max(1, Math.floor(deadline - startedAt)));
    try {
      if (step.do === 'delete') await this.remove(meeting, step, intentId, limit);
      else await this.write(meeting, step, intentId, limit);
    } catch (thrown) {
      if (!isOutcomeUnknown(thrown)) await closeIntent(this.deps.store.db, intentId);
      throw thrown;
    }
    await recordHistory(this.deps.store.db, {
      status: 'ok',
      action: step.do,
      targetId: this.target.id,
      meetingId: meeting.id,
      uid: object.uid,
      href: object.href,
      message: step.why,
      durationMs: Math.round(performance.now() - startedAt),
    });
  }

  private async write(
    meeting: DueMeeting,
    step: Extract<Step, { do: 'create' | 'update' }>,
    intentId: string,
    limit: AbortSignal,
  ): Promise<void> {
    const { wanted } = step;
    const written = await writeObject(this.dav, wanted, step.do === 'update' ? step.known : null, limit);
    await recordObject(
      this.deps.store.db,
      {
        targetId: this.target.id,
        meetingId: meeting.id,
        calendarId: wanted.calendarId,
        part: wanted.part,
        href: wanted.href,
        uid: wanted.uid,
        etag: written.etag,
        fingerprint: wanted.fingerprint,
        scheduleFingerprint: wanted.scheduleFingerprint,
        bodyMd5: written.bodyMd5,
      },
      intentId,
    );
    this.counts[step.do === 'create' ? 'created' : 'updated'] += 1;
  }

  private async remove(
    meeting: DueMeeting,
    step: Extract<Step, { do: 'delete' }>,
    intentId: string,
    limit: AbortSignal,
  ): Promise<void> {
    const { known } = step;
    const there = await this.dav.get(known.href, limit);
    if (there !== null) {
      if (!isOurs(there.body, known.uid)) throw foreign(known.href);
      await keepInTrash(this.deps.store.db, {
        targetId: this.target.id,
        calendarId: known.calendarId,
        meetingId: meeting.id,
        href: known.href,
        uid: known.uid,
        body: there.body,
        reason: step.why,
      });
      const removed = await this.dav.remove(known.href, there.etag, limit);
      if (removed.kind === 'precondition-failed')
        throw new SyncError(`${known.href} was changed while it was being deleted`, {
          code: 'deliver.contended',
          recovery: { kind: 'retry' },
        });
    }
    await forgetObject(this.deps.store.db, this.target.id, known.href, intentId);
    this.counts.deleted += 1;
  }

  /** One meeting's failure stays its own, unless it shows that the target is in trouble: then the run ends. */
  private async recordFailure(meeting: DueMeeting, error: SyncError): Promise<void> {
    if (error.code === 'deliver.lease_lost') throw error;
    const isPermanent =
      (error instanceof DavError && error.outcome === 'refused') ||
      (error.recovery.kind === 'operator' && !(error instanceof DavError));
    this.counts.failed += 1;
    await recordDeliveryFailure(this.deps.store.db, meeting, {
      code: error.code,
      reason: error.message,
      afterMs: isPermanent ? null : backoffMs(meeting.failures + 1, this.deps.random()),
    });
    await recordHistory(this.deps.store.db, {
      status: 'error',
      action: 'deliver',
      targetId: this.target.id,
      meetingId: meeting.id,
      uid: meeting.uid,
      code: error.code,
      message: error.message,
      ...(error instanceof DavError && error.status !== null ? { httpStatus: error.status } : {}),
    });
    if (isPermanent) return;
    this.failedInARow += 1;
    if (error.recovery.kind === 'operator' || this.failedInARow >= failuresThatBlameTheTarget) throw error;
  }
}

function isOutcomeUnknown(thrown: unknown): boolean {
  return thrown instanceof DavError && thrown.outcome === 'unknown';
}

function leaseLost(targetId: string): SyncError {
  return new SyncError(`Another worker writes to ${targetId} by now`, {
    code: 'deliver.lease_lost',
    recovery: { kind: 'retry' },
  });
}

function stopped(): SyncError {
  return new SyncError('The worker is stopping; delivery continues where it was', {
    code: 'deliver.stopped',
    recovery: { kind: 'retry' },
  });
}

async function recordRunFailure(deps: DeliverDeps, target: TargetState, thrown: unknown): Promise<SyncError> {
  const error = toSyncError(thrown);
  if (error.code === 'deliver.lease_lost') return error;
  const { recovery } = error;
  const afterMs =
    recovery.kind === 'operator'
      ? hourMs
      : recovery.kind === 'retry' && recovery.notBefore !== undefined
        ? Math.max(0, recovery.notBefore.getTime() - deps.clock.now().getTime())
        : backoffMs(target.failures + 1, deps.random(), 1_000, 5 * 60_000);
  const paused =
    recovery.kind === 'operator' ? { code: error.code, reason: error.message, remedy: recovery.remedy } : null;
  await recordTargetFailure(deps.store.db, target.id, { afterMs, paused });
  await recordHistory(deps.store.db, {
    status: 'error',
    action: recovery.kind === 'operator' ? 'pause' : 'deliver',
    targetId: target.id,
    code: error.code,
    message: error.message,
  });
  deps.log.event('target.failing', { target: target.id, code: error.code, failures: target.failures + 1 });
  return error;
}
