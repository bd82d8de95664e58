import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { markWhatIsAheadNoMore } from '../../src/store/identities.ts';
import type { Pattern } from '../support/graph/patterns.ts';
import { at, day } from '../support/one-calendar.ts';
import { severalTenants, type Entry, type SeveralTenants, type Shown } from '../support/several-tenants.ts';

let world: SeveralTenants;
beforeEach(async () => {
  world = await severalTenants(['contoso', 'fabrikam', 'tailspin']);
});
afterEach(() => world.close());

const daily: Pattern = { type: 'daily' };
const contoso: Entry = { id: 'contoso' };
const fabrikam: Entry = { id: 'fabrikam' };
const tailspin: Entry = { id: 'tailspin' };
const twoCalendars = [
  { id: 'work', name: 'Work' },
  { id: 'agency', name: 'Agency' },
];

/** A meeting of one tenant to which the others are invited; gives each one's copy by tenant. */
function meeting(subject = 'Board', others: readonly string[] = ['fabrikam']): Record<string, { key: string }> {
  const own = world.calendar('contoso').createEvent({ subject, start: at(5) });
  const copies = others.map((tenant) => [
    tenant,
    world.calendar('contoso').inviteTo(own, world.mailbox(tenant).state, { response: 'accepted' }),
  ]);
  return { contoso: own, ...(Object.fromEntries(copies) as Record<string, { key: string }>) };
}

/** A daily series of contoso's, ten times from the day after tomorrow. */
function series(subject = 'Stand-up'): { key: string } {
  const range = { type: 'numbered', startDate: day(2), numberOfOccurrences: 10 } as const;
  return world.calendar('contoso').createSeries({ subject, pattern: daily, range, start: '09:00' });
}

function copy(copies: Record<string, { key: string }>, tenant: string): { key: string } {
  const found = copies[tenant];
  if (found === undefined) throw new Error(`${tenant} has no copy.`);
  return found;
}

function only(list: readonly Shown[] = world.shown()): Shown {
  const [first, ...rest] = list;
  if (first === undefined || rest.length > 0)
    throw new Error(`One is shown, not ${list.map(({ title, calendar }) => `${calendar}/${title}`).join(', ')}`);
  return first;
}

/** After each act: the same resource goes on showing, nothing was deleted, SEQUENCE never fell. */
async function stays(before: Shown, title: string): Promise<Shown> {
  world.forget();
  await world.again();
  const now = only();
  expect({ uid: now.uid, resource: now.resource, title: now.title }).toEqual({
    uid: before.uid,
    resource: before.resource,
    title,
  });
  expect(now.sequence).toBeGreaterThanOrEqual(before.sequence);
  expect(world.requests('DELETE')).toEqual([]);
  return now;
}

