import { parseCalendar } from '../calendar/parse.ts';
import { redact, type Privacy, type PrivateItems } from '../calendar/privacy.ts';
import { renderSeries } from '../calendar/render.ts';
import type { Series } from '../calendar/series.ts';
import { cleanUid } from '../calendar/uid.ts';
import { toInstant } from '../calendar/zones.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import type { Store } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import { meetingOfRetired, replacementsOf, strictestPrivacy } from '../store/retirement.ts';
import type { TargetState } from '../store/targets.ts';
import { keepInTrash } from '../store/trash.ts';
import { hasNameOfOurs, uidsOf } from './plan-drift.ts';

/** An entry that another program put into the target, as that program's own list names it. */
export interface LegacyEntry {
  readonly uid: string;
  /** Where it was written: the last two segments of its path, calendar and name, are what counts. */
  readonly url: string;
  /** Its id at its source. */
  readonly sourceEventId: string | null;
}

export type Retirement =
  /** Ours is there. */
  | { readonly verdict: 'replaced'; readonly by: string; readonly source: string }
  /** No source of ours has it: it was deleted at its source, say, or lies outside of the window. */
  | { readonly verdict: 'unmatched' }
  /** It is not there any more, or something else is, or it cannot be read. */
  | { readonly verdict: 'gone' | 'other' | 'unreadable' };

export type Retired = Retirement & {
  readonly href: string;
  readonly uid: string;
  readonly title: string | null;
};

interface Found {
  readonly entry: LegacyEntry;
  readonly calendar: string;
  readonly href: string;
  readonly etag: string | null;
  readonly body: string;
  readonly series: Series;
}

/** Where each of these entries stands, and what replaces it. Reads only. Throws DavError. */
export async function planRetirement(
  store: Store,
  dav: CalDav,
  target: TargetState,
  entries: readonly LegacyEntry[],
  signal: AbortSignal,
): Promise<{ readonly retired: Retired[]; readonly found: readonly Found[] }> {
  const { found, others } = await findEntries(dav, entries, signal);
  const replaced = await replacementsOf(
    store.db,
    target.id,
    found.map(({ entry, href, series }) => ({
      id: href,
      key: entry.sourceEventId,
      uid: cleanUid(entry.uid)?.uid ?? null,
      startsAt: toInstant(series.main.start).toISOString(),
      title: series.main.summary,
    })),
  );
  const judged = found.map(({ entry, href, series }): Retired => {
    const about = { href, uid: entry.uid, title: series.main.summary };
    const by = replaced.get(href);
    return by === undefined
      ? { ...about, verdict: 'unmatched' }
      : { ...about, verdict: 'replaced', by: by.by, source: by.sourceId };
  });
  return { retired: [...judged, ...others], found };
}

/** All of a calendar's entries that are not ours, as if a list had named them: what vdirsyncer copied keeps its UIDs. */
export async function foreignEntries(dav: CalDav, calendar: string, signal: AbortSignal): Promise<LegacyEntry[]> {
  const href = (await dav.listCalendars(signal)).find((one) => lastSegment(one.href) === calendar)?.href;
  if (href === undefined) return [];
  const names = (await dav.list(href, signal)).map((one) => one.href).filter((one) => !hasNameOfOurs(one));
  const bodies = await dav.multiget(href, names, signal);
  return [...bodies].flatMap(([url, { body }]) => {
    const [uid] = uidsOf(body);
    return uid === undefined || uid.endsWith('.calendar-sync') ? [] : [{ uid, url, sourceEventId: null }];
  });
}

/**
 * Moves entries to the trash, one by one: kept first, then deleted under its etag. What is kept shows no more than the
 * privacy of the source that it is of. Gives how many went.
 */
export async function retire(
  store: Store,
  dav: CalDav,
  target: TargetState,
  plan: { readonly retired: readonly Retired[]; readonly found: readonly Found[] },
  options: { readonly unmatchedToo: boolean; readonly onProgress: (done: number, all: number) => void },
  signal: AbortSignal,
): Promise<number> {
  const strictest = await strictestPrivacy(store.db, target.id);
  const verdicts = new Map(plan.retired.map((one) => [one.href, one]));
  const going = plan.found.filter(({ href }) => {
    const verdict = verdicts.get(href)?.verdict;
    return verdict === 'replaced' || (options.unmatchedToo && verdict === 'unmatched');
  });
  let gone = 0;
  for (const [index, one] of going.entries()) {
    signal.throwIfAborted();
    // What has changed since is looked at again by the next run.
    const [now] = (await planRetirement(store, dav, target, [one.entry], signal)).retired;
    if (now?.verdict === 'replaced' || (options.unmatchedToo && now?.verdict === 'unmatched')) {
      const rules = now.verdict === 'replaced' ? await rulesOf(store, target.id, one, strictest) : strictest;
      const source = now.verdict === 'replaced' ? now.source : null;
      if (await retireOne(store, dav, target, one, { ...rules, source }, signal)) gone += 1;
    }
    options.onProgress(index + 1, going.length);
  }
  return gone;
}

