import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readHistory } from '../../src/store/history.ts';
import { readStatus } from '../../src/store/status.ts';
import { at, day, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';

let world: OneCalendar;
beforeEach(async () => {
  // The trials take hours, and a window ends with a day: all of them are on one.
  world = await oneCalendar({ startsAt: new Date(`${day(0)}T06:00:00Z`) });
  world.calendar.createSeries({
    subject: 'Walk',
    pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
    range: { type: 'noEnd', startDate: day(-20) },
    start: '08:00',
  });
  world.calendar.createEvent({ subject: 'Soon', start: at(3) });
  world.calendar.createEvent({ subject: 'Next year', start: at(400) });
});
afterEach(() => world.close());

async function read(times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    await world.stage.passTime();
    await world.read();
  }
}

async function source() {
  const [found] = (await readStatus(world.stage.product.store.db)).sources;
  return { state: found?.state, readUntil: found?.readUntil?.slice(0, 10) ?? null };
}

async function tooLong(): Promise<number> {
  const lines = await readHistory(world.stage.product.store.db, { limit: 100 });
  return lines.filter(({ code }) => code === 'ingest.window_too_long').length;
}

const minuteMs = 60_000;

/** How often the calendar was asked anew. */
function trials(): number {
  return world.stage.simulator.requests.splice(0).filter(({ url }) => url.includes('startDateTime')).length;
}

describe('a window for which Graph cannot answer', () => {
  it('is halved while the calendar answers, until it can be read', async () => {
    world.stage.simulator.switches.longestEndlessDays = 300;
    await read(7);
    expect({ ...(await source()), told: await tooLong() }).toEqual({ state: 'failing', readUntil: null, told: 0 });

    await read(1);
    expect({ ...(await source()), told: await tooLong() }).toEqual({ state: 'fresh', readUntil: day(184), told: 2 });
    await world.stage.sync();
    expect(world.titles()).toEqual(['Soon', 'Walk']);
  });

  it('keeps what it showed beyond; the whole is tried after an hour and ever later, and no change waits for that', async () => {
    await world.stage.sync();
    world.stage.simulator.switches.longestEndlessDays = 500;
    await read(8);
    expect(world.titles()).toEqual(['Next year', 'Soon', 'Walk']);
    expect(await source()).toEqual({ state: 'fresh', readUntil: day(366) });

    trials();
    await world.stage.advance(50 * minuteMs);
    await world.read();
    expect(trials()).toBe(0);
    for (const event of world.calendar.events())
      if (event.fields.subject === 'Soon') world.calendar.updateEvent(event, { subject: 'Changed' });
    await world.stage.advance(11 * minuteMs);
    expect(await world.read()).toMatchObject({ kind: 'done', counts: { changed: 1 } });
    expect({ ...(await source()), trials: trials() }).toEqual({ state: 'fresh', readUntil: day(366), trials: 1 });
    await world.stage.product.worker.run('deliver', 'me');
    expect(world.titles()).toContain('Changed');

    await world.stage.advance(110 * minuteMs);
    await world.read();
    expect(trials()).toBe(0);
    await world.stage.advance(10 * minuteMs);
    await world.read();
    expect({ ...(await source()), trials: trials() }).toEqual({ state: 'fresh', readUntil: day(366), trials: 1 });

    world.stage.simulator.switches.longestEndlessDays = null;
    await world.stage.advance(240 * minuteMs);
    await world.read();
    expect({ ...(await source()), trials: trials() }).toEqual({ state: 'fresh', readUntil: null, trials: 1 });
    await world.stage.sync();
    expect(world.compare()).toMatchObject(noDifference);
  });

  it('becomes longer step by step where the whole stays too long', async () => {
    world.stage.simulator.switches.longestEndlessDays = 300;
    await read(8);
    expect(await source()).toEqual({ state: 'fresh', readUntil: day(184) });
    world.stage.simulator.switches.longestEndlessDays = 500;
    await world.stage.advance(61 * minuteMs);
    await world.read();
    expect(await source()).toEqual({ state: 'fresh', readUntil: day(184) });

    await world.stage.advance(120 * minuteMs);
    await world.read();
    expect(await source()).toEqual({ state: 'fresh', readUntil: day(366) });
  });

  it('goes on with a trial that got further', async () => {
    world.stage.simulator.world.batch(() => {
      for (let index = 0; index < 120; index += 1) world.calendar.createEvent({ subject: `${index}`, start: at(300) });
    });
    world.stage.simulator.switches.longestEndlessDays = 300;
    await read(8);
    world.stage.simulator.switches.longestEndlessDays = null;
    await world.stage.advance(61 * minuteMs);
    let fault: { clear: () => void } | null = null;
    world.stage.simulator.before('$skiptoken', () => {
      world.stage.simulator.before('$skiptoken', () => {
        fault = world.stage.simulator.fail({ match: '$skiptoken', how: { status: 504 } });
      });
    });
    trials();
    await world.read();
    expect({ ...(await source()), trials: trials() }).toEqual({ state: 'fresh', readUntil: day(184), trials: 1 });

    (fault as { clear: () => void } | null)?.clear();
    await world.stage.advance(2 * minuteMs);
    await world.read();
    expect({ ...(await source()), trials: trials() }).toEqual({ state: 'fresh', readUntil: null, trials: 0 });
  });

  it('is not blamed while nothing answers', async () => {
    world.stage.simulator.fail({ match: 'https://graph.', how: { status: 503 } });
    await read(10);

    expect({ ...(await source()), told: await tooLong() }).toEqual({ state: 'failing', readUntil: null, told: 0 });
  });
});
