import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type CalDav, type DavOptions, openCalDav } from '../../src/dav/calendar-client.ts';
import { DavError } from '../../src/dav/dav-error.ts';
import { SyncError } from '../../src/shared/errors.ts';
import { etagOfText, eventText } from '../support/caldav/event.ts';
import { type CalDavServer, type CalDavServerOptions, startCalDavServer } from '../support/caldav/server.ts';

const alice = { username: 'alice', password: 'secret' };
const calendar = '/dav.php/calendars/alice/default/';
const href = `${calendar}a.ics`;
const text = eventText('a');

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

async function serve(options: CalDavServerOptions = {}): Promise<CalDavServer> {
  const server = await startCalDavServer(options);
  open.push(server);
  return server;
}
function connect(url: string, options?: DavOptions, account = alice): CalDav {
  const dav = openCalDav({ ...account, url }, options);
  open.push(dav);
  return dav;
}
/** A server of one answer per request, told by method, path and body. */
async function serveAnswers(
  answer: (
    method: string,
    path: string,
    body: string,
  ) => { status: number; headers?: Record<string, string>; body?: string },
): Promise<{ url: string; seen: { method: string; path: string; authorization: string | undefined }[] }> {
  const seen: { method: string; path: string; authorization: string | undefined }[] = [];
  const server: Server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    seen.push({ method, path: url, authorization: request.headers.authorization });
    void textOf(request).then((asked) => {
      const { status, headers, body } = answer(method, url, asked);
      response.writeHead(status, headers).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, seen };
}
const xml = { 'content-type': 'application/xml; charset=utf-8' };
const multistatus = (inner: string): { status: number; headers: Record<string, string>; body: string } => ({
  status: 207,
  headers: xml,
  body: `<?xml version="1.0"?><d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="http://apple.com/ns/ical/" xmlns:cs="http://calendarserver.org/ns/">${inner}</d:multistatus>`,
});
const resource = (path: string, props: string): string =>
  `<d:response><d:href>${path}</d:href><d:propstat><d:prop>${props}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`;

describe('discovery', () => {
  it.each([
    ['the server root, by way of .well-known', '/', {}],
    ['.well-known/caldav with 301', '/.well-known/caldav', { wellKnown: 301 }],
    ['.well-known/caldav with 302', '/.well-known/caldav', { wellKnown: 302 }],
    ['.well-known/caldav with 307', '/.well-known/caldav', { wellKnown: 307 }],
    ['.well-known/caldav with 308', '/.well-known/caldav', { wellKnown: 308 }],
    ['the server root, nothing set up', '/', { wellKnown: null }],
    ['the DAV root', '/dav.php/', {}],
    ['the DAV root without its slash', '/dav.php', {}],
    ['the principal', '/dav.php/principals/alice/', {}],
    ['the home', '/dav.php/calendars/alice/', {}],
    ['a calendar', calendar, {}],
  ] as const)('starts from %s', async (_name, path, options) => {
    const server = await serve(options);

    expect(await connect(new URL(path, server.url).href).discover()).toEqual({
      principal: '/dav.php/principals/alice/',
      home: '/dav.php/calendars/alice/',
      addresses: ['mailto:alice@example.org', '/dav.php/principals/alice/'],
      isSabre: true,
    });
  });

  it('is asked only once', async () => {
    const server = await serve();
    const dav = connect(server.url);
    await dav.discover();
    server.forget();

    await dav.discover();
    expect(server.requests).toEqual([]);
    await dav.listCalendars();
    expect(server.requests.map((request) => request.path)).toEqual(['/dav.php/calendars/alice/']);
  });

  it('says that CalDAV is switched off', async () => {
    const server = await serve();
    server.switchCalDav(false);

    await expect(connect(server.url).discover()).rejects.toMatchObject({
      code: 'dav.caldav_off',
      recovery: { kind: 'operator' },
    });
  });

  it('reports a dead server and a dead URL for what they are', async () => {
    const server = await startCalDavServer();
    await server.close();
    await expect(connect(server.url).discover()).rejects.toMatchObject({
      code: 'dav.unreachable',
      outcome: 'not-sent',
    });

    const elsewhere = await serveAnswers(() => ({ status: 404 }));
    await expect(connect(elsewhere.url).discover()).rejects.toMatchObject({
      code: 'dav.not_found',
      recovery: { kind: 'operator' },
    });
    expect(() => openCalDav({ ...alice, url: 'dav.example' })).toThrow(SyncError);
  });

  it('follows a home on another host only for iCloud', async () => {
    const server = await serveAnswers((_method, path) =>
      path === '/p/'
        ? multistatus(
            resource('/p/', '<c:calendar-home-set><d:href>http://evil.example/home/</d:href></c:calendar-home-set>'),
          )
        : multistatus(resource(path, '<d:current-user-principal><d:href>/p/</d:href></d:current-user-principal>')),
    );

    const dav = connect(server.url);
    expect((await dav.discover()).home).toBe('http://evil.example/home/');
    await expect(dav.listCalendars()).rejects.toMatchObject({
      code: 'dav.redirected_away',
      recovery: { kind: 'operator' },
    });
  });
});

describe('iCloud', () => {
  const home = 'https://p42-caldav.icloud.com/123/calendars/';
  it('is followed to its partition with credentials, by whole URLs', async () => {
    const seen: { url: string; authorization: string | null }[] = [];
    const fetchStub: typeof fetch = (input, init) => {
      const url = input as string;
      const authorization = new Headers(init?.headers).get('authorization');
      seen.push({ url, authorization });
      if (authorization === null) {
        return Promise.resolve(
          new Response('', { status: 401, headers: { 'www-authenticate': 'Basic realm="MMCalDav"' } }),
        );
      }
      const answer = url.endsWith('/principal/')
        ? multistatus(
            resource(
              '/123/principal/',
              `<c:calendar-home-set><d:href>https://p42-caldav.icloud.com:443/123/calendars/</d:href></c:calendar-home-set>`,
            ),
          )
        : url.startsWith(home)
          ? multistatus(
              resource(
                '/123/calendars/home/',
                '<d:resourcetype><d:collection/><c:calendar/></d:resourcetype><d:displayname>1e3</d:displayname>',
              ),
            )
          : multistatus(
              resource('/', '<d:current-user-principal><d:href>/123/principal/</d:href></d:current-user-principal>'),
            );
      return Promise.resolve(new Response(answer.body, { status: 207, headers: xml }));
    };

    const calendars = await connect('https://caldav.icloud.com/', { fetch: fetchStub }).listCalendars();

    expect(calendars).toMatchObject([{ href: `${home}home/`, name: '1000', components: [] }]);
    expect(seen.at(-1)).toEqual({ url: home, authorization: expect.stringMatching(/^Basic /) as unknown });
  });
});

describe('credentials', () => {
  it('are not sent before they are asked for', async () => {
    const server = await serve({ auth: 'basic' });
    await connect(server.url).discover();

    expect(server.requests.map((request) => request.headers['authorization'] !== undefined)).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('are counted up for one Digest nonce, also by requests side by side', async () => {
    const server = await serve({ auth: 'digest', isStrictDigest: true });
    const dav = connect(server.url);
    await dav.discover();
    server.forget();

    await Promise.all(Array.from({ length: 8 }, (_, index) => dav.put(`${calendar}${index}.ics`, text, null)));

    expect(server.requests.filter((request) => request.status === 401)).toEqual([]);
    expect(server.objects('alice', 'default').size).toBe(8);
  });

  it('are given anew when the server wants a fresh nonce, and a second refusal is final', async () => {
    const server = await serve({ auth: 'digest' });
    const dav = connect(server.url);
    await dav.discover();
    server.fail({ on: 'PUT', how: '401' });
    expect(await dav.put(href, text, null)).toMatchObject({ kind: 'stored' });

    server.fail({ on: 'PUT', how: '401', times: 2 });
    server.forget();
    await expect(dav.put(href, text, null)).rejects.toMatchObject({ code: 'dav.unauthorized', outcome: 'not-sent' });
    expect(server.requests).toHaveLength(2);
  });

  it('are never given in plain text to who once asked for Digest', async () => {
    let scheme = 'Digest realm="r", nonce="n", qop="auth"';
    const server = await serveAnswers(() => ({ status: 401, headers: { 'www-authenticate': scheme } }));
    const dav = connect(server.url);
    await expect(dav.get(href)).rejects.toMatchObject({ code: 'dav.unauthorized' });
    scheme = 'Basic realm="r"';
    await expect(dav.get(href)).rejects.toMatchObject({ code: 'dav.unauthorized' });

    expect(server.seen.some((request) => request.authorization?.startsWith('Basic') === true)).toBe(false);
  });

  it('do not follow a redirect to another origin', async () => {
    const other = await serveAnswers(() => ({ status: 207 }));
    const server = await serveAnswers((_method, path) => ({
      status: 307,
      headers: { location: new URL(path, other.url).href },
    }));

    await expect(connect(server.url).put(href, text, null)).rejects.toMatchObject({
      code: 'dav.redirected_away',
      outcome: 'not-sent',
      field: 'url',
    });
    expect(other.seen).toEqual([]);
  });

  it('never show in a message', async () => {
    const server = await serve();
    const thrown: unknown = await connect(server.url, {}, { username: 'alice', password: 'very-secret' })
      .discover()
      .catch((error: unknown) => error);

    expect(thrown).toBeInstanceOf(DavError);
    expect(JSON.stringify([String(thrown), thrown])).not.toContain('very-secret');
  });
});

describe('every write', () => {
  it('tells the server to mail nobody, sends no cookie, and keeps its connection', async () => {
    const server = await serve();
    const dav = connect(server.url);
    await dav.put(href, text, { ifNoneMatch: '*' });
    const before = server.connections;
    await dav.put(href, text, null);
    await dav.remove(href, null);

    const writes = server.requests.filter((request) => request.method === 'PUT' || request.method === 'DELETE');
    expect(new Set(writes.map((request) => request.headers['schedule-reply']))).toEqual(new Set(['F']));
    expect(writes.filter((request) => 'cookie' in request.headers)).toEqual([]);
    expect(server.connections).toBe(before);
  });

  it('keeps method and body across a redirect', async () => {
    const server = await serve({ auth: 'basic' });
    const front = await serveAnswers((_method, path) => ({
      status: 301,
      headers: { location: path.replace('/old/', '/dav.php/') },
    }));
    const seen: string[] = [];
    const dav = connect(front.url, {
      // One origin with both: the front's redirects are resolved by the server behind it.
      fetch: (input, init) => {
        const url = input as string;
        seen.push(`${init?.method ?? ''} ${new URL(url).pathname}`);
        return fetch(url.includes('/old/') ? url : url.replace(front.url, new URL('/', server.url).href), init);
      },
    });

    expect(await dav.put(href.replace('/dav.php/', '/old/'), text, null)).toMatchObject({ kind: 'stored' });
    expect(seen.at(-1)).toBe(`PUT ${href}`);
    expect(server.objects('alice', 'default').get(href)?.body).toBe(text);
  });
});

describe('when the server fails in the middle of a write', () => {
  let server: CalDavServer;
  let dav: CalDav;
  beforeEach(async () => {
    server = await serve();
    dav = connect(server.url, { timeoutMs: 400 });
    await dav.discover();
  });
  const put = (): Promise<unknown> => dav.put(href, text, { ifNoneMatch: '*' });
  const stored = (): boolean => server.objects('alice', 'default').has(href);

  it.each([
    ['500-stored', 'dav.server_error', 'unknown', true],
    ['500-not-stored', 'dav.server_error', 'unknown', false],
    ['timeout-stored', 'dav.timeout', 'unknown', true],
    ['timeout-not-stored', 'dav.timeout', 'unknown', false],
    ['reset-before', 'dav.connection_lost', 'unknown', false],
    ['reset-after', 'dav.connection_lost', 'unknown', true],
    ['trickle', 'dav.timeout', 'unknown', false],
    ['html-200', 'dav.not_ready', 'not-sent', false],
    ['redirect-install', 'dav.not_ready', 'not-sent', false],
    [{ status: 503, headers: { 'Retry-After': '7' } }, 'dav.unavailable', 'unknown', false],
    [{ status: 413, headers: { 'Content-Type': 'text/html' } }, 'dav.too_large', 'refused', false],
  ] as const)('says what is known after %j', async (how, code, outcome, isStored) => {
    server.fail({ on: 'PUT', how });

    await expect(put()).rejects.toMatchObject({ code, outcome });
    expect(stored()).toBe(isStored);
  });

  it('learns from the etag that its write has landed', async () => {
    server.fail({ on: 'PUT', how: 'reset-after' });
    await expect(put()).rejects.toMatchObject({ outcome: 'unknown' });

    expect(await dav.etagOf(href)).toBe(etagOfText(text));
  });

  it('finds no trace of a half-stored write in the changes, only in the list', async () => {
    const before = await dav.changes(calendar, null);
    server.fail({ on: 'PUT', how: '500-stored' });
    await expect(put()).rejects.toMatchObject({ outcome: 'unknown' });

    expect((await dav.changes(calendar, before.syncToken)).changed).toEqual([]);
    expect(await dav.list(calendar)).toEqual([{ href, etag: etagOfText(text) }]);
    await dav.put(href, text, { ifMatch: etagOfText(text) });
    expect((await dav.changes(calendar, before.syncToken)).changed).toEqual([{ href, etag: etagOfText(text) }]);
  });

  it('sees a write appear after it gave up, over a newer one', async () => {
    await put();
    const late = server.fail({ on: 'PUT', how: 'late-store' });
    const older = eventText('a', 'SUMMARY:older');
    await expect(dav.put(href, older, { ifMatch: etagOfText(text) })).rejects.toMatchObject({ code: 'dav.timeout' });
    await dav.put(href, eventText('a', 'SUMMARY:newer'), { ifMatch: etagOfText(text) });

    await late.release();

    expect((await dav.get(href))?.body).toBe(older);
  });

  it('sees a creation appear beside one that came after it: two of one name, of which each way shows another', async () => {
    const late = server.fail({ on: 'PUT', how: 'late-store' });
    await expect(put()).rejects.toMatchObject({ code: 'dav.timeout' });
    expect(await dav.get(href)).toBeNull();
    const newer = eventText('a', 'SUMMARY:newer');
    await dav.put(href, newer, { ifNoneMatch: '*' });

    await late.release();

    expect((await dav.get(href))?.body).toBe(newer);
    expect(await dav.etagOf(href)).toBe(etagOfText(newer));
    expect((await dav.multiget(calendar, [href])).get(href)?.body).toBe(text);
    expect(await dav.list(calendar)).toEqual([newer, text].map((one) => ({ href, etag: etagOfText(one) })));
    await dav.remove(href, null);
    expect(await dav.list(calendar)).toEqual([]);
  });

  it('stops when told to, and does not start when told before', async () => {
    const stop = new AbortController();
    server.fail({ on: 'PUT', how: 'timeout-stored' });
    const arrived = server.waitForRequest((request) => request.method === 'PUT', 'arrived');
    const put1 = dav.put(href, text, null, stop.signal);
    await arrived;
    stop.abort();

    await expect(put1).rejects.toMatchObject({ code: 'dav.aborted', outcome: 'unknown' });
    await expect(dav.put(href, text, null, stop.signal)).rejects.toMatchObject({
      code: 'dav.aborted',
      outcome: 'not-sent',
    });
  });
});

describe('an outage of Baikal', () => {
  it.each(['html-200', 'redirect-install'] as const)('changes and proves nothing: %s', async (how) => {
    const server = await serve();
    const dav = connect(server.url);
    await dav.put(href, text, null);
    const { syncToken } = await dav.changes(calendar, null);
    server.maintain(how);

    const notReady = { code: 'dav.not_ready', recovery: { kind: 'retry' } };
    await expect(dav.put(href, text, null)).rejects.toMatchObject({ ...notReady, outcome: 'not-sent' });
    await expect(dav.remove(href, null)).rejects.toMatchObject({ ...notReady, outcome: 'not-sent' });
    await expect(dav.get(href)).rejects.toMatchObject(notReady);
    await expect(dav.etagOf(href)).rejects.toMatchObject(notReady);
    await expect(dav.list(calendar)).rejects.toMatchObject(notReady);
    await expect(dav.changes(calendar, syncToken)).rejects.toMatchObject(notReady);
    await expect(dav.multiget(calendar, [href])).rejects.toMatchObject(notReady);
    await expect(connect(server.url).discover()).rejects.toMatchObject(notReady);

    server.maintain(null);
    expect(await dav.get(href)).toEqual({ etag: etagOfText(text), body: text });
  });

  it('is told from a deleted calendar when CalDAV is switched off', async () => {
    const server = await serve();
    const dav = connect(server.url);
    await dav.put(href, text, null);
    server.switchCalDav(false);

    const off = { code: 'dav.caldav_off' };
    await expect(dav.put(href, text, null)).rejects.toMatchObject(off);
    await expect(dav.remove(href, null)).rejects.toMatchObject(off);
    await expect(dav.get(href)).rejects.toMatchObject(off);
    await expect(dav.list(calendar)).rejects.toMatchObject(off);
    await expect(dav.changes(calendar, null)).rejects.toMatchObject(off);
    await expect(dav.multiget(calendar, [href])).rejects.toMatchObject(off);
  });

  it('is told from a deleted user', async () => {
    const server = await serve();

    await expect(connect(server.url).list('/dav.php/calendars/bob/work/')).rejects.toMatchObject({
      code: 'dav.home_gone',
    });
  });
});

describe('the list of changes', () => {
  it('costs one request when nothing changed', async () => {
    const server = await serve();
    const dav = connect(server.url);
    const { syncToken } = await dav.changes(calendar, null);
    server.forget();

    await dav.changes(calendar, syncToken);

    expect(server.requests.map((request) => request.method)).toEqual(['PROPFIND']);
  });

  it('leaves out the calendar itself', async () => {
    const server = await serve({ auth: 'basic' });
    const dav = connect(server.url);
    const { syncToken } = await dav.changes(calendar, null);
    const body =
      '<d:propertyupdate xmlns:d="DAV:"><d:set><d:prop><d:displayname>New</d:displayname></d:prop></d:set></d:propertyupdate>';
    const authorization = `Basic ${Buffer.from('alice:secret').toString('base64')}`;
    await fetch(new URL(calendar, server.url), { method: 'PROPPATCH', body, headers: { authorization } });

    expect(await dav.changes(calendar, syncToken)).toEqual({
      changed: [],
      removed: [],
      syncToken: 'http://sabre.io/ns/sync/2',
    });
  });

  it('wants a full reading when the calendar was made anew, and its number is lower', async () => {
    const server = await serve();
    const dav = connect(server.url);
    for (const name of ['a', 'b', 'c']) server.store('alice', 'default', `${name}.ics`, eventText(name));
    const { syncToken } = await dav.changes(calendar, null);
    server.dropCalendar('alice', 'default');
    server.makeCalendar('alice', 'default');

    await expect(dav.changes(calendar, syncToken)).rejects.toMatchObject({
      code: 'dav.sync_token_stale',
      recovery: { kind: 'reread' },
    });
    expect(await dav.changes(calendar, null)).toEqual({
      changed: [],
      removed: [],
      syncToken: 'http://sabre.io/ns/sync/1',
    });
  });

  const token = (text: string): string => resource('/cal/', `<d:sync-token>${text}</d:sync-token>`);
  it('goes on where the server cut it short, with or without saying so', async () => {
    const pages: Record<string, string> = {
      'REPORT 1': `${resource('/cal/a.ics', '<d:getetag>"a"</d:getetag>')}<d:response><d:href>/cal/</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status></d:response><d:sync-token>t2</d:sync-token>`,
      'REPORT 2': `${resource('/cal/b.ics', '<d:getetag>"b"</d:getetag>')}<d:response><d:href>/cal/a.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response><d:sync-token>t3</d:sync-token>`,
      'REPORT 3': `${resource('/cal/c.ics', '<d:getetag>"c"</d:getetag>')}<d:sync-token>t4</d:sync-token>`,
    };
    let reports = 0;
    const server = await serveAnswers((method) =>
      method === 'PROPFIND' ? multistatus(token('t4')) : multistatus(pages[`REPORT ${(reports += 1)}`] ?? ''),
    );

    expect(await connect(server.url).changes('/cal/', 't1')).toEqual({
      changed: [
        { href: '/cal/b.ics', etag: '"b"' },
        { href: '/cal/c.ics', etag: '"c"' },
      ],
      removed: ['/cal/a.ics'],
      syncToken: 't4',
    });
  });

  it('takes 410 and 418 for removals too, and what cannot be told for changed', async () => {
    const told = (name: string, status: string): string =>
      `<d:response><d:href>/cal/${name}.ics</d:href><d:status>HTTP/1.1 ${status}</d:status></d:response>`;
    const nothing = "<d:propstat><d:prop/><d:status>HTTP/1.1 418 I'm a teapot</d:status></d:propstat>";
    const server = await serveAnswers((method) =>
      multistatus(
        method === 'PROPFIND'
          ? token('t2')
          : `${told('gone', '410 Gone')}${told('tea', "418 I'm a teapot")}${told('shut', '403 Forbidden')}
             <d:response><d:href>/cal/both.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status>${nothing}</d:response>
             <d:response><d:href>/cal/empty.ics</d:href>${nothing}</d:response><d:sync-token>t2</d:sync-token>`,
      ),
    );

    expect(await connect(server.url).changes('/cal/', 't1')).toEqual({
      changed: [
        { href: '/cal/shut.ics', etag: null },
        { href: '/cal/empty.ics', etag: null },
      ],
      removed: ['/cal/gone.ics', '/cal/tea.ics', '/cal/both.ics'],
      syncToken: 't2',
    });
  });

  it('is asked for anew where the server fails at our token alone, and not where it fails altogether', async () => {
    let isBroken = false;
    const server = await serveAnswers((method, _url, body) => {
      if (method === 'PROPFIND') return multistatus(token('t2'));
      const isWhole = body.includes('<d:sync-token/>') || body.includes('<d:sync-token></d:sync-token>');
      return isWhole && !isBroken
        ? multistatus('<d:sync-token>t2</d:sync-token>')
        : { status: 500, headers: { 'content-type': 'text/plain' }, body: 'oops' };
    });
    const dav = connect(server.url);

    await expect(dav.changes('/cal/', 't1')).rejects.toMatchObject({
      code: 'dav.sync_token_invalid',
      recovery: { kind: 'reread' },
    });
    isBroken = true;
    await expect(dav.changes('/cal/', 't1')).rejects.toMatchObject({ code: 'dav.server_error' });
  });

  it('is told apart from a server that has none', async () => {
    const server = await serveAnswers((method) =>
      method === 'PROPFIND'
        ? multistatus(resource('/cal/', '<d:getetag/>'))
        : { status: 403, headers: xml, body: '<d:error xmlns:d="DAV:"><d:supported-report/></d:error>' },
    );
    const dav = connect(server.url);

    await expect(dav.changes('/cal/', null)).rejects.toMatchObject({ code: 'dav.sync_unsupported' });
    await expect(dav.changes('/cal/', 'old')).rejects.toMatchObject({
      code: 'dav.sync_token_invalid',
      recovery: { kind: 'reread' },
    });
  });
});

describe('answers of many servers', () => {
  it('are read with missing objects told by 404, CDATA, other prefixes and encodings', async () => {
    const body = `<?xml version="1.0"?><multistatus xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
      <response><href>/cal/a%20b.ics</href><propstat><prop><getetag>"1"</getetag><C:calendar-data><![CDATA[BEGIN:VCALENDAR\nEND:VCALENDAR\n]]></C:calendar-data></prop><status>HTTP/1.1 200 OK</status></propstat></response>
      <response><href>/cal/none.ics</href><status>HTTP/1.1 404 Not Found</status></response></multistatus>`;
    const server = await serveAnswers(() => ({ status: 207, headers: xml, body }));

    const got = await connect(server.url).multiget('/cal/', ['/cal/a b.ics', '/cal/none.ics']);

    expect([...got]).toEqual([['/cal/a b.ics', { etag: '"1"', body: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n' }]]);
  });

  it('keep texts that look like numbers or truth values', async () => {
    const server = await serveAnswers(() =>
      multistatus(
        resource('/cal/a.ics', '<d:getetag>12345</d:getetag>') + resource('/cal/true', '<d:getetag>true</d:getetag>'),
      ),
    );

    expect(await connect(server.url).list('/cal/')).toEqual([
      { href: '/cal/a.ics', etag: '12345' },
      { href: '/cal/true', etag: 'true' },
    ]);
  });

  it.each([
    ['a document type', '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><d:multistatus xmlns:d="DAV:"/>'],
    [
      'entities to read files by, behind a long comment',
      `<?xml version="1.0"?><!--${'-x'.repeat(3_000)}--><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>
        <d:multistatus xmlns:d="DAV:"><d:response><d:href>&f;</d:href></d:response></d:multistatus>`,
    ],
    ['elements in elements without end', '<d:multistatus xmlns:d="DAV:">'.repeat(200_000)],
    [
      'a hundred thousand elements deep',
      `<d:multistatus xmlns:d="DAV:">${'<d:a>'.repeat(100_000)}${'</d:a>'.repeat(100_000)}</d:multistatus><x/>`,
    ],
    ['half an answer', multistatus(resource('/cal/a.ics', '<d:getetag>"1"</d:getetag>')).body.slice(0, -20)],
    ['tags that cross', '<d:multistatus xmlns:d="DAV:"><d:response></d:multistatus>'],
    ['another document', '<?xml version="1.0"?><html/>'],
    ['nothing', ''],
  ])('are refused with %s', async (_name, body) => {
    const server = await serveAnswers(() => ({ status: 207, headers: xml, body }));

    await expect(connect(server.url).list('/cal/')).rejects.toMatchObject({
      code: 'dav.unreadable',
      recovery: { kind: 'retry' },
    });
  });

  it('may be large', async () => {
    const entries = Array.from({ length: 20_000 }, (_, index) =>
      resource(`/cal/${index}-${'x'.repeat(600)}.ics`, `<d:getetag>"${index}"</d:getetag>`),
    );
    const server = await serveAnswers(() => multistatus(entries.join('')));

    expect(await connect(server.url).list('/cal/')).toHaveLength(20_000);
  });
});
