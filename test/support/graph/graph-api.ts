/** The Graph host: who may, which mailbox, which resource; and $batch. */
import type { SimulatedCloud } from './clouds.ts';
import type { DeltaStreams } from './delta.ts';
import { answerCalendarView, answerDelta, answerEvents, notFound, type Place } from './event-routes.ts';
import type { Json } from './event-json.ts';
import { graphError, ok, Refusal, type Answer, type Call } from './exchange.ts';
import type { Grant, Login } from './login.ts';
import { paged, preferencesOf } from './query.ts';
import type { CalendarState, MailboxState, TenantState } from './state.ts';
import type { Subscriptions } from './subscriptions.ts';
import type { Switches } from './switches.ts';
import type { World } from './world.ts';

export interface GraphParts {
  readonly world: World;
  readonly switches: Switches;
  readonly login: Login;
  readonly delta: DeltaStreams;
  readonly subscriptions: Subscriptions;
  readonly clouds: readonly SimulatedCloud[];
  readonly pageSize: number;
  /** Milliseconds that the work on one request takes, one inside a batch too. */
  readonly serviceMs: () => number;
}

export class GraphApi {
  private readonly parts: GraphParts;

  constructor(parts: GraphParts) {
    this.parts = parts;
  }

  async answer(call: Call): Promise<Answer> {
    try {
      const grant = this.authenticate(call);
      if (call.url.pathname === '/v1.0/$batch') return ok(await this.batch(call));
      return await this.route(call, grant);
    } catch (error) {
      if (error instanceof Refusal) return error.answer;
      throw error;
    }
  }

  private authenticate(call: Call): Grant {
    const token = /^Bearer (.+)$/.exec(call.headers['authorization'] ?? '')?.[1];
    const cloud = this.parts.clouds.find(({ graph }) => graph === call.url.origin);
    const grant = token === undefined ? null : this.parts.login.grantOf(token);
    if (!grant)
      throw new Refusal(
        graphError(401, 'InvalidAuthenticationToken', 'Lifetime validation failed, the token is expired or malformed.'),
      );
    // Tokens never cross clouds (coe-starter-kit#8664).
    if (grant.cloud !== cloud?.id) {
      throw new Refusal(
        graphError(401, 'InvalidAuthenticationToken', 'Access token validation failure. Invalid audience.'),
      );
    }
    return grant;
  }

  private async route(call: Call, grant: Grant): Promise<Answer> {
    const { world } = this.parts;
    const tenant = world.tenant(grant.directory);
    const [version, root, ...rest] = call.url.pathname.slice(1).split('/').map(decodeURIComponent);
    if (!tenant || version !== 'v1.0') return notSupported(call);
    if (root === 'subscriptions')
      return this.parts.subscriptions.answer(call, grant, rest, this.accessTo(tenant, grant));
    if (root !== 'users' && !(root === 'me' && grant.user !== null)) return notSupported(call);
    const [user, ...path] = root === 'me' ? [grant.user ?? '', ...rest] : rest;
    if (user === undefined) return this.listUsers(call, tenant);
    const mailbox = requireMailbox(world, tenant, user);
    if (path.length === 0 || path[0] === 'mailboxSettings') return directoryAnswer(tenant, mailbox, path.length > 0);
    requireAccess(tenant, mailbox, grant);
    return this.calendarRoute(call, mailbox, path);
  }

  private accessTo(tenant: TenantState, grant: Grant): (user: string) => MailboxState {
    return (user) => {
      const mailbox = requireMailbox(this.parts.world, tenant, user);
      requireAccess(tenant, mailbox, grant);
      return mailbox;
    };
  }

