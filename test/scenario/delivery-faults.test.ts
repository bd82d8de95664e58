/**
 * Histories in which the CalDAV server fails: whatever it did, what is wanted stands there at rest, once.
 *
 * With CALDAV_URL, CALDAV_USERNAME and CALDAV_PASSWORD they run on a real server through a proxy that fails; with
 * CALDAV_SQLITE (the database file of that Baikal) half-stored writes too. `DELIVERY_HISTORIES=500 HISTORY_SEED=17`
 * soaks; fast-check prints seed and path of what fails.
 */
import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sql } from 'kysely';
import { aDeliveryWorld, aMeeting, realUrl, titles, type DeliveryWorld } from '../deliver/world.ts';
import type { Fault, FaultKind } from '../support/caldav/faults.ts';

let world: DeliveryWorld;
afterEach(() => world.close());

/** What a client that syncs by token sees. */
async function seenBySyncing(since: string): Promise<string[]> {
  const { changed } = await world.hand.changes(await world.href(), since);
  return changed.map((one) => one.href);
}

/** Half-stored writes and switches of the server need a hand in the real one. */
const isHalfStoring = realUrl === null || process.env['CALDAV_SQLITE'] !== undefined;
/** A time-out that a server under load keeps, and yet soon over. */
const shortMs = realUrl === null ? 500 : 3_000;

describe('a server that answers 500 to what it stored', () => {
  it('is written to once more, so that syncing clients see the event', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.run();
    const href = await world.href();
    const { syncToken } = await world.hand.changes(href, null);
    world.faults.fail({ on: 'PUT', how: '500-stored' });
    await world.says('a', { x: aMeeting('uid', 'Plan') });
    await world.run();
    if (isHalfStoring) expect(await seenBySyncing(syncToken)).toEqual([]);

    await world.settle();

    expect(titles(await world.standing())).toEqual(['Plan']);
    expect(await seenBySyncing(syncToken)).toHaveLength(1);
  });

  it('gets a half-done deletion done once more', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: aMeeting('uid', 'Plan') });
    await world.settle();
    const href = await world.href();
    const { syncToken } = await world.hand.changes(href, null);
    world.faults.fail({ on: 'DELETE', how: '500-stored' });
    await world.loses('a', 'x');
    await world.run();
    await world.settle();
    expect(titles(await world.standing())).toEqual([]);
    expect((await world.hand.changes(href, syncToken)).removed).toHaveLength(1);
    expect(await world.count('intent')).toBe(0);
  });
});

describe('a write that lands after its time-out', () => {
  it.each(['repair', 'keep'] as const)('ends with the newest content where drift is: %s', async (drift) => {
    world = await aDeliveryWorld({ target: { drift }, writeTimeoutMs: shortMs });
    await world.source('a');
    await world.says('a', { x: aMeeting('uid', 'First') });
    await world.settle();
    const fault = world.faults.fail({ on: 'PUT', how: 'late-store' });
    await world.says('a', { x: aMeeting('uid', 'Second') });
    await world.run();
    await world.says('a', { x: aMeeting('uid', 'Third') });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Third']);

    await fault.release();
    expect(titles(await world.standing())).toEqual(['Second']);
    await world.settle({ look: true });

    expect(titles(await world.standing())).toEqual(['Third']);
    expect((await world.history('drift')).map((one) => one.code)).toEqual(['drift.late_write']);
  });

  it('leaves no ghost of a meeting that is gone by then', async () => {
    world = await aDeliveryWorld({ writeTimeoutMs: shortMs });
    await world.source('a');
    await world.run();
    const fault = world.faults.fail({ on: 'PUT', how: 'late-store' });
    await world.says('a', { x: aMeeting('uid', 'Ghost') });
    await world.run();
    await world.loses('a', 'x');
    await world.settle();
    await fault.release();
    expect(titles(await world.standing())).toEqual(['Ghost']);
    await world.settle({ look: true });
    expect(titles(await world.standing())).toEqual([]);
  });
});

