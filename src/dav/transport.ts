import { randomBytes } from 'node:crypto';
import { Agent } from 'undici';
import { type Answer, type Asked, isWrite, noAnswer } from './answers.ts';
import { DavError } from './dav-error.ts';
import { type Challenge, basicAuthorization, chooseChallenge, digestAuthorization, parseChallenges } from './digest.ts';
import { isTrustedUrl } from './hrefs.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface TransportOptions {
  /** PEM texts of the authorities to trust; the public ones when left out. */
  readonly ca?: readonly string[];
  readonly fetch?: typeof fetch;
  readonly timeoutMs: number;
  /** Answers larger than this are not read to their end. */
  readonly maxAnswerBytes: number;
}

export interface Call extends Pick<Asked, 'method' | 'href'> {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** Stands in for the account's `maxAnswerBytes`. */
  readonly mostBytes?: number | undefined;
}

export interface Transport {
  /**
   * Sends one request with the account's credentials and reads the answer to its end, all within the time-out. Follows
   * redirects with method and body, answers one 401. Any status is an answer; throws DavError when there is none.
   */
  send(call: Call, signal: AbortSignal | undefined): Promise<Answer>;
  close(): Promise<void>;
}

const maxRedirects = 5;

/** HTTP for one account: keep-alive, no cookies (one shared by parallel requests makes Baikal handle them in turn). */
export function openTransport(origin: string, credentials: Credentials, options: TransportOptions): Transport {
  const agent =
    options.fetch === undefined
      ? new Agent({
          connect: { timeout: 10_000, ...(options.ca === undefined ? {} : { ca: [...options.ca] }) },
          headersTimeout: 0,
          bodyTimeout: 0,
        })
      : null;
  const wire = agent === null ? fetchWire(options.fetch ?? fetch) : agentWire(agent);
  const authorizer = openAuthorizer(credentials);

  async function exchange(call: Call, signal: AbortSignal): Promise<Answer> {
    let url = call.url;
    let isRetried = false;
    if (!isTrustedUrl(url, origin)) throw redirectedAway(call, url); // a href that the server named
    for (let redirects = 0; ;) {
      const authorization = authorizer.authorize(call.method, url);
      const headers = authorization === null ? call.headers : { ...call.headers, Authorization: authorization };
      const response = await wire({ method: call.method, url, headers, body: call.body, signal });
      const next = redirectOf(response.status, response.headers.get('location'), url);
      if (next !== null && redirects < maxRedirects && !isInstaller(next)) {
        await response.discard();
        if (!isTrustedUrl(next, origin)) throw redirectedAway(call, next);
        url = next;
        redirects += 1;
        continue;
      }
      if (response.status === 401 && !isRetried && authorizer.accept(response.headers.get('www-authenticate'), url)) {
        await response.discard();
        isRetried = true;
        continue;
      }
      const body = await readBody(response, call.mostBytes ?? options.maxAnswerBytes, call);
      return { url, status: response.status, headers: response.headers, body };
    }
  }

  return {
    async send(call, signal) {
      if (isGivenUp(signal)) throw aborted(call, signal?.reason, 'not-sent');
      // A controller of our own: AbortSignal.any and .timeout cost as much as the request's other work together.
      const controller = new AbortController();
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        controller.abort();
      }, options.timeoutMs);
      const giveUp = (): void => controller.abort();
      signal?.addEventListener('abort', giveUp, { once: true });
      try {
        return await exchange(call, controller.signal);
      } catch (thrown) {
        if (thrown instanceof DavError) throw thrown;
        if (isGivenUp(signal)) throw aborted(call, signal?.reason, isWrite(call.method) ? 'unknown' : 'not-sent');
        throw noAnswer(thrown, call, isLate);
      } finally {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
      }
    },
    async close() {
      await agent?.destroy();
    },
  };
}

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal;
}

interface Received {
  readonly status: number;
  readonly headers: Pick<Headers, 'get'>;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Leaves the rest unread, and the connection fit for the next request. */
  discard(): Promise<void>;
}

type Wire = (sent: Sent) => Promise<Received>;

