import { propfind, type DAVResponse } from 'tsdav';
import type { Clock } from '../shared/clock.ts';
import { type Answer, type Asked, type Method, expectMultistatus } from './answers.ts';
import { toHref, toUrl, unreadable } from './hrefs.ts';
import { readLongMultistatus } from './long-multistatus.ts';
import { type Entry, readEntries, readSyncToken } from './multistatus.ts';
import type { Transport } from './transport.ts';

/** What every function of tsdav takes. */
export interface TsdavParams {
  readonly url: string;
  readonly fetch: typeof fetch;
}

export interface Multistatus {
  readonly entries: Entry[];
  readonly syncToken: string | null;
  /** Where the answer came from, after redirects. */
  readonly href: string;
}

interface How {
  /** tsdav is to leave the answer unread. */
  readonly isUnread?: boolean;
  /** A longer answer is not read to its end. */
  readonly mostBytes?: number;
}

/** Requests made by tsdav and answers read whole, so that status, headers and body decide what an answer means. */
export interface Conversation {
  /** Makes the one request of `run`; any status is an answer. */
  readonly ask: <T>(
    method: Method,
    href: string,
    signal: AbortSignal | undefined,
    run: (params: TsdavParams) => Promise<T>,
    how?: How,
  ) => Promise<{ answer: Answer; asked: Asked; parsed: T }>;
  /** Makes a request that only a readable 207 answers; throws DavError otherwise. */
  readonly multistatus: (
    method: 'PROPFIND' | 'REPORT',
    href: string,
    signal: AbortSignal | undefined,
    run: (params: TsdavParams) => Promise<DAVResponse[]>,
    how?: Pick<How, 'mostBytes'>,
  ) => Promise<Multistatus>;
  /** The same for one that may be long: of each resource only status, etag and resource type are read. */
  readonly members: Conversation['multistatus'];
  readonly find: (
    href: string,
    depth: '0' | '1',
    props: Record<string, object>,
    signal?: AbortSignal,
  ) => Promise<Multistatus>;
  /** Whether any answer so far came from sabre/dav; from then on all must. */
  readonly isSabre: () => boolean;
}

export function openConversation(origin: string, transport: Transport, clock: Clock): Conversation {
  let isSabre = false;

  const ask: Conversation['ask'] = async (method, href, signal, run, { isUnread = false, mostBytes } = {}) => {
    let answer: Answer | undefined;
    const url = toUrl(href, origin);
    const parsed = await run({
      url,
      fetch: async (_url, init) => {
        const headers = init?.headers as Record<string, string>;
        const body = typeof init?.body === 'string' ? init.body : null;
        answer = await transport.send({ method, href, url, headers, body, mostBytes }, signal);
        return isUnread ? nothingToRead : forTsdav(answer);
      },
    });
    if (answer === undefined) throw new Error('tsdav has made no request');
    const asked = { method, href, isSabre, now: clock.now() };
    isSabre ||= answer.headers.get('x-sabre-version') !== null;
    return { answer, asked, parsed };
  };

  const multistatus: Conversation['multistatus'] = async (method, href, signal, run, how) => {
    const { answer, asked, parsed } = await ask(method, href, signal, run, how);
    expectMultistatus(answer, asked);
    if (!isReadable(parsed) || !isWhole(answer.body))
      throw unreadable(`${asked.method} ${asked.href}: the answer is no multistatus that we can read`);
    return {
      entries: readEntries(parsed, answer.url, origin),
      syncToken: readSyncToken(parsed),
      href: toHref(answer.url, answer.url, origin),
    };
  };

  const members: Conversation['members'] = async (method, href, signal, run) => {
    const { answer, asked } = await ask(method, href, signal, run, { isUnread: true });
    expectMultistatus(answer, asked);
    const read =
      hasDocumentType(answer.body) || !isWhole(answer.body)
        ? null
        : await readLongMultistatus(answer.body, answer.url, origin);
    if (read === null) throw unreadable(`${asked.method} ${asked.href}: the answer is no multistatus that we can read`);
    return { ...read, href: toHref(answer.url, answer.url, origin) };
  };

  return {
    ask,
    multistatus,
    members,
    find: (href, depth, props, signal) =>
      multistatus('PROPFIND', href, signal, (params) => propfind({ ...params, depth, props })),
    isSabre: () => isSabre,
  };
}

/** What tsdav sees of answers that it need not read. */
const nothingToRead = new Response(null, { status: 204 });

/** Only a 207 is worth parsing; a document type (entities) is left unread. */
function forTsdav(answer: Answer): Response {
  if (answer.status !== 207 || hasDocumentType(answer.body)) return nothingToRead;
  return new Response(answer.body, { status: 207, headers: { 'content-type': 'text/xml' } });
}

/** Looks past the XML declaration and comments only: what stands in an element is anybody's text. */
function hasDocumentType(body: string): boolean {
  const prolog = /\s*(?:<\?[\s\S]*?\?>|<!--[\s\S]*?-->)/y;
  let at = 0;
  while (prolog.test(body)) at = prolog.lastIndex;
  const type = /\s*<!DOCTYPE/iy;
  type.lastIndex = at;
  return type.test(body);
}

const isReadable = (responses: readonly DAVResponse[]): boolean =>
  responses.every((response) => (response.raw as { multistatus?: unknown } | undefined)?.multistatus !== undefined);

// xml-js below tsdav takes a document that breaks off for a whole one.
const isWhole = (body: string): boolean =>
  /(?:<\/(?:[\w.-]+:)?multistatus\s*>|<(?:[\w.-]+:)?multistatus[^<>]*\/>)\s*(?:<!--[^<]*-->\s*)?$/.test(
    body.slice(-2_000),
  );
