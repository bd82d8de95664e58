import { createHash } from 'node:crypto';
import { backoffMs } from '../shared/backoff.ts';
import type { Clock } from '../shared/clock.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import { compareWithList, planSubscriptions, renewAt, type Step } from '../sources/graph/plan-subscriptions.ts';
import {
  addressesBelow,
  createSubscription,
  deleteSubscription,
  isOurAddress,
  listSubscriptions,
  readBehaviours,
  renewSubscription,
  resourceOf,
  subscriptionHabits,
  type GraphClient,
} from '../sources/graph/subscriptions.ts';
import { saveMet } from '../store/behaviours.ts';
import { recordHistory } from '../store/history.ts';
import type { Store } from '../store/database.ts';
import {
  adoptSubscription,
  forgetSubscription,
  loadPush,
  loseSubscription,
  postponeSubscription,
  recordAttempt,
  recordCreated,
  recordDuplicate,
  recordMailboxScope,
  recordRenewed,
  recordShorter,
  settleAttempt,
  shareSubscription,
  type Life,
  type SubscriptionState,
  type TenantPush,
} from '../store/subscriptions.ts';
import { every, type Repetition } from './every.ts';
import { sideBySide } from './side-by-side.ts';
import { withLease } from './with-lease.ts';

export interface SubscriptionDeps {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
  /** A secret of at least 128 bits, for a subscription's client state. */
  readonly mint: () => string;
  readonly holder: string;
  /** Where Graph reaches us; null: nowhere, so that nothing is subscribed. */
  readonly publicUrl: string | null;
  /** This installation's part of the notification addresses. */
  readonly secret: string;
  /** Throws SyncError where the tenant cannot be signed in to. */
  readonly open: (tenantId: string) => Promise<GraphClient>;
  /** Hints that a source is to be read: nobody told what changed so far. */
  readonly hint: (sourceId: string) => void;
}

export interface SubscriptionKeeper {
  /** Does all that is due now, and waits for it. Never throws for what Graph answers: that is recorded with the rows. */
  keep(): Promise<void>;
  /** Keeps from now on, at once and every few seconds: what was applied meanwhile is seen then. */
  start(): void;
  stop(): Promise<void>;
}

const keepEveryMs = 10_000;
const tenantsAtOnce = 32;
/** A step may make the next one due (a shorter life is granted, the mailbox has to do); then nothing is left. */
const mostRounds = 8;
const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** Deleting is given up then: what is not renewed ends by itself. */
const mostDeletions = 5;

/**
 * Carries out what `planSubscriptions` finds due, tenant by tenant under a lease, one request at a time. No transaction
 * and no connection is held while Graph is asked: its answer waits for our own receiver. Whatever fails, sources are
 * polled.
 */
