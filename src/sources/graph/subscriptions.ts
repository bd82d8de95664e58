/** Graph's subscriptions: the requests, and what their answers mean for what is tried next. */
import { SyncError, toSyncError } from '../../shared/errors.ts';
import { calendarPath, openSession, resolveCalendar } from './calendars.ts';
import type { GraphClient, SubscriptionAnswer } from './client.ts';
import type { FailedAnswer } from './errors.ts';
import { shorterLife, type Listed, type Scope, type WatchedSource } from './plan-subscriptions.ts';
import { readCollection } from './wire.ts';

export { readBehaviours, subscriptionHabits } from './behaviours.ts';
export type { GraphClient } from './client.ts';

export interface Addresses {
  readonly notificationUrl: string;
  readonly lifecycleUrl: string;
}

/** Our addresses below a PUBLIC_URL; `secret` is this installation's. */
export function addressesBelow(publicUrl: string, secret: string): Addresses {
  const api = `${publicUrl}/api/graph`;
  return { notificationUrl: `${api}/notifications/${secret}`, lifecycleUrl: `${api}/lifecycle/${secret}` };
}

/** Whether a notification URL is this installation's, whatever PUBLIC_URL was when it was given. */
export function isOurAddress(url: string, secret: string): boolean {
  return url.endsWith(`/api/graph/notifications/${secret}`);
}

/** What a request came to. Instants are ISO 8601 in UTC. */
export type Outcome =
  | { readonly kind: 'done'; readonly graphId: string; readonly expiresAt: string }
  /** Graph does not know the subscription. */
  | { readonly kind: 'gone' }
  /** Only shorter lives are granted. */
  | { readonly kind: 'shorter'; readonly minutes: number }
  /** Not for this calendar alone. */
  | { readonly kind: 'not-this-calendar'; readonly error: SyncError }
  /** There is one like it already. */
  | { readonly kind: 'duplicate'; readonly error: SyncError }
  /**
   * Not now. `when`: `soon` with back-off, or `daily` for what time alone will hardly mend. `isUnknown`: Graph failed and
   * may have done it all the same.
   */
  | {
      readonly kind: 'refused';
      readonly when: 'soon' | 'daily';
      readonly isUnknown: boolean;
      readonly error: SyncError;
    };

/**
 * The path whose changes tell of the source's calendar, with the user's own id: paths with an address fail where it has
 * an apostrophe (`webhooks.md`). Without permission to look at the user the address has to do. Throws SyncError.
 */
export async function resourceOf(
  client: GraphClient,
  { mailbox, calendar }: Pick<WatchedSource, 'mailbox' | 'calendar'>,
  scope: Scope,
  signal: AbortSignal,
): Promise<{ readonly resource: string; readonly isDefault: boolean }> {
  const user = `/users/${await userIdOf(client, mailbox, signal)}`;
  if (calendar === 'default') return { resource: `${user}/events`, isDefault: true };
  const found = await resolveCalendar(openSession(client, mailbox, signal), calendar);
  const isWhole = found.isDefault || scope === 'mailbox';
  return { resource: isWhole ? `${user}/events` : `${user}${calendarPath(found)}/events`, isDefault: found.isDefault };
}

async function userIdOf(client: GraphClient, mailbox: string, signal: AbortSignal): Promise<string> {
  const path = `/users/${encodeURIComponent(mailbox)}`;
  try {
    const user = await client.get({ mailbox, to: { path, query: { $select: 'id' } }, signal });
    const id = textOf(user, 'id');
    if (id !== null) return encodeURIComponent(id);
  } catch (thrown) {
    if (toSyncError(thrown).recovery.kind === 'retry' && toSyncError(thrown).code !== 'graph.item_not_found')
      throw thrown;
  }
  return encodeURIComponent(mailbox);
}

export interface CreateOptions extends Addresses {
  readonly resource: string;
  readonly isDefault: boolean;
  readonly scope: Scope;
  readonly clientState: string;
  readonly minutes: number;
  readonly now: Date;
  readonly signal: AbortSignal;
}

/** Graph calls both addresses before it answers. Throws SyncError when it is unknown whether it was made. */
export async function createSubscription(client: GraphClient, options: CreateOptions): Promise<Outcome> {
  const answer = await requestSubscription(client, options);
  if (answer.kind === 'ok') return readMade(answer.json);
  return judgeRefusal(answer.answer, answer.error, {
    minutes: options.minutes,
    isCalendar: options.scope === 'calendar' && !options.isDefault,
  });
}

/** The request of `createSubscription`, whose answer nobody has judged. */
export function requestSubscription(
  client: GraphClient,
  {
    resource,
    notificationUrl,
    lifecycleUrl,
    clientState,
    minutes,
    now,
    signal,
  }: Omit<CreateOptions, 'isDefault' | 'scope'>,
): Promise<SubscriptionAnswer> {
  return client.subscribe({
    do: 'create',
    body: {
      changeType: 'created,updated,deleted',
      resource,
      notificationUrl,
      // Cannot be added later (`change-notifications-lifecycle-events.md`).
      lifecycleNotificationUrl: lifecycleUrl,
      expirationDateTime: expiryText(now, minutes),
      clientState,
    },
    signal,
  });
}

