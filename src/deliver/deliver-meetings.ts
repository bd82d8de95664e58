import { planMeeting, type Step } from '../consolidate/plan-meeting.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import { DavError } from '../dav/dav-error.ts';
import { backoffMs } from '../shared/backoff.ts';
import type { Clock } from '../shared/clock.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import { recordConflicts, type MeetingConflicts } from '../store/conflicts.ts';
import type { Store } from '../store/database.ts';
import { dropHeldDeletion } from '../store/deletions.ts';
import { recordHistory } from '../store/history.ts';
import {
  dueMeetings,
  dueMeetingsOf,
  postponeMeetings,
  raiseSequences,
  recordDeliveryFailure,
  type DueMeeting,
  type MeetingObject,
} from '../store/meetings.ts';
import {
  announceBody,
  closeIntents,
  disownObject,
  leaveIntent,
  openIntents,
  renewIntents,
  type DeliveredRecord,
  type Intent,
  type WriteRecord,
  type WriteRight,
} from '../store/objects.ts';
import { goneCheckEveryMs, recordGone, type TargetState } from '../store/targets.ts';
import { endRestored, keepInTrash } from '../store/trash.ts';
import { asHolder } from './as-holder.ts';
import { blameFor, settleDelayMs } from './blame.ts';
import { decideMeeting, type Decision } from './decide-meeting.ts';
import { Ceiling } from './pass-ceiling.ts';
import { leaseLost, WriteRecorder } from './record-writes.ts';
import { contended, foreign, isOurs, md5, writeObject } from './write-object.ts';
import { Gate, WriterPace, writersAtMost } from './writer-pace.ts';

export interface DeliverCounts {
  created: number;
  updated: number;
  deleted: number;
  unchanged: number;
  failed: number;
}

export interface DeliverContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly target: TargetState;
  readonly dav: CalDav;
  readonly right: WriteRight;
  /** Collection path with trailing slash by calendar id. */
  readonly calendarHrefs: ReadonlyMap<string, string>;
  /** Calendars that take nothing now; what concerns them waits. */
  readonly goneCalendars: Map<string, SyncError>;
  readonly counts: DeliverCounts;
  readonly signal: AbortSignal;
}

interface Decided {
  readonly meeting: DueMeeting;
  readonly decision: Decision;
  readonly steps: readonly Step<MeetingObject>[];
}

interface Ready extends Decided {
  readonly intents: readonly Intent[];
  /** `performance.now()` when the intents were written. */
  readonly openedAt: number;
}

interface Chunk {
  readonly ready: readonly Ready[];
  readonly last: DueMeeting | null;
}

/** By account, so that what was found of a server is kept while its settings are. */
const paces = new WeakMap<CalDav, WriterPace>();
function paceOf(dav: CalDav): WriterPace {
  const pace = paces.get(dav) ?? new WriterPace();
  paces.set(dav, pace);
  return pace;
}

const chunkSize = 100;
const failuresThatBlameTheTarget = 3;
/** What a server says, or does not say, that has more to do than it can. */
const tooMuch = new Set(['dav.timeout', 'dav.busy', 'dav.unavailable', 'dav.server_error']);

/**
 * Makes a target show what is wanted: writes first, over everything that is due, then deletions, so that a meeting that
 * merges or moves is never absent. Goes on until nothing is due. Throws what stops the target as a whole.
 */
export async function deliverMeetings(context: DeliverContext): Promise<void> {
  while (await new DeliverPass(context).run());
}

class DeliverPass {
  private readonly context: DeliverContext;
  private readonly recorder: WriteRecorder;
  private readonly pace: WriterPace;
  /** Meetings of which nothing is wanted any more. */
  private readonly deferred: string[] = [];
  private readonly ceiling: Ceiling;
  /** Intents whose request has not been made. */
  private readonly unsent = new Set<string>();
  private failedInARow = 0;
  private isEnding = false;

