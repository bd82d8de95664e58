import type { CalDav } from '../dav/calendar-client.ts';
import { DavError } from '../dav/dav-error.ts';
import type { Store } from '../store/database.ts';
import {
  adoptObject,
  meetingsOfUids,
  recordStanding,
  standingObjects,
  type FoundObject,
  type StandingChange,
  type StandingObject,
} from '../store/drift.ts';
import { recordHistory, type HistoryEntry } from '../store/history.ts';
import { wantMeetings } from '../store/meetings.ts';
import { takeUnclaimed, unreadSources, type Standing } from '../store/restored.ts';
import { closeIntents, copyPart, openIntents, renewIntents, type WriteRight } from '../store/objects.ts';
import { compareAllSoon, recordChecked, type TargetCalendarState, type TargetState } from '../store/targets.ts';
import { asHolder } from './as-holder.ts';
import {
  fingerprintOf,
  hasNameOfOurs,
  isSent,
  meetingUidOf,
  planDrift,
  uidsOf,
  type DriftStep,
  type SeenResource,
} from './plan-drift.ts';
import { leaseLost } from './record-writes.ts';
import { standingOf } from './review-restored.ts';
import { settleLater } from './settle-intents.ts';

const weekMs = 7 * 86_400_000;
/** Foreign resources of one look that are read; one more by their name alone. */
const mostForeignRead = 500;

interface Seen {
  readonly present: readonly { readonly href: string; readonly etag: string | null }[];
  /** Null: everything that is not present. */
  readonly removed: readonly string[] | null;
  readonly syncToken: string | null;
}

/**
 * Compares what we wrote into a calendar with what stands there, by what changed since the last look; weekly, and when
 * the server does not know our token any more, by all of it. Records what it finds, and marks meetings that are to be
 * written again: how many. A calendar where nothing changed costs one small request. Throws DavError.
 */
export async function checkDrift(
  store: Store,
  dav: CalDav,
  target: TargetState,
  calendar: TargetCalendarState,
  href: string,
  right: WriteRight,
  signal: AbortSignal,
): Promise<number> {
  const { lease } = right;
  const seen = await look(dav, calendar, href, signal);
  const isFull = seen.removed === null;
  const checked = { syncToken: seen.syncToken, isFull };
  if (!isFull && seen.present.length === 0 && seen.removed.length === 0) {
    await asHolder(store, target.id, lease, (db) => recordChecked(db, target.id, calendar.id, checked));
    return 0;
  }
  // The server may encode a collection's path in another way than it did; names of ours need no encoding.
  const present = seen.present.map((one) => ({ href: `${href}${lastSegment(one.href)}`, etag: one.etag }));
  const names = new Set(present.map((one) => one.href));
  const removedHrefs = (seen.removed ?? []).map((one) => `${href}${lastSegment(one)}`);
  const hrefs = isFull ? null : [...names, ...removedHrefs];
  const objects = await standingObjects(store.db, target.id, calendar.id, hrefs);
  const byHref = new Map(objects.map((object) => [object.href, object]));

  const duplicates = isFull ? listedTwice(present, byHref) : [];
  const doubled = new Set(duplicates.map((one) => one.href));
  const changed = present.filter((one) => {
    const object = byHref.get(one.href);
    return object !== undefined && !doubled.has(one.href) && (object.etag !== one.etag || one.etag === null);
  });
  const unknown = present.filter((one) => !byHref.has(one.href));
  const suspects = unknown.filter((one) => hasNameOfOurs(one.href) || (!isFull && unknown.length <= mostForeignRead));
  const bodies = await dav.multiget(
    href,
    [...changed, ...suspects].map((one) => one.href),
    signal,
  );
  const withBody = (one: { href: string; etag: string | null }): SeenResource => {
    const read = bodies.get(one.href);
    return { href: one.href, etag: read?.etag ?? one.etag, body: read?.body ?? null };
  };

  const removed = objects.map((object) => object.href).filter((one) => !names.has(one));
  const steps = planDrift({ objects, changed: changed.map(withBody), removed, mode: target.drift });
  const strangers = suspects.map(withBody).filter((one) => one.body !== null);
  return await apply(store, dav, target, calendar, { steps, strangers, duplicates, checked }, right);
}

