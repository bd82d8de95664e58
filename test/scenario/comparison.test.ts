import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import type { SourceConfig } from '../../src/config/model.ts';
import { saveSource, saveTarget } from '../../src/store/configuration.ts';
import { readHistory } from '../../src/store/history.ts';
import { readStatus, type SourceStatus } from '../../src/store/status.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';
import { at, day, me, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';

let world: OneCalendar;
beforeEach(async () => {
  const users = ['alice', 'bob'].map((name) => ({ name, password: 'secret', email: `${name}@example.org` }));
  world = await oneCalendar({ caldav: { users } });
});
afterEach(() => world.close());

async function source(id = 'contoso-me'): Promise<SourceStatus> {
  const found = (await readStatus(world.stage.product.store.db)).sources.find((one) => one.id === id);
  if (found === undefined) throw new Error(`There is no source ${id}.`);
  return found;
}

function fill(): { key: string } {
  world.calendar.createEvent({ subject: 'Dentist', start: at(3) });
  const review = world.calendar.createSeries({
    subject: 'Review',
    pattern: { type: 'daily' },
    range: { type: 'numbered', startDate: day(2), numberOfOccurrences: 10 },
    start: '15:00',
  });
  world.calendar.cancelOccurrence(review, day(4));
  return review;
}

/** As if a week had gone by since the last comparison. */
async function compareNow(): Promise<SourceStatus> {
  await sql`update source set compare_at = now() - interval '1 second'`.execute(world.stage.product.store.db);
  await world.stage.product.comparisons.run();
  return source();
}

async function lastComparison() {
  return (await readHistory(world.stage.product.store.db, { action: 'compare', limit: 1 }))[0];
}

describe('the weekly comparison', () => {
  it('is planned for a day after the first reading, and finds a true mirror to be true', async () => {
    fill();
    await world.stage.sync();
    await world.stage.product.comparisons.run();
    expect(await source()).toMatchObject({ drift: null, comparedAt: null });

    expect(await compareNow()).toMatchObject({ drift: 0, comparedAt: expect.any(String) });
    expect(await lastComparison()).toMatchObject({ status: 'ok', source: 'contoso-me', counts: { same: 10 } });
    const before = world.stage.simulator.requests.length;
    await world.stage.product.comparisons.run();
    expect(world.stage.simulator.requests.length).toBe(before);
  });

  it('finds what no delta told, and has it read and delivered before anything is said', async () => {
    const review = fill();
    await world.stage.sync();
    const item = world.calendar.events().find(({ key }) => key === review.key);
    if (item === undefined) throw new Error('There is no series.');
    item.cancelled = [...item.cancelled, day(6)];
    item.fields = { ...item.fields, subject: 'Changed behind every delta' };

    expect(await compareNow()).toMatchObject({ drift: 0 });
    expect(world.titles()).toContain('Changed behind every delta');
    expect(world.compare()).toMatchObject({ missing: [], surplus: [] });
  });

  it('publishes what stays different', async () => {
    await saveTarget(
      world.stage.product.store.db,
      world.stage.product.box,
      aTarget(world.stage.caldav.url, { drift: 'keep' }),
    );
    fill();
    await world.stage.sync();
    const [entry] = [...world.stage.caldav.objects('alice', 'work')].filter(([, { body }]) => body.includes('Dentist'));
    if (entry === undefined) throw new Error('There is no such object.');
    const [href, { body }] = entry;
    const name = href.slice(href.lastIndexOf('/') + 1);
    world.stage.caldav.store('alice', 'work', name, body.replace('SUMMARY:Dentist', 'SUMMARY:Mine'));

    expect(await compareNow()).toMatchObject({ drift: 2 });
    expect(await lastComparison()).toMatchObject({
      status: 'error',
      code: 'compare.drift',
      counts: { same: 9, missing: 1, surplus: 1 },
    });
  });

  it('waits for a source that cannot be read, and tells nothing wrong of it', async () => {
    fill();
    await world.stage.sync();
    world.stage.simulator.fail({ match: /calendarView\?/, how: { status: 503 } });

    expect(await compareNow()).toMatchObject({ drift: null, comparedAt: null });
    expect(await lastComparison()).toBeUndefined();
  });
});

describe('a reading', () => {
  it('tells what it cost and did', async () => {
    fill();
    await world.stage.sync();

    expect((await source()).lastReading).toMatchObject({
      pages: 1,
      changed: 2,
      rebuilt: 1,
      durationMs: expect.any(Number),
    });
  });
});

describe('verify', () => {
  async function add(settings: Partial<SourceConfig> & { kind: string; id: string }): Promise<void> {
    const { store, box } = world.stage.product;
    const { tenant: _, mailbox: __, ...common } = aGraphSource({ id: settings.id, tenant: 'contoso', mailbox: me });
    const effects = { bumpsEpoch: true, fullReading: true, isOther: false };
    const config = { ...common, ...settings } as SourceConfig;
    await store.transaction((db) => saveSource(db, box, config, 1, effects));
  }

  const text = (uid: string, title: string, ...lines: string[]): string =>
    [
      'BEGIN:VEVENT',
      `UID:${uid}`,
      'DTSTAMP:20260101T000000Z',
      `DTSTART:${day(3).replaceAll('-', '')}T090000Z`,
      `DTEND:${day(3).replaceAll('-', '')}T100000Z`,
      `SUMMARY:${title}`,
      ...lines,
      'END:VEVENT',
      '',
    ].join('\r\n');
  const calendar = (...events: string[]): string =>
    `BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//x//EN\r\n${events.join('')}END:VCALENDAR\r\n`;

  it('asks a CalDAV calendar too, occurrence by occurrence', async () => {
    const { caldav } = world.stage;
    caldav.makeCalendar('bob', 'home');
    caldav.store('bob', 'home', 'a.ics', calendar(text('a', 'Yoga', 'RRULE:FREQ=DAILY;COUNT=5')));
    caldav.store('bob', 'home', 'b.ics', calendar(text('b', 'Plumber')));
    await add({
      id: 'bob-home',
      kind: 'caldav',
      url: caldav.url,
      username: 'bob',
      password: 'secret',
      calendar: 'home',
    });
    await world.stage.sync();
    const { code, out } = await runCli(world.stage, ['verify', 'bob-home']);
    expect({ code, out }).toEqual({ code: 0, out: 'bob-home: 6 as in the source\n' });

    caldav.store('bob', 'home', 'a.ics', calendar(text('a', 'Yoga', 'RRULE:FREQ=DAILY;COUNT=4')));
    caldav.discard('bob', 'home', 'b.ics');
    const { results } = JSON.parse((await runCli(world.stage, ['verify', 'bob-home', '--json'])).out) as {
      results: { same: number; surplus: unknown[] }[];
    };
    expect(results).toMatchObject([{ same: 4, missing: [], surplus: [{}, {}] }]);
  });

  it('asks a feed too, and says that flows cannot be asked', async () => {
    let feed = calendar(text('a', 'Match', 'RRULE:FREQ=WEEKLY;COUNT=3'));
    const server: Server = createServer((_, response) => response.end(feed));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/feed.ics`;
      await add({ id: 'feed', kind: 'ics', url, mayMerge: false });
      await world.stage.sync();
      expect((await runCli(world.stage, ['verify', 'feed'])).out).toBe('feed: 3 as in the source\n');

      feed = calendar(text('a', 'Match', 'RRULE:FREQ=WEEKLY;COUNT=4'));
      expect((await runCli(world.stage, ['verify', 'feed'])).out).toContain('feed: 3 as in the source, 1 missing\n');
    } finally {
      server.close();
    }
    await add({ id: 'flow', kind: 'powerautomate', mailbox: 'x@y.example', key: 'a-key' });
    expect((await runCli(world.stage, ['verify', 'flow'])).out).toMatch(/flow: not compared, flows post/);
  });
});
