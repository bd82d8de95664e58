/** An element with its namespace resolved; enough of XML for the requests of WebDAV clients. */
export interface Element {
  readonly namespace: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: Element[];
  text: string;
  /** Everything between the tags as it was sent, with its own namespace declarations lost. */
  inner: string;
}

export const dav = 'DAV:';
export const caldav = 'urn:ietf:params:xml:ns:caldav';
export const calendarServer = 'http://calendarserver.org/ns/';

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replaceAll(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16));
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)));
    return entities[name] ?? whole;
  });
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** The root element; null when the text is no well-formed XML. */
export function parseXml(text: string): Element | null {
  const tag =
    /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)([\w:.-]+)((?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>/g;
  type Open = { element: Element; prefixes: Readonly<Record<string, string>>; from: number };
  const stack: Open[] = [];
  let root: Element | null = null;
  let last = 0;
  for (const match of text.matchAll(tag)) {
    const [whole, cdata, closing, qualified = '', attributeText = '', empty] = match;
    const open = stack.at(-1);
    if (open !== undefined) open.element.text += unescape(text.slice(last, match.index)) + (cdata ?? '');
    last = match.index + whole.length;
    if (qualified === '') continue;
    if (closing === '/') {
      const done = stack.pop();
      if (done === undefined) return null;
      done.element.inner = text.slice(done.from, match.index);
      continue;
    }
    const prefixes: Record<string, string> = { ...open?.prefixes };
    const attributes: Record<string, string> = {};
    for (const [, name = '', , double, single] of attributeText.matchAll(/([\w:.-]+)\s*=\s*("([^"]*)"|'([^']*)')/g)) {
      const value = unescape(double ?? single ?? '');
      if (name === 'xmlns') prefixes[''] = value;
      else if (name.startsWith('xmlns:')) prefixes[name.slice(6)] = value;
      else attributes[name] = value;
    }
    const colon = qualified.indexOf(':');
    const element: Element = {
      namespace: prefixes[colon < 0 ? '' : qualified.slice(0, colon)] ?? '',
      name: qualified.slice(colon + 1),
      attributes,
      children: [],
      text: '',
      inner: '',
    };
    if (open === undefined) root ??= element;
    else open.element.children.push(element);
    if (empty !== '/') stack.push({ element, prefixes, from: last });
  }
  return stack.length === 0 ? root : null;
}

export function child(element: Element | null | undefined, namespace: string, name: string): Element | undefined {
  return element?.children.find((one) => one.namespace === namespace && one.name === name);
}

const prefixOf: Readonly<Record<string, string>> = { [dav]: 'd', [caldav]: 'cal', [calendarServer]: 'cs' };

/** An element as sabre/dav writes it: known namespaces by prefix, others declared in place. */
export function element(namespace: string, name: string, inner: string): string {
  const prefix = prefixOf[namespace];
  const tag = prefix === undefined ? `x1:${name}` : `${prefix}:${name}`;
  const start = prefix === undefined ? `${tag} xmlns:x1="${escapeXml(namespace)}"` : tag;
  return inner === '' ? `<${start}/>` : `<${start}>${inner}</${tag}>`;
}

export function multistatus(responses: readonly string[], tail = ''): string {
  return `<?xml version="1.0"?>\n<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns" xmlns:cal="${caldav}" xmlns:cs="${calendarServer}">${responses.join('')}${tail}</d:multistatus>\n`;
}

export function errorBody(exception: string, message: string, extra = ''): string {
  return `<?xml version="1.0" encoding="utf-8"?>\n<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">\n  <s:sabredav-version>4.7.1</s:sabredav-version>\n  <s:exception>${exception}</s:exception>\n  <s:message>${escapeXml(message)}</s:message>\n${extra}</d:error>\n`;
}
