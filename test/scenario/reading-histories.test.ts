import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { saveSource } from '../../src/store/configuration.ts';
import { discardHeld, removeClaims } from '../../src/store/claims.ts';
import { readHistory } from '../../src/store/history.ts';
import { dueSources, wantReading } from '../../src/store/sources.ts';
import { readStatus } from '../../src/store/status.ts';
import type { Pattern } from '../support/graph/patterns.ts';
import { aGraphSource } from '../support/stage.ts';
import { until } from '../support/until.ts';
import { at, day, me, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar();
});
afterEach(() => world.close());

const weekly: Pattern = { type: 'weekly', daysOfWeek: ['tuesday'] };

function fill(count: number, from = 1): { key: string }[] {
  const { simulator } = world.stage;
  return simulator.world.batch(() =>
    Array.from({ length: count }, (_, index) =>
      world.calendar.createEvent({ subject: `Event ${index}`, start: at(from + (index % 300), '10:00') }),
    ),
  );
}

function series(subject = 'Review', from = -30): { key: string } {
  return world.calendar.createSeries({
    subject,
    pattern: weekly,
    range: { type: 'numbered', startDate: day(from), numberOfOccurrences: 20 },
    start: '09:00',
  });
}

/** Dates of a series' occurrences from tomorrow on, in its own zone. */
function upcoming(ref: { key: string }): string[] {
  const item = world.calendar.events().find(({ key }) => key === ref.key);
  const found = world.calendar.expected({ from: `${day(1)}T00:00:00Z`, to: `${day(200)}T00:00:00Z` });
  return found.flatMap(({ slot, iCalUId }) => (slot !== null && iCalUId === item?.iCalUId ? [slot.slice(0, 10)] : []));
}

async function again(): Promise<void> {
  await world.stage.passTime();
  await world.stage.sync();
}

async function source() {
  const found = (await readStatus(world.stage.product.store.db)).sources[0];
  if (found === undefined) throw new Error('There is no source.');
  return found;
}

async function decide(decision: 'approve' | 'discard'): Promise<void> {
  await world.stage.product.store.transaction(async (db) => {
    if (decision === 'approve') await removeClaims(db, { id: 'contoso-me', targetId: 'me' }, 'held');
    else await discardHeld(db, 'contoso-me');
  });
}

async function errors(): Promise<(string | null)[]> {
  const lines = await readHistory(world.stage.product.store.db, { status: 'error', limit: 100 });
  return lines.map(({ code }) => code);
}

describe('a hint that comes before what it hints at', () => {
  it('costs a second or so', async () => {
    fill(1);
    await world.stage.sync();
    const { product, caldav } = world.stage;
    caldav.forget();
    await product.startWorker();
    await product.store.transaction(async (db) => {
      await sql`update object set fingerprint = null`.execute(db);
      await sql`update meeting set wanted_version = wanted_version + 1`.execute(db);
      // Its job runs before the commit, sees nothing and is done.
      await product.worker.run('deliver', 'me');
    });

    await until('the meeting is written', () => caldav.requests.some(({ method }) => method === 'PUT'));
    expect(caldav.requests.filter(({ method }) => method === 'PUT')).toHaveLength(1);
  });
});

describe('a worker that holds a page while the source changes', () => {
  const anew = aGraphSource({ id: 'contoso-me', tenant: 'contoso', mailbox: me });
  const effects = { bumpsEpoch: true, fullReading: false, isOther: false };
  const changes: [string, () => Promise<void>][] = [
    [
      'is tightened to busy',
      () =>
        world.stage.product.store.transaction((db) =>
          saveSource(db, world.stage.product.box, { ...anew, privacy: 'busy' }, 0, effects),
        ),
    ],
    [
      'is paused',
      () =>
        world.stage.product.store.transaction((db) =>
          saveSource(db, world.stage.product.box, { ...anew, isPaused: true }, 0, effects),
        ),
    ],
    [
      'goes into another calendar',
      () =>
        world.stage.product.store.transaction((db) =>
          saveSource(db, world.stage.product.box, { ...anew, into: { target: 'me', calendar: 'other' } }, 0, effects),
        ),
    ],
    [
      'is removed',
      async () => {
        await sql`delete from source`.execute(world.stage.product.store.db);
      },
    ],
  ];

  it.each(changes)('stores nothing of it when it %s', async (_, change) => {
    world.calendar.createEvent({ subject: 'Secret plan', start: at(3) });
    let changed = Promise.resolve();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    world.stage.simulator.before('calendarView/delta', () => {
      changed = change().finally(release);
    });
    // The answer leaves only after the change is committed.
    world.stage.simulator.fail({ match: 'calendarView/delta', times: 1, how: { slowMs: 400 } });
    const reading = world.read();
    await held;
    await changed;

    await expect(reading).resolves.toMatchObject({ kind: 'failed', error: { code: 'ingest.superseded' } });
    const claims = await sql`select key from claim`.execute(world.stage.product.store.db);
    expect(claims.rows).toEqual([]);
    const stale = await sql`select key from stale_series`.execute(world.stage.product.store.db);
    expect(stale.rows).toEqual([]);
  });
});

