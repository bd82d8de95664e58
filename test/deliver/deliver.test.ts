import { afterEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { sql } from 'kysely';
import { openTransport } from '../../src/dav/transport.ts';
import { restoreFromTrash } from '../../src/deliver/restore-trash.ts';
import { acquireLease } from '../../src/store/leases.ts';
import { listTrash, restoredText } from '../../src/store/trash.ts';
import { anEntry, aSeries, recurring, zoned } from '../calendar/builders.ts';
import { eventText } from '../support/caldav/event.ts';
import { until } from '../support/until.ts';
import { aDeliveryWorld, aMeeting, realUrl, titles, type DeliveryWorld } from './world.ts';

let world: DeliveryWorld;
afterEach(() => world.close());

const writes = (): string[] =>
  world.faults.requests.filter(({ method }) => method === 'PUT' || method === 'DELETE').map(({ method }) => method);

/** Somebody's hand in the calendar. */
async function edit(change: (body: string) => string, index = 0): Promise<string> {
  const [href, body] = [...(await world.standing())][index] ?? ['', ''];
  const { etag } = (await world.hand.get(href)) ?? { etag: null };
  const result = await world.hand.put(href, change(body), etag === null ? null : { ifMatch: etag });
  expect(result.kind).toBe('stored');
  return href;
}

const retitle = (title: string) => (body: string) => body.replace(/SUMMARY:.*/, `SUMMARY:${title}`);

/** A write without `Schedule-Reply: F`, past the product and past the fault proxy. */
async function asNaiveClient(href: string, body: string): Promise<void> {
  const account = { username: process.env['CALDAV_USERNAME'] ?? '', password: process.env['CALDAV_PASSWORD'] ?? '' };
  const { origin } = new URL(realUrl ?? '');
  const transport = openTransport(origin, account, { timeoutMs: 20_000, maxAnswerBytes: 100_000 });
  const headers = { 'Content-Type': 'text/calendar; charset=utf-8' };
  const answer = await transport.send({ method: 'PUT', href, url: `${origin}${href}`, headers, body }, undefined);
  await transport.close();
  expect(answer.status).toBe(201);
}

describe('a calendar that is delivered to', () => {
  it('gets each meeting once, and no request when nothing changed', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    const both = { one: aMeeting('uid-1', 'One'), two: aMeeting('uid-2', 'Two') };
    await world.says('a', both);
    await world.settle();
    expect(titles(await world.standing())).toEqual(['One', 'Two']);

    world.faults.forget();
    await world.says('a', both);
    await world.settle();
    expect(world.faults.requests).toEqual([]);
  });

  it('shows two events of one source with one UID, and one of them with the copy of another source', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.source('b');
    await world.says('a', { x: aMeeting('uid-1', 'First'), y: aMeeting('uid-1', 'Second') });
    await world.says('b', { z: aMeeting('uid-1', 'First') });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['First', 'Second']);

    await world.loses('a', 'x');
    await world.settle();
    expect(await world.standing()).toHaveProperty('size', 1);
    await world.loses('b', 'z');
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Second']);
  });

  it('is made with its name, its colour and the zone of most of its events', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { one: aMeeting('uid-1'), two: aMeeting('uid-2') });
    await world.settle();
    const [made, ...more] = world.faults.requests.filter(({ method }) => method === 'MKCALENDAR');
    expect(more).toEqual([]);
    expect(made?.body).toContain('>Work</');
    expect(made?.body).toContain('>#3366cc</');
    expect(made?.body).toMatch(/calendar-timezone>BEGIN:VCALENDAR[^<]*\nTZID:Europe\/Berlin\r?\n/);
  });

  it('keeps UID and href through winners, titles and a source that leaves, and never lets SEQUENCE fall', async () => {
    world = await aDeliveryWorld();
    await world.source('a', { titleTag: '[A] ' });
    await world.source('b', { titleTag: '[B] ' });
    await world.source('c', { titleTag: '[C] ' });
    const seen: { href: string; uid: string; sequence: number; titles: string[] }[] = [];
    const look = async (): Promise<void> => {
      await world.settle();
      const standing = await world.standing();
      const [[href, body] = ['', '']] = [...standing];
      const field = (name: string): string => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(body)?.[1] ?? '';
      seen.push({ href, uid: field('UID'), sequence: Number(field('SEQUENCE')), titles: titles(standing) });
    };
    await world.says('a', { x: { series: aMeeting('uid', 'Plan'), lastModifiedAt: '2026-01-01T00:00:00Z' } });
    await look();
    await world.says('b', {
      y: { series: aMeeting('uid', 'Plan', '2027-07-02'), lastModifiedAt: '2026-02-01T00:00:00Z' },
    });
    await look();
    await world.says('c', {
      z: { series: aMeeting('uid', 'Plan', '2027-07-03'), lastModifiedAt: '2026-03-01T00:00:00Z' },
    });
    await look();
    await world.loses('c', 'z');
    await look();
    await world.loses('a', 'x');
    await look();

    expect(seen.map((one) => one.titles)).toEqual([
      ['[A] Plan'],
      ['[B] Plan'],
      ['[C] Plan'],
      ['[B] Plan'],
      ['[B] Plan'],
    ]);
    expect(new Set(seen.map((one) => `${one.href} ${one.uid}`)).size).toBe(1);
    expect(seen.map((one) => one.sequence)).toEqual([0, 1, 2, 3, 3]);
    expect((await world.history('delete')).length).toBe(0);
  });

  it('writes a meeting that moves to another calendar there before it deletes it here', async () => {
    world = await aDeliveryWorld({
      target: { calendars: ['work', 'home'].map((id) => ({ id, name: id, color: null })) },
    });
    await world.source('a', { calendar: 'work' });
    await world.source('b', { calendar: 'home' });
    await world.says('a', { x: { series: aMeeting('uid', 'Plan'), lastModifiedAt: '2026-01-01T00:00:00Z' } });
    await world.settle();
    await edit((body) => body.replace('SUMMARY', 'X-MOZ-SNOOZE-TIME:20270101T000000Z\r\nSUMMARY'));
    world.faults.forget();

    await world.says('b', {
      y: { series: aMeeting('uid', 'Plan B'), lastModifiedAt: '2026-02-01T00:00:00Z' },
    });
    await world.settle();

    expect(await world.standing('work')).toEqual(new Map());
    const moved = [...(await world.standing('home')).values()];
    expect(moved).toHaveLength(1);
    expect(moved[0]).toContain('X-MOZ-SNOOZE-TIME');
    expect(writes()).toEqual(['PUT', 'DELETE']);
  });

  it('writes, changes and deletes all objects of a series on day 30 and of one in list mode', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    const clamped = recurring(
      'FREQ=MONTHLY;BYMONTHDAY=30',
      zoned('2027-01-30T09:00:00'),
      zoned('2027-01-30T10:00:00'),
      {
        uid: 'clamped',
        recurrence: { rule: 'FREQ=MONTHLY;BYMONTHDAY=30', clampedDay: 30, extra: [] },
      },
    );
    const listed = aSeries({
      uid: 'listed',
      list: ['2027-05-03', '2027-05-11', '2027-05-14'].map((day) => ({
        slot: zoned(`${day}T09:00:00`),
        entry: anEntry({ start: zoned(`${day}T09:00:00`), end: zoned(`${day}T10:00:00`), summary: 'Listed' }),
      })),
    });
    await world.says('a', { c: clamped, l: listed });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Listed', 'Listed', 'Listed', 'Stand-up', 'Stand-up']);

    await world.says('a', {
      c: { ...clamped, main: { ...clamped.main, summary: 'Renamed' } },
      l: { ...listed, list: (listed.list ?? []).slice(1) },
    });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Listed', 'Listed', 'Renamed', 'Renamed']);

    await world.loses('a', 'c', 'l');
    await world.settle();
    expect(titles(await world.standing())).toEqual([]);
    expect(await world.count('object')).toBe(0);
  });
});

