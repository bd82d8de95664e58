import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { openCalDav } from '../../../src/dav/calendar-client.ts';
import {
  caldavSource,
  type CalDavCalendarSource,
  type CalDavSourceOptions,
} from '../../../src/sources/caldav/caldav-source.ts';
import { eventText } from '../../support/caldav/event.ts';
import { type CalDavServer, type CalDavServerOptions, startCalDavServer } from '../../support/caldav/server.ts';
import { Mirror } from './mirror.ts';
import { readPage, readRound, rebuild, titles } from './reader.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

async function serve(options: CalDavServerOptions = {}): Promise<CalDavServer> {
  const server = await startCalDavServer(options);
  open.push(server);
  return server;
}

/** A calendar as its owner would make it. */
async function makeCalendar(server: CalDavServer, segment: string, displayName: string): Promise<void> {
  const dav = openCalDav({ url: server.url, username: 'alice', password: 'secret' });
  open.push(dav);
  await dav.makeCalendar(segment, { displayName, color: null });
}

function sourceOf(server: { url: string }, options: Partial<CalDavSourceOptions> = {}): CalDavCalendarSource {
  const source = caldavSource({
    account: { url: server.url, username: 'alice', password: 'secret' },
    calendar: 'default',
    isOurs: (uid) => uid.endsWith('@here.calendar-sync'),
    ...options,
  });
  open.push(source);
  return source;
}

/** A calendar of events named by their titles, and a source that has read it. */
async function aReadCalendar(
  events: Record<string, string>,
  options: CalDavServerOptions = {},
): Promise<{ server: CalDavServer; source: CalDavCalendarSource; cursor: string }> {
  const server = await serve(options);
  for (const [name, text] of Object.entries(events)) server.store('alice', 'default', name, text);
  const source = sourceOf(server);
  const { cursor } = await readRound(source);
  server.forget();
  return { server, source, cursor };
}

const event = (title: string, uid = title): string => eventText(uid, `SUMMARY:${title}`);
const calendar = (...lines: string[]): string =>
  ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//test//EN', ...lines, 'END:VCALENDAR', ''].join('\r\n');
const exception = (uid: string, day: string, title: string): string[] => [
  'BEGIN:VEVENT',
  `UID:${uid}`,
  'DTSTAMP:20260101T000000Z',
  `RECURRENCE-ID:202701${day}T100000Z`,
  `DTSTART:202701${day}T120000Z`,
  `DTEND:202701${day}T130000Z`,
  `SUMMARY:${title}`,
  'END:VEVENT',
];
const yearsAgo = (title: string): string => event(title).replaceAll('20270101T', '20150101T');
const unreadable = event('broken').replace('DTSTART:20270101T100000Z', 'DTSTART:soon');
const task = calendar('BEGIN:VTODO', 'UID:task', 'DTSTAMP:20260101T000000Z', 'SUMMARY:Task', 'END:VTODO');
const noSync = { on: 'REPORT', times: 1_000, match: isSync, how: { status: 403 } } as const;
function isSync({ body }: { body: string }): boolean {
  return body.includes('sync-collection');
}

describe('the calendar that is meant', () => {
  it.each([
    ['its display name', 'Team Plan'],
    ['its display name in other case', 'team plan'],
    ['the last segment of its path', 'work'],
    ['its path', '/dav.php/calendars/alice/work'],
  ])('is found by %s', async (_by, wanted) => {
    const server = await serve();
    await makeCalendar(server, 'work', 'Team Plan');

    const found = await sourceOf(server, { calendar: wanted }).probeCalendar();

    expect(found).toEqual({ href: '/dav.php/calendars/alice/work/', name: 'Team Plan' });
  });

  it('is named with the others when there is none of that name', async () => {
    const server = await serve();

    await expect(sourceOf(server, { calendar: 'Home' }).probeCalendar()).rejects.toMatchObject({
      code: 'caldav.calendar_not_found',
      field: 'calendar',
      recovery: { kind: 'operator', remedy: expect.stringContaining('"Default calendar"') },
    });
  });

  it('must be told by path when two have the name', async () => {
    const server = await serve();
    await makeCalendar(server, 'a', 'Home');
    await makeCalendar(server, 'b', 'Home');

    await expect(sourceOf(server, { calendar: 'Home' }).probeCalendar()).rejects.toMatchObject({
      code: 'caldav.calendar_ambiguous',
    });
  });

  it('is never asked for on another server', async () => {
    const server = await serve();

    await expect(
      sourceOf(server, { calendar: 'https://elsewhere.example/cal/' }).probeCalendar(),
    ).rejects.toMatchObject({ code: 'caldav.calendar_elsewhere' });
  });
});

