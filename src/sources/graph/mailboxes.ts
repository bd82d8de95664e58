import { allItems, isCode } from './calendars.ts';
import type { GraphClient } from './client.ts';

/** One user of a directory. */
export interface ListedMailbox {
  /** By which it is read. */
  readonly address: string;
  readonly name: string;
  /** A guest's calendar is in the guest's own organisation. */
  readonly isGuest: boolean;
}

const SELECT = 'id,displayName,mail,userPrincipalName,userType';
/** More pages than a large organisation has, or a link that leads in a circle. */
const MAX_PAGES = 1_000;

/**
 * The users of the directory that have an address, by address; null: the optional permission User.Read.All was not given.
 * Throws SyncError.
 */
export async function listMailboxes(client: GraphClient, signal: AbortSignal): Promise<ListedMailbox[] | null> {
  // No mailbox's limit concerns these.
  const ask = (to: Parameters<GraphClient['get']>[0]['to']): Promise<unknown> =>
    client.get({ mailbox: '/users', to, isPaged: true, signal });
  try {
    const first = await ask({ path: '/users', query: { $select: SELECT } });
    const items = await allItems({ follow: (link) => ask({ link }) }, first, MAX_PAGES);
    const found = items.map(readUser).filter((user) => user !== null);
    return found.toSorted((a, b) => a.address.localeCompare(b.address, 'en'));
  } catch (thrown) {
    if (isCode(thrown, 'graph.access_denied')) return null;
    throw thrown;
  }
}

/** Null: an account without an address, which has no calendar. */
function readUser(json: unknown): ListedMailbox | null {
  const raw = typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  const [mail, principal, name] = ['mail', 'userPrincipalName', 'displayName'].map((key) => raw[key]);
  const address = typeof mail === 'string' && mail !== '' ? mail : principal;
  if (typeof address !== 'string' || !address.includes('@')) return null;
  const isGuest = raw['userType'] === 'Guest' || /#ext#@/i.test(String(principal));
  return { address: address.toLowerCase(), name: typeof name === 'string' ? name : '', isGuest };
}