/** Throws SyncError when no answer came. */
export async function renewSubscription(
  client: GraphClient,
  { graphId, minutes, now, signal }: { graphId: string; minutes: number; now: Date; signal: AbortSignal },
): Promise<Outcome> {
  const body = { expirationDateTime: expiryText(now, minutes) };
  const answer = await client.subscribe({ do: 'renew', id: graphId, body, signal });
  if (answer.kind === 'ok') return readMade(answer.json);
  if (isGone(answer.answer)) return { kind: 'gone' };
  return judgeRefusal(answer.answer, answer.error, { minutes, isCalendar: false });
}

/** Null: it is there no more. Throws SyncError otherwise. */
export async function deleteSubscription(client: GraphClient, graphId: string, signal: AbortSignal): Promise<void> {
  const answer = await client.subscribe({ do: 'delete', id: graphId, signal });
  if (answer.kind === 'refused' && !isGone(answer.answer)) throw answer.error;
}

const MAX_PAGES = 50;

/** All subscriptions of this app in this tenant. Throws SyncError. */
export async function listSubscriptions(client: GraphClient, signal: AbortSignal): Promise<Listed[]> {
  const found: Listed[] = [];
  // No mailbox's limit concerns these.
  const ask = (to: Parameters<GraphClient['get']>[0]['to']): Promise<unknown> =>
    client.get({ mailbox: '/subscriptions', to, signal });
  let page = readCollection(await ask({ path: '/subscriptions' }));
  for (let pages = 1; page !== null && pages <= MAX_PAGES; pages += 1) {
    for (const item of page.items) {
      const [graphId, resource, notificationUrl] = ['id', 'resource', 'notificationUrl'].map((name) =>
        textOf(item, name),
      );
      const expiresAt = instantOf(item);
      if (graphId && resource && notificationUrl && expiresAt !== null)
        found.push({ graphId, resource, notificationUrl, expiresAt });
    }
    if (page.nextLink === null) return found;
    page = readCollection(await ask({ link: page.nextLink }));
  }
  throw unreadable();
}

/**
 * What a refusal of a new or longer life means. Graph tells some cases by its message only (facts: microsoft-graph-docs
 * #2988, `change-notifications-supported-resources-expanded.md`). Pure.
 */
export function judgeRefusal(
  answer: FailedAnswer,
  error: SyncError,
  { minutes, isCalendar }: { minutes: number; isCalendar: boolean },
): Outcome {
  const { status, message } = answer;
  const isBad = status === 400 || status === 422;
  if (isBad && /expiration|minutes in the future/i.test(message)) {
    const shorter = shorterLife(minutes, longestNamed(answer));
    if (shorter !== null) return { kind: 'shorter', minutes: shorter };
  }
  if (isBad && /validation|notification ?(?:url|endpoint)/i.test(message))
    return { kind: 'refused', when: 'soon', isUnknown: false, error: unreachable(error) };
  if (status === 409) return { kind: 'duplicate', error };
  if (status === 403)
    return {
      kind: 'refused',
      when: 'daily',
      isUnknown: false,
      error: /limit|exceed|quota|maximum/i.test(message) ? quota(error) : error,
    };
  if (isBad || status === 404 || status === 405 || status === 501)
    return isCalendar
      ? { kind: 'not-this-calendar', error }
      : { kind: 'refused', when: 'daily', isUnknown: false, error };
  return { kind: 'refused', when: 'soon', isUnknown: status >= 500, error };
}

/** The longest life that a refusal names, in minutes (microsoft-graph-docs#2988); null: it names none. */
export function longestNamed({ message }: FailedAnswer): number | null {
  const named = /only be (\d+) minutes/i.exec(message)?.[1];
  return named === undefined ? null : Number(named);
}

function unreachable(cause: SyncError): SyncError {
  return new SyncError('Graph could not reach this service at PUBLIC_URL; calendars are polled.', {
    code: 'graph.notifications_unreachable',
    field: 'PUBLIC_URL',
    recovery: {
      kind: 'operator',
      remedy:
        'Let POST requests of Microsoft to PUBLIC_URL/api/graph/ through, by HTTPS with a publicly trusted chain.',
    },
    cause,
  });
}

function quota(cause: SyncError): SyncError {
  return new SyncError('The mailbox has as many subscriptions as Graph allows, over all apps; it is polled.', {
    code: 'graph.subscription_quota',
    recovery: { kind: 'operator', remedy: 'End subscriptions of other apps to this mailbox.' },
    cause,
  });
}

function isGone({ status, codes }: FailedAnswer): boolean {
  return status === 404 || status === 410 || codes.includes('ResourceNotFound');
}

function readMade(json: unknown): Outcome {
  const graphId = textOf(json, 'id');
  const expiresAt = instantOf(json);
  // It was made, or not: the list will tell.
  if (graphId === null || expiresAt === null) throw unreadable();
  return { kind: 'done', graphId, expiresAt };
}

function unreadable(): SyncError {
  return new SyncError('Graph answered something else than a subscription.', {
    code: 'graph.unreadable_answer',
    recovery: { kind: 'retry' },
  });
}

/** With Z, or Graph complains of camelCase (microsoft-graph-docs#2231). */
function expiryText(now: Date, minutes: number): string {
  return new Date(now.getTime() + minutes * 60_000).toISOString();
}

function instantOf(json: unknown): string | null {
  const text = textOf(json, 'expirationDateTime');
  return text === null || Number.isNaN(Date.parse(text)) ? null : new Date(text).toISOString();
}

function textOf(json: unknown, name: string): string | null {
  const value = typeof json === 'object' && json !== null ? (json as Record<string, unknown>)[name] : undefined;
  return typeof value === 'string' && value !== '' ? value : null;
}
