/** Reading requests: Prefer headers, $select, $expand, paging and dates. */
import type { Preferences, Json } from './event-json.ts';
import { graphError, Refusal, type Call } from './exchange.ts';
import { ianaZone } from './zones.ts';

/** `outlook.timezone`, `IdType`, `outlook.body-content-type` and `odata.maxpagesize`. */
export function preferencesOf(call: Call): Preferences {
  const header = call.headers['prefer'] ?? '';
  const value = (name: string): string | null =>
    new RegExp(`${name.replace('.', '\\.')}\\s*=\\s*"?([^",]*)"?`, 'i').exec(header)?.[1]?.trim() ?? null;
  const zone = value('outlook.timezone') ?? 'UTC';
  if (ianaZone(zone) === null) {
    throw new Refusal(graphError(400, 'TimeZoneNotSupportedException', `The time zone ${zone} is not supported.`));
  }
  const pageSize = Number(value('odata.maxpagesize'));
  return {
    zone,
    isImmutable: value('IdType')?.toLowerCase() === 'immutableid',
    bodyType: value('outlook.body-content-type')?.toLowerCase() === 'text' ? 'text' : 'html',
    pageSize: pageSize > 0 ? pageSize : null,
  };
}

/** Parts of a list at its top-level commas (or semicolons): `a,b($select=c,d)` gives two. */
export function splitTop(list: string, separator = ','): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = '';
  for (const char of list) {
    depth += char === '(' ? 1 : char === ')' ? -1 : 0;
    if (char === separator && depth === 0) {
      parts.push(part.trim());
      part = '';
    } else part += char;
  }
  return [...parts, part.trim()].filter((text) => text !== '');
}

export interface Expand {
  readonly name: string;
  /** Options in its brackets by name: `$select`, `$filter`, `$expand`. */
  readonly options: ReadonlyMap<string, string>;
}

export function expandsOf(text: string | null): Expand[] {
  return splitTop(text ?? '').map((part) => {
    const [, name = part, inside = ''] = /^([^(]+)(?:\((.*)\))?$/.exec(part) ?? [];
    const options = splitTop(inside, ';').map((option): [string, string] => {
      const at = option.indexOf('=');
      return [option.slice(0, at).trim(), option.slice(at + 1)];
    });
    return { name: name.trim(), options: new Map(options) };
  });
}

/** Keeps what $select names; the id and annotations come anyway. Refuses unknown names, annotations included. */
export function selected(json: Json, select: string | null, known: ReadonlySet<string>): Json {
  if (select === null) return json;
  const names = new Set(splitTop(select));
  for (const name of names) {
    if (!known.has(name)) {
      const message = `Parsing OData Select and Expand failed: Could not find a property named '${name}' on type 'microsoft.graph.event'.`;
      throw new Refusal(graphError(400, 'BadRequest', message));
    }
  }
  return Object.fromEntries(
    Object.entries(json).filter(([name]) => name === 'id' || name.includes('@') || names.has(name)),
  );
}

/** An instant from a query: its own offset is honoured, none means UTC, Prefer changes nothing (`event-delta.md`). */
export function instantParameter(call: Call, name: string): number {
  const text = call.url.searchParams.get(name);
  if (text === null) {
    const message = `This request requires a time window specified by the query string parameters StartDateTime and EndDateTime.`;
    throw new Refusal(graphError(400, 'ErrorInvalidParameter', message));
  }
  const hasZone = /(?:Z|[+-]\d\d:?\d\d)$/i.test(text);
  const ms = Date.parse(hasZone ? text : text.length === 10 ? `${text}T00:00:00Z` : `${text}Z`);
  if (Number.isNaN(ms)) throw new Refusal(graphError(400, 'ErrorInvalidParameter', `The value of ${name} is invalid.`));
  return ms;
}

/** One page of a list by $top and $skip, with the link to the next; links are absolute, on the real Graph host. */
export function paged(
  call: Call,
  all: readonly Json[],
  defaultSize: number,
  preferences: Preferences,
  context: string,
): Json {
  const { searchParams } = call.url;
  const size = Math.min(Number(searchParams.get('$top') ?? preferences.pageSize ?? defaultSize), 1000);
  const skip = Number(searchParams.get('$skip') ?? 0);
  const page: Json = {
    '@odata.context': `${call.url.origin}/v1.0/$metadata#${context}`,
    value: all.slice(skip, skip + size),
  };
  if (skip + size < all.length) page['@odata.nextLink'] = linkWith(call.url, { $skip: String(skip + size) });
  return page;
}

/** The same address with some parameters set. */
export function linkWith(url: URL, parameters: Readonly<Record<string, string>>): string {
  const query = new Map(url.searchParams);
  for (const [name, value] of Object.entries(parameters)) query.set(name, value);
  return linkTo(url, query);
}

export function linkTo(url: URL, query: Iterable<readonly [string, string]>): string {
  const text = [...query].map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  return `${url.origin}${url.pathname}${text === '' ? '' : `?${text}`}`;
}
