import {
  openCalDav,
  type CalDav,
  type DavAccount,
  type DavCalendar,
  type DavEntry,
  type DavObject,
} from '../../dav/calendar-client.ts';
import { DavError } from '../../dav/dav-error.ts';
import { systemClock, type Clock } from '../../shared/clock.ts';
import { SyncError } from '../../shared/errors.ts';
import type { Window } from '../../shared/window.ts';
import type { Claim, Page, Rebuilt, Source, Stale } from '../source.ts';
import { readCursor, writeCursor, type Cursor, type EtagCursor, type Parts, type TokenCursor } from './cursor.ts';
import { findCalendar } from './find-calendar.ts';
import { byName, keyOf, nameOfKey, shortHash } from './names.ts';
import { readResource, type ReadResource } from './read-resource.ts';

export interface CalDavSourceOptions {
  /** For iCloud: `https://caldav.icloud.com/`, the Apple Account's address, an app-specific password. */
  readonly account: DavAccount;
  /** Display name, last segment of the path, or the full href. */
  readonly calendar: string;
  /** Whether a UID is one that this installation minted. */
  readonly isOurs: (uid: string) => boolean;
  readonly fetch?: typeof fetch;
  /** PEM texts of the certification authorities to trust. */
  readonly ca?: readonly string[];
  readonly clock?: Clock;
}

export interface CalDavCalendarSource extends Source {
  /** Signs in and looks for the calendar. Throws SyncError. */
  probeCalendar(signal?: AbortSignal): Promise<{ href: string; name: string }>;
  /** Ends the connections. */
  close(): Promise<void>;
}

const chunk = 100;

/** What is still to be read, kept while one reading goes on; after a crash it is asked for once more. */
interface Listing {
  readonly changed: readonly [name: string, entry: DavEntry][];
  readonly removed: readonly string[];
  /** The token or ctag that the calendar had when this was listed. */
  readonly mark: string | null;
}

interface Progress {
  readonly claims: Claim[];
  readonly stale: Stale[];
  readonly parts: Record<string, readonly string[]>;
  requests: number;
}

/**
 * One calendar of a CalDAV account, read only. By sync-collection; a server without it is listed whenever its ctag has
 * changed, and compared with the etags that the cursor carries.
 *
 * A full reading claims what shows something in the window. A delta claims whatever changed, wherever it lies: an event
 * that was moved out of the window must be told so. Keys are names of resources (see `readResource` for those that hold
 * several series). What the listing calls removed is only marked stale: `rebuild` is the judge.
 */
