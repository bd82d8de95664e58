import { createHash, timingSafeEqual } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { SyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Notification } from '../sources/graph/notification.ts';
import type { Db } from '../store/database.ts';
import { clientStateHashes, storeTold } from '../store/subscriptions.ts';

export interface InboxDeps {
  /** Connections that no worker waits for: see `openReceiver`. */
  readonly db: Db;
  readonly log: Log;
  /** Called after the commit, once per source concerned. */
  readonly hint: (sourceId: string) => void;
}

/** Since the process started, in items. */
export interface InboxCounts {
  received: number;
  /** Of a subscription that we do not know (any more). */
  unknown: number;
  /** With another client state than the subscription's: not sent by Graph, or for another installation. */
  wrongState: number;
  malformed: number;
}

/** Takes notifications in: checks who sent them, stores what they are about, hints. Nothing else is done about them here. */
export interface Inbox {
  readonly counts: Readonly<InboxCounts>;
  /** Resolves once all is stored. Throws `notifications.not_stored`: then Graph is to send them again. */
  accept(items: readonly Notification[], malformed: number): Promise<void>;
}

/**
 * At least so long between the beginnings of two statements: what comes alone is stored at once, what comes in a flood
 * shares one statement.
 */
const gatherMs = 8;
/** At the same time: one that has to wait for its commit keeps the next one from nothing. One connection each. */
const statementsAtOnce = 2;
/** Between two hints about one source: the first goes at once, and no reading begins sooner after another one anyway. */
const hintEveryMs = 250;
/** Graph gives up after 3 s. */
const storeWithinMs = 2_500;
/** Strangers cannot fill the log: what is ignored is counted up to the next line. */
const tellIgnoredEveryMs = 10_000;
/** Subscriptions remembered; more than that begin anew. */
const mostRemembered = 20_000;

export function notificationInbox({ db, log, hint }: InboxDeps): Inbox {
  const hintSparingly = sparingly(hint);
  const counts: InboxCounts = { received: 0, unknown: 0, wrongState: 0, malformed: 0 };
  const tellIgnored = ignoredTeller(log);
  /** Client states of Graph's ids, which never change as long as an id lives. Asked for when an id is not here. */
  const hashes = new Map<string, string>();
  let gathering: { readonly items: Notification[]; readonly stored: Promise<void> } | null = null;
  /** The last ones begun, whether they succeeded or not. */
  let storing: readonly Promise<unknown>[] = [];
  let startedAt = -Infinity;

  const ignore = (what: 'unknown' | 'wrongState', count: number): void => {
    counts[what] += count;
    if (count > 0) tellIgnored(what, count);
  };

  const store = async (items: readonly Notification[]): Promise<void> => {
    const distinct = countDistinct(items);
    const missing = [...new Set(distinct.map(({ item }) => item.subscriptionId))].filter((id) => !hashes.has(id));
    if (missing.length > 0) {
      if (hashes.size > mostRemembered) hashes.clear();
      for (const [id, hash] of await clientStateHashes(db, missing)) hashes.set(id, hash);
    }
    const { genuine, unknown, wrongState } = sift(distinct, hashes);
    ignore('unknown', unknown);
    ignore('wrongState', wrongState);
    if (genuine.length === 0) return;
    const graphIds = (wanted: (item: Notification) => boolean): string[] => [
      ...new Set(genuine.flatMap(({ item }) => (wanted(item) ? [item.subscriptionId] : []))),
    ];
    const told = await storeTold(db, {
      changed: graphIds(({ lifecycle }) => lifecycle === null || lifecycle === 'missed'),
      removed: graphIds(({ lifecycle }) => lifecycle === 'subscriptionRemoved'),
      reauthorize: graphIds(({ lifecycle }) => lifecycle === 'reauthorizationRequired'),
    });
    // What was remembered and is gone by now: its subscription was lost or deleted, or its source was.
    for (const { item, times } of genuine)
      if (!told.has(item.subscriptionId)) {
        hashes.delete(item.subscriptionId);
        ignore('unknown', times);
      }
    const changed = genuine.filter(({ item }) => item.lifecycle !== 'reauthorizationRequired');
    for (const source of new Set(changed.flatMap(({ item }) => told.get(item.subscriptionId) ?? [])))
      hintSparingly(source);
  };

  /** Opens a batch that others join until it is its turn. */
  const open = (): { readonly items: Notification[]; readonly stored: Promise<void> } => {
    const items: Notification[] = [];
    const waitMs = startedAt + gatherMs - performance.now();
    const room = storing.length < statementsAtOnce ? undefined : Promise.race(storing);
    const stored = Promise.all([waitMs > 0 ? pause(waitMs) : undefined, room]).then(() => {
      gathering = null;
      startedAt = performance.now();
      return store(items);
    });
    const ended = stored.catch(() => undefined).finally(() => (storing = storing.filter((one) => one !== ended)));
    storing = [...storing, ended];
    return { items, stored: within(stored) };
  };

  return {
    counts,
    async accept(items, malformed) {
      counts.received += items.length + malformed;
      counts.malformed += malformed;
      if (malformed > 0) tellIgnored('malformed', malformed);
      if (items.length === 0) return;
      const batch = (gathering ??= open());
      for (const item of items) batch.items.push(item);
      await batch.stored;
    },
  };
}

