/**
 * Microsoft's login and Graph for tests and the demo: real HTTP on loopback, one port per real origin, every reported
 * oddity of Graph's calendars, and the truth beside it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from 'node:https';
import type { AddressInfo } from 'node:net';

import { microsoftClouds, type SimulatedCloud } from './clouds.ts';
import { DeltaStreams } from './delta.ts';
import type { Answer, Call } from './exchange.ts';
import { Faults, matches, statusAnswer, type Fault, type FaultOptions, type How } from './faults.ts';
import { GraphApi, throttled } from './graph-api.ts';
import type { TruthInstance } from './instances.ts';
import { Login } from './login.ts';
import { callOf, lineOf, write } from './loopback.ts';
import { mapOrigins, type OriginMap } from './origins.ts';
import type { OutlookCalendar } from './outlook.ts';
import { OutlookMailbox, SimulatedTenant, tenantFrom, type TenantOptions } from './people.ts';
import { Subscriptions, type LifecycleEvent } from './subscriptions.ts';
import { defaultSwitches, type Switches } from './switches.ts';
import { World } from './world.ts';

export interface SimulatorOptions {
  readonly clouds?: readonly SimulatedCloud[];
  readonly tenants?: readonly TenantOptions[];
  readonly switches?: Partial<Switches>;
  /** Default: the real clock. */
  readonly now?: () => Date;
  readonly seed?: string;
  /** Keeps the state over kills: read at start, written on each change. */
  readonly stateFile?: string;
  /** Serves each origin over TLS, with what this gives for it; default: plain HTTP. */
  readonly tls?: (origin: string) => Pick<TlsOptions, 'key' | 'cert'>;
  /** Real origin → loopback origin to listen on; others get any free port. Lets a restart keep its addresses. */
  readonly listenOn?: OriginMap;
  readonly latencyMs?: number;
  /** Entries per page where the client names no size; Graph's default is 10. */
  readonly pageSize?: number;
  readonly tokenMinutes?: number;
  readonly handshakeMs?: number;
  /** For notifications; default: the global fetch, which must only meet loopback. */
  readonly callbackFetch?: typeof fetch;
}

export interface RecordedRequest {
  readonly method: string;
  /** On the real host, as the client wrote it. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  status: number | null;
}

export class GraphSimulator {
  /** May be changed at any time. */
  readonly switches: Switches;
  /** Milliseconds that each answer takes; may be changed at any time. */
  latencyMs: number;
  /** Milliseconds of work that each request adds to that; inside a batch each of its requests, one after the other if chained. */
  serviceMs = 0;
  /** Requests that something before us holds back: they count as in hand, as those that are served at once do. */
  heldBack = 0;
  /** Minutes that tokens issued from now on live; Entra gives 60 to 90. */
  tokenMinutes: number;
  readonly requests: RecordedRequest[] = [];
  readonly originMap: OriginMap;
  /** Reaches the simulator under the real hosts' names, and nothing beyond loopback. */
  readonly fetch: typeof fetch;
  readonly world: World;
  private readonly servers: readonly Server[];
  private readonly login: Login;
  private readonly graph: GraphApi;
  private readonly delta: DeltaStreams;
  private readonly subscriptionApi: Subscriptions;
  private readonly faults = new Faults();
  private readonly inFlight = new Map<string, number>();
  private readonly watchers = new Set<() => void>();
  private readonly clouds: readonly SimulatedCloud[];

