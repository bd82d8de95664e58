import { lookup as dnsLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Clock } from '../../shared/clock.ts';
import { SyncError, type Recovery } from '../../shared/errors.ts';
import { isPublicAddress } from './public-address.ts';

export interface FeedOptions {
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly maxBytes: number;
  /** For the whole of one reading: redirects, head and body. */
  readonly timeoutMs: number;
  /** Whether a redirect may lead to this IP address. */
  readonly isAllowedAddress: (address: string) => boolean;
  /** All addresses of a host name. */
  readonly lookup: (host: string) => Promise<readonly string[]>;
}

export interface Validators {
  readonly etag: string | null;
  readonly modified: string | null;
}

export type Fetched =
  | { readonly kind: 'unchanged'; readonly requests: number }
  | { readonly kind: 'body'; readonly text: string; readonly validators: Validators; readonly requests: number };

export const feedDefaults = {
  maxBytes: 20 * 1_048_576,
  timeoutMs: 60_000,
  isAllowedAddress: isPublicAddress,
  lookup: async (host: string): Promise<string[]> =>
    (await dnsLookup(host, { all: true })).map(({ address }) => address),
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is a sign like any other
  }
};

const maxRedirects = 5;
const retry: Recovery = { kind: 'retry' };

/**
 * The URL to ask for a feed, credentials taken out of it. `webcal:` is asked by https. Throws `ics.bad_url`.
 */
export function feedUrl(text: string): { readonly url: URL; readonly authorization: string | null } {
  const plain = text.trim().replace(/^webcals?:/i, 'https:');
  if (!URL.canParse(plain) || !/^https?:$/.test(new URL(plain).protocol))
    throw new SyncError('The URL of the feed cannot be read', {
      code: 'ics.bad_url',
      recovery: { kind: 'operator', remedy: 'Give a URL that starts with https://, http:// or webcal://.' },
      field: 'url',
    });
  const url = new URL(plain);
  const { username, password } = url;
  url.username = '';
  url.password = '';
  url.hash = '';
  const pair = `${decoded(username)}:${decoded(password)}`;
  return { url, authorization: username === '' ? null : `Basic ${Buffer.from(pair, 'utf8').toString('base64')}` };
}

/**
 * Asks for a feed, conditionally when there are validators. The URL is often the feed's only secret, so no message
 * holds more of it than the host.
 *
 * The operator's own URL is asked wherever it leads. A redirect is a stranger's word: it is followed only to http or
 * https, never from https to http, and to no address of the inner network unless the feed is there itself. Names are
 * looked up for this; a name that answers us otherwise than the HTTP client a moment later is not caught. Throws
 * SyncError.
 */
export async function fetchFeed(
  text: string,
  validators: Validators | null,
  options: FeedOptions,
  signal: AbortSignal,
): Promise<Fetched> {
  const { url: first, authorization } = feedUrl(text);
  const late = AbortSignal.timeout(options.timeoutMs);
  const both = AbortSignal.any([signal, late]);
  let url = first;
  try {
    for (let requests = 1; ; requests += 1) {
      const response = await options.fetch(url.href, {
        headers: headersFor(validators, url.origin === first.origin ? authorization : null),
        redirect: 'manual',
        signal: both,
      });
      const location = response.headers.get('location');
      if (location !== null && [301, 302, 303, 307, 308].includes(response.status)) {
        await response.body?.cancel();
        if (requests > maxRedirects)
          throw failure(first, 'ics.redirects', 'leads from one redirect to the next', retry);
        url = await redirectTarget(location, url, first, options);
        continue;
      }
      if (response.status === 304 && validators !== null) return { kind: 'unchanged', requests };
      if (response.status !== 200) {
        await response.body?.cancel();
        throw statusFailure(response, first, options.clock.now());
      }
      const body = await readBody(response, first, options.maxBytes);
      const { headers } = response;
      const now = { etag: headers.get('etag'), modified: headers.get('last-modified') };
      return { kind: 'body', text: body, validators: now, requests };
    }
  } catch (thrown) {
    if (thrown instanceof SyncError) throw thrown;
    throw networkFailure(thrown, first, signal.aborted ? 'stopped' : late.aborted ? 'late' : null);
  }
}

function headersFor(validators: Validators | null, authorization: string | null): Record<string, string> {
  return {
    Accept: 'text/calendar, */*;q=0.1',
    ...(validators?.etag == null ? {} : { 'If-None-Match': validators.etag }),
    ...(validators?.modified == null ? {} : { 'If-Modified-Since': validators.modified }),
    ...(authorization === null ? {} : { Authorization: authorization }),
  };
}

