import { Client, ResponseType, type Context, type Middleware } from '@microsoft/microsoft-graph-client';
import { systemClock, type Clock } from '../../shared/clock.ts';
import { SyncError } from '../../shared/errors.ts';
import { limiter } from '../../shared/limiter.ts';
import { learnedFrom, SMALLEST_PAGE, type Learned } from './behaviours.ts';
import { classify, networkFault, readFailure, type FailedAnswer } from './errors.ts';
import { tokens, type GraphCredential, type TokenOptions, type Tokens } from './tokens.ts';

export interface GraphClientOptions extends Pick<TokenOptions, 'cloud' | 'directory' | 'client'> {
  /** How the app proves itself, or whose tokens it uses: a person's who signed in. */
  readonly credential: GraphCredential | Tokens;
  /** Carries every request, those to the login host too. */
  readonly fetch: typeof fetch;
  /** Ours, for the User-Agent. */
  readonly version: string;
  readonly clock?: Clock;
  /** Longest wait for one answer. */
  readonly timeoutMs?: number;
  /** Told of each link that leads elsewhere, with its host; such a link is never followed. */
  readonly onForeignLink?: (host: string) => void;
  /** What is known of this Graph already; not there: nothing. */
  readonly learned?: Learned;
}

/** What an answer is asked to look like. */
export interface Wishes {
  readonly ids: 'immutable' | 'ordinary';
  /** Windows or IANA name. */
  readonly zone: string;
  readonly body: 'html' | 'text';
  /** Rows of a page. */
  readonly pageSize: number;
}

export interface GraphRequest {
  /** Requests of one mailbox share the limit of three at a time. */
  readonly mailbox: string;
  /** A path below the version (`/users/…`), or a link that Graph gave, followed as it is. */
  readonly to: { readonly path: string; readonly query?: Readonly<Record<string, string>> } | { readonly link: string };
  /** Whether the answer comes in pages. */
  readonly isPaged?: boolean;
  /** Other than a reading's; for trying what comes of it. */
  readonly wishes?: Partial<Wishes>;
  readonly signal: AbortSignal;
}

/** The one thing of Graph that we write: which changes it tells us of. */
export type SubscriptionRequest =
  | { readonly do: 'create'; readonly body: Readonly<Record<string, string>>; readonly signal: AbortSignal }
  | {
      readonly do: 'renew';
      readonly id: string;
      readonly body: { readonly expirationDateTime: string };
      readonly signal: AbortSignal;
    }
  | { readonly do: 'delete'; readonly id: string; readonly signal: AbortSignal };

/** `json` is null where the answer has no body. A refusal comes with what Graph said, for it decides what is tried next. */
export type SubscriptionAnswer =
  | { readonly kind: 'ok'; readonly json: unknown }
  | { readonly kind: 'refused'; readonly answer: FailedAnswer; readonly error: SyncError };

/** Access to Graph with the app's own permissions, for one tenant: read-only but for subscriptions. */
export interface GraphClient {
  /** The answer's JSON. Throws SyncError, see `classify`. */
  get(request: GraphRequest): Promise<unknown>;
  /**
   * Makes, renews or ends a subscription. Making one stays open while Graph calls our address, 20 s at worst. Throws
   * SyncError when no answer came: then it is unknown whether it was done.
   */
  subscribe(request: SubscriptionRequest): Promise<SubscriptionAnswer>;
  /**
   * Gets a token, which proves the credential but no permission; `isFresh`: a new one, for what was granted since the
   * last. Roles are those that the token names, null where it cannot be looked into. Throws SyncError.
   */
  signIn(options?: { readonly isFresh: boolean }): Promise<{ readonly roles: readonly string[] | null }>;
  /** Refuses a link that leads elsewhere: our token must not go there. Throws `graph.foreign_link`. */
  checkLink(link: string): void;
  /** Ours. */
  readonly version: string;
  /** What this Graph can be asked for, found out by asking. */
  readonly learned: Learned;
}

/** Graph throttles an app at four at once per mailbox; one stays free for others that use the app. */
const PER_MAILBOX = 3;
const TIMEOUT_MS = 60_000;
/** What smaller pages may help against. */
const tooMuch = new Set(['graph.overloaded', 'graph.timeout']);

