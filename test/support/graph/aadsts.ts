/** Entra's refusals (`reference-error-codes.md`). */
import type { Answer } from './exchange.ts';
import { guid } from './ids.ts';

/** AADSTS codes with the OAuth error and status they come with (Entra docs `reference-error-codes.md`). */
const failures = {
  7000215: [
    401,
    'invalid_client',
    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'.",
  ],
  7000222: [401, 'invalid_client', "The provided client secret keys for app '{client}' are expired."],
  700027: [
    401,
    'invalid_client',
    'The certificate with identifier used to sign the client assertion is not registered on application, or the assertion failed signature validation.',
  ],
  700016: [
    400,
    'unauthorized_client',
    "Application with identifier '{client}' was not found in the directory '{tenant}'.",
  ],
  7000112: [401, 'invalid_client', "Application '{client}' is disabled."],
  7000216: [
    401,
    'invalid_client',
    "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
  ],
  90002: [
    400,
    'invalid_request',
    "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
  ],
  900382: [400, 'invalid_request', 'Confidential Client is not supported in Cross Cloud request.'],
  500011: [
    400,
    'invalid_resource',
    "The resource principal named {resource} was not found in the tenant named '{tenant}'.",
  ],
  1002012: [
    400,
    'invalid_scope',
    'The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.',
  ],
  70016: [400, 'authorization_pending', 'OAuth 2.0 device flow error. Authorization is pending. Continue polling.'],
  70019: [400, 'expired_token', 'Verification code expired.'],
  70008: [400, 'invalid_grant', 'The provided authorization code or refresh token has expired or was used before.'],
  501481: [
    400,
    'invalid_grant',
    'The Code_Verifier does not match the code_challenge supplied in the authorization request.',
  ],
  50173: [
    400,
    'invalid_grant',
    'The provided grant has expired due to it being revoked, a fresh auth token is needed.',
  ],
  70003: [400, 'unsupported_grant_type', 'The app requested an unsupported grant type.'],
} as const satisfies Record<number, readonly [number, string, string]>;

export type AadstsCode = keyof typeof failures;

export interface FailureFacts {
  readonly client?: string;
  readonly tenant: string;
  readonly resource?: string;
}

/** The body says to branch on `error`; codes are for diagnosis. `now` as `2026-05-01T12:00:00Z`. */
export function aadsts(code: AadstsCode, facts: FailureFacts, now: string): Answer {
  const [status, error, text] = failures[code];
  const filled = text.replaceAll(/\{(client|tenant|resource)\}/g, (_, name: keyof FailureFacts) => facts[name] ?? '');
  const [trace, correlation] = [guid('trace', code), guid('correlation', code)];
  const timestamp = now.replace('T', ' ');
  return {
    status,
    body: {
      error,
      error_description: `AADSTS${code}: ${filled} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${timestamp}`,
      error_codes: [code],
      timestamp,
      trace_id: trace,
      correlation_id: correlation,
      error_uri: `https://login.microsoftonline.com/error?code=${code}`,
    },
  };
}
