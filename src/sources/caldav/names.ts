import { hash } from 'node:crypto';
import { SyncError } from '../../shared/errors.ts';

/**
 * The name of a resource in its calendar, by which claims are keyed: the last segment of its href, in one encoding
 * whatever the server's is, so that it outlives a move of the account to another host or path.
 */
export function nameOf(href: string): string {
  const segment = href.slice(href.lastIndexOf('/') + 1);
  try {
    return encodeURIComponent(decodeURIComponent(segment));
  } catch {
    return segment; // a lone % is a name like any other
  }
}

/** `#` cannot be in a name, which is encoded. */
export function keyOf(name: string, suffix: string): string {
  return suffix === '' ? name : `${name}#${suffix}`;
}

export function nameOfKey(key: string): string {
  const end = key.indexOf('#');
  return end < 0 ? key : key.slice(0, end);
}

/** Enough to tell two versions of one resource apart. */
export function shortHash(etag: string | null): string {
  return hash('sha256', etag ?? '', 'base64url').slice(0, 8);
}

/** The hrefs of a listing by name, in the order of the names. Throws (retry) when one is of another calendar. */
export function byName<T extends { readonly href: string }>(
  entries: readonly T[],
  calendarHref: string,
): [string, T][] {
  const own = lastSegment(calendarHref.replace(/\/$/, ''));
  for (const { href } of entries) {
    if (lastSegment(href.slice(0, href.lastIndexOf('/'))) === own) continue;
    throw new SyncError('The server answered for another calendar than the one that was asked for', {
      code: 'caldav.other_calendar',
      recovery: { kind: 'retry' },
    });
  }
  const named = entries.map((entry): [string, T] => [nameOf(entry.href), entry]);
  // iCloud lists the calendar among its own resources.
  return named.filter(([name]) => name !== '').sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function lastSegment(path: string): string {
  return nameOf(path).toLowerCase();
}