  constructor(options: SimulatorOptions, servers: ReadonlyMap<string, Server>) {
    const { clouds = microsoftClouds, now = () => new Date(), seed = 'simulator' } = options;
    this.clouds = clouds;
    this.switches = { ...defaultSwitches, ...options.switches };
    this.latencyMs = options.latencyMs ?? 0;
    this.tokenMinutes = options.tokenMinutes ?? 75;
    this.world = new World({ now, seed, stateFile: options.stateFile ?? null });
    this.login = new Login(this.world, clouds, () => this.tokenMinutes);
    this.delta = new DeltaStreams(this.world, this.switches);
    const { callbackFetch = fetch, handshakeMs = 10_000, pageSize = 10 } = options;
    const { world, switches, login, delta } = this;
    this.subscriptionApi = new Subscriptions({ world, switches, fetch: callbackFetch, handshakeMs });
    this.graph = new GraphApi({
      world,
      switches,
      login,
      delta,
      subscriptions: this.subscriptionApi,
      clouds,
      pageSize,
      serviceMs: () => this.serviceMs,
    });
    this.servers = [...servers.values()];
    this.originMap = Object.fromEntries(
      [...servers].map(([origin, server]) => [
        origin,
        `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
      ]),
    );
    this.fetch = mapOrigins(this.originMap);
    for (const [origin, server] of servers) {
      server.on('request', (request, response) => void this.serve(origin, request, response));
    }
    for (const tenant of options.tenants ?? []) if (!this.world.tenant(tenant.directory)) this.addTenant(tenant);
  }

  addTenant(options: TenantOptions): SimulatedTenant {
    const state = tenantFrom(options);
    this.world.state.tenants.push(state);
    this.world.save();
    return new SimulatedTenant(this.world, state);
  }

  tenant(directoryOrDomain: string): SimulatedTenant {
    const state = this.world.tenant(directoryOrDomain);
    if (!state) throw new Error(`No tenant ${directoryOrDomain}.`);
    return new SimulatedTenant(this.world, state);
  }

  /** Finds a mailbox of any tenant. */
  mailbox(upn: string): OutlookMailbox {
    const state = this.world.state.mailboxes.find((mailbox) => mailbox.upn.toLowerCase() === upn.toLowerCase());
    if (!state) throw new Error(`No mailbox ${upn}.`);
    return new OutlookMailbox(this.world, state);
  }

  /** The truth: what Outlook shows of a calendar in a span of UTC instants, sorted by start. */
  expected(calendar: OutlookCalendar, window: { from: string; to: string }): TruthInstance[] {
    return calendar.expected(window);
  }

  /** Somebody enters a device code and signs in. */
  enterDeviceCode(userCode: string, upn: string): void {
    this.login.signIns.enterDeviceCode(userCode, upn);
  }

  /** Device codes that nobody has entered yet, oldest first. */
  waitingCodes(): string[] {
    return this.login.signIns.waitingCodes();
  }

  /** An administrator ends somebody's sign-ins: refreshing answers AADSTS50173. */
  revokeSignIns(upn: string): void {
    this.login.signIns.revoke(upn);
  }

  fail(options: FaultOptions): Fault {
    return this.faults.add(options);
  }

  /**
   * Does something once, just before the next matching request is answered: what happens between two requests. Call the
   * result to have it undone while it waits.
   */
  before(match: string | RegExp, act: () => void): () => void {
    return this.faults.before(match, act);
  }

  /** Loses the sync states of delta queries, of one calendar or all: the next links answer as `syncStateError` says. */
  forgetDeltaTokens(calendar?: OutlookCalendar): void {
    this.delta.forget(calendar?.id);
  }

  /**
   * Lets delta lag behind the truth, as it may for a while after a notification (`delta-query-overview.md`): rounds tell
   * nothing of what changes from now on. Call the result to end it.
   */
  delayChanges(): () => void {
    this.delta.hold();
    return () => this.delta.release();
  }

  /**
   * Resolves with the first request from number `from` on, recorded already or yet to come, that matches `METHOD url`
   * (percent-decoded).
   */
  async waitForRequest(match: string | RegExp, from = 0): Promise<RecordedRequest> {
    for (;;) {
      const found = this.requests.slice(from).find((request) => matches(lineOf(request.method, request.url), match));
      if (found) return found;
      await new Promise<void>((resolve) => this.watchers.add(resolve));
    }
  }

  /** Resolves when all notifications of changes so far have been delivered or given up. */
  notificationsSettled(): Promise<void> {
    return this.subscriptionApi.settled();
  }

  subscriptions(): ReturnType<Subscriptions['live']> {
    return this.subscriptionApi.live();
  }

  sendLifecycle(subscriptionId: string, event: LifecycleEvent): Promise<void> {
    return this.subscriptionApi.lifecycle(subscriptionId, event);
  }

  /** Everything that must not be forgotten, as JSON. Delta states are not part of it. */
  snapshot(): string {
    return this.world.snapshot();
  }

  restore(json: string): void {
    this.world.restore(json);
    this.delta.forget();
  }

  async close(): Promise<void> {
    await Promise.all(
      this.servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
  }

  private async serve(origin: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = await callOf(origin, request);
    const recorded: RecordedRequest = {
      method: call.method,
      url: call.url.href,
      headers: call.headers,
      body: call.body,
      status: null,
    };
    this.requests.push(recorded);
    for (const watcher of this.watchers) watcher();
    this.watchers.clear();
    const meter = this.meterOf(call);
    const concurrent = meter === null ? 0 : (this.inFlight.get(meter) ?? 0) + 1;
    if (meter !== null) this.inFlight.set(meter, concurrent);
    try {
      const line = lineOf(call.method, call.url.href);
      this.faults.runActs(line);
      const how = this.faults.take(line);
      const workMs = call.url.pathname === '/v1.0/$batch' ? 0 : this.serviceMs;
      const slowMs = how && 'slowMs' in how ? how.slowMs : this.latencyMs + workMs;
      if (slowMs > 0) await new Promise((resolve) => setTimeout(resolve, slowMs));
      const isOver = concurrent + this.heldBack > this.switches.mailboxConcurrency && meter !== null;
      const answer = isOver ? throttled(this.switches) : await this.answer(call, how);
      if (answer) recorded.status = answer.status;
      write(response, answer, how);
    } catch (error) {
      recorded.status = 500;
      write(response, { status: 500, body: `The simulator itself failed: ${String(error)}` }, null);
    } finally {
      if (meter !== null) this.inFlight.set(meter, (this.inFlight.get(meter) ?? 1) - 1);
    }
  }

  /** Null: the connection breaks before anything is done. */
  private async answer(call: Call, how: How | null): Promise<Answer | null> {
    if (how && 'reset' in how && how.reset === 'before') return null;
    if (how && 'status' in how) return statusAnswer(how);
    if (how && 'answer' in how) return how.answer;
    if (how && 'html' in how) {
      return {
        status: how.html,
        headers: { 'content-type': 'text/html' },
        body: '<html><body>Bad gateway</body></html>',
      };
    }
    const isGraph = this.clouds.some(({ graph }) => graph === call.url.origin);
    return isGraph ? this.graph.answer(call) : this.login.answer(call);
  }

  /** Requests at once are counted per app and mailbox, or per app. */
  private meterOf(call: Call): string | null {
    const [, user] = /^\/v1\.0\/users\/([^/]+)\/./.exec(call.url.pathname) ?? [];
    const token = (call.headers['authorization'] ?? '').replace(/^Bearer /, '');
    if (user === undefined) return null;
    const grant = this.login.grantOf(token);
    const tenant = grant && this.world.tenant(grant.directory);
    const mailbox = tenant && this.world.mailboxOf(tenant, decodeURIComponent(user));
    if (!grant || !mailbox) return null;
    return `${grant.client} ${this.switches.concurrencyPer === 'app' ? '' : mailbox.id}`;
  }
}

/** Starts listening on one loopback port per origin of the clouds. */
export async function startGraphSimulator(options: SimulatorOptions = {}): Promise<GraphSimulator> {
  const clouds = options.clouds ?? microsoftClouds;
  const origins = new Set(clouds.flatMap(({ login, loginAliases, graph }) => [login, ...loginAliases, graph]));
  const servers = new Map<string, Server>();
  for (const origin of origins) {
    const tls = options.tls?.(origin);
    const keepAlive = { keepAliveTimeout: 60_000 };
    const server = tls === undefined ? createServer(keepAlive) : createTlsServer({ ...keepAlive, ...tls });
    const wanted = options.listenOn?.[origin];
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(wanted === undefined ? 0 : Number(new URL(wanted).port), '127.0.0.1', resolve);
    });
    servers.set(origin, server);
  }
  return new GraphSimulator(options, servers);
}
