import type { Step } from '../consolidate/plan-meeting.ts';
import { DavError } from '../dav/dav-error.ts';
import { backoffMs } from '../shared/backoff.ts';
import { toSyncError, type SyncError } from '../shared/errors.ts';
import { dropHeldDeletion } from '../store/deletions.ts';
import { recordHistory } from '../store/history.ts';
import { recordDeliveryFailure, type DueMeeting, type MeetingObject } from '../store/meetings.ts';
import {
  announceBody,
  closeIntents,
  copyPart,
  disownObject,
  renewIntents,
  type DeliveredRecord,
  type Intent,
  type WriteRecord,
} from '../store/objects.ts';
import { recordGone } from '../store/targets.ts';
import { endRestored, keepInTrash } from '../store/trash.ts';
import { asHolder } from './as-holder.ts';
import { blameFor } from './blame.ts';
import type { Decision } from './decide-meeting.ts';
import { postpone, type DeliverContext, type Ready } from './deliver-context.ts';
import { leaseLost, type WriteRecorder } from './record-writes.ts';
import { settleLater } from './settle-intents.ts';
import { contended, foreign, isOurs, writeObject } from './write-object.ts';
import type { WriterPace } from './writer-pace.ts';

const failuresThatBlameTheTarget = 3;
/** What a server says, or does not say, that has more to do than it can. */
const tooMuch = new Set(['dav.timeout', 'dav.busy', 'dav.unavailable', 'dav.server_error']);

/** Carries out what was decided and announced for one meeting after the other, and says whose trouble a failure is. */
export class MeetingWriter {
  private readonly context: DeliverContext;
  private readonly recorder: WriteRecorder;
  private readonly pace: WriterPace;
  /** Intents whose request has not been made. */
  private readonly unsent: Set<string>;
  private failedInARow = 0;

  constructor(context: DeliverContext, recorder: WriteRecorder, pace: WriterPace, unsent: Set<string>) {
    this.context = context;
    this.recorder = recorder;
    this.pace = pace;
    this.unsent = unsent;
  }

  /** Writes and deletes what a meeting takes. Throws what stops the run. */
  async deliver({ meeting, decision, steps, intents, openedAt }: Ready): Promise<void> {
    const { store, target, right, counts } = this.context;
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
      if (failed !== undefined) await settleLater(store.db, failed.id, thrown, right);
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
        movedFrom: step.movedFrom?.href ?? null,
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
      if (known.part === copyPart && there.etag !== known.etag) {
        // It has changed since, so it is no copy any more but somebody's own.
        await disownObject(store.db, target.id, known.href);
        throw contended(known.href);
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

  private async holdCalendar(
    targetId: string,
    intent: Intent | undefined,
    meeting: DueMeeting,
    error: SyncError,
  ): Promise<void> {
    const { store, log, goneCalendars, right } = this.context;
    const calendarId = intent?.calendarId ?? '';
    goneCalendars.set(calendarId, error);
    await postpone(this.context, calendarId, [meeting.id]);
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
  async recordFailure(meeting: DueMeeting, error: SyncError): Promise<void> {
    const { store, target, counts } = this.context;
    const blame = blameFor(error);
    if (blame === 'worker' || blame === 'target') throw error;
    counts.failed += 1;
    await recordDeliveryFailure(store.db, meeting, {
      code: error.code,
      reason: error.message,
      afterMs:
        blame === 'meeting-for-good'
          ? null
          : blame === 'meeting-until-mended'
            ? hourMs
            : backoffMs(meeting.failures + 1, this.context.random()),
    });
    // It is asked for again and again, and was told.
    if (blame === 'meeting-until-mended' && meeting.code === error.code) return;
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
    if (blame !== 'meeting') return;
    this.failedInARow += 1;
    if (this.failedInARow >= failuresThatBlameTheTarget) throw error;
  }
}

const hourMs = 3_600_000;

type Standing = Pick<WriteRecord, 'etag' | 'fingerprint' | 'scheduleFingerprint' | 'bodyMd5' | 'hasClientState'>;

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
