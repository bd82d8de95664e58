/** Histories in which the CalDAV server fails: whatever it did, what is wanted stands there at rest, once. */
import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sql } from 'kysely';
import { aDeliveryWorld, aMeeting, titles, type DeliveryWorld } from '../deliver/world.ts';
import type { FaultKind } from '../support/caldav/faults.ts';

let world: DeliveryWorld;
afterEach(() => world.close());

/** What a client that syncs by token sees, starting before everything. */
async function seenBySyncing(since: string): Promise<string[]> {
  const href = `${new URL(world.server.url).pathname}calendars/alice/work/`;
  const { changed } = await world.dav.changes(href, since);
  return changed.map((one) => one.href);
}

describe('a server that answers 500 to what it stored', () => {
  it('is written to once more, so that syncing clients see the event', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.run();
    const href = `${new URL(world.server.url).pathname}calendars/alice/work/`;
    const { syncToken } = await world.dav.changes(href, null);
    world.server.fail({ on: 'PUT', how: '500-stored' });
    await world.says('a', { x: aMeeting('uid', 'Plan') });
    await world.run();
    expect(await seenBySyncing(syncToken)).toEqual([]);

    await world.settle();

    expect(titles(await world.standing())).toEqual(['Plan']);
    expect(await seenBySyncing(syncToken)).toHaveLength(1);
  });

  it('gets a half-done deletion done once more', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: aMeeting('uid', 'Plan') });
    await world.settle();
    const href = `${new URL(world.server.url).pathname}calendars/alice/work/`;
    const { syncToken } = await world.dav.changes(href, null);
    world.server.fail({ on: 'DELETE', how: '500-stored' });
    await world.loses('a', 'x');
    await world.run();
    await world.settle();
    expect(titles(await world.standing())).toEqual([]);
    expect((await world.dav.changes(href, syncToken)).removed).toHaveLength(1);
    expect(await world.count('intent')).toBe(0);
  });
});

describe('a write that lands after its time-out', () => {
  it.each(['repair', 'keep'] as const)('ends with the newest content where drift is: %s', async (drift) => {
    world = await aDeliveryWorld({ target: { drift }, writeTimeoutMs: 500 });
    await world.source('a');
    await world.says('a', { x: aMeeting('uid', 'First') });
    await world.settle();
    const fault = world.server.fail({ on: 'PUT', how: 'late-store' });
    await world.says('a', { x: aMeeting('uid', 'Second') });
    await world.run();
    await world.says('a', { x: aMeeting('uid', 'Third') });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Third']);

    fault.release();
    expect(titles(await world.standing())).toEqual(['Second']);
    await world.settle({ look: true });

    expect(titles(await world.standing())).toEqual(['Third']);
    expect((await world.history('drift')).map((one) => one.code)).toEqual(['drift.late_write']);
  });

  it('leaves no ghost of a meeting that is gone by then', async () => {
    world = await aDeliveryWorld({ writeTimeoutMs: 500 });
    await world.source('a');
    await world.run();
    const fault = world.server.fail({ on: 'PUT', how: 'late-store' });
    await world.says('a', { x: aMeeting('uid', 'Ghost') });
    await world.run();
    await world.loses('a', 'x');
    await world.settle();
    fault.release();
    expect(titles(await world.standing())).toEqual(['Ghost']);
    await world.settle({ look: true });
    expect(titles(await world.standing())).toEqual([]);
  });
});

describe('a server that is out of order', () => {
  const shapshot = async (): Promise<unknown> => [
    (await sql`select id, done_version, failures, code, not_before from meeting order by id`.execute(world.store.db))
      .rows,
    (await sql`select href, etag, fingerprint from object order by href`.execute(world.store.db)).rows,
    (await sql`select count(*) from intent`.execute(world.store.db)).rows,
    (await sql`select href, gone_at from target_calendar`.execute(world.store.db)).rows,
  ];

  it.each([
    ['answers a web page to everything', (on: boolean) => world.server.maintain(on ? 'html-200' : null)],
    ['sends everybody to its installer', (on: boolean) => world.server.maintain(on ? 'redirect-install' : null)],
    ['has CalDAV switched off', (on: boolean) => world.server.switchCalDav(!on)],
  ])('changes no state while it %s, and gets all after', async (_name, trouble) => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: aMeeting('uid-1', 'One'), y: aMeeting('uid-2', 'Two') });
    await world.settle();
    await world.says('a', { x: aMeeting('uid-1', 'One changed'), z: aMeeting('uid-3', 'Three') });
    await world.loses('a', 'y');
    const before = await shapshot();
    trouble(true);
    for (let tries = 0; tries < 3; tries += 1) {
      await world.pass();
      await world.lookNow();
      expect((await world.run()).kind).toBe('failed');
    }
    expect(await shapshot()).toEqual(before);
    trouble(false);
    await world.settle();
    expect(titles(await world.standing())).toEqual(['One changed', 'Three']);
  });

  it('stops at a refused password, tells what to do, and goes on when it is right again', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.settle();
    const fault = world.server.fail({ on: '*', times: 1_000, how: '401' });
    await world.says('a', { x: aMeeting('uid', 'Plan') });
    await world.run();
    const found = await sql`select paused_code, remedy is not null as told from target`.execute(world.store.db);
    expect(found.rows).toEqual([{ paused_code: 'dav.unauthorized', told: true }]);
    fault.stop();
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Plan']);
    expect((await sql`select paused_code from target`.execute(world.store.db)).rows).toEqual([{ paused_code: null }]);
  });
});

