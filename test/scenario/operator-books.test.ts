import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { at, day } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';
import { severalTenants, type SeveralTenants, type Shown } from '../support/several-tenants.ts';

let world: SeveralTenants;
beforeEach(async () => {
  world = await severalTenants(['contoso', 'fabrikam', 'tailspin']);
});
afterEach(() => world.close());

const sources = [{ id: 'contoso' }, { id: 'fabrikam', titleTag: '[F] ' }];
const twoCalendars = [
  {
    calendars: [
      { id: 'work', name: 'Work' },
      { id: 'agency', name: 'Agency' },
    ],
  },
];

/** A meeting of contoso's with a copy at fabrikam; their titles differ when `guest` is given. */
async function aMeeting(guest?: string): Promise<{ own: { key: string }; copy: { key: string } }> {
  const own = world.calendar('contoso').createEvent({ subject: 'Board', start: at(5) });
  const copy = world.calendar('contoso').inviteTo(own, world.mailbox('fabrikam').state, { response: 'accepted' });
  if (guest !== undefined) world.calendar('fabrikam').updateEvent(copy, { subject: guest });
  await world.again();
  return { own, copy };
}

function only(): Shown {
  const [first, ...rest] = world.shown();
  if (first === undefined || rest.length > 0) throw new Error(`One is shown, not ${rest.length + 1}.`);
  return first;
}

async function json<T>(...args: string[]): Promise<T> {
  const { out, err, code } = await runCli(world.stage, [...args, '--json']);
  if (code > 1) throw new Error(`${args.join(' ')}: ${out}${err}`);
  return JSON.parse(out) as T;
}