/** Passes a call on at once, and those that follow it too closely as one, later. */
function sparingly(hint: (sourceId: string) => void): (sourceId: string) => void {
  /** Sources hinted at just now, and whether they are to be again. */
  const recent = new Map<string, boolean>();
  const give = (id: string): void => {
    recent.set(id, false);
    hint(id);
    setTimeout(() => {
      if (recent.get(id) === true) give(id);
      else recent.delete(id);
    }, hintEveryMs).unref();
  };
  return (id) => {
    if (recent.has(id)) recent.set(id, true);
    else give(id);
  };
}

/** One line at once, and what follows it within ten seconds as one, later. */
function ignoredTeller(log: Log): (what: 'unknown' | 'wrongState' | 'malformed', count: number) => void {
  let sums = { unknown: 0, wrongState: 0, malformed: 0 };
  let timer: NodeJS.Timeout | null = null;
  const tell = (): void => {
    timer = null;
    if (sums.unknown + sums.wrongState + sums.malformed === 0) return;
    log.event('notifications.ignored', sums);
    sums = { unknown: 0, wrongState: 0, malformed: 0 };
    timer = setTimeout(tell, tellIgnoredEveryMs).unref();
  };
  return (what, count) => {
    sums[what] += count;
    if (timer === null) tell();
  };
}

interface Counted {
  readonly item: Notification;
  readonly times: number;
}

/** Each that says something else once, and how often it came. */
function countDistinct(items: readonly Notification[]): Counted[] {
  const distinct = new Map<string, { item: Notification; times: number }>();
  for (const item of items) {
    const key = JSON.stringify([item.subscriptionId, item.clientState, item.lifecycle]);
    const known = distinct.get(key);
    if (known === undefined) distinct.set(key, { item, times: 1 });
    else known.times += 1;
  }
  return [...distinct.values()];
}

function sift(
  distinct: readonly Counted[],
  hashes: ReadonlyMap<string, string>,
): { readonly genuine: readonly Counted[]; readonly unknown: number; readonly wrongState: number } {
  const genuine: Counted[] = [];
  let unknown = 0;
  let wrongState = 0;
  for (const counted of distinct) {
    const hash = hashes.get(counted.item.subscriptionId);
    if (hash === undefined) unknown += counted.times;
    else if (isState(counted.item.clientState, hash)) genuine.push(counted);
    else wrongState += counted.times;
  }
  return { genuine, unknown, wrongState };
}

/** Compares in constant time, whatever the lengths. */
function isState(given: string | null, wantedHash: string): boolean {
  if (given === null) return false;
  const wanted = Buffer.from(wantedHash, 'hex');
  const hash = createHash('sha256').update(given).digest();
  return wanted.length === hash.length && timingSafeEqual(hash, wanted);
}

/** What takes longer may still be stored; sent again, it costs one reading more. */
async function within(stored: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('the database took too long')), storeWithinMs);
  try {
    await Promise.race([stored, late.promise]);
  } catch (cause) {
    throw new SyncError('The notifications could not be stored; they are to be sent again', {
      code: 'notifications.not_stored',
      recovery: { kind: 'retry' },
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}