describe('one meeting in several tenants', () => {
  it('shows once, in place, through whatever happens to its copies', async () => {
    const three = [contoso, fabrikam, tailspin].map((source, index) => ({ ...source, titleTag: `[${index}] ` }));
    await world.configure({ sources: three });
    const copies = meeting('Board', ['fabrikam', 'tailspin']);
    await world.again();
    let last = only();
    expect(last.title).toBe('[0] Board');

    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Board, renamed' });
    last = await stays(last, '[1] Board\\, renamed');

    world.calendar('tailspin').updateEvent(copy(copies, 'tailspin'), { start: at(6) });
    last = await stays(last, '[2] Board');
    expect(last.body).toContain(day(6).replaceAll('-', ''));

    // The answer bumps the organizer's copy.
    world.mailbox('tailspin').decline(copy(copies, 'tailspin'));
    last = await stays(last, '[0] Board');
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Board, renamed' });
    last = await stays(last, '[1] Board\\, renamed');
    expect(last.body).toContain(day(5).replaceAll('-', ''));

    await world.configure({ sources: [three[0] ?? {}, { ...three[1], privacy: 'busy' }, three[2] ?? {}] });
    last = await stays(last, '[0] Board');

    await world.configure({
      sources: [{ ...three[0], filters: { titles: ['^Board'] } }, { ...three[1], privacy: 'busy' }, three[2] ?? {}],
    });
    last = await stays(last, '[1] Busy');

    await world.configure({ sources: three });
    last = await stays(last, '[1] Board\\, renamed');

    await world.configure({ sources: [three[0] ?? {}, three[2] ?? {}] });
    last = await stays(last, '[0] Board');

    await world.configure({ sources: three });
    await stays(last, '[1] Board\\, renamed');
  });

  it('goes only when the last copy goes', async () => {
    await world.configure({ sources: [contoso, fabrikam] });
    const copies = meeting();
    await world.again();
    const shown = only();

    world.calendar('contoso').delete(copy(copies, 'contoso'));
    const left = await stays(shown, 'Canceled: Board');
    expect(left.body).toContain('STATUS:CANCELLED');

    world.calendar('fabrikam').delete(copy(copies, 'fabrikam'));
    await world.again();
    expect(world.shown()).toEqual([]);
  });

  it('is not written again when only answers bump its copies', async () => {
    await world.configure({ sources: [contoso, fabrikam] });
    const copies = meeting();
    await world.again();
    const before = only();
    world.forget();
    for (let round = 0; round < 3; round += 1) {
      world.calendar('contoso').updateEvent(copy(copies, 'contoso'), { categories: [] });
      await world.again();
      world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { categories: [] });
      await world.again();
    }

    expect(only()).toEqual(before);
    expect(world.requests('PUT')).toEqual([]);
  });

  it('keeps the title of the copy that may say most, whichever was changed last', async () => {
    await world.configure({ sources: [contoso, { ...fabrikam, privacy: 'busy' }] });
    const copies = meeting();
    await world.again();
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Secret name' });
    await world.again();

    expect(only().title).toBe('Board');
    expect(only().body).not.toContain('Secret');
  });

  it('shows by priority where the target says so', async () => {
    const targets = [{ strategy: 'priority' }];
    await world.configure({
      targets,
      sources: [
        { ...contoso, priority: 2 },
        { ...fabrikam, priority: 1 },
      ],
    });
    const copies = meeting();
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Strong' });
    world.calendar('contoso').updateEvent(copy(copies, 'contoso'), { importance: 'high' });
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Strong' });
    await world.again();
    expect(only().title).toBe('Strong');

    await world.configure({
      targets,
      sources: [
        { ...contoso, priority: 1 },
        { ...fabrikam, priority: 2 },
      ],
    });
    await stays(only(), 'Board');
  });

  it('shows what was changed last by a clock ahead of ours once that moment has come', async () => {
    await world.configure({ sources: [contoso, fabrikam] });
    const copies = meeting();
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Ahead' });
    await world.again();
    const before = only();
    expect(before.title).toBe('Ahead');
    const { db } = world.stage.product.store;
    // A stamp that is newer than the last decision, as an answer leaves one, lay never ahead.
    await sql`update meeting set wanted_at = now() - interval '2 hours'`.execute(db);
    await sql`update claim set last_modified_at = now(), changed_at = now() - interval '2 hours',
      read_at = now() where source_id = 'fabrikam'`.execute(db);
    expect(await markWhatIsAheadNoMore(db)).toEqual([]);

    await sql`update claim set last_modified_at = now() + interval '80 minutes', read_at = now()
      where source_id = 'fabrikam'`.execute(db);
    await sql`update meeting set wanted_version = wanted_version + 1, wanted_at = now()`.execute(db);
    await stays(before, 'Board');
    expect(await markWhatIsAheadNoMore(db)).toEqual([]);

    await sql`update claim set last_modified_at = last_modified_at - interval '30 minutes',
      read_at = read_at - interval '30 minutes'`.execute(db);
    await sql`update meeting set wanted_at = wanted_at - interval '30 minutes'`.execute(db);
    expect(await markWhatIsAheadNoMore(db)).toEqual(['me']);
    await stays(before, 'Ahead');
    expect(await markWhatIsAheadNoMore(db)).toEqual([]);
  });

  it('shows by the order of the file where copies agree, and follows when that alone changes', async () => {
    const [first, second] = [
      { ...contoso, titleTag: '[C] ' },
      { ...fabrikam, titleTag: '[F] ' },
    ];
    await world.configure({ sources: [first, second] });
    meeting();
    await world.again();
    expect(only().title).toBe('[C] Board');

    await world.configure({ sources: [second, first] });
    await stays(only(), '[F] Board');
  });

  it('shows what the operator pinned', async () => {
    await world.configure({ sources: [contoso, { ...fabrikam, privacy: 'busy' }] });
    meeting();
    await world.again();
    await sql`
      update meeting set pinned_source_id = 'fabrikam', wanted_version = wanted_version + 1`.execute(
      world.stage.product.store.db,
    );

    await stays(only(), 'Busy');
  });

  it('shows once when another tenant joins, and once in each of two targets', async () => {
    await world.configure({ sources: [contoso] });
    meeting('Board', ['fabrikam']);
    await world.again();
    const first = only();
    await world.configure({ sources: [contoso, fabrikam] });
    await stays(first, 'Board');
  });
});

