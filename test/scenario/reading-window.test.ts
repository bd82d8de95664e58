import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readHistory } from '../../src/store/history.ts';
import { readStatus } from '../../src/store/status.ts';
import { at, day, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar({ startsAt: new Date() });
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

const weekMs = 8 * 86_400_000;

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

  it('keeps what it showed beyond, and is tried longer again weekly, beside the changes', async () => {
    await world.stage.sync();
    world.stage.simulator.switches.longestEndlessDays = 500;
    await read(8);
    expect(world.titles()).toEqual(['Next year', 'Soon', 'Walk']);
    expect(await source()).toEqual({ state: 'fresh', readUntil: day(366) });

    await world.stage.advance(weekMs);
    for (const event of world.calendar.events())
      if (event.fields.subject === 'Soon') world.calendar.updateEvent(event, { subject: 'Changed' });
    await read(1);
    await world.stage.product.worker.run('deliver', 'me');
    expect(world.titles()).toContain('Changed');
    await read(7);
    expect(await source()).toEqual({ state: 'fresh', readUntil: day(366 + 8) });

    world.stage.simulator.switches.longestEndlessDays = null;
    await world.stage.advance(weekMs);
    await read(1);
    expect(await source()).toEqual({ state: 'fresh', readUntil: null });
    await world.stage.sync();
    expect(world.compare()).toMatchObject(noDifference);
  });

  it('is not blamed while nothing answers', async () => {
    world.stage.simulator.fail({ match: 'https://graph.', how: { status: 503 } });
    await read(10);

    expect({ ...(await source()), told: await tooLong() }).toEqual({ state: 'failing', readUntil: null, told: 0 });
  });
});
