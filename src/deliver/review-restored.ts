import { standingFingerprints } from '../calendar/client-state.ts';
import { parseCalendar } from '../calendar/parse.ts';
import { toInstant } from '../calendar/zones.ts';
import { resourceName } from '../consolidate/identity.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import { SyncError } from '../shared/errors.ts';
import type { Store } from '../store/database.ts';
import { adoptStanding, recordReview, takeUnclaimed, unreadSources, type Standing } from '../store/restored.ts';
import { recordCalendarHref, recordChecked, type TargetState } from '../store/targets.ts';
import { hasNameOfOurs, meetingUidOf, uidsOf } from './plan-drift.ts';

const askAgainMs = 5_000;
const readyMs = 60_000;

/**
 * After a restore, instead of delivering: waits until every source has been read to its end, then reads all that stands
 * in the target and adopts what is ours by its suffix, so that the plan says what would really change. Writes nothing to
 * the target, and makes no calendar there. Gives why the target waits. Throws DavError.
 */
export async function reviewRestored(
  store: Store,
  dav: CalDav,
  target: TargetState,
  signal: AbortSignal,
): Promise<SyncError> {
  const unread = await unreadSources(store.db, target.id);
  if (target.review === 'ready' || unread.length > 0) {
    const isReady = target.review === 'ready';
    const waiting = isReady ? ready(target.id) : stillReading(target.id, unread);
    await recordReview(store.db, target.id, { isReady, ...saidBy(waiting), afterMs: isReady ? readyMs : askAgainMs });
    return waiting;
  }
  await readWhatStands(store, dav, target, signal);
  const waiting = ready(target.id);
  await recordReview(store.db, target.id, { isReady: true, ...saidBy(waiting), afterMs: readyMs });
  return waiting;
}

async function readWhatStands(store: Store, dav: CalDav, target: TargetState, signal: AbortSignal): Promise<void> {
  const there = new Map((await dav.listCalendars(signal)).map(({ href }) => [lastSegment(href), href]));
  for (const calendar of target.calendars) {
    const found = there.get(calendar.id);
    const standing = found === undefined ? [] : await standingIn(dav, withSlash(found), signal);
    await store.transaction(async (db) => {
      if (found !== undefined) await recordCalendarHref(db, target.id, calendar.id, withSlash(found));
      const unclaimed = await adoptStanding(db, target.id, calendar.id, standing);
      await takeUnclaimed(db, target.id, calendar.id, unclaimed);
      // What changes from here on is found by the usual look; without a token that is one at everything.
      if (found !== undefined) await recordChecked(db, target.id, calendar.id, { syncToken: null, isFull: false });
    });
  }
}

/** Everything in a calendar that may be ours by its name, as it stands. */
async function standingIn(dav: CalDav, href: string, signal: AbortSignal): Promise<Standing[]> {
  const names = new Set((await dav.list(href, signal)).map((entry) => lastSegment(entry.href)));
  const hrefs = [...names].map((name) => `${href}${name}`).filter(hasNameOfOurs);
  const bodies = await dav.multiget(href, hrefs, signal);
  return [...bodies].flatMap(([at, { etag, body }]) => standingOf(at, etag, body));
}

/** What is known of an entry by its body alone; nothing where it is none of ours. */
export function standingOf(href: string, etag: string | null, body: string): Standing[] {
  const [uid] = uidsOf(body);
  if (uid === undefined || !/@[0-9a-f]+\.calendar-sync$/.test(uid)) return [];
  const meetingUid = meetingUidOf(uid);
  const sequences = [...body.matchAll(/^SEQUENCE:(\d{1,9})\s*$/gm)].map((match) => Number(match[1]));
  return [
    {
      href,
      uid,
      etag,
      meetingUid,
      part: lastSegment(href) === resourceName(meetingUid, 'main') ? 'main' : 'adopted',
      sequence: Math.max(0, ...sequences),
      ...fingerprints(body),
      until: endOf(body),
    },
  ];
}

function fingerprints(body: string): Pick<Standing, 'fingerprint' | 'scheduleFingerprint'> {
  try {
    const { content, schedule } = standingFingerprints(body);
    return { fingerprint: content, scheduleFingerprint: schedule };
  } catch {
    return { fingerprint: null, scheduleFingerprint: null };
  }
}

/** A series that repeats counts as endless: it is only asked whether it may still happen. */
function endOf(body: string): string | null {
  try {
    const series = parseCalendar(body).resources.flatMap((resource) => resource.series);
    if (series.length === 0 || series.some(({ recurrence }) => recurrence !== null)) return null;
    const ends = series.map(({ main }) => toInstant(main.end ?? main.start).toISOString());
    return ends.toSorted().at(-1) ?? null;
  } catch {
    return null;
  }
}

function stillReading(targetId: string, unread: Awaited<ReturnType<typeof unreadSources>>): SyncError {
  const names = unread.map(({ id, kind, reason }) => {
    if (reason !== null) return `${id} (cannot be read: ${reason})`;
    return kind === 'powerautomate' ? `${id} (its flow has not posted a whole window yet)` : id;
  });
  return new SyncError(`${targetId} was restored; its sources are still being read: ${names.join(', ')}`, {
    code: 'restore.review',
    recovery: {
      kind: 'operator',
      remedy:
        'Wait until they are read. If one cannot be, "calendar-sync restore approve --anyway" goes on with what the backup knew of it, and deletes no entry of ours that nobody claims.',
    },
  });
}

function ready(targetId: string): SyncError {
  return new SyncError(`${targetId} was restored, and nothing is written to it before you have seen the plan`, {
    code: 'restore.review',
    recovery: {
      kind: 'operator',
      remedy: `See "calendar-sync plan", then run "calendar-sync restore approve ${targetId}".`,
    },
  });
}

function saidBy(error: SyncError): { reason: string; remedy: string } {
  return { reason: error.message, remedy: error.recovery.kind === 'operator' ? error.recovery.remedy : '' };
}

function lastSegment(href: string): string {
  return decodeURIComponent(href.replace(/\/+$/, '').split('/').at(-1) ?? '');
}

function withSlash(href: string): string {
  return href.endsWith('/') ? href : `${href}/`;
}
