import { DavError } from './dav-error.ts';
import { type Entry, etagOf } from './multistatus.ts';

export interface CalendarChanges {
  readonly changed: readonly { readonly href: string; readonly etag: string | null }[];
  readonly removed: readonly string[];
  readonly syncToken: string;
}

interface Page {
  /** The server has more than it told (507 on the collection, RFC 6578 section 3.6). */
  readonly isCut: boolean;
  readonly entries: readonly Entry[];
  readonly token: string | null;
}

export interface SyncPort {
  /** The calendar's `sync-token` property; null when the server has none. */
  presentToken(): Promise<string | null>;
  report(token: string): Promise<Page>;
}

const maxPages = 1_000;

/** What a removed member is told by. 404 is RFC 6578's; sabre/dav writes 418 where it has nothing to say (old Nextcloud). */
const gone = new Set([404, 410, 418]);

/**
 * Everything that changed since `syncToken`, page by page until the token is the calendar's present one: sabre/dav may
 * cut a report short without saying so, and answers a token that it cannot know (restored backup, calendar made anew)
 * with no changes and the same token. When nothing changed this costs one PROPFIND.
 */
export async function readChanges(
  syncToken: string | null,
  calendarHref: string,
  port: SyncPort,
): Promise<CalendarChanges> {
  const present = await port.presentToken();
  if (syncToken !== null && syncToken === present) return { changed: [], removed: [], syncToken };

  const changed = new Map<string, string | null>();
  const removed = new Set<string>();
  let token = syncToken ?? '';
  let goal = present;
  for (let pages = 0; pages < maxPages; pages += 1) {
    const page = await reportFrom(token, syncToken !== null, calendarHref, port);
    for (const entry of page.entries) {
      if (entry.status !== null && gone.has(entry.status)) {
        changed.delete(entry.href);
        removed.add(entry.href);
      } else {
        // One that the server cannot tell about now (403, 500) has changed all the same; reading it says what it is.
        removed.delete(entry.href);
        changed.set(entry.href, entry.status === null || entry.status < 300 ? etagOf(entry) : null);
      }
    }
    const next = page.token;
    if (next === null) throw unusable('dav.sync_token_invalid', calendarHref, 'the server gave no sync token');
    const isStuck = next === token;
    if (isStuck && page.isCut) throw unusable('dav.sync_token_invalid', calendarHref, 'the server does not get on');
    // Taken anew each time, for the calendar may have moved on while we read.
    if (!page.isCut && next !== goal) goal = await port.presentToken();
    if (isStuck && next === syncToken && isSabreToken(next) && next !== goal) {
      throw unusable('dav.sync_token_stale', calendarHref, 'our sync token is not of this calendar any more');
    }
    if (!page.isCut && (next === goal || isStuck || goal === null)) {
      // Radicale lists removals in a first report too.
      return {
        changed: [...changed].map(([href, etag]) => ({ href, etag })),
        removed: syncToken === null ? [] : [...removed],
        syncToken: next,
      };
    }
    token = next;
  }
  throw unusable('dav.sync_token_invalid', calendarHref, 'the list of changes does not end');
}

async function reportFrom(token: string, hasToken: boolean, calendarHref: string, port: SyncPort): Promise<Page> {
  try {
    return await port.report(token);
  } catch (thrown) {
    if (!(thrown instanceof DavError) || thrown.status === null || thrown.status < 400) throw thrown;
    if (thrown.code === 'dav.server_error' && hasToken && (await answersWithoutToken(port)))
      throw unusable('dav.sync_token_invalid', calendarHref, 'the server fails at our sync token alone', thrown);
    if (thrown.status >= 500) throw thrown;
    if (['dav.unauthorized', 'dav.not_found', 'dav.busy', 'dav.timeout', 'dav.not_ready'].includes(thrown.code))
      throw thrown;
    if (thrown.recovery.kind === 'reread') throw thrown;
    // Servers refuse a token in many ways; which one iCloud takes is nowhere told.
    if (hasToken) throw unusable('dav.sync_token_invalid', calendarHref, 'the server refuses our sync token', thrown);
    throw new DavError(`${calendarHref}: the server has no sync-collection`, {
      code: 'dav.sync_unsupported',
      outcome: 'not-sent',
      status: thrown.status,
      recovery: { kind: 'operator', remedy: 'Nothing: the whole calendar is listed instead.' },
      cause: thrown,
    });
  }
}

/** Whether only the token is in the way: Xandikos answers 500 to one that it does not know. */
async function answersWithoutToken(port: SyncPort): Promise<boolean> {
  return await port.report('').then(
    () => true,
    () => false,
  );
}

const isSabreToken = (token: string): boolean => token.startsWith('http://sabre.io/ns/sync/');

function unusable(code: string, calendarHref: string, says: string, cause?: unknown): DavError {
  return new DavError(`${calendarHref}: ${says}`, {
    code,
    outcome: 'not-sent',
    status: null,
    recovery: { kind: 'reread' },
    ...(cause === undefined ? {} : { cause }),
  });
}
