import { SyncError } from '../shared/errors.ts';
import { graphClient } from '../sources/graph/client.ts';
import { findAccess } from '../sources/graph/prove-access.ts';
import type { SignInOptions } from '../sources/graph/sign-in.ts';

/**
 * Reads the mailbox with the fresh token, so that a sign-in by somebody else is refused before it is kept: whose account
 * it is nobody is asked. Throws `graph.sign_in_other`, or what Graph said.
 */
export async function checkSignIn(options: SignInOptions, token: string, mailbox: string): Promise<void> {
  const tokens = {
    get: () => Promise.resolve(token),
    replace: () => Promise.resolve(token),
    renew: () => Promise.resolve(token),
  };
  const { mailboxes } = await findAccess(graphClient({ ...options, credential: tokens }), {
    mailboxes: [mailbox],
    control: null,
    signal: AbortSignal.timeout(options.timeoutMs),
  });
  const error = mailboxes[0]?.error ?? null;
  if (error === null) return;
  if (mailboxes[0]?.kind !== 'refused') throw error;
  throw new SyncError(`The account that signed in cannot read the calendar of ${mailbox}.`, {
    code: 'graph.sign_in_other',
    recovery: { kind: 'operator', remedy: `Sign in with the account of ${mailbox}.` },
    cause: error,
  });
}