describe('a first reading', () => {
  it('claims what is in the window by the names of its resources, and nothing else', async () => {
    const server = await serve();
    server.store('alice', 'default', 'b.ics', event('B'));
    server.store('alice', 'default', 'a name.ics', event('A'));
    server.store('alice', 'default', 'old.ics', yearsAgo('Old'));
    server.store('alice', 'default', 'task.ics', task);

    const { claims, stale } = await readRound(sourceOf(server));

    expect(claims.map(({ key, version }) => [key, typeof version])).toEqual([
      ['a%20name.ics', 'string'],
      ['b.ics', 'string'],
    ]);
    expect(stale).toEqual([]);
  });

  it('goes on where it was when the process died between two pages', async () => {
    const server = await serve();
    for (let index = 0; index < 150; index += 1)
      server.store('alice', 'default', `${String(index).padStart(3, '0')}.ics`, event(`E${index}`));
    const first = await readPage(sourceOf(server), null);
    server.store('alice', 'default', '000a.ics', event('came meanwhile'));

    const another = sourceOf(server);
    const rest = await readRound(another, first.cursor);
    const delta = await readRound(another, rest.cursor);

    expect([first.isLast, first.claims.length, rest.claims.length]).toEqual([false, 100, 50]);
    expect(titles(delta.claims)).toEqual(['came meanwhile']);
  });

  it('lists the calendar once however many pages it has', async () => {
    const server = await serve();
    for (let index = 0; index < 250; index += 1) server.store('alice', 'default', `${index}.ics`, event(`E${index}`));

    const { pages } = await readRound(sourceOf(server));

    expect(pages).toHaveLength(3);
    expect(server.requests.filter(isSync)).toHaveLength(1);
  });

  it('never reads what bears our own mark', async () => {
    const server = await serve();
    server.store('alice', 'default', 'ours.ics', event('Mirrored', 'abc@here.calendar-sync'));
    server.store('alice', 'default', 'theirs.ics', event('Theirs', 'abc@there.calendar-sync'));
    const source = sourceOf(server);

    const { claims } = await readRound(source);

    expect(titles(claims)).toEqual(['Theirs']);
    expect(await rebuild(source, 'ours.ics')).toMatchObject({ kind: 'gone' });
  });

  it('knows the owner among the attendees, and cleans the UID that Exchange gave', async () => {
    const outlook = '040000008200E00074C5B7101A82E00807EA050C0000000000000000000000000000000000000000';
    const invitation = eventText(
      outlook,
      'ORGANIZER:mailto:boss@example.org',
      'ATTENDEE;PARTSTAT=DECLINED:mailto:Alice@example.org',
    );
    const server = await serve();
    server.store('alice', 'default', 'a.ics', invitation);

    const { claims } = await readRound(sourceOf(server));

    expect(claims[0]?.series.main.answer).toBe('declined');
    expect(claims[0]?.series.uid).toBe(outlook.replace('07EA050C', '00000000'));
  });
});