describe('a deletion that lands after its time-out', () => {
  it.each(['repair', 'keep'] as const)('takes nothing away that is there again, where drift is: %s', async (drift) => {
    world = await aDeliveryWorld({ target: { drift }, writeTimeoutMs: shortMs });
    await world.source('a');
    await world.says('a', { x: aMeeting('uid', 'First') });
    await world.settle();
    const fault = world.faults.fail({ on: 'DELETE', how: 'late-store' });
    await world.loses('a', 'x');
    await world.run();
    await world.says('a', { x: aMeeting('uid', 'Again') });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Again']);

    await fault.release();
    expect(titles(await world.standing())).toEqual([]);
    await world.settle({ look: true });
    expect(titles(await world.standing())).toEqual(['Again']);
    expect((await world.history('drift')).map((one) => one.code)).toEqual(['drift.late_deletion']);

    // What a client deletes after that is a client's deletion.
    const [[href = ''] = []] = await world.standing();
    await world.hand.remove(href, null);
    await world.settle({ look: true });
    expect(titles(await world.standing())).toEqual(drift === 'keep' ? [] : ['Again']);
  });
});

describe('a rescheduling that was stored although its answer was lost', () => {
  it('leaves no smaller SEQUENCE when the meeting is put back in the meantime', async () => {
    world = await aDeliveryWorld({ writeTimeoutMs: shortMs });
    await world.source('a');
    await world.says('a', { x: aMeeting('uid', 'Board', '2027-07-01') });
    await world.settle();
    world.faults.fail({ on: 'PUT', how: 'timeout-stored' });
    await world.says('a', { x: aMeeting('uid', 'Board', '2027-07-02') });
    await world.run();
    const sequence = async (): Promise<number> => {
      const [body = ''] = (await world.standing()).values();
      return Number(/^SEQUENCE:(\d+)/m.exec(body)?.[1] ?? -1);
    };
    expect(await sequence()).toBe(1);
    await world.says('a', { x: aMeeting('uid', 'Board', '2027-07-01') });
    await world.settle();
    expect([...(await world.standing()).values()].join('')).toContain('20270701T090000');
    expect(await sequence()).toBeGreaterThanOrEqual(1);
  });
});

describe('a creation that lands beside the one that came after it', () => {
  // Needs a server that falls asleep between its checks and its insertion.
  const onOurServer = realUrl === null ? it : it.skip;

  /** The calendar holds two rows of one name. */
  async function twoRows(late: string): Promise<void> {
    world = await aDeliveryWorld({ writeTimeoutMs: shortMs });
    await world.source('a');
    await world.run();
    const fault = world.faults.fail({ on: 'PUT', how: 'late-store' });
    await world.says('a', { x: aMeeting('uid', late) });
    await world.run();
    await world.says('a', { x: aMeeting('uid', 'New') });
    await world.settle();
    await fault.release();
    const rows = await world.hand.list(await world.href());
    expect(rows).toHaveLength(2);
    expect(rows[0]?.href).toBe(rows[1]?.href);
  }

  onOurServer.each(['Old', 'New'])('is found and taken away: %s', async (late) => {
    await twoRows(late);

    // As often as a calendar is looked at anyhow after a request was lost.
    await world.settle({ look: true });
    await world.settle({ look: true });

    expect(await world.hand.list(await world.href())).toHaveLength(1);
    expect(titles(await world.standing())).toEqual(['New']);
    expect((await world.history('drift')).map((one) => one.code)).toContain('drift.duplicate_removed');
  });

  onOurServer('stays while another worker has the target', async () => {
    await twoRows('Old');
    world.faults.forget();
    const list: typeof world.dav.list = async (...args) => {
      const listed = await world.dav.list(...args);
      await sql`update lease set fence = fence + 1, holder = 'another'`.execute(world.store.db);
      return listed;
    };
    await world.pass();
    await world.lookNow(true);
    const outcome = await world.run({ hands: { list } });

    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'deliver.lease_lost' } });
    expect(world.faults.requests.filter(({ method }) => method === 'DELETE')).toEqual([]);
    expect(await world.count('intent')).toBe(0);
  });

  onOurServer.each(['500-stored', 'timeout-stored', '500-not-stored'] as const)(
    'is gone, and the event there, when the answer to its removal is lost: %s',
    async (how) => {
      await twoRows('Old');
      await world.pass();
      await world.lookNow(true);
      world.faults.fail({ on: 'DELETE', how });
      expect((await world.run()).kind).toBe('failed');
      expect(await world.count('intent')).toBe(1);

      for (let looks = 0; looks < 3; looks += 1) {
        await world.settle();
        await world.lookNow(true);
        await world.settle({ look: true });
      }

      expect(await world.hand.list(await world.href())).toHaveLength(1);
      expect(titles(await world.standing())).toEqual(['New']);
    },
  );
});

