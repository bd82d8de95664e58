import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { at } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';
import { severalTenants, type SeveralTenants } from '../support/several-tenants.ts';

let world: SeveralTenants;
beforeEach(async () => {
  world = await severalTenants(['contoso', 'fabrikam'], { env: { API_KEY: 'the-key-of-the-api-of-this-test' } });
});
afterEach(() => world.close());

const sources = [{ id: 'contoso' }, { id: 'fabrikam', titleTag: '[F] ' }];

async function aMeetingAtOdds(): Promise<{ own: { key: string }; guest: { key: string } }> {
  await world.configure({ sources });
  const own = world.calendar('contoso').createEvent({ subject: 'Board', start: at(5) });
  const guest = world.calendar('contoso').inviteTo(own, world.mailbox('fabrikam').state, { response: 'accepted' });
  world.calendar('fabrikam').updateEvent(guest, { subject: 'Bored' });
  await world.again();
  return { own, guest };
}

describe('explain', () => {
  interface Told {
    readonly stories: readonly Record<string, unknown>[];
  }
  const asked = async (query: string): Promise<Told & { code: number }> => {
    const { out, code } = await runCli(world.stage, ['explain', query, '--json']);
    return { ...(JSON.parse(out) as Told), code };
  };

  it.each<[string, (own: { key: string }) => string]>([
    ['the UID that shows', () => world.shown()[0]?.uid ?? ''],
    ["the source's own id", ({ key }) => key],
    ['a part of the title', () => 'oAr'],
  ])('finds a series by %s', async (_, queryOf) => {
    const { own } = await aMeetingAtOdds();

    expect(await asked(queryOf(own))).toMatchObject({
      code: 0,
      stories: [{ target: 'me', state: 'shown', shownBy: 'fabrikam', why: 'fabrikam was changed last' }],
    });
  });

  it('tells each claim, the conflict, the object and the writes', async () => {
    const { own } = await aMeetingAtOdds();
    const { stories } = await asked(own.key);

    expect(stories).toMatchObject([
      {
        claims: [
          { source: 'contoso', title: 'Board', detail: 'full', isShown: false, hiddenBy: null, state: 'shown' },
          { source: 'fabrikam', title: 'Bored', isShown: true },
        ],
        conflicts: [{ field: 'title', shown: { value: 'Bored' }, other: { value: 'Board' }, closedAt: null }],
        objects: [{ calendar: 'work', part: 'main' }],
        writes: [{ status: 'ok', action: 'create', message: 'fabrikam was changed last' }],
      },
    ]);
    const { out } = await runCli(world.stage, ['explain', own.key]);
    expect(out).toContain('shows the copy of fabrikam: fabrikam was changed last');
    expect(out).toContain('title: "Bored" (fabrikam) and "Board" (contoso)');
  });

  it('says what a filter leaves out, what covers a date, and what failed', async () => {
    const { own, guest } = await aMeetingAtOdds();
    await world.configure({ sources: [{ id: 'contoso' }, { id: 'fabrikam', filters: { titles: ['^Bored'] } }] });
    await world.again();
    expect((await asked(own.key)).stories).toMatchObject([
      { shownBy: 'contoso', claims: [{ source: 'contoso' }, { source: 'fabrikam', title: null, hiddenBy: 'title' }] },
    ]);
    expect((await asked(guest.key)).stories).toMatchObject([{ claims: [{ hiddenBy: 'title' }] }]);

    world.stage.simulator.fail({ match: '/events/', how: { status: 500 } });
    world.calendar('contoso').updateEvent(own, { subject: 'Board of directors' });
    const series = world.calendar('contoso').createSeries({
      subject: 'Review',
      pattern: { type: 'daily' },
      range: { type: 'noEnd', startDate: at(1).slice(0, 10) },
      start: '09:00',
    });
    await world.stage.passTime();
    await world.stage.product.worker.run('ingest', 'contoso');
    expect((await asked(series.key)).stories).toMatchObject([
      { state: 'waiting', stale: [{ source: 'contoso', failures: 1, nextTryAt: expect.any(String) }] },
    ]);
  });

  it('exits with 1 when nobody knows it', async () => {
    await world.configure({ sources });

    expect(await asked('Nothing of the kind')).toEqual({ code: 1, query: 'Nothing of the kind', stories: [] });
  });

  it('tells the same through the API, to who has the key', async () => {
    const { own } = await aMeetingAtOdds();
    const { url } = await world.stage.product.startWeb();
    const address = `${url}/api/v1/explain?q=${encodeURIComponent(own.key)}`;
    const headers = { 'X-API-Key': 'the-key-of-the-api-of-this-test' };
    const answer = (await (await fetch(address, { headers })).json()) as Told;

    expect(answer.stories).toEqual((await asked(own.key)).stories);
    expect((await fetch(address)).status).toBe(401);
    expect((await fetch(`${url}/api/v1/explain`, { headers })).status).toBe(400);
  });
});

describe('plan', () => {
  interface Told {
    readonly changes: readonly string[];
    readonly plans: readonly {
      readonly writes: readonly Record<string, unknown>[];
      readonly heldBecause: string | null;
    }[];
  }
  const planned = async (...args: string[]): Promise<Told & { code: number }> => {
    const { out, code } = await runCli(world.stage, ['plan', '--json', ...args]);
    return { ...(JSON.parse(out) as Told), code };
  };

  it('tells what waits, with the fields of an update, and writes nothing', async () => {
    const { own } = await aMeetingAtOdds();
    expect(await planned()).toMatchObject({ code: 0, plans: [{ writes: [] }] });

    world.calendar('contoso').updateEvent(own, { start: at(7), categories: ['Red'] });
    world.calendar('contoso').createEvent({ subject: 'Lunch', start: at(8) });
    await world.stage.passTime();
    await world.stage.product.worker.run('ingest', 'contoso');
    world.forget();
    const { code, plans } = await planned();

    expect(code).toBe(1);
    expect(plans[0]?.writes).toMatchObject([
      {
        do: 'update',
        title: 'Board',
        why: 'contoso was changed last',
        fields: [
          { field: 'times' },
          { field: 'title', from: '[F] Bored', to: 'Board' },
          { field: 'categories', to: null },
          { field: 'webLink', to: null },
        ],
      },
      { do: 'create', title: 'Lunch', why: 'shown by contoso' },
    ]);
    expect([...world.requests('PUT'), ...world.requests('DELETE')]).toEqual([]);
    await world.again();
    // The move has reached the guest's copy as well, and that is the newer one.
    expect(world.titles()).toEqual(['Lunch', '[F] Bored']);
  });

  it('tries a configuration out and keeps nothing of it', async () => {
    await aMeetingAtOdds();
    for (let index = 0; index < 15; index += 1)
      world.calendar('contoso').createEvent({ subject: `Event ${index}`, start: at(9 + index) });
    await world.again();
    const before = world.shown();
    const file = world.write({ sources: [{ id: 'fabrikam', titleTag: '[G] ' }] });
    const told = await planned(file, '--prune');

    expect(told.changes).toHaveLength(2);
    const [{ writes, heldBecause } = { writes: [], heldBecause: null }] = told.plans;
    expect(writes.filter((write) => write['do'] === 'delete')).toHaveLength(15);
    expect(writes.filter((write) => write['do'] === 'update')).toMatchObject([
      { fields: [{ field: 'title', from: '[F] Bored', to: '[G] Bored' }] },
    ]);
    expect(heldBecause).toContain('15 of 16 upcoming meetings');
    await world.again();
    expect(world.shown()).toEqual(before);
  });
});