describe('a page with a series that always fails', () => {
  it('delivers the others, moves on, shows the old copy and tells', async () => {
    const poison = series('Poison');
    await world.stage.sync();
    fill(49);
    world.calendar.updateSeries(poison, { subject: 'Poison, renamed' });
    const fault = world.stage.simulator.fail({ match: new RegExp(`/events/${poison.key}`), how: { status: 500 } });
    await again();

    expect(world.titles()).toHaveLength(50);
    expect(world.titles()).toContain('Poison');
    expect(await source()).toMatchObject({ state: 'fresh', stale: 1 });
    expect(await errors()).toEqual(['graph.server_error']);

    const wait = await sql<{
      seconds: string;
    }>`select extract(epoch from not_before - since) as seconds from stale_series`.execute(
      world.stage.product.store.db,
    );
    expect(Number(wait.rows[0]?.seconds)).toBeGreaterThan(2);

    fault.clear();
    await again();
    expect(world.titles()).toContain('Poison\\, renamed');
    expect(world.compare()).toMatchObject(noDifference);
  });

  it('does not stop for a refusal that concerns this series only', async () => {
    const poison = series('Poison');
    const well = series('Well');
    world.stage.simulator.fail({
      match: new RegExp(`/events/${poison.key}`),
      how: { status: 400, code: 'ErrorInvalidRequest' },
    });
    await world.stage.sync();

    expect(world.titles()).toEqual(['Well']);
    expect((await source()).state).toBe('fresh');
    expect(well.key).not.toBe(poison.key);
  });

  it('asks again within a minute for an event that was refused once', async () => {
    const event = series('Review');
    await world.stage.sync();
    world.calendar.updateSeries(event, { subject: 'Review, renamed' });
    world.stage.simulator.fail({ match: `/events/${event.key}`, times: 1, how: { status: 403 } });
    await again();

    const { rows } = await sql<{ code: string; seconds: number }>`
      select code, extract(epoch from not_before - now())::float8 as seconds from stale_series
    `.execute(world.stage.product.store.db);
    expect(rows).toMatchObject([{ code: 'graph.event_refused' }]);
    expect(rows[0]?.seconds).toBeLessThanOrEqual(60);
    await again();
    expect(world.titles()).toEqual(['Review\\, renamed']);
  });
});

