import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import type { Hints, Kind } from '../../src/jobs/hints.ts';
import { holderName } from '../../src/jobs/holder.ts';
import { createWorker, type Worker } from '../../src/jobs/worker.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { nullLog } from '../../src/shared/log.ts';
import { SecretBox } from '../../src/shared/secret-box.ts';
import type { Page, Source } from '../../src/sources/source.ts';
import { saveSource, saveTarget } from '../../src/store/configuration.ts';
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

async function configure(count: number): Promise<string[]> {
  await saveTarget(store.db, box, aTarget('http://127.0.0.1:9/', { calendars: [] }));
  // Nothing is written here: this is about who reads when.
  await sql`update target set not_before = 'infinity'`.execute(store.db);
  const ids = Array.from({ length: count }, (_, index) => `source-${String(index).padStart(2, '0')}`);
  for (const [index, id] of ids.entries())
    await saveSource(store.db, box, aGraphSource({ id, tenant: 't', mailbox: 'm@t.example' }), index, {
      bumpsEpoch: false,
      fullReading: true,
      isOther: false,
    });
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
    expect(tookMs).toBeLessThan(2_000);
  });
});
