import { afterEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { pollWithPushSeconds } from '../../src/store/sources.ts';
import { readFreshness } from '../../src/store/freshness.ts';
import { readStatus } from '../../src/store/status.ts';
import { seededRandom } from '../support/graph/switches.ts';
import { at, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import type { StageOptions } from '../support/stage.ts';
import { until } from '../support/until.ts';

const hour = 3_600_000;
const day = 24 * hour;

let world: OneCalendar;
/** Where the public address leads; null: nowhere. */
let web: string | null = null;
/** Added to the real time, for Graph and for the product; the database keeps its own. */
let later = 0;
const now = (): Date => new Date(Date.now() + later);
const callbackFetch: typeof fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : String(input));
  if (web === null) throw new TypeError('fetch failed');
  return await fetch(`${web}${url.pathname}${url.search}`, init);
};

async function open(options: StageOptions = {}): Promise<void> {
  later = 0;
  world = await oneCalendar({
    env: { PUBLIC_URL: 'https://calendar.example' },
    clock: { now },
    ...options,
    simulator: { callbackFetch, now, ...options.simulator },
  });
  web = (await world.stage.product.startWeb()).url;
}
afterEach(() => world.close());

const db = () => world.stage.product.store.db;
const create = (subject: string, offset = 1): void => {
  world.calendar.createEvent({ subject, start: at(offset), end: at(offset, '10:00') });
};

describe('forty days in which the public address is away for four and the clock jumps', () => {
  it('end with what Outlook shows, one subscription, and windows that have rolled', async () => {
    await open();
    const random = seededRandom(17);
    const { stage } = world;
    const before = await windows();
    const reachable = web;
    let renewals = 0;
    for (let step = 0; step < 80; step += 1) {
      later = step * 12 * hour;
      // A clock that was set wrong for a while, and is set right again.
      if (step % 13 === 5) later -= 2 * day;
      if (step % 13 === 9) later += 2 * day;
      web = step >= 20 && step < 28 ? null : reachable;
      const events = world.calendar.events();
      create(`Event ${step}`, 1 + Math.floor(random() * 200));
      const one = events[Math.floor(random() * events.length)];
      if (one !== undefined && step % 3 === 0) world.calendar.delete(one);
      await stage.product.subscriptions.keep();
      await stage.passTime();
      // The guard counts a day on the database's clock.
      await sql`update removal set at = at - interval '12 hours'`.execute(db());
      await stage.sync();
      renewals += stage.simulator.requests.filter(({ method }) => method === 'PATCH').length;
      if (step % 20 === 19) expect(world.compare()).toMatchObject(noDifference);
    }
    expect(world.compare()).toMatchObject(noDifference);
    expect(stage.simulator.subscriptions()).toHaveLength(1);
    expect(renewals).toBeGreaterThan(10);
    const after = await windows();
    expect(after).toHaveLength(1);
    expect(Date.parse(after[0] ?? '') - Date.parse(before[0] ?? now().toISOString())).toBeGreaterThan(25 * day);
    const { sources } = await readStatus(db());
    expect(sources).toMatchObject([{ state: 'fresh', push: 'live' }]);
  });

  async function windows(): Promise<string[]> {
    await world.stage.sync();
    const { rows } = await sql<{ from: Date | string }>`select window_from as from from stream`.execute(db());
    return rows.map(({ from }) => new Date(from).toISOString());
  }
});

describe('a poll that finds what no notification told', () => {
  it('puts notifications in doubt until the next one: polls come at their own pace', async () => {
    await open();
    const { stage } = world;
    await stage.sync();
    await stage.product.subscriptions.keep();
    await stage.sync();
    const pollIn = async (): Promise<number> =>
      (
        await sql<{
          seconds: number;
        }>`select extract(epoch from next_poll_at - now())::float as seconds from source`.execute(db())
      ).rows[0]?.seconds ?? 0;
    expect(await pollIn()).toBeGreaterThan(0.8 * pollWithPushSeconds);

    const reachable = web;
    web = null;
    create('Unheard of');
    await stage.passTime();
    await stage.sync();
    expect(world.titles()).toEqual(['Unheard of']);
    expect((await readStatus(db())).sources).toMatchObject([{ push: 'silent' }]);
    await stage.passTime();
    await stage.sync();
    expect(await pollIn()).toBeLessThan(70);

    web = reachable;
    create('Told');
    await until('it was told', async () => (await readStatus(db())).sources[0]?.push === 'live');
    await stage.sync();
    expect(world.titles()).toEqual(['Told', 'Unheard of']);
  });
});

describe('a storm of 429', () => {
  it('slows the tenant down until it bears it; everything shows, and the sources say that they were slowed', async () => {
    await open({
      env: {},
      simulator: { switches: { concurrencyPer: 'app', mailboxConcurrency: 2, retryAfter: '0.2' } },
    });
    const { stage, tenant } = world;
    create('Event 0');
    for (let index = 1; index < 12; index += 1) {
      const upn = `user-${index}@contoso.example`;
      const calendar = tenant.addMailbox({ upn }).calendar();
      for (let event = 0; event < 3; event += 1)
        calendar.createEvent({ subject: `Event ${index}`, start: at(event + 1), end: at(event + 1, '10:00') });
      await stage.source({ id: `user-${index}`, tenant: 'contoso', mailbox: upn });
    }
    // Graph answers late, so that requests overlap.
    stage.simulator.fail({ match: '/delta', how: { slowMs: 60 }, times: 40 });
    await stage.product.worker.start();
    await until('all show', () => new Set(world.titles()).size === 12);
    const { rows } = await sql<{ cap: number; slowed: number }>`
      select cap, (select count(*)::int from source where slowed > 0) as slowed from tenant_pace`.execute(db());
    const refused = stage.simulator.requests.filter(({ status }) => status === 429).length;
    process.stdout.write(`12 mailboxes, 2 requests at a time: ${refused} refused\n`);
    if (refused > 0) expect(rows[0]?.slowed).toBeGreaterThan(0);
    expect(refused).toBeLessThan(60);
  });
});

describe('how long changes take', () => {
  it('is measured from the change, its notification and its reading; the first mirror is none', async () => {
    await open();
    const { stage } = world;
    create('First');
    await stage.sync();
    expect(world.titles()).toEqual(['First']);
    expect(await readFreshness(db())).toEqual([]);

    await stage.product.subscriptions.keep();
    await stage.sync();
    await stage.product.worker.start();
    for (let index = 0; index < 3; index += 1) {
      create(`Told ${index}`, index + 2);
      await until('it shows', () => world.titles().includes(`Told ${index}`));
    }
    await until('it is recorded', async () => (await readFreshness(db()))[0]?.changes === 3);
    const [measured] = await readFreshness(db());
    expect(measured?.source).toBe('contoso-me');
    const { sinceChange, sinceNotification, sinceReading } = measured ?? {};
    for (const cuts of [sinceChange, sinceNotification, sinceReading]) {
      expect(cuts?.p50).toBeGreaterThan(0);
      expect(cuts?.p99).toBeLessThan(30_000);
    }
    expect(sinceReading?.p50).toBeLessThanOrEqual(sinceNotification?.p50 ?? 0);
  });
});
