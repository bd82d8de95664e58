import { type Clock, systemClock } from '../../shared/clock.ts';
import type { Window } from '../../shared/window.ts';
import type { Claim, Page, Rebuilt, Source, Stale } from '../source.ts';
import { readCursor, writeCursor, type FeedCursor } from './cursor.ts';
import { failure, feedDefaults, feedUrl, fetchFeed, type Fetched, type Validators } from './fetch-feed.ts';
import { digestOf, faultOf, readFeed, stemOf, type Feed } from './read-feed.ts';

export interface IcsSourceOptions {
  /** http, https or webcal; may hold a user name and password. Often secret as a whole. */
  readonly url: string;
  readonly fetch: typeof fetch;
  /** Whether a UID is one that this installation minted. */
  readonly isOurs: (uid: string) => boolean;
  /** Whether its events may be one meeting with those of other sources, by their UIDs. Default false. */
  readonly mayMerge?: boolean;
  /** After decompression; 20 MiB unless told. */
  readonly maxBytes?: number;
  /** 60 s unless told. */
  readonly timeoutMs?: number;
  /** Whether a redirect may lead to this IP address; unless told, to none of an inner network. */
  readonly isAllowedAddress?: (address: string) => boolean;
  /** All addresses of a host name; the system's resolver unless told. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
  readonly clock?: Clock;
}

const claimsAPage = 500;
/** Beyond these an unreadable event that was never shown is not even listed. */
const maxUnreadable = 50;
const keepMs = 60_000;

interface Listing {
  readonly feed: Feed;
  readonly digest: string;
  readonly validators: Validators;
}

interface FeedAnswer {
  readonly feed: Feed;
  readonly requests: number;
}

/**
 * A calendar feed, asked for as a whole. A delta says what it has in the window and marks what was there and is not now
 * as removed; `rebuild` confirms that from an answer of its own, one for all that are asked within a minute. What is no
 * whole calendar throws and removes nothing.
 */
export function icsSource({ url, isOurs, mayMerge = false, ...io }: IcsSourceOptions): Source {
  const clock = io.clock ?? systemClock;
  const options = { ...feedDefaults, ...io, clock };
  let held: { readonly cursor: string; readonly listing: Listing } | null = null;
  let confirmed: { readonly atMs: number; readonly window: Window; readonly feed: Promise<FeedAnswer> } | null = null;

  async function ask(validators: Validators | null, signal: AbortSignal): Promise<Fetched> {
    const answer = await fetchFeed(url, validators, options, signal);
    const fault = answer.kind === 'body' ? faultOf(answer.text) : null;
    if (fault !== null) throw failure(feedUrl(url).url, fault.code, fault.says, fault.recovery);
    return answer;
  }

  async function askWhole(window: Window, signal: AbortSignal): Promise<FeedAnswer> {
    const answer = await ask(null, signal);
    if (answer.kind === 'unchanged') throw new Error('an unconditional request was answered by 304');
    return { feed: readFeed(answer.text, { isOurs, mayMerge, window }), requests: answer.requests };
  }

  function confirm(window: Window, signal: AbortSignal): { feed: Promise<FeedAnswer>; isNew: boolean } {
    const nowMs = clock.now().getTime();
    const isFresh =
      confirmed !== null &&
      nowMs - confirmed.atMs < keepMs &&
      confirmed.window.from === window.from &&
      confirmed.window.to === window.to;
    if (isFresh && confirmed !== null) return { feed: confirmed.feed, isNew: false };
    const mine = { atMs: nowMs, window, feed: askWhole(window, signal) };
    confirmed = mine;
    mine.feed.catch(() => {
      if (confirmed === mine) confirmed = null;
    });
    return { feed: mine.feed, isNew: true };
  }

  return {
    async readPage(cursor, window, signal) {
      const state = cursor === null ? atStart : readCursor(cursor);
      if (state.reading !== null && held?.cursor === cursor) {
        const { page, next } = pageOf(state, held.listing, 0);
        held = next === null ? null : { cursor: page.cursor, listing: held.listing };
        return page;
      }
      const isConditional = state.digest !== null && state.reading === null;
      const answer = await ask(isConditional ? state : null, signal);
      if (answer.kind === 'unchanged') return quiet(state, answer.requests);
      confirmed = null; // this answer is the newer one
      const { text, validators, requests } = answer;
      const digest = digestOf(text);
      if (isConditional && digest === state.digest) return quiet({ ...state, ...validators }, requests);
      const listing = { feed: readFeed(text, { isOurs, mayMerge, window }), digest, validators };
      // The text may have changed since a reading broke off; then it begins again.
      const reading = state.reading?.digest === digest ? state.reading : null;
      const { page, next } = pageOf({ ...state, reading }, listing, requests);
      held = next === null ? null : { cursor: page.cursor, listing };
      return page;
    },

    async rebuild(key, window, signal): Promise<Rebuilt> {
      const { feed: asked, isNew } = confirm(window, signal);
      const { feed, requests: made } = await asked;
      const requests = isNew ? made : 0;
      const event = feed.events.get(key);
      if (event !== undefined) return { kind: 'series', claims: [claimOf(key, event.series)], requests };
      const lost = feed.lost.get(stemOf(key));
      return lost === undefined ? { kind: 'gone', requests } : { kind: 'unmappable', ...lost, requests };
    },
  };
}

const atStart: FeedCursor = { etag: null, modified: null, digest: null, known: {}, reading: null };

function quiet(state: FeedCursor, requests: number): Page {
  return { claims: [], stale: [], cursor: writeCursor(state), isLast: true, requests };
}

/** `next` null: the reading is at its end. */
function pageOf(
  state: FeedCursor,
  { feed, digest, validators }: Listing,
  requests: number,
): { page: Page; next: FeedCursor['reading'] } {
  const before = new Map(Object.entries(state.known));
  // What was claimed and has moved out of the window must be told so; what was never in it is of no interest.
  const wanted = [...feed.events].filter(([key, { isInWindow }]) => isInWindow || before.has(key));
  const after = state.reading?.after ?? '';
  const todo = wanted.filter(([key, { version }]) => key > after && before.get(key) !== version);
  const claims = todo.slice(0, claimsAPage).map(([key, { series }]) => claimOf(key, series));
  const last = claims.at(-1);
  if (todo.length > claimsAPage && last !== undefined) {
    const next = { digest, after: last.key };
    const cursor = writeCursor({ ...state, reading: next });
    return { page: { claims, stale: [], cursor, isLast: false, requests }, next };
  }
  const missing = [...before].filter(([key]) => !feed.events.has(key));
  const unread = missing.filter(([key]) => feed.lost.has(stemOf(key)));
  const stale = new Map<string, Stale>();
  for (const key of [...feed.lost.keys()].slice(0, maxUnreadable)) stale.set(key, { key, why: 'unreadable' });
  for (const [key] of missing) stale.set(key, { key, why: feed.lost.has(stemOf(key)) ? 'unreadable' : 'removed' });
  for (const [key] of wanted) stale.delete(key);
  // What could not be read this time is still ours to miss the next time.
  const known = Object.fromEntries([...wanted.map(([key, { version }]) => [key, version] as const), ...unread]);
  const cursor = writeCursor({ ...validators, digest, known, reading: null });
  return { page: { claims, stale: [...stale.values()], cursor, isLast: true, requests }, next: null };
}

function claimOf(key: string, series: Claim['series']): Claim {
  return { key, version: null, series, check: null };
}
