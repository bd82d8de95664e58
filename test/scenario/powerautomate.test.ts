import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import type { PowerAutomateSource } from '../../src/config/model.ts';
import { removeEntry, saveSource } from '../../src/store/configuration.ts';
import { readHistory } from '../../src/store/history.ts';
import { readStatus } from '../../src/store/status.ts';
import { aFlowItem, aFlowSource, flowKey, uidOf, type RawItem } from '../sources/powerautomate/flow-items.ts';
import { wordsIn } from '../support/dump.ts';
import { directoryOf, type OutlookMailbox } from '../support/graph/people.ts';
import { aGraphSource, aStage, type Stage } from '../support/stage.ts';
import { day } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';

let stage: Stage;
let url: string;
beforeEach(async () => {
  stage = await aStage();
  await stage.target();
  await addFlow();
  ({ url } = await stage.product.startWeb());
});
afterEach(() => stage.close());

const effects = { bumpsEpoch: true, fullReading: true, isOther: false };
const me = 'me@contoso.example';

function addFlow(settings: Partial<PowerAutomateSource> = {}): Promise<void> {
  return stage.product.store.transaction((db) => saveSource(db, stage.product.box, aFlowSource(settings), 0, effects));
}

async function post(body: unknown, path = 'powerautomate/old-flow'): Promise<Record<string, number>> {
  const answer = await fetch(`${url}/api/webhook/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': flowKey, 'x-calendar-source': 'old-flow' },
    body: JSON.stringify(body),
  });
  expect([answer.status, answer.headers.get('location')]).toEqual([202, null]);
  return (await answer.json()) as Record<string, number>;
}

/** An event of a day from now, modified so many minutes ago. */
function event(number: number, fields: RawItem = {}, minutesAgo = 60): RawItem {
  const date = day(3 + (number % 100));
  return aFlowItem({
    id: `AAMk-${number}`,
    iCalUId: uidOf(number),
    subject: `Event ${number}`,
    start: `${date}T09:00:00.0000000`,
    end: `${date}T09:30:00.0000000`,
    lastModifiedDateTime: ago(minutesAgo),
    webLink: `https://outlook.office365.com/owa/?itemid=AAMk-${number}`,
    ...fields,
  });
}

function ago(minutes: number): string {
  return new Date(Date.now() - minutes * 60_000).toISOString().replace('Z', '0000+00:00');
}

async function deliver(): Promise<void> {
  await stage.product.worker.run('deliver', 'me');
}

function titles(): string[] {
  return stage
    .bodies()
    .map((body) => /^SUMMARY:(.*)$/m.exec(body)?.[1]?.trim() ?? '')
    .sort();
}

const window = (fields: RawItem = {}): RawItem => ({
  id: 'run-1',
  part: 1,
  parts: 1,
  from: `${day(-1)}T00:00:00Z`,
  to: `${day(200)}T00:00:00Z`,
  ...fields,
});

const list = (value: RawItem[], fields: RawItem = {}) =>
  post({ window: window(fields), value }, 'powerautomate/old-flow/window');

