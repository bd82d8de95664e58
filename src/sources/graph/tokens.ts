import { createPrivateKey, X509Certificate } from 'node:crypto';
import { ConfidentialClientApplication, type Configuration, type INetworkModule } from '@azure/msal-node';
import type { Clock } from '../../shared/clock.ts';
import type { Cloud } from '../../shared/clouds.ts';
import { SyncError } from '../../shared/errors.ts';
import { networkFault } from './errors.ts';
import { classifySignIn, readCorrelation, readNumbers } from './sign-in-errors.ts';

/** How the app proves itself: a client secret, or PEM texts of a certificate and its key. */
export type GraphCredential =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'certificate'; readonly certificate: string; readonly privateKey: string };

export interface TokenOptions {
  readonly cloud: Cloud;
  /** Directory (tenant) id, never `common`. */
  readonly directory: string;
  readonly client: string;
  readonly credential: GraphCredential;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Ours, for the User-Agent. */
  readonly version: string;
}

export interface Tokens {
  /** An app-only token for Graph, from memory while it lives. Throws SyncError. */
  get(): Promise<string>;
  /** A fresh one in place of `refused`; one request however many ask at once. */
  replace(refused: string): Promise<string>;
  /** A fresh one whatever there is: permissions may have been granted since. */
  renew(): Promise<string>;
}

/** Tokens of one tenant. MSAL keeps and renews them but has no single flight: its promise is shared here. */
export function tokens(options: TokenOptions): Tokens {
  const wire = loginNetwork(options);
  const scopes = [`${options.cloud.graph}/.default`];
  let app: ConfidentialClientApplication | null = null;
  let flight: { readonly isForced: boolean; readonly token: Promise<string> } | null = null;
  let latest: string | null = null;
  let lastRefusal: SyncError | null = null;

  const acquire = async (skipCache: boolean): Promise<string> => {
    wire.forget();
    try {
      app ??= application(options, wire.network);
      const answer = await app.acquireTokenByClientCredential({ scopes, skipCache });
      if (answer?.accessToken) return (latest = answer.accessToken);
    } catch (thrown) {
      // MSAL holds back by itself after a refusal: then nothing was asked and the last reason still stands.
      lastRefusal = thrown instanceof SyncError ? thrown : (wire.reason(options.clock.now()) ?? lastRefusal);
      throw lastRefusal ?? unexplained(thrown);
    }
    throw unexplained(null);
  };
  const fly = (isForced: boolean): Promise<string> => {
    if (flight !== null && (flight.isForced || !isForced)) return flight.token;
    const token = acquire(isForced).finally(() => {
      if (flight?.token === token) flight = null;
    });
    flight = { isForced, token };
    return token;
  };
  return {
    get: () => fly(false),
    replace: (refused) => (latest !== null && latest !== refused ? Promise.resolve(latest) : fly(true)),
    renew: () => fly(true),
  };
}

function application(options: TokenOptions, networkClient: INetworkModule): ConfidentialClientApplication {
  const { cloud, directory, client } = options;
  const configuration: Configuration = {
    auth: {
      clientId: client,
      authority: `${cloud.login}/${directory}`,
      knownAuthorities: [new URL(cloud.login).host],
      ...proof(options.credential),
    },
    // Waiting is the queue's business, not MSAL's.
    system: { networkClient, disableInternalRetries: true },
  };
  return new ConfidentialClientApplication(configuration);
}

function proof(credential: GraphCredential): Pick<Configuration['auth'], 'clientSecret' | 'clientCertificate'> {
  if (credential.kind === 'secret') return { clientSecret: credential.secret };
  try {
    const certificate = new X509Certificate(credential.certificate);
    const key = createPrivateKey(credential.privateKey);
    if (!certificate.checkPrivateKey(key)) throw new Error('the key belongs to another certificate');
    return {
      clientCertificate: {
        thumbprintSha256: certificate.fingerprint256.replaceAll(':', ''),
        privateKey: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
        x5c: credential.certificate,
      },
    };
  } catch (cause) {
    throw new SyncError('The certificate of the tenant cannot be used.', {
      code: 'graph.certificate_invalid',
      recovery: { kind: 'operator', remedy: 'Give a PEM certificate and the unencrypted PEM key that belongs to it.' },
      field: 'certificate',
      cause,
    });
  }
}

interface LoginNetwork {
  readonly network: INetworkModule;
  forget(): void;
  /** Why the last requests failed, which MSAL's own errors hide; null when they did not. */
  reason(now: Date): SyncError | null;
}

export function loginNetwork({
  fetch,
  timeoutMs,
  version,
}: Pick<TokenOptions, 'fetch' | 'timeoutMs' | 'version'>): LoginNetwork {
  let reason: ((now: Date) => SyncError) | null = null;

  const send = async (url: string, init: RequestInit) => {
    let status: number;
    let headers: Headers;
    let text: string;
    try {
      const named = { ...(init.headers as Record<string, string>), 'User-Agent': `calendar-sync/${version}` };
      const answer = await fetch(url, {
        ...init,
        headers: named,
        redirect: 'manual',
        signal: AbortSignal.timeout(timeoutMs),
      });
      ({ status, headers } = answer);
      text = await answer.text();
    } catch (thrown) {
      reason = () => networkFault(thrown, new URL(url).host);
      throw thrown;
    }
    const body = parse(text);
    if (status >= 300 || body === null) {
      const error = body?.['error'];
      const retryAfter = headers.get('retry-after');
      const failed = {
        status: body === null && status < 500 ? 502 : status,
        error: typeof error === 'string' && /^\w{1,60}$/.test(error) ? error : 'no reason',
        numbers: readNumbers(body),
        retryAfter,
        correlationId: readCorrelation(body),
      };
      reason = (now) => classifySignIn(failed, now);
    }
    return { status, headers: Object.fromEntries(headers), body: (body ?? {}) as never };
  };
  return {
    network: {
      sendGetRequestAsync: (url, options) => send(url, { method: 'GET', headers: options?.headers ?? {} }),
      sendPostRequestAsync: (url, options) =>
        send(url, { method: 'POST', headers: options?.headers ?? {}, body: options?.body ?? '' }),
    },
    forget: () => void (reason = null),
    reason: (now) => reason?.(now) ?? null,
  };
}

function parse(text: string): Record<string, unknown> | null {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

export function unexplained(cause: unknown): SyncError {
  const name = cause instanceof Error && 'errorCode' in cause ? String(cause.errorCode) : 'no reason';
  return new SyncError(`No token: the sign-in failed before it reached the login host (${name}).`, {
    code: 'graph.sign_in_failed',
    recovery: { kind: 'operator', remedy: 'Check directory, client id, credential and cloud of the tenant.' },
    cause,
  });
}