export function subscriptionKeeper(deps: SubscriptionDeps): SubscriptionKeeper {
  const { db } = deps.store;
  const stopping = new AbortController();
  const listedAt = new Map<string, number>();
  const isStopping = (): boolean => stopping.signal.aborted;
  const tenants = sideBySide(tenantsAtOnce);
  let latest: Promise<void> = Promise.resolve();
  let repetition: Repetition | null = null;

  const isListDue = (tenantId: string): boolean => {
    const last = listedAt.get(tenantId);
    return deps.publicUrl !== null && (last === undefined || deps.clock.now().getTime() - last >= dayMs);
  };
  const planOf = ({ tenantId, sources, subscriptions, behaviours }: TenantPush): Step[] => {
    if (isListDue(tenantId)) return [{ do: 'list' }];
    const now = deps.clock.now();
    const habits = subscriptionHabits(readBehaviours(behaviours), now);
    return planSubscriptions({ now, publicUrl: deps.publicUrl, sources, subscriptions, habits });
  };

  const keepTenant = async (tenantId: string, signal: AbortSignal): Promise<void> => {
    for (let round = 0; round < mostRounds; round += 1) {
      const [push] = await loadPush(db, tenantId);
      if (push === undefined) return;
      if (!push.isKnown) {
        // Without its credential nobody can be told; what is not renewed ends by itself.
        for (const { sourceId } of push.subscriptions) await drop(deps, sourceId, 'tenant-removed');
        return;
      }
      const steps = planOf(push);
      if (steps.length === 0) return;
      const tenant: Tenant = { deps, push, signal, opened: null };
      for (const step of steps) {
        signal.throwIfAborted();
        if (step.do === 'list') {
          const isRead = await list(tenant);
          listedAt.set(tenantId, deps.clock.now().getTime() - (isRead ? 0 : dayMs - hourMs));
        } else if (await carryOut(tenant, step)) {
          // Nobody reaches us: each further attempt would take as long to fail.
          for (const other of steps.slice(steps.indexOf(step) + 1))
            if (other.do === 'create')
              await postpone(tenant, other, unreachableAsWell(), { when: 'soon', isUnknown: false });
          return;
        }
      }
    }
  };

  const keepOne = async (tenantId: string): Promise<void> => {
    if (isStopping()) return;
    try {
      await withLease(db, `push:${tenantId}`, deps.holder, stopping.signal, (_, signal) =>
        keepTenant(tenantId, signal),
      );
    } catch (thrown) {
      if (!isStopping())
        deps.log.event('worker.failed', { kind: 'subscriptions', id: tenantId, reason: toSyncError(thrown).message });
    }
  };
  const keep = async (): Promise<void> => {
    const due = (await loadPush(db)).filter((push) => !push.isKnown || planOf(push).length > 0);
    await tenants.run(
      due.map(({ tenantId }) => tenantId),
      keepOne,
    );
  };
  /** Who is slow delays no other: the next round does not wait for this one. */
  const beginKeeping = (): void => {
    if (isStopping()) return;
    latest = keep().catch((thrown: unknown) => {
      deps.log.event('worker.failed', { kind: 'subscriptions', id: '', reason: toSyncError(thrown).message });
    });
  };
  return {
    keep,
    start() {
      beginKeeping();
      repetition = every(keepEveryMs, beginKeeping);
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      await repetition?.stop();
      await latest;
      await tenants.settled();
    },
  };
}

/** One tenant in one pass. */
interface Tenant {
  readonly deps: SubscriptionDeps;
  readonly push: TenantPush;
  readonly signal: AbortSignal;
  opened: GraphClient | null;
}

async function clientOf(tenant: Tenant): Promise<GraphClient> {
  return (tenant.opened ??= await tenant.deps.open(tenant.push.tenantId));
}

type Doable = Exclude<Step, { do: 'list' }>;

/** True: Graph cannot reach us. */
async function carryOut(tenant: Tenant, step: Doable): Promise<boolean> {
  try {
    switch (step.do) {
      case 'create':
        return await create(tenant, step);
      case 'renew':
        await renew(tenant, step);
        break;
      case 'delete':
        if (step.graphId !== null) await deleteSubscription(await clientOf(tenant), step.graphId, tenant.signal);
        await drop(tenant.deps, step.sourceId, step.why);
    }
  } catch (thrown) {
    // Told to stop: what was begun is found by the list.
    tenant.signal.throwIfAborted();
    if (step.do === 'delete' && step.failures >= mostDeletions) await drop(tenant.deps, step.sourceId, step.why);
    else await postpone(tenant, step, toSyncError(thrown), { when: 'soon', isUnknown: true });
  }
  return false;
}