describe('a crash', () => {
  it('between any two requests of the first reading loses and doubles nothing', async () => {
    fill(130);
    series('One');
    series('Two');
    world.stage.simulator.switches.keptGenerations = 5;
    for (let cut = 0; cut < 9; cut += 1) {
      // Every run gets a little further before its process ends.
      let seen = 0;
      const { worker } = world.stage.product;
      const stopAt = (): void => {
        if (seen === cut) {
          void worker.stop();
          return;
        }
        seen += 1;
        world.stage.simulator.before('https://graph.', stopAt);
      };
      world.stage.simulator.before('https://graph.', stopAt);
      await worker.run('ingest', 'contoso-me');
      await world.stage.restart();
    }
    await again();
    await again();

    expect(world.compare()).toMatchObject({ ...noDifference, expected: expect.any(Number) });
    expect(world.titles()).toHaveLength(132);
  });

  const readings: [string, () => Promise<unknown>][] = [
    ['a first reading', () => Promise.resolve()],
    [
      'an ordered full reading',
      async () => {
        await world.stage.sync();
        await wantReading(world.stage.product.store.db, 'contoso-me', true);
      },
    ],
  ];

  it.each(readings)('in the middle of %s goes on after the last page that was stored', async (_, order) => {
    const { simulator } = world.stage;
    fill(330);
    await order();
    const isDelta = ({ url }: { url: string }): boolean => url.includes('/calendarView/delta');
    const skips = (): string[] =>
      simulator.requests.filter(isDelta).flatMap(({ url }) => new URL(url).searchParams.get('$skiptoken') ?? []);
    simulator.requests.splice(0);
    // The third page is on its way when the process ends.
    simulator.before('$skiptoken', () => {
      simulator.before('$skiptoken', () => void world.stage.product.worker.stop());
    });
    await world.stage.product.worker.run('ingest', 'contoso-me');
    const asked = skips();
    expect(asked).toHaveLength(2);
    await world.stage.restart();
    simulator.requests.splice(0);
    await world.stage.sync();

    const pages = simulator.requests.filter(isDelta);
    expect(pages.filter(({ url }) => url.includes('startDateTime'))).toEqual([]);
    expect(skips()[0]).toBe(asked[1]);
    expect(world.compare()).toMatchObject({ ...noDifference, expected: 330 });
  });

  it('of the database in the middle of a page stores nothing of it, and moves no cursor', async () => {
    fill(3);
    await world.stage.sync();
    const { db } = world.stage.product.store;
    world.calendar.createEvent({ subject: 'New', start: at(5) });
    await sql`alter table claim add constraint away check (round < 0) not valid`.execute(db);
    await world.stage.passTime();
    expect(await world.read()).toMatchObject({ kind: 'failed' });
    await sql`alter table claim drop constraint away`.execute(db);
    await again();

    expect(world.compare()).toMatchObject({ ...noDifference, expected: 4 });
  });

  it('after the commit and before the hint costs nothing: another process finds what is due', async () => {
    fill(3);
    await world.read();
    await world.stage.restart();
    await world.stage.sync();

    expect(world.compare()).toMatchObject({ ...noDifference, expected: 3 });
  });
});

describe('a cursor that Graph no longer knows', () => {
  const signs = [
    { status: 410, code: 'SyncStateNotFound', location: true },
    { status: 410, code: 'syncStateInvalid', location: false },
    { status: 400, code: 'SyncStateNotFound', location: false },
    { status: 404, code: 'syncStateNotFound', location: false },
    { status: 400, code: 'resyncRequired', location: false },
  ] as const;

  it.each(signs)('leads to a full reading in the same run, by status $status $code', async (sign) => {
    world.stage.simulator.switches.syncStateError = sign;
    const [first] = fill(5);
    await world.stage.sync();
    world.stage.simulator.forgetDeltaTokens();
    if (first) world.calendar.delete(first);
    world.calendar.createEvent({ subject: 'New', start: at(9) });
    await world.stage.passTime();
    world.stage.caldav.forget();

    expect(await world.read()).toMatchObject({ kind: 'done', counts: { changed: 1, removed: 1 } });
    await world.stage.sync();
    expect(world.compare()).toMatchObject({ ...noDifference, expected: 5 });
    // What had not changed was not written again.
    expect(world.stage.caldav.requests.filter(({ method }) => method === 'PUT')).toHaveLength(1);
  });

  it('in the middle of a full reading starts it again', async () => {
    fill(250);
    world.stage.simulator.before('$skiptoken', () => world.stage.simulator.forgetDeltaTokens());
    await world.stage.sync();

    expect(world.compare()).toMatchObject({ ...noDifference, expected: 250 });
  });

  it('again and again backs off', async () => {
    world.stage.simulator.fail({ match: 'calendarView/delta', how: { status: 410 } });

    expect(await world.read()).toMatchObject({ kind: 'failed', error: { code: 'graph.sync_state_lost' } });
    expect(await dueSources(world.stage.product.store.db)).toEqual([]);
    expect(world.stage.simulator.requests.filter(({ url }) => url.includes('/delta'))).toHaveLength(2);
  });
});

