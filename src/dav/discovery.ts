import { DavError } from './dav-error.ts';
import { toHref, withSlash } from './hrefs.ts';
import { type Entry, entryOf, hasType, hrefsOf } from './multistatus.ts';

export interface DavHome {
  readonly principal: string;
  /** The collection that holds the calendars. */
  readonly home: string;
  /** `calendar-user-address-set` as the server gives it: `mailto:me@example.org`, the principal's path… */
  readonly addresses: readonly string[];
  /** The server is sabre/dav (Baikal, Nextcloud…). */
  readonly isSabre: boolean;
}

export interface DiscoveryPort {
  find(
    href: string,
    depth: '0',
    props: Record<string, object>,
    signal?: AbortSignal,
  ): Promise<{ entries: Entry[]; href: string }>;
  isSabre(): boolean;
}

/** Places to ask after the account's own URL; the last one is where Baikal is when nobody set up the others. */
const candidates = ['/.well-known/caldav', '/', '/dav.php/'];

/**
 * From any URL of the account to its calendar home (RFC 6764 section 6, RFC 5397, RFC 4791 section 6.2.1). When no
 * place names a principal, throws what the account's own URL said.
 */
export async function discoverHome(
  url: string,
  origin: string,
  port: DiscoveryPort,
  signal?: AbortSignal,
): Promise<DavHome> {
  const { principal, base } = await findPrincipal(url, origin, port, signal);
  const props = { 'c:calendar-home-set': {}, 'c:calendar-user-address-set': {} };
  const { entries, href: answered } = await port.find(principal, '0', props, signal);
  const entry = entryOf(entries, principal);
  const homes = hrefsOf(entry?.props['calendarHomeSet']);
  if (homes[0] === undefined) {
    throw new DavError(`${base}: the server has no calendars for this user`, {
      code: 'dav.caldav_off',
      outcome: 'not-sent',
      status: 207,
      recovery: { kind: 'operator', remedy: 'Switch CalDAV on in the settings of the server.' },
    });
  }
  return {
    principal,
    home: withSlash(toHref(homes[0], new URL(answered, origin).href, origin)),
    addresses: hrefsOf(entry?.props['calendarUserAddressSet']),
    isSabre: port.isSabre(),
  };
}

async function findPrincipal(
  url: string,
  origin: string,
  port: DiscoveryPort,
  signal: AbortSignal | undefined,
): Promise<{ principal: string; base: string }> {
  const props = { 'd:current-user-principal': {}, 'd:principal-URL': {}, 'd:resourcetype': {} };
  const own = toHref(url, url, origin);
  let first: DavError | null = null;
  for (const base of [own, ...candidates.filter((candidate) => candidate !== own)]) {
    try {
      const { entries, href: answered } = await port.find(base, '0', props, signal);
      const entry = entryOf(entries, answered);
      const named = hrefsOf(entry?.props['currentUserPrincipal'])[0] ?? hrefsOf(entry?.props['principalURL'])[0];
      const at = new URL(answered, origin).href;
      if (named !== undefined) return { principal: toHref(named, at, origin), base };
      if (entry !== null && hasType(entry, 'principal')) return { principal: entry.href, base };
    } catch (thrown) {
      if (!(thrown instanceof DavError) || !mayLieElsewhere(thrown)) throw thrown;
      first ??= thrown;
    }
  }
  throw (
    first ??
    new DavError(`${own}: the server names no principal for this user`, {
      code: 'dav.not_found',
      outcome: 'not-sent',
      status: 207,
      recovery: { kind: 'operator', remedy: 'Give the full URL of the CalDAV server, such as https://host/dav.php/.' },
      field: 'url',
    })
  );
}

/** Whether another place on the server may do better; a wrong password or a dead server is the same everywhere. */
function mayLieElsewhere(error: DavError): boolean {
  return error.status !== null && error.status !== 401 && error.status !== 429 && error.status !== 503;
}