async function create(tenant: Tenant, step: Extract<Step, { do: 'create' }>): Promise<boolean> {
  const { deps, push, signal } = tenant;
  const { store, publicUrl } = deps;
  if (publicUrl === null) return false;
  const { source, minutes } = step;
  const client = await clientOf(tenant);
  const { resource, isDefault } = await resourceOf(client, source, step.scope, signal);
  const { id: sourceId, mailbox, calendar } = source;
  const scope = isDefault ? 'calendar' : step.scope;
  const at = deps.clock.now();
  const attempt = {
    sourceId,
    tenantId: push.tenantId,
    mailbox,
    calendar,
    scope,
    resource,
    url: publicUrl,
    at,
  } as const;
  if (await shareSubscription(store.db, attempt)) {
    await tellCreated(deps, sourceId, 'shared', scope, minutes);
    return false;
  }
  const clientState = deps.mint();
  const clientStateHash = createHash('sha256').update(clientState).digest('hex');
  await recordAttempt(store.db, { ...attempt, clientStateHash, minutes });
  const addresses = addressesBelow(publicUrl, deps.secret);
  const outcome = await createSubscription(client, {
    ...addresses,
    resource,
    isDefault,
    scope,
    clientState,
    minutes,
    now: at,
    signal,
  });
  switch (outcome.kind) {
    case 'done': {
      const life = lifeOf(deps, outcome);
      if (await recordCreated(store.db, sourceId, clientStateHash, { ...life, at: deps.clock.now() })) {
        if (scope === 'mailbox') await recordMailboxScope(store.db, sourceId, mailboxOnly);
        await tellCreated(deps, sourceId, step.why, scope, minutesOf(deps, outcome.expiresAt));
      } else await deleteSubscription(client, outcome.graphId, signal);
      return false;
    }
    case 'shorter':
      await recordShorter(store.db, sourceId, outcome.minutes);
      await recordMet(tenant, outcome.minutes);
      return false;
    case 'not-this-calendar':
      await recordMailboxScope(store.db, sourceId, mailboxOnly);
      return false;
    case 'duplicate':
      if (step.failures === 0) await recordDuplicate(store.db, sourceId);
      else await postpone(tenant, step, outcome.error, { when: 'soon', isUnknown: false });
      return false;
    case 'gone':
      return false;
    case 'refused':
      await postpone(tenant, step, outcome.error, outcome);
      return outcome.error.code === 'graph.notifications_unreachable';
  }
}

const mailboxOnly = {
  code: 'graph.calendar_subscription_refused',
  reason: 'Graph tells of changes of the whole mailbox only, perhaps not of this calendar; it is polled as well.',
};

/** For new subscriptions of the tenant, whatever a probe found before: a life that was not refused yet. */
async function recordMet({ deps, push }: Tenant, minutes: number): Promise<void> {
  const at = deps.clock.now().toISOString();
  await saveMet(deps.store.db, push.tenantId, 'subscriptionMinutes', { answer: `${minutes + 1}`, by: 'reading', at });
}

async function renew(tenant: Tenant, step: Extract<Step, { do: 'renew' }>): Promise<void> {
  const { deps, signal } = tenant;
  const { sourceId, graphId, minutes } = step;
  const now = deps.clock.now();
  const outcome = await renewSubscription(await clientOf(tenant), { graphId, minutes, now, signal });
  switch (outcome.kind) {
    case 'done':
      await recordRenewed(deps.store.db, lifeOf(deps, outcome));
      deps.log.event('subscription.renewed', { source: sourceId, minutes: minutesOf(deps, outcome.expiresAt) });
      await recordHistory(deps.store.db, { status: 'ok', action: 'renew-subscription', sourceId });
      return;
    case 'gone':
      await lose(deps, graphId, 'lost');
      return;
    case 'shorter':
      await recordShorter(deps.store.db, sourceId, outcome.minutes);
      return;
    case 'not-this-calendar':
    case 'duplicate':
      await postpone(tenant, step, outcome.error, { when: 'soon', isUnknown: false });
      return;
    case 'refused':
      await postpone(tenant, step, outcome.error, outcome);
  }
}

/** Compares what Graph has with what we know. False: Graph did not say. */
async function list(tenant: Tenant): Promise<boolean> {
  const { deps, push, signal } = tenant;
  const { db } = deps.store;
  try {
    const client = await clientOf(tenant);
    const findings = compareWithList(await listSubscriptions(client, signal), push.subscriptions, {
      now: deps.clock.now(),
      urlOf: (publicUrl) => addressesBelow(publicUrl, deps.secret).notificationUrl,
      isOurs: (url) => isOurAddress(url, deps.secret),
    });
    for (const finding of findings) {
      switch (finding.do) {
        case 'adopt':
          await adoptSubscription(db, finding.sourceId, { ...lifeOf(deps, finding), at: deps.clock.now() });
          await tellCreated(deps, finding.sourceId, 'adopted', 'calendar', minutesOf(deps, finding.expiresAt));
          break;
        case 'settle':
          await settleAttempt(db, finding.sourceId);
          break;
        case 'lose':
          await lose(deps, finding.graphId, 'lost');
          break;
        case 'delete':
          await deleteSubscription(client, finding.graphId, signal);
          deps.log.event('subscription.removed', { source: '', why: 'stray' });
      }
    }
    return true;
  } catch (thrown) {
    signal.throwIfAborted();
    for (const one of push.subscriptions)
      if (one.graphId === null && one.attemptedAt !== null)
        await postpone(tenant, { do: 'list', row: one }, toSyncError(thrown), { when: 'soon', isUnknown: true });
    return false;
  }
}