  constructor(context: DeliverContext) {
    this.context = context;
    this.recorder = new WriteRecorder(context.store.db, context.target.id);
    this.ceiling = new Ceiling(context);
    this.pace = paceOf(context.dav);
  }

  /** False when there was nothing to do. */
  async run(): Promise<boolean> {
    const { store, target } = this.context;
    let seen = 0;
    let after: DueMeeting | null = null;
    await this.work(async () => {
      const due = await dueMeetings(store.db, target.id, chunkSize, after);
      seen += due.length;
      after = due.at(-1) ?? null;
      return this.prepare(due, false);
    });
    let next = 0;
    await this.work(async () => {
      const ids = this.deferred.slice(next, (next += chunkSize));
      if (ids.length === 0) return { ready: [], last: null };
      return this.prepare(await dueMeetingsOf(store.db, target.id, ids), true);
    });
    return seen > 0;
  }

  /** Carries out chunk after chunk; the next one is prepared while one is written. */
  private async work(nextChunk: () => Promise<Chunk>): Promise<void> {
    const preparing = { chunk: nextChunk() };
    async function* ready(isEnding: () => boolean): AsyncGenerator<Ready, void> {
      for (;;) {
        const chunk = await preparing.chunk;
        if (chunk.last === null || isEnding()) return;
        preparing.chunk = nextChunk();
        preparing.chunk.catch(() => undefined); // told when it is awaited
        yield* chunk.ready;
      }
    }
    const queue = ready(() => this.isEnding);
    const gate = new Gate(this.pace);
    const writer = async (): Promise<void> => {
      for (let isDone = false; !isDone;) {
        await gate.enter();
        try {
          const next = await queue.next();
          isDone = next.done === true || this.isEnding;
          if (next.done === true || isDone) continue;
          this.context.signal.throwIfAborted();
          await this.deliverOne(next.value);
        } catch (thrown) {
          this.isEnding = true;
          throw thrown;
        } finally {
          gate.leave();
        }
      }
    };
    const results = await Promise.allSettled(Array.from({ length: writersAtMost }, writer));
    results.push(...(await Promise.allSettled([this.recorder.drain()])));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return;
    await Promise.allSettled([preparing.chunk]);
    await closeIntents(this.context.store.db, [...this.unsent]);
    throw failed.reason;
  }

  /** Decides what is due, and writes down what will be asked of the server. */
  private async prepare(due: readonly DueMeeting[], isDeleting: boolean): Promise<Chunk> {
    const { store, target, right } = this.context;
    const decided: Decided[] = [];
    const waiting = new Map<string, string[]>();
    const atOdds: MeetingConflicts[] = [];
    for (const meeting of due) {
      try {
        const decision = decideMeeting(meeting, {
          strategy: target.strategy,
          now: this.context.clock.now(),
          calendarHrefs: this.context.calendarHrefs,
        });
        const steps = planMeeting(decision.wanted, meeting.objects, decision.why);
        if (!isDeleting && (meeting.claims.length > 1 || meeting.hasConflicts)) atOdds.push(oddsOf(meeting, decision));
        const calendarId = this.goneAmong(steps);
        if (calendarId !== null) waiting.set(calendarId, [...(waiting.get(calendarId) ?? []), meeting.id]);
        else if (steps.length > 0 && decision.wanted.length === 0 && !isDeleting) {
          this.deferred.push(meeting.id);
          this.ceiling.count(meeting, decision);
        } else decided.push({ meeting, decision, steps });
      } catch (thrown) {
        await this.recordFailure(meeting, unrenderable(thrown));
      }
    }
    await recordConflicts(store, atOdds);
    for (const [calendarId, ids] of waiting) await this.postpone(calendarId, ids);
    const allowed = isDeleting ? await this.ceiling.pass(decided) : decided;
    await raiseSequences(
      store.db,
      allowed.flatMap(({ meeting: { id, sequence }, decision }) =>
        decision.sequence > sequence ? [{ id, sequence: decision.sequence }] : [],
      ),
    );
    const openedAt = performance.now();
    const intents = await openIntents(
      store.db,
      target.id,
      allowed.flatMap(({ meeting, steps }) => steps.map((step) => intentOf(meeting, step))),
      right,
    );
    if (intents === null) throw leaseLost(target.id);
    for (const intent of intents) this.unsent.add(intent.id);
    let used = 0;
    const ready = allowed.map((one) => ({
      ...one,
      openedAt,
      intents: intents.slice(used, (used += one.steps.length)),
    }));
    return { ready, last: due.at(-1) ?? null };
  }

