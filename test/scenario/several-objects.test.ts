import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { readStatus } from '../../src/store/status.ts';
import { day, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar();
});
afterEach(() => world.close());

/** A monthly series on day 30, which Outlook shows on the last day of February: two objects. */
function onDayThirty(): { key: string } {
  return world.calendar.createSeries({
    subject: 'Rent',
    pattern: { type: 'absoluteMonthly', dayOfMonth: 30 },
    range: { type: 'noEnd', startDate: `${Number(day(0).slice(0, 4)) - 1}-11-30` },
    start: '09:00',
  });
}

/** Six weeks in a zone whose name is lost: too short to prove any zone by, so an object for each date. */
function ofLostZone(): { key: string } {
  return world.calendar.createSeries({
    subject: 'Stand-up',
    pattern: { type: 'weekly', daysOfWeek: ['wednesday'] },
    range: { type: 'numbered', startDate: day(3), numberOfOccurrences: 6 },
    start: '09:00',
    zone: 'tzone://Microsoft/Custom',
    actualZone: 'Asia/Kathmandu',
  });
}

/** The source's own dates of a series, those that are to come. */
function dates(ref: { key: string }): string[] {
  const item = world.calendar.events().find(({ key }) => key === ref.key);
  const found = world.calendar.expected({ from: `${day(1)}T00:00:00Z`, to: `${day(200)}T00:00:00Z` });
  return found.flatMap(({ slot, iCalUId }) => (slot !== null && iCalUId === item?.iCalUId ? [slot.slice(0, 10)] : []));
}

async function again(): Promise<void> {
  await world.stage.passTime();
  await world.stage.sync();
}

/** Makes every calendar of the target due for a look at what clients did. */
async function look(): Promise<void> {
  await sql`update target_calendar set checked_at = null`.execute(world.stage.product.store.db);
  await again();
}

function objects(): { name: string; body: string }[] {
  return [...world.stage.caldav.objects('alice', 'work')]
    .map(([href, { body }]) => ({ name: href.split('/').at(-1) ?? '', body }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const names = (): string[] => objects().map(({ name }) => name);

describe('a series that takes several objects', () => {
  it('shows what Outlook shows, and each object bears the meeting’s own mark', async () => {
    onDayThirty();
    ofLostZone();
    await world.stage.sync();

    expect(world.compare()).toMatchObject(noDifference);
    expect(world.titles()).toEqual(['Rent', 'Rent', ...Array.from({ length: 6 }, () => 'Stand-up')]);
    const uids = objects().map(({ body }) => /^UID:(.*)\r$/m.exec(body)?.[1] ?? '');
    expect(new Set(uids).size).toBe(8);
    expect(new Set(uids.map((uid) => uid.slice(uid.lastIndexOf('@')))).size).toBe(1);
    expect(new Set(names().map((name) => name.slice(0, 26))).size).toBe(2);
  });

  it('says how it was proven: doctor counts, explain gives the reason', async () => {
    const rent = onDayThirty();
    const standUp = ofLostZone();
    await world.stage.sync();

    const { out, code } = await runCli(world.stage, ['doctor', '--json']);
    const { checks } = JSON.parse(out) as { checks: { name: string; state: string; says: string }[] };
    expect(checks.find(({ name }) => name === 'series')).toMatchObject({
      state: 'warning',
      says: expect.stringMatching(
        /^2 shown as Graph shows them: 1 by their rule, 1 date by date\. 1 of contoso-me: Shown date by date because/,
      ),
    });
    expect(code).toBe(0);
    const told = await runCli(world.stage, ['explain', standUp.key]);
    expect(told.out).toMatch(
      /How the series was proven:\n\s+contoso-me: no rule shows what the source shows; Shown date/,
    );
    expect((await runCli(world.stage, ['explain', rent.key])).out).not.toContain('How the series was proven');
  });

  it('makes no request when nothing changed, and one for the object that did', async () => {
    onDayThirty();
    const standUp = ofLostZone();
    await world.stage.sync();
    await again();
    world.stage.caldav.forget();
    await again();
    expect(world.stage.caldav.requests.filter(({ method }) => method === 'PUT')).toEqual([]);

    const [, second = ''] = dates(standUp);
    world.calendar.updateOccurrence(standUp, second, { start: `${second}T11:00`, subject: 'Stand-up, later' });
    await again();
    expect(world.compare()).toMatchObject(noDifference);
    expect(world.stage.caldav.requests.filter(({ method }) => ['PUT', 'DELETE'].includes(method))).toHaveLength(1);
  });

  it('loses the object of a date that is cancelled, and no other', async () => {
    const standUp = ofLostZone();
    await world.stage.sync();
    const before = names();
    const [, second = ''] = dates(standUp);
    world.calendar.cancelOccurrence(standUp, second);
    await again();

    expect(world.compare()).toMatchObject(noDifference);
    expect(names()).toHaveLength(5);
    expect(before).toEqual(expect.arrayContaining(names()));
  });

  it('has every object put right that a client changed or deleted', async () => {
    onDayThirty();
    ofLostZone();
    await world.stage.sync();
    const before = objects();
    for (const [index, { name, body }] of before.entries()) {
      if (index % 2 === 0) world.stage.caldav.discard('alice', 'work', name);
      else world.stage.caldav.store('alice', 'work', name, body.replace(/SUMMARY:.*/, 'SUMMARY:Mine'));
    }
    await look();

    expect(world.compare()).toMatchObject(noDifference);
    expect(objects()).toEqual(before);
  });

  it('becomes one object, and several again, with the series that Outlook shows', async () => {
    const rent = onDayThirty();
    const standUp = ofLostZone();
    await world.stage.sync();
    const start = `${Number(day(0).slice(0, 4)) - 1}-11-28`;
    world.calendar.reschedule(rent, {
      pattern: { type: 'absoluteMonthly', dayOfMonth: 28 },
      range: { type: 'noEnd', startDate: start },
    });
    world.calendar.reschedule(standUp, { zone: 'Nepal Standard Time' });
    await again();
    expect(world.compare()).toMatchObject(noDifference);
    expect(world.titles()).toEqual(['Rent', 'Stand-up']);

    world.calendar.reschedule(rent, { pattern: { type: 'absoluteMonthly', dayOfMonth: 29 } });
    world.calendar.reschedule(standUp, { zone: 'tzone://Microsoft/Custom' });
    await again();
    expect(world.compare()).toMatchObject(noDifference);
    expect(world.titles()).toHaveLength(8);
  });

  it('goes with all its objects when it is deleted, and comes back with all of them from the trash', async () => {
    const rent = onDayThirty();
    const standUp = ofLostZone();
    await world.stage.sync();
    const before = names();
    world.calendar.deleteSeries(rent);
    world.calendar.deleteSeries(standUp);
    await again();
    expect(names()).toEqual([]);
    expect((await readStatus(world.stage.product.store.db)).targets).toMatchObject([{ objects: 0, due: 0 }]);

    const { out } = await runCli(world.stage, ['trash', 'list', '--json']);
    const entries = JSON.parse(out) as { id: string; title: string }[];
    expect(entries).toHaveLength(8);
    for (const title of ['Rent', 'Stand-up']) {
      const { id = '' } = entries.find((entry) => entry.title === title) ?? {};
      expect(await runCli(world.stage, ['trash', 'restore', id])).toMatchObject({ code: 0 });
    }
    await again();
    expect(names()).toEqual(before);
    await look();
    expect(names()).toEqual(before);
  });
});