describe('a pin', () => {
  it('lets one copy show in place, is told, and ends when it is taken away', async () => {
    await world.configure({ sources });
    const { own } = await aMeeting();
    const before = only();
    expect(before.title).toBe('Board');

    await json('pin', before.uid, 'fabrikam');
    await world.again();
    expect(only()).toMatchObject({ uid: before.uid, resource: before.resource, title: '[F] Board' });
    expect(await json('explain', own.key)).toMatchObject({
      stories: [
        { pinnedTo: 'fabrikam', why: 'fabrikam is pinned', writes: [{ action: 'update' }, { action: 'pin' }, {}] },
      ],
    });
    expect(await json('pins')).toMatchObject([{ uid: before.uid, title: 'Board', source: 'fabrikam' }]);

    // Whatever the other does, and whoever may show more.
    await world.configure({ sources: [{ id: 'contoso' }, { id: 'fabrikam', titleTag: '[F] ', privacy: 'busy' }] });
    await world.again();
    expect(only().title).toBe('[F] Busy');

    await json('unpin', own.key);
    await world.again();
    expect(only()).toMatchObject({ uid: before.uid, title: 'Board' });
    expect(await json('audit', '--action', 'meeting')).toMatchObject([
      { actor: 'cli', action: 'meeting.unpin', detail: { source: null, before: 'fabrikam' } },
      { actor: 'cli', action: 'meeting.pin', subject: `me/${before.uid}`, detail: { source: 'fabrikam' } },
    ]);
  });

  it('waits while its source has no copy, and holds again when it has', async () => {
    await world.configure({ sources });
    const { copy } = await aMeeting();
    await json('pin', only().uid, 'fabrikam');
    await world.configure({ sources: [{ id: 'contoso' }, { id: 'fabrikam', filters: { titles: ['^Board'] } }] });
    await world.again();
    expect(only().title).toBe('Board');

    await world.configure({ sources });
    await world.again();
    expect(only().title).toBe('[F] Board');
    world.calendar('fabrikam').delete(copy);
    await world.again();
    expect(only().title).toBe('Board');
  });

  it('outlives a split of the meeting and its merging again', async () => {
    await world.configure({ sources });
    await aMeeting();
    const { uid } = only();
    await json('pin', uid, 'fabrikam');
    await world.again();
    await world.configure({ targets: [{ dedupe: 'off' }], sources });
    await world.again();
    await world.configure({ sources });
    await world.again();

    expect(only()).toMatchObject({ uid, title: '[F] Board' });
  });

  it('goes along when its meeting becomes part of another', async () => {
    await world.configure({ targets: [{ dedupe: 'off' }], sources });
    await aMeeting();
    const pinned = world.shown().find(({ title }) => title === '[F] Board');
    await json('pin', pinned?.uid ?? '', 'fabrikam');
    await world.again();
    await world.configure({ sources });
    await world.again();
    expect(only().title).toBe('[F] Board');
  });

  it('says which copy of a series covers a date that somebody else was invited to alone', async () => {
    const range = { type: 'numbered', startDate: day(2), numberOfOccurrences: 10 } as const;
    await world.configure({ sources: [...sources, { id: 'tailspin', titleTag: '[T] ' }] });
    const own = world
      .calendar('contoso')
      .createSeries({ subject: 'Review', pattern: { type: 'daily' }, range, start: '09:00' });
    const copy = world.calendar('contoso').inviteTo(own, world.mailbox('fabrikam').state, { response: 'accepted' });
    world.calendar('contoso').inviteTo(own, world.mailbox('tailspin').state, { date: day(4), response: 'accepted' });
    await world.again();
    expect(world.titles()).toEqual(['Review']);
    // As if the guest had deleted that date from his own copy alone.
    world.calendar('fabrikam').cancelOccurrence(copy, day(4));
    await json('pin', only().uid, 'fabrikam');
    await world.again();
    expect(world.titles()).toEqual(['[F] Review', '[T] Review']);
    await json('pin', world.shown()[0]?.uid ?? '', 'contoso');
    await world.again();
    expect(world.titles()).toEqual(['Review']);
  });

  it("moves the meeting to its source's calendar; a client's edit there is repaired with its words", async () => {
    await world.configure({
      targets: twoCalendars,
      sources: [{ id: 'contoso' }, { id: 'fabrikam', into: 'me/agency' }],
    });
    await aMeeting('Board, theirs');
    const before = only();
    expect(before.calendar).toBe('agency');
    await json('pin', before.uid, 'contoso');
    world.forget();
    await world.again();
    const moved = only();
    expect(moved).toMatchObject({ uid: before.uid, calendar: 'work', title: 'Board' });
    expect(world.requests('PUT')).toHaveLength(1);

    world.stage.caldav.store('alice', 'work', moved.resource, moved.body.replace('SUMMARY:Board', 'SUMMARY:Scribbled'));
    expect(only().title).toBe('Scribbled');
    await sql`update target_calendar set checked_at = null`.execute(world.stage.product.store.db);
    await world.again();

    expect(only()).toMatchObject({ uid: before.uid, calendar: 'work', title: 'Board' });
    expect(await json('history', '--uid', before.uid, '--action', 'drift')).toMatchObject([{ code: 'drift.edited' }]);
  });

  it('is refused for what is not known, what names several, and a source without a copy', async () => {
    await world.configure({ sources: [{ id: 'contoso' }] });
    world.calendar('contoso').createEvent({ subject: 'Board', start: at(5) });
    await world.again();
    const refused = async (...args: string[]): Promise<string> => {
      const { out, code } = await runCli(world.stage, [...args, '--json']);
      expect(code).toBe(1);
      return (JSON.parse(out) as { error: { code: string } }).error.code;
    };

    expect(await refused('pin', 'nothing', 'contoso')).toBe('pin.unknown_meeting');
    expect(await refused('pin', only().uid, 'fabrikam')).toBe('pin.no_copy');
  });
});