describe('a client that touches what we wrote', () => {
  const withAlarm = aSeries({
    uid: 'uid',
    main: anEntry({
      summary: 'Plan',
      reminder: 15,
      start: zoned('2027-07-01T09:00:00'),
      end: zoned('2027-07-01T10:00:00'),
    }),
  });

  it('keeps its state, without a repair, through our next change', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: withAlarm });
    await world.settle();
    await edit((body) => body.replace('END:VALARM', 'ACKNOWLEDGED:20270101T000000Z\r\nEND:VALARM'));
    world.faults.forget();
    await world.settle({ look: true });
    expect(writes()).toEqual([]);

    for (const summary of ['Plan 2', 'Plan 3']) {
      await world.says('a', { x: { ...withAlarm, main: { ...withAlarm.main, summary } } });
      await world.settle();
      const [body] = [...(await world.standing()).values()];
      expect(body).toContain(`SUMMARY:${summary}`);
      expect(body).toContain('ACKNOWLEDGED:20270101T000000Z');
    }
    expect((await world.history('drift')).length).toBe(0);
  });

  it('has its edit repaired three times in a day, and the fourth kept and reported', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: withAlarm });
    await world.settle();
    for (const title of ['1', '2', '3']) {
      await edit(retitle(title));
      await world.settle({ look: true });
      expect(titles(await world.standing())).toEqual(['Plan']);
    }
    await edit(retitle('4'));
    await world.settle({ look: true });
    await world.settle({ look: true });
    expect(titles(await world.standing())).toEqual(['4']);
    expect((await world.history('drift')).map(({ status, code }) => `${status} ${code ?? ''}`)).toEqual([
      'ok drift.edited',
      'ok drift.edited',
      'ok drift.edited',
      'error drift.kept_after_repairs',
    ]);

    await world.says('a', { x: { ...withAlarm, main: { ...withAlarm.main, summary: 'New' } } });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['New']);
  });

  it('finds its deletion undone, or kept where the target keeps drift', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: withAlarm });
    await world.settle();
    const [href = ''] = (await world.standing()).keys();
    await world.hand.remove(href, null);
    await world.settle({ look: true });
    expect(titles(await world.standing())).toEqual(['Plan']);

    await sql`update target set drift = 'keep'`.execute(world.store.db);
    await world.hand.remove(href, null);
    await world.settle({ look: true });
    await world.lookNow(true);
    await world.settle();
    expect(titles(await world.standing())).toEqual([]);

    await world.says('a', { x: { ...withAlarm, main: { ...withAlarm.main, summary: 'New' } } });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['New']);
  });

  it.each([
    ['repair', 'its name', 'work', 'home'],
    ['repair', 'a name of the client', 'work', 'home'],
    ['repair', 'a name of the client', 'home', 'work'],
    ['keep', 'its name', 'home', 'work'],
    ['keep', 'a name of the client', 'work', 'home'],
  ] as const)(
    'finds what it moved put back once, with its state, where drift is: %s (under %s, %s to %s)',
    async (drift, name, from, to) => {
      const calendars = ['work', 'home'].map((id) => ({ id, name: id, color: null }));
      world = await aDeliveryWorld({ target: { drift, calendars } });
      await world.source('a', { calendar: from });
      await world.says('a', { x: withAlarm });
      await world.settle();
      const [[href, body] = ['', '']] = [...(await world.standing(from))];
      const acknowledged = body.replace('END:VALARM', 'ACKNOWLEDGED:20270101T000000Z\r\nEND:VALARM');
      const segment = name === 'its name' ? href.slice(href.lastIndexOf('/') + 1) : 'moved-by-client.ics';
      await world.hand.put(`${await world.href(to)}${segment}`, acknowledged, { ifNoneMatch: '*' });
      await world.hand.remove(href, null);
      await world.settle({ look: true });

      const standing = await world.standing(from);
      expect([...standing.keys()]).toEqual([href]);
      expect(standing.get(href)).toContain('ACKNOWLEDGED:20270101T000000Z');
      expect(await world.standing(to)).toEqual(new Map());
      expect(await listTrash(world.store.db, { limit: 10 })).toEqual([]);

      world.faults.forget();
      await world.settle({ look: true });
      expect(writes()).toEqual([]);
    },
  );

  it('may have events of its own, with our UID too: they are left alone and told', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: withAlarm });
    await world.settle();
    const [[href, body] = ['', '']] = [...(await world.standing())];
    const beside = `${href.slice(0, href.lastIndexOf('/'))}/copy-by-phone.ics`;
    const foreign = `${href.slice(0, href.lastIndexOf('/'))}/dentist.ics`;
    await world.hand.put(beside, retitle('Copy')(body), { ifNoneMatch: '*' });
    await world.hand.put(foreign, retitle('Dentist')(body).replace(/UID:.*/, 'UID:dentist'), { ifNoneMatch: '*' });
    await world.settle({ look: true });
    await world.loses('a', 'x');
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Copy', 'Dentist']);
    expect((await world.history('drift')).map((one) => one.code)).toEqual(['drift.duplicate']);
  });

  it('may have an event of its own where ours should stand: it is left alone, and told', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: withAlarm });
    await world.settle();
    const [href = ''] = (await world.standing()).keys();
    await world.loses('a', 'x');
    await world.settle();
    await world.hand.put(href, eventText('dentist'), { ifNoneMatch: '*' });
    const foreign = (await world.hand.get(href))?.body;
    await world.says('a', { x: withAlarm });
    await world.run();
    expect((await world.hand.get(href))?.body).toBe(foreign);
    await world.pass();
    await world.run();
    expect((await world.history('deliver')).map((one) => one.code)).toEqual(['deliver.foreign_resource']);
    expect((await world.hand.get(href))?.body).toBe(foreign);

    await world.hand.remove(href, null);
    await world.pass();
    await world.settle();
    expect([...(await world.standing()).keys()]).toEqual([href]);
    expect((await world.hand.get(href))?.body).not.toBe(foreign);
  });

  it('has a byte-equal copy of what we wrote removed', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: withAlarm });
    await world.settle();
    const [href = ''] = (await world.standing()).keys();
    const body = (await world.hand.get(href))?.body ?? '';
    await world.hand.put(`${href.slice(0, href.lastIndexOf('/'))}/again.ics`, body, { ifNoneMatch: '*' });
    await world.settle({ look: true });
    expect([...(await world.standing()).keys()]).toEqual([href]);
    expect((await world.history('delete')).map((one) => one.status)).toEqual(['ok']);
    // Nobody misses it: the trash offers what the calendar does not show any more.
    expect(await listTrash(world.store.db, { limit: 10 })).toEqual([]);
  });

  it('keeps a copy that it has made its own before it was removed', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: withAlarm });
    await world.settle();
    const [href = ''] = (await world.standing()).keys();
    const again = `${href.slice(0, href.lastIndexOf('/'))}/again.ics`;
    const body = (await world.hand.get(href))?.body ?? '';
    await world.hand.put(again, body, { ifNoneMatch: '*' });
    await world.lookNow();
    await world.run({
      hands: {
        get: async (...args) => {
          if (args[0] === again) await world.hand.put(again, retitle('Mine')(body), null);
          return await world.dav.get(...args);
        },
      },
    });
    await world.settle({ look: true });
    expect(titles(await world.standing())).toContain('Mine');
    expect([...(await world.standing()).keys()].toSorted()).toEqual([again, href].toSorted());
    expect((await world.history('drift')).at(-1)?.code).toBe('drift.duplicate');
  });
});

