/**
 * An href is how a server names a resource: kept in the server's own encoding and case, as an absolute path on the
 * account's origin. Only where the resource lives on another origin (an iCloud partition) it is a whole URL.
 */
import { DavError } from './dav-error.ts';

/**
 * The href of what `found` (an `href` element, a Location header) points to, read relative to `requestUrl`; throws
 * `dav.unreadable` where that is no URL.
 */
export function toHref(found: string, requestUrl: string, origin: string): string {
  const url = URL.parse(found, requestUrl);
  if (url === null) throw unreadable('the answer names a resource by something that is no URL');
  url.hash = '';
  return url.origin === origin || isUpgrade(url, origin) ? `${url.pathname}${url.search}` : url.href;
}

/** An answer of the server that makes no sense; asking again may help. */
export function unreadable(what: string): DavError {
  return new DavError(what, { code: 'dav.unreadable', outcome: 'not-sent', status: 207, recovery: { kind: 'retry' } });
}

/** The same host by TLS: where a server sends everybody that comes by plain HTTP. */
function isUpgrade(url: URL, origin: string): boolean {
  const from = new URL(origin);
  return from.protocol === 'http:' && url.protocol === 'https:' && url.hostname === from.hostname;
}

/** The URL to ask for an href. */
export function toUrl(href: string, origin: string): string {
  return new URL(href, origin).href;
}

/** The collection that holds a resource, with its trailing slash; null above the root. */
export function parentOf(href: string): string | null {
  const path = href.endsWith('/') ? href.slice(0, -1) : href;
  const slash = path.lastIndexOf('/');
  if (slash < 0 || path.endsWith(':/')) return null;
  return path.slice(0, slash + 1);
}

export function withSlash(href: string): string {
  return href.endsWith('/') ? href : `${href}/`;
}

/** Equal for two hrefs of one resource, however each server or client has percent-encoded it. */
export function hrefKey(href: string): string {
  const path = href.endsWith('/') ? href.slice(0, -1) : href;
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // a lone % is a name like any other
  }
}

/**
 * Whether credentials of the account may go to `url`: to the account's own origin, to the same host by TLS, and for
 * iCloud to its partitions (`pNN-caldav.icloud.com`, found by discovery) over TLS.
 */
export function isTrustedUrl(url: string, origin: string): boolean {
  const { origin: target, protocol, hostname } = new URL(url);
  if (target === origin || isUpgrade(new URL(url), origin)) return true;
  const isICloud = (host: string): boolean => host === 'icloud.com' || host.endsWith('.icloud.com');
  return protocol === 'https:' && isICloud(hostname) && isICloud(new URL(origin).hostname);
}
