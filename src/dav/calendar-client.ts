import { createObject, davRequest, deleteObject, makeCalendar, propfind, syncCollection } from 'tsdav';
import { systemClock, type Clock } from '../shared/clock.ts';
import { SyncError } from '../shared/errors.ts';
import { type PutResult, type RemoveResult, readGet, readMakeCalendar, readPut, readRemove } from './answers.ts';
import { readChanges, type CalendarChanges } from './changes.ts';
import { openConversation } from './conversation.ts';
import { DavError } from './dav-error.ts';
import { discoverHome, type DavHome } from './discovery.ts';
import { hrefKey, parentOf, withSlash } from './hrefs.ts';
import { type Entry, calendarDataOf, componentsOf, entryOf, etagOf, hasType, textOf } from './multistatus.ts';
import { openTransport } from './transport.ts';

export type { PutResult, RemoveResult } from './answers.ts';
export type { CalendarChanges } from './changes.ts';
export type { DavHome } from './discovery.ts';

export interface DavAccount {
  /** Any of the server's root, the principal, the calendar home or `/.well-known/caldav`. */
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

export interface DavOptions {
  /** Stands in for undici's fetch over a keep-alive agent of our own. Must honour `redirect: 'manual'`. */
  readonly fetch?: typeof fetch;
  /** For one request with its redirects and its answer. A Baikal on SQLite waits up to 60 s for its lock. */
  readonly timeoutMs?: number;
  /** PEM texts of the certification authorities to trust with a fetch of our own; the public ones when left out. */
  readonly ca?: readonly string[];
  readonly clock?: Clock;
}

export interface DavCalendar {
  readonly href: string;
  readonly name: string;
  /** `#RRGGBB` or `#RRGGBBAA` as the server has it. */
  readonly color: string | null;
  readonly syncToken: string | null;
  readonly ctag: string | null;
  /** `VEVENT`, `VTODO`…; empty when the server does not say. */
  readonly components: readonly string[];
}

export interface DavEntry {
  readonly href: string;
  readonly etag: string | null;
}

export interface DavObject {
  readonly etag: string | null;
  readonly body: string;
}

export type PutCondition = { readonly ifNoneMatch: '*' } | { readonly ifMatch: string } | null;

/**
 * One account on a CalDAV server. Hrefs are the server's own: case-sensitive, in its encoding, paths on the account's
 * origin (whole URLs only where iCloud keeps them on another host). Every write carries `Schedule-Reply: F`, so the
 * server mails nobody. Never asks `calendar-query` or `expand`: on sabre/dav the one is quadratic, the other fails on
 * calendars that its web page made.
 *
 * Every method throws DavError; its `outcome` says what became of a write.
 */
export interface CalDav {
  /** Finds principal and home from the account's URL; asked once, then remembered. */
  discover(signal?: AbortSignal): Promise<DavHome>;
  /** Collections of resource type calendar below the home; no inbox, no outbox. */
  listCalendars(signal?: AbortSignal): Promise<DavCalendar[]>;
  /** Makes a calendar for events, and gives its href; also when a calendar of that name is there already. */
  makeCalendar(
    name: string,
    look: {
      readonly displayName: string;
      readonly color: string | null;
      /** A calendar object with one VTIMEZONE (RFC 4791 section 5.2.2). */
      readonly timezone?: string | null;
    },
    signal?: AbortSignal,
  ): Promise<string>;
  put(href: string, body: string, condition: PutCondition, signal?: AbortSignal): Promise<PutResult>;
  /** `missing` means that the calendar is there and the object is not. */
  remove(href: string, ifMatch: string | null, signal?: AbortSignal): Promise<RemoveResult>;
  /** The stored bytes; null when the calendar is there and the object is not. */
  get(href: string, signal?: AbortSignal): Promise<DavObject | null>;
  /** The present etag; null when the calendar is there and the object is not. */
  etagOf(href: string, signal?: AbortSignal): Promise<string | null>;
  /** The calendar's present sync token, by one small request; null where the server has none. */
  syncToken(calendarHref: string, signal?: AbortSignal): Promise<string | null>;
  /** All objects of a calendar; one that the server keeps several times under one name is listed as often. */
  list(calendarHref: string, signal?: AbortSignal): Promise<DavEntry[]>;
  /**
   * What changed since `syncToken`; null lists everything. Asks until the token is the calendar's present one. Throws
   * with recovery `reread` when the token is of no use (`dav.sync_token_stale`, `dav.sync_token_invalid`), and
   * `dav.sync_unsupported` when the server has no sync-collection.
   */
  changes(calendarHref: string, syncToken: string | null, signal?: AbortSignal): Promise<CalendarChanges>;
  /**
   * The objects of these hrefs, keyed by the hrefs as given; what is missing is left out, and what is larger than 4 MiB
   * (no event of ours is). Bodies come through XML: line ends are CRLF again, but md5 and etag agree only for what `get`
   * gives.
   */
  multiget(calendarHref: string, hrefs: readonly string[], signal?: AbortSignal): Promise<Map<string, DavObject>>;
  close(): Promise<void>;
}

const multigetChunk = 100;
/** A hundred events are some 100 kB; a client's own may be of any size, and are held in memory several times over. */
const mostMultigetBytes = 4 * 1024 * 1024;
const defaultTimeoutMs = 90_000;
const maxAnswerBytes = 64 * 1024 * 1024;
const noMail = { 'Schedule-Reply': 'F' };
const calendarType = 'text/calendar; charset=utf-8';

/** Opens an account. Sends nothing yet; `close` ends its connections. */
export function openCalDav(account: DavAccount, options: DavOptions = {}): CalDav {
  const origin = originOf(account.url);
  const clock = options.clock ?? systemClock;
  const transport = openTransport(origin, account, {
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
    maxAnswerBytes,
  });
  const { ask, multistatus, members, find, isSabre } = openConversation(origin, transport, clock);
  let home: DavHome | null = null;

  /** Runs a request below a calendar; a 404 is looked into, for it may mean any of several troubles. */
  async function within<T>(calendarHref: string, signal: AbortSignal | undefined, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (thrown) {
      // Cyrus says 403 of a calendar that is not there.
      if (thrown instanceof DavError && thrown.code === 'dav.forbidden') {
        await expectCalendar(calendarHref, thrown, signal);
        throw thrown;
      }
      if (thrown instanceof DavError && thrown.code === 'dav.not_found') {
        await expectCalendar(calendarHref, thrown, signal);
        throw new DavError(thrown.message, {
          code: 'dav.not_found',
          outcome: thrown.outcome,
          status: thrown.status,
          recovery: { kind: 'retry' },
        });
      }
      throw thrown;
    }
  }

  /** Throws what a 404 below this calendar means, unless the calendar is there. */
  async function expectCalendar(calendarHref: string, cause: unknown, signal?: AbortSignal): Promise<void> {
    const isThere = async (href: string): Promise<boolean> => {
      try {
        await find(href, '0', { 'd:resourcetype': {} }, signal);
        return true;
      } catch (thrown) {
        if (thrown instanceof DavError && thrown.code === 'dav.not_found') return false;
        throw thrown;
      }
    };
    if (await isThere(calendarHref)) return;
    const homeHref = parentOf(calendarHref);
    if (homeHref !== null && (await isThere(homeHref))) throw gone('dav.calendar_gone', calendarHref, cause);
    const found = await discoverHome(account.url, origin, { find, isSabre }, signal); // throws caldav_off
    throw gone('dav.home_gone', homeHref ?? found.home, cause);
  }

  async function discover(signal?: AbortSignal): Promise<DavHome> {
    home ??= await discoverHome(account.url, origin, { find, isSabre }, signal);
    return home;
  }

  async function presentToken(calendarHref: string, signal?: AbortSignal): Promise<string | null> {
    const { entries } = await find(calendarHref, '0', { 'd:sync-token': {} }, signal);
    return textOf(entryOf(entries, calendarHref)?.props['syncToken']);
  }

  async function present(href: string, signal?: AbortSignal): Promise<void> {
    const calendarHref = parentOf(href);
    if (calendarHref !== null) await expectCalendar(calendarHref, undefined, signal);
  }

  /** Asks for fewer at a time when the answer grows too large, and leaves out what alone is too large. */
  async function readObjects(
    calendarHref: string,
    hrefs: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<[string, DavObject][]> {
    const asked = new Map(hrefs.map((href) => [hrefKey(href), href]));
    const body = {
      'calendar-multiget': {
        _attributes: { 'xmlns:c': 'urn:ietf:params:xml:ns:caldav', 'xmlns:d': 'DAV:' },
        'd:prop': { 'd:getetag': {}, 'c:calendar-data': {} },
        'd:href': [...asked.values()],
      },
    };
    try {
      // tsdav's own calendarMultiGet throws when a single href is missing, which Cyrus and Radicale say by 404.
      const { entries } = await within(calendarHref, signal, () =>
        multistatus(
          'REPORT',
          calendarHref,
          signal,
          (params) =>
            davRequest({ ...params, init: { method: 'REPORT', namespace: 'c', body, headers: { depth: '1' } } }),
          { mostBytes: mostMultigetBytes },
        ),
      );
      return entries.flatMap((entry): [string, DavObject][] => {
        const href = asked.get(hrefKey(entry.href));
        const text = calendarDataOf(entry);
        return href === undefined || text === null ? [] : [[href, { etag: etagOf(entry), body: text }]];
      });
    } catch (thrown) {
      if (!(thrown instanceof DavError) || thrown.code !== 'dav.answer_too_large') throw thrown;
      if (hrefs.length === 1) return [];
      const half = Math.ceil(hrefs.length / 2);
      const [first, second] = [hrefs.slice(0, half), hrefs.slice(half)];
      return [
        ...(await readObjects(calendarHref, first, signal)),
        ...(await readObjects(calendarHref, second, signal)),
      ];
    }
  }

  return {
    discover,

    async listCalendars(signal) {
      const { home: homeHref } = await discover(signal);
      const props = {
        'd:resourcetype': {},
        'd:displayname': {},
        'd:sync-token': {},
        'cs:getctag': {},
        'ca:calendar-color': {},
        'c:supported-calendar-component-set': {},
      };
      const { entries } = await find(homeHref, '1', props, signal);
      return entries.filter((entry) => hasType(entry, 'calendar')).map(toCalendar);
    },

    async makeCalendar(name, look, signal) {
      const { home: homeHref } = await discover(signal);
      const href = `${withSlash(homeHref)}${encodeURIComponent(name)}/`;
      const props = {
        'd:displayname': look.displayName,
        ...(look.color === null ? {} : { 'ca:calendar-color': look.color }),
        ...(look.timezone == null ? {} : { 'c:calendar-timezone': look.timezone }),
        'c:supported-calendar-component-set': { 'c:comp': { _attributes: { name: 'VEVENT' } } },
      };
      const { answer, asked } = await ask('MKCALENDAR', href, signal, (params) => makeCalendar({ ...params, props }));
      if (readMakeCalendar(answer, asked) === 'exists') {
        const { entries } = await find(href, '0', { 'd:resourcetype': {} }, signal);
        const entry = entryOf(entries, href);
        if (entry === null || !hasType(entry, 'calendar')) throw gone('dav.calendar_gone', href, undefined);
      }
      return href;
    },

    async put(href, body, condition, signal) {
      const headers = {
        'Content-Type': calendarType,
        ...noMail,
        ...(condition === null
          ? {}
          : 'ifMatch' in condition
            ? { 'If-Match': condition.ifMatch }
            : { 'If-None-Match': '*' }),
      };
      return await within(parentOf(href) ?? href, signal, async () => {
        const { answer, asked } = await ask('PUT', href, signal, (params) =>
          createObject({ ...params, data: body, headers }),
        );
        return readPut(answer, asked);
      });
    },

    async remove(href, ifMatch, signal) {
      const headers = { ...noMail, ...(ifMatch === null ? {} : { 'If-Match': ifMatch }) };
      const { answer, asked } = await ask('DELETE', href, signal, (params) => deleteObject({ ...params, headers }));
      const result = readRemove(answer, asked);
      if (result.kind === 'missing') await present(href, signal);
      return result;
    },

    async get(href, signal) {
      // tsdav has no plain GET of its own; davRequest makes any.
      const { answer, asked } = await ask('GET', href, signal, (params) =>
        davRequest({
          ...params,
          init: { method: 'GET', body: undefined, headers: { Accept: 'text/calendar' } },
          convertIncoming: false,
          parseOutgoing: false,
        }),
      );
      const object = readGet(answer, asked);
      if (object === null) await present(href, signal);
      return object;
    },

    async etagOf(href, signal) {
      try {
        const { entries } = await find(href, '0', { 'd:getetag': {} }, signal);
        const entry = entryOf(entries, href);
        return entry === null || entry.status === 404 ? null : etagOf(entry);
      } catch (thrown) {
        if (!(thrown instanceof DavError) || thrown.code !== 'dav.not_found') throw thrown;
        await present(href, signal);
        return null;
      }
    },

    async list(calendarHref, signal) {
      const { entries } = await within(calendarHref, signal, () =>
        members('PROPFIND', calendarHref, signal, (params) =>
          propfind({ ...params, depth: '1', props: { 'd:getetag': {}, 'd:resourcetype': {} } }),
        ),
      );
      return objectsOf(entries, calendarHref).map((entry) => ({ href: entry.href, etag: etagOf(entry) }));
    },

    async syncToken(calendarHref, signal) {
      return await within(calendarHref, signal, () => presentToken(calendarHref, signal));
    },

    async changes(calendarHref, syncToken, signal) {
      return await within(calendarHref, signal, () =>
        readChanges(syncToken, calendarHref, {
          presentToken: () => presentToken(calendarHref, signal),
          report: async (token) => {
            const { entries, syncToken: next } = await members('REPORT', calendarHref, signal, (params) =>
              syncCollection({
                ...params,
                props: { 'd:getetag': {} },
                syncLevel: 1,
                syncToken: token,
                headers: { depth: '0' },
              }),
            );
            return {
              isCut: entries.some((entry) => entry.status === 507),
              entries: objectsOf(entries, calendarHref),
              token: next,
            };
          },
        }),
      );
    },

    async multiget(calendarHref, hrefs, signal) {
      const objects = new Map<string, DavObject>();
      for (let start = 0; start < hrefs.length; start += multigetChunk)
        for (const one of await readObjects(calendarHref, hrefs.slice(start, start + multigetChunk), signal))
          objects.set(...one);
      return objects;
    },

    async close() {
      await transport.close();
    },
  };
}

function originOf(url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return new URL(url).origin;
  throw new SyncError('The URL of the CalDAV account cannot be read', {
    code: 'dav.bad_url',
    recovery: { kind: 'operator', remedy: 'Give a URL that starts with https:// or http://.' },
    field: 'url',
  });
}

function gone(code: 'dav.calendar_gone' | 'dav.home_gone', href: string, cause: unknown): DavError {
  return new DavError(
    code === 'dav.calendar_gone'
      ? `The calendar ${href} is gone from the server`
      : `The calendar home ${href} is gone from the server`,
    {
      code,
      outcome: 'not-sent',
      status: 404,
      recovery: {
        kind: 'operator',
        remedy:
          code === 'dav.calendar_gone'
            ? 'Make the calendar again, or take it out of the configuration.'
            : 'Check that the user still exists on the server.',
      },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

/** The objects among the entries of a calendar: not the collection itself (sabre lists it after a PROPPATCH). */
function objectsOf(entries: readonly Entry[], calendarHref: string): Entry[] {
  return entries.filter((entry) => hrefKey(entry.href) !== hrefKey(calendarHref) && !hasType(entry, 'collection'));
}

function toCalendar(entry: Entry): DavCalendar {
  const last = hrefKey(entry.href).split('/').at(-1) ?? entry.href;
  return {
    href: withSlash(entry.href),
    name: textOf(entry.props['displayname']) ?? last,
    color: textOf(entry.props['calendarColor']),
    syncToken: textOf(entry.props['syncToken']),
    ctag: textOf(entry.props['getctag']),
    components: componentsOf(entry),
  };
}
