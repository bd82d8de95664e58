/** Change notifications: subscriptions, the validation handshake, delivery and lifecycle (`webhooks.md` and its family). */
import type { Json } from './event-json.ts';
import { changeKeyOf } from './event-json.ts';
import { graphError, ok, Refusal, type Answer, type Call } from './exchange.ts';
import { guid } from './ids.ts';
import type { Grant } from './login.ts';
import type { MailboxState, SubscriptionState } from './state.ts';
import type { Switches } from './switches.ts';
import type { Change, World } from './world.ts';

export type LifecycleEvent = 'reauthorizationRequired' | 'subscriptionRemoved' | 'missed';

export interface SubscriptionsOptions {
  readonly world: World;
  readonly switches: Switches;
  /** Carries the real POSTs to the notification URLs. */
  readonly fetch: typeof fetch;
  /** The handshake's limit; 10 s at Microsoft (microsoft-graph-docs#5554). */
  readonly handshakeMs: number;
}

export class Subscriptions {
  private readonly world: World;
  private readonly options: SubscriptionsOptions;
  private readonly waiting = new Map<string, Json[]>();
  private readonly running = new Set<Promise<void>>();
  private isPlanned = false;
  private count = 0;

  constructor(options: SubscriptionsOptions) {
    this.options = options;
    this.world = options.world;
    this.world.onChange((change) => this.notify(change));
  }

  /** `/subscriptions` and below, for the app that made them. */
  async answer(
    call: Call,
    grant: Grant,
    rest: readonly string[],
    access: (user: string) => MailboxState,
  ): Promise<Answer> {
    const [id, action] = rest;
    const mine = this.live().filter(
      ({ directory, client }) => directory === grant.directory && client === grant.client,
    );
    if (id === undefined && call.method === 'POST') return this.create(call, grant, access);
    if (id === undefined) return ok({ value: mine.map(subscriptionJson) });
    const subscription = mine.find((candidate) => candidate.id === id);
    if (!subscription) return graphError(404, 'ResourceNotFound', 'The object was not found.');
    if (call.method === 'DELETE') {
      this.remove(subscription);
      return { status: 204, body: null };
    }
    if (call.method === 'PATCH') {
      const { expirationDateTime } = JSON.parse(call.body) as { expirationDateTime?: string };
      subscription.expiresAt = this.expiryOf(expirationDateTime);
      this.world.save();
    }
    if (action === 'reauthorize') return { status: 204, body: null };
    return ok(subscriptionJson(subscription));
  }

