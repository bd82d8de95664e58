/**
 * Other people's CalDAV servers as sources. SOURCE_SERVERS names them, `[{"name", "url", "username", "password"}]`;
 * test/system/sources.sh starts what Debian has, and vdirsyncer besides.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openCalDav, type CalDav } from '../../src/dav/calendar-client.ts';
import { caldavSource, type CalDavCalendarSource } from '../../src/sources/caldav/caldav-source.ts';
import { Mirror } from '../sources/caldav/mirror.ts';
import { readRound } from '../sources/caldav/reader.ts';
import { eventText } from '../support/caldav/event.ts';
import { startCalDavServer, type CalDavServer } from '../support/caldav/server.ts';

interface Account {
  readonly name: string;
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

const servers = JSON.parse(process.env['SOURCE_SERVERS'] ?? '[]') as Account[];
const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
});

const event = (title: string, uid: string, ...lines: string[]): string => eventText(uid, `SUMMARY:${title}`, ...lines);
const series = (title: string, uid: string): string =>
  event(title, uid, 'RRULE:FREQ=WEEKLY;COUNT=5', 'EXDATE:20270108T100000Z').replace(
    'END:VCALENDAR',
    [
      'BEGIN:VEVENT',
      `UID:${uid}`,
      'DTSTAMP:20260101T000000Z',
      'RECURRENCE-ID:20270115T100000Z',
      'DTSTART:20270115T120000Z',
      'DTEND:20270115T130000Z',
      `SUMMARY:${title} later`,
      'END:VEVENT',
      'END:VCALENDAR',
    ].join('\r\n'),
  );

/** A calendar of its own on a server, which goes with the test. */
async function aCalendar(account: Account): Promise<{ dav: CalDav; href: string; source: CalDavCalendarSource }> {
  const dav = openCalDav(account);
  open.push(dav);
  const name = `source-${randomBytes(5).toString('hex')}`;
  const href = await dav.makeCalendar(name, { displayName: name, color: null });
  open.push({ close: () => plain(account, 'DELETE', href) });
  const source = caldavSource({ account, calendar: name, isOurs: (uid) => uid.endsWith('@here.calendar-sync') });
  open.push(source);
  return { dav, href, source };
}

