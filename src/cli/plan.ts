import { parseCalendar } from '../calendar/parse.ts';
import type { Series } from '../calendar/series.ts';
import type { Product } from '../compose.ts';
import { changedFields, type ChangedField } from '../consolidate/changed-fields.ts';
import { judgeDeletions } from '../consolidate/judge-deletions.ts';
import { planMeeting, type Step } from '../consolidate/plan-meeting.ts';
import { decideMeeting } from '../deliver/decide-meeting.ts';
import { systemClock } from '../shared/clock.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Db } from '../store/database.ts';
import { approvedDeletions, countDeletions } from '../store/deletions.ts';
import { waitingMeetings, type DueMeeting, type MeetingObject } from '../store/meetings.ts';
import { readStatus } from '../store/status.ts';
import { loadTarget, type TargetState } from '../store/targets.ts';
import { applyIn, fileOf } from './apply.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

interface PlannedWrite {
  readonly do: 'create' | 'update' | 'delete';
  readonly uid: string;
  readonly title: string | null;
  readonly calendar: string;
  readonly href: string;
  readonly why: string;
  /** Of an update; empty when only its form changes. Null: what stands there could not be read. */
  readonly fields: readonly ChangedField[] | null;
}

interface TargetPlan {
  readonly target: string;
  readonly writes: readonly PlannedWrite[];
  /** Why the deletions of upcoming meetings would be held; null: they would be made. */
  readonly heldBecause: string | null;
}

interface Planned {
  readonly target: TargetState;
  readonly steps: readonly {
    readonly step: Step<MeetingObject>;
    readonly meeting: DueMeeting;
    readonly title: string | null;
  }[];
  readonly heldBecause: string | null;
}

export interface PlanOptions {
  readonly json: boolean;
  /** A configuration to be tried out; null: the present one. */
  readonly file: string | null;
  readonly prune: boolean;
}

const chunkSize = 200;
const undo = new Error('tried out, nothing kept');

/**
 * Tells everything that would be written to the targets and why, and writes nothing: what waits now or, with a file, what
 * its configuration would change of what has been read. Exits with 1 when something would be written.
 */
export function plan(options: PlanOptions, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const { store } = product;
    const changes: string[] = [];
    const planned: Planned[] = [];
    await store
      .transaction(async (db) => {
        if (options.file !== null) {
          const file = fileOf(env, options.file);
          const applied = await applyIn(db, product, env, file, { prune: options.prune, actor: 'plan' });
          changes.push(...applied.map(({ sentence }) => sentence));
        }
        for (const { id } of (await readStatus(db)).targets) planned.push(await planTarget(db, id));
        throw undo;
      })
      .catch((thrown: unknown) => {
        if (thrown !== undo) throw thrown;
      });
    const plans: TargetPlan[] = [];
    for (const one of planned) plans.push(await withFields(product, one));
    tell(options.json, { changes, plans }, [...changes, ...plans.flatMap(sentencesOf)]);
    return plans.some(({ writes }) => writes.length > 0) ? exitCodes.trouble : exitCodes.ok;
  });
}

async function planTarget(db: Db, id: string): Promise<Planned> {
  const target = await loadTarget(db, id);
  if (target === null) throw gone(id);
  // A calendar that has never been looked for has no path yet.
  const calendarHrefs = new Map(target.calendars.map((one) => [one.id, one.href ?? `(new)/${one.id}/`]));
  const now = systemClock.now();
  const steps: Planned['steps'][number][] = [];
  const lost: string[] = [];
  let after: DueMeeting | null = null;
  for (;;) {
    const chunk = await waitingMeetings(db, id, chunkSize, after);
    for (const meeting of chunk) {
      const decision = decideMeeting(meeting, { strategy: target.strategy, now, calendarHrefs });
      const own = planMeeting(decision.wanted, meeting.objects, decision.why);
      steps.push(...own.map((step) => ({ step, meeting, title: decision.shown?.series.main.summary ?? null })));
      if (own.length > 0 && decision.state === 'gone' && meeting.isUpcoming) lost.push(meeting.uid);
    }
    after = chunk.at(-1) ?? null;
    if (after === null) break;
  }
  const approved = await approvedDeletions(db, id, lost);
  const pendingUpcoming = lost.filter((uid) => !approved.has(uid)).length;
  const heldBecause =
    pendingUpcoming === 0 ? null : judgeDeletions({ ...(await countDeletions(db, id)), pendingUpcoming });
  return { target, steps, heldBecause };
}

/** Reads what stands where something would be updated, to say what changes in it. */
async function withFields(product: Product, { target, steps, heldBecause }: Planned): Promise<TargetPlan> {
  const writes: PlannedWrite[] = [];
  for (const { step, meeting, title } of steps) {
    const { href, calendarId: calendar } = step.do === 'delete' ? step.known : step.wanted;
    const fields = step.do === 'update' ? await fieldsOf(product, target, href, step.wanted.text) : [];
    writes.push({ do: step.do, uid: meeting.uid, title, calendar, href, why: step.why, fields });
  }
  return { target: target.id, writes, heldBecause };
}

async function fieldsOf(
  product: Product,
  target: TargetState,
  href: string,
  text: string,
): Promise<ChangedField[] | null> {
  try {
    const there = await product.openTarget(target).get(href, AbortSignal.timeout(20_000));
    const [before, after] = [there === null ? null : seriesOf(there.body), seriesOf(text)];
    return before === null || after === null ? null : changedFields(before, after);
  } catch (thrown) {
    if (toSyncError(thrown).code === 'internal.unexpected') throw thrown;
    return null;
  }
}

function seriesOf(text: string): Series | null {
  return parseCalendar(text).resources[0]?.series[0] ?? null;
}

function gone(id: string): SyncError {
  return new SyncError(`The target ${id} has just been removed`, {
    code: 'config.missing_entry',
    recovery: { kind: 'operator', remedy: 'Ask again.' },
  });
}

const signs = { create: '+', update: '~', delete: '-' } as const;

function sentencesOf({ target, writes, heldBecause }: TargetPlan): string[] {
  if (writes.length === 0) return [`${target}: nothing would be written.`];
  const count = (what: PlannedWrite['do']): number => writes.filter((write) => write.do === what).length;
  return [
    `${target}: ${count('create')} would be created, ${count('update')} updated, ${count('delete')} deleted.`,
    ...(heldBecause === null ? [] : [`  The deletions would be held: ${heldBecause}.`]),
    ...writes.flatMap((write) => [
      `  ${signs[write.do]} ${write.calendar}: ${write.title ?? write.uid} (${write.why})`,
      ...(write.fields ?? []).map(
        ({ field, from, to }) => `      ${field}${from === null ? ' changes' : `: "${from}" → "${to ?? ''}"`}`,
      ),
      ...(write.fields === null ? ['      what stands there could not be read'] : []),
    ]),
  ];
}
