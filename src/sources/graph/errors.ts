import { SyncError, type Recovery } from '../../shared/errors.ts';

/** An answer of Graph that is no success, reduced to what decides. */
export interface FailedAnswer {
  readonly status: number;
  /** `error.code` and the codes of nested inner errors, outermost first. */
  readonly codes: readonly string[];
  /** Only read where Graph tells a case by nothing else. */
  readonly message: string;
  /** The header as it came: seconds, fractions too, or an HTTP date. */
  readonly retryAfter: string | null;
  readonly requestId: string | null;
}

interface Row {
  readonly is: (answer: FailedAnswer) => boolean;
  readonly code: string;
  /** What happened; the status and Graph's own code are added. */
  readonly says: string;
  readonly recovery: 'retry' | 'reread' | { readonly remedy: string };
}

const status =
  (...wanted: number[]) =>
  (answer: FailedAnswer) =>
    wanted.includes(answer.status);
const code = (...wanted: string[]) => {
  const lower = new Set(wanted.map((each) => each.toLowerCase()));
  return (answer: FailedAnswer) => answer.codes.some((each) => lower.has(each.toLowerCase()));
};
const both = (a: Row['is'], b: Row['is']) => (answer: FailedAnswer) => a(answer) && b(answer);
const isClientError = (answer: FailedAnswer): boolean => answer.status >= 400 && answer.status < 500;
const message = (wanted: RegExp) => (answer: FailedAnswer) => wanted.test(answer.message);

/**
 * First match decides. Sources: Graph docs, `errors.md`, `delta-query-overview.md`, `throttling.md`; mailboxes without
 * REST: `known-issues.md`. Only `graph.item_not_found` may ever lead to a removal, and only after the calendar itself
 * has answered.
 */
const ROWS: readonly Row[] = [
  {
    is: (answer) =>
      answer.status === 410 ||
      both(
        isClientError,
        code(
          'syncStateNotFound',
          'syncStateInvalid',
          'resyncRequired',
          'resyncApplyDifferences',
          'ErrorInvalidSyncStateData',
        ),
      )(answer),
    code: 'graph.sync_state_lost',
    says: 'Graph no longer knows where our reading stood',
    recovery: 'reread',
  },
  {
    is: both(isClientError, code('ApplicationThrottled', 'TooManyRequests', 'ErrorServerBusy')),
    code: 'graph.throttled',
    says: 'Graph asks us to slow down',
    recovery: 'retry',
  },
  { is: status(429), code: 'graph.throttled', says: 'Graph asks us to slow down', recovery: 'retry' },
  {
    is: both(status(401), message(/audience/i)),
    code: 'graph.wrong_cloud',
    says: 'Graph does not take tokens of this login host',
    recovery: {
      remedy:
        'Login host and Graph host belong to different clouds: check the cloud of the tenant, or login and graph of a cloud of your own.',
    },
  },
  {
    is: status(401),
    code: 'graph.token_refused',
    says: 'Graph refused our token, a fresh one too',
    recovery: {
      remedy:
        'Check that the tenant is configured in the right cloud and that the app registration still exists, then run "calendar-sync doctor".',
    },
  },
  {
    is: both(status(403), message(/OData is disabled/i)),
    code: 'graph.access_denied',
    says: 'An application access policy of Exchange does not let the app read this mailbox',
    recovery: {
      remedy:
        'Add the mailbox to the group of the policy, or take it out of the configuration. Mind that a policy can take over an hour to work, although its test cmdlet agrees at once.',
    },
  },
  {
    is: both(status(403), code('Authorization_RequestDenied')),
    code: 'graph.access_denied',
    says: 'The app lacks the permission for this',
    recovery: {
      remedy:
        'Grant the app Calendars.Read: name the mailbox in its Exchange role scope, or give admin consent. Then run "calendar-sync doctor".',
    },
  },
  {
    is: status(403),
    code: 'graph.access_denied',
    says: 'Graph refused to read this calendar',
    recovery: {
      remedy:
        'Grant the app Calendars.Read: name the mailbox in its Exchange role scope, or give admin consent, and mind that a policy can take over an hour to work. Then run "calendar-sync doctor".',
    },
  },
  {
    is: code(
      'MailboxNotEnabledForRESTAPI',
      'MailboxNotSupportedForRESTAPI',
      'ErrorNonExistentMailbox',
      'MailboxNotHosted',
    ),
    code: 'graph.mailbox_unavailable',
    says: 'Graph cannot reach this mailbox',
    recovery: {
      remedy:
        'The mailbox belongs to a guest, has no licence, is kept on premises or was deleted: check it in the Exchange admin centre. What is shown stays as it is.',
    },
  },
  {
    is: both(status(404), code('ResourceNotFound', 'Request_ResourceNotFound', 'ErrorInvalidUser')),
    code: 'graph.user_not_found',
    says: 'Graph knows no such user',
    recovery: {
      remedy: 'Check the mailbox of the source: its address may have changed. What is shown stays as it is.',
    },
  },
  {
    is: both(status(404), code('ErrorItemNotFound', 'itemNotFound')),
    code: 'graph.item_not_found',
    says: 'Graph has no such event or calendar',
    recovery: 'retry',
  },
  {
    is: status(404),
    code: 'graph.not_found_unexplained',
    says: 'Graph answered that something is missing without saying what',
    recovery: 'retry',
  },
  {
    is: both(status(400), code('ErrorInvalidIdMalformed', 'ErrorInvalidId', 'ErrorInvalidIdEmpty')),
    code: 'graph.id_refused',
    says: 'Graph does not take an id that it gave us',
    recovery: 'retry',
  },
  {
    is: both(status(400), code('ExtensionError')),
    code: 'graph.mailbox_refused',
    says: 'Exchange refused this for the mailbox',
    recovery: {
      remedy:
        'Check in the Exchange admin centre that the mailbox has a licence and is not kept on premises. Where only change notifications are refused, its calendars are polled and nothing need be done.',
    },
  },
  { is: status(409), code: 'graph.already_there', says: 'Graph has this already', recovery: 'retry' },
  {
    is: both(status(400), code('ErrorInvalidUrlQuery', 'ErrorInvalidRequest', 'ErrorInvalidParameter')),
    code: 'graph.request_refused',
    says: 'Graph refused our request',
    recovery: {
      remedy:
        'The window of the source may be longer than five years: shorten it. Otherwise report this with the request id.',
    },
  },
  {
    is: status(408, 502, 503, 504, 509),
    code: 'graph.overloaded',
    says: 'Graph is overloaded or took too long',
    recovery: 'retry',
  },
  { is: (answer) => answer.status >= 500, code: 'graph.server_error', says: 'Graph failed', recovery: 'retry' },
  {
    is: (answer) => answer.status >= 300 && answer.status < 400,
    code: 'graph.redirected',
    says: 'Something between us and Graph redirected the request',
    recovery: 'retry',
  },
  {
    is: isClientError,
    code: 'graph.request_refused',
    says: 'Graph refused our request',
    recovery: { remedy: 'Report this with the request id.' },
  },
];

