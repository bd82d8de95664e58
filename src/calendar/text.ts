import { createHash } from 'node:crypto';
import { compile } from 'html-to-text';

/** Longest texts that we emit, in UTF-16 code units: calendar clients choke on more. */
export const CAPS = { summary: 500, location: 1_000, name: 200, uri: 2_000, description: 32_000 } as const;

/** Bodies above this are cut before they are parsed. */
const MAX_HTML = 1_048_576;

/**
 * Text of several lines made safe for iCalendar: LF only, no control characters (TAB stays), no byte order mark,
 * noncharacters or lone surrogates.
 */
export function cleanText(text: string): string {
  if (!unusual.test(text)) return text;
  return text
    .replace(/\r\n?|\u2028|\u2029/g, '\n')
    .replace(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F\uFEFF]|\p{Surrogate}|\p{Noncharacter_Code_Point}/gu, '');
}

/** Anything beside printable ASCII and line feeds: most texts have none and need no further look. */
const unusual = /[^\n -~]/;

/** One line: as `cleanText`, line breaks and tabs as blanks, without the marks that turn the direction of writing. */
export function cleanLine(text: string): string {
  if (!unusual.test(text) && !text.includes('\n')) return text.trim();
  return cleanText(text)
    .replace(/[\u202A-\u202E\u2066-\u2069]/g, '')
    .split('\n')
    .map((each) => each.trim())
    .join(' ')
    .replaceAll('\t', ' ')
    .trim();
}

/** At most `max` code units, cut between graphemes, `tail` (say the link to the whole) included. */
export function cap(text: string, max: number, tail = ''): string {
  if (text.length <= max) return text;
  const room = Math.max(0, max - tail.length);
  const from = Math.max(0, room - 100);
  // A window around the cut is enough: no grapheme worth keeping is longer.
  const near = text.slice(from, room + 100).toWellFormed();
  const grapheme = graphemes.segment(near).containing(room - from);
  return text.slice(0, from + (grapheme?.index ?? room - from)).trimEnd() + tail;
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** A cleaned and capped single line; null when nothing is left. */
export function line(text: string | null | undefined, max: number): string | null {
  const cleaned = cap(cleanLine(text ?? ''), max);
  return cleaned === '' ? null : cleaned;
}

const plain = compile({
  wordwrap: false,
  limits: { maxInputLength: MAX_HTML, maxDepth: 200 },
  selectors: [
    { selector: 'img', format: 'skip' },
    { selector: 'style', format: 'skip' },
    { selector: 'script', format: 'skip' },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true, ignoreHref: false } },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
  ],
});

/** The readable text of an HTML body: paragraphs and links survive, pictures and styles do not. */
export function textOfHtml(html: string): string {
  const safe = html.slice(0, MAX_HTML).toWellFormed();
  // The parser takes seconds for thousands of nested elements; their words without markup are good enough.
  return tidy(depth(safe) > 150 ? safe.replace(/<[^<>]*>/g, ' ') : plain(safe));
}

/** How deep elements nest that need an end tag. */
function depth(html: string): number {
  let open = 0;
  let deepest = 0;
  for (const [, slash, name = ''] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)/gi)) {
    if (/^(?:p|li|td|th|tr|dd|dt|option|br|img|hr|meta|link|input|col|base|area|wbr)$/i.test(name)) continue;
    open = Math.max(0, open + (slash === '/' ? -1 : 1));
    deepest = Math.max(deepest, open);
  }
  return deepest;
}

/** Cleaned text of a body with at most one empty line in a row; empty when it shows nothing. */
export function tidy(text: string): string {
  return cleanText(text)
    .replaceAll('\u00A0', ' ')
    .split('\n')
    .map((each) => each.trimEnd())
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

/** Whether a text can stand in `mailto:`: one at-sign somewhere, no blanks, brackets or quotes. */
export function isAddress(text: string): boolean {
  return text.length <= 320 && /^[^\s<>"]+@[^\s<>"]+$/.test(text) && cleanLine(text) === text;
}

/**
 * An address for a person who has none that mail knows (an X.500 name, nothing at all). Same person, same address; the
 * domain is reserved, nothing sent there arrives.
 */
export function placeholderAddress(person: string): string {
  return `${createHash('sha256').update(person.toLowerCase()).digest('hex').slice(0, 16)}@m365.invalid`;
}

/** The URI, if it is one of ours to emit (https, tel, geo, mailto) and short enough; else null. */
export function safeUri(uri: string | null | undefined, schemes: readonly string[] = ['https']): string | null {
  const trimmed = (uri ?? '').trim();
  if (trimmed === '' || trimmed.length > CAPS.uri || /[\s<>"\\^`{|}]/.test(trimmed)) return null;
  if (cleanLine(trimmed) !== trimmed || !URL.canParse(trimmed)) return null;
  return schemes.includes(new URL(trimmed).protocol.slice(0, -1)) ? trimmed : null;
}
