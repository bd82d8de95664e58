import { SyncError } from '../../shared/errors.ts';
import { entraNumbers } from './aadsts.ts';
import { retryAt } from './errors.ts';

/** What the login host answered when it gave no token. */
export interface FailedSignIn {
  readonly status: number;
  /** `invalid_client` and the like (RFC 6749 section 5.2). */
  readonly error: string;
  /** Entra's numbers, 7000222 of AADSTS7000222. Diagnosis only, they may change. */
  readonly numbers: readonly number[];
  readonly retryAfter: string | null;
  /** By which an administrator finds the attempt in the sign-in logs. */
  readonly correlationId: string | null;
}

const unknownRemedy =
  'Check directory, client id, credential and cloud of the tenant. Where there is a number, Microsoft explains it at https://login.microsoftonline.com/error, and the sign-in logs of Entra have the attempt by its correlation id.';

/** Turns a refused token into the error that decides what happens next. Pure; never quotes the description. */
export function classifySignIn(failed: FailedSignIn, now: Date): SyncError {
  const { numbers, status, error } = failed;
  const found = entraNumbers.find(({ number }) => numbers.includes(number));
  const isPassing = found === undefined ? status === 429 || status >= 500 : found.remedy === null;
  const says = found?.says ?? (isPassing ? 'the login host is busy' : 'the login host refused');
  const message = `No token: ${says} (${describe(failed)}).`;
  if (isPassing) {
    const notBefore = retryAt(failed.retryAfter, now);
    return new SyncError(message, {
      code: found?.code ?? 'graph.sign_in_busy',
      recovery: notBefore === null ? { kind: 'retry' } : { kind: 'retry', notBefore },
    });
  }
  return new SyncError(message, {
    code: found?.code ?? (error === 'invalid_grant' ? 'graph.sign_in_again' : 'graph.sign_in_refused'),
    recovery: {
      kind: 'operator',
      remedy: found?.remedy ?? (error === 'invalid_grant' ? 'Sign in again.' : unknownRemedy),
    },
  });
}

function describe({ numbers, error, status, correlationId }: FailedSignIn): string {
  const told = numbers.length > 0 ? numbers.map(aadsts) : [error, `status ${status}`];
  return [...told, ...(correlationId === null ? [] : [`correlation id ${correlationId}`])].join(', ');
}

export function aadsts(number: number): string {
  return `AADSTS${number}`;
}

/** Entra's numbers in a token answer's body: `error_codes`, else the AADSTS numbers of its description. */
export function readNumbers(body: unknown): number[] {
  if (typeof body !== 'object' || body === null) return [];
  const { error_codes: codes, error_description: description } = body as Record<string, unknown>;
  if (Array.isArray(codes)) return codes.filter((code) => Number.isSafeInteger(code)).map(Number);
  const text = typeof description === 'string' ? description : '';
  return [...text.matchAll(/AADSTS(\d{4,8})/g)].map(([, number]) => Number(number));
}

/** `correlation_id` of the body, else that of its description; only what looks like an id is shown. */
export function readCorrelation(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null;
  const { correlation_id: id, error_description: description } = body as Record<string, unknown>;
  const text = typeof id === 'string' ? id : typeof description === 'string' ? description : '';
  return /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i.exec(text.split(/Correlation ID:/i).at(-1) ?? '')?.[0] ?? null;
}