/** Turns a failed answer into the error that decides what happens next. Pure; `now` is for Retry-After. */
export function classify(answer: FailedAnswer, now: Date): SyncError {
  const row = ROWS.find(({ is }) => is(answer));
  const told = [`status ${answer.status}`, ...answer.codes.slice(0, 1)].join(' ');
  const request = answer.requestId === null ? '' : `, request id ${answer.requestId}`;
  if (row === undefined) {
    return new SyncError(`Graph gave an answer that makes no sense (${told}${request}).`, {
      code: 'graph.unreadable_answer',
      recovery: { kind: 'retry' },
    });
  }
  return new SyncError(`${row.says} (${told}${request}).`, {
    code: row.code,
    recovery: recoveryOf(row, retryAt(answer.retryAfter, now)),
  });
}

function recoveryOf(row: Row, notBefore: Date | null): Recovery {
  if (row.recovery === 'reread') return { kind: 'reread' };
  if (row.recovery === 'retry') return notBefore === null ? { kind: 'retry' } : { kind: 'retry', notBefore };
  return { kind: 'operator', remedy: row.recovery.remedy };
}

/** When Retry-After lets us come back: seconds with fractions, or an HTTP date; a day at most. Null: it says nothing. */
export function retryAt(header: string | null, now: Date): Date | null {
  if (header === null || header.trim() === '') return null;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - now.getTime() : seconds * 1_000;
  if (Number.isNaN(ms)) return null;
  return new Date(now.getTime() + Math.min(Math.max(0, Math.ceil(ms)), 86_400_000));
}

/** The body of a failed answer; whatever it is, web pages of proxies included. */
export function readFailure(statusCode: number, body: string, headers: Headers): FailedAnswer {
  const error = member(parse(body), 'error');
  const inner = member(error, 'innerError') ?? member(error, 'innererror');
  return {
    status: statusCode,
    codes: codesOf(error, 0),
    message: stringOf(error, 'message') ?? '',
    retryAfter: headers.get('retry-after'),
    requestId: headers.get('request-id') ?? stringOf(inner, 'request-id'),
  };
}

/** The most specific code may sit deep inside; the spelling of the nesting varies. */
function codesOf(error: unknown, level: number): string[] {
  if (error === undefined || level > 5) return [];
  const own = stringOf(error, 'code');
  const inner = member(error, 'innerError') ?? member(error, 'innererror');
  return [...(own === null ? [] : [own.replace(/[^\w.-]/g, '').slice(0, 80)]), ...codesOf(inner, level + 1)];
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function member(json: unknown, name: string): unknown {
  return typeof json === 'object' && json !== null ? (json as Record<string, unknown>)[name] : undefined;
}

function stringOf(json: unknown, name: string): string | null {
  const value = member(json, name);
  return typeof value === 'string' ? value : null;
}

const CERTIFICATE_FAULTS = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** A request that got no answer at all: passing, unless the other side's certificate is not trusted. */
export function networkFault(thrown: unknown, host: string): SyncError {
  const name = faultName(thrown);
  if (CERTIFICATE_FAULTS.has(name)) {
    return new SyncError(`The certificate of ${host} is not trusted (${name}).`, {
      code: 'graph.certificate_untrusted',
      recovery: {
        kind: 'operator',
        remedy:
          'If a proxy inspects traffic, give its authority in NODE_EXTRA_CA_CERTS; else check the host of the cloud.',
      },
      cause: thrown,
    });
  }
  const isTimeout = name === 'TimeoutError' || /TIMEOUT/.test(name);
  const message = isTimeout ? `${host} did not answer in time.` : `The connection to ${host} failed (${name}).`;
  return new SyncError(message, {
    code: isTimeout ? 'graph.timeout' : 'graph.unreachable',
    recovery: { kind: 'retry' },
    cause: thrown,
  });
}

/** The innermost system code, else the name; faults of fetch come from other realms, so their class says nothing. */
function faultName(thrown: unknown): string {
  let name = 'unknown fault';
  for (let each = thrown, level = 0; each !== undefined && level < 5; each = member(each, 'cause'), level += 1) {
    const own = stringOf(each, 'code');
    if (own !== null) return own;
    name =
      level === 0 || /^(?:Timeout|Abort)Error$/.test(stringOf(each, 'name') ?? '')
        ? (stringOf(each, 'name') ?? name)
        : name;
  }
  return name;
}
