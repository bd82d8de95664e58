import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import type { Hints, Kind } from '../../src/jobs/hints.ts';
import { holderName } from '../../src/jobs/holder.ts';
import { pollDelayMs } from '../../src/ingest/run-ingest.ts';
import { createWorker, type Worker } from '../../src/jobs/worker.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { nullLog } from '../../src/shared/log.ts';
import { SecretBox } from '../../src/shared/secret-box.ts';
import type { Page, Source } from '../../src/sources/source.ts';
import { saveSource, saveTarget } from '../../src/store/configuration.ts';
import { pickSources } from '../../src/store/due-work.ts';
import { recordBorne, recordThrottled } from '../../src/store/source-lease.ts';
import { openStore, type Store } from '../../src/store/database.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';
import { until } from '../support/until.ts';

/** Sources whose pages come when the test lets them, and what was asked of them. */
class Sources {
  /** Names in the order in which they were begun. */
  readonly begun: string[] = [];
  readonly now = new Map<string, number>();
  most = 0;
  mostOfOne = 0;
  private isOpen = false;
  private readonly waiting: (() => void)[] = [];

  get running(): number {
    return [...this.now.values()].reduce((sum, count) => sum + count, 0);
  }

  letGo(): void {
    this.isOpen = true;
    for (const go of this.waiting.splice(0)) go();
  }

  hold(): void {
    this.isOpen = false;
  }

  source(id: string): Source {
    const count = (by: number): void => {
      const here = (this.now.get(id) ?? 0) + by;
      this.now.set(id, here);
      this.mostOfOne = Math.max(this.mostOfOne, here);
      this.most = Math.max(this.most, this.running);
    };
    return {
      readPage: async (_cursor, _window, signal): Promise<Page> => {
        this.begun.push(id);
        count(1);
        try {
          if (!this.isOpen)
            await new Promise<void>((resolve, reject) => {
              this.waiting.push(resolve);
              signal.addEventListener('abort', () => reject(new Error('aborted')));
            });
          return { claims: [], stale: [], cursor: 'c', isLast: true, requests: 1 };
        } finally {
          count(-1);
        }
      },
      rebuild: () => Promise.resolve({ kind: 'gone', requests: 1 }),
    };
  }
}

/** Hints that go straight to the one who works on them. */
function directHints(): Hints & { give(kind: Kind, id: string): Promise<void> } {
  let take: (kind: Kind, id: string) => Promise<void> = () => Promise.resolve();
  return {
    give: (kind, id) => take(kind, id),
    send: (kind, id) => void take(kind, id),
    work: (to) => {
      take = to;
      return Promise.resolve();
    },
    stop: () => Promise.resolve(),
  };
}

let database: TestDatabase;
let store: Store;
let sources: Sources;
let workers: Worker[];
const box = new SecretBox(Buffer.alloc(32, 1));

beforeEach(async () => {
  database = await createMigratedDatabase();
  store = await openStore(database.url, { poolSize: 30 });
  sources = new Sources();
  workers = [];
});

afterEach(async () => {
  sources.letGo();
  for (const worker of workers) await worker.stop();
  await store.close();
  await database.drop();
});

/** Sources `source-00`… in mailboxes of their own, of as many tenants as are named, in turn. */
async function configure(count: number, tenants = ['t0', 't1', 't2', 't3']): Promise<string[]> {
  await saveTarget(store.db, box, aTarget('http://127.0.0.1:9/', { calendars: [] }));
  // Nothing is written here: this is about who reads when.
  await sql`update target set not_before = 'infinity'`.execute(store.db);
  const ids = Array.from({ length: count }, (_, index) => `source-${String(index).padStart(2, '0')}`);
  for (const [index, id] of ids.entries())
    await saveSource(
      store.db,
      box,
      aGraphSource({ id, tenant: tenants[index % tenants.length] ?? 't', mailbox: `${id}@t.example` }),
      index,
      {
        bumpsEpoch: false,
        fullReading: true,
        isOther: false,
      },
    );
  return ids;
}

function aWorker(hints: Hints = directHints()): Worker {
  const worker = createWorker({
    historyDays: 90,
    store,
    log: nullLog,
    hints,
    holder: holderName(),
    ingest: {
      store,
      instance: 'test',
      clock: systemClock,
      log: nullLog,
      random: () => 0.5,
      open: ({ id }) => Promise.resolve(sources.source(id)),
    },
    deliver: {
      store,
      clock: systemClock,
      log: nullLog,
      random: () => 0.5,
      open: () => {
        throw new Error('nothing is written here');
      },
    },
  });
  workers.push(worker);
  return worker;
}

