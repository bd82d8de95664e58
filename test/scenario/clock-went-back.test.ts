import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { readStatus } from '../../src/store/status.ts';
import { at, day, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { until } from '../support/until.ts';

const minuteMs = 60_000;
const threeHoursMs = 180 * minuteMs;

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar({ startsAt: new Date(`${day(0)}T12:00:00Z`) });
  world.calendar.createEvent({ subject: 'Before', start: at(3) });
  await world.stage.sync();
});
afterEach(() => world.close());

/** In milliseconds from now, whichever way; null: nothing waits. */
async function waits(): Promise<Record<string, number | null>> {
  const found = await sql<Record<string, number | null>>`
    select extract(epoch from s.next_poll_at - now())::float8 * 1000 as poll,
      extract(epoch from s.not_before - now())::float8 * 1000 as source,
      extract(epoch from s.compare_at - now())::float8 * 1000 as comparison,
      extract(epoch from t.not_before - now())::float8 * 1000 as target,
      extract(epoch from now() - c.checked_at)::float8 * 1000 as checked
    from source s join target t on t.id = s.target_id join target_calendar c on c.target_id = t.id`.execute(
    world.stage.product.store.db,
  );
  return found.rows[0] ?? {};
}

const hasFollowed = async (): Promise<boolean> => {
  const found = await sql<{ ahead: boolean }>`
    select bool_or(expires_at > clock_timestamp() + interval '1 minute') as ahead from lease`.execute(
    world.stage.product.store.db,
  );
  return found.rows[0]?.ahead === false;
};

it('goes on within its usual intervals when the clock was set back by hours', async () => {
  await world.stage.advance(-threeHoursMs);
  world.calendar.createEvent({ subject: 'After', start: at(4) });
  await world.stage.product.worker.start();
  await until('the waits were moved', hasFollowed);
  expect(world.titles()).toEqual(['Before']);

  await world.stage.advance(2 * minuteMs);
  await until('the change shows', () => world.titles().length === 2);
  expect(world.compare()).toMatchObject(noDifference);
  expect((await readStatus(world.stage.product.store.db)).sources).toMatchObject([{ state: 'fresh' }]);
});

it('takes up what a worker held that ended on another machine', async () => {
  const { db } = world.stage.product.store;
  await sql`
    update lease set holder = 'elsewhere:1:1', expires_at = clock_timestamp() + interval '55 seconds'`.execute(db);
  await world.stage.advance(-threeHoursMs);
  world.calendar.createEvent({ subject: 'After', start: at(4) });
  await world.stage.product.worker.start();
  await until('the waits were moved', hasFollowed);

  await world.stage.advance(2 * minuteMs);
  await until('the change shows', () => world.titles().length === 2);
});

it('leaves every wait as long as it was, once for all workers, and no other moment changed', async () => {
  const { db } = world.stage.product.store;
  await sql`
    update source set not_before = now() + interval '20 minutes', compare_at = now() + interval '6 days'`.execute(db);
  await sql`update target set not_before = now() + interval '10 minutes'`.execute(db);
  const before = await waits();
  await world.stage.advance(-threeHoursMs);
  const other = await world.stage.another();
  await Promise.all([world.stage.product.worker.start(), other.worker.start()]);
  await until('the waits were moved', hasFollowed);

  const after = await waits();
  expect(Object.keys(after)).toEqual(Object.keys(before));
  for (const [name, ms] of Object.entries(before)) {
    // Leases tell the time to within their own length.
    expect(after[name]).toBeGreaterThan((ms ?? NaN) - minuteMs);
    expect(after[name]).toBeLessThan((ms ?? NaN) + minuteMs);
  }
});

it('moves nothing when the clock was set forward', async () => {
  const { db } = world.stage.product.store;
  await sql`update source set not_before = now() + interval '5 hours'`.execute(db);
  const { source } = await waits();
  await world.stage.advance(threeHoursMs);
  await world.stage.product.worker.start();

  expect((await waits())['source']).toBe((source ?? NaN) - threeHoursMs);
});
