import { setImmediate as nextTurn } from 'node:timers/promises';
import sax from 'sax';
import { toHref } from './hrefs.ts';
import type { Entry } from './multistatus.ts';

interface Response {
  href: string | null;
  status: number | null;
  props: Record<string, unknown>;
}

/** Characters that are read at a time: a few milliseconds of work. */
const sliceLength = 32_768;

/**
 * Reads a 207 answer that may list a hundred thousand resources, slice by slice, so that other work goes on meanwhile
 * and no tree of it is built. Knows `href`, `status`, `getetag` and `resourcetype` of each, as `Entry` names them, and
 * the closing sync token. Null: no multistatus, or no XML.
 */
export async function readLongMultistatus(
  body: string,
  url: string,
  origin: string,
): Promise<{ readonly entries: Entry[]; readonly syncToken: string | null } | null> {
  const parser = sax.parser(true);
  const path: string[] = [];
  const entries: Entry[] = [];
  let syncToken: string | null = null;
  let response: Response = { href: null, status: null, props: {} };
  let found: Record<string, unknown> = {};
  let foundStatus: number | null = null;
  let text = '';
  const seen = { root: false, error: false };

  parser.onopentag = ({ name }) => {
    const local = localName(name);
    path.push(local);
    text = '';
    if (path.length === 1) {
      seen.root = true;
      seen.error ||= local !== 'multistatus';
    }
    if (is(path, 'response')) response = { href: null, status: null, props: {} };
    if (is(path, 'response', 'propstat')) [found, foundStatus] = [{}, null];
    if (is(path, 'response', 'propstat', 'prop', 'resourcetype')) found['resourcetype'] = {};
    if (path.length === 6 && path[4] === 'resourcetype') (found['resourcetype'] as Record<string, unknown>)[local] = {};
  };
  parser.ontext = (piece) => (text += piece);
  parser.oncdata = (piece) => (text += piece);
  parser.onclosetag = () => {
    const value = text.trim();
    if (is(path, 'sync-token')) syncToken = value === '' ? null : value;
    else if (is(path, 'response', 'href')) response.href = value;
    else if (is(path, 'response', 'status')) response.status = statusOf(value);
    else if (is(path, 'response', 'propstat', 'status')) foundStatus = statusOf(value);
    else if (is(path, 'response', 'propstat', 'prop', 'getetag')) found['getetag'] = value;
    else if (is(path, 'response', 'propstat')) {
      if (foundStatus !== null && foundStatus < 300) Object.assign(response.props, found);
    } else if (is(path, 'response') && response.href !== null)
      entries.push({ ...response, href: toHref(response.href, url, origin) });
    path.pop();
    text = '';
  };
  parser.onerror = () => {
    seen.error = true;
    parser.resume();
  };

  for (let at = 0; at < body.length && !seen.error; at += sliceLength) {
    parser.write(body.slice(at, at + sliceLength));
    if (at > 0) await nextTurn();
  }
  if (!seen.error) parser.close();
  return seen.root && !seen.error ? { entries, syncToken } : null;
}

/** Whether an element stands there, below the multistatus. */
function is(path: readonly string[], ...names: readonly string[]): boolean {
  return path.length === names.length + 1 && names.every((name, index) => path[index + 1] === name);
}

const localName = (name: string): string => name.slice(name.indexOf(':') + 1);

/** `HTTP/1.1 404 Not Found` is 404. */
function statusOf(line: string): number | null {
  const found = /^HTTP\/\S+ (\d{3})\b/.exec(line);
  return found === null ? null : Number(found[1]);
}