/** What the SDK's chain carries along for one request: it would re-parse links and hide causes. */
class Attempt {
  link: string | null = null;
  failure: SyncError | null = null;
}

/**
 * One client per tenant. Prefer headers go with every request, for they are not part of links; the page size shrinks
 * while Graph is overloaded. Errors never retry in here: the queue waits.
 */
export function graphClient(options: GraphClientOptions): GraphClient {
  const { cloud, version } = options;
  const clock = options.clock ?? systemClock;
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const { origin, host } = new URL(cloud.graph);
  const { credential } = options;
  const keys = 'get' in credential ? credential : tokens({ ...options, credential, clock, timeoutMs });
  const limit = limiter(PER_MAILBOX);
  const learned = options.learned ?? learnedFrom({}, clock.now());
  const pageSizes = new Map<string, number>();

  const checkLink = (link: string): void => {
    if (URL.canParse(link) && new URL(link).origin === origin) return;
    options.onForeignLink?.(URL.canParse(link) ? new URL(link).host.slice(0, 100) : 'none');
    throw new SyncError(`Graph gave a link that does not lead to ${host}; it was not followed.`, {
      code: 'graph.foreign_link',
      recovery: {
        kind: 'operator',
        remedy:
          'Check the cloud of the tenant and whether a proxy rewrites answers of Graph; then order a full reading.',
      },
    });
  };
  const sdk = Client.initWithMiddleware({
    baseUrl: `${origin}/`,
    defaultVersion: 'v1.0',
    middleware: chain(
      withToken(keys, checkLink),
      send((url, init) => options.fetch(url, init), host),
    ),
  });

  const requestTo = (to: string, attempt: Attempt, wishes: Partial<Wishes>, signal: AbortSignal): SdkRequest =>
    sdk
      .api(to)
      .headers({ Prefer: prefer(wishes), 'User-Agent': `calendar-sync/${version}` })
      .options({ signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) })
      .middlewareOptions([attempt])
      .responseType(ResponseType.RAW);
  const exchange = async (sending: Promise<unknown>, attempt: Attempt): Promise<{ answer: Response; body: string }> => {
    let answer: Response;
    try {
      answer = (await sending) as Response;
    } catch (thrown) {
      throw attempt.failure ?? networkFault(thrown, host);
    }
    try {
      return { answer, body: await answer.text() };
    } catch (thrown) {
      throw networkFault(thrown, host);
    }
  };

  const ask = async ({ mailbox, to, isPaged, wishes, signal }: GraphRequest): Promise<unknown> => {
    signal.throwIfAborted();
    const attempt = new Attempt();
    const pageSize = pageSizes.get(mailbox) ?? learned.pageSize;
    if ('link' in to) attempt.link = to.link;
    const wished = { ...(isPaged ? { pageSize } : {}), ...wishes };
    const request = requestTo('link' in to ? to.link : to.path, attempt, wished, signal);
    if ('path' in to) request.query(encoded(to.query ?? {}));
    const shrinkAfter = (failure: SyncError): SyncError => {
      if (isPaged && tooMuch.has(failure.code))
        pageSizes.set(mailbox, Math.max(SMALLEST_PAGE, Math.floor(pageSize / 2)));
      return failure;
    };
    const { answer, body } = await exchange(request.get(), attempt).catch((thrown: unknown) => {
      throw thrown instanceof SyncError ? shrinkAfter(thrown) : thrown;
    });
    if (answer.ok) {
      if (isPaged) pageSizes.set(mailbox, Math.min(learned.pageSize, pageSize + SMALLEST_PAGE));
      return parse(body, host);
    }
    throw shrinkAfter(classify(readFailure(answer.status, body, answer.headers), clock.now()));
  };
  return {
    version,
    learned,
    checkLink,
    async signIn(how) {
      return { roles: rolesOf(await (how?.isFresh === true ? keys.renew() : keys.get())) };
    },
    async subscribe(request) {
      request.signal.throwIfAborted();
      const attempt = new Attempt();
      const path = request.do === 'create' ? '/subscriptions' : `/subscriptions/${encodeURIComponent(request.id)}`;
      const sdkRequest = requestTo(path, attempt, {}, request.signal);
      const { answer, body } = await exchange(sent(sdkRequest, request), attempt);
      if (answer.ok) return { kind: 'ok', json: body === '' ? null : parse(body, host) };
      const refusal = readFailure(answer.status, body, answer.headers);
      return { kind: 'refused', answer: refusal, error: classify(refusal, clock.now()) };
    },
    async get(request) {
      if ('link' in request.to) checkLink(request.to.link);
      try {
        return await limit(request.mailbox.toLowerCase(), () => ask(request));
      } catch (thrown) {
        if (!request.signal.aborted) throw thrown;
        throw new SyncError('The reading was stopped before Graph answered.', {
          code: 'graph.aborted',
          recovery: { kind: 'retry' },
          cause: thrown,
        });
      }
    },
  };
}