describe('a firewall that dislikes one event', () => {
  it('keeps no other from being delivered, and is told', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.run();
    const fault = world.faults.fail({
      on: 'PUT',
      times: 1_000,
      match: ({ body }) => body.includes('Select from'),
      how: { status: 403, headers: { 'Content-Type': 'text/html' }, body: '<h1>Forbidden</h1>' },
    });
    await world.says('a', {
      a: aMeeting('uid-a', 'Select from'),
      b: aMeeting('uid-b', 'B'),
      c: aMeeting('uid-c', 'C'),
    });
    expect((await world.run()).kind).toBe('done');
    expect(titles(await world.standing())).toEqual(['B', 'C']);
    expect((await world.history('deliver')).map((one) => one.code)).toEqual(['dav.refused_on_the_way']);
    fault.stop();
    await world.settle();
    expect(titles(await world.standing())).toEqual(['B', 'C', 'Select from']);
  });
});

describe('a server that is out of order', () => {
  const snapshot = async (): Promise<unknown> => [
    (await sql`select id, done_version, failures, code, not_before from meeting order by id`.execute(world.store.db))
      .rows,
    (await sql`select href, etag, fingerprint from object order by href`.execute(world.store.db)).rows,
    (await sql`select count(*) from intent`.execute(world.store.db)).rows,
    (await sql`select href, gone_at from target_calendar`.execute(world.store.db)).rows,
  ];

  it.each([
    ['answers a web page to everything', (on: boolean) => world.faults.maintain(on ? 'html-200' : null)],
    ['sends everybody to its installer', (on: boolean) => world.faults.maintain(on ? 'redirect-install' : null)],
    ...(realUrl === null
      ? [['has CalDAV switched off', (on: boolean) => world.server.switchCalDav(!on)] as const]
      : []),
  ] as const)('changes no state while it %s, and gets all after', async (_name, trouble) => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: aMeeting('uid-1', 'One'), y: aMeeting('uid-2', 'Two') });
    await world.settle();
    await world.says('a', { x: aMeeting('uid-1', 'One changed'), z: aMeeting('uid-3', 'Three') });
    await world.loses('a', 'y');
    const before = await snapshot();
    trouble(true);
    for (let tries = 0; tries < 3; tries += 1) {
      await world.pass();
      await world.lookNow();
      expect((await world.run()).kind).toBe('failed');
    }
    expect(await snapshot()).toEqual(before);
    trouble(false);
    await world.settle();
    expect(titles(await world.standing())).toEqual(['One changed', 'Three']);
  });

  it('stops at a refused password, tells what to do, and goes on when it is right again', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.settle();
    const fault = world.faults.fail({ on: '*', times: 1_000, how: '401' });
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
    await world.hand.remove(await world.href('work'), null);

    await world.says('a', { x: aMeeting('uid-1', 'One changed'), y: aMeeting('uid-2', 'Two') });
    await world.says('b', { z: aMeeting('uid-3', 'Three') });
    expect((await world.run()).kind).toBe('done');
    expect(titles(await world.standing('home'))).toEqual(['Three']);
    const gone = await world.href('work');
    expect((await world.hand.listCalendars()).some(({ href }) => href === gone)).toBe(false);
    expect((await world.history('hold')).map((one) => one.code)).toEqual(['dav.calendar_gone']);
    expect(await world.count('object')).toBe(2);

    await world.hand.makeCalendar(world.calendarId('work'), { displayName: 'Work', color: null });
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
    world.faults.fail({
      on: 'PUT',
      times: 2,
      how: { status: 500, headers: { 'X-Sabre-Version': '4.7.1', 'Content-Type': 'application/xml' }, body },
    });
    await world.says('a', { x: aMeeting('uid', 'Long') });
    await world.settle();
    await world.settle();
    expect(world.faults.requests.filter((request) => request.method === 'PUT')).toHaveLength(1);
    expect((await world.history('deliver')).map((one) => one.code)).toEqual(['dav.too_many_instances']);
    await world.says('a', { x: aMeeting('uid', 'Long still') });
    await world.settle();
    await world.says('a', { x: aMeeting('uid', 'Short') });
    await world.settle();
    expect(titles(await world.standing())).toEqual(['Short']);
  });
});

