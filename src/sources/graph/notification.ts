/** What Graph posts to our address, read without believing anything in it. Pure. */

export type LifecycleEvent = 'missed' | 'subscriptionRemoved' | 'reauthorizationRequired';

/** One item of a batch, reduced to what is of use: a hint that something of a subscription's resource changed. */
export interface Notification {
  readonly subscriptionId: string;
  /** Proves that Graph sent it; null where it has none. */
  readonly clientState: string | null;
  /** Null: a change. An event that we do not know is read as `missed`, which costs one reading. */
  readonly lifecycle: LifecycleEvent | null;
}

export type Batch =
  /** `malformed` counts items that name no subscription. */
  | { readonly kind: 'batch'; readonly items: readonly Notification[]; readonly malformed: number }
  | { readonly kind: 'refused'; readonly reason: 'not-json' | 'too-deep' | 'no-batch' };

/** Items hold `resourceData` and no more; what nests deeper was not made by Graph. */
const MAX_DEPTH = 12;
const MAX_ID = 100;
/** Graph keeps 128 characters at most. */
const MAX_CLIENT_STATE = 128;

/**
 * Reads a body of `/api/graph/notifications` or `/api/graph/lifecycle`. Batches mix subscriptions and tenants, repeat
 * themselves and come late; which kind of change one tells of is not to be relied on (Graph docs,
 * `change-notifications-delivery-webhooks.md`, `change-notifications-lifecycle-events.md`), so that it is not even read.
 */
export function readBatch(body: string): Batch {
  if (isDeeperThan(body, MAX_DEPTH)) return { kind: 'refused', reason: 'too-deep' };
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { kind: 'refused', reason: 'not-json' };
  }
  const value = member(json, 'value');
  if (!Array.isArray(value)) return { kind: 'refused', reason: 'no-batch' };
  const items = value.map(readItem).filter((item) => item !== null);
  return { kind: 'batch', items, malformed: value.length - items.length };
}

function readItem(item: unknown): Notification | null {
  const subscriptionId = member(item, 'subscriptionId');
  if (typeof subscriptionId !== 'string' || subscriptionId === '' || subscriptionId.length > MAX_ID) return null;
  const clientState = member(item, 'clientState');
  const isUsable = typeof clientState === 'string' && clientState.length <= MAX_CLIENT_STATE;
  return {
    subscriptionId,
    clientState: isUsable ? clientState : null,
    lifecycle: lifecycleOf(member(item, 'lifecycleEvent')),
  };
}

function lifecycleOf(value: unknown): LifecycleEvent | null {
  if (value === undefined || value === null) return null;
  return value === 'subscriptionRemoved' || value === 'reauthorizationRequired' ? value : 'missed';
}

/** Counts brackets outside strings before anything is built of them. */
function isDeeperThan(text: string, most: number): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x22) index = endOfString(text, index);
    else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > most) return true;
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
  return false;
}

function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

function member(json: unknown, name: string): unknown {
  return typeof json === 'object' && json !== null ? (json as Record<string, unknown>)[name] : undefined;
}
