import { createHash, timingSafeEqual } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { SyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Notification } from '../sources/graph/notification.ts';
import type { Db } from '../store/database.ts';
import { clientStateHashes, storeTold } from '../store/subscriptions.ts';

export interface InboxDeps {
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

/** Requests that come so close together share one statement: 5,000 a second instead of 2,700. */
const gatherMs = 5;
/** Between two hints about one source: the first goes at once, and no reading begins sooner after another one anyway. */
const hintEveryMs = 250;
/** Graph gives up after 3 s. */
const storeWithinMs = 2_500;

export function notificationInbox({ db, log, hint }: InboxDeps): Inbox {
  const hintSparingly = sparingly(hint);
  const counts: InboxCounts = { received: 0, unknown: 0, wrongState: 0, malformed: 0 };
  let gathering: { readonly items: Notification[]; readonly stored: Promise<void> } | null = null;
  let storing: Promise<unknown> = Promise.resolve();

  const store = async (items: readonly Notification[]): Promise<void> => {
    const { genuine, unknown, wrongState } = await sift(db, items);
    counts.unknown += unknown;
    counts.wrongState += wrongState;
    if (unknown + wrongState > 0) log.event('notifications.ignored', { unknown, wrongState, malformed: 0 });
    if (genuine.length === 0) return;
    const graphIds = (wanted: (item: Notification) => boolean): string[] => [
      ...new Set(genuine.filter(wanted).map(({ subscriptionId }) => subscriptionId)),
    ];
    const sources = await storeTold(db, {
      changed: graphIds(({ lifecycle }) => lifecycle === null || lifecycle === 'missed'),
      removed: graphIds(({ lifecycle }) => lifecycle === 'subscriptionRemoved'),
      reauthorize: graphIds(({ lifecycle }) => lifecycle === 'reauthorizationRequired'),
    });
    for (const source of sources) hintSparingly(source);
  };

  /** Opens a batch that others join until the one before it is stored. */
  const open = (): { readonly items: Notification[]; readonly stored: Promise<void> } => {
    const items: Notification[] = [];
    const stored = Promise.all([pause(gatherMs), storing]).then(() => {
      gathering = null;
      return store(items);
    });
    storing = stored.catch(() => undefined);
    return { items, stored };
  };

  return {
    counts,
    async accept(items, malformed) {
      counts.received += items.length + malformed;
      counts.malformed += malformed;
      if (malformed > 0) log.event('notifications.ignored', { unknown: 0, wrongState: 0, malformed });
      if (items.length === 0) return;
      const batch = (gathering ??= open());
      for (const item of items) batch.items.push(item);
      await within(batch.stored);
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

interface Sifted {
  /** Each distinct one once. */
  readonly genuine: readonly Notification[];
  readonly unknown: number;
  readonly wrongState: number;
}

async function sift(db: Db, items: readonly Notification[]): Promise<Sifted> {
  const distinct = new Map<string, Notification>();
  const times = new Map<string, number>();
  for (const item of items) {
    const key = JSON.stringify([item.subscriptionId, item.clientState, item.lifecycle]);
    distinct.set(key, item);
    times.set(key, (times.get(key) ?? 0) + 1);
  }
  const ids = [...new Set([...distinct.values()].map(({ subscriptionId }) => subscriptionId))];
  const hashes = await clientStateHashes(db, ids);
  const genuine: Notification[] = [];
  let unknown = 0;
  let wrongState = 0;
  for (const [key, item] of distinct) {
    const hash = hashes.get(item.subscriptionId);
    if (hash === undefined) unknown += times.get(key) ?? 0;
    else if (isState(item.clientState, hash)) genuine.push(item);
    else wrongState += times.get(key) ?? 0;
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
  const deadline = new AbortController();
  const late = pause(storeWithinMs, undefined, { signal: deadline.signal }).then(() => {
    throw new Error('the database took too long');
  });
  try {
    await Promise.race([stored, late]);
  } catch (cause) {
    throw new SyncError('The notifications could not be stored; they are to be sent again', {
      code: 'notifications.not_stored',
      recovery: { kind: 'retry' },
      cause,
    });
  } finally {
    late.catch(() => undefined);
    deadline.abort();
  }
}
