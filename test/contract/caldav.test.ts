import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { zoneObject } from '../../src/calendar/zone-object.ts';
import { type CalDav, type DavAccount, openCalDav } from '../../src/dav/calendar-client.ts';
import { hrefKey } from '../../src/dav/hrefs.ts';
import { etagOfText, eventText } from '../support/caldav/event.ts';
import { habitsOf, type Habits } from './caldav-habits.ts';
import { type CalDavServer, startCalDavServer } from '../support/caldav/server.ts';

interface Party {
  readonly name: string;
  readonly habits: Habits;
  readonly start: () => Promise<{ account: DavAccount; server: CalDavServer | null }>;
}

const alice = { username: 'alice', password: 'secret' };
const inProcess = (auth: 'basic' | 'digest'): Party => ({
  name: `the in-process server with ${auth}`,
  habits: habitsOf('baikal'),
  start: async () => {
    const server = await startCalDavServer({ auth, isStrictDigest: true });
    return { account: { ...alice, url: server.url }, server };
  },
});

const { CALDAV_URL: url, CALDAV_USERNAME: username, CALDAV_PASSWORD: password } = process.env;
const outside: Party[] =
  url === undefined || username === undefined || password === undefined
    ? []
    : [
        {
          name: 'the server outside',
          // A Baikal unless told otherwise.
          habits: habitsOf(process.env['CALDAV_HABITS'] ?? 'baikal'),
          start: () => Promise.resolve({ account: { url, username, password }, server: null }),
        },
      ];

