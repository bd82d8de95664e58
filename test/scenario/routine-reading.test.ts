import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { wantReading } from '../../src/store/sources.ts';
import { at, day, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar();
});
afterEach(() => world.close());

function series(subject: string): { key: string } {
  return world.calendar.createSeries({
    subject,
    pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
    range: { type: 'numbered', startDate: day(-30), numberOfOccurrences: 20 },
    start: '09:00',
  });
}

/** A week goes by. */
async function aWeekLater(): Promise<void> {
  await sql`update stream set started_at = started_at - interval '9 days'`.execute(world.stage.product.store.db);
  await world.stage.passTime();
  world.stage.simulator.requests.splice(0);
}

/** Keys of the events that were asked for singly. */
function askedFor(): string[] {
  const urls = world.stage.simulator.requests.map(({ url }) => decodeURIComponent(url));
  return [...new Set(urls.flatMap((url) => /\/events\/([^/?]+)/.exec(url)?.[1] ?? []))];
}

describe('the weekly full reading', () => {
  it('asks for no series that has not changed, and removes none of them', async () => {
    const [one, two] = [series('One'), series('Two')];
    world.calendar.updateOccurrence(two, firstOf(two), { subject: 'Two, once' });
    world.calendar.createEvent({ subject: 'Single', start: at(4) });
    await world.stage.sync();
    await aWeekLater();

    expect(await world.read()).toMatchObject({ counts: { unchanged: 2, rebuilt: 0, changed: 0, removed: 0 } });
    expect(askedFor()).toEqual([]);
    expect(world.stage.simulator.requests.some(({ url }) => url.includes('startDateTime'))).toBe(true);
    expect(one.key).not.toBe(two.key);
    expect(world.compare()).toMatchObject(noDifference);
  });

  it('asks for a series that changed while it was on its way', async () => {
    const [one, two] = [series('One'), series('Two')];
    await world.stage.sync();
    await aWeekLater();
    world.stage.simulator.before('startDateTime', () => world.calendar.updateSeries(two, { subject: 'Two, renamed' }));
    await world.read();

    expect(askedFor()).toEqual([two.key]);
    await world.stage.sync();
    expect(one.key).not.toBe(two.key);
    expect(world.compare()).toMatchObject(noDifference);
  });

  it('trusts no version once the delta that told of changes is lost', async () => {
    const [one, two] = [series('One'), series('Two')];
    await world.stage.sync();
    await aWeekLater();
    world.stage.simulator.forgetDeltaTokens();
    await world.read();
    expect(askedFor().sort()).toEqual([one.key, two.key].sort());

    await aWeekLater();
    // The process ends between two pages of the full reading, and the delta is lost meanwhile.
    for (let index = 0; index < 150; index += 1) world.calendar.createEvent({ subject: `E${index}`, start: at(5) });
    const fault = world.stage.simulator.fail({ match: '$skiptoken', how: { status: 500 } });
    await world.read();
    fault.clear();
    world.stage.simulator.forgetDeltaTokens();
    await aWeekLater();
    await world.read();
    expect(askedFor().sort()).toEqual([one.key, two.key].sort());
    await world.stage.sync();
    expect(world.compare()).toMatchObject(noDifference);
  });

  it('builds every series anew when the operator asks', async () => {
    const one = series('One');
    await world.stage.sync();
    world.stage.simulator.requests.splice(0);
    await wantReading(world.stage.product.store.db, 'contoso-me', true);
    await world.read();
    expect(askedFor()).toEqual([one.key]);
  });

  it('builds series anew that another version of this program has mapped', async () => {
    const one = series('One');
    await world.stage.sync();
    await sql`update claim set version = replace(version, '~', '~0.0.')`.execute(world.stage.product.store.db);
    await aWeekLater();
    await world.read();
    expect(askedFor()).toEqual([one.key]);
  });

  it('builds series anew that hold for their window only', async () => {
    world.stage.simulator.switches.cancelledOccurrences = 'unknown';
    const one = series('One');
    await world.stage.sync();
    await aWeekLater();
    await world.read();
    expect(askedFor()).toEqual([one.key]);
  });
});

/** Date of an occurrence to come. */
function firstOf(ref: { key: string }): string {
  const item = world.calendar.events().find(({ key }) => key === ref.key);
  const found = world.calendar.expected({ from: `${day(1)}T00:00:00Z`, to: `${day(60)}T00:00:00Z` });
  const slot = found.find(({ iCalUId }) => iCalUId === item?.iCalUId)?.slot;
  return slot?.slice(0, 10) ?? '';
}