describe('a meeting whose copies go into two calendars of a target', () => {
  const targets = [{ calendars: twoCalendars }];
  const toAgency = { ...fabrikam, into: 'me/agency' };

  it("shows in the winner's, written there before it is deleted here", async () => {
    await world.configure({ targets, sources: [contoso, toAgency] });
    const copies = meeting();
    await world.again();
    const before = only();
    expect(before.calendar).toBe('work');

    world.forget();
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Moved' });
    await world.again();
    const after = only();
    expect(after).toMatchObject({ calendar: 'agency', uid: before.uid, resource: before.resource, title: 'Moved' });
    const writes = world.stage.caldav.requests.filter(({ method }) => ['PUT', 'DELETE'].includes(method));
    expect(writes.map(({ method, path }) => `${method} ${path.split('/').at(-2) ?? ''}`)).toEqual([
      'PUT agency',
      'DELETE work',
    ]);
  });

  it('moves along when `into` of its source changes', async () => {
    await world.configure({ targets, sources: [contoso, fabrikam] });
    meeting();
    series();
    await world.again();
    const before = world.shown();
    await world.configure({ targets, sources: [{ ...contoso, into: 'me/agency' }, fabrikam] });
    await world.again();

    expect(world.shown()).toMatchObject(before.map(({ uid, resource }) => ({ uid, resource, calendar: 'agency' })));
  });

  it('goes on showing here under `dedupe: calendar` when the copy that shows leaves for the other calendar', async () => {
    const of = { targets: [{ calendars: twoCalendars, dedupe: 'calendar' }] };
    await world.configure({ ...of, sources: [contoso, fabrikam] });
    const copies = meeting();
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Board of fabrikam' });
    await world.again();
    const before = only();
    await world.configure({ ...of, sources: [contoso, toAgency] });
    await world.again();

    expect(world.shown()).toMatchObject([
      { title: 'Board', calendar: 'work' },
      { title: 'Board of fabrikam', calendar: 'agency', uid: before.uid },
    ]);
  });

  it('shows in both under `dedupe: calendar`, in one again under `target`', async () => {
    await world.configure({ targets, sources: [contoso, toAgency] });
    meeting();
    await world.again();
    const first = only();

    await world.configure({ targets: [{ calendars: twoCalendars, dedupe: 'calendar' }], sources: [contoso, toAgency] });
    await world.again();
    expect(world.shown().map(({ calendar }) => calendar)).toEqual(['work', 'agency']);
    expect(world.shown()[0]).toMatchObject({ uid: first.uid, resource: first.resource, calendar: 'work' });

    await world.configure({ targets, sources: [contoso, toAgency] });
    await world.again();
    expect(only()).toMatchObject({ uid: first.uid, resource: first.resource, calendar: 'work' });
  });
});

describe('`dedupe` switched while in use', () => {
  it.each(['contoso', 'fabrikam'])(
    'splits and merges again, the copy shown (of %s) keeping its place',
    async (shows) => {
      const sources = [contoso, fabrikam];
      await world.configure({ sources });
      const copies = meeting();
      world.calendar(shows).updateEvent(copy(copies, shows), { subject: `Board of ${shows}` });
      await world.again();
      const first = only();
      expect(first.title).toBe(`Board of ${shows}`);

      for (let round = 0; round < 2; round += 1) {
        await world.configure({ targets: [{ dedupe: 'off' }], sources });
        await world.again();
        expect(world.shown()).toHaveLength(2);
        expect(new Set(world.shown().map(({ uid }) => uid)).size).toBe(2);
        expect(world.shown().find(({ uid }) => uid === first.uid)).toMatchObject({
          resource: first.resource,
          title: `Board of ${shows}`,
        });

        await world.configure({ sources });
        world.forget();
        await world.again();
        expect(only()).toMatchObject({ uid: first.uid, resource: first.resource, title: `Board of ${shows}` });
        expect(only().sequence).toBeGreaterThanOrEqual(first.sequence);
      }
    },
  );

  it('gives what shows under an old identity no rival of the same UID', async () => {
    const sources = [contoso, fabrikam];
    await world.configure({ sources });
    meeting('Board', ['fabrikam', 'tailspin']);
    await world.again();
    await world.configure({ targets: [{ dedupe: 'off' }], sources });
    await world.again();
    await world.configure({ targets: [{ dedupe: 'calendar' }], sources });
    await world.again();
    await world.configure({ sources: [...sources, tailspin] });
    await world.again();
    expect(world.titles()).toEqual(['Board']);
    const uids = await sql<{ uid: string }>`select uid from meeting`.execute(world.stage.product.store.db);
    expect(new Set(uids.rows.map(({ uid }) => uid)).size).toBe(uids.rows.length);
  });
});