  private calendarRoute(call: Call, mailbox: MailboxState, path: readonly string[]): Answer {
    const { world, switches, delta, pageSize } = this.parts;
    const preferences = preferencesOf(call);
    const calendars = world.calendarsOf(mailbox);
    if (path[0] === 'calendars' && path.length === 1) {
      const all = calendars.map((calendar) => calendarJson(calendar, mailbox));
      return ok(paged(call, all, pageSize, preferences, `users('${mailbox.id}')/calendars`));
    }
    const [calendar, rest] = ((): [CalendarState | null | undefined, readonly string[]] => {
      if (path[0] === 'calendars') return [calendars.find(({ id }) => id === path[1]), path.slice(2)];
      if (path[0] === 'calendar') return [calendars.find(({ isDefault }) => isDefault), path.slice(1)];
      return [null, path];
    })();
    if (calendar === undefined) return notFound();
    if (calendar?.isBrokenShare === true) {
      return graphError(
        500,
        'ErrorInternalServerTransientError',
        'An internal server error occurred. The operation failed.',
      );
    }
    const place: Place = { world, mailbox, calendar, delta, pageSize, rendering: { preferences, switches, mailbox } };
    const [resource, ...further] = rest;
    if (resource === undefined && calendar) return ok(calendarJson(calendar, mailbox));
    if (resource === 'events') return answerEvents(call, place, further);
    if (resource === 'calendarView' && further[0] === 'delta') return answerDelta(call, place);
    if (resource === 'calendarView') return answerCalendarView(call, place);
    return notSupported(call);
  }

  private listUsers(call: Call, tenant: TenantState): Answer {
    if (!tenant.roles.includes('User.Read.All')) return noPrivileges();
    const all = this.parts.world.state.mailboxes
      .filter(({ directory, kind }) => directory === tenant.directory && kind !== 'deleted')
      .map(userJson);
    return ok(paged(call, all, 100, preferencesOf(call), 'users'));
  }

  /**
   * At most 20, outer 200 whatever happens inside, answers in any order (`json-batching.md`). Each inner request is
   * metered: beyond the mailbox's concurrency they are throttled unless chained (microsoft-graph-docs#8760).
   */
  private async batch(call: Call): Promise<Json> {
    const { requests = [] } = JSON.parse(call.body) as { requests?: BatchRequest[] };
    if (requests.length > 20) {
      throw new Refusal(
        graphError(400, 'MaximumValueExceeded', 'The number of batch requests exceeds the maximum of 20.'),
      );
    }
    const answers = new Map<string, Promise<Answer>>();
    const perMailbox = new Map<string, number>();
    for (const request of requests) {
      const mailbox = request.url.split('/')[2] ?? '';
      const before = (request.dependsOn ?? []).map((id) => answers.get(id));
      const concurrent = (perMailbox.get(mailbox) ?? 0) + (before.length > 0 ? 0 : 1);
      perMailbox.set(mailbox, concurrent);
      const isOver = before.length === 0 && concurrent > this.parts.switches.mailboxConcurrency;
      answers.set(
        request.id,
        isOver ? Promise.resolve(throttled(this.parts.switches)) : this.inner(call, request, before),
      );
    }
    const responses: Json[] = [];
    for (const [id, answer] of answers) {
      const { status, headers, body } = await answer;
      responses.unshift({ id, status, headers: headers ?? {}, body });
    }
    return { responses };
  }

  private async inner(
    call: Call,
    request: BatchRequest,
    before: readonly (Promise<Answer> | undefined)[],
  ): Promise<Answer> {
    for (const one of before) {
      if (((await one)?.status ?? 424) < 400) continue;
      return graphError(424, 'FailedDependency', 'A request before this one failed.');
    }
    const serviceMs = this.parts.serviceMs();
    if (serviceMs > 0) await new Promise((resolve) => setTimeout(resolve, serviceMs));
    return this.answer(innerCall(call, request));
  }
}

interface BatchRequest {
  id: string;
  method: string;
  url: string;
  headers?: Record<string, string>;
  body?: unknown;
  dependsOn?: string[];
}

function innerCall(call: Call, { method, url, headers = {}, body }: BatchRequest): Call {
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return {
    method,
    url: new URL(`/v1.0${url.startsWith('/') ? '' : '/'}${url}`, call.url),
    headers: { ...lower, authorization: call.headers['authorization'] ?? '' },
    body: body === undefined ? '' : JSON.stringify(body),
  };
}