export function caldavSource({ account, calendar: wanted, isOurs, ...io }: CalDavSourceOptions): CalDavCalendarSource {
  const dav: CalDav = openCalDav(account, io);
  const clock = io.clock ?? systemClock;
  let knownHref: string | null = null;
  let held: { readonly cursor: string; readonly listing: Listing } | null = null;

  const find = (signal?: AbortSignal): Promise<DavCalendar> => findCalendar(dav, account, wanted, signal);

  /** The owner's addresses tell whose answer counts; only invitations need them. */
  async function selfFor(texts: readonly string[], signal: AbortSignal): Promise<string[]> {
    if (!texts.some((text) => /^ATTENDEE[;:]/im.test(text))) return [];
    const { addresses } = await dav.discover(signal);
    const mails = addresses.filter((one) => /^mailto:/i.test(one)).map((one) => decoded(one.slice('mailto:'.length)));
    return account.username.includes('@') ? [...mails, account.username] : mails;
  }

  async function begin(signal: AbortSignal): Promise<{ state: Cursor; listing: Listing }> {
    const { href, ctag } = await find(signal);
    try {
      const { changed, syncToken } = await dav.changes(href, null, signal);
      return {
        state: { by: 'token', href, token: null, reading: null, parts: {} },
        listing: { changed: byName(changed, href), removed: [], mark: syncToken },
      };
    } catch (thrown) {
      if (!(thrown instanceof DavError) || thrown.code !== 'dav.sync_unsupported') throw thrown;
    }
    const entries = await dav.list(href, signal);
    return {
      state: { by: 'etags', href, isFull: true, ctag: null, known: {}, parts: {} },
      listing: { changed: byName(versioned(entries, ctag), href), removed: [], mark: ctag },
    };
  }

  async function listByToken(state: TokenCursor, signal: AbortSignal): Promise<Listing> {
    const { changed, removed, syncToken } = await dav.changes(state.href, state.token, signal);
    const gone = byName(
      removed.map((href) => ({ href })),
      state.href,
    );
    return { changed: byName(changed, state.href), removed: gone.map(([name]) => name), mark: syncToken };
  }

  /** Null: the ctag says that nothing changed. */
  async function listByEtags(state: EtagCursor, signal: AbortSignal): Promise<Listing | null> {
    const calendars = await dav.listCalendars(signal);
    const ctag = calendars.find(({ href }) => href === state.href)?.ctag ?? null;
    if (!state.isFull && ctag !== null && ctag === state.ctag) return null;
    const entries = byName(versioned(await dav.list(state.href, signal), ctag), state.href);
    const there = new Set(entries.map(([name]) => name));
    return {
      changed: entries.filter(([name, { etag }]) => state.known[name] !== shortHash(etag)),
      removed: Object.keys(state.known).filter((name) => !there.has(name)),
      mark: ctag,
    };
  }

  /** What has no etag (SmarterMail) is read again whenever the calendar may have changed. */
  function versioned(entries: readonly DavEntry[], ctag: string | null): DavEntry[] {
    const standIn = ctag ?? clock.now().toISOString();
    return entries.map(({ href, etag }) => ({ href, etag: etag ?? standIn }));
  }

  async function readTokenPage(
    state: TokenCursor,
    listing: Listing,
    window: Window,
    signal: AbortSignal,
  ): Promise<Page> {
    const isFull = state.token === null;
    const after = state.reading?.after ?? '';
    const next = state.reading?.next ?? listing.mark ?? '';
    const todo = listing.changed.filter(([name]) => name > after);
    const progress = await readEntries(state, todo.slice(0, chunk), () => isFull, window, signal);
    // Removals go with the first page; those that came later are told after `next`.
    if (!isFull && state.reading === null) addRemoved(progress, listing.removed);
    const isLast = todo.length <= chunk;
    const last = todo[chunk - 1]?.[0] ?? '';
    const following: TokenCursor = isLast
      ? { ...state, token: next, reading: null, parts: progress.parts }
      : { ...state, reading: { next, after: last }, parts: progress.parts };
    return pageOf(progress, following, isLast, listing);
  }

  async function readEtagPage(state: EtagCursor, listing: Listing, window: Window, signal: AbortSignal): Promise<Page> {
    const todo = listing.changed.filter(([name, { etag }]) => state.known[name] !== shortHash(etag));
    const entries = todo.slice(0, chunk);
    // What changed while a full reading was interrupted has been claimed by it before.
    const isNew = (name: string): boolean => state.isFull && !Object.hasOwn(state.known, name);
    const progress = await readEntries(state, entries, isNew, window, signal);
    const removed = listing.removed.filter((name) => name in state.known);
    addRemoved(progress, removed);
    const known = new Map(Object.entries(state.known));
    for (const name of removed) known.delete(name);
    for (const [name, { etag }] of entries) known.set(name, shortHash(etag));
    const isLast = todo.length <= chunk;
    const following: EtagCursor = {
      ...state,
      isFull: state.isFull && !isLast,
      ctag: isLast ? listing.mark : state.ctag,
      known: Object.fromEntries(known),
      parts: progress.parts,
    };
    return pageOf(progress, following, isLast, listing);
  }

  function pageOf({ claims, stale, requests }: Progress, following: Cursor, isLast: boolean, listing: Listing): Page {
    const cursor = writeCursor(following);
    held = isLast ? null : { cursor, listing };
    return { claims, stale, cursor, isLast, requests };
  }

  async function readEntries(
    { href, parts }: Cursor,
    entries: readonly [string, DavEntry][],
    isNew: (name: string) => boolean,
    window: Window,
    signal: AbortSignal,
  ): Promise<Progress> {
    const progress: Progress = { claims: [], stale: [], parts: { ...parts }, requests: 0 };
    if (entries.length === 0) return progress;
    progress.requests += 1;
    const objects = await fetchEntries(
      href,
      entries.map(([, entry]) => entry.href),
      signal,
    );
    if (objects === null) {
      // One of them may be poison for the server: each is asked for by itself.
      for (const [name] of entries) addStale(progress, name, 'thin');
      return progress;
    }
    const self = await selfFor(
      [...objects.values()].map(({ body }) => body),
      signal,
    );
    for (const [name, entry] of entries) {
      const object = objects.get(entry.href);
      // Listed and yet not there: gone meanwhile, or an event of a shared calendar that may not be read.
      if (object === undefined) {
        if (!isNew(name)) addStale(progress, name, 'removed');
        continue;
      }
      addResource(progress, name, object, readResource(object.body, { self, window, isOurs }), isNew(name));
    }
    return progress;
  }

  async function fetchEntries(
    calendarHref: string,
    hrefs: readonly string[],
    signal: AbortSignal,
  ): Promise<Map<string, DavObject> | null> {
    try {
      return await dav.multiget(calendarHref, hrefs, signal);
    } catch (thrown) {
      const isPoison = thrown instanceof DavError && poisonous.has(thrown.code);
      if (isPoison) return null;
      throw thrown;
    }
  }

  /** A calendar that is not where it was, but still there, is read anew from its new place. */
  async function following<T>(href: string, signal: AbortSignal, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (thrown) {
      if (!(thrown instanceof DavError) || !movedAway.has(thrown.code)) throw thrown;
      const found = await find(signal).catch(() => null);
      if (found === null || found.href === href) throw thrown;
      throw new SyncError('The calendar is under another path now', {
        code: 'caldav.calendar_moved',
        recovery: { kind: 'reread' },
        cause: thrown,
      });
    }
  }

  return {
    async readPage(cursor, window, signal) {
      const start = cursor === null ? await begin(signal) : null;
      const state = start?.state ?? readCursor(cursor ?? '');
      knownHref = state.href;
      return await following(state.href, signal, async () => {
        const kept = start?.listing ?? (held?.cursor === cursor ? held.listing : null);
        if (state.by === 'token') {
          const listing = kept ?? (await listByToken(state, signal));
          const page = await readTokenPage(state, listing, window, signal);
          return { ...page, requests: page.requests + (kept === null || start !== null ? 1 : 0) };
        }
        const listing = kept ?? (await listByEtags(state, signal));
        if (listing === null) return { claims: [], stale: [], cursor: writeCursor(state), isLast: true, requests: 1 };
        const page = await readEtagPage(state, listing, window, signal);
        return { ...page, requests: page.requests + (kept === null || start !== null ? 2 : 0) };
      });
    },

    async rebuild(key, window, signal): Promise<Rebuilt> {
      knownHref ??= (await find(signal)).href;
      const name = nameOfKey(key);
      let object: DavObject | null;
      try {
        object = await dav.get(`${knownHref}${name}`, signal);
      } catch (thrown) {
        if (!(thrown instanceof DavError) || !ofOneResource.has(thrown.code)) throw thrown;
        return { kind: 'unmappable', code: thrown.code, reason: thrown.message, requests: 1 };
      }
      if (object === null) return { kind: 'gone', requests: 2 };
      const self = await selfFor([object.body], signal);
      const resource = readResource(object.body, { self, window, isOurs });
      if (resource.kind === 'unreadable')
        return { kind: 'unmappable', code: resource.code, reason: resource.reason, requests: 1 };
      if (resource.kind !== 'events') return { kind: 'gone', requests: 1 };
      const claims = resource.parts.map((part) => claimOf(name, object.etag, part));
      if (resource.lost !== null && !claims.some((claim) => claim.key === key))
        return { kind: 'unmappable', code: resource.lost.code, reason: resource.lost.reason, requests: 1 };
      return { kind: 'series', claims, requests: 1 };
    },

    async probeCalendar(signal) {
      const { href, name } = await find(signal);
      return { href, name };
    },

    async close() {
      await dav.close();
    },
  };
}