async function look(dav: CalDav, calendar: TargetCalendarState, href: string, signal: AbortSignal): Promise<Seen> {
  const isTimeToList = calendar.listedMsAgo === null || calendar.listedMsAgo > weekMs;
  if (calendar.syncToken !== null && !isTimeToList) {
    try {
      const { changed, removed, syncToken } = await dav.changes(href, calendar.syncToken, signal);
      return { present: changed, removed, syncToken };
    } catch (thrown) {
      if (!(thrown instanceof DavError) || thrown.recovery.kind !== 'reread') throw thrown;
    }
  }
  // The token first: what changes between the two is then listed twice rather than missed.
  const token = await dav.syncToken(href, signal);
  return { present: await dav.list(href, signal), removed: null, syncToken: token };
}

/** Ours of which the calendar holds several rows under one name: two creations at once on a server that allows that. */
function listedTwice(
  present: readonly { readonly href: string }[],
  byHref: ReadonlyMap<string, StandingObject>,
): StandingObject[] {
  const counts = new Map<string, number>();
  for (const { href } of present) counts.set(href, (counts.get(href) ?? 0) + 1);
  return [...byHref.values()].filter((object) => (counts.get(object.href) ?? 0) > 1);
}

interface Findings {
  readonly steps: readonly DriftStep[];
  readonly strangers: readonly SeenResource[];
  readonly duplicates: readonly StandingObject[];
  readonly checked: { readonly syncToken: string | null; readonly isFull: boolean };
}

async function apply(
  store: Store,
  dav: CalDav,
  target: TargetState,
  calendar: TargetCalendarState,
  { steps, strangers, duplicates, checked }: Findings,
  right: WriteRight,
): Promise<number> {
  const uids = [...new Set(strangers.flatMap((one) => uidsOf(one.body ?? '')).map(meetingUidOf))];
  const ours = await meetingsOfUids(store.db, target.id, uids);
  const lines: HistoryEntry[] = steps.flatMap((step) => lineOf(target.id, step));
  const wanted = new Set(steps.flatMap((step) => (step.do === 'rewrite' ? [step.object.meetingId] : [])));
  const unclaimed: Standing[] = [];
  const adopted: FoundObject[] = [];
  // A creation that landed late may stand beside the one that came after it: only a list of all shows both.
  let mayBeDoubled = steps.some((step) => step.why === 'late-write');

  for (const stranger of strangers) {
    const uid = uidsOf(stranger.body ?? '').find((one) => ours.has(meetingUidOf(one)));
    const meeting = uid === undefined ? undefined : ours.get(meetingUidOf(uid));
    if (uid === undefined || meeting === undefined) {
      // By all of a calendar only: what has just changed may be a write of ours whose meeting is being made.
      if (checked.isFull && stranger.body !== null)
        unclaimed.push(...standingOf(stranger.href, stranger.etag, stranger.body));
      continue;
    }
    const about = { targetId: target.id, meetingId: meeting.meetingId, uid, href: stranger.href, action: 'drift' };
    const hasOurName = hasNameOfOurs(stranger.href);
    const isOurCopy = stranger.etag !== null && isCopy(stranger, meeting.sent);
    if (hasOurName || isOurCopy) {
      // Delivery decides what becomes of it, as of all that it writes: it is written again, or deleted.
      const part = isOurCopy ? copyPart : 'adopted';
      adopted.push({ meetingId: meeting.meetingId, part, href: stranger.href, uid, etag: stranger.etag });
      wanted.add(meeting.meetingId);
      mayBeDoubled ||= hasOurName;
      lines.push({
        ...about,
        status: 'ok',
        ...(isOurCopy
          ? { code: 'drift.duplicate_removed', message: 'a second copy of what we wrote; it is deleted' }
          : { code: 'drift.adopted', message: 'a write of ours landed late' }),
      });
    } else
      lines.push({
        ...about,
        status: 'error',
        code: 'drift.duplicate',
        message: 'another event has our UID; it was left alone. Delete it in a calendar program if it is a copy.',
      });
  }
  const intents = await removeDoubled(store, dav, target.id, calendar.id, duplicates, right);
  for (const object of duplicates) {
    wanted.add(object.meetingId);
    lines.push({
      status: 'ok',
      action: 'drift',
      targetId: target.id,
      meetingId: object.meetingId,
      uid: object.uid,
      href: object.href,
      code: 'drift.duplicate_removed',
      message: 'the calendar held it several times under one name',
    });
  }

  // Whose entry it is cannot be known while a source has not been read.
  const mayBeTaken = unclaimed.length > 0 && (await unreadSources(store.db, target.id)).length === 0;
  let taken = 0;
  await asHolder(store, target.id, right.lease, async (db) => {
    await closeIntents(db, intents);
    if (mayBeTaken) taken = await takeUnclaimed(db, target.id, calendar.id, unclaimed);
    await recordStanding(db, target.id, [
      ...steps.map(standing),
      ...duplicates.map(({ href }) => ({ href, etag: null, isKnown: false, isRepair: false, hasClientState: null })),
    ]);
    for (const one of adopted) await adoptObject(db, target.id, calendar.id, one);
    await wantMeetings(db, [...wanted]);
    for (const line of lines) await recordHistory(db, line);
    await recordChecked(db, target.id, calendar.id, checked);
    if (!checked.isFull && mayBeDoubled) await compareAllSoon(db, target.id, calendar.id);
  });
  return wanted.size + taken;
}