describe('conflicts', () => {
  it('lists both values, the rule and since when; closed ones when asked for', async () => {
    await world.configure({ sources });
    const { copy } = await aMeeting('Bored');
    const told = {
      target: 'me',
      title: 'Bored',
      field: 'title',
      shown: { source: 'fabrikam', value: 'Bored' },
      other: { source: 'contoso', value: 'Board' },
      rule: 'fabrikam was changed last',
    };
    expect(await json('conflicts')).toMatchObject([{ ...told, closedAt: null }]);
    expect((await runCli(world.stage, ['conflicts'])).out).toContain('Board (contoso)');

    world.calendar('fabrikam').updateEvent(copy, { subject: 'Board' });
    await world.again();
    expect(await json('conflicts')).toEqual([]);
    expect(await json('conflicts', '--all', '--source', 'contoso')).toMatchObject([
      { ...told, title: 'Board', closedAt: expect.any(String) },
    ]);
    expect(await json('conflicts', '--all', '--source', 'tailspin')).toEqual([]);
  });
});

describe('history and audit', () => {
  it('are asked by status, source, target, meeting and time', async () => {
    await world.configure({ sources });
    await aMeeting();
    const { uid } = only();
    world.stage.simulator.fail({ match: 'delta', how: { status: 403 } });
    await world.stage.passTime();
    await world.stage.product.worker.run('ingest', 'contoso');
    const lines = (...args: string[]): Promise<{ action: string; source: string | null; at: string }[]> =>
      json('history', ...args);

    expect(await lines('--status', 'error')).toMatchObject([{ source: 'contoso', status: 'error' }]);
    expect((await lines('--source', 'fabrikam')).every(({ source }) => source === 'fabrikam')).toBe(true);
    expect(await lines('--uid', uid)).toMatchObject([{ action: 'create', uid, title: only().title }]);
    expect((await runCli(world.stage, ['history', '--uid', uid])).out).toContain(only().title);
    const all = await lines('--target', 'me');
    const [newest] = all;
    expect(await lines('--since', newest?.at ?? '')).toHaveLength(1);
    expect(await lines('--until', newest?.at ?? '')).toHaveLength(all.length - 1);
    expect(await lines('--target', 'nobody')).toEqual([]);
  });

  it('tell what an operator ordered, tried or took out', async () => {
    await world.configure({ sources });
    const lines: [string[], Record<string, unknown>][] = [
      [['sync', 'contoso'], { action: 'sync', subject: 'sources/contoso', detail: { full: false } }],
      [['sync', '--full'], { action: 'sync', subject: 'sources', detail: { full: true } }],
      [['export'], { action: 'config.export', subject: 'configuration' }],
      [['data-report', 'contoso'], { action: 'data_report', subject: 'tenants/contoso' }],
      [['jobs', 'retry'], { action: 'jobs.retry', subject: 'jobs', detail: { count: 0 } }],
      [['alarms', 'test'], { action: 'alarms.test', subject: 'alarms', detail: {} }],
    ];
    for (const [args, line] of lines) {
      await runCli(world.stage, args);
      const [newest] = await json<unknown[]>('audit', '--limit', '1');
      expect(newest).toMatchObject({ actor: 'cli', ...line });
    }
    // What is refused was not done.
    await runCli(world.stage, ['data-report', 'nobody']);
    await runCli(world.stage, ['jobs', 'retry', 'source:nobody']);
    expect(await json('audit', '--limit', '1')).toMatchObject([{ action: 'alarms.test' }]);
  });

  it('tell every change of the configuration, and the database keeps what stands in the audit log', async () => {
    await world.configure({ sources });
    await world.configure({ sources: [{ id: 'contoso', privacy: 'busy' }, sources[1] ?? {}] });
    expect(await json('audit', '--subject', 'sources/contoso')).toMatchObject([
      { action: 'config.update', detail: 'source contoso: privacy from "full" to "busy"' },
      { action: 'config.add' },
    ]);
    const { db } = world.stage.product.store;
    const count = async (): Promise<number> =>
      Number((await sql<{ count: string }>`select count(*) from audit`.execute(db)).rows[0]?.count);
    const before = await count();

    for (const statement of [sql`update audit set actor = 'nobody'`, sql`delete from audit`, sql`truncate audit`])
      await expect(statement.execute(db)).rejects.toThrow('append-only');
    expect(await count()).toBe(before);
  });
});
