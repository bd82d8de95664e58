import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { cleanUp } from '../../src/store/clean-up.ts';
import { at } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';
import { severalTenants, type Entry, type SeveralTenants } from '../support/several-tenants.ts';

let world: SeveralTenants;
beforeEach(async () => {
  world = await severalTenants(['contoso', 'fabrikam']);
});
afterEach(() => world.close());

const twoCalendars = [
  {
    calendars: [
      { id: 'work', name: 'Work' },
      { id: 'agency', name: 'Agency' },
    ],
  },
];
const filtered = (titles: string[]): Entry => ({ id: 'contoso', filters: { titles } });

function create(tenant: string, subject: string, count = 1): void {
  const calendar = world.calendar(tenant);
  for (let index = 0; index < count; index += 1)
    calendar.createEvent({ subject: count === 1 ? subject : `${subject} ${index}`, start: at(3 + index) });
}

async function json<T>(...args: string[]): Promise<T> {
  const { out, err, code } = await runCli(world.stage, [...args, '--json']);
  if (code > 1) throw new Error(`${args.join(' ')}: ${out}${err}`);
  return JSON.parse(out) as T;
}

const deliver = (): Promise<unknown> => world.stage.product.worker.run('deliver', 'me');

describe('a filter that changes', () => {
  it('is told by plan first, then done at once without a reading; looser, the source is read anew', async () => {
    await world.configure({ sources: [{ id: 'contoso' }] });
    create('contoso', 'Coffee', 2);
    create('contoso', 'Board');
    await world.again();
    const file = world.write({ sources: [filtered(['^Coffee'])] });
    const plan = await json<{ plans: { writes: unknown[] }[] }>('plan', file);
    const why = 'contoso leaves it out by the filter title';

    expect(plan).toMatchObject({
      rules: [{ source: 'contoso', leavesOut: { title: 2 }, hiddenNow: 0, isReadAnew: false }],
      plans: [
        {
          writes: [
            { do: 'delete', title: 'Coffee 0', why },
            { do: 'delete', title: 'Coffee 1', why },
          ],
        },
      ],
    });
    expect(world.titles()).toHaveLength(3);

    await world.configure({ sources: [filtered(['^Coffee'])] });
    await deliver();
    expect(world.titles()).toEqual(['Board']);
    expect(await json('trash', 'list')).toMatchObject([{ reason: why }, { reason: why }]);

    expect(await json('plan', world.write({ sources: [{ id: 'contoso' }] }))).toMatchObject({
      rules: [{ leavesOut: {}, hiddenNow: 2, isReadAnew: true }],
    });
    await world.configure({ sources: [{ id: 'contoso' }] });
    await world.again();
    expect(world.titles()).toEqual(['Board', 'Coffee 0', 'Coffee 1']);
  });

  it('hides nothing by what privacy took away, until the source was asked again', async () => {
    const busy = { id: 'contoso', privacy: 'busy' };
    await world.configure({ sources: [busy] });
    create('contoso', 'Board');
    await world.again();
    await world.configure({ sources: [{ ...busy, filters: { titles: ['^$', '^Busy'], sensitivities: ['private'] } }] });
    await deliver();
    expect(world.titles()).toEqual(['Busy']);
    await world.again();
    expect(world.titles()).toEqual(['Busy']);

    await world.configure({ sources: [{ ...busy, filters: { titles: ['^Board'] } }] });
    await world.again();
    expect(world.titles()).toEqual([]);
  });

  it('takes no event for private that is only stored as busy', async () => {
    await world.configure({ sources: [{ id: 'contoso', privacy: 'busy' }] });
    create('contoso', 'Board');
    world.calendar('contoso').createEvent({ subject: 'Doctor', start: at(4), sensitivity: 'private' });
    await world.again();
    expect(world.titles()).toEqual(['Busy', 'Busy']);
    await world.configure({ sources: [{ id: 'contoso', privacy: 'busy', privateItems: 'skip' }] });
    world.forget();
    await deliver();
    expect(world.requests('DELETE')).toEqual([]);
    await world.again();
    expect(world.titles()).toEqual(['Busy']);
  });
});

describe('the ceiling of a target', () => {
  it('holds a flood from its first deletion on; approved, it goes; restored, all of it stands again', async () => {
    await world.configure({ sources: [{ id: 'contoso' }] });
    // More than one chunk of the delivery, of which the first alone would pass.
    create('contoso', 'Coffee', 130);
    await world.stage.product.worker.run('ingest', 'contoso');
    await sql`insert into meeting (target_id, identity, slot, uid, shown_source_id, created_at, wanted_at, done_version)
      select 'me', 'stand-in ' || n, '*', 'stand-in ' || n, 'contoso', now(), now(), 1 from generate_series(1, 400) n`.execute(
      world.stage.product.store.db,
    );
    await deliver();
    const file = world.write({ sources: [filtered(['^Coffee'])] });
    const { plans } = await json<{ plans: { heldBecause: string }[] }>('plan', file);
    expect(plans[0]?.heldBecause).toContain('130 of 530 upcoming meetings');

    await world.configure({ sources: [filtered(['^Coffee'])] });
    await deliver();
    expect(world.titles()).toHaveLength(130);
    expect(await json('guard', 'list')).toMatchObject([{ source: 'target:me', count: 130, upcoming: 130 }]);

    const since = new Date().toISOString();
    const names = world.shown().map(({ uid, resource }) => `${uid} ${resource}`);
    await json('guard', 'approve', 'target:me');
    await deliver();
    expect(world.titles()).toEqual([]);
    expect(await json('trash', 'restore', '--since', since)).toMatchObject({ count: 130, targets: ['me'], failed: [] });
    await deliver();
    expect(world.shown().map(({ uid, resource }) => `${uid} ${resource}`)).toEqual(names);
    const { db } = world.stage.product.store;
    await sql`update trash set deleted_at = deleted_at - interval '40 days'`.execute(db);
    await cleanUp(db, { historyDays: 90 });
    await sql`update meeting set wanted_version = wanted_version + 1`.execute(db);
    await deliver();
    expect(world.titles()).toHaveLength(130);
    expect(await json('audit', '--action', 'guard')).toMatchObject([{ subject: 'target:me', detail: { count: 130 } }]);
  }, 120_000);
});

describe('a calendar that is deleted on the server while in use', () => {
  it('is held and told while the rest goes on, and made again only when the operator says so', async () => {
    await world.configure({
      targets: twoCalendars,
      sources: [{ id: 'contoso' }, { id: 'fabrikam', into: 'me/agency' }],
    });
    create('contoso', 'Board');
    create('fabrikam', 'Review');
    await world.again();
    world.stage.caldav.dropCalendar('alice', 'agency');
    create('contoso', 'Lunch');
    create('fabrikam', 'Retro');
    await world.again();

    expect(world.titles()).toEqual(['Board', 'Lunch']);
    expect(world.stage.caldav.calendars('alice').some((href) => href.includes('agency'))).toBe(false);
    expect(await json('guard', 'list')).toMatchObject([{ target: 'me', calendar: 'agency', objects: 1 }]);
    expect(await json('history', '--status', 'error')).toMatchObject([{ target: 'me', code: 'dav.calendar_gone' }]);
    const refused = await runCli(world.stage, ['guard', 'recreate', 'me/work', '--json']);
    expect(JSON.parse(refused.out)).toMatchObject({ error: { code: 'guard.not_gone' } });

    await json('guard', 'recreate', 'me/agency');
    await world.again();
    expect(world.titles()).toEqual(['Board', 'Lunch', 'Retro', 'Review']);
    expect(await json('guard', 'list')).toEqual([]);
  });
});