describe('a delta', () => {
  it('costs one request when nothing changed, and says nothing', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') });

    const round = await readRound(source, cursor);

    expect(round).toMatchObject({ claims: [], stale: [], cursor, requests: 1 });
    expect(server.requests).toHaveLength(1);
  });

  it('claims what was added and changed, and only suspects what was removed', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A'), 'b.ics': event('B') });
    server.store('alice', 'default', 'a.ics', event('A2', 'A'));
    server.store('alice', 'default', 'c.ics', event('C'));
    server.discard('alice', 'default', 'b.ics');

    const { claims, stale } = await readRound(source, cursor);

    expect(titles(claims)).toEqual(['A2', 'C']);
    expect(stale).toEqual([{ key: 'b.ics', why: 'removed' }]);
    expect(await rebuild(source, 'b.ics')).toMatchObject({ kind: 'gone' });
    expect(await rebuild(source, 'a.ics')).toMatchObject({ kind: 'series', claims: [{ key: 'a.ics' }] });
  });

  it('claims an event that moved out of the window', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') });
    server.store('alice', 'default', 'a.ics', yearsAgo('A'));

    expect(titles((await readRound(source, cursor)).claims)).toEqual(['A']);
  });

  it('tells a moved resource by both its names', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') });
    server.discard('alice', 'default', 'a.ics');
    server.store('alice', 'default', 'z.ics', event('A'));

    const { claims, stale } = await readRound(source, cursor);

    expect(claims.map(({ key }) => key)).toEqual(['z.ics']);
    expect(stale).toEqual([{ key: 'a.ics', why: 'removed' }]);
  });

  it('goes on with removals told once when it breaks off among many changes', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'gone.ics': event('Gone') });
    server.discard('alice', 'default', 'gone.ics');
    for (let index = 0; index < 120; index += 1)
      server.store('alice', 'default', `${String(index).padStart(3, '0')}.ics`, event(`E${index}`));
    const first = await readPage(source, cursor);
    server.store('alice', 'default', '000.ics', event('changed meanwhile', 'E0'));

    const another = sourceOf(server);
    const rest = await readRound(another, first.cursor);
    const next = await readRound(another, rest.cursor);

    expect(first).toMatchObject({ isLast: false, stale: [{ key: 'gone.ics', why: 'removed' }] });
    expect(rest).toMatchObject({ stale: [] });
    expect(rest.claims).toHaveLength(20);
    expect(titles(next.claims)).toEqual(['changed meanwhile']);
  });

  it('is given up for a full reading when the server made the calendar anew', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A'), 'b.ics': event('B') });
    server.dropCalendar('alice', 'default');
    server.makeCalendar('alice', 'default');

    await expect(readPage(source, cursor)).rejects.toMatchObject({
      code: 'dav.sync_token_stale',
      recovery: { kind: 'reread' },
    });
  });

  it('is given up for a full reading when the server refuses the token', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') }, { isSabre: false });
    server.store('alice', 'default', 'b.ics', event('B'));
    server.fail({ on: 'REPORT', match: isSync, how: { status: 400 } });

    await expect(readPage(source, cursor)).rejects.toMatchObject({
      code: 'dav.sync_token_invalid',
      recovery: { kind: 'reread' },
    });
  });

  it('is given up for a full reading when the calendar has another path now', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') });
    server.dropCalendar('alice', 'default');
    await makeCalendar(server, 'other', 'default');

    await expect(readPage(source, cursor)).rejects.toMatchObject({
      code: 'caldav.calendar_moved',
      recovery: { kind: 'reread' },
    });
  });

  it('asks for a full reading when the cursor is of another version', async () => {
    const server = await serve();

    await expect(readPage(sourceOf(server), '{"by":"token"}')).rejects.toMatchObject({
      code: 'caldav.cursor_invalid',
      recovery: { kind: 'reread' },
    });
  });
});

describe('a listing that names the calendar itself', () => {
  it('is read without it, whatever host it is said to be on', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') });
    server.store('alice', 'default', 'b.ics', event('B'));
    const hrefs = ['https://p42.example/dav.php/calendars/alice/default/', '/dav.php/calendars/alice/default/b.ics'];
    const responses = hrefs.map(
      (href) =>
        `<d:response><d:href>${href}</d:href><d:propstat><d:prop><d:getetag>"1"</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>`,
    );
    server.fail({
      on: 'REPORT',
      match: isSync,
      how: {
        status: 207,
        headers: { 'X-Sabre-Version': '4.7.1', 'Content-Type': 'application/xml' },
        body: `<d:multistatus xmlns:d="DAV:">${responses.join('')}<d:sync-token>http://sabre.io/ns/sync/3</d:sync-token></d:multistatus>`,
      },
    });

    const { claims, stale } = await readRound(source, cursor);

    expect([titles(claims), stale]).toEqual([['B'], []]);
  });
});