/** What another client of the server does. */
async function plain(account: Account, method: string, href: string, body: string | null = null): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`;
  const headers = { authorization, ...(body === null ? {} : { 'content-type': 'text/calendar; charset=utf-8' }) };
  const answer = await fetch(new URL(href, account.url), { method, body, headers });
  await answer.arrayBuffer();
  return answer.status;
}

const shown = (mirror: Mirror): (string | null)[] => [...mirror.shown.values()].sort();

(servers.length === 0 ? describe.skip : describe)('a source on a server that is not ours', () => {
  it.each(servers.map((account) => [account.name, account] as const))(
    'shows on %s what is there: at first, after changes, and after none',
    async (_, account) => {
      const { href, source } = await aCalendar(account);
      const put = (name: string, body: string) => plain(account, 'PUT', `${href}${name}.ics`, body);
      for (const [name, body] of [
        ['one', event('One', 'uid-1')],
        ['two', event('Two', 'uid-2')],
        ['week', series('Weekly', 'uid-week')],
        ['day', event('Whole day', 'uid-day').replace(/DT(START|END):(\d{8})T\d{6}Z/g, 'DT$1;VALUE=DATE:$2')],
        ['ours', event('Ours', 'm-1@here.calendar-sync')],
        ['old', event('Long ago', 'uid-old').replaceAll('20270101T', '20150101T')],
      ] as const)
        expect([name, await put(name, body.replace('DTEND;VALUE=DATE:20270101', 'DTEND;VALUE=DATE:20270102'))]).toEqual(
          [name, 201],
        );
      const mirror = new Mirror();
      await mirror.read(source);
      expect(shown(mirror)).toEqual(['One', 'Two', 'Weekly', 'Whole day']);

      await put('one', event('One changed', 'uid-1'));
      await plain(account, 'DELETE', `${href}two.ics`);
      await put('three', event('Three', 'uid-3'));
      await mirror.read(source);
      expect(shown(mirror)).toEqual(['One changed', 'Three', 'Weekly', 'Whole day']);

      const { cursor } = await readRound(source);
      const still = await readRound(source, cursor);
      expect({ claims: still.claims, stale: still.stale }).toEqual({ claims: [], stale: [] });
      expect(still.requests).toBeLessThanOrEqual(2);
    },
    60_000,
  );

  it.each(servers.map((account) => [account.name, account] as const))(
    'is read in full on %s when the calendar was made anew behind its back, and then differs by what differs',
    async (_, account) => {
      const { dav, href, source } = await aCalendar(account);
      for (const name of ['a', 'b', 'c']) await plain(account, 'PUT', `${href}${name}.ics`, event(name, `uid-${name}`));
      const mirror = new Mirror();
      await mirror.read(source);
      await plain(account, 'DELETE', href);
      const name = decodeURIComponent(href.split('/').at(-2) ?? '');
      await dav.makeCalendar(name, { displayName: name, color: null });
      for (const [one, title] of [
        ['b', 'b'],
        ['d', 'd'],
      ] as const)
        await plain(account, 'PUT', `${href}${one}.ics`, event(title, `uid-${one}`));

      // Some servers refuse the token, some list all of it; none may go on as if nothing had happened.
      const isRefused = await mirror.read(source).then(
        () => false,
        (thrown: unknown) => {
          expect(thrown).toMatchObject({ recovery: { kind: 'reread' } });
          return true;
        },
      );
      if (isRefused) {
        mirror.forget();
        await mirror.read(source);
      }
      expect(shown(mirror)).toEqual(['b', 'd']);
    },
    60_000,
  );
});

const run = promisify(execFile);

(servers.length === 0 ? describe.skip : describe)('docs/vdirsyncer_config.txt', () => {
  let baikal: CalDavServer;
  let folder: string;
  let file: string;
  const from = servers[0] ?? { name: '', url: '', username: '', password: '' };
  beforeEach(async () => {
    baikal = await startCalDavServer({ auth: 'basic' });
    open.push(baikal);
    folder = mkdtempSync(join(tmpdir(), 'calendar-sync-vdirsyncer-'));
    open.push({ close: () => Promise.resolve(rmSync(folder, { recursive: true, force: true })) });
    file = join(folder, 'config');
  });

  /** The file as the reader fills it in: addresses, names and passwords, and nothing else. */
  function fillIn(collection: string): void {
    const wanted: Readonly<Record<string, readonly [url: string, username: string, password: string]>> = {
      icloud: [from.url, from.username, from.password],
      baikal: [baikal.url, 'alice', 'secret'],
    };
    const text = readFileSync('docs/vdirsyncer_config.txt', 'utf8').replaceAll(
      /(\[storage (\w+)\]\n)((?:[^[\n].*\n|\n)*)/g,
      (_, head: string, name: string, body: string) => {
        const [url = '', username = '', password = ''] = wanted[name] ?? [];
        writeFileSync(join(folder, name), password);
        return `${head}${body
          .replace(/^url = .*$/m, `url = "${url}"`)
          .replace(/^username = .*$/m, `username = "${username}"`)
          .replace(/^password.fetch = .*$/m, `password.fetch = ["command", "cat", "${join(folder, name)}"]`)}`;
      },
    );
    writeFileSync(
      file,
      text
        .replace(/^status_path = .*$/m, `status_path = "${join(folder, 'status')}"`)
        .replace('"HOME-CALENDAR"', `"${collection}"`),
    );
  }

  const vdirsyncer = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
    run('sh', ['-c', `yes | vdirsyncer -c "${file}" ${args.join(' ')}`], { timeout: 60_000 });
  const titles = (): string[] =>
    [...baikal.objects('alice', 'icloud-home').values()]
      .map(({ body }) => /^SUMMARY:(.*?)\r?$/m.exec(body)?.[1] ?? '')
      .sort();

  it('copies a calendar into Baikal, follows its changes, and takes back what was changed in the copy', async () => {
    const { href } = await aCalendar(from);
    const put = (name: string, body: string) => plain(from, 'PUT', `${href}${name}.ics`, body);
    await put('one', event('One', 'uid-1'));
    await put('two', event('Two', 'uid-2'));
    await put('week', series('Weekly', 'uid-week'));
    fillIn(decodeURIComponent(href.split('/').at(-2) ?? ''));
    await vdirsyncer('discover');
    await vdirsyncer('sync');
    expect(titles()).toEqual(['One', 'Two', 'Weekly']);

    await put('one', event('One changed', 'uid-1'));
    await plain(from, 'DELETE', `${href}two.ics`);
    await put('three', event('Three', 'uid-3'));
    await vdirsyncer('sync');
    expect(titles()).toEqual(['One changed', 'Three', 'Weekly']);

    const [name = '', { body = '' } = {}] =
      [...baikal.objects('alice', 'icloud-home')].find(([, object]) => object.body.includes('Three')) ?? [];
    const segment = name.split('/').at(-1) ?? '';
    baikal.store('alice', 'icloud-home', segment, body.replace('SUMMARY:Three', 'SUMMARY:Mine'));
    baikal.store('alice', 'icloud-home', 'mine.ics', event('Only here', 'uid-mine'));
    // It notes them first, and puts them right the next time.
    await vdirsyncer('sync');
    await vdirsyncer('sync');
    expect(titles()).toEqual(['One changed', 'Three', 'Weekly']);

    baikal.forget();
    await vdirsyncer('sync');
    expect(baikal.requests.filter(({ method }) => method === 'PUT' || method === 'DELETE')).toEqual([]);
  }, 120_000);

  it('makes a calendar that calendar-sync can read beside its own', async () => {
    const { href } = await aCalendar(from);
    await plain(from, 'PUT', `${href}one.ics`, event('One', 'uid-1'));
    fillIn(decodeURIComponent(href.split('/').at(-2) ?? ''));
    await vdirsyncer('discover');
    await vdirsyncer('sync');
    const account = { url: baikal.url, username: 'alice', password: 'secret' };
    const source = caldavSource({ account, calendar: 'icloud-home', isOurs: () => false });
    open.push(source);

    expect((await readRound(source)).claims).toMatchObject([{ series: { uid: 'uid-1', main: { summary: 'One' } } }]);
  }, 120_000);
});