describe('the trash', () => {
  const trashIds = async (): Promise<string[]> =>
    (await sql<{ id: string }>`select id::text from trash order by id`.execute(world.store.db)).rows.map(
      ({ id }) => id,
    );

  it('restores a meeting that no source has, until a source has it again', async () => {
    world = await aDeliveryWorld();
    await world.source('a', { titleTag: '[A] ' });
    await world.says('a', { x: aMeeting('uid', 'Plan') });
    await world.settle();
    const before = [...(await world.standing()).keys()];
    await world.loses('a', 'x');
    await world.settle();
    expect(titles(await world.standing())).toEqual([]);

    await restoreFromTrash(world.store, (await trashIds())[0] ?? '', 'test');
    await world.settle();
    expect(titles(await world.standing())).toEqual(['[A] Plan']);
    expect([...(await world.standing()).keys()]).toEqual(before);

    await world.says('a', { x: aMeeting('uid', 'Plan again') });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['[A] Plan again']);
    await world.loses('a', 'x');
    await world.settle();
    expect(titles(await world.standing())).toEqual([]);
  });

  it('says who shows the meeting still when one date of it is restored, and leaves its copy as it is', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    const dates = ['2027-05-03', '2027-05-11'].map((day) => ({
      slot: zoned(`${day}T09:00:00`),
      entry: anEntry({ start: zoned(`${day}T09:00:00`), end: zoned(`${day}T10:00:00`) }),
    }));
    await world.says('a', { l: aSeries({ uid: 'listed', list: dates }) });
    await world.settle();
    await world.says('a', { l: aSeries({ uid: 'listed', list: dates.slice(1) }) });
    await world.settle();
    const before = [...(await world.standing()).keys()];
    expect(before).toHaveLength(1);
    const restored = await restoreFromTrash(world.store, (await trashIds())[0] ?? '', 'test');
    expect(restored).toEqual({ targetId: 'me', objects: 1, shownBy: 'a' });
    expect(restoredText(restored)).toContain('a shows this meeting still');
    await world.settle();
    expect([...(await world.standing()).keys()]).toEqual(before);
  });

  it('brings back every object of a meeting that had several', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    const series = recurring('FREQ=MONTHLY;BYMONTHDAY=30', zoned('2027-01-30T09:00:00'), zoned('2027-01-30T10:00:00'), {
      recurrence: { rule: 'FREQ=MONTHLY;BYMONTHDAY=30', clampedDay: 30, extra: [] },
    });
    await world.says('a', { x: series });
    await world.settle();
    const before = [...(await world.standing()).keys()];
    expect(before).toHaveLength(2);
    await world.loses('a', 'x');
    await world.settle();
    await restoreFromTrash(world.store, (await trashIds())[1] ?? '', 'test');
    await world.settle();
    expect([...(await world.standing()).keys()].toSorted()).toEqual(before.toSorted());
    await world.says('a', { x: series });
    await world.settle();
    expect([...(await world.standing()).keys()].toSorted()).toEqual(before.toSorted());
  });
});

