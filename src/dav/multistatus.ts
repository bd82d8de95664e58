import type { DAVResponse } from 'tsdav';
import { hrefKey, toHref } from './hrefs.ts';

/** One resource of a 207 answer. */
export interface Entry {
  readonly href: string;
  /** Status of the resource as a whole (404 in a sync report: removed; 507: the report was cut short); else null. */
  readonly status: number | null;
  /** Properties that were found, by local name in camelCase as tsdav names them. */
  readonly props: Readonly<Record<string, unknown>>;
}

/**
 * Reads tsdav's answer to a PROPFIND or REPORT. tsdav turns texts into numbers and booleans, so every text goes through
 * `textOf`; hrefs are read relative to the URL that answered.
 */
export function readEntries(responses: readonly DAVResponse[], url: string, origin: string): Entry[] {
  return responses.flatMap((response): Entry[] => {
    const href = textOf(response.href);
    if (href === null) return []; // an empty multistatus
    const raw = response.raw as { multistatus?: unknown } | undefined;
    if (raw?.multistatus === undefined) return [];
    return [
      {
        href: toHref(href, url, origin),
        status: response.status === 207 ? null : response.status,
        props: response.props ?? {},
      },
    ];
  });
}

/** The sync token that closes a sync report (RFC 6578 section 6.4); null when there is none. */
export function readSyncToken(responses: readonly DAVResponse[]): string | null {
  const raw = responses[0]?.raw as { multistatus?: { syncToken?: unknown } } | undefined;
  return textOf(raw?.multistatus?.syncToken);
}

/** An element's text, whatever tsdav made of it: number, boolean, CDATA; null when there is none. */
export function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value === '' ? null : value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return value.length === 0 ? null : textOf(value[0]);
  if (typeof value !== 'object' || value === null) return null;
  const { _cdata: cdata, _text: text } = value as { _cdata?: unknown; _text?: unknown };
  if (Array.isArray(cdata)) return cdata.join('');
  return textOf(cdata) ?? textOf(text);
}

/** The texts of all `href` children of a property. */
export function hrefsOf(property: unknown): string[] {
  if (typeof property !== 'object' || property === null) return [];
  const { href } = property as { href?: unknown };
  return (Array.isArray(href) ? href : [href]).flatMap((one) => textOf(one) ?? []);
}

/** Whether a `resourcetype` holds the type of that name. */
export function hasType(entry: Entry, type: 'calendar' | 'principal' | 'collection'): boolean {
  const { resourcetype } = entry.props;
  return typeof resourcetype === 'object' && resourcetype !== null && type in resourcetype;
}

/** Component names of `supported-calendar-component-set`; empty when the server does not say. */
export function componentsOf(entry: Entry): string[] {
  const set = entry.props['supportedCalendarComponentSet'] as { comp?: unknown } | undefined;
  const comps = Array.isArray(set?.comp) ? set.comp : [set?.comp];
  return comps.flatMap(
    (comp) => textOf((comp as { _attributes?: { name?: unknown } } | undefined)?._attributes?.name) ?? [],
  );
}

/** An etag as it goes into `If-Match`; null when the server names none, or a weak one, which no condition can hold to. */
export function etagOf(entry: Entry): string | null {
  const etag = textOf(entry.props['getetag']);
  return etag?.startsWith('W/') === true ? null : etag;
}

/**
 * Calendar text out of XML: line ends CRLF, one at the end. XML loses them on the way (sabre/dav drops every CR), so
 * this text is not the stored one byte for byte; only a GET is.
 */
export function calendarDataOf(entry: Entry): string | null {
  const text = textOf(entry.props['calendarData']);
  return text === null ? null : `${text.trim().replaceAll(/\r\n|\r|\n/g, '\r\n')}\r\n`;
}

/** The entry of a resource in its own depth-0 answer: by href, else the only one. */
export function entryOf(entries: readonly Entry[], href: string): Entry | null {
  return (
    entries.find((entry) => hrefKey(entry.href) === hrefKey(href)) ??
    (entries.length === 1 ? (entries[0] ?? null) : null)
  );
}