  private goneAmong(steps: readonly Step<MeetingObject>[]): string | null {
    for (const step of steps) {
      const { calendarId } = step.do === 'delete' ? step.known : step.wanted;
      if (this.context.goneCalendars.has(calendarId)) return calendarId;
    }
    return null;
  }

  private async postpone(calendarId: string, ids: readonly string[]): Promise<void> {
    const error = this.context.goneCalendars.get(calendarId);
    if (error === undefined) return;
    const { code, message: reason } = error;
    await postponeMeetings(this.context.store.db, ids, { code, reason, afterMs: goneCheckEveryMs });
  }

  private async deliverOne({ meeting, decision, steps, intents, openedAt }: Ready): Promise<void> {
    const { store, target, counts } = this.context;
    const writes: WriteRecord[] = [];
    try {
      const startBy = await this.mayStartUntil(intents, openedAt);
      for (const [index, step] of steps.entries()) {
        const intent = intents[index];
        if (intent !== undefined) writes.push(await this.carryOut(meeting, step, intent, startBy));
      }
      if (steps.length === 0) counts.unchanged += 1;
      if (decision.state === 'shown') await this.endWhatIsOver(meeting, decision);
      this.failedInARow = 0;
      await this.recorder.add({ writes, delivered: deliveredOf(meeting, decision) });
    } catch (thrown) {
      const rest = intents.slice(writes.length);
      const [failed, ...untouched] = rest;
      await closeIntents(
        store.db,
        untouched.map((intent) => intent.id),
      );
      if (failed !== undefined) await this.settleLater(failed, thrown);
      const error = await this.seenFromAfar(toSyncError(thrown), failed);
      if (tooMuch.has(error.code)) this.pace.slowDown();
      for (const intent of rest) this.unsent.delete(intent.id);
      if (writes.length > 0) await this.recorder.add({ writes, delivered: null });
      if (blameFor(error) === 'worker' || error.code === 'internal.unexpected') await this.recorder.drain();
      if (blameFor(error) === 'calendar') await this.holdCalendar(target.id, failed, meeting, error);
      else await this.recordFailure(meeting, error);
    }
  }

  /**
   * A refusal that is not from the calendar server (a firewall that dislikes one text, a proxy that is out of order)
   * concerns the one event where the server answers another question well.
   */
  private async seenFromAfar(error: SyncError, intent: Intent | undefined): Promise<SyncError> {
    if (!(error instanceof DavError) || error.code !== 'dav.not_ready' || intent === undefined) return error;
    if (error.status === null || error.status < 400 || error.status >= 500) return error;
    const { dav, signal, calendarHrefs } = this.context;
    const calendarHref = calendarHrefs.get(intent.calendarId);
    if (calendarHref === undefined) return error;
    try {
      await dav.syncToken(calendarHref, signal);
    } catch {
      return error;
    }
    return new DavError(error.message, {
      code: 'dav.refused_on_the_way',
      outcome: error.outcome,
      status: error.status,
      recovery: { kind: 'retry' },
      cause: error,
    });
  }

  /** Instant (`performance.now()`) by which all requests of the meeting must have ended. */
  private async mayStartUntil(intents: readonly Intent[], openedAt: number): Promise<number> {
    const { store, target, right } = this.context;
    const now = performance.now();
    if (intents.length === 0 || now - openedAt < right.timeoutMs / 4) return openedAt + right.timeoutMs;
    const isOurs = await renewIntents(
      store.db,
      intents.map((intent) => intent.id),
      right,
    );
    if (!isOurs) throw leaseLost(target.id);
    return now + right.timeoutMs;
  }