describe('a calendar that somebody deleted on the server', () => {
  it('is not made again, held and told; others go on; all is there once it is back', async () => {
    const calendars = ['work', 'home'].map((id) => ({ id, name: id, color: null }));
    world = await aDeliveryWorld({ target: { calendars } });
    await world.source('a', { calendar: 'work' });
    await world.source('b', { calendar: 'home' });
    await world.says('a', { x: aMeeting('uid-1', 'One') });
    await world.settle();
    world.server.dropCalendar('alice', 'work');

    await world.says('a', { x: aMeeting('uid-1', 'One changed'), y: aMeeting('uid-2', 'Two') });
    await world.says('b', { z: aMeeting('uid-3', 'Three') });
    expect((await world.run()).kind).toBe('done');
    expect(titles(await world.standing('home'))).toEqual(['Three']);
    expect(world.server.calendars('alice').some((href) => href.endsWith('/work/'))).toBe(false);
    expect((await world.history('hold')).map((one) => one.code)).toEqual(['dav.calendar_gone']);
    expect(await world.count('object')).toBe(2);

    world.server.makeCalendar('alice', 'work');
    await world.settle({ look: true });
    expect(titles(await world.standing('work'))).toEqual(['One changed', 'Two']);
  });
});

describe('a write that will never be taken', () => {
  it('is told once, and tried again only when the meeting changes', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.run();
    const body =
      '<?xml version="1.0"?><d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns"><s:exception>Sabre\\VObject\\Recur\\MaxInstancesExceededException</s:exception></d:error>';
    world.server.fail({
      on: 'PUT',
      times: 2,
      how: { status: 500, headers: { 'X-Sabre-Version': '4.7.1', 'Content-Type': 'application/xml' }, body },
    });
    await world.says('a', { x: aMeeting('uid', 'Long') });
    await world.settle();
    await world.settle();
    expect(world.server.requests.filter((request) => request.method === 'PUT')).toHaveLength(1);
    expect((await world.history('deliver')).map((one) => one.code)).toEqual(['dav.too_many_instances']);
    await world.says('a', { x: aMeeting('uid', 'Long still') });
    await world.settle();
    await world.says('a', { x: aMeeting('uid', 'Short') });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Short']);
  });
});

const faults: readonly FaultKind[] = [
  '500-stored',
  '500-not-stored',
  'timeout-stored',
  'timeout-not-stored',
  'late-store',
  'reset-before',
  'reset-after',
  'html-200',
  'redirect-install',
  'lose-etag',
  { status: 503, headers: { 'X-Sabre-Version': '4.7.1' } },
  { status: 502 },
];

type Act =
  | { readonly act: 'say'; readonly source: 'a' | 'b'; readonly meeting: number; readonly version: number }
  | { readonly act: 'lose'; readonly source: 'a' | 'b'; readonly meeting: number }
  | { readonly act: 'fail'; readonly how: FaultKind; readonly on: string; readonly at: number }
  | { readonly act: 'touch'; readonly which: number; readonly how: 'edit' | 'delete' | 'state' }
  | { readonly act: 'run'; readonly passes: boolean }
  | { readonly act: 'release' };

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      act: fc.constant('say' as const),
      source: fc.constantFrom('a' as const, 'b' as const),
      meeting: fc.nat(3),
      version: fc.nat(9),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant('lose' as const),
      source: fc.constantFrom('a' as const, 'b' as const),
      meeting: fc.nat(3),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constant('fail' as const),
      how: fc.constantFrom(...faults),
      on: fc.constantFrom('PUT', 'DELETE', 'GET', 'PROPFIND', 'REPORT', '*'),
      at: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      act: fc.constant('touch' as const),
      which: fc.nat(3),
      how: fc.constantFrom('edit' as const, 'delete' as const, 'state' as const),
    }),
  },
  { weight: 5, arbitrary: fc.record({ act: fc.constant('run' as const), passes: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ act: 'release' as const }) },
);

