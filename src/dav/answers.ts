import type { Recovery } from '../shared/errors.ts';
import { DavError, type Outcome } from './dav-error.ts';

/** An HTTP answer, read to its end. */
export interface Answer {
  readonly url: string;
  readonly status: number;
  readonly headers: Pick<Headers, 'get'>;
  readonly body: string;
}

export type Method = 'PUT' | 'DELETE' | 'GET' | 'PROPFIND' | 'REPORT' | 'MKCALENDAR';

/** Whether the request may change the server. */
export const isWrite = (method: Method): boolean => method === 'PUT' || method === 'DELETE' || method === 'MKCALENDAR';

/** What was asked, as far as it decides what the answer means. */
export interface Asked {
  readonly method: Method;
  readonly href: string;
  /** The server has shown `X-Sabre-Version` before, so an answer without it comes from somebody else. */
  readonly isSabre: boolean;
  readonly now: Date;
}

/** `etag` null: the server changed what it stored (or names no etag); read again before the next conditional write. */
export type PutResult =
  | { readonly kind: 'stored'; readonly etag: string | null }
  /** `etag`: the present one, as far as the server told it. */
  | { readonly kind: 'precondition-failed'; readonly etag: string | null };

export type RemoveResult =
  | { readonly kind: 'removed' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'precondition-failed'; readonly etag: string | null };

/** A weak etag (some proxies weaken what they compress) is as good as none: sabre/dav refuses it in If-Match. */
function etagOf(answer: Answer): string | null {
  const etag = answer.headers.get('etag');
  return etag?.startsWith('W/') === true ? null : etag;
}

/** 201 and 204 are stored, 412 is a failed precondition; all else throws DavError (404: `dav.not_found`). */
export function readPut(answer: Answer, asked: Asked): PutResult {
  if (isFrom(answer, asked)) {
    if (answer.status === 201 || answer.status === 204) return { kind: 'stored', etag: etagOf(answer) };
    if (answer.status === 412) return { kind: 'precondition-failed', etag: etagOf(answer) };
  }
  throw failureOf(answer, asked);
}

/** 204 is removed (200 with XML for Radicale), 404 and 410 are missing, 412 is a failed precondition; all else throws DavError. */
export function readRemove(answer: Answer, asked: Asked): RemoveResult {
  if (isFrom(answer, asked)) {
    if (answer.status === 204 || (answer.status === 200 && !asked.isSabre && isXml(answer))) return { kind: 'removed' };
    if (answer.status === 404 || answer.status === 410) return { kind: 'missing' };
    if (answer.status === 412) return { kind: 'precondition-failed', etag: etagOf(answer) };
  }
  throw failureOf(answer, asked);
}

/** 200 with a calendar, null for 404 and 410; all else throws DavError, a web page with 200 among it. */
export function readGet(answer: Answer, asked: Asked): { readonly etag: string | null; readonly body: string } | null {
  if (isFrom(answer, asked)) {
    if (answer.status === 200 && !isHtml(answer)) return { etag: etagOf(answer), body: answer.body };
    if (answer.status === 404 || answer.status === 410) return null;
  }
  throw failureOf(answer, asked);
}

/** 201 is made, 405 (Baikal, DAViCal), 403 and 409 with a precondition name are "there already"; else DavError. */
export function readMakeCalendar(answer: Answer, asked: Asked): 'made' | 'exists' {
  if (isFrom(answer, asked)) {
    if (answer.status === 201) return 'made';
    if (answer.status === 405 || preconditionOf(answer.body) === 'resource-must-be-null') return 'exists';
  }
  throw failureOf(answer, asked);
}

/** Lets a 207 pass; all else throws DavError. */
export function expectMultistatus(answer: Answer, asked: Asked): void {
  if (answer.status !== 207 || !isFrom(answer, asked)) throw failureOf(answer, asked);
}

const isHtml = (answer: Answer): boolean => /^text\/html\b/i.test(answer.headers.get('content-type') ?? '');
const isXml = (answer: Answer): boolean =>
  /^(?:text|application)\/xml\b/i.test(answer.headers.get('content-type') ?? '');
const isFrom = (answer: Answer, asked: Asked): boolean =>
  !asked.isSabre || answer.headers.get('x-sabre-version') !== null;

/** The class that sabre/dav names in an error body, without its namespace: `MaxInstancesExceededException`. */
export function exceptionOf(body: string): string | null {
  return /<s:exception>\s*(?:[\w\\]*\\)?(\w+)\s*<\/s:exception>/.exec(body)?.[1] ?? null;
}