describe('a date of a series to which another tenant was invited alone', () => {
  async function begin(): Promise<{ review: { key: string }; date: string; guest: { key: string } }> {
    await world.configure({ sources: [contoso, fabrikam] });
    const review = series();
    const date = day(4);
    const guest = world
      .calendar('contoso')
      .inviteTo(review, world.mailbox('fabrikam').state, { date, response: 'accepted' });
    await world.again();
    return { review, date, guest };
  }

  it('is covered by the series, shows when the series loses it, and when the series goes', async () => {
    const { review, date, guest } = await begin();
    const whole = only();
    world.calendar('fabrikam').updateEvent(guest, { subject: 'Newer' });
    await stays(whole, 'Stand-up');

    world.calendar('contoso').cancelOccurrence(review, date);
    await world.again();
    expect(world.titles()).toEqual(['Canceled: Newer', 'Stand-up']);

    world.calendar('contoso').delete(review);
    await world.again();
    expect(world.titles()).toEqual(['Canceled: Canceled: Newer']);
  });

  it('is covered although it was moved, and only its date tells which one it is', async () => {
    world.stage.simulator.switches.orphans = 'singleInstance';
    const { review, date } = await begin();
    world.calendar('contoso').updateOccurrence(review, date, { start: `${date}T15:00` });
    await world.again();

    expect(world.titles()).toEqual(['Stand-up']);
  });

  it('shows by itself first, and is covered when the series comes', async () => {
    await world.configure({ sources: [fabrikam] });
    const review = series();
    world.calendar('contoso').inviteTo(review, world.mailbox('fabrikam').state, { date: day(4), response: 'accepted' });
    await world.again();
    expect(only().body).not.toContain('RRULE');

    await world.configure({ sources: [contoso, fabrikam] });
    await world.again();
    expect(only().body).toContain('RRULE');

    await world.configure({ sources: [fabrikam] });
    await world.again();
    expect(only().body).not.toContain('RRULE');
  });

  it('shows when the series is hidden by a filter', async () => {
    await begin();
    await world.configure({ sources: [{ ...contoso, filters: { titles: ['^Stand-up$'] } }, fabrikam] });
    await world.again();

    expect(only().body).not.toContain('RRULE');
  });

  it('is covered only by the copy of the series that shows', async () => {
    const { review, date } = await begin();
    const third = world.calendar('contoso').inviteTo(review, world.mailbox('tailspin').state, { response: 'accepted' });
    await world.configure({ sources: [contoso, fabrikam, { ...tailspin, privacy: 'busy' }] });
    await world.again();
    expect(world.titles()).toEqual(['Stand-up']);
    // Only in contoso's copy, which shows more than tailspin's.
    world.stage.simulator.world.itemByKey(third.key);
    world.calendar('contoso').cancelOccurrence(review, date);
    world.calendar('tailspin').updateOccurrence(third, date, { isCancelled: false, showAs: 'busy' });
    await world.again();

    expect(world.titles()).toHaveLength(2);
  });
});