/**
 * UTC because local times without offset are ambiguous in autumn; html so that links and paragraphs survive; immutable
 * ids survive a move between calendars.
 */
function prefer({ ids, zone, body, pageSize }: Partial<Wishes>): string {
  return [
    ...(ids === 'ordinary' ? [] : ['IdType="ImmutableId"']),
    `outlook.timezone="${zone ?? 'UTC'}"`,
    `outlook.body-content-type="${body ?? 'html'}"`,
    ...(pageSize === undefined ? [] : [`odata.maxpagesize=${pageSize}`]),
  ].join(', ');
}

type SdkRequest = ReturnType<Client['api']>;

function sent(sdkRequest: SdkRequest, request: SubscriptionRequest): Promise<unknown> {
  switch (request.do) {
    case 'create':
      return sdkRequest.post(request.body);
    case 'renew':
      return sdkRequest.patch(request.body);
    case 'delete':
      return sdkRequest.delete();
  }
}

/** The SDK joins values as they are. */
function encoded(query: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, encodeURIComponent(value)]));
}

function parse(body: string, host: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // The parser's own error quotes the text.
    throw new SyncError(`The answer of ${host} is cut off or no JSON.`, {
      code: 'graph.unreadable_answer',
      recovery: { kind: 'retry' },
    });
  }
}

type Handler = (context: Context, next: () => Promise<void>) => Promise<void>;

/** Handlers in the SDK's form, each calling the next. */
function chain(first: Handler, last: Handler): Middleware {
  const end: Middleware = { execute: (context) => last(context, () => Promise.resolve()) };
  return { execute: (context) => first(context, () => end.execute(context)) };
}

/** Puts the token on; refused, gets one fresh token and tries once more. The last look at where the token goes. */
function withToken(keys: ReturnType<typeof tokens>, checkLink: (link: string) => void): Handler {
  return async (context, next) => {
    const attempt = attemptOf(context);
    try {
      checkLink(urlOf(context));
      let token = await keys.get();
      for (const isLast of [false, true]) {
        const headers = context.options?.headers as Record<string, string> | undefined;
        context.options = { ...context.options, headers: { ...headers, Authorization: `Bearer ${token}` } };
        await next();
        if (context.response?.status !== 401 || isLast) return;
        await context.response.body?.cancel();
        token = await keys.replace(token);
      }
    } catch (thrown) {
      if (attempt !== undefined && thrown instanceof SyncError) attempt.failure = thrown;
      throw thrown;
    }
  };
}

function send(fetch: (url: string, init: RequestInit) => Promise<Response>, host: string): Handler {
  return async (context) => {
    try {
      context.response = await fetch(urlOf(context), { ...context.options, redirect: 'manual' });
    } catch (thrown) {
      throw networkFault(thrown, host);
    }
  };
}

/** The roles in an access token, which is opaque by contract (Entra docs, `access-tokens.md`): only ever a hint. */
function rolesOf(token: string): string[] | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    if (typeof claims !== 'object' || claims === null) return null;
    const roles: unknown = 'roles' in claims ? claims.roles : [];
    return Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : null;
  } catch {
    return null;
  }
}

function attemptOf(context: Context): Attempt | undefined {
  return context.middlewareControl?.getMiddlewareOptions(Attempt) as Attempt | undefined;
}

function urlOf(context: Context): string {
  return attemptOf(context)?.link ?? String(context.request);
}