const preconditions = [
  'valid-sync-token',
  'no-uid-conflict',
  'unique-scheduling-object-resource',
  'supported-calendar-component',
  'supported-calendar-data',
  'valid-calendar-data',
  'valid-calendar-object-resource',
  'max-resource-size',
  'max-instances',
  'max-attendees-per-instance',
  'min-date-time',
  'max-date-time',
  'need-privileges',
  'resource-must-be-null',
  'supported-report',
] as const;
export type Precondition = (typeof preconditions)[number];

/** The precondition that a DAV error body names (RFC 4918 section 16, RFC 4791 section 5.3.2.1, RFC 6578, RFC 6638). */
export function preconditionOf(body: string): Precondition | null {
  if (!/<(?:\w+:)?error[\s>]/.test(body)) return null;
  return preconditions.find((name) => new RegExp(`<(?:[\\w-]+:)?${name}[\\s/>]`).test(body)) ?? null;
}

interface Verdict {
  readonly code: string;
  readonly outcome: Outcome;
  readonly recovery: Recovery;
  readonly says: string;
}

const later: Recovery = { kind: 'retry' };
const refuse = (code: string, says: string, remedy: string): Verdict => ({
  code,
  outcome: 'refused',
  recovery: { kind: 'operator', remedy },
  says,
});
const askOperator = (code: string, says: string, remedy: string): Verdict => ({
  code,
  outcome: 'not-sent',
  recovery: { kind: 'operator', remedy },
  says,
});

const bodyRefused = refuse(
  'dav.body_refused',
  'the server does not take this calendar text',
  'Report this event: our text breaks a rule of the server.',
);
const tooManyInstances = refuse(
  'dav.too_many_instances',
  'the series has more occurrences than the server expands',
  'Shorten or split the series.',
);
const tooLarge = refuse(
  'dav.too_large',
  'the event is larger than the server or its proxy takes',
  'Raise the body limit of the web server (nginx: client_max_body_size).',
);
const uidConflict = refuse(
  'dav.uid_conflict',
  'another resource has the same UID',
  'Remove the other resource, or give it to the mirror.',
);

/** Permanent 500s of sabre/dav: named by the exception, not by the status. */
const byException: Readonly<Record<string, Verdict>> = {
  MaxInstancesExceededException: tooManyInstances,
  NoInstancesException: refuse(
    'dav.no_instances',
    'every occurrence of the series is excluded',
    'Nothing: such a series is not shown.',
  ),
  InvalidDataException: bodyRefused,
  SameOrganizerForAllComponentsException: bodyRefused,
};

const byPrecondition: Partial<Readonly<Record<Precondition, Verdict>>> = {
  'supported-calendar-component': bodyRefused,
  'supported-calendar-data': bodyRefused,
  'valid-calendar-data': bodyRefused,
  'valid-calendar-object-resource': bodyRefused,
  'min-date-time': bodyRefused,
  'max-date-time': bodyRefused,
  'max-attendees-per-instance': bodyRefused,
  'max-instances': tooManyInstances,
  'max-resource-size': tooLarge,
  'no-uid-conflict': uidConflict,
  'unique-scheduling-object-resource': uidConflict, // RFC 6638 section 3.2.4.1; Cyrus
  'valid-sync-token': {
    code: 'dav.sync_token_invalid',
    outcome: 'not-sent',
    recovery: { kind: 'reread' },
    says: 'the server does not know our sync token',
  },
};

/** The failure that an answer means. Pure: the whole table of what servers were seen to say. */
export function failureOf(answer: Answer, asked: Asked): DavError {
  const { says, ...verdict } = judge(answer, asked);
  return new DavError(`${asked.method} ${asked.href} answered ${answer.status}: ${says}`, {
    ...verdict,
    status: answer.status,
  });
}