describe('the ceiling of deletions', () => {
  const many = Object.fromEntries(
    Array.from({ length: 30 }, (_, index) => [`k${index}`, aMeeting(`uid-${index}`)] as const),
  );

  it('holds more than ten of thirty upcoming meetings, and lets them go when approved', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', {
      ...many,
      late: { series: aMeeting('old', 'old', '2020-01-01'), lastEnd: '2020-01-02T00:00:00Z' },
    });
    await world.settle();
    await world.loses('a', 'late', ...Object.keys(many).slice(0, 12));
    await world.settle();
    expect((await world.standing()).size).toBe(30);
    expect((await world.history('hold')).map((one) => one.code)).toEqual(['deliver.deletion_held']);

    // A source that has one of them again takes it out of the question.
    await world.says('a', { k0: aMeeting('uid-0') });
    await world.settle();
    const { approveDeletions } = await import('../../src/store/deletions.ts');
    expect(await approveDeletions(world.store.db, world.target.id)).toBe(11);
    await world.settle();
    expect((await world.standing()).size).toBe(19);
  });
});

describe('a worker that stalls', () => {
  it('records nothing once another has settled its request', async () => {
    world = await aDeliveryWorld({ writeTimeoutMs: 1_000 });
    await world.source('a');
    await world.says('a', { x: aMeeting('uid', 'Old') });
    await world.settle();

    // It hangs inside its PUT; the lease goes to another worker, which finds and settles the intent.
    const fault = world.faults.fail({ on: 'PUT', how: 'late-store' });
    await world.says('a', { x: aMeeting('uid', 'Middle') });
    const stalled = world.run({ holder: 'first' });
    await until('the request has arrived', () => fault.hits === 1);
    await sql`update lease set expires_at = now() - interval '1 second'`.execute(world.store.db);
    await world.says('a', { x: aMeeting('uid', 'New') });
    await world.pass();
    expect((await world.run({ holder: 'second' })).kind).toBe('done');
    await fault.release();
    await stalled;

    await world.settle({ look: true });
    expect(titles(await world.standing())).toEqual(['New']);
    expect(await world.count('object')).toBe(1);
    const lease = await acquireLease(world.store.db, 'target:me', 'third', 1_000, () => false);
    expect(lease).not.toBeNull();
  });
});

