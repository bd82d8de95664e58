import { SyncError } from '../../shared/errors.ts';
import { retryAt } from './errors.ts';

/** What the login host answered when it gave no token. */
export interface FailedSignIn {
  readonly status: number;
  /** `invalid_client` and the like (RFC 6749 section 5.2). */
  readonly error: string;
  /** Entra's numbers, 7000222 of AADSTS7000222. Diagnosis only, they may change. */
  readonly numbers: readonly number[];
  readonly retryAfter: string | null;
}

interface Explanation {
  readonly numbers: readonly number[];
  readonly code: string;
  readonly says: string;
  /** Null: passing. */
  readonly remedy: string | null;
}

/** Source: Entra docs, `reference-error-codes.md`. */
const EXPLANATIONS: readonly Explanation[] = [
  {
    numbers: [7000215],
    code: 'graph.secret_wrong',
    says: 'the client secret is wrong',
    remedy: 'Paste the value of the secret, not its id, or make a new one in the app registration.',
  },
  {
    numbers: [7000222],
    code: 'graph.secret_expired',
    says: 'the client secret has expired',
    remedy: 'Make a new secret in the app registration and configure it.',
  },
  {
    numbers: [700027],
    code: 'graph.certificate_refused',
    says: 'the certificate was refused',
    remedy:
      'Upload the certificate to the app registration, check that the key belongs to it and that the clock is right.',
  },
  {
    numbers: [700016, 700011],
    code: 'graph.app_unknown',
    says: 'the app is not known in this directory',
    remedy: 'Check client id, directory and cloud; let an administrator of the directory consent to the app.',
  },
  {
    numbers: [7000112, 70001],
    code: 'graph.app_disabled',
    says: 'the app is disabled in this directory',
    remedy: 'Enable it under Enterprise applications, "Enabled for users to sign in".',
  },
  {
    numbers: [65001, 65004, 90094],
    code: 'graph.consent_missing',
    says: 'nobody has consented to the app, or consent was declined',
    remedy: 'Let an administrator open the consent link (`calendar-sync consent`).',
  },
  {
    numbers: [500011, 650057],
    code: 'graph.resource_unknown',
    says: 'the directory does not know this Graph host',
    remedy: 'Check the cloud of the tenant: its Graph host belongs to another cloud.',
  },
  {
    numbers: [90002],
    code: 'graph.directory_not_found',
    says: 'there is no such directory in this cloud',
    remedy: 'Check the spelling of the directory, and the cloud.',
  },
  {
    numbers: [90038, 900382, 900432],
    code: 'graph.wrong_cloud',
    says: 'the directory lives in another cloud',
    remedy: 'Configure the cloud that the directory belongs to, with an app registration made there.',
  },
  {
    numbers: [53003, 530032],
    code: 'graph.blocked_by_policy',
    says: 'Conditional Access blocks the app',
    remedy: 'Let an administrator allow this workload or the address that it comes from.',
  },
  {
    numbers: [50034, 50057, 50076, 50173, 70043, 700082],
    code: 'graph.sign_in_again',
    says: 'the sign-in is no longer valid',
    remedy: 'Sign in again.',
  },
  { numbers: [70016], code: 'graph.sign_in_pending', says: 'nobody has entered the code yet', remedy: null },
  { numbers: [70019], code: 'graph.sign_in_again', says: 'the code has expired', remedy: 'Start the sign-in again.' },
  {
    numbers: [50196, 90055, 50033, 90006, 90024],
    code: 'graph.sign_in_busy',
    says: 'the login host is busy',
    remedy: null,
  },
];

/** Turns a refused token into the error that decides what happens next. Pure; never quotes the description. */
export function classifySignIn(failed: FailedSignIn, now: Date): SyncError {
  const found = EXPLANATIONS.find(({ numbers }) => numbers.some((number) => failed.numbers.includes(number)));
  const told =
    failed.numbers.map((number) => `AADSTS${number}`).join(', ') || `${failed.error}, status ${failed.status}`;
  const isPassing = found === undefined ? failed.status === 429 || failed.status >= 500 : found.remedy === null;
  const message = `No token: ${found?.says ?? (isPassing ? 'the login host is busy' : 'the login host refused')} (${told}).`;
  if (isPassing) {
    const notBefore = retryAt(failed.retryAfter, now);
    return new SyncError(message, {
      code: found?.code ?? 'graph.sign_in_busy',
      recovery: notBefore === null ? { kind: 'retry' } : { kind: 'retry', notBefore },
    });
  }
  return new SyncError(message, {
    code: found?.code ?? 'graph.sign_in_refused',
    recovery: {
      kind: 'operator',
      remedy: found?.remedy ?? 'Check directory, client id, credential and cloud of the tenant.',
    },
  });
}

/** Entra's numbers in a token answer's body: `error_codes`, else the AADSTS numbers of its description. */
export function entraNumbers(body: unknown): number[] {
  if (typeof body !== 'object' || body === null) return [];
  const { error_codes: codes, error_description: description } = body as Record<string, unknown>;
  if (Array.isArray(codes)) return codes.filter((code) => Number.isSafeInteger(code)).map(Number);
  const text = typeof description === 'string' ? description : '';
  return [...text.matchAll(/AADSTS(\d{4,8})/g)].map(([, number]) => Number(number));
}