describe.each([inProcess('basic'), inProcess('digest'), ...outside])('$name', ({ habits, start }) => {
  let account: DavAccount;
  let server: CalDavServer | null;
  let dav: CalDav;
  let calendar: string;
  const name = `contract-${randomUUID().slice(0, 8)}`;
  const fresh = (): { href: string; uid: string } => {
    const uid = randomUUID();
    return { href: `${calendar}${uid}.ics`, uid };
  };

  beforeAll(async () => {
    ({ account, server } = await start());
    dav = openCalDav(account);
    calendar = await dav.makeCalendar(name, {
      displayName: 'Contract & <more>',
      color: '#3366cc',
      timezone: zoneObject('Europe/Vienna', 2026),
    });
  });
  afterAll(async () => {
    await dav.remove(calendar, null);
    await dav.close();
    await server?.close();
  });

  describe('finding the way', () => {
    it('tells principal, home, addresses and kind', async () => {
      const home = await dav.discover();

      expect(home.isSabre).toBe(habits.isSabre);
      expect(calendar.startsWith(home.home)).toBe(true);
      if (habits.isSabre) expect(home.addresses).toContainEqual(expect.stringMatching(/^mailto:.+@/));
    });

    it('needs no more than the URL of principal or home', async () => {
      const home = await dav.discover();
      for (const path of [home.principal, home.home]) {
        const from = openCalDav({ ...account, url: new URL(path, account.url).href });
        expect(await from.discover()).toEqual(home);
        await from.close();
      }
    });

    it('refuses a wrong password for good', async () => {
      const stranger = openCalDav({ ...account, password: 'wrong' });

      await expect(stranger.discover()).rejects.toMatchObject({
        code: 'dav.unauthorized',
        recovery: { kind: 'operator' },
      });
      await stranger.close();
    });
  });

  describe('calendars', () => {
    it('lists what it has made, and neither inbox nor outbox', async () => {
      const calendars = await dav.listCalendars();

      expect(calendars.find((one) => one.href === calendar)).toMatchObject({
        name: 'Contract & <more>',
        color: expect.stringMatching(/^#3366cc(ff)?$/i) as unknown,
        components: ['VEVENT'],
      });
      expect(calendars.filter((one) => /\/(in|out)box\//.test(one.href))).toEqual([]);
    });

    it('makes one only once', async () => {
      expect(await dav.makeCalendar(name, { displayName: 'Again', color: null })).toBe(calendar);
      expect((await dav.listCalendars()).filter((one) => one.href === calendar)).toHaveLength(1);
    });

    it('tells a missing calendar from a missing event, whatever is asked of it', async () => {
      const missing = calendar.replace(name, `${name}-none`);
      const gone = { code: 'dav.calendar_gone', outcome: 'not-sent', recovery: { kind: 'operator' } };

      await expect(dav.put(`${missing}a.ics`, eventText('a'), { ifNoneMatch: '*' })).rejects.toMatchObject(gone);
      await expect(dav.remove(`${missing}a.ics`, null)).rejects.toMatchObject(gone);
      await expect(dav.get(`${missing}a.ics`)).rejects.toMatchObject(gone);
      await expect(dav.etagOf(`${missing}a.ics`)).rejects.toMatchObject(gone);
      await expect(dav.list(missing)).rejects.toMatchObject(gone);
      await expect(dav.changes(missing, null)).rejects.toMatchObject(gone);
      await expect(dav.multiget(missing, [`${missing}a.ics`])).rejects.toMatchObject(gone);
    });
  });

  describe('writing', () => {
    it('creates, and reads back what it wrote', async () => {
      const { href, uid } = fresh();
      const text = eventText(uid, 'SUMMARY:Grüße \\, <b>&amp\\;</b>');

      const put = await dav.put(href, text, { ifNoneMatch: '*' });

      const got = await dav.get(href);
      expect(put).toEqual({ kind: 'stored', etag: habits.isEtagMd5 ? etagOfText(text) : (got?.etag ?? null) });
      if (habits.keepsBytes) expect(got?.body).toBe(text);
      expect(await dav.etagOf(href)).toBe(got?.etag);
      expect(await dav.list(calendar)).toContainEqual({ href, etag: got?.etag });
      expect((await dav.multiget(calendar, [href])).get(href)).toEqual(got);
    });

    it('creates only what is not there', async () => {
      const { href, uid } = fresh();
      await dav.put(href, eventText(uid), { ifNoneMatch: '*' });

      const again = await dav.put(href, eventText(uid, 'SUMMARY:second'), { ifNoneMatch: '*' });

      expect(again.kind).toBe('precondition-failed');
      expect((await dav.get(href))?.body).not.toContain('second');
    });

    it('updates only what it has seen', async () => {
      const { href, uid } = fresh();
      await dav.put(href, eventText(uid), { ifNoneMatch: '*' });
      const seen = (await dav.etagOf(href)) ?? '';

      expect((await dav.put(href, eventText(uid, 'SUMMARY:blind'), { ifMatch: '"never"' })).kind).toBe(
        'precondition-failed',
      );
      expect((await dav.put(href, eventText(uid, 'SUMMARY:second'), { ifMatch: seen })).kind).toBe('stored');
      expect((await dav.put(href, eventText(uid, 'SUMMARY:third'), { ifMatch: seen })).kind).toBe(
        'precondition-failed',
      );
      expect((await dav.put(href, eventText(uid, 'SUMMARY:fourth'), null)).kind).toBe('stored');
      expect((await dav.get(href))?.body).toContain('fourth');
    });

    it('updates nothing that is missing', async () => {
      const { href, uid } = fresh();

      expect(await dav.put(href, eventText(uid), { ifMatch: '"old"' })).toEqual({
        kind: 'precondition-failed',
        etag: null,
      });
      expect(await dav.get(href)).toBeNull();
      expect(await dav.etagOf(href)).toBeNull();
    });

    it('removes only what it has seen', async () => {
      const { href, uid } = fresh();
      await dav.put(href, eventText(uid), { ifNoneMatch: '*' });
      const etag = await dav.etagOf(href);

      expect((await dav.remove(href, '"never"')).kind).toBe('precondition-failed');
      expect(await dav.remove(href, etag)).toEqual({ kind: 'removed' });
      expect((await dav.remove(href, etag)).kind).not.toBe('removed');
      expect(await dav.remove(href, null)).toEqual({ kind: 'missing' });
    });

    it('keeps names apart by case, and odd names whole', async () => {
      const { uid } = fresh();
      const names = [
        `${uid}-A1.ics`,
        `${uid}-a1.ics`,
        `${uid} +=@ü.ics`,
        `${uid};,:&'()!$*~#%25%[].ics`,
        `${uid}-${'x'.repeat(110)}`,
        // Cyrus lists a question mark as it is, which then begins a query.
        ...(habits.isSabre ? [`${uid}?.ics`] : []),
      ];
      const uidsByName = new Map(names.map((one, index) => [one, `${uid}-${index}`]));
      for (const [one, own] of uidsByName)
        await dav.put(`${calendar}${encodeURIComponent(one)}`, eventText(own), { ifNoneMatch: '*' });

      const listed = (await dav.list(calendar)).map((entry) => entry.href).filter((href) => href.includes(uid));

      expect(listed.map((href) => hrefKey(href)).toSorted()).toEqual(
        names.map((one) => hrefKey(`${calendar}${encodeURIComponent(one)}`)).toSorted(),
      );
      for (const href of listed)
        expect((await dav.get(href))?.body).toContain(
          `UID:${uidsByName.get(hrefKey(href).split('/').at(-1) ?? '') ?? '?'}\r\n`,
        );
      const asked = names.map((one) => `${calendar}${encodeURIComponent(one)}`);
      expect([...(await dav.multiget(calendar, asked)).keys()].toSorted()).toEqual(asked.toSorted());
    });

    it('says when the server refuses a text for good', async () => {
      const refused = { code: 'dav.body_refused', outcome: 'refused', recovery: { kind: 'operator' } };
      const { href, uid } = fresh();

      await expect(dav.put(href, 'no calendar', { ifNoneMatch: '*' })).rejects.toMatchObject(refused);
      if (habits.refusesOtherComponents) {
        const text = eventText(uid).replaceAll('VEVENT', 'VJOURNAL');
        await expect(dav.put(href, text, { ifNoneMatch: '*' })).rejects.toMatchObject(refused);
      }
      if (habits.refusesMethod) {
        const text = eventText(uid).replace('VERSION', 'METHOD:REQUEST\r\nVERSION');
        await expect(dav.put(href, text, { ifNoneMatch: '*' })).rejects.toMatchObject(refused);
      }
      if (habits.refusesLongSeries) {
        await expect(
          dav.put(href, eventText(uid, 'RRULE:FREQ=DAILY;COUNT=10000'), { ifNoneMatch: '*' }),
        ).rejects.toMatchObject({
          code: 'dav.too_many_instances',
          outcome: 'refused',
        });
      }
      expect(await dav.get(href)).toBeNull();
    });

    it('takes one UID under two names, or says that it does not', async () => {
      const { href, uid } = fresh();
      await dav.put(href, eventText(uid), { ifNoneMatch: '*' });
      const again = dav.put(fresh().href, eventText(uid), { ifNoneMatch: '*' });

      if (habits.takesUidTwice) expect((await again).kind).toBe('stored');
      else await expect(again).rejects.toMatchObject({ code: 'dav.uid_conflict', outcome: 'refused' });
    });

    it('takes an exception whose master is elsewhere, or says that it does not', async () => {
      const { href, uid } = fresh();
      const put = dav.put(href, eventText(uid, 'RECURRENCE-ID:20270101T100000Z'), { ifNoneMatch: '*' });

      if (habits.takesOrphans) expect((await put).kind).toBe('stored');
      else await expect(put).rejects.toMatchObject({ code: 'dav.body_refused', outcome: 'refused' });
    });

    it('names no etag of a text that the server has changed', async () => {
      const { href, uid } = fresh();

      const put = await dav.put(href, eventText(uid).replace(/DTSTAMP:.*\r\n/, ''), { ifNoneMatch: '*' });

      expect(put.kind).toBe('stored');
      if (habits.hidesEtagOfRepaired) expect(put).toEqual({ kind: 'stored', etag: null });
      expect(await dav.etagOf(href)).not.toBeNull();
    });

    it('makes the server mail nobody and leave the text alone', async () => {
      const { href, uid } = fresh();
      const [self] = (await dav.discover()).addresses.filter((address) => address.startsWith('mailto:'));
      // What we render says SCHEDULE-AGENT=CLIENT as well; one of the two is enough where a server heeds both.
      const agent = habits.heedsScheduleReply ? '' : ';SCHEDULE-AGENT=CLIENT';
      const people = [
        `ORGANIZER${agent}:${self ?? 'mailto:me@example.org'}`,
        `ATTENDEE${agent}:mailto:somebody@elsewhere.example`,
      ];

      const text = eventText(uid, ...people);
      await dav.put(href, text, { ifNoneMatch: '*' });
      const moved = text.replace('T110000Z', 'T120000Z');
      const put = await dav.put(href, moved, { ifMatch: (await dav.etagOf(href)) ?? '' });

      if (habits.isEtagMd5) expect(put).toEqual({ kind: 'stored', etag: etagOfText(moved) });
      expect((await dav.get(href))?.body).not.toContain('SCHEDULE-STATUS');
      await dav.remove(href, null);
      if (server !== null) expect(server.mails).toEqual([]);
    });

    it('carries several writes at once', async () => {
      const texts = new Map(Array.from({ length: 12 }, fresh).map(({ href, uid }) => [href, eventText(uid)]));

      await Promise.all([...texts].map(([href, text]) => dav.put(href, text, { ifNoneMatch: '*' })));

      expect([...(await dav.multiget(calendar, [...texts.keys()])).keys()].toSorted()).toEqual(
        [...texts.keys()].toSorted(),
      );
    });
  });

  describe('reading what changed', () => {
    it('lists all without a token, then only what happened since', async () => {
      const kept = fresh();
      const dropped = fresh();
      for (const { href, uid } of [kept, dropped]) await dav.put(href, eventText(uid), { ifNoneMatch: '*' });

      const all = await dav.changes(calendar, null);
      expect(all.changed.map((one) => one.href)).toEqual(expect.arrayContaining([kept.href, dropped.href]));
      expect(all.removed).toEqual([]);
      expect(await dav.changes(calendar, all.syncToken)).toEqual({
        changed: [],
        removed: [],
        syncToken: all.syncToken,
      });

      const added = fresh();
      await dav.put(added.href, eventText(added.uid), { ifNoneMatch: '*' });
      await dav.put(kept.href, eventText(kept.uid, 'SUMMARY:new'), null);
      await dav.remove(dropped.href, null);
      const since = await dav.changes(calendar, all.syncToken);

      expect(since.changed.toSorted((a, b) => (a.href < b.href ? -1 : 1))).toEqual(
        [
          { href: added.href, etag: await dav.etagOf(added.href) },
          { href: kept.href, etag: await dav.etagOf(kept.href) },
        ].toSorted((a, b) => (a.href < b.href ? -1 : 1)),
      );
      expect(since.removed).toEqual([dropped.href]);
      expect(since.syncToken).not.toBe(all.syncToken);
    });

    it('wants a full reading when the token is of no use', async () => {
      await expect(dav.changes(calendar, 'garbage')).rejects.toMatchObject({ recovery: { kind: 'reread' } });
      if (habits.echoesUnknownTokens) {
        for (const token of ['http://sabre.io/ns/sync/987654', 'http://sabre.io/ns/sync/letters']) {
          await expect(dav.changes(calendar, token)).rejects.toMatchObject({
            code: 'dav.sync_token_stale',
            recovery: { kind: 'reread' },
          });
        }
      }
    });

    it('gets many texts at once and leaves out what is missing', async () => {
      const { href, uid } = fresh();
      await dav.put(href, eventText(uid), { ifNoneMatch: '*' });
      const missing = Array.from({ length: 250 }, () => fresh().href);

      const got = await dav.multiget(calendar, [...missing, href]);

      expect([...got.keys()]).toEqual([href]);
      expect(got.get(href)?.body).toContain(`UID:${uid}`);
      expect(await dav.multiget(calendar, [])).toEqual(new Map());
    });
  });
});