describe('an account whose own address is a mirrored mailbox', () => {
  it('is told once', async () => {
    world = await aDeliveryWorld();
    const { addresses } = await world.hand.discover();
    const own = addresses.find((address) => address.startsWith('mailto:'))?.slice(7) ?? '';
    await world.source('a', { mailbox: own.toUpperCase() });
    await world.says('a', { x: aMeeting('uid') });
    await world.settle();
    await world.settle({ look: true });
    expect((await world.history('warn')).map((one) => one.code)).toEqual(['deliver.own_mailbox']);
  });
});

describe('mail', () => {
  it('is never sent, whoever organises: create, change, cancel, repair, delete, restore', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    const { addresses, home } = await world.hand.discover();
    const own = addresses.find((address) => address.startsWith('mailto:'))?.slice(7) ?? '';
    expect(own).not.toBe('');
    const me = { address: own, name: 'Me' };
    const mailLog = process.env['CALDAV_MAIL_LOG'] ?? '';
    const mailsBefore = mailLog === '' ? '' : readFileSync(mailLog, 'utf8');
    const other = { address: 'bob@example.org', name: 'Bob' };
    for (const [key, organizer, guest] of [
      ['mine', me, other],
      ['theirs', other, me],
    ] as const) {
      const meeting = aMeeting(key, key);
      const attendees = [organizer, guest].map((person) => ({
        ...person,
        role: 'required' as const,
        kind: 'individual' as const,
        participation: 'accepted' as const,
        rsvp: true,
      }));
      const main = { ...meeting.main, organizer, attendees };
      await world.says('a', { [key]: { ...meeting, main } });
      await world.settle();
      const moved = { start: zoned('2027-08-01T09:00:00'), end: zoned('2027-08-01T10:00:00'), summary: 'Changed' };
      await world.says('a', { [key]: { ...meeting, main: { ...main, ...moved } } });
      await world.settle();
      await edit(retitle('Edited'));
      await world.settle({ look: true });
      expect(titles(await world.standing())).toEqual(['Changed']);
      await world.says('a', { [key]: { ...meeting, main: { ...main, ...moved, status: 'cancelled' } } });
      await world.settle();
      await world.loses('a', key);
      await world.settle();
      const { rows } = await sql<{ id: string }>`select max(id)::text as id from trash`.execute(world.store.db);
      await restoreFromTrash(world.store, rows[0]?.id ?? '', 'test');
      await world.settle();
      expect((await world.standing()).size).toBe(1);
      await sql`delete from claim`.execute(world.store.db);
      await sql`update meeting set wanted_version = wanted_version + 1`.execute(world.store.db);
      await world.settle();
      expect((await world.standing()).size).toBe(0);
    }
    for (const box of ['inbox', 'outbox']) expect(await world.hand.list(`${home}${box}/`)).toEqual([]);
    const sent = world.faults.requests.filter(({ method }) => method === 'PUT' || method === 'DELETE');
    expect(sent.length).toBeGreaterThan(12);
    expect(sent.filter(({ headers }) => headers['schedule-reply'] !== 'F')).toEqual([]);
    const lines = sent.flatMap(({ body }) => body.replaceAll(/\r\n[ \t]/g, '').split('\r\n'));
    const people = lines.filter((line) => /^(ORGANIZER|ATTENDEE)/.test(line));
    expect(people.length).toBeGreaterThan(0);
    expect(people.filter((line) => !line.includes('SCHEDULE-AGENT=CLIENT'))).toEqual([]);
    expect(lines.some((line) => line.startsWith('METHOD'))).toBe(false);
    expect(world.server.mails).toEqual([]);
    if (mailLog === '') return;
    expect(readFileSync(mailLog, 'utf8')).toBe(mailsBefore);
    // The recorder does record: a client that knows nothing of our rules makes the same server mail.
    await asNaiveClient(
      `${await world.href()}naive.ics`,
      eventText('naive', `ORGANIZER:mailto:${own}`, 'ATTENDEE:mailto:zed@elsewhere.example'),
    );
    expect(readFileSync(mailLog, 'utf8').slice(mailsBefore.length)).toContain('METHOD:REQUEST');
  });
});