/** Failures of one answer for many resources, where each by itself may be had. */
const poisonous = new Set(['dav.server_error', 'dav.unreadable', 'dav.answer_too_large']);
/** Failures that belong to one resource and not to the account. */
const ofOneResource = new Set(['dav.forbidden', 'dav.unexpected', 'dav.answer_too_large']);
const movedAway = new Set(['dav.calendar_gone', 'dav.home_gone', 'dav.not_found']);

type Part = Extract<ReadResource, { kind: 'events' }>['parts'][number];

function claimOf(name: string, version: string | null, { suffix, series }: Part): Claim {
  return { key: keyOf(name, suffix), version, series, check: null };
}

/**
 * Takes what a resource says now into the page, and marks stale what it no longer says. Of one that is new to a full
 * reading nothing can be missing yet: what was claimed before that reading is confirmed at its end.
 */
function addResource(
  progress: Progress,
  name: string,
  { etag }: DavObject,
  resource: ReadResource,
  isNew: boolean,
): void {
  switch (resource.kind) {
    case 'ours':
      return;
    case 'unreadable':
      addStale(progress, name, 'unreadable');
      return;
    case 'no-events':
      if (!isNew) addRemoved(progress, [name]);
      return;
    case 'events': {
      const shown = isNew ? resource.parts.filter(({ isInWindow }) => isInWindow) : resource.parts;
      progress.claims.push(...shown.map((part) => claimOf(name, etag, part)));
      const now = new Set(resource.parts.map(({ suffix }) => suffix));
      const missing = suffixesOf(progress.parts, name).filter((suffix) => !now.has(suffix));
      const why = resource.lost === null ? 'removed' : 'unreadable';
      if (!isNew || resource.lost !== null)
        progress.stale.push(...missing.map((suffix) => ({ key: keyOf(name, suffix), why }) as const));
      if (now.size === 1 && now.has('')) drop(progress.parts, name);
      else progress.parts[name] = [...now];
    }
  }
}

function addRemoved(progress: Progress, names: readonly string[]): void {
  for (const name of names) {
    addStale(progress, name, 'removed');
    drop(progress.parts, name);
  }
}

function addStale(progress: Progress, name: string, why: Stale['why']): void {
  for (const suffix of suffixesOf(progress.parts, name)) progress.stale.push({ key: keyOf(name, suffix), why });
}

function suffixesOf(parts: Parts, name: string): readonly string[] {
  return Object.hasOwn(parts, name) ? (parts[name] ?? ['']) : [''];
}

function drop(parts: Record<string, readonly string[]>, name: string): void {
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- a record, because it goes into JSON
  delete parts[name];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