function judge(answer: Answer, asked: Asked): Verdict {
  const { status, body } = answer;
  const isStranger = !isFrom(answer, asked);
  const unsure: Outcome = isWrite(asked.method) ? 'unknown' : 'not-sent';

  if (status >= 200 && status < 400) {
    // Baikal answers 200 text/html when its database or configuration is unusable, 302 to its installer when an
    // upgrade waits. It has then done nothing; of other servers we cannot say that.
    const isPage = isHtml(answer) && (isStranger || !asked.isSabre);
    const outcome = status >= 300 || (isPage && isStranger) ? 'not-sent' : unsure;
    return { code: 'dav.not_ready', outcome, recovery: later, says: 'the server is not ready (no CalDAV answer)' };
  }
  if (status === 401) {
    return askOperator(
      'dav.unauthorized',
      'the server refuses user name or password',
      'Check user name, password and authentication type of this account.',
    );
  }
  if (status === 408)
    return { code: 'dav.timeout', outcome: unsure, recovery: later, says: 'the server gave up waiting' };
  if (status === 423 || status === 425 || status === 429) {
    return { code: 'dav.busy', outcome: 'not-sent', recovery: retryAt(answer, asked.now), says: 'the server is busy' };
  }
  if (status === 413) return tooLarge;
  const precondition = preconditionOf(body);
  const named =
    (precondition === null ? undefined : byPrecondition[precondition]) ?? byException[exceptionOf(body) ?? ''];
  if (named !== undefined) return named;
  if (status >= 500) {
    return {
      code: status === 503 ? 'dav.unavailable' : 'dav.server_error',
      outcome: unsure,
      recovery: retryAt(answer, asked.now),
      says: status === 507 ? 'the server has no room left' : 'the server or its proxy failed',
    };
  }
  if (isStranger) {
    return {
      code: 'dav.not_ready',
      outcome: 'not-sent',
      recovery: later,
      says: 'the answer is not from the calendar server',
    };
  }
  // 409: the parent is missing. 415 for a report: nothing there knows calendars, as in Baikal with CalDAV switched off.
  const isElsewhere = (status === 409 && isWrite(asked.method)) || (status === 415 && asked.method === 'REPORT');
  if (status === 404 || status === 410 || isElsewhere) {
    return askOperator('dav.not_found', 'there is no such collection', 'Check the URL of this account.');
  }
  if (asked.method === 'PUT' && (status === 400 || status === 415 || status === 422)) return bodyRefused;
  if (status === 403) {
    return askOperator(
      'dav.forbidden',
      'this user may not do that',
      'Give the user of this account the right to write, or choose another calendar.',
    );
  }
  return askOperator('dav.unexpected', 'we did not expect that', 'Report this server and its answer.');
}

/** Nobody means to be left alone for longer; it is asked again then. */
const longestWaitMs = 6 * 3_600_000;

/**
 * `Retry-After` (seconds, fractions too, or an HTTP date) as the instant to wait for. A date is counted from the
 * server's own clock, which may be off.
 */
function retryAt(answer: Answer, now: Date): Recovery {
  const text = answer.headers.get('retry-after')?.trim() ?? '';
  if (text === '') return later;
  const seconds = Number(text);
  const serverNow = Date.parse(answer.headers.get('date') ?? '');
  const waitMs = Number.isFinite(seconds)
    ? seconds * 1_000
    : Date.parse(text) - (Number.isNaN(serverNow) ? now.getTime() : serverNow);
  if (Number.isNaN(waitMs)) return later;
  return { kind: 'retry', notBefore: new Date(now.getTime() + Math.min(Math.max(waitMs, 0), longestWaitMs)) };
}

/** Codes of a connection that never came about, so that nothing can have been stored. */
const neverConnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** The failure that a request without an answer means; `thrown` is what `fetch` rejected with. */
export function noAnswer(thrown: unknown, asked: Pick<Asked, 'method' | 'href'>, isTimeout: boolean): DavError {
  const codes = causesOf(thrown).map((cause) => (cause as { code?: unknown }).code);
  const code = codes.find((one): one is string => typeof one === 'string') ?? '';
  const what = `${asked.method} ${asked.href}`;
  const base = { status: null, cause: thrown };
  if (/^(CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_SSL)/.test(code)) {
    return new DavError(`${what}: the server's certificate was not accepted (${code})`, {
      ...base,
      code: 'dav.certificate',
      outcome: 'not-sent',
      recovery: { kind: 'operator', remedy: 'Name the certificate authority in NODE_EXTRA_CA_CERTS.' },
    });
  }
  if (neverConnected.has(code)) {
    return new DavError(`${what}: the server cannot be reached (${code})`, {
      ...base,
      code: 'dav.unreachable',
      outcome: 'not-sent',
      recovery: later,
    });
  }
  return new DavError(
    isTimeout ? `${what}: no answer in time` : `${what}: the connection broke (${code || 'closed'})`,
    {
      ...base,
      code: isTimeout ? 'dav.timeout' : 'dav.connection_lost',
      outcome: isWrite(asked.method) ? 'unknown' : 'not-sent',
      recovery: later,
    },
  );
}

function causesOf(thrown: unknown): object[] {
  const causes: object[] = [];
  for (let cause = thrown; typeof cause === 'object' && cause !== null && causes.length < 8;) {
    causes.push(cause);
    cause = (cause as { cause?: unknown; errors?: unknown[] }).cause ?? (cause as { errors?: unknown[] }).errors?.[0];
  }
  return causes;
}