const readSources = async (): Promise<number> => {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from source where done_version >= wanted_version`.execute(store.db);
  return rows[0]?.count ?? 0;
};

describe('more sources than slots', () => {
  it('are read sixteen at a time, each once, until all are done', async () => {
    const ids = await configure(40);
    await aWorker().start();
    await until('the slots are full', () => sources.running === 16);

    sources.letGo();
    await until('all are read', async () => (await readSources()) === ids.length);
    expect(sources.most).toBe(16);
    expect(sources.begun.toSorted()).toEqual(ids);
  });

  it('do not keep a worker from stopping: what runs is told to, what waits does not begin', async () => {
    await configure(40);
    const worker = aWorker();
    await worker.start();
    await until('the slots are full', () => sources.running === 16);

    await worker.stop();
    expect(sources.begun).toHaveLength(16);
    expect(sources.running).toBe(0);
    const { rows } = await sql`select from lease where holder is not null`.execute(store.db);
    expect(rows).toEqual([]);
  });

  it('are shared by two workers, never one source by both', async () => {
    const ids = await configure(30);
    const started = [aWorker(), aWorker()].map((worker) => worker.start());
    await Promise.all(started);
    // Each worker sweeps all that is due: more than either has slots for is under way only if both work.
    await until('both work', () => sources.running > 16);
    sources.letGo();
    await until('all are read', async () => (await readSources()) === ids.length);
    expect(sources.mostOfOne).toBe(1);
  });
});

describe('a hint', () => {
  it('that comes during a run, or five, means one more run', async () => {
    await configure(1);
    const hints = directHints();
    await aWorker(hints).start();
    await until('it runs', () => sources.running === 1);
    for (let count = 0; count < 5; count += 1) await hints.give('ingest', 'source-00');

    sources.letGo();
    await until('it has run again', () => sources.begun.length === 2 && sources.running === 0);
    await until('it rests', async () => {
      const { rows } = await sql`select from lease where holder is not null`.execute(store.db);
      return rows.length === 0;
    });
    expect(sources.begun).toHaveLength(2);
  });

  it('given a hundred times within a second costs a handful of runs', async () => {
    await configure(1);
    sources.letGo();
    const hints = directHints();
    await aWorker(hints).start();
    await until('it has been read', async () => (await readSources()) === 1);
    const before = sources.begun.length;
    for (let count = 0; count < 100; count += 1) {
      await hints.give('ingest', 'source-00');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await until('it rests', async () => {
      const { rows } = await sql`select from lease where holder is not null`.execute(store.db);
      return rows.length === 0;
    });
    const runs = sources.begun.length - before;
    process.stdout.write(`100 hints within a second: ${runs} runs\n`);
    expect(runs).toBeGreaterThan(0);
    expect(runs).toBeLessThanOrEqual(6);
  });

  it('does not shorten the wait that a server asked for; the source is read when that is over', async () => {
    const [id = '', other = ''] = await configure(2);
    await sql`update source set not_before = now() + interval '1 hour', failures = 3 where id = ${id}`.execute(
      store.db,
    );
    const hints = directHints();
    const worker = aWorker(hints);
    await hints.give('ingest', id);
    sources.letGo();
    await worker.start();
    await hints.give('ingest', id);
    worker.hint('ingest', id);
    await until('the other is read, twice', async () => {
      await hints.give('ingest', other);
      return sources.begun.filter((begun) => begun === other).length > 1;
    });
    expect(sources.begun).not.toContain(id);
    await worker.stop();

    await sql`update source set not_before = now() - interval '1 millisecond'`.execute(store.db);
    const later = aWorker();
    await later.start();
    await until('it is read', async () => (await readSources()) === 2);
  });

  it('for a source that another worker reads is kept: the sweep comes back for it', async () => {
    await configure(1);
    const { rows } = await sql`
      insert into lease (name, holder, fence, expires_at)
      values ('source:source-00', 'elsewhere/1/1/cafe', 1, clock_timestamp() + interval '1 minute') returning name`.execute(
      store.db,
    );
    expect(rows).toHaveLength(1);
    sources.letGo();
    const worker = aWorker();
    await worker.start();
    expect(await worker.run('ingest', 'source-00')).toBeNull();

    await sql`update lease set holder = null`.execute(store.db);
    const tookMs = await until('it is read', async () => (await readSources()) === 1);
    expect(tookMs).toBeLessThan(10_000);
  });
});

describe('a tenant with many slow calendars', () => {
  it('leaves room for the single one of another, whether it is polled or hinted at', async () => {
    await configure(60, ['big']);
    const small = aGraphSource({ id: 'small', tenant: 'small', mailbox: 'm@small.example' });
    await sql`insert into tenant_pace (tenant_id, cap) values ('big', 32)`.execute(store.db);
    const hints = directHints();
    await aWorker(hints).start();
    await until('it has all that it may have', () => sources.running === 12);
    // Notifications of it all do not get more than that.
    for (let index = 0; index < 60; index += 1) await hints.give('ingest', `source-${String(index).padStart(2, '0')}`);
    expect(sources.running).toBe(12);

    await saveSource(store.db, box, small, 99, { bumpsEpoch: false, fullReading: true, isOther: false });
    await until('the other is read', () => sources.begun.includes('small'), 3_000);
    expect(sources.running).toBe(13);
  });

  it('comes one by one behind it where two wait for the same slots', async () => {
    await configure(60, ['big']);
    const small = aGraphSource({ id: 'small', tenant: 'small', mailbox: 'm@small.example' });
    await saveSource(store.db, box, small, 99, { bumpsEpoch: false, fullReading: true, isOther: false });
    await sql`update source set next_poll_at = now() - interval '1 hour' where id <> 'small'`.execute(store.db);
    const wanted = { limit: 1_000, except: [], running: {}, mostOfOneGroup: 1_000 };
    const places: number[] = [];
    for (let count = 0; count < 20; count += 1)
      places.push((await pickSources(store.db, wanted)).findIndex(({ id }) => id === 'small'));
    expect(Math.max(...places)).toBeLessThan(17);
  });
});

describe('limits that hold for all workers together', () => {
  it('one calendar of a mailbox is read at a time', async () => {
    const ids = await configure(6, ['t0']);
    await sql`update source set settings = settings || '{"mailbox": "One@t.example"}'`.execute(store.db);
    await sql`update source set settings = settings || '{"mailbox": "one@t.example"}' where id < 'source-03'`.execute(
      store.db,
    );
    sources.letGo();
    await Promise.all([aWorker(), aWorker()].map((worker) => worker.start()));
    await until('all are read', async () => (await readSources()) === ids.length);
    expect(sources.most).toBe(1);
  });

  it('as many readings of a tenant as its pace allows', async () => {
    await configure(40, ['t0']);
    await sql`insert into tenant_pace (tenant_id, cap) values ('t0', 3.7)`.execute(store.db);
    const workers = [aWorker(), aWorker()];
    await Promise.all(workers.map((worker) => worker.start()));
    await until('it has all that it may have', () => sources.running === 3);
    expect(await workers[0]?.run('ingest', 'source-39')).toBeNull();
    sources.letGo();
    await until('all are read', async () => (await readSources()) === 40);
    // It bears what it is asked for, so that it is asked for more.
    const { rows } = await sql<{ cap: number }>`select cap from tenant_pace`.execute(store.db);
    expect(rows[0]?.cap).toBeGreaterThan(7);
  });

  it('are halved when a tenant asks us to slow down, once for many that it tells at once, and never below one', async () => {
    const cap = async (): Promise<number | undefined> =>
      (await sql<{ cap: number }>`select cap from tenant_pace where tenant_id = 't'`.execute(store.db)).rows[0]?.cap;
    await recordThrottled(store.db, 't');
    await Promise.all(Array.from({ length: 10 }, () => recordThrottled(store.db, 't')));
    expect(await cap()).toBe(4);
    for (let count = 0; count < 4; count += 1) {
      await sql`update tenant_pace set throttled_at = now() - interval '10 seconds'`.execute(store.db);
      await recordThrottled(store.db, 't');
    }
    expect(await cap()).toBe(1);
    for (let count = 0; count < 1_000; count += 1) await recordBorne(store.db, 't');
    expect(await cap()).toBe(32);
  });

  it('a worker that was killed stands in nobody’s way', async () => {
    const ids = await configure(3, ['t0']);
    const [place, , start] = holderName().split('/');
    await sql`
      insert into lease (name, holder, fence, expires_at, tenant_id)
      select name, ${`${place}/4194304/${start}/dead`}, 1, clock_timestamp() + interval '1 minute', 't0'
      from unnest(array['source:source-00', 'mailbox:t0/source-00@t.example', 'mailbox:t0/source-01@t.example']) as name`.execute(
      store.db,
    );
    sources.letGo();
    await aWorker().start();
    await until('all are read', async () => (await readSources()) === ids.length, 5_000);
  });
});

describe('a poll', () => {
  const usual = { config: { everySeconds: 60 }, hasPush: false, slowed: 0, failures: 0 };
  it.each([
    ['comes every minute', {}, 60],
    ['every ten minutes where changes are told', { hasPush: true }, 600],
    ['soon after failures have healed', { failures: 3 }, 15],
    ['half as often once it was asked to slow down', { slowed: 1, failures: 1 }, 120],
    ['every ten minutes at last', { slowed: 5 }, 600],
    ['never more often than wanted', { slowed: 5, config: { everySeconds: 3_600 } }, 3_600],
  ])('%s', (_, state, seconds) => {
    expect(pollDelayMs({ ...usual, ...state }, 0.5)).toBe(seconds * 1_000);
    expect(pollDelayMs({ ...usual, ...state }, 0)).toBe(seconds * 900);
  });
});