describe('copies that disagree', () => {
  async function conflicts(): Promise<
    { field: string; shown: unknown; other: unknown; rule: string; isOpen: boolean }[]
  > {
    const found = await sql<{ field: string; shown: unknown; other: unknown; rule: string; isOpen: boolean }>`
      select field, shown, other, rule, closed_at is null as "isOpen" from conflict order by id`.execute(
      world.stage.product.store.db,
    );
    return found.rows;
  }

  it('are recorded with both values and the rule, and closed when they agree', async () => {
    await world.configure({ sources: [contoso, fabrikam] });
    const copies = meeting();
    await world.again();
    expect(await conflicts()).toEqual([]);

    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Bored' });
    await world.again();
    const title = {
      field: 'title',
      shown: { source: 'fabrikam', value: 'Bored' },
      other: { source: 'contoso', value: 'Board' },
      rule: 'fabrikam was changed last',
    };
    expect(await conflicts()).toEqual([{ ...title, isOpen: true }]);

    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Board' });
    await world.again();
    expect(await conflicts()).toEqual([{ ...title, isOpen: false }]);
  });

  it('are closed when one of them goes', async () => {
    await world.configure({ sources: [contoso, fabrikam] });
    const copies = meeting();
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { start: at(6) });
    await world.again();
    expect(await conflicts()).toMatchObject([{ field: 'times', isOpen: true }]);
    world.mailbox('fabrikam').decline(copy(copies, 'fabrikam'));
    await world.again();

    expect(await conflicts()).toMatchObject([{ field: 'times', isOpen: false }]);
  });

  it('tell nothing that privacy forbids, nor after it was tightened or the source removed', async () => {
    await world.configure({ sources: [contoso, fabrikam] });
    const copies = meeting();
    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Secret', start: at(6) });
    await world.again();
    expect(JSON.stringify(await conflicts())).toContain('Secret');

    await world.configure({ sources: [contoso, { ...fabrikam, privacy: 'busy' }] });
    expect(await conflicts()).toEqual([]);
    await world.again();
    expect(await conflicts()).toMatchObject([{ field: 'times', isOpen: true }]);

    await world.configure({ sources: [contoso] });
    expect(await conflicts()).toEqual([]);
  });
});

describe('two targets', () => {
  const caldav = {
    users: [
      { name: 'alice', password: 'secret', email: 'alice@example.org' },
      { name: 'bob', password: 'secret', email: 'bob@example.org' },
    ],
  };
  const targets = [{ id: 'me' }, { id: 'you', username: 'bob' }];

  beforeEach(async () => {
    await world.close();
    world = await severalTenants(['contoso', 'fabrikam'], { caldav });
  });

  it('stay apart: each shows what goes into it, under a UID of its own', async () => {
    await world.configure({ targets, sources: [contoso, { ...fabrikam, into: 'you/work' }] });
    const copies = meeting();
    await world.again();
    const [mine, yours] = [only(world.shown('alice')), only(world.shown('bob'))];
    expect(mine.uid).not.toBe(yours.uid);

    world.calendar('fabrikam').updateEvent(copy(copies, 'fabrikam'), { subject: 'Yours' });
    await world.again();
    expect(world.titles('alice')).toEqual(['Board']);
    expect(world.titles('bob')).toEqual(['Yours']);
  });

  it('change hands when `into` does', async () => {
    await world.configure({ targets, sources: [contoso, fabrikam] });
    meeting();
    world.calendar('contoso').createEvent({ subject: 'Lunch', start: at(6) });
    await world.again();
    const shared = world.shown()[0];
    await world.configure({ targets, sources: [{ ...contoso, into: 'you/work' }, fabrikam] });
    await world.again();

    expect(world.titles('bob')).toEqual(['Board', 'Lunch']);
    expect(only(world.shown('alice'))).toMatchObject({ uid: shared?.uid, title: 'Board' });

    await world.configure({ targets, sources: [contoso, fabrikam] });
    await world.again();
    expect(world.titles('bob')).toEqual([]);
    expect(world.titles('alice')).toEqual(['Board', 'Lunch']);
  });
});