describe('a change flow', () => {
  it('shows what it posts, and changes nothing when it posts it again', async () => {
    expect(await post(event(1))).toMatchObject({ changed: 1 });
    await deliver();
    expect(titles()).toEqual(['Event 1']);
    stage.caldav.forget();

    expect(await post(event(1))).toMatchObject({ changed: 0 });
    await deliver();
    expect(stage.caldav.requests.filter(({ method }) => method === 'PUT')).toEqual([]);
  });

  it('shows the newest of what comes in any order', async () => {
    await post(event(1, { subject: 'Newest' }, 5));
    expect(await post(event(1, { subject: 'Older' }, 50))).toMatchObject({ changed: 0, outdated: 1 });
    await deliver();
    expect(titles()).toEqual(['Newest']);
  });

  it('stays deleted when the deletion comes before the creation, or an update after it', async () => {
    await post({ ActionType: 'deleted', id: 'AAMk-1' });
    await post(event(1));
    await post(event(2));
    await deliver();
    expect(titles()).toEqual(['Event 2']);

    await post({ ActionType: 'deleted', id: 'AAMk-2' });
    await post(event(2, { subject: 'Late' }, 1));
    await deliver();
    expect(titles()).toEqual([]);
  });

  it('shows again what was modified after its deletion', async () => {
    await post({ ActionType: 'deleted', id: 'AAMk-1', lastModifiedDateTime: ago(10) });
    await sql`update tombstone set at = now() - interval '8 minutes'`.execute(stage.product.store.db);
    await post(event(1, {}, 9));
    await deliver();
    expect(titles()).toEqual([]);
    await post(event(1, {}, 5));
    await deliver();
    expect(titles()).toEqual(['Event 1']);
  });

  it('filters and redacts before anything is stored', async () => {
    await addFlow({ privacy: 'busy' });
    await post([event(1, { subject: 'Secret plan' }), event(2, { responseType: 'declined', subject: 'Not mine' })]);
    await deliver();

    expect(titles()).toEqual(['Busy']);
    const { rows } = await sql<{ text: string }>`select coalesce(series::text, '') as text from claim`.execute(
      stage.product.store.db,
    );
    expect(rows.map(({ text }) => text).join()).not.toMatch(/Secret plan|Not mine|coffee/);
  });

  it('holds a flood of deletions and goes on with the rest', async () => {
    await post(Array.from({ length: 30 }, (_, index) => event(index + 1)));
    await deliver();
    const gone = Array.from({ length: 15 }, (_, index) => ({ ActionType: 'deleted', id: `AAMk-${index + 1}` }));
    expect(await post([...gone, event(40)])).toMatchObject({ changed: 1, removed: 0, held: 15 });
    await deliver();
    expect(titles()).toHaveLength(31);
    const [told] = await readHistory(stage.product.store.db, { status: 'error', limit: 5 });
    expect(told).toMatchObject({ code: 'guard.held', source: 'old-flow' });
  });

  it('shows the occurrences of a series, and its master only as long as there are none', async () => {
    const date = day(5);
    const uid = uidOf(7);
    const times = { start: `${date}T09:00:00.0000000`, end: `${date}T09:30:00.0000000` };
    await post(event(7, { ...times, id: 'master', iCalUId: uid, recurrence: 'weekly', numberOfOccurences: 3 }));
    await deliver();
    expect(titles()).toEqual(['Event 7']);
    const before = [...stage.caldav.objects('alice', 'work').keys()];

    const next = { start: `${day(12)}T09:00:00.0000000`, end: `${day(12)}T09:30:00.0000000` };
    await post([
      event(7, { ...times, id: 'first', iCalUId: uidOf(7, date), seriesMasterId: 'master' }),
      event(7, { ...next, id: 'second', iCalUId: uidOf(7, day(12)), seriesMasterId: 'master' }),
    ]);
    await post(event(7, { ...times, id: 'master', iCalUId: uid, recurrence: 'weekly' }, 1));
    await deliver();
    expect(titles()).toEqual(['Event 7', 'Event 7']);
    expect([...stage.caldav.objects('alice', 'work').keys()]).toEqual(expect.arrayContaining(before));
  });

  it('takes the words of the predecessor’s routes', async () => {
    const old = {
      id: 'AAMk-9',
      subject: 'Old words',
      start: { dateTime: `${day(3)}T09:00:00`, timeZone: 'W. Europe Standard Time' },
      end: { dateTime: `${day(3)}T10:00:00`, timeZone: 'W. Europe Standard Time' },
    };
    await post(old, 'event/created');
    await post({ ...old, subject: 'New words' }, 'event/updated');
    await deliver();
    expect(titles()).toEqual(['New words']);
    await post({ id: 'AAMk-9' }, 'event/deleted');
    await deliver();
    expect(titles()).toEqual([]);
  });
});