describe('what is not there is believed only of a healthy server', () => {
  it.each([
    ['an outage that answers 200 with a page', (server: CalDavServer) => server.maintain('html-200'), 'dav.not_ready'],
    [
      'an upgrade that redirects to the installer',
      (server: CalDavServer) => server.maintain('redirect-install'),
      'dav.not_ready',
    ],
    ['a calendar that is gone', (server: CalDavServer) => server.dropCalendar('alice', 'default'), 'dav.calendar_gone'],
    ['CalDAV switched off', (server: CalDavServer) => server.switchCalDav(false), 'dav.caldav_off'],
  ])('%s', async (_name, harm, code) => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') });
    harm(server);

    await expect(readPage(source, cursor)).rejects.toMatchObject({ code });
    await expect(rebuild(source, 'a.ics')).rejects.toMatchObject({ code });
  });

  it('refuses a listing of another calendar', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') });
    server.store('alice', 'default', 'b.ics', event('B'));
    const response =
      '<d:response><d:href>/dav.php/calendars/alice/other/a.ics</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>';
    server.fail({
      on: 'REPORT',
      match: isSync,
      how: {
        status: 207,
        headers: { 'X-Sabre-Version': '4.7.1', 'Content-Type': 'application/xml' },
        body: `<d:multistatus xmlns:d="DAV:">${response}<d:sync-token>http://sabre.io/ns/sync/3</d:sync-token></d:multistatus>`,
      },
    });

    await expect(readPage(source, cursor)).rejects.toMatchObject({
      code: 'caldav.other_calendar',
      recovery: { kind: 'retry' },
    });
  });
});

describe('a resource that cannot be read', () => {
  it.each([
    ['without a date for its start', unreadable, 'ical.start_missing'],
    ['that is no calendar', 'BEGIN:VCARD\r\nEND:VCARD\r\n', 'caldav.resource_cut'],
    ['that is cut off', event('A').slice(0, -20), 'caldav.resource_cut'],
  ])('%s stops nothing else, and is neither claimed nor gone', async (_what, text, code) => {
    const { server, source, cursor } = await aReadCalendar({ 'a.ics': event('A') });
    server.store('alice', 'default', 'a.ics', text);
    server.store('alice', 'default', 'b.ics', event('B'));

    const { claims, stale } = await readRound(source, cursor);

    expect(titles(claims)).toEqual(['B']);
    expect(stale).toEqual([{ key: 'a.ics', why: 'unreadable' }]);
    expect(await rebuild(source, 'a.ics')).toMatchObject({ kind: 'unmappable', code });
  });

  it('stands alone when the server chokes on it', async () => {
    const server = await serve();
    server.store('alice', 'default', 'a.ics', event('A'));
    server.store('alice', 'default', 'poison.ics', event('Poison'));
    server.fail({ on: 'REPORT', match: ({ body }) => body.includes('multiget'), how: '500-not-stored' });
    const source = sourceOf(server);

    const { stale } = await readRound(source);

    expect(stale).toEqual([
      { key: 'a.ics', why: 'thin' },
      { key: 'poison.ics', why: 'thin' },
    ]);
    expect(await rebuild(source, 'a.ics')).toMatchObject({ kind: 'series' });
  });

  it('stands alone when we may not read it', async () => {
    const { server, source } = await aReadCalendar({ 'a.ics': event('A') }, { isSabre: false });
    server.fail({ on: 'GET', how: { status: 403 } });

    expect(await rebuild(source, 'a.ics')).toMatchObject({ kind: 'unmappable', code: 'dav.forbidden' });
  });
});

describe('a resource of several series', () => {
  const dates = calendar(...exception('weekly', '08', 'First'), ...exception('weekly', '15', 'Second'));
  const keys = ['dates.ics#2027-01-08T10:00:00Z', 'dates.ics#2027-01-15T10:00:00Z'] as const;

  it('has a key for each exception without a master', async () => {
    const server = await serve();
    server.store('alice', 'default', 'dates.ics', dates);
    const source = sourceOf(server);

    const { claims } = await readRound(source);

    expect(claims.map(({ key, series }) => [key, series.slot, series.main.summary])).toEqual([
      [keys[0], '2027-01-08T10:00:00Z', 'First'],
      [keys[1], '2027-01-15T10:00:00Z', 'Second'],
    ]);
    expect(await rebuild(source, keys[1])).toMatchObject({ claims: [{ key: keys[0] }, { key: keys[1] }] });
  });

  it('loses one of them alone, and all with the resource', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'dates.ics': dates });
    server.store('alice', 'default', 'dates.ics', calendar(...exception('weekly', '08', 'First')));
    const one = await readRound(source, cursor);
    const rebuilt = await rebuild(source, keys[1]);
    server.discard('alice', 'default', 'dates.ics');
    const all = await readRound(source, one.cursor);

    expect(one.stale).toEqual([{ key: keys[1], why: 'removed' }]);
    expect(rebuilt).toMatchObject({ kind: 'series', claims: [{ key: keys[0] }] });
    expect(all.stale).toEqual([{ key: keys[0], why: 'removed' }]);
  });

  it('does not lose one that cannot be read', async () => {
    const { server, source, cursor } = await aReadCalendar({ 'dates.ics': dates });
    server.store('alice', 'default', 'dates.ics', dates.replace('DTSTART:20270115T120000Z', 'DTSTART:soon'));

    expect((await readRound(source, cursor)).stale).toEqual([{ key: keys[1], why: 'unreadable' }]);
    expect(await rebuild(source, keys[1])).toMatchObject({ kind: 'unmappable', code: 'ical.start_missing' });
  });
});