const xml = { 'X-Sabre-Version': '4.7.1', 'Content-Type': 'application/xml; charset=utf-8' };
const html = { 'Content-Type': 'text/html; charset=UTF-8' };
const faults: readonly FaultKind[] = [
  '500-stored',
  '500-not-stored',
  'timeout-stored',
  'timeout-not-stored',
  'late-store',
  '504-late',
  'reset-before',
  'reset-after',
  'reset-midway',
  'html-200',
  'redirect-install',
  'lose-etag',
  'weaken-etag',
  'in-pieces',
  'trickle',
  { status: 503, headers: xml },
  { status: 503, headers: { ...html, 'Retry-After': '0.2' } },
  { status: 429, headers: html },
  { status: 502, headers: html },
  { status: 504, headers: html, isDone: true },
  // PHP dies before or after its work: no body, or what it had written until then.
  { status: 500, headers: html },
  { status: 500, headers: html, isDone: true },
  { status: 200, headers: html, body: '<br /><b>Fatal error</b>: Allowed memory size exhausted', isDone: true },
  { status: 404, headers: html, body: '<h1>404 Not Found</h1>' },
  { status: 403, headers: html, body: '<h1>Forbidden</h1>' },
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
  const runs = Number(process.env['DELIVERY_HISTORIES'] ?? 30);

  it(
    'ends with what is wanted, each once, and leaves foreign events alone',
    async () => {
      world = await aDeliveryWorld({
        writeTimeoutMs: realUrl === null ? 120 : 1_500,
        target: { strategy: 'priority', calendars: ['work', 'home'].map((id) => ({ id, name: id, color: null })) },
      });
      await world.source('a', { calendar: 'work', priority: 1 });
      await world.source('b', { calendar: 'home', priority: 2 });
      await world.settle();
      const dentist = `${await world.href('work')}dentist.ics`;
      await world.hand.put(dentist, aForeignEvent, { ifNoneMatch: '*' });
      let epoch = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(acts, { minLength: 4, maxLength: 14 }), async (history) => {
          epoch += 1;
          const said = { a: new Map<number, string>(), b: new Map<number, string>() };
          const held: Fault[] = [];
          for (const one of history) await play(one, epoch, said, held);
          for (const fault of held) {
            fault.stop();
            await fault.release();
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

          world.faults.forget();
          await world.settle();
          expect(world.faults.requests).toEqual([]);
          for (const source of ['a', 'b'] as const)
            await world.loses(source, ...[...said[source].keys()].map((meeting) => `k${meeting}`));
          await sql`delete from removal`.execute(world.store.db);
          await world.settle();
        }),
        { numRuns: runs, seed: Number(process.env['HISTORY_SEED'] ?? 5_000), verbose: fc.VerbosityLevel.Verbose },
      );
    },
    120_000 + runs * (realUrl === null ? 5_000 : 60_000),
  );
});

async function play(
  one: Act,
  epoch: number,
  said: { a: Map<number, string>; b: Map<number, string> },
  held: Fault[],
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
      held.push(world.faults.fail({ on: one.on, at: one.at, how: one.how }));
      return;
    case 'touch': {
      const ours = (await world.hand.list(await world.href('work'))).filter(
        ({ href }) => !href.endsWith('dentist.ics'),
      );
      const { href, etag } = ours[one.which] ?? { href: null, etag: null };
      const object = href === null ? null : await world.hand.get(href);
      if (href === null || object === null) return;
      if (one.how === 'delete') await world.hand.remove(href, etag);
      else
        await world.hand.put(
          href,
          one.how === 'edit'
            ? object.body.replace(/SUMMARY:.*/, 'SUMMARY:edited')
            : object.body.replace('SUMMARY:', 'X-MOZ-GENERATION:1\r\nSUMMARY:'),
          { ifMatch: etag ?? '' },
        );
      return;
    }
    case 'run':
      if (one.passes) await world.pass();
      await world.run();
      return;
    case 'release':
      for (const fault of held) await fault.release();
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
