/** Decides what is to be done about Graph's change notifications. Pure: rows and a moment in, steps out. */
import type { SubscriptionHabits } from './behaviours.ts';

/** A source that is to be watched. */
export interface WatchedSource {
  readonly id: string;
  readonly mailbox: string;
  /** `default`, a calendar's id or its name. */
  readonly calendar: string;
}

/** What is known of one source's subscription. Instants are ISO 8601 in UTC. */
export interface Subscription {
  readonly sourceId: string;
  readonly mailbox: string;
  readonly calendar: string;
  /**
   * `calendar`: its notifications tell of this calendar for certain. `mailbox`: Graph refused that; the mailbox's events
   * are documented to tell of all calendars, but were seen to tell of the default one only (microsoft-graph-docs#51), so
   * that polling goes on as if there were none.
   */
  readonly scope: Scope;
  readonly resource: string | null;
  /** Graph's id; sources of one resource share it. Null: there is none. */
  readonly graphId: string | null;
  readonly clientStateHash: string | null;
  /** The PUBLIC_URL that it was made for. */
  readonly url: string;
  /** Minutes of life to ask for. */
  readonly minutes: number;
  /** Since when it is unknown whether Graph made it. */
  readonly attemptedAt: string | null;
  readonly createdAt: string | null;
  readonly expiresAt: string | null;
  readonly renewAt: string | null;
  readonly notBefore: string | null;
  readonly failures: number;
}

export type Scope = 'calendar' | 'mailbox';

export type Step =
  /** Graph is asked which subscriptions there are: what became of a request is unknown. */
  | { readonly do: 'list' }
  | {
      readonly do: 'create';
      readonly source: WatchedSource;
      readonly scope: Scope;
      readonly minutes: number;
      /** Of attempts to make this one, so far. */
      readonly failures: number;
      readonly why: 'new' | 'lost' | 'expired';
    }
  | {
      readonly do: 'renew';
      readonly sourceId: string;
      readonly graphId: string;
      readonly minutes: number;
      readonly failures: number;
    }
  | {
      readonly do: 'delete';
      readonly sourceId: string;
      /** Null: nothing to tell Graph, for there is none or another source goes on using it. */
      readonly graphId: string | null;
      readonly failures: number;
      readonly why: 'unwatched' | 'moved' | 'public-url';
    };

export interface Situation {
  readonly now: Date;
  /** Null: Graph cannot reach us. */
  readonly publicUrl: string | null;
  /** Sources of one tenant that are to be watched; none where the tenant takes no notifications. */
  readonly sources: readonly WatchedSource[];
  /** Rows of the same tenant, those of removed sources included. */
  readonly subscriptions: readonly Subscription[];
  /** What a probe found of them; not there: nothing. */
  readonly habits?: SubscriptionHabits;
}

/** Below what older clouds grant (4,230 minutes); current documents say 10,080 (`change-notifications-subscription-lifetime.md`). */
export const LIFE_MINUTES = 4_200;
/** Graph raises shorter lives to this. */
const SHORTEST_MINUTES = 45;
/** Where Graph refuses a length of life without naming the one it grants. */
const SHORTER_MINUTES = [1_400, 180, SHORTEST_MINUTES];

/**
 * What to do about one tenant's subscriptions now; nothing when all is as it should be or must wait. What does not fit
 * any more is deleted first and made anew by the next plan.
 */
export function planSubscriptions({ now, publicUrl, sources, subscriptions, habits }: Situation): Step[] {
  const known = new Map(subscriptions.map((one) => [one.sourceId, one]));
  const watched = new Map(publicUrl === null ? [] : sources.map((source) => [source.id, source]));
  const isDue = (one: Subscription): boolean => isPast(one.notBefore, now);
  const unsettled = subscriptions.some((one) => one.graphId === null && one.attemptedAt !== null && isDue(one));
  if (unsettled) return [{ do: 'list' }];

  const misfits = new Map(
    subscriptions.flatMap((one) => {
      const why = misfit(one, watched.get(one.sourceId), publicUrl);
      return why === null ? [] : [[one.sourceId, why]];
    }),
  );
  const kept = new Set(subscriptions.filter((one) => !misfits.has(one.sourceId)).map(({ graphId }) => graphId));
  const removals = subscriptions.flatMap((one): Step[] => {
    const why = misfits.get(one.sourceId);
    if (why === undefined || (one.graphId !== null && !isDue(one))) return [];
    const isShared = kept.has(one.graphId);
    kept.add(one.graphId); // Of several that go, one tells Graph.
    const graphId = isShared ? null : one.graphId;
    return [{ do: 'delete', sourceId: one.sourceId, graphId, failures: one.failures, why }];
  });

  const renewed = new Set<string>();
  const others = [...watched.values()].flatMap((source): Step[] => {
    const one = known.get(source.id);
    if (one === undefined) return [{ do: 'create', source, ...firstWish(habits), failures: 0, why: 'new' }];
    if (misfits.has(source.id) || !isDue(one)) return [];
    const { graphId, minutes, failures } = one;
    if (graphId === null || isPast(one.expiresAt, now)) {
      const why = graphId !== null ? 'expired' : one.createdAt === null ? 'new' : 'lost';
      return [{ do: 'create', source, scope: one.scope, minutes, failures, why }];
    }
    if (!isPast(one.renewAt, now) || renewed.has(graphId)) return [];
    renewed.add(graphId);
    return [{ do: 'renew', sourceId: source.id, graphId, minutes, failures }];
  });
  return [...removals, ...others];
}

