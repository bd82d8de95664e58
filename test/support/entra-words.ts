/**
 * What an administrator must be told for each number of Entra: the facts, the cause and the way out in a few words. Kept
 * apart from the product's own table, so that a row that gets lost there fails here.
 */
export interface EntraWords {
  readonly number: number;
  /** As Entra sends it beside (RFC 6749, section 5.2). */
  readonly error: string;
  readonly code: string;
  readonly says: string;
  /** Null: it passes, nobody has to act. */
  readonly remedy: string | null;
  /** Only met where a person signs in. */
  readonly isDelegated: boolean;
}

const app = (number: number, error: string, code: string, says: string, remedy: string | null): EntraWords => ({
  number,
  error,
  code: `graph.${code}`,
  says,
  remedy,
  isDelegated: false,
});
const person = (number: number, code: string, says: string, remedy: string): EntraWords => ({
  ...app(number, 'invalid_grant', code, says, remedy),
  isDelegated: true,
});

export const entraWords: readonly EntraWords[] = [
  app(7000215, 'invalid_client', 'secret_wrong', 'the client secret is wrong', 'paste its value'),
  app(7000222, 'invalid_client', 'secret_expired', 'the client secret has expired', 'Make a new secret'),
  app(700027, 'invalid_client', 'certificate_refused', 'the certificate was refused', 'clock of this machine'),
  app(7000216, 'invalid_client', 'secret_wrong', 'neither a secret nor a certificate', 'Configure a secret or'),
  app(700016, 'unauthorized_client', 'app_unknown', 'does not know the app', 'administrator of this directory consent'),
  app(700011, 'unauthorized_client', 'app_unknown', 'registered in another directory', 'Check client and directory'),
  app(7000112, 'unauthorized_client', 'app_disabled', 'the app was disabled', 'Enabled for users to sign in'),
  app(70001, 'unauthorized_client', 'app_disabled', 'disabled or was taken out', 'Enterprise applications'),
  app(65001, 'invalid_grant', 'consent_missing', 'nobody has consented', 'open the consent page'),
  app(65004, 'consent_required', 'consent_missing', 'consent was declined', 'when it may be granted'),
  app(90094, 'invalid_grant', 'consent_missing', 'only an administrator may grant', 'Let an administrator'),
  app(500011, 'invalid_resource', 'resource_unknown', 'does not know this Graph host', 'GCC High needs cloud: gcch'),
  app(650057, 'invalid_resource', 'resource_unknown', 'does not ask for any permission', 'API permissions'),
  app(90002, 'invalid_request', 'directory_not_found', 'no such directory in this cloud', 'GCC High needs cloud: gcch'),
  app(90038, 'invalid_request', 'wrong_cloud', 'lives in another cloud', 'Set the cloud in which the directory lives'),
  app(900382, 'invalid_request', 'wrong_cloud', 'cannot sign in across clouds', 'app registration made there'),
  app(900432, 'invalid_request', 'wrong_cloud', 'cannot sign in across clouds', 'app registration made there'),
  app(53003, 'access_denied', 'blocked_by_policy', 'Conditional Access policy blocks', 'workload identities'),
  app(530032, 'access_denied', 'blocked_by_policy', 'security policy of the directory', 'sign-in logs'),
  app(50196, 'server_error', 'sign_in_busy', 'the same request too often', null),
  app(90055, 'temporarily_unavailable', 'sign_in_busy', 'too many requests', null),
  app(50033, 'temporarily_unavailable', 'sign_in_busy', 'the login host failed for a moment', null),
  app(90006, 'temporarily_unavailable', 'sign_in_busy', 'behind the login host failed', null),
  app(70016, 'authorization_pending', 'sign_in_pending', 'nobody has entered the code yet', null),
  app(90024, 'temporarily_unavailable', 'sign_in_busy', 'overloaded', null),
  person(7000218, 'public_client_closed', 'without a secret of the app', 'allow public client flows'),
  person(50011, 'redirect_unregistered', 'is not registered with the app', 'Register PUBLIC_URL/consent/callback'),
  person(50020, 'sign_in_again', 'a guest here', 'account of the directory itself'),
  person(50105, 'not_assigned', 'not among those who may use the app', 'Users and groups'),
  person(50034, 'sign_in_again', 'does not know the account', 'check the spelling'),
  person(50057, 'sign_in_again', 'the account was disabled', 'enable the account'),
  person(50074, 'sign_in_again', 'a second factor', 'Sign in again'),
  person(50076, 'sign_in_again', 'a second factor from now on', 'Sign in again'),
  person(50079, 'sign_in_again', 'must set up a second factor', 'set it up'),
  person(50173, 'sign_in_again', 'by a new password or by an administrator', 'Sign in again'),
  person(53000, 'blocked_by_policy', 'does not comply', 'that the organisation manages'),
  person(53001, 'blocked_by_policy', 'not joined', 'that the organisation manages'),
  person(70043, 'sign_in_again', 'limits how long a sign-in lasts', 'policy on sign-in frequency'),
  person(700082, 'sign_in_again', 'not used for too long', 'Sign in again'),
  person(70008, 'sign_in_again', 'has run out', 'Sign in again'),
  person(54005, 'sign_in_again', 'was used already', 'Start the sign-in again'),
  person(70019, 'sign_in_again', 'not entered in time', 'Start the sign-in again'),
];

/** What is said of a number that nobody knows yet. */
export const unknownNumber = 9_999_001;

/** The body of Entra's refusal. */
export function entraBody(number: number, error: string): Record<string, unknown> {
  const correlation = correlationOf(number);
  return {
    error,
    error_description: `AADSTS${number}: words that are not ours. Trace ID: ${correlation} Correlation ID: ${correlation}`,
    error_codes: [number],
    correlation_id: correlation,
  };
}

export function correlationOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}