describe('a window flow', () => {
  it('removes what it does not list, inside its window, once all parts have come', async () => {
    await post([
      event(1),
      event(2),
      event(3),
      event(4, { start: `${day(400)}T09:00:00`, end: `${day(400)}T10:00:00` }),
    ]);
    await list([event(1)], { part: 2, parts: 2 });
    await deliver();
    expect(titles()).toHaveLength(4);

    await list([event(5)], { part: 1, parts: 2 });
    await deliver();
    expect(titles()).toEqual(['Event 1', 'Event 4', 'Event 5']);
  });

  it('does not remove what was posted after it had listed', async () => {
    await post(event(1));
    await list([event(1)], { parts: 2, part: 1, listedAt: new Date(Date.now() - 60_000).toISOString() });
    await post(event(2));
    await list([], { parts: 2, part: 2, listedAt: new Date(Date.now() - 60_000).toISOString() });
    await deliver();
    expect(titles()).toEqual(['Event 1', 'Event 2']);
  });

  it('that lists nothing empties no calendar', async () => {
    await list([event(1), event(2), event(3), event(4)]);
    expect(await list([], { id: 'run-2' })).toMatchObject({ removed: 0, held: 4 });
    await deliver();
    expect(titles()).toHaveLength(4);
    // The next one has them again.
    await list([event(1), event(2), event(3), event(4)], { id: 'run-3' });
    expect((await readStatus(stage.product.store.db)).sources[0]).toMatchObject({ shown: 4, held: 0 });
  });

  it('takes a part again, and one of a listing that has ended', async () => {
    await list([event(1), event(2)], { parts: 1 });
    await list([event(1), event(2)], { parts: 1 });
    await list([event(3)], { id: 'run-2', parts: 2, part: 1 });
    await list([event(3)], { id: 'run-2', parts: 2, part: 1 });
    await deliver();
    expect(titles()).toEqual(['Event 1', 'Event 2', 'Event 3']);
    await list([event(2)], { id: 'run-2', parts: 2, part: 2 });
    await deliver();
    expect(titles()).toEqual(['Event 2', 'Event 3']);
  });

  it('brings back after a while what a deletion was told of by mistake', async () => {
    await post(event(1));
    await post({ ActionType: 'deleted', id: 'AAMk-1' });
    await list([event(1)], { id: 'at once' });
    expect((await readStatus(stage.product.store.db)).sources[0]).toMatchObject({ shown: 0 });
    await sql`update tombstone set at = now() - interval '20 minutes'`.execute(stage.product.store.db);
    await list([event(1)], { id: 'later' });
    await deliver();
    expect(titles()).toEqual(['Event 1']);
  });
});

