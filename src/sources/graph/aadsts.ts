/** What Entra's numbers mean for whoever has to act. Data only: the order says nothing, each number stands once. */

export interface EntraNumber {
  /** 7000222 of AADSTS7000222. */
  readonly number: number;
  readonly code: string;
  /** Goes on after "No token: ". */
  readonly says: string;
  /** Null: passing, nobody has to act. */
  readonly remedy: string | null;
}

const row = (number: number, code: string, says: string, remedy: string | null): EntraNumber => ({
  number,
  code,
  says,
  remedy,
});

const whichCloud =
  'A directory of GCC High needs cloud: gcch, one of the DoD dod, one at 21Vianet china; all others, GCC too, are in the worldwide cloud (global or gcc).';
const otherCloud = `Set the cloud in which the directory lives, with an app registration made there. ${whichCloud}`;
const signInAgain = 'Sign in again.';

/** Source: Entra docs, `reference-error-codes.md`, which warns that numbers may change: they explain and decide little. */
export const entraNumbers: readonly EntraNumber[] = [
  row(
    7000215,
    'graph.secret_wrong',
    'the client secret is wrong',
    'Often the id of the secret was pasted: paste its value, which Entra shows only once, or make a new one in the app registration.',
  ),
  row(
    7000222,
    'graph.secret_expired',
    'the client secret has expired',
    'Make a new secret in the app registration (Certificates & secrets), configure its value and apply it; no restart is needed.',
  ),
  row(
    700027,
    'graph.certificate_refused',
    'the certificate was refused',
    'Upload the certificate to the app registration (Certificates & secrets > Certificates), check that its thumbprint is the one there, that the key belongs to it, and that the clock of this machine is right.',
  ),
  row(
    7000216,
    'graph.secret_wrong',
    'neither a secret nor a certificate was taken',
    'Configure a secret or a certificate of the app registration.',
  ),
  row(
    7000218,
    'graph.public_client_closed',
    'the app registration does not let people sign in without a secret of the app',
    'In the app registration under Authentication: allow public client flows, and register the address of the consent pages under "Mobile and desktop applications", not under "Web".',
  ),
  row(
    700016,
    'graph.app_unknown',
    'the directory does not know the app',
    `Check client and directory; where the app is registered elsewhere, let an administrator of this directory consent first. ${whichCloud}`,
  ),
  row(
    700011,
    'graph.app_unknown',
    'the app is registered in another directory than this one',
    'Check client and directory, and let an administrator of this directory consent to the app.',
  ),
  row(
    7000112,
    'graph.app_disabled',
    'the app was disabled in this directory',
    'Enable it in Entra under Enterprise applications > Properties, "Enabled for users to sign in".',
  ),
  row(
    70001,
    'graph.app_disabled',
    'the app is disabled or was taken out of this directory',
    'Look it up in Entra under Enterprise applications: enable it there, or let an administrator consent again.',
  ),
  row(
    65001,
    'graph.consent_missing',
    'nobody has consented to the app yet',
    'Let an administrator open the consent page ("calendar-sync consent <tenant>" makes the link).',
  ),
  row(
    65004,
    'graph.consent_missing',
    'consent was declined on the page of Microsoft',
    'Open the consent page again when it may be granted; nothing was changed.',
  ),
  row(
    90094,
    'graph.consent_missing',
    'only an administrator may grant what the app asks for',
    'Let an administrator of the directory open the consent page ("calendar-sync consent <tenant>" makes the link).',
  ),
  row(
    500011,
    'graph.resource_unknown',
    'the directory does not know this Graph host',
    `The Graph host belongs to another cloud than the directory. ${whichCloud}`,
  ),
  row(
    650057,
    'graph.resource_unknown',
    'the app registration does not ask for any permission of Microsoft Graph',
    'Add Microsoft Graph > Calendars.Read under API permissions of the app registration, in the cloud of the directory.',
  ),
  row(
    90002,
    'graph.directory_not_found',
    'there is no such directory in this cloud',
    `Check the spelling of the directory, and its cloud. ${whichCloud}`,
  ),
  row(90038, 'graph.wrong_cloud', 'the directory lives in another cloud', otherCloud),
  row(
    900382,
    'graph.wrong_cloud',
    'the directory lives in another cloud, and an app cannot sign in across clouds',
    otherCloud,
  ),
  row(900432, 'graph.wrong_cloud', 'an app cannot sign in across clouds', otherCloud),
  row(
    53003,
    'graph.blocked_by_policy',
    'a Conditional Access policy blocks it',
    'Let an administrator look up the sign-in logs of Entra, and except the app (workload identities) or the address from which it comes.',
  ),
  row(
    530032,
    'graph.blocked_by_policy',
    'a security policy of the directory blocks it',
    'Let an administrator look up the sign-in logs of Entra, and except the app or the address from which it comes.',
  ),
  row(
    53000,
    'graph.blocked_by_policy',
    'the device of the person does not comply with the policy of the directory',
    'Sign in on a device that the organisation manages.',
  ),
  row(
    53001,
    'graph.blocked_by_policy',
    'the device of the person is not joined to the directory',
    'Sign in on a device that the organisation manages.',
  ),
  row(
    50011,
    'graph.redirect_unregistered',
    'the address of the consent pages is not registered with the app',
    'Register PUBLIC_URL/consent/callback, letter by letter, under Authentication of the app registration.',
  ),
  row(
    50020,
    'graph.sign_in_again',
    'the account is a guest here, or of another directory',
    'Sign in with an account of the directory itself.',
  ),
  row(
    50105,
    'graph.not_assigned',
    'the person is not among those who may use the app',
    'Let an administrator add them in Entra under Enterprise applications > Users and groups.',
  ),
  row(
    50034,
    'graph.sign_in_again',
    'the directory does not know the account',
    'Sign in with an account of this directory; check the spelling and the cloud.',
  ),
  row(
    50057,
    'graph.sign_in_again',
    'the account was disabled',
    'Let an administrator enable the account, then sign in again.',
  ),
  row(50074, 'graph.sign_in_again', 'the directory wants a second factor', signInAgain),
  row(50076, 'graph.sign_in_again', 'the directory wants a second factor from now on', signInAgain),
  row(
    50079,
    'graph.sign_in_again',
    'the person must set up a second factor first',
    'Sign in again, and set it up on the page of Microsoft.',
  ),
  row(50173, 'graph.sign_in_again', 'the sign-in was ended, by a new password or by an administrator', signInAgain),
  row(
    70043,
    'graph.sign_in_again',
    'the directory limits how long a sign-in lasts, and its time is over',
    `${signInAgain} A policy on sign-in frequency sets the time; an administrator can except the app.`,
  ),
  row(700082, 'graph.sign_in_again', 'the sign-in was not used for too long and has run out', signInAgain),
  row(70008, 'graph.sign_in_again', 'the sign-in has run out', signInAgain),
  row(54005, 'graph.sign_in_again', 'the answer of Microsoft was used already', 'Start the sign-in again.'),
  row(70016, 'graph.sign_in_pending', 'nobody has entered the code yet', null),
  row(70019, 'graph.sign_in_again', 'the code was not entered in time', 'Start the sign-in again.'),
  row(50196, 'graph.sign_in_busy', 'the login host saw the same request too often and makes us wait', null),
  row(90055, 'graph.sign_in_busy', 'the login host has had too many requests', null),
  row(50033, 'graph.sign_in_busy', 'the login host failed for a moment', null),
  row(90006, 'graph.sign_in_busy', 'a service behind the login host failed for a moment', null),
  row(90024, 'graph.sign_in_busy', 'the login host is overloaded', null),
];