/**
 * Deletes names that the calendar holds several times, which no write can mend, under intents as delivery does; gives
 * these, to be closed when what follows is recorded.
 */
async function removeDoubled(
  store: Store,
  dav: CalDav,
  targetId: string,
  calendarId: string,
  objects: readonly StandingObject[],
  right: WriteRight,
): Promise<string[]> {
  const wanted = objects.map(({ meetingId, part, href, uid }) => {
    return { meetingId, calendarId, part, action: 'delete', href, uid, bodyMd5: null } as const;
  });
  const intents = await openIntents(store.db, targetId, wanted, right);
  if (intents === null) throw leaseLost(targetId);
  for (const [index, { id, href }] of intents.entries()) {
    try {
      if (!(await renewIntents(store.db, [id], right))) throw leaseLost(targetId);
      await dav.remove(href, null, AbortSignal.timeout(right.timeoutMs));
    } catch (thrown) {
      const untouched = intents.slice(index + 1).map((intent) => intent.id);
      await closeIntents(store.db, untouched);
      await settleLater(store.db, id, thrown, right);
      throw thrown;
    }
  }
  return intents.map((intent) => intent.id);
}

/** Of a body that we sent, or of one that differs from it by client state alone: a client that moves an event leaves such. */
function isCopy({ etag, body }: SeenResource, sent: readonly string[]): boolean {
  if (body === null) return false;
  return isSent(sent, etag, body) || sent.includes(fingerprintOf(body) ?? '');
}

function standing(step: DriftStep): StandingChange {
  return {
    href: step.object.href,
    etag: step.etag,
    isKnown: step.do === 'accept',
    isRepair: step.do === 'rewrite' && !isOwn(step),
    hasClientState: step.do === 'accept' && step.why === 'client-state' ? true : null,
  };
}

/** What came late was ours. */
const isOwn = ({ why }: DriftStep): boolean => why === 'late-write' || why === 'late-deletion';

const words: Readonly<Record<DriftStep['why'], string>> = {
  'client-state': '',
  'late-write': 'an older version that we had sent came late; the present one is written again',
  'late-deletion': 'an older deletion of ours came late; the present version is written again',
  edited: 'a client changed what we wrote; it is written again',
  deleted: 'a client deleted what we wrote; it is written again',
  kept: 'a client changed what we wrote; this target keeps that until the source changes it',
  'kept-after-repairs': 'a client changes it again and again; its version stays until the source changes it',
};

function lineOf(targetId: string, step: DriftStep): HistoryEntry[] {
  if (step.why === 'client-state') return [];
  const { object } = step;
  const about = { targetId, meetingId: object.meetingId, uid: object.uid, href: object.href, action: 'drift' };
  const code = `drift.${step.why.replaceAll('-', '_')}`;
  return [{ ...about, status: step.why === 'kept-after-repairs' ? 'error' : 'ok', code, message: words[step.why] }];
}

function lastSegment(href: string): string {
  return href.replace(/\/+$/, '').split('/').at(-1) ?? '';
}