describe('a mailbox that a flow and Graph both tell of', () => {
  let mailbox: OutlookMailbox;
  let most = 0;

  beforeEach(async () => {
    most = 0;
    await stage.tenant('contoso', {
      directory: directoryOf('contoso.example'),
      domain: 'contoso.example',
      client: '1d2e0000-0000-4000-8000-000000000001',
    });
    mailbox = stage.simulator.tenant('contoso.example').addMailbox({ upn: me, name: 'Me', zone: 'UTC' });
  });

  const addGraph = (settings = {}) => stage.source({ id: 'contoso-me', tenant: 'contoso', mailbox: me, ...settings });

  /** Reads and delivers, looking after each step at how often a title shows. */
  async function syncWatching(title: string): Promise<number[]> {
    const seen: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      await stage.product.worker.run('ingest', 'contoso-me');
      seen.push(titles().filter((one) => one === title).length);
      await deliver();
      seen.push(titles().filter((one) => one === title).length);
    }
    most = Math.max(...seen);
    return seen;
  }

  function outlookEvent(subject: string, offset: number): { key: string; iCalUId: string } {
    const ref = mailbox.calendar().createEvent({ subject, start: `${day(offset)}T09:00`, end: `${day(offset)}T09:30` });
    const found = mailbox
      .calendar()
      .events()
      .find(({ key }) => key === ref.key);
    return { key: ref.key, iCalUId: found?.iCalUId ?? '' };
  }

  const flowOf = (subject: string, offset: number, fields: RawItem): RawItem =>
    event(1, { subject, start: `${day(offset)}T09:00:00`, end: `${day(offset)}T09:30:00`, ...fields });

  it('shows each event once at any time, without its iCalUId too, and keeps its place', async () => {
    const { key } = outlookEvent('Planning', 4);
    await post(flowOf('Planning', 4, { id: key, iCalUId: undefined }));
    await deliver();
    const before = [...stage.caldav.objects('alice', 'work').keys()];
    await addGraph();
    expect(await syncWatching('Planning')).toEqual(Array(8).fill(1));
    expect([...stage.caldav.objects('alice', 'work').keys()]).toEqual(before);

    // The flow goes on posting without the id that copies share.
    await post(flowOf('Planning', 4, { id: key, iCalUId: undefined }));
    await syncWatching('Planning');
    expect(most).toBe(1);
  });

  it('never shows twice what nothing but the mailbox has in common', async () => {
    outlookEvent('Planning', 4);
    await post(flowOf('Planning', 4, { id: 'other form of id', iCalUId: undefined, webLink: undefined }));
    await deliver();
    await addGraph();
    const seen = await syncWatching('Planning');
    expect(seen.every((count) => count <= 1)).toBe(true);
    expect(seen.at(-1)).toBe(1);
  });

  it('shows nothing twice while Graph is still reading for the first time', async () => {
    for (let index = 0; index < 120; index += 1)
      outlookEvent(index === 0 ? 'Planning' : `Other ${index}`, 1 + (index % 50));
    await post(flowOf('Planning', 1, { id: 'other form of id', iCalUId: undefined, webLink: undefined }));
    await deliver();
    await addGraph();
    let between: Promise<string[]> = Promise.resolve([]);
    stage.simulator.before('$skiptoken', () => {
      between = deliver().then(titles);
    });
    stage.simulator.fail({ match: '$skiptoken', times: 1, how: { slowMs: 500 } });
    await stage.product.worker.run('ingest', 'contoso-me');

    const { rows } = await sql<{ count: number }>`
      select count(*)::int as count from claim where source_id = 'contoso-me'`.execute(stage.product.store.db);
    expect(rows).toEqual([{ count: 120 }]);
    expect(await between).toEqual(['Planning']);
    await stage.sync();
    expect(titles()).toHaveLength(120);
    expect(titles().filter((title) => title === 'Planning')).toHaveLength(1);
  });

  it('goes on with the flow when consent is withdrawn, without a gap, and with Graph when it is back', async () => {
    const { key, iCalUId } = outlookEvent('Planning', 4);
    await post(flowOf('Planning', 4, { id: key, iCalUId }));
    await addGraph();
    await stage.sync();
    expect(titles()).toEqual(['Planning']);
    const before = [...stage.caldav.objects('alice', 'work').keys()];

    const fault = stage.simulator.fail({
      match: 'graph.microsoft.com',
      how: { status: 403, code: 'ErrorAccessDenied' },
    });
    await stage.passTime();
    expect(await syncWatching('Planning')).toEqual(Array(8).fill(1));
    expect((await readStatus(stage.product.store.db)).sources).toEqual(
      expect.arrayContaining([expect.objectContaining({ id: 'contoso-me', state: 'needs-operator' })]),
    );
    await post(flowOf('Planning, moved', 5, { id: key, iCalUId, lastModifiedDateTime: ago(-1) }));
    await post(flowOf('New', 6, { id: 'new', iCalUId: uidOf(99) }));
    await deliver();
    expect(titles()).toContain('New');

    fault.clear();
    await stage.passTime();
    await stage.sync();
    // The new one exists in the flow's words only; Graph, which is asked again, does not have it.
    expect(titles()).toEqual(['Planning']);
    expect([...stage.caldav.objects('alice', 'work').keys()]).toEqual(before);
  });

  it('believes the flow’s deletion while Graph is shut out', async () => {
    const { key, iCalUId } = outlookEvent('Planning', 4);
    await post(flowOf('Planning', 4, { id: key, iCalUId }));
    await addGraph();
    await stage.sync();
    stage.simulator.fail({ match: 'graph.microsoft.com', how: { status: 403, code: 'ErrorAccessDenied' } });
    await stage.passTime();
    await syncWatching('Planning');
    await post({ ActionType: 'deleted', id: key });
    await deliver();
    expect(titles()).toEqual([]);
  });

  it('goes on with the flow when the source of Graph is removed, without what Graph no longer had', async () => {
    const kept = outlookEvent('Kept', 4);
    const gone = outlookEvent('Gone', 5);
    await post([
      flowOf('Kept', 4, { id: kept.key, iCalUId: kept.iCalUId }),
      flowOf('Gone', 5, { id: gone.key, iCalUId: gone.iCalUId }),
    ]);
    await addGraph();
    await stage.sync();
    mailbox.calendar().delete(gone);
    await stage.passTime();
    await stage.sync();
    expect(titles()).toEqual(['Kept']);

    const { store } = stage.product;
    await sql`update claim set read_at = now() - interval '1 hour' where source_id = 'old-flow'`.execute(store.db);
    const before = [...stage.caldav.objects('alice', 'work').keys()];
    await store.transaction((db) => removeEntry(db, 'source', 'contoso-me'));
    await deliver();
    expect(titles()).toEqual(['Kept']);
    expect([...stage.caldav.objects('alice', 'work').keys()]).toEqual(before);
  });

  it('shows a series of Graph in place of the flow’s occurrences', async () => {
    const calendar = mailbox.calendar();
    const ref = calendar.createSeries({
      subject: 'Review',
      pattern: { type: 'daily' },
      range: { type: 'numbered', startDate: day(2), numberOfOccurrences: 4 },
      start: '09:00',
      end: '09:30',
    });
    const uid = calendar.events().find(({ key }) => key === ref.key)?.iCalUId ?? '';
    await post(
      [2, 3, 4, 5].map((offset) =>
        flowOf('Review', offset, { id: `occurrence ${offset}`, iCalUId: uid, seriesMasterId: ref.key }),
      ),
    );
    await deliver();
    expect(titles()).toHaveLength(4);
    await addGraph();
    await stage.sync();
    expect(titles()).toEqual(['Review']);
    expect(stage.bodies()[0]).toContain('RRULE');
  });

  it('is a hint for Graph to read', async () => {
    await addGraph();
    await stage.sync();
    await post(event(1));
    const wanted = async (): Promise<boolean> => {
      const { rows } = await sql<{ due: boolean }>`
        select wanted_version > done_version as due from source where id = 'contoso-me'`.execute(
        stage.product.store.db,
      );
      return rows[0]?.due ?? false;
    };
    for (let tries = 0; tries < 100 && !(await wanted()); tries += 1)
      await new Promise((resolve) => setImmediate(resolve));
    expect(await wanted()).toBe(true);
  });

  it('lets a paused Graph rest and the flow speak', async () => {
    const { key, iCalUId } = outlookEvent('Planning', 4);
    await post(flowOf('Planning', 4, { id: key, iCalUId }));
    await addGraph();
    await stage.sync();
    const paused = aGraphSource({ id: 'contoso-me', tenant: 'contoso', mailbox: me, isPaused: true });
    await stage.product.store.transaction((db) => saveSource(db, stage.product.box, paused, 1, effects));
    await post(flowOf('By the flow', 4, { id: key, iCalUId, lastModifiedDateTime: ago(-1) }));
    await deliver();
    expect(titles()).toHaveLength(1);
  });
});