async function lose(deps: SubscriptionDeps, graphId: string, why: string): Promise<void> {
  for (const sourceId of await loseSubscription(deps.store.db, graphId)) {
    await tellRemoved(deps, sourceId, why);
    deps.hint(sourceId);
  }
}

async function drop(deps: SubscriptionDeps, sourceId: string, why: string): Promise<void> {
  await forgetSubscription(deps.store.db, sourceId);
  await tellRemoved(deps, sourceId, why);
  deps.hint(sourceId);
}

async function postpone(
  tenant: Tenant,
  step: Doable | { readonly do: 'list'; readonly row: SubscriptionState },
  error: SyncError,
  { when, isUnknown }: { when: 'soon' | 'daily'; isUnknown: boolean },
): Promise<void> {
  const { deps, push } = tenant;
  const now = deps.clock.now().getTime();
  const row = step.do === 'list' ? step.row : push.subscriptions.find((one) => one.sourceId === sourceOf(step));
  const failures = row?.failures ?? 0;
  const named = error.recovery.kind === 'retry' ? error.recovery.notBefore : undefined;
  const waitMs =
    when === 'daily' ? dayMs * (0.95 + 0.1 * deps.random()) : backoffMs(failures + 1, deps.random(), 60_000, hourMs);
  const place =
    step.do === 'create'
      ? { sourceId: step.source.id, mailbox: step.source.mailbox, calendar: step.source.calendar, scope: step.scope }
      : row;
  if (place === undefined) return;
  await postponeSubscription(deps.store.db, {
    sourceId: place.sourceId,
    mailbox: place.mailbox,
    calendar: place.calendar,
    scope: place.scope,
    tenantId: push.tenantId,
    url: row?.url ?? deps.publicUrl ?? '',
    minutes: step.do === 'create' ? step.minutes : (row?.minutes ?? 0),
    notBefore: new Date(Math.max(now + waitMs, named?.getTime() ?? 0)),
    code: error.code,
    reason: error.message,
    isUnknown,
  });
  const { code, message } = error;
  deps.log.event('subscription.failed', { source: place.sourceId, during: step.do, code, reason: message });
  await recordHistory(deps.store.db, { status: 'error', action: 'subscribe', sourceId: place.sourceId, code, message });
}

function sourceOf(step: Doable): string {
  return step.do === 'create' ? step.source.id : step.sourceId;
}

function unreachableAsWell(): SyncError {
  return new SyncError('Graph could not reach this service at PUBLIC_URL for another source; this one is polled.', {
    code: 'graph.notifications_unreachable',
    field: 'PUBLIC_URL',
    recovery: { kind: 'retry' },
  });
}

function lifeOf(deps: SubscriptionDeps, { graphId, expiresAt }: { graphId: string; expiresAt: string }): Life {
  return { graphId, expiresAt, renewAt: renewAt(deps.clock.now(), new Date(expiresAt), deps.random()) };
}

function minutesOf(deps: SubscriptionDeps, expiresAt: string): number {
  return Math.round((Date.parse(expiresAt) - deps.clock.now().getTime()) / 60_000);
}

async function tellCreated(
  deps: SubscriptionDeps,
  source: string,
  why: string,
  scope: string,
  minutes: number,
): Promise<void> {
  deps.log.event('subscription.created', { source, why, scope, minutes });
  await recordHistory(deps.store.db, { status: 'ok', action: 'subscribe', sourceId: source, message: why });
  deps.hint(source);
}

async function tellRemoved(deps: SubscriptionDeps, source: string, why: string): Promise<void> {
  deps.log.event('subscription.removed', { source, why });
  await recordHistory(deps.store.db, { status: 'ok', action: 'unsubscribe', sourceId: source, message: why });
}