describe('a source in trouble', () => {
  const troubles: [string, () => { clear: () => void }][] = [
    ['403 for everything', () => world.stage.simulator.fail({ match: 'https://graph.', how: { status: 403 } })],
    [
      'a mailbox without licence',
      () =>
        world.stage.simulator.fail({
          match: 'https://graph.',
          how: { status: 404, code: 'MailboxNotEnabledForRESTAPI' },
        }),
    ],
    [
      '404 for events and calendars',
      () => world.stage.simulator.fail({ match: 'https://graph.', how: { status: 404, code: 'ErrorItemNotFound' } }),
    ],
    ['a web page for everything', () => world.stage.simulator.fail({ match: 'https://graph.', how: { html: 200 } })],
    ['half an answer', () => world.stage.simulator.fail({ match: 'https://graph.', how: { truncated: true } })],
    ['500 after the first page', () => world.stage.simulator.fail({ match: '$skiptoken', how: { status: 500 } })],
  ];

  it.each(troubles)('deletes nothing: %s', async (_, begin) => {
    fill(150);
    series();
    await world.stage.sync();
    const fault = begin();
    world.stage.simulator.forgetDeltaTokens();
    for (let times = 0; times < 3; times += 1) {
      await wantReading(world.stage.product.store.db, 'contoso-me', true);
      await again();
    }
    expect(world.titles()).toHaveLength(151);
    expect((await source()).state).not.toBe('fresh');

    fault.clear();
    await again();
    await again();
    expect(world.compare()).toMatchObject(noDifference);
    expect((await source()).state).toBe('fresh');
  });

  it('takes an empty first page for nothing but a question', async () => {
    fill(20);
    series();
    await world.stage.sync();
    const { simulator } = world.stage;
    const saved = simulator.snapshot();
    simulator.before('startDateTime', () => {
      simulator.world.state.items = [];
      simulator.world.reindex();
      simulator.before('/events/', () => simulator.restore(saved));
    });
    await wantReading(world.stage.product.store.db, 'contoso-me', true);
    await again();

    expect(world.titles()).toHaveLength(21);
    expect((await readStatus(world.stage.product.store.db)).sources[0]?.held).toBe(0);
  });

  it('pauses with what to do, is probed hourly and heals by itself', async () => {
    fill(2);
    await world.stage.sync();
    const fault = world.stage.simulator.fail({ match: 'https://graph.', how: { status: 403 } });
    await again();

    expect(await source()).toMatchObject({ state: 'needs-operator', code: 'graph.access_denied' });
    expect((await source()).remedy).toContain('Calendars.Read');
    const { db } = world.stage.product.store;
    const wait = await sql<{ minutes: number }>`
      select extract(epoch from not_before - now())::int / 60 as minutes from source`.execute(db);
    expect(wait.rows[0]?.minutes).toBeGreaterThanOrEqual(58);
    expect(await dueSources(db)).toEqual([]);

    fault.clear();
    await again();
    expect(await source()).toMatchObject({ state: 'fresh', code: null });
  });

  it('waits as long as Graph asks, fractions included', async () => {
    world.stage.simulator.fail({ match: 'delta', times: 1, how: { status: 429, retryAfter: '77.5' } });
    await world.read();
    const { db } = world.stage.product.store;
    const wait = await sql<{ seconds: string }>`
      select extract(epoch from not_before - now()) as seconds from source`.execute(db);

    expect(Number(wait.rows[0]?.seconds)).toBeGreaterThan(76);
    expect(Number(wait.rows[0]?.seconds)).toBeLessThan(78);
  });
});

