import { SyncError, toSyncError } from '../../shared/errors.ts';
import { openSession } from './calendars.ts';
import type { GraphClient } from './client.ts';

/** One mailbox, looked at. */
export interface MailboxFinding {
  readonly mailbox: string;
  readonly kind: 'readable' | 'refused' | 'missing' | 'unavailable' | 'unknown';
  /** Null when it is readable. */
  readonly error: SyncError | null;
}

/** What was found out by asking, in the order in which it was asked. */
export interface AccessFindings {
  /** Null: a fresh token came. */
  readonly signIn: SyncError | null;
  /**
   * Calendar roles that the token names, for diagnosis only: under RBAC for Applications it names none and works; null
   * where the token cannot be looked into.
   */
  readonly calendarRoles: readonly string[] | null;
  readonly mailboxes: readonly MailboxFinding[];
  /** A mailbox that must be refused; null: none is named. */
  readonly control: MailboxFinding | null;
}

/**
 * Looks what can be read: a fresh token, which proves nothing by itself, then the default calendar of each mailbox, then
 * that of the control mailbox. Reads no event. Never throws but for an aborted signal.
 */
export async function findAccess(
  client: GraphClient,
  wanted: { readonly mailboxes: readonly string[]; readonly control: string | null; readonly signal: AbortSignal },
): Promise<AccessFindings> {
  const { mailboxes, control, signal } = wanted;
  let calendarRoles: readonly string[] | null;
  try {
    calendarRoles = (await client.signIn({ isFresh: true })).roles?.filter((role) => /calendar/i.test(role)) ?? null;
  } catch (thrown) {
    return { signIn: toSyncError(thrown), calendarRoles: null, mailboxes: [], control: null };
  }
  const look = (mailbox: string): Promise<MailboxFinding> => lookAt(client, mailbox, signal);
  const found: MailboxFinding[] = [];
  for (const mailbox of mailboxes) found.push(await look(mailbox));
  return { signIn: null, calendarRoles, mailboxes: found, control: control === null ? null : await look(control) };
}

async function lookAt(client: GraphClient, mailbox: string, signal: AbortSignal): Promise<MailboxFinding> {
  try {
    await openSession(client, mailbox, signal).get('/calendar', { $select: 'id' });
    return { mailbox, kind: 'readable', error: null };
  } catch (thrown) {
    signal.throwIfAborted();
    const error = toSyncError(thrown);
    return { mailbox, kind: kinds[error.code] ?? 'unknown', error };
  }
}

const kinds: Readonly<Record<string, MailboxFinding['kind']>> = {
  'graph.access_denied': 'refused',
  'graph.user_not_found': 'missing',
  'graph.mailbox_unavailable': 'unavailable',
};