  private async carryOut(
    meeting: DueMeeting,
    step: Step<MeetingObject>,
    intent: Intent,
    endBy: number,
  ): Promise<WriteRecord> {
    const startedAt = performance.now();
    // A process that slept must not send what it no longer may.
    if (startedAt >= endBy) throw contended(intent.href);
    this.unsent.delete(intent.id);
    // A stop lets a request that has begun come to its end; only its time-out cuts it.
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Error('time-out')), endBy - startedAt);
    try {
      const done =
        step.do === 'delete'
          ? await this.remove(meeting, step, limit.signal)
          : await this.write(meeting, step, intent, limit.signal);
      this.pace.wrote(performance.now());
      const { calendarId, part, href, uid } = intent;
      return {
        intentId: intent.id,
        action: step.do,
        meetingId: meeting.id,
        calendarId,
        part,
        href,
        uid,
        ...done,
        why: step.why,
        durationMs: Math.round(performance.now() - startedAt),
      };
    } finally {
      clearTimeout(timer);
    }
  }

  private async write(
    meeting: DueMeeting,
    step: Exclude<Step<MeetingObject>, { do: 'delete' }>,
    intent: Intent,
    signal: AbortSignal,
  ): Promise<Standing> {
    const { store, target, counts } = this.context;
    const { wanted } = step;
    const written = await writeObject(
      this.context.dav,
      {
        wanted,
        known: step.do === 'update' ? step.known : null,
        movedFrom: step.do === 'create' ? (step.movedFrom?.href ?? null) : null,
        announce: (bodyMd5) => announceBody(store.db, intent.id, bodyMd5),
      },
      signal,
    );
    counts[step.do === 'create' ? 'created' : 'updated'] += 1;
    if (written.isRepair)
      await recordHistory(store.db, {
        status: 'ok',
        action: 'drift',
        targetId: target.id,
        meetingId: meeting.id,
        uid: wanted.uid,
        href: wanted.href,
        code: 'drift.overwritten',
        message: 'a client had changed what we wrote; a newer version took its place',
      });
    return {
      etag: written.etag,
      fingerprint: wanted.fingerprint,
      scheduleFingerprint: wanted.scheduleFingerprint,
      bodyMd5: written.bodyMd5,
      hasClientState: written.hasClientState,
    };
  }

  private async remove(
    meeting: DueMeeting,
    step: Extract<Step<MeetingObject>, { do: 'delete' }>,
    signal: AbortSignal,
  ): Promise<Standing> {
    const { dav, store, target, counts } = this.context;
    const { known } = step;
    const there = await dav.get(known.href, signal);
    if (there !== null) {
      if (!isOurs(there.body, known.uid)) {
        await disownObject(store.db, target.id, known.href);
        throw foreign(known.href);
      }
      if (!meeting.isForgotten)
        await keepInTrash(store.db, {
          targetId: target.id,
          calendarId: known.calendarId,
          meetingId: meeting.id,
          sourceId: meeting.shownSourceId,
          part: known.part,
          href: known.href,
          uid: known.uid,
          body: there.body,
          reason: step.why,
        });
      const etag = there.etag ?? (await dav.etagOf(known.href, signal));
      const removed = await dav.remove(known.href, etag, signal);
      if (removed.kind === 'precondition-failed') throw contended(known.href);
    }
    counts.deleted += 1;
    return { etag: null, fingerprint: null, scheduleFingerprint: null, bodyMd5: null, hasClientState: false };
  }

  /** What a meeting that shows again has put an end to. */
  private async endWhatIsOver(meeting: DueMeeting, decision: Decision): Promise<void> {
    const { store, target } = this.context;
    if (meeting.code === 'deliver.deletion_held') await dropHeldDeletion(store.db, target.id, meeting.uid);
    if (decision.shown?.restored === null && meeting.claims.some((claim) => claim.restored !== null))
      await endRestored(store.db, target.id, meeting.id);
  }

  /** Closes the intent of a request that certainly changed nothing; any other is settled by reading, later. */
  private async settleLater(intent: Intent, thrown: unknown): Promise<void> {
    const { store, right } = this.context;
    if (thrown instanceof DavError && thrown.outcome === 'unknown')
      await leaveIntent(store.db, intent.id, settleDelayMs(thrown, right.timeoutMs));
    else if (thrown instanceof SyncError) await closeIntents(store.db, [intent.id]);
  }

  private async holdCalendar(
    targetId: string,
    intent: Intent | undefined,
    meeting: DueMeeting,
    error: SyncError,
  ): Promise<void> {
    const { store, log, goneCalendars, right } = this.context;
    const calendarId = intent?.calendarId ?? '';
    goneCalendars.set(calendarId, error);
    await this.postpone(calendarId, [meeting.id]);
    if (!(await asHolder(store, targetId, right.lease, (db) => recordGone(db, targetId, calendarId)))) return;
    log.event('target.failing', { target: targetId, code: error.code, failures: 1 });
    await recordHistory(store.db, {
      status: 'error',
      action: 'hold',
      targetId,
      code: error.code,
      message: `${error.message}; what goes there waits`,
    });
  }

  /** One meeting's failure stays its own, unless it shows that the target is in trouble: then the run ends. */
  private async recordFailure(meeting: DueMeeting, error: SyncError): Promise<void> {
    const { store, target, counts } = this.context;
    const blame = blameFor(error);
    if (blame === 'worker' || blame === 'target') throw error;
    const isForGood = blame === 'meeting-for-good';
    counts.failed += 1;
    await recordDeliveryFailure(store.db, meeting, {
      code: error.code,
      reason: error.message,
      afterMs: isForGood ? null : backoffMs(meeting.failures + 1, this.context.random()),
    });
    await recordHistory(store.db, {
      status: 'error',
      action: 'deliver',
      targetId: target.id,
      meetingId: meeting.id,
      uid: meeting.uid,
      code: error.code,
      message: error.message,
      ...(error instanceof DavError && error.status !== null ? { httpStatus: error.status } : {}),
    });
    if (isForGood) return;
    this.failedInARow += 1;
    if (this.failedInARow >= failuresThatBlameTheTarget) throw error;
  }
}

