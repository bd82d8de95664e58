import { type IncomingHttpHeaders, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Claim, Source } from '../../../src/sources/source.ts';
import { icsSource, type IcsSourceOptions } from '../../../src/sources/ics/ics-source.ts';
import { isPublicAddress } from '../../../src/sources/ics/public-address.ts';
import { readPage, readRound, rebuild, titles } from '../caldav/reader.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

interface FeedServer {
  readonly url: string;
  readonly seen: { path: string; headers: IncomingHttpHeaders }[];
  /** What is answered from now on: a text, or anything. */
  answer: string | Answer | ((path: string, response: ServerResponse) => void);
}

async function serve(answer: FeedServer['answer']): Promise<FeedServer> {
  const seen: FeedServer['seen'] = [];
  const server = createServer((request, response) => {
    const { url: path = '', headers } = request;
    seen.push({ path, headers });
    if (typeof feed.answer === 'function') return feed.answer(path, response);
    const reply: Answer = typeof feed.answer === 'string' ? { body: feed.answer } : feed.answer;
    const etag = reply.headers?.['ETag'];
    const isSame = etag !== undefined && headers['if-none-match'] === etag;
    if (isSame) response.writeHead(304, { ETag: etag }).end();
    else response.writeHead(reply.status ?? 200, { 'Content-Type': 'text/calendar', ...reply.headers }).end(reply.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/private-secret/basic.ics`;
  const feed: FeedServer = { url, seen, answer };
  return feed;
}

const sourceOf = (url: string, options: Partial<IcsSourceOptions> = {}): Source =>
  icsSource({ url, fetch, isOurs: (uid) => uid.endsWith('@here.calendar-sync'), ...options });

/** Leads the hosts of these names to a server, which stands for the open Internet. */
function internet(...servers: [host: string, server: FeedServer][]): Pick<IcsSourceOptions, 'fetch' | 'lookup'> {
  const ports = new Map(servers.map(([host, { url }]) => [host, new URL(url).host]));
  return {
    fetch: (input, init) => {
      const url = new URL(input);
      return fetch(`http://${ports.get(url.hostname) ?? url.host}${url.pathname}`, init);
    },
    lookup: (host) => Promise.resolve(ports.has(host) ? ['198.51.100.7', '2001:db8::7'] : ['10.1.2.3']),
  };
}

const event = (uid: string, title = uid, ...lines: string[]): string[] => [
  'BEGIN:VEVENT',
  `UID:${uid}`,
  'DTSTAMP:20260101T000000Z',
  'DTSTART:20270101T100000Z',
  'DTEND:20270101T110000Z',
  `SUMMARY:${title}`,
  ...lines,
  'END:VEVENT',
];
const calendar = (...lines: readonly string[][]): string =>
  ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//test//EN', ...lines.flat(), 'END:VCALENDAR', ''].join('\r\n');
const old = (uid: string): string[] => event(uid).map((line) => line.replace(':20270101T', ':20150101T'));
const keyOf = (claims: readonly Claim[], title: string): string =>
  claims.find(({ series }) => series.main.summary === title)?.key ?? '';

describe('a feed', () => {
  it('is claimed as far as it lies in the window', async () => {
    const { url } = await serve(calendar(event('a'), event('b'), old('c')));

    const { claims, stale, requests } = await readRound(sourceOf(url));

    expect(titles(claims).sort()).toEqual(['a', 'b']);
    expect([stale, requests]).toEqual([[], 1]);
  });

  it('does not meet other sources by its UIDs unless that is allowed', async () => {
    const { url } = await serve(calendar(event('a')));

    expect((await readRound(sourceOf(url))).claims[0]?.series.uid).toBeNull();
    expect((await readRound(sourceOf(url, { mayMerge: true }))).claims[0]?.series.uid).toBe('a');
  });

  it('never brings back what we wrote ourselves', async () => {
    const { url } = await serve(calendar(event('a@here.calendar-sync'), event('b')));

    expect(titles((await readRound(sourceOf(url))).claims)).toEqual(['b']);
  });

  it('counts an event once whose UID comes twice, the one that was revised last', async () => {
    const { url } = await serve(calendar(event('a', 'old', 'SEQUENCE:1'), event('a', 'new', 'SEQUENCE:2')));

    expect(titles((await readRound(sourceOf(url))).claims)).toEqual(['new']);
  });

  it('has a key for each exception without a master', async () => {
    const one = event('weekly', 'One', 'RECURRENCE-ID:20270101T090000Z');
    const two = event('weekly', 'Two', 'RECURRENCE-ID:20270108T090000Z');
    const feed = await serve(calendar(one, two));
    const source = sourceOf(feed.url);
    const { claims, cursor } = await readRound(source);

    feed.answer = calendar(two);
    const { stale } = await readRound(source, cursor);

    expect(claims.map(({ series }) => series.slot)).toEqual(['2027-01-01T09:00:00Z', '2027-01-08T09:00:00Z']);
    expect(stale).toEqual([{ key: keyOf(claims, 'One'), why: 'removed' }]);
  });

  it('is read in Latin letters too, when it says so', async () => {
    const body = Buffer.from(calendar(event('a', 'Müll')), 'latin1');
    const { url } = await serve({ body, headers: { 'Content-Type': 'text/calendar; charset=ISO-8859-1' } });

    expect(titles((await readRound(sourceOf(url))).claims)).toEqual(['Müll']);
  });

  it('gets user name and password out of its URL', async () => {
    const feed = await serve(calendar(event('a')));

    await readRound(sourceOf(feed.url.replace('http://', 'http://me:p%40ss@')));

    expect(feed.seen[0]?.headers.authorization).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
  });

  it('is asked by https when it is a webcal address', async () => {
    const asked: string[] = [];
    const source = sourceOf('webcal://feeds.example/a.ics', {
      fetch: (input) => {
        asked.push(input as string);
        return Promise.resolve(new Response(calendar(event('a'))));
      },
    });

    await readRound(source);

    expect(asked).toEqual(['https://feeds.example/a.ics']);
  });

  it.each(['feeds.example/a.ics', 'file:///etc/passwd', ''])('is refused as "%s"', async (url) => {
    await expect(readPage(sourceOf(url), null)).rejects.toMatchObject({ code: 'ics.bad_url', field: 'url' });
  });
});

describe('a feed that is read again', () => {
  it('costs a 304 when nothing changed', async () => {
    const feed = await serve({ body: calendar(event('a')), headers: { ETag: '"1"', 'Last-Modified': 'then' } });
    const source = sourceOf(feed.url);
    const { cursor } = await readRound(source);

    const again = await readRound(source, cursor);

    expect(again).toMatchObject({ claims: [], stale: [], cursor, requests: 1 });
    expect(feed.seen[1]?.headers).toMatchObject({ 'if-none-match': '"1"', 'if-modified-since': 'then' });
  });

  it('says nothing when only the time stamps of making are new', async () => {
    const feed = await serve(calendar(event('a')));
    const source = sourceOf(feed.url);
    const { cursor } = await readRound(source);
    feed.answer = calendar(event('a')).replace('DTSTAMP:20260101T', 'DTSTAMP:20260202T');

    expect(await readRound(source, cursor)).toMatchObject({ claims: [], stale: [] });
  });

  it('suspects what is missing, and proves it by an answer of its own', async () => {
    const feed = await serve(calendar(event('a'), event('b'), event('c'), event('d')));
    const source = sourceOf(feed.url);
    const { claims, cursor } = await readRound(source);
    feed.answer = calendar(event('b', 'B'));

    const { claims: changed, stale, cursor: next } = await readRound(source, cursor);
    feed.answer = calendar(event('a', 'back'), event('b', 'B'));
    feed.seen.length = 0;
    const [a, c, d] = await Promise.all(['a', 'c', 'd'].map((title) => rebuild(source, keyOf(claims, title))));

    expect(titles(changed)).toEqual(['B']);
    expect(stale.map(({ key, why }) => [key, why]).sort()).toEqual(
      ['a', 'c', 'd'].map((title) => [keyOf(claims, title), 'removed']).sort(),
    );
    expect(a).toMatchObject({ kind: 'series', claims: [{ key: keyOf(claims, 'a') }] });
    expect([c?.kind, d?.kind]).toEqual(['gone', 'gone']);
    expect(feed.seen).toHaveLength(1);
    expect((await readRound(source, next)).stale).toEqual([]);
  });

  it('proves by a new answer after a minute, and after each reading', async () => {
    let now = Date.parse('2026-11-22T12:00:00Z');
    const feed = await serve(calendar(event('a')));
    const source = sourceOf(feed.url, { clock: { now: () => new Date(now) } });
    const { claims, cursor } = await readRound(source);
    const key = keyOf(claims, 'a');
    const asked: number[] = [];
    const look = async (): Promise<string> => {
      const { kind } = await rebuild(source, key);
      asked.push(feed.seen.length);
      return kind;
    };

    await look();
    feed.answer = calendar(event('b'));
    const within = await look();
    now += 61_000;
    const later = await look();
    feed.answer = calendar(event('a', 'again'));
    await readRound(source, cursor);
    const afterReading = await look();

    expect([within, later, afterReading]).toEqual(['series', 'gone', 'series']);
    expect(asked).toEqual([2, 2, 3, 5]);
  });

  it('claims only what changed', async () => {
    const feed = await serve(calendar(event('a'), event('b'), event('c')));
    const source = sourceOf(feed.url);
    const { cursor } = await readRound(source);
    feed.answer = calendar(event('a'), event('b', 'B'), event('c', 'c', 'LAST-MODIFIED:20260202T000000Z'), event('d'));

    expect(titles((await readRound(source, cursor)).claims).sort()).toEqual(['B', 'd']);
  });

  it('claims an event that moved out of the window, and misses it when it goes', async () => {
    const feed = await serve(calendar(event('a'), event('b')));
    const source = sourceOf(feed.url);
    const { claims, cursor } = await readRound(source);
    feed.answer = calendar(old('a'), event('b'));
    const moved = await readRound(source, cursor);
    feed.answer = calendar(event('b'));
    const gone = await readRound(source, moved.cursor);

    expect(titles(moved.claims)).toEqual(['a']);
    expect(gone.stale).toEqual([{ key: keyOf(claims, 'a'), why: 'removed' }]);
  });

  it('keeps an event that it cannot read any more', async () => {
    const feed = await serve(calendar(event('a'), event('b')));
    const source = sourceOf(feed.url);
    const { claims, cursor } = await readRound(source);
    const key = keyOf(claims, 'a');
    feed.answer = calendar(
      event('a').map((line) => line.replace(/^DTSTART.*/, 'DTSTART:soon')),
      event('b', 'B'),
    );
    const broken = await readRound(source, cursor);
    const rebuilt = await rebuild(source, key);
    feed.answer = calendar(event('b'));
    const gone = await readRound(source, broken.cursor);

    expect(broken.stale).toEqual([{ key, why: 'unreadable' }]);
    expect(rebuilt).toMatchObject({ kind: 'unmappable', code: 'ical.start_missing' });
    expect(gone.stale).toEqual([{ key, why: 'removed' }]);
  });

  it('goes on where it was when the process died, from the start when the feed changed', async () => {
    const many = Array.from({ length: 1_200 }, (_, index) => event(`e${index}`));
    const feed = await serve(calendar(...many));
    const first = await readPage(sourceOf(feed.url), null);

    const same = await readRound(sourceOf(feed.url), first.cursor);
    feed.answer = calendar(...many, event('new'));
    const changed = await readRound(sourceOf(feed.url), first.cursor);

    expect([first.claims.length, first.isLast]).toEqual([500, false]);
    expect([same.claims.length, same.requests]).toEqual([700, 1]);
    expect(changed.claims).toHaveLength(1_201);
  });

  it('asks for a full reading when the cursor is of another version', async () => {
    const { url } = await serve(calendar(event('a')));

    await expect(readPage(sourceOf(url), '{}')).rejects.toMatchObject({
      code: 'ics.cursor_invalid',
      recovery: { kind: 'reread' },
    });
  });
});

describe('an answer that is no whole calendar removes nothing', () => {
  const whole = calendar(event('a'), event('b'));
  it.each<[string, string | Answer, string, string]>([
    ['empty', '', 'ics.empty', 'retry'],
    [
      'a web page',
      { body: '<!doctype html><p>Sign in', headers: { 'Content-Type': 'text/html' } },
      'ics.not_a_calendar',
      'retry',
    ],
    ['XML', '<?xml version="1.0"?><error/>', 'ics.not_a_calendar', 'retry'],
    ['a compressed file', { body: gzipSync(whole) }, 'ics.not_a_calendar', 'retry'],
    ['cut off between events', whole.slice(0, whole.lastIndexOf('BEGIN:VEVENT')), 'ics.truncated', 'retry'],
    ['cut off in its second calendar', whole + whole.slice(0, 60), 'ics.truncated', 'retry'],
    ['204', { status: 204 }, 'ics.not_a_calendar', 'retry'],
    ['a 304 that nobody asked for', { status: 304 }, 'ics.not_a_calendar', 'retry'],
    ['401', { status: 401 }, 'ics.unauthorized', 'operator'],
    ['403', { status: 403 }, 'ics.unauthorized', 'operator'],
    ['404', { status: 404 }, 'ics.not_found', 'operator'],
    ['410', { status: 410 }, 'ics.not_found', 'operator'],
    ['400', { status: 400 }, 'ics.refused', 'operator'],
    ['500', { status: 500 }, 'ics.server_error', 'retry'],
  ])('%s', async (_what, answer, code, recovery) => {
    const feed = await serve(calendar(event('a')));
    const source = sourceOf(feed.url);
    const { claims } = await readRound(source);
    feed.answer = answer;

    await expect(readPage(source, null)).rejects.toMatchObject({ code, recovery: { kind: recovery } });
    await expect(rebuild(source, keyOf(claims, 'a'))).rejects.toMatchObject({ code });
  });

  it('larger than allowed, without reading it to its end', async () => {
    const feed = await serve((_path, response) => {
      response.writeHead(200).write('BEGIN:VCALENDAR\r\n'.repeat(10_000));
    });

    await expect(readPage(sourceOf(feed.url, { maxBytes: 65_536 }), null)).rejects.toMatchObject({
      code: 'ics.too_large',
      recovery: { kind: 'operator' },
    });
  });

  it('small when compressed and larger than allowed when not', async () => {
    const body = gzipSync(Buffer.alloc(1_000_000, 'A'));
    const { url } = await serve({ body, headers: { 'Content-Encoding': 'gzip' } });

    await expect(readPage(sourceOf(url, { maxBytes: 65_536 }), null)).rejects.toMatchObject({ code: 'ics.too_large' });
  });

  it('too slow to come to its end', async () => {
    const feed = await serve((_path, response) => {
      response.writeHead(200).write('BEGIN:VCALENDAR\r\n');
    });

    await expect(readPage(sourceOf(feed.url, { timeoutMs: 100 }), null)).rejects.toMatchObject({
      code: 'ics.timeout',
      recovery: { kind: 'retry' },
    });
  });

  it('broken off before its announced length', async () => {
    const feed = await serve((_path, response) => {
      response.writeHead(200, { 'Content-Length': '5000' }).write(whole, () => response.destroy());
    });

    await expect(readPage(sourceOf(feed.url), null)).rejects.toMatchObject({ code: 'ics.unreachable' });
  });

  it('503 with the time to wait for', async () => {
    const { url } = await serve({ status: 503, headers: { 'Retry-After': '90.5' } });
    const clock = { now: () => new Date('2026-11-22T12:00:00Z') };

    await expect(readPage(sourceOf(url, { clock }), null)).rejects.toMatchObject({
      code: 'ics.busy',
      recovery: { kind: 'retry', notBefore: new Date('2026-11-22T12:01:30.500Z') },
    });
  });
});

describe('a feed that redirects', () => {
  const redirectTo = (location: string): Answer => ({ status: 302, headers: { Location: location } });

  it('is followed on the open Internet, without its password', async () => {
    const target = await serve(calendar(event('a')));
    const feed = await serve(redirectTo('http://cdn.example/x.ics'));
    const source = sourceOf('http://me:pass@feeds.example/a.ics', {
      ...internet(['feeds.example', feed], ['cdn.example', target]),
    });

    const { claims, requests } = await readRound(source);

    expect([titles(claims), requests]).toEqual([['a'], 2]);
    expect(feed.seen[0]?.headers.authorization).toBeDefined();
    expect(target.seen[0]?.headers.authorization).toBeUndefined();
  });

  it.each([
    ['this machine', 'http://127.0.0.1/latest'],
    ['this machine by IPv6', 'http://[::1]/latest'],
    ['this machine as IPv4 in IPv6', 'http://[::ffff:127.0.0.1]/latest'],
    ['this machine in another notation', 'http://2130706433/latest'],
    ["a cloud's metadata", 'http://169.254.169.254/latest'],
    ['a neighbour', 'http://192.168.1.1/latest'],
    ['a name that stands for a neighbour', 'http://intranet.example/latest'],
    ['a file', 'file:///etc/passwd'],
  ])('is not followed to %s', async (_where, location) => {
    const feed = await serve(redirectTo(location));
    const source = sourceOf('http://feeds.example/a.ics', internet(['feeds.example', feed]));

    await expect(readPage(source, null)).rejects.toMatchObject({
      code: 'ics.refused_address',
      recovery: { kind: 'operator' },
    });
    expect(feed.seen).toHaveLength(1);
  });

  it('is not followed from https to http', async () => {
    const feed = await serve(redirectTo('http://feeds.example/a.ics'));
    const source = sourceOf('https://feeds.example/a.ics', internet(['feeds.example', feed]));

    await expect(readPage(source, null)).rejects.toMatchObject({ code: 'ics.refused_address' });
  });

  it('is followed within the inner network when the feed is there itself', async () => {
    const target = await serve(calendar(event('a')));
    const feed = await serve(redirectTo(target.url));

    expect(titles((await readRound(sourceOf(feed.url))).claims)).toEqual(['a']);
  });

  it('is given up when it goes round in circles', async () => {
    const feed = await serve(redirectTo('/again'));

    await expect(readPage(sourceOf(feed.url), null)).rejects.toMatchObject({ code: 'ics.redirects' });
    expect(feed.seen).toHaveLength(6);
  });
});

describe('what an error says', () => {
  it.each<[string, FeedServer['answer']]>([
    ['404', { status: 404 }],
    ['a page', '<html>'],
    ['a redirect', { status: 302, headers: { Location: 'ftp://elsewhere.example/private-secret' } }],
    ['a reset', (_path, response) => response.destroy()],
  ])('names the host and never the secret of the URL (%s)', async (_what, answer) => {
    const { url } = await serve(answer);

    const error: unknown = await readPage(sourceOf(url), null).catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(Error);
    const { message, cause, recovery } = error as Error & { recovery: unknown };
    expect(message).toContain(new URL(url).host);
    expect(message + String(cause) + JSON.stringify(recovery)).not.toContain('secret');
  });
});

describe('a public address', () => {
  it.each(['8.8.8.8', '172.32.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])('is %s', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  it.each([
    '0.0.0.0',
    '10.0.0.1',
    '100.64.0.1',
    '127.8.8.8',
    '169.254.169.254',
    '172.31.255.255',
    '192.168.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
    'fd00::1',
    'fe80::1',
    'ff02::1',
    'localhost',
    '',
  ])('is not "%s"', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});