describe('removals', () => {
  it.each([
    [1, 0],
    [2, 0],
    [3, 3],
  ])('of all %i events of a calendar leave %i held', async (count, held) => {
    const events = fill(count);
    await world.stage.sync();
    for (const event of events) world.calendar.delete(event);
    await again();

    expect((await source()).held).toBe(held);
    expect(world.titles()).toHaveLength(held);
  });

  it('that are too many are held while the rest goes on; approved, they go', async () => {
    const events = fill(160);
    await world.stage.sync();
    // Over several pages, mixed with other changes.
    for (const [index, event] of events.slice(0, 120).entries())
      if (index % 2 === 0) world.calendar.delete(event);
      else world.calendar.updateEvent(event, { subject: 'Renamed' });
    world.calendar.createEvent({ subject: 'New', start: at(5) });
    await again();

    expect((await source()).held).toBe(60);
    expect(world.titles()).toHaveLength(161);
    expect(world.titles().filter((title) => title === 'Renamed')).toHaveLength(60);
    expect(await errors()).toEqual(['guard.held']);

    await decide('approve');
    await world.stage.sync();
    expect(world.compare()).toMatchObject({ ...noDifference, expected: 101 });
  });

  it('that are held and discarded are asked for again, and held again', async () => {
    const events = fill(30);
    await world.stage.sync();
    for (const event of events.slice(0, 15)) world.calendar.delete(event);
    await again();
    expect((await source()).held).toBe(15);

    await decide('discard');
    expect((await source()).held).toBe(0);
    await world.stage.sync();
    expect((await source()).held).toBe(15);
    expect(world.titles()).toHaveLength(30);
  });

  it('that are held are forgotten for what comes back', async () => {
    const events = fill(30);
    await world.stage.sync();
    const saved = world.stage.simulator.snapshot();
    for (const event of events.slice(0, 15)) world.calendar.delete(event);
    await again();
    expect((await source()).held).toBe(15);

    world.stage.simulator.restore(saved);
    await again();
    expect((await source()).held).toBe(0);
    expect(world.compare()).toMatchObject({ ...noDifference, expected: 30 });
    const left = await sql`select state from removal where state = 'held'`.execute(world.stage.product.store.db);
    expect(left.rows).toEqual([]);
  });

  it('spread over a day count together', async () => {
    const events = fill(40);
    await world.stage.sync();
    for (const event of events.slice(0, 8)) world.calendar.delete(event);
    await again();
    expect(world.titles()).toHaveLength(32);
    for (const event of events.slice(8, 11)) world.calendar.delete(event);
    await again();

    expect((await source()).held).toBe(3);
    expect(world.titles()).toHaveLength(32);
  });
});

describe('an event that leaves the window', () => {
  it('is shown where it went, and comes back', async () => {
    const [event] = fill(1);
    if (event === undefined) throw new Error('There is no event.');
    await world.stage.sync();
    world.calendar.updateEvent(event, { start: at(900, '10:00') });
    await again();
    expect(world.stage.bodies()[0]).toContain(day(900).replaceAll('-', ''));

    world.calendar.updateEvent(event, { start: at(4, '10:00') });
    await again();
    expect(world.compare()).toMatchObject({ ...noDifference, expected: 1 });
    expect(await errors()).toEqual([]);
  });

  it('is not gone because Graph refuses to tell of it', async () => {
    const [event] = fill(2);
    if (event === undefined) throw new Error('There is no event.');
    await world.stage.sync();
    world.calendar.updateEvent(event, { start: at(900, '10:00') });
    world.stage.simulator.fail({ match: `/events/${event.key}`, how: { status: 403 } });
    await again();

    expect(world.titles()).toEqual(['Event 0', 'Event 1']);
  });

  it.each([
    [true, 2],
    [false, 1],
  ])('by growing old stays or goes as keepPast says (%s)', async (keepPast, left) => {
    await world.close();
    world = await oneCalendar({ source: { keepPast } });
    world.calendar.createEvent({ subject: 'Long ago', start: at(-80) });
    world.calendar.createEvent({ subject: 'Soon', start: at(3) });
    await world.stage.sync();
    const effects = { bumpsEpoch: false, fullReading: true, isOther: false };
    const narrower = aGraphSource({
      id: 'contoso-me',
      tenant: 'contoso',
      mailbox: me,
      keepPast,
      window: { pastDays: 30, futureDays: 730 },
    });
    await world.stage.product.store.transaction((db) => saveSource(db, world.stage.product.box, narrower, 0, effects));
    await again();

    expect(world.titles()).toHaveLength(left);
    expect(await errors()).toEqual([]);
  });
});

describe('an event that goes to another calendar and comes back', () => {
  it.each([1, 2, 3, 4, 5, 6])('is there at the end, however Graph tells it (%i)', async (seed) => {
    const disorder = { seed, shuffle: true, duplicates: 0, replays: 0, emptyPages: 0, strangeRemovals: false };
    world.stage.simulator.switches.disorder = disorder;
    const other = world.mailbox.addCalendar('Other');
    const [event] = fill(2);
    if (event === undefined) throw new Error('There is no event.');
    await world.stage.sync();
    world.calendar.move(event, other);
    await again();
    expect(world.titles()).toEqual(['Event 1']);

    // Its removal and its return are told in one round.
    other.move(event, world.calendar);
    world.calendar.move(event, other);
    other.move(event, world.calendar);
    await again();
    expect(world.titles()).toEqual(['Event 0', 'Event 1']);
  });
});