describe('a server without sync-collection', () => {
  async function anOldServer(count: number): Promise<{ server: CalDavServer; source: CalDavCalendarSource }> {
    const server = await serve({ isSabre: false });
    server.fail(noSync);
    for (let index = 0; index < count; index += 1) {
      const name = String(index).padStart(3, '0');
      server.store('alice', 'default', `${name}.ics`, event(`E${index}`));
    }
    return { server, source: sourceOf(server) };
  }
  const listings = (server: CalDavServer): number =>
    server.requests.filter(({ method, path, headers }) => {
      return method === 'PROPFIND' && headers['depth'] === '1' && path.endsWith('/default/');
    }).length;

  it('is not listed while its ctag is the same', async () => {
    const { server, source } = await anOldServer(3);
    const first = await readRound(source);
    server.forget();

    const second = await readRound(source, first.cursor);

    expect(titles(first.claims)).toEqual(['E0', 'E1', 'E2']);
    expect(second).toMatchObject({ claims: [], stale: [], cursor: first.cursor });
    expect(listings(server)).toBe(0);
  });

  it('tells changes and removals by the etags that the cursor carries', async () => {
    const { server, source } = await anOldServer(3);
    const { cursor } = await readRound(source);
    server.store('alice', 'default', '001.ics', event('changed', 'E1'));
    server.discard('alice', 'default', '002.ics');

    const { claims, stale, cursor: next } = await readRound(source, cursor);

    expect(titles(claims)).toEqual(['changed']);
    expect(stale).toEqual([{ key: '002.ics', why: 'removed' }]);
    expect(await readRound(source, next)).toMatchObject({ claims: [], stale: [] });
  });

  it('goes on where it was when the process died between two pages', async () => {
    const { server, source } = await anOldServer(130);
    const first = await readPage(source, null);
    server.store('alice', 'default', '000.ics', event('changed meanwhile', 'E0'));

    const rest = await readRound(sourceOf(server), first.cursor);

    expect([first.claims.length, rest.claims.length]).toEqual([100, 31]);
    expect(titles(rest.claims)[0]).toBe('changed meanwhile');
  });
});

describe('a server that names no etags', () => {
  it('is read again whenever its ctag has changed', async () => {
    const behind = await serve({ isSabre: false });
    behind.fail(noSync);
    behind.store('alice', 'default', 'a.ics', event('A'));
    behind.store('alice', 'default', 'b.ics', event('B'));
    const withoutEtags: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      const body = (await response.text()).replace(/<d:getetag>[^<]*<\/d:getetag>/g, '');
      return new Response(body, { status: response.status, headers: response.headers });
    };
    const source = sourceOf(behind, { fetch: withoutEtags });
    const first = await readRound(source);
    const quiet = await readRound(source, first.cursor);
    behind.store('alice', 'default', 'a.ics', event('changed', 'A'));

    const { claims } = await readRound(source, quiet.cursor);

    expect([titles(first.claims), titles(quiet.claims), titles(claims)]).toEqual([['A', 'B'], [], ['changed', 'B']]);
  });
});