describe('a feed', () => {
  it('shows two events whose ids differ in case only, each by itself', async () => {
    const event = (uid: string, title: string): string[] => [
      'BEGIN:VEVENT',
      `UID:${uid}`,
      'DTSTAMP:20260101T000000Z',
      `DTSTART:${day(5).replaceAll('-', '')}T090000Z`,
      `SUMMARY:${title}`,
      'END:VEVENT',
    ];
    const events = [...event('AbCdEf@example', 'Upper'), ...event('abcdef@example', 'Lower')];
    const text = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Test//EN', ...events, 'END:VCALENDAR', ''].join('\r\n');
    const server = createServer((_, response) => response.setHeader('content-type', 'text/calendar').end(text));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/feed.ics`;
    try {
      await world.configure({ sources: [{ id: 'feed', kind: 'ics', url, into: 'me/work' }] });
      await world.again();
    } finally {
      server.closeAllConnections();
      server.close();
    }
    expect(world.titles()).toEqual(['Lower', 'Upper']);
    expect(new Set(world.shown().map(({ resource }) => resource.toLowerCase())).size).toBe(2);
  });

  it('merges with the meeting whose UID it carries only if allowed, and what is ours is not read from it', async () => {
    await world.configure({ sources: [contoso] });
    const own = world.calendar('contoso').createEvent({ subject: 'Board', start: at(5) });
    await world.again();
    const uid = world.stage.simulator.world.itemByKey(own.key)?.iCalUId ?? '';
    const event = (id: string, title: string): string[] => [
      'BEGIN:VEVENT',
      `UID:${id}`,
      'DTSTAMP:20260101T000000Z',
      `DTSTART:${day(5).replaceAll('-', '')}T090000Z`,
      `SUMMARY:${title}`,
      'END:VEVENT',
    ];
    const events = [...event(uid, 'Told by a feed'), ...event(only().uid, 'Ours')];
    const text = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Test//EN', ...events, 'END:VCALENDAR', ''].join('\r\n');
    const server = createServer((_, response) => response.setHeader('content-type', 'text/calendar').end(text));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/feed.ics`;
    try {
      const feed = { id: 'feed', kind: 'ics', url, into: 'me/work' };
      for (const [mayMerge, titles] of [
        [false, ['Board', 'Told by a feed']],
        [true, ['Board']],
        [false, ['Board', 'Told by a feed']],
      ] as const) {
        await world.configure({ sources: [contoso, { ...feed, mayMerge }] });
        await world.again();
        expect(world.titles()).toEqual(titles);
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('a source that reads what this service writes', () => {
  it('is refused, with the loop named', async () => {
    const { url } = world.stage.caldav;
    const loop = { id: 'loop', kind: 'caldav', url, username: 'alice', password: 'secret', calendar: 'Work' };
    const refused = await world
      .configure({ sources: [{ ...loop, into: 'me/work' }] })
      .catch((thrown: unknown) => thrown);

    expect(refused).toMatchObject({ faults: [{ code: 'config.loop', message: expect.stringContaining('me/work') }] });
  });

  it('is refused as a feed of that server too', async () => {
    const url = `${world.stage.caldav.url}calendars/alice/work?export`;
    const refused = await world
      .configure({ sources: [{ id: 'exported', kind: 'ics', url, into: 'me/work' }] })
      .catch((thrown: unknown) => thrown);

    expect(refused).toMatchObject({
      faults: [{ code: 'config.loop', message: expect.stringContaining('me/work -> exported -> me/work') }],
    });
  });

  it('is refused where it only goes on from there, for it would bring nothing', async () => {
    const { url } = world.stage.caldav;
    const onward = { id: 'onward', kind: 'caldav', url, username: 'alice', password: 'secret', calendar: 'Work' };
    const refused = await world
      .configure({
        targets: [{ id: 'me' }, { id: 'you', username: 'bob' }],
        sources: [{ ...onward, into: 'you/work' }],
      })
      .catch((thrown: unknown) => thrown);
    expect(refused).toMatchObject({
      faults: [
        {
          code: 'config.loop',
          message: expect.stringContaining('what is ours there is not read again, me/work -> onward -> you/work'),
        },
      ],
    });
  });

  it('is refused when it goes round over two targets', async () => {
    const { url } = world.stage.caldav;
    const targets = [{ id: 'me' }, { id: 'you', username: 'bob' }];
    const from = (id: string, username: string, into: string): Entry => ({
      id,
      kind: 'caldav',
      url,
      username,
      password: 'secret',
      calendar: 'work',
      into,
    });
    const refused = await world
      .configure({ targets, sources: [from('there', 'alice', 'you/work'), from('back', 'bob', 'me/work')] })
      .catch((thrown: unknown) => thrown);

    expect(refused).toMatchObject({
      faults: [
        { code: 'config.loop', message: expect.stringContaining('me/work -> there -> you/work -> back -> me/work') },
        { code: 'config.loop', message: expect.stringContaining('you/work -> back -> me/work -> there -> you/work') },
      ],
    });
  });
});