/** Over four at once for a mailbox (`throttling-limits.md`); Retry-After may be fractional. */
export function throttled({ retryAfter }: Switches): Answer {
  const headers: Record<string, string> = retryAfter === null ? {} : { 'retry-after': retryAfter };
  return graphError(429, 'ApplicationThrottled', 'Application is over its MailboxConcurrency limit.', headers);
}

function notSupported(call: Call): Answer {
  return graphError(400, 'BadRequest', `Resource not found for the segment in ${call.url.pathname}.`);
}

function noPrivileges(): Answer {
  return graphError(403, 'Authorization_RequestDenied', 'Insufficient privileges to complete the operation.');
}

function requireMailbox(world: World, tenant: TenantState, user: string): MailboxState {
  const mailbox = world.mailboxOf(tenant, user);
  if (!mailbox || mailbox.kind === 'deleted') {
    throw new Refusal(
      graphError(
        404,
        'Request_ResourceNotFound',
        `Resource '${user}' does not exist or one of its queried reference-property objects are not present.`,
      ),
    );
  }
  return mailbox;
}

/**
 * The two ways to limit an app: an ApplicationAccessPolicy on top of consent (`auth-limit-mailbox-access.md`), or RBAC for
 * Applications without any Entra grant.
 */
function requireAccess(tenant: TenantState, mailbox: MailboxState, { user }: Grant): void {
  const { allowedMailboxes, consent } = tenant;
  const isNamed =
    allowedMailboxes !== 'all' && allowedMailboxes.some((name) => name.toLowerCase() === mailbox.upn.toLowerCase());
  // Somebody who signed in reaches their own mailbox, whatever the app may by itself.
  const isPermitted = user === null ? consent || isNamed : user === mailbox.id;
  if (!isPermitted) {
    throw new Refusal(graphError(403, 'ErrorAccessDenied', 'Access is denied. Check credentials and try again.'));
  }
  if (user === null && allowedMailboxes !== 'all' && !isNamed) {
    throw new Refusal(
      graphError(
        403,
        'ErrorAccessDenied',
        'Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings.',
      ),
    );
  }
  // Guests, unlicensed and on-premises accounts (microsoft-graph-docs#8520).
  if (mailbox.kind === 'guest') {
    throw new Refusal(
      graphError(
        404,
        'MailboxNotEnabledForRESTAPI',
        'The mailbox is either inactive, soft-deleted, or is hosted on-premise.',
      ),
    );
  }
}

function directoryAnswer(tenant: TenantState, mailbox: MailboxState, isSettings: boolean): Answer {
  if (!tenant.roles.includes(isSettings ? 'MailboxSettings.Read' : 'User.Read.All')) return noPrivileges();
  return ok(isSettings ? { timeZone: mailbox.zone, language: { locale: 'en-US' } } : userJson(mailbox));
}

function userJson({ id, upn, name, kind }: MailboxState): Json {
  return { id, userPrincipalName: upn, displayName: name, mail: upn, userType: kind === 'guest' ? 'Guest' : 'Member' };
}

/** `calendar.md`: a copy of somebody else's names its owner and cannot be shared on; hexColor is "" if never chosen. */
function calendarJson(calendar: CalendarState, mailbox: MailboxState): Json {
  const owner = calendar.owner ?? { name: mailbox.name, address: mailbox.upn };
  return {
    id: calendar.id,
    name: calendar.name,
    color: calendar.color,
    hexColor: calendar.hexColor,
    isDefaultCalendar: calendar.isDefault,
    canShare: calendar.owner === null,
    canViewPrivateItems: calendar.owner === null,
    canEdit: calendar.owner === null,
    isRemovable: !calendar.isDefault,
    isTallyingResponses: calendar.isDefault,
    allowedOnlineMeetingProviders: ['teamsForBusiness'],
    defaultOnlineMeetingProvider: 'teamsForBusiness',
    owner,
  };
}