describe('an account whose calendars are on other hosts', () => {
  it('is followed there by redirect, with its password, and keyed by name alone', async () => {
    const behind = await serve();
    behind.store('alice', 'default', 'a.ics', event('A'));
    const front = await redirectingToPartition();
    // Hosts as Apple's, led to this machine.
    const hosts: Record<string, string> = { 'caldav.icloud.com': front, 'p42-caldav.icloud.com': behind.url };
    const asked: string[] = [];
    const toLocal: typeof fetch = (input, init) => {
      const url = new URL(input);
      asked.push(url.hostname);
      return fetch(new URL(`${url.pathname}${url.search}`, hosts[url.hostname]), init);
    };
    const source = sourceOf({ url: 'https://caldav.icloud.com/' }, { fetch: toLocal });

    const { claims, cursor } = await readRound(source);
    behind.discard('alice', 'default', 'a.ics');
    const { stale } = await readRound(source, cursor);

    expect(claims.map(({ key }) => key)).toEqual(['a.ics']);
    expect(stale).toEqual([{ key: 'a.ics', why: 'removed' }]);
    expect(await rebuild(source, 'a.ics')).toMatchObject({ kind: 'gone' });
    expect(asked.filter((host) => host === 'p42-caldav.icloud.com').length).toBeGreaterThan(3);
  });

  async function redirectingToPartition(): Promise<string> {
    const server: Server = createServer((request, response) => {
      request.resume().on('end', () => {
        response.writeHead(301, { Location: `https://p42-caldav.icloud.com/dav.php${request.url ?? ''}` }).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push({
      close: () => {
        server.closeAllConnections();
        return new Promise((resolve) => server.close(resolve));
      },
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }
});

describe('any history', () => {
  type Step =
    | { readonly do: 'whole'; readonly file: string }
    | { readonly do: 'dates'; readonly file: string; readonly days: readonly string[] }
    | { readonly do: 'task'; readonly file: string }
    | { readonly do: 'broken'; readonly file: string }
    | { readonly do: 'remove'; readonly file: string }
    | { readonly do: 'many' }
    | { readonly do: 'full' }
    | { readonly do: 'read'; readonly maxPages: number; readonly isNewProcess: boolean };
  const file = fc.constantFrom('a.ics', 'b.ics', 'c.ics');
  const days = fc.subarray(['08', '15', '22'], { minLength: 1 });
  const maxPages = fc.constantFrom(1, 9);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 2, arbitrary: fc.record({ do: fc.constant('whole'), file }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('dates'), file, days }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('task'), file }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('broken'), file }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('remove'), file }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('many') }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('full') }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('read'), maxPages, isNewProcess: fc.boolean() }) },
  );

  it.each([
    ['by sync token', true],
    ['by etags', false],
  ])(
    'ends with what the calendar shows (%s)',
    async (_how, hasSync) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
          const server = await startCalDavServer({ isSabre: false });
          if (!hasSync) server.fail({ ...noSync, times: 100_000 });
          const sources = [sourceOf(server)];
          const truth = new Map<string, readonly string[]>();
          const mirror = new Mirror();
          let version = 0;
          const put = (file: string, text: string, keys: readonly string[]): void => {
            server.store('alice', 'default', file, text);
            truth.set(file, keys);
          };
          const perform = async (one: Step): Promise<void> => {
            const title = `v${(version += 1)}`;
            switch (one.do) {
              case 'whole':
                return put(one.file, event(title, `u-${one.file}`), [`${one.file} ${title}`]);
              case 'dates': {
                const text = calendar(...one.days.flatMap((day) => exception(`u-${one.file}`, day, title)));
                const keys = one.days.map((day) => `${one.file}#2027-01-${day}T10:00:00Z ${title}`);
                return put(one.file, text, keys);
              }
              case 'task':
                return put(one.file, task.replace('task', title), []);
              case 'broken':
                return put(one.file, unreadable.replace('broken', title), ['?']);
              case 'remove':
                server.discard('alice', 'default', one.file);
                return void truth.delete(one.file);
              case 'many':
                for (let index = 0; index < 105; index += 1)
                  put(`m${index}.ics`, event(title, `m${index}`), [`m${index}.ics ${title}`]);
                return;
              case 'full':
                return mirror.forget();
              case 'read':
                if (one.isNewProcess) sources.push(sourceOf(server));
                return mirror.read(sources.at(-1) ?? sourceOf(server), one.maxPages);
            }
          };
          try {
            for (const one of steps) await perform(one);
            const last = sourceOf(server);
            sources.push(last);
            await mirror.read(last);
            await mirror.read(last);

            const isBroken = (key: string): boolean => truth.get(key.replace(/#.*/, ''))?.[0] === '?';
            const shown = [...mirror.shown].filter(([key]) => !isBroken(key)).map(([key, text]) => `${key} ${text}`);
            const wanted = [...truth.values()].flat().filter((line) => line !== '?');
            expect(shown.sort()).toEqual(wanted.sort());
          } finally {
            for (const source of sources) await source.close();
            await server.close();
          }
        }),
        { numRuns: 20 },
      );
    },
    60_000,
  );
});
