import { afterEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { at, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { until } from '../support/until.ts';

let world: OneCalendar;
let web = '';
const callbackFetch: typeof fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : String(input));
  return await fetch(`${web}${url.pathname}${url.search}`, init);
};

afterEach(() => world.close(), 20_000);

const create = (subject: string, offset = 1): void => {
  world.calendar.createEvent({ subject, start: at(offset), end: at(offset, '10:00') });
};

describe('while PostgreSQL drops all connections again and again', () => {
  it('notifications are answered 202 or 503, and nothing is lost', async () => {
    world = await oneCalendar({ env: { PUBLIC_URL: 'https://calendar.example' }, simulator: { callbackFetch } });
    web = (await world.stage.product.startWeb()).url;
    const { stage } = world;
    await stage.sync();
    await stage.product.subscriptions.keep();
    await stage.product.worker.start();
    const [subscription] = stage.simulator.subscriptions();
    if (subscription === undefined) throw new Error('There is no subscription.');
    const { pathname } = new URL(subscription.notificationUrl);
    const { id: subscriptionId, clientState } = subscription;
    const answers = new Set<number>();
    const killer = new Client({ connectionString: stage.database.url });
    await killer.connect();
    for (let round = 0; round < 12; round += 1) {
      await killer.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      );
      create(`Event ${round}`, round + 1);
      for (let count = 0; count < 5; count += 1) {
        const response = await fetch(`${web}${pathname}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ value: [{ subscriptionId, clientState }] }),
        });
        await response.arrayBuffer();
        answers.add(response.status);
      }
    }
    await killer.end();
    expect([...answers].filter((status) => status !== 202 && status !== 503)).toEqual([]);
    await until('all show', () => world.titles().length === 12, 30_000);
    expect(world.compare()).toMatchObject(noDifference);
  }, 60_000);
});