type Standing = Pick<WriteRecord, 'etag' | 'fingerprint' | 'scheduleFingerprint' | 'bodyMd5' | 'hasClientState'>;

function intentOf(meeting: DueMeeting, step: Step<MeetingObject>): Omit<Intent, 'id'> {
  const { calendarId, part, href, uid } = step.do === 'delete' ? step.known : step.wanted;
  return {
    meetingId: meeting.id,
    calendarId,
    part,
    action: step.do === 'delete' ? 'delete' : 'put',
    href,
    uid,
    bodyMd5: step.do === 'delete' ? null : md5(step.wanted.text),
  };
}

function oddsOf(meeting: DueMeeting, { conflicts, why }: Decision): MeetingConflicts {
  const sourceIds = meeting.claims.map(({ sourceId }) => sourceId);
  return { meetingId: meeting.id, wantedVersion: meeting.wantedVersion, conflicts, rule: why, sourceIds };
}

function deliveredOf(meeting: DueMeeting, decision: Decision): DeliveredRecord {
  return {
    meetingId: meeting.id,
    wantedVersion: meeting.wantedVersion,
    sequence: decision.sequence,
    shownClaimId: decision.shown?.id ?? null,
    shownSourceId: decision.shown?.sourceId ?? null,
    shownUntil: decision.shown?.lastEnd ?? null,
    why: decision.why,
    anchor: decision.anchor,
  };
}

function unrenderable(thrown: unknown): SyncError {
  return new SyncError(`The meeting cannot be rendered: ${toSyncError(thrown).message}`, {
    code: 'deliver.unrenderable',
    recovery: { kind: 'operator', remedy: 'Report this with the output of "calendar-sync explain" for its uid.' },
    cause: thrown,
  });
}