/**
 * What is asked for first; a refusal leads on from there, whatever was found before. A minute less than the longest life
 * that is granted, for the clocks differ.
 */
function firstWish(habits: SubscriptionHabits | undefined): { readonly scope: Scope; readonly minutes: number } {
  const longest = habits?.minutes ?? null;
  return {
    scope: habits?.perCalendar === false ? 'mailbox' : 'calendar',
    minutes: longest === null ? LIFE_MINUTES : Math.max(SHORTEST_MINUTES, longest - 1),
  };
}

function misfit(
  one: Subscription,
  source: WatchedSource | undefined,
  publicUrl: string | null,
): 'unwatched' | 'moved' | 'public-url' | null {
  if (source === undefined) return 'unwatched';
  if (source.mailbox !== one.mailbox || source.calendar !== one.calendar) return 'moved';
  return one.url === publicUrl ? null : 'public-url';
}

/** When to renew: at half of what is left of its life, a tenth earlier or later so that not all come at once. */
export function renewAt(now: Date, expiresAt: Date, random: number): Date {
  const leftMs = Math.max(0, expiresAt.getTime() - now.getTime());
  return new Date(now.getTime() + Math.round(leftMs * (0.45 + 0.1 * random)));
}

/** The next life to ask for after one was refused: the one that Graph names, else shorter by steps. Null: none is left. */
export function shorterLife(minutes: number, named: number | null): number | null {
  // A minute less, for the clocks differ and the request takes its time.
  const granted = named === null ? null : named - 1;
  if (granted !== null && granted >= SHORTEST_MINUTES && granted < minutes) return granted;
  return SHORTER_MINUTES.find((shorter) => shorter < minutes) ?? null;
}

/** A subscription as Graph lists it. */
export interface Listed {
  readonly graphId: string;
  readonly resource: string;
  readonly notificationUrl: string;
  readonly expiresAt: string;
}

export type Finding =
  /** Graph made it, and only the answer was lost. */
  | { readonly do: 'adopt'; readonly sourceId: string; readonly graphId: string; readonly expiresAt: string }
  /** Graph did not make it. */
  | { readonly do: 'settle'; readonly sourceId: string }
  /** Graph does not have it any more. */
  | { readonly do: 'lose'; readonly graphId: string }
  /** Ours, but nothing that we know of: of a killed process, of another PUBLIC_URL. */
  | { readonly do: 'delete'; readonly graphId: string };

/** A new subscription may be missing from the list for a while. */
const LIST_LAG_MS = 10 * 60_000;

/**
 * Compares what Graph lists with what we know. `urlOf` gives our notification URL below a PUBLIC_URL; `isOurs` tells
 * whether a URL belongs to this installation, whatever its PUBLIC_URL was: the app may serve others too, whose
 * subscriptions are left alone.
 */
export function compareWithList(
  listed: readonly Listed[],
  subscriptions: readonly Subscription[],
  { now, urlOf, isOurs }: { now: Date; urlOf: (publicUrl: string) => string; isOurs: (url: string) => boolean },
): Finding[] {
  const known = new Set(subscriptions.map(({ graphId }) => graphId));
  const strays = listed.filter(({ graphId, notificationUrl }) => isOurs(notificationUrl) && !known.has(graphId));
  const adopted = new Set<string>();
  const answers = subscriptions.flatMap((one): Finding[] => {
    if (one.graphId !== null || one.attemptedAt === null) return [];
    const found = strays.filter(
      ({ resource, notificationUrl }) => same(resource, one.resource) && notificationUrl === urlOf(one.url),
    );
    const [stray] = found;
    // Of several it is not known which one bears the client state that we remember.
    if (stray === undefined || found.length > 1 || one.clientStateHash === null || adopted.has(stray.graphId))
      return [{ do: 'settle', sourceId: one.sourceId }];
    adopted.add(stray.graphId);
    return [{ do: 'adopt', sourceId: one.sourceId, graphId: stray.graphId, expiresAt: stray.expiresAt }];
  });
  const present = new Set(listed.map(({ graphId }) => graphId));
  const lost = new Set(
    subscriptions.flatMap(({ graphId, createdAt }) =>
      graphId !== null && !present.has(graphId) && isPast(createdAt, new Date(now.getTime() - LIST_LAG_MS))
        ? [graphId]
        : [],
    ),
  );
  return [
    ...answers,
    ...[...lost].map((graphId): Finding => ({ do: 'lose', graphId })),
    ...strays.filter(({ graphId }) => !adopted.has(graphId)).map(({ graphId }): Finding => ({ do: 'delete', graphId })),
  ];
}

function same(resource: string, other: string | null): boolean {
  return other !== null && resource.replace(/^\//, '') === other.replace(/^\//, '');
}

function isPast(instant: string | null, now: Date): boolean {
  return instant === null || Date.parse(instant) <= now.getTime();
}