describe('forget --source', () => {
  it('leaves nothing of a flow but the audit log, and nothing of its entries in the target', async () => {
    await post([event(1, { subject: 'Planted word' }), event(2, { subject: 'Planted word too' })]);
    await deliver();
    expect(titles()).toHaveLength(2);

    const counted = await runCli(stage, ['forget', '--source', 'old-flow', '--dry-run', '--json']);
    expect(JSON.parse(counted.out)).toMatchObject({
      source: 'old-flow',
      wouldRemove: expect.arrayContaining([
        expect.objectContaining({ where: 'database, claim', count: 2 }),
        expect.objectContaining({ where: 'target me', count: 2 }),
      ]),
    });
    expect(titles()).toHaveLength(2);

    const done = await runCli(stage, ['forget', '--source', 'old-flow']);
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('Forgotten: the source old-flow.') });
    expect(done.out).not.toContain('Entra');
    expect(titles()).toEqual([]);
    expect(await wordsIn(stage.product.store.db, ['Planted'])).toEqual([]);
    const { out } = await runCli(stage, ['audit', '--action', 'source', '--json']);
    expect(JSON.parse(out)).toMatchObject([{ actor: 'cli', action: 'source.forget', subject: 'sources/old-flow' }]);
    const again = await runCli(stage, ['forget', '--source', 'old-flow']);
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining('There is no source old-flow') });
  });

  it('wants a tenant or a source, not both and not neither', async () => {
    for (const args of [['forget'], ['forget', 'contoso', '--source', 'old-flow']])
      expect(await runCli(stage, args)).toMatchObject({ code: 2, err: expect.stringContaining('--source') });
  });
});