/** undici's own request: half the time of its fetch, which matters when 10,000 events are written. */
function agentWire(agent: Agent): Wire {
  return async ({ method, url, headers, body, signal }) => {
    const { origin, pathname, search } = new URL(url);
    const response = await agent.request({
      origin,
      path: `${pathname}${search}`,
      method: method,
      headers,
      body,
      signal,
    });
    const header = (name: string): string | null => {
      const value = response.headers[name.toLowerCase()];
      return Array.isArray(value) ? value.join(', ') : (value ?? null);
    };
    return {
      status: response.statusCode,
      headers: { get: header },
      chunks: response.body as AsyncIterable<Uint8Array>,
      discard: () => response.body.dump({ limit: 65_536, signal }),
    };
  };
}

function fetchWire(doFetch: typeof fetch): Wire {
  return async ({ url, ...init }) => {
    const response = await doFetch(url, { ...init, redirect: 'manual' });
    return {
      status: response.status,
      headers: response.headers,
      chunks: (response.body ?? []) as unknown as AsyncIterable<Uint8Array>,
      discard: async () => await response.body?.cancel(),
    };
  };
}

const isGivenUp = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

/** 307 and 308 keep method and body by definition; for WebDAV 301 and 302 must be read so too. */
function redirectOf(status: number, location: string | null, url: string): string | null {
  if (location === null || ![301, 302, 307, 308].includes(status)) return null;
  return URL.canParse(location, url) ? new URL(location, url).href : null;
}

/** Baikal with an upgrade waiting redirects every request to its installer: that is an answer, not a way. */
const isInstaller = (url: string): boolean => /\/admin\/install\b/.test(new URL(url).pathname);

async function readBody(response: Received, maxBytes: number, call: Call): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.chunks) {
    size += chunk.byteLength;
    if (size > maxBytes) {
      throw new DavError(`${call.method} ${call.href}: the answer is larger than ${maxBytes} bytes`, {
        code: 'dav.answer_too_large',
        outcome: isWrite(call.method) ? 'unknown' : 'not-sent',
        status: response.status,
        recovery: { kind: 'operator', remedy: 'Spread the events over several calendars.' },
      });
    }
    chunks.push(chunk);
  }
  return size === 0 ? '' : Buffer.concat(chunks, size).toString('utf8');
}

function redirectedAway(call: Call, next: string): DavError {
  const { origin } = new URL(next);
  return new DavError(`${call.method} ${call.href}: the server sends us to ${origin}, which is not this account's`, {
    code: 'dav.redirected_away',
    outcome: 'not-sent',
    status: null,
    recovery: { kind: 'operator', remedy: `If ${origin} is yours, use it in the URL of this account.` },
    field: 'url',
  });
}

function aborted(call: Call, cause: unknown, outcome: 'not-sent' | 'unknown'): DavError {
  return new DavError(`${call.method} ${call.href}: given up by us`, {
    code: 'dav.aborted',
    outcome,
    status: null,
    recovery: { kind: 'retry' },
    cause,
  });
}

interface Authorizer {
  /** The header for the next request; null until a challenge is known. */
  authorize(method: string, url: string): string | null;
  /** Takes note of a 401's challenges; false when none of them can be answered. */
  accept(header: string | null, url: string): boolean;
}

/** Sends nothing before it is asked; then remembers the challenge, so later requests take one trip. */
function openAuthorizer({ username, password }: Credentials): Authorizer {
  let challenge: Challenge | null = null;
  let count = 0;
  return {
    authorize(method, url) {
      if (challenge === null) return null;
      if (challenge.scheme === 'basic') return basicAuthorization(username, password);
      const { pathname, search } = new URL(url);
      count += 1;
      const cnonce = randomBytes(12).toString('hex');
      return digestAuthorization(challenge, { username, password, method, uri: `${pathname}${search}`, count, cnonce });
    },
    accept(header, url) {
      const chosen = chooseChallenge(parseChallenges(header));
      if (chosen === null) return false;
      // Who stands between us and a server that asked for Digest must not get the password by asking for Basic.
      if (challenge?.scheme === 'digest' && chosen.scheme === 'basic' && !url.startsWith('https:')) return false;
      challenge = chosen;
      count = 0;
      return true;
    },
  };
}