describe('any history of changes, faults and clients', () => {
  const runs = Number(process.env['DELIVERY_HISTORIES'] ?? 50);

  it(
    'ends with what is wanted, each once, and leaves foreign events alone',
    async () => {
      world = await aDeliveryWorld({
        writeTimeoutMs: 120,
        target: { strategy: 'priority', calendars: ['work', 'home'].map((id) => ({ id, name: id, color: null })) },
      });
      await world.source('a', { calendar: 'work', priority: 1 });
      await world.source('b', { calendar: 'home', priority: 2 });
      await world.settle();
      world.server.store('alice', 'work', 'dentist.ics', aForeignEvent);
      let epoch = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(acts, { minLength: 4, maxLength: 14 }), async (history) => {
          epoch += 1;
          const said = { a: new Map<number, string>(), b: new Map<number, string>() };
          const held: { release(): void; stop(): void }[] = [];
          for (const one of history) await play(one, epoch, said, held);
          for (const fault of held) {
            fault.stop();
            fault.release();
          }
          await sql`update object set repairs = 0, repaired_at = null`.execute(world.store.db);
          await world.settle({ look: true });
          await world.settle({ look: true });

          const expected = { work: ['Dentist'], home: [] as string[] };
          expected.work.push(...said.a.values());
          for (const [meeting, title] of said.b) if (!said.a.has(meeting)) expected.home.push(title);
          expect(titles(await world.standing('work'))).toEqual(expected.work.toSorted());
          expect(titles(await world.standing('home'))).toEqual(expected.home.toSorted());
          expect(await world.count('intent')).toBe(0);
          expect(await world.count('object')).toBe(expected.work.length + expected.home.length - 1);

          world.server.forget();
          await world.settle();
          expect(world.server.requests).toEqual([]);
          for (const source of ['a', 'b'] as const)
            await world.loses(source, ...[...said[source].keys()].map((meeting) => `k${meeting}`));
          await sql`delete from removal`.execute(world.store.db);
          await world.settle();
        }),
        { numRuns: runs, verbose: fc.VerbosityLevel.Verbose },
      );
    },
    60_000 + runs * 5_000,
  );
});

async function play(
  one: Act,
  epoch: number,
  said: { a: Map<number, string>; b: Map<number, string> },
  held: { release(): void; stop(): void }[],
): Promise<void> {
  switch (one.act) {
    case 'say': {
      // A title of its own for each history, so that nothing can pass for what came before.
      const title = `${one.source}${one.meeting} v${one.version} h${epoch}`;
      said[one.source].set(one.meeting, title);
      await world.says(one.source, { [`k${one.meeting}`]: aMeeting(`uid-${one.meeting}`, title) });
      return;
    }
    case 'lose':
      said[one.source].delete(one.meeting);
      await world.loses(one.source, `k${one.meeting}`);
      return;
    case 'fail':
      held.push(world.server.fail({ on: one.on, at: one.at, how: one.how }));
      return;
    case 'touch': {
      const ours = [...world.server.objects('alice', 'work')].filter(([href]) => !href.endsWith('dentist.ics'));
      const [href, object] = ours[one.which] ?? [];
      if (href === undefined || object === undefined) return;
      const name = href.split('/').at(-1) ?? '';
      if (one.how === 'delete') world.server.discard('alice', 'work', name);
      else
        world.server.store(
          'alice',
          'work',
          name,
          one.how === 'edit'
            ? object.body.replace(/SUMMARY:.*/, 'SUMMARY:edited')
            : object.body.replace('SUMMARY:', 'X-MOZ-GENERATION:1\r\nSUMMARY:'),
        );
      return;
    }
    case 'run':
      if (one.passes) await world.pass();
      await world.run();
      return;
    case 'release':
      for (const fault of held) fault.release();
  }
}

const aForeignEvent = [
  'BEGIN:VCALENDAR',
  'VERSION:2.0',
  'PRODID:-//phone//EN',
  'BEGIN:VEVENT',
  'UID:dentist',
  'DTSTAMP:20260101T000000Z',
  'DTSTART:20270101T090000Z',
  'DTEND:20270101T100000Z',
  'SUMMARY:Dentist',
  'END:VEVENT',
  'END:VCALENDAR',
  '',
].join('\r\n');
