import { parseCalendar } from '../calendar/parse.ts';
import type { Series } from '../calendar/series.ts';
import { changedFields, type ChangedField } from '../consolidate/changed-fields.ts';
import { judgeDeletions } from '../consolidate/judge-deletions.ts';
import { planMeeting, type Step } from '../consolidate/plan-meeting.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import { toSyncError } from '../shared/errors.ts';
import type { Db } from '../store/database.ts';
import { allowedDeletions, countDeletions } from '../store/deletions.ts';
import { waitingMeetings, type DueMeeting, type MeetingObject } from '../store/meetings.ts';
import { readStatus } from '../store/status.ts';
import { lastKnownPaths, loadTarget, type TargetState } from '../store/targets.ts';
import { decideMeeting } from './decide-meeting.ts';
import { isLost } from './pass-ceiling.ts';

export interface PlannedWrite {
  readonly do: 'create' | 'update' | 'delete';
  readonly uid: string;
  readonly title: string | null;
  readonly calendar: string;
  readonly href: string;
  readonly why: string;
  /** Of an update; empty when only its form changes. Null: what stands there could not be read. */
  readonly fields: readonly ChangedField[] | null;
}

export interface TargetPlan {
  readonly target: string;
  readonly writes: readonly PlannedWrite[];
  /** Why the deletions of upcoming meetings would be held; null: they would be made. */
  readonly heldBecause: string | null;
  /** After a restore: `waiting` while the plan is not complete, `ready` when it may be approved. */
  readonly review: TargetState['review'];
}

/** What would be written to a target, before what stands there was looked at. */
export interface Planned {
  readonly target: TargetState;
  readonly steps: readonly {
    readonly step: Step<MeetingObject>;
    readonly meeting: DueMeeting;
    readonly title: string | null;
  }[];
  readonly heldBecause: string | null;
  /** UIDs of upcoming meetings that would go because nobody shows them. */
  readonly lost: readonly string[];
}

const chunkSize = 200;
const readsAtATime = 4;
const readTimeoutMs = 20_000;

/** Everything that waits to be written to a target, as delivery would decide it now. Reads rows only; null: no such target. */
export async function planTarget(db: Db, id: string, now: Date): Promise<Planned | null> {
  const target = await loadTarget(db, id);
  if (target === null) return null;
  // A calendar that has never been looked for has no path yet; of one that was, after a restore, the former one counts.
  const paths = target.calendars.some(({ href }) => href === null)
    ? await lastKnownPaths(db, id)
    : new Map<string, string>();
  const calendarHrefs = new Map(
    target.calendars.map((one) => [one.id, one.href ?? paths.get(one.id) ?? `(new)/${one.id}/`]),
  );
  const steps: Planned['steps'][number][] = [];
  const lost: string[] = [];
  let after: DueMeeting | null = null;
  for (;;) {
    const chunk = await waitingMeetings(db, id, chunkSize, after);
    for (const meeting of chunk) {
      const decision = decideMeeting(meeting, { strategy: target.strategy, now, calendarHrefs });
      const own = planMeeting(decision.wanted, meeting.objects, decision.why);
      steps.push(...own.map((step) => ({ step, meeting, title: decision.shown?.series.main.summary ?? null })));
      if (own.length > 0 && isLost(meeting, decision)) lost.push(meeting.uid);
    }
    after = chunk.at(-1) ?? null;
    if (after === null) break;
  }
  const allowed = await allowedDeletions(db, id, lost);
  const pendingUpcoming = lost.filter((uid) => !allowed.has(uid)).length;
  // What the operator approves after a restore is not held as well.
  const heldBecause =
    pendingUpcoming === 0 || target.review !== null
      ? null
      : judgeDeletions({ ...(await countDeletions(db, id)), pendingUpcoming });
  return { target, steps, heldBecause, lost };
}

/** What waits to be written to each target now, with what would change there. Writes nothing. */
export async function planAll(db: Db, open: (target: TargetState) => CalDav, now: Date): Promise<TargetPlan[]> {
  const plans: TargetPlan[] = [];
  for (const { id } of (await readStatus(db)).targets) {
    const planned = await planTarget(db, id, now);
    if (planned !== null) plans.push(await describePlan(open, planned));
  }
  return plans;
}

/** Reads what stands where something would be updated or deleted, to say what changes in it, and what goes. */
export async function describePlan(
  open: (target: TargetState) => CalDav,
  { target, steps, heldBecause }: Planned,
): Promise<TargetPlan> {
  const writes: PlannedWrite[] = [];
  const queue = steps.entries();
  const work = async (): Promise<void> => {
    for (const [index, { step, meeting, title }] of queue) {
      const { href, calendarId: calendar } = step.do === 'delete' ? step.known : step.wanted;
      const there = step.do === 'create' ? null : await standing(open, target, href);
      writes[index] = {
        do: step.do,
        uid: meeting.uid,
        title: title ?? there?.main.summary ?? null,
        calendar,
        href,
        why: step.why,
        fields: step.do !== 'update' ? [] : fieldsOf(there, step.wanted.text),
      };
    }
  };
  await Promise.all(Array.from({ length: readsAtATime }, work));
  return { target: target.id, writes, heldBecause, review: target.review };
}

function fieldsOf(there: Series | null, text: string): ChangedField[] | null {
  const after = seriesOf(text);
  return there === null || after === null ? null : changedFields(there, after);
}

async function standing(
  open: (target: TargetState) => CalDav,
  target: TargetState,
  href: string,
): Promise<Series | null> {
  try {
    const there = await open(target).get(href, AbortSignal.timeout(readTimeoutMs));
    return there === null ? null : seriesOf(there.body);
  } catch (thrown) {
    if (toSyncError(thrown).code === 'internal.unexpected') throw thrown;
    return null;
  }
}

function seriesOf(text: string): Series | null {
  return parseCalendar(text).resources[0]?.series[0] ?? null;
}
