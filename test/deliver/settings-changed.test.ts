import { afterEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { DavError } from '../../src/dav/dav-error.ts';
import { saveTarget } from '../../src/store/configuration.ts';
import { aDeliveryWorld, aMeeting, titles, type DeliveryWorld } from './world.ts';

let world: DeliveryWorld;
afterEach(() => world.close());

const elsewhere = 'http://127.0.0.1:9/dav.php/';
const change = (settings: { url?: string; password?: string }): Promise<void> =>
  world.store.transaction((db) => saveTarget(db, world.box, { ...world.target, ...settings }));

async function targetRow(): Promise<{ href: string | null; pausedCode: string | null; isDue: boolean } | undefined> {
  const found = await sql<{ href: string | null; pausedCode: string | null; isDue: boolean }>`
    select c.href, t.paused_code as "pausedCode", t.not_before is null or t.not_before <= now() as "isDue"
    from target t join target_calendar c on c.target_id = t.id`.execute(world.store.db);
  return found.rows[0];
}

describe('a delivery under way while the operator', () => {
  it("changes the target's URL records no path of the old server for the new one", async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { one: aMeeting('uid-1', 'One') });
    const outcome = await world.run({
      hands: {
        makeCalendar: async () => {
          await change({ url: elsewhere });
          return '/old/work/';
        },
      },
    });

    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'deliver.lease_lost' } });
    expect(await targetRow()).toMatchObject({ href: null, pausedCode: null, isDue: true });
    expect(await world.count('object')).toBe(0);
  });

  it("changes the target's URL counts nothing as written to the new server, and writes no more to the old", async () => {
    world = await aDeliveryWorld({ target: { drift: 'keep' } });
    await world.source('a');
    const many = Array.from({ length: 500 }, (_, index) => [`k${index}`, aMeeting(`uid-${index}`)] as const);
    await world.says('a', Object.fromEntries(many));
    let puts = 0;
    const outcome = await world.run({
      hands: {
        put: async (...args) => {
          puts += 1;
          if (puts === 150) await change({ url: elsewhere });
          return world.dav.put(...args);
        },
      },
    });

    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'deliver.lease_lost' } });
    // A hundred writes may wait to be recorded while a hundred others are.
    expect(puts).toBeLessThan(360);
    expect(await world.count('object')).toBe(0);

    await change({ url: world.target.url });
    await world.settle({ look: true });
    expect(titles(await world.standing())).toHaveLength(500);
    expect(await world.count('object')).toBe(500);
  });

  it("mends the target's password does not pause it for the old one's failure", async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { one: aMeeting('uid-1', 'One') });
    const outcome = await world.run({
      hands: {
        listCalendars: async () => {
          await change({ password: 'mended' });
          throw new DavError('The server refuses the password', {
            code: 'dav.unauthorized',
            outcome: 'not-sent',
            status: 401,
            recovery: { kind: 'operator', remedy: 'Correct it.' },
          });
        },
      },
    });

    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'deliver.lease_lost' } });
    expect(await targetRow()).toMatchObject({ pausedCode: null, isDue: true });
    expect(await world.history('pause')).toEqual([]);
    await world.settle();
    expect(titles(await world.standing())).toEqual(['One']);
  });
});
