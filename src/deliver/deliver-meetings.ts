import { setImmediate as nextTurn } from 'node:timers/promises';
import { planMeeting, type Step } from '../consolidate/plan-meeting.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import { recordConflicts, type MeetingConflicts } from '../store/conflicts.ts';
import { dueMeetings, dueMeetingsOf, raiseSequences, type DueMeeting, type MeetingObject } from '../store/meetings.ts';
import { closeIntents, openIntents, type Intent } from '../store/objects.ts';
import { decideMeeting, type Decision } from './decide-meeting.ts';
import { postpone, type Decided, type DeliverContext, type Ready } from './deliver-context.ts';
import { Ceiling } from './pass-ceiling.ts';
import { leaseLost, WriteRecorder } from './record-writes.ts';
import { MeetingWriter } from './write-meeting.ts';
import { md5 } from './write-object.ts';
import { Gate, WriterPace, writersAtMost } from './writer-pace.ts';

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
/** Meetings that are decided in one go: about a millisecond. */
const meetingsAtATime = 5;

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
  private readonly writer: MeetingWriter;
  private isEnding = false;

  constructor(context: DeliverContext) {
    this.context = context;
    this.recorder = new WriteRecorder(context.store.db, context.target.id);
    this.ceiling = new Ceiling(context);
    this.pace = paceOf(context.dav);
    this.writer = new MeetingWriter(context, this.recorder, this.pace, this.unsent);
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
          await this.writer.deliver(next.value);
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
    for (const [index, meeting] of due.entries()) {
      // The server's answers are not to wait for all decisions of a chunk.
      if (index % meetingsAtATime === 0) await nextTurn();
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
        await this.writer.recordFailure(meeting, unrenderable(thrown));
      }
    }
    await recordConflicts(store, atOdds);
    for (const [calendarId, ids] of waiting) await postpone(this.context, calendarId, ids);
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
}

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

function unrenderable(thrown: unknown): SyncError {
  return new SyncError(`The meeting cannot be rendered: ${toSyncError(thrown).message}`, {
    code: 'deliver.unrenderable',
    recovery: { kind: 'operator', remedy: 'Report this with the output of "calendar-sync explain" for its uid.' },
    cause: thrown,
  });
}