async function redirectTarget(location: string, from: URL, first: URL, options: FeedOptions): Promise<URL> {
  if (!URL.canParse(location, from.href)) throw failure(first, 'ics.redirects', 'redirects to nowhere', retry);
  const target = new URL(location, from.href);
  if (!/^https?:$/.test(target.protocol)) throw refused(first, `redirects to a ${target.protocol} address`);
  if (from.protocol === 'https:' && target.protocol === 'http:') throw refused(first, 'redirects from https to http');
  if (target.host === first.host || (await isAllowedHost(target, options))) return target;
  if (await isAllowedHost(first, options)) throw refused(first, 'redirects to an address of the inner network');
  return target;
}

/** A name without an address is left to the HTTP client, whose proxy may know it. */
async function isAllowedHost({ hostname }: URL, { lookup, isAllowedAddress }: FeedOptions): Promise<boolean> {
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0) return isAllowedAddress(host);
  const addresses = await lookup(host).catch(() => []);
  return addresses.every(isAllowedAddress);
}

async function readBody(response: Response, first: URL, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > maxBytes)
      throw failure(first, 'ics.too_large', `is larger than ${Math.round(maxBytes / 1_048_576)} MiB`, {
        kind: 'operator',
        remedy: 'Ask the provider for a feed of a shorter span of time.',
      });
    chunks.push(chunk);
  }
  return decoderFor(response.headers.get('content-type')).decode(Buffer.concat(chunks, size));
}

function decoderFor(contentType: string | null): InstanceType<typeof TextDecoder> {
  const charset = /charset\s*=\s*"?([\w.:-]+)/i.exec(contentType ?? '')?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(charset);
  } catch {
    return new TextDecoder();
  }
}

/** The failure that an answer means. */
function statusFailure(response: Response, first: URL, now: Date): SyncError {
  const { status } = response;
  const says = `answered ${status}`;
  if (status === 401 || status === 403)
    return failure(first, 'ics.unauthorized', says, {
      kind: 'operator',
      remedy: 'Ask the provider for the address of the feed once more; its secret may have been renewed.',
    });
  if (status === 404 || status === 410)
    return failure(first, 'ics.not_found', says, {
      kind: 'operator',
      remedy: 'Check the URL of the feed; what it showed stays until the source is removed.',
    });
  const later = retryAt(response.headers.get('retry-after'), now);
  if (status === 429 || status === 503) return failure(first, 'ics.busy', says, later);
  if (status >= 500 || status === 408) return failure(first, 'ics.server_error', says, later);
  if (status < 400) return failure(first, 'ics.not_a_calendar', `${says} instead of sending the calendar`, retry);
  return failure(first, 'ics.refused', says, { kind: 'operator', remedy: 'Check the URL of the feed.' });
}

/** `Retry-After`: seconds or an HTTP date. */
function retryAt(text: string | null, now: Date): Recovery {
  if (text === null) return retry;
  const seconds = Number(text);
  const at = new Date(Number.isFinite(seconds) ? now.getTime() + seconds * 1_000 : Date.parse(text));
  return Number.isNaN(at.getTime()) ? retry : { kind: 'retry', notBefore: at };
}

function networkFailure(thrown: unknown, first: URL, why: 'stopped' | 'late' | null): SyncError {
  if (why === 'stopped') return failure(first, 'ics.aborted', 'was given up by us', retry);
  if (why === 'late') return failure(first, 'ics.timeout', 'did not answer to its end in time', retry);
  const { cause } = thrown as { cause?: { code?: unknown } };
  const code = typeof cause?.code === 'string' ? cause.code : '';
  if (/^(CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_SSL)/.test(code))
    return failure(first, 'ics.certificate', `has a certificate that was not accepted (${code})`, {
      kind: 'operator',
      remedy: 'Name the certificate authority in NODE_EXTRA_CA_CERTS.',
    });
  return failure(first, 'ics.unreachable', `cannot be reached or broke off (${code || 'closed'})`, retry);
}

function refused(first: URL, says: string): SyncError {
  return failure(first, 'ics.refused_address', says, {
    kind: 'operator',
    remedy: 'If that is right, give the address it leads to as the URL of the feed.',
  });
}

/** Without the cause: fetch's own errors may quote the URL. */
export function failure(first: URL, code: string, says: string, recovery: Recovery): SyncError {
  return new SyncError(`The feed at ${first.host} ${says}`, { code, recovery, field: 'url' });
}