  /** Resolves when every notification of changes up to now was answered or given up. */
  async settled(): Promise<void> {
    while (this.isPlanned || this.running.size > 0) {
      await Promise.all(this.running);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Sends a lifecycle item, which carries no resource (`change-notifications-lifecycle-events.md`). */
  async lifecycle(id: string, lifecycleEvent: LifecycleEvent): Promise<void> {
    const subscription = this.live().find((candidate) => candidate.id === id);
    if (!subscription) throw new Error(`No subscription ${id}.`);
    if (lifecycleEvent === 'subscriptionRemoved') this.remove(subscription);
    const url = subscription.lifecycleNotificationUrl ?? subscription.notificationUrl;
    await this.post(url, [{ lifecycleEvent, ...this.commonItem(subscription) }]);
  }

  live(): SubscriptionState[] {
    const now = this.world.now().getTime();
    return this.world.state.subscriptions.filter(({ expiresAt }) => Date.parse(expiresAt) > now);
  }

  private async create(call: Call, grant: Grant, access: (user: string) => MailboxState): Promise<Answer> {
    const body = JSON.parse(call.body) as Record<string, string | undefined>;
    const { changeType, resource, notificationUrl, clientState, lifecycleNotificationUrl } = body;
    if (changeType === undefined || resource === undefined || notificationUrl === undefined) {
      return graphError(400, 'InvalidRequest', 'changeType, resource and notificationUrl are required.');
    }
    if ((clientState ?? '').length > 128)
      return graphError(400, 'InvalidRequest', 'clientState exceeds 128 characters.');
    const [, user, calendar] = /^\/?users\/([^/]+)(?:\/calendars\/([^/]+))?\/events$/i.exec(resource) ?? [];
    // One single event is refused (microsoft-graph-docs#13548); a UPN with an apostrophe fails (`webhooks.md`).
    if (user === undefined || user.includes("'"))
      return graphError(400, 'InvalidRequest', `Resource '${resource}' is not supported.`);
    if (calendar !== undefined && this.options.switches.calendarSubscriptions === 'refused') {
      return graphError(400, 'ExtensionError', 'Subscriptions to a single calendar are not supported.');
    }
    const mailbox = access(decodeURIComponent(user));
    const expiresAt = this.expiryOf(body['expirationDateTime']);
    const isTwin = this.live().some(
      (other) => other.resource === resource && other.notificationUrl === notificationUrl,
    );
    if (isTwin && this.options.switches.duplicateSubscriptions === 'refused') {
      return graphError(409, 'InvalidRequest', 'A subscription with the same properties exists.');
    }
    if (this.live().filter((other) => other.mailbox === mailbox.id).length >= 1000) {
      return graphError(
        403,
        'Forbidden',
        'The number of active subscriptions for this mailbox exceeds the limit of 1000.',
      );
    }
    // The POST stays open while Graph calls the client's URLs.
    for (const url of [notificationUrl, lifecycleNotificationUrl]) {
      const failure = url === undefined ? null : await this.handshake(url);
      if (failure !== null) return graphError(400, 'InvalidRequest', failure);
    }
    const subscription: SubscriptionState = {
      id: guid('subscription', this.world.nextCount()),
      directory: grant.directory,
      client: grant.client,
      resource,
      mailbox: mailbox.id,
      calendar: calendar === undefined ? null : decodeURIComponent(calendar),
      changeType,
      notificationUrl,
      lifecycleNotificationUrl: lifecycleNotificationUrl ?? null,
      clientState: clientState ?? null,
      expiresAt,
      // Immutable ids only if asked for at creation (`outlook-immutable-id.md`).
      isImmutable: /IdType\s*=\s*"?ImmutableId/i.test(call.headers['prefer'] ?? ''),
    };
    this.world.state.subscriptions.push(subscription);
    this.world.save();
    return { status: 201, body: subscriptionJson(subscription) };
  }

  private expiryOf(text: string | undefined): string {
    // Without Z: 400 about camelCase (microsoft-graph-docs#2231).
    if (text === undefined || !/Z$/.test(text)) {
      throw new Refusal(
        graphError(400, 'InvalidRequest', 'Property names must be camelCase; expirationDateTime is not valid.'),
      );
    }
    const now = this.world.now().getTime();
    const minutes = (Date.parse(text) - now) / 60_000;
    const most = this.options.switches.subscriptionMinutes;
    if (!(minutes > 0))
      throw new Refusal(graphError(400, 'InvalidRequest', 'Subscription expiration must be in the future.'));
    // Above the cap is an error, not a clamp (microsoft-graph-docs#2988).
    if (minutes > most) {
      throw new Refusal(
        graphError(400, 'ExtensionError', `Subscription expiration can only be ${most} minutes in the future.`),
      );
    }
    // Under 45 minutes is raised to 45.
    return new Date(now + Math.max(minutes, 45) * 60_000).toISOString();
  }

  /** Null when the client echoed the token as it must; else what Graph says. */
  private async handshake(url: string): Promise<string | null> {
    this.count += 1;
    // Real tokens hold spaces, colons and prose (microsoft-graph-docs#21160).
    const token = `Validation: Testing client application reachability for subscription Request-Id: ${guid('handshake', this.count)} + 1`;
    const target = new URL(url);
    target.searchParams.set('validationToken', token);
    try {
      const response = await this.options.fetch(target.href, {
        method: 'POST',
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        body: '',
        signal: AbortSignal.timeout(this.options.handshakeMs),
      });
      const text = await response.text();
      const isPlain = (response.headers.get('content-type') ?? '').startsWith('text/plain');
      if (response.status === 200 && isPlain && text === token) return null;
      return `Subscription validation request failed. Response must exactly match validationToken query parameter. Status ${response.status}.`;
    } catch {
      return 'Subscription validation request timed out.';
    }
  }

  private remove(subscription: SubscriptionState): void {
    this.world.state.subscriptions = this.world.state.subscriptions.filter((other) => other !== subscription);
    this.world.save();
  }

  /** Batches by URL, so that one POST may mix subscriptions and tenants. */
  private notify({ item, calendar, kind }: Change): void {
    for (const subscription of this.live()) {
      const isSubject =
        subscription.mailbox === calendar.mailbox &&
        (subscription.calendar === null || subscription.calendar === calendar.id);
      if (!isSubject) continue;
      const id = subscription.isImmutable ? item.key : item.id;
      const path = `Users/${calendar.mailbox}/Events/${id}`;
      // A change of one occurrence arrives as updated on the master (microsoft-graph-docs#5520).
      const several = this.options.switches.notifications === 'several';
      const kinds = several ? (kind === 'created' ? ['created', 'updated'] : [kind, kind, kind]) : [kind];
      for (const changeType of kinds) {
        if (!subscription.changeType.split(',').includes(changeType)) continue;
        const etag = kind === 'deleted' ? {} : { '@odata.etag': `W/"${changeKeyOf(item)}"` };
        this.enqueue(subscription.notificationUrl, {
          ...this.commonItem(subscription),
          changeType,
          resource: path,
          resourceData: { '@odata.type': '#Microsoft.Graph.Event', '@odata.id': path, ...etag, id },
        });
      }
    }
  }

  private commonItem({ id, expiresAt, clientState, directory }: SubscriptionState): Json {
    return {
      subscriptionId: id,
      subscriptionExpirationDateTime: expiresAt,
      tenantId: directory,
      ...(clientState === null ? {} : { clientState }),
    };
  }

  private enqueue(url: string, item: Json): void {
    this.waiting.set(url, [...(this.waiting.get(url) ?? []), item]);
    if (this.isPlanned) return;
    this.isPlanned = true;
    setImmediate(() => {
      this.isPlanned = false;
      for (const [target, items] of this.waiting) {
        const sending = this.post(target, items).finally(() => this.running.delete(sending));
        this.running.add(sending);
      }
      this.waiting.clear();
    });
  }

  /** Anything but 2xx is tried again; Microsoft does so for four hours, the simulator twice. */
  private async post(url: string, value: Json[]): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      try {
        const response = await this.options.fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json; charset=utf-8' },
          body: JSON.stringify({ value }),
          signal: AbortSignal.timeout(3_000),
        });
        await response.arrayBuffer();
        if (response.ok) return;
      } catch {
        // Unreachable now: the next attempt follows.
      }
    }
  }
}

function subscriptionJson(subscription: SubscriptionState): Json {
  const { id, resource, changeType, clientState, notificationUrl, lifecycleNotificationUrl, expiresAt, client } =
    subscription;
  return {
    '@odata.context': 'https://graph.microsoft.com/v1.0/$metadata#subscriptions/$entity',
    id,
    resource,
    applicationId: client,
    changeType,
    clientState,
    notificationUrl,
    lifecycleNotificationUrl,
    expirationDateTime: expiresAt,
    latestSupportedTlsVersion: 'v1_2',
  };
}