async function retireOne(
  store: Store,
  dav: CalDav,
  target: TargetState,
  { entry, calendar, href, etag, body, series }: Found,
  rules: { readonly privacy: Privacy; readonly privateItems: PrivateItems; readonly source: string | null },
  signal: AbortSignal,
): Promise<boolean> {
  const kept = withinPrivacy(body, series, rules);
  await store.transaction(async (db) => {
    const meeting = await meetingOfRetired(db, target.id, href);
    if (kept !== null)
      await keepInTrash(db, {
        targetId: target.id,
        calendarId: target.calendars.some(({ id }) => id === calendar)
          ? calendar
          : (target.calendars[0]?.id ?? calendar),
        meetingId: meeting.id,
        sourceId: rules.source,
        part: 'main',
        href,
        uid: meeting.uid,
        body: kept,
        reason: 'of the program before',
      });
  });
  const removed = await dav.remove(href, etag ?? (await dav.etagOf(href, signal)), signal);
  if (removed.kind === 'precondition-failed') return false;
  await recordHistory(store.db, {
    status: 'ok',
    action: 'retire',
    targetId: target.id,
    uid: entry.uid,
    href,
    message: 'an entry of the program before went to the trash',
  });
  return true;
}

/** The body as it may be kept: as it is, or cut down; null where nothing of it may be. */
function withinPrivacy(
  body: string,
  series: Series,
  { privacy, privateItems }: { readonly privacy: Privacy; readonly privateItems: PrivateItems },
): string | null {
  if (privacy === 'full' && (privateItems === 'full' || series.main.sensitivity === 'normal')) return body;
  const redacted = redact(series, privacy, privateItems);
  if (redacted === null) return null;
  const window = { from: '1900-01-01T00:00:00Z', to: '2200-01-01T00:00:00Z' };
  const look = { uid: 'retired', sequence: 0, titleTag: '', reminders: 'none', window, anchor: null } as const;
  return renderSeries(redacted, look)[0]?.text ?? null;
}

async function rulesOf(
  store: Store,
  targetId: string,
  { entry, href, series }: Found,
  otherwise: { readonly privacy: Privacy; readonly privateItems: PrivateItems },
): Promise<{ readonly privacy: Privacy; readonly privateItems: PrivateItems }> {
  const found = await replacementsOf(store.db, targetId, [
    {
      id: href,
      key: entry.sourceEventId,
      uid: cleanUid(entry.uid)?.uid ?? null,
      startsAt: toInstant(series.main.start).toISOString(),
      title: series.main.summary,
    },
  ]);
  return found.get(href) ?? otherwise;
}

async function findEntries(
  dav: CalDav,
  entries: readonly LegacyEntry[],
  signal: AbortSignal,
): Promise<{ found: Found[]; others: Retired[] }> {
  const calendars = new Map((await dav.listCalendars(signal)).map(({ href }) => [lastSegment(href), href]));
  const byCalendar = new Map<string, LegacyEntry[]>();
  for (const entry of entries) {
    const calendar = segmentsOf(entry.url).at(-2) ?? '';
    byCalendar.set(calendar, [...(byCalendar.get(calendar) ?? []), entry]);
  }
  const found: Found[] = [];
  const others: Retired[] = [];
  for (const [calendar, own] of byCalendar) {
    const home = calendars.get(calendar);
    const listed = home === undefined ? [] : await dav.list(home, signal);
    const hrefs = new Map(listed.map(({ href }) => [lastSegment(href), href]));
    const there = own.map((entry) => ({ entry, href: hrefs.get(segmentsOf(entry.url).at(-1) ?? '') ?? null }));
    const wanted = there.flatMap(({ href }) => (href === null ? [] : [href]));
    const bodies = home === undefined ? new Map<string, never>() : await dav.multiget(home, wanted, signal);
    for (const { entry, href } of there) {
      const read = href === null ? undefined : bodies.get(href);
      const about = { href: href ?? entry.url, uid: entry.uid, title: null };
      if (href === null || read === undefined) others.push({ ...about, verdict: 'gone' });
      else if (!uidsOf(read.body).includes(entry.uid)) others.push({ ...about, verdict: 'other' });
      else {
        const series = seriesOf(read.body);
        if (series === null) others.push({ ...about, verdict: 'unreadable' });
        else found.push({ entry, calendar, href, etag: read.etag, body: read.body, series });
      }
    }
  }
  return { found, others };
}

function seriesOf(body: string): Series | null {
  try {
    return parseCalendar(body).resources[0]?.series[0] ?? null;
  } catch {
    return null;
  }
}

function segmentsOf(url: string): string[] {
  return url
    .replace(/^[a-z]+:\/\/[^/]+/i, '')
    .replace(/\/+$/, '')
    .split('/')
    .map((one) => {
      try {
        return decodeURIComponent(one);
      } catch {
        return one;
      }
    });
}

function lastSegment(href: string): string {
  return segmentsOf(href).at(-1) ?? '';
}