describe('a rescheduled series', () => {
  it.each(['yes', 'no', 'nor-seriesMasterId'] as const)(
    'leaves no ghosts, with immutable occurrence ids: %s',
    async (immutableOccurrenceIds) => {
      world.stage.simulator.switches.immutableOccurrenceIds = immutableOccurrenceIds;
      const review = series();
      const [date = ''] = upcoming(review);
      world.calendar.updateOccurrence(review, date, { start: `${date}T15:00`, subject: 'Later' });
      await world.stage.sync();
      world.calendar.reschedule(review, { pattern: { type: 'weekly', daysOfWeek: ['friday'] }, start: '14:00' });
      await again();

      expect(world.titles()).toEqual(['Review']);
      expect(world.compare()).toMatchObject(noDifference);
    },
  );
});

describe('a series that changes between the reading of its master and of its instances', () => {
  it('is read again, not shown as a list', async () => {
    const review = series();
    world.stage.simulator.before('/instances', () => world.calendar.reschedule(review, { start: '16:00' }));
    await world.stage.sync();

    const modes = await sql<{ mode: string }>`select "check"->>'mode' as mode from claim`.execute(
      world.stage.product.store.db,
    );
    expect(modes.rows).toEqual([{ mode: 'rule' }]);
    expect(world.compare()).toMatchObject(noDifference);
  });
});

describe('a full reading', () => {
  it('ordered while one runs is done after it', async () => {
    fill(250);
    const { db } = world.stage.product.store;
    let ordered: Promise<unknown> = Promise.resolve();
    world.stage.simulator.before('$skiptoken', () => {
      ordered = wantReading(db, 'contoso-me', true);
    });
    world.stage.simulator.fail({ match: '$skiptoken', times: 1, how: { slowMs: 200 } });
    await world.read();
    await ordered;
    expect(await dueSources(db)).toEqual(['contoso-me']);
    const before = world.stage.simulator.requests.filter(({ url }) => url.includes('startDateTime')).length;
    await world.stage.sync();

    const after = world.stage.simulator.requests.filter(({ url }) => url.includes('startDateTime')).length;
    expect(after - before).toBe(1);
    expect(await dueSources(db)).toEqual([]);
  });

  it('takes over only after a last round of the old stream', async () => {
    const [event] = fill(120);
    if (event === undefined) throw new Error('There is no event.');
    await world.stage.sync();
    await wantReading(world.stage.product.store.db, 'contoso-me', true);
    // Told by the first page already, changed before the second.
    world.stage.simulator.before('$skiptoken', () => world.calendar.updateEvent(event, { subject: 'Changed' }));
    await again();

    expect(world.titles()).toContain('Changed');
    expect(world.compare()).toMatchObject({ ...noDifference, expected: 120 });
  });
});

describe('a daily series since 2010, while the window rolls ten times', () => {
  it('stays one object that is not written again at each roll', async () => {
    let now = new Date();
    await world.close();
    world = await oneCalendar({ clock: { now: () => now }, source: { window: { pastDays: 30, futureDays: 60 } } });
    world.calendar.createSeries({
      subject: 'Walk',
      pattern: { type: 'daily' },
      range: { type: 'noEnd', startDate: '2010-03-01' },
      start: '08:00',
    });
    await world.stage.sync();
    const [first] = world.stage.bodies();
    world.stage.caldav.forget();
    for (let month = 0; month < 10; month += 1) {
      now = new Date(now.getTime() + 30 * 86_400_000);
      await again();
    }

    expect(world.stage.bodies()).toEqual([first]);
    expect(world.stage.caldav.requests.filter(({ method }) => method === 'PUT')).toEqual([]);
    const { db } = world.stage.product.store;
    const streams = await sql<{ kind: string; rolled: boolean }>`
      select kind, window_from > now() + interval '150 days' as rolled from stream`.execute(db);
    expect(streams.rows).toEqual([{ kind: 'delta', rolled: true }]);
  }, 90_000);
});
