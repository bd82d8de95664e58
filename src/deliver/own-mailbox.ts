import type { CalDav } from '../dav/calendar-client.ts';
import type { Log } from '../shared/log.ts';
import type { Db } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import { mirroredMailboxes } from '../store/targets.ts';

/** Of an account's addresses (`calendar-user-address-set`) the one that is a mailbox which is mirrored. */
export async function ownMailbox(db: Db, addresses: readonly string[]): Promise<string | undefined> {
  const mailboxes = await mirroredMailboxes(db);
  return addresses.find((address) => mailboxes.has(address.replace(/^mailto:/i, '').toLowerCase()));
}

/** Accounts of which it was told. */
const told = new WeakSet<CalDav>();

/**
 * Tells, once for each account that is opened, that its own address is a mailbox that is mirrored: every client of the
 * account is then the organizer or a guest in the server's eyes, and the server mails for whatever it changes. We cause
 * no mail; others may.
 */
export async function tellOwnMailbox(
  db: Db,
  log: Log,
  dav: CalDav,
  targetId: string,
  signal: AbortSignal,
): Promise<void> {
  if (told.has(dav)) return;
  const { addresses } = await dav.discover(signal);
  told.add(dav);
  if ((await ownMailbox(db, addresses)) === undefined) return;
  log.event('target.own_mailbox', { target: targetId });
  await recordHistory(db, {
    status: 'ok',
    action: 'warn',
    targetId,
    code: 'deliver.own_mailbox',
    message:
      "the account's own address is a mirrored mailbox: other programs that change what we wrote make the server mail. Give the account another address.",
  });
}
