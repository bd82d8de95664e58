import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { sql } from 'kysely';

import { holderName, isDeadHolder } from '../../src/jobs/holder.ts';
import { withLease } from '../../src/jobs/with-lease.ts';
import { openStore, type Store } from '../../src/store/database.ts';
import { releaseLeftOver } from '../../src/store/due-work.ts';
import { acquireLease, releaseLease, renewLease, type Lease } from '../../src/store/leases.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createMigratedDatabase();
  store = await openStore(database.url);
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

beforeEach(() => sql`delete from lease`.execute(store.db));

const take = (holder: string, ttlMs = 60_000, isDead: (holder: string) => boolean = () => false) =>
  acquireLease(store.db, 'source:one', holder, ttlMs, isDead);

const taken = async (holder: string, ttlMs?: number): Promise<Lease> => {
  const lease = await take(holder, ttlMs);
  if (lease === null) throw new Error(`${holder} does not get it`);
  return lease;
};

describe('leases that nothing here is under', () => {
  it('are let go of when a sweep finds them: their release was lost with the connection', async () => {
    await acquireLease(store.db, 'target:left', 'first', 50_000, () => false);
    await acquireLease(store.db, 'target:held', 'first', 50_000, () => false);
    await acquireLease(store.db, 'target:other', 'second', 50_000, () => false);
    await acquireLease(store.db, 'target:young', 'first', 55_000, () => false);
    await releaseLeftOver(store.db, 'first', 55_000, (name) => name === 'target:held');
    const { rows } = await sql<{ name: string }>`
      select name from lease where holder is not null order by name`.execute(store.db);
    expect(rows.map(({ name }) => name)).toEqual(['target:held', 'target:other', 'target:young']);
  });
});

describe('a lease', () => {
  it('goes to one of many who ask at once', async () => {
    const taken = await Promise.all(Array.from({ length: 12 }, (_, index) => take(`worker-${index}`)));
    expect(taken.filter((lease) => lease !== null)).toHaveLength(1);
  });

  it('is not even given twice to one holder, who may be at it in another run', async () => {
    expect(await take('worker')).not.toBeNull();
    expect(await take('worker')).toBeNull();
  });

  it('expires on the clock of the database, whatever the machine believes', async () => {
    await take('first');
    jest.spyOn(Date, 'now').mockReturnValue(Date.parse('2099-01-01T00:00:00Z'));
    expect(await take('second')).toBeNull();
    jest.restoreAllMocks();

    await sql`update lease set expires_at = clock_timestamp() - interval '1 millisecond'`.execute(store.db);
    expect(await take('second')).toMatchObject({ holder: 'second', fence: '2' });
  });

  it('has a fence that rises with each change of holder, after a release too', async () => {
    const fences = [];
    for (const holder of ['a', 'b', 'a']) {
      const lease = await take(holder);
      fences.push(lease?.fence);
      if (lease !== null) await releaseLease(store.db, lease);
    }
    expect(fences).toEqual(['1', '2', '3']);
  });

  it('is not prolonged, and not released, by who has lost it', async () => {
    const lost = await taken('first', -1);
    const held = await taken('second');

    expect(await renewLease(store.db, lost, 60_000)).toBe(false);
    await releaseLease(store.db, lost);
    expect(await renewLease(store.db, held, 60_000)).toBe(true);
    expect(await take('third')).toBeNull();
  });
});

describe('a holder that lives no more', () => {
  it('is told from a living one, and its lease is taken over at once', async () => {
    const child = spawn(process.execPath, [
      '-e',
      `import('${import.meta.dirname}/../../src/jobs/holder.ts').then(({ holderName }) => console.log(holderName())); setInterval(() => {}, 1000)`,
    ]);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const holder = line.toString().trim();
    await take(holder);
    expect(isDeadHolder(holder)).toBe(false);
    expect(await take(holderName(), 60_000, isDeadHolder)).toBeNull();

    child.kill('SIGKILL');
    await once(child, 'close');
    expect(await take(holderName(), 60_000, isDeadHolder)).toMatchObject({ fence: '2' });
  });

  it('is not mistaken for the process that has its number now', () => {
    const [place, pid, start] = holderName().split('/');
    expect(isDeadHolder(`${place}/${pid}/${Number(start) - 1}/cafe`)).toBe(true);
    expect(isDeadHolder(`${place}/${pid}/${start}/cafe`)).toBe(false);
  });

  it('is dead although nobody has buried it', async () => {
    // A shell would bury the child; what it has become does not, and the child ends when its input does.
    const parent = spawn('sh', ['-c', 'exec 3<&0; { read _ <&3; } & echo $!; exec sleep 60 3<&-']);
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = line.toString().trim();
    const fields = (): string[] => {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    };
    await until('the shell is gone', () => readFileSync(`/proc/${parent.pid}/comm`, 'utf8') === 'sleep\n');
    parent.stdin.end();
    await until('the child is a zombie', () => fields()[0] === 'Z');
    const [place] = holderName().split('/');
    expect(isDeadHolder(`${place}/${pid}/${fields()[19]}/cafe`)).toBe(true);
    parent.kill();
    await once(parent, 'close');
  });

  it('cannot be told of another host, nor of another namespace of this one', () => {
    const [place = ''] = holderName().split('/');
    expect(isDeadHolder('elsewhere/4999999/1/cafe')).toBe(false);
    expect(isDeadHolder(`${place}0/4999999/1/cafe`)).toBe(false);
    expect(isDeadHolder(`${place}/4999999/1/cafe`)).toBe(true);
    expect(isDeadHolder('nonsense')).toBe(false);
  });
});

describe('work under a lease', () => {
  const open = new AbortController().signal;

  beforeEach(() => {
    // Only the renewals: the database's connection lives by all other timers.
    jest.useFakeTimers({
      doNotFake: [
        'Date',
        'hrtime',
        'nextTick',
        'performance',
        'queueMicrotask',
        'setImmediate',
        'clearImmediate',
        'setTimeout',
        'clearTimeout',
      ],
    });
  });

  afterEach(() => void jest.useRealTimers());

  it('is not begun while somebody else holds it, and lets go of it even when it fails', async () => {
    const failing = withLease(store.db, 'source:one', 'first', open, async () => {
      expect(await withLease(store.db, 'source:one', 'second', open, () => Promise.resolve('ran'))).toBeNull();
      throw new Error('failed');
    });
    await expect(failing).rejects.toThrow('failed');
    expect(await withLease(store.db, 'source:one', 'second', open, () => Promise.resolve('ran'))).toEqual({
      result: 'ran',
    });
  });

  it('keeps the lease for as long as it lasts', async () => {
    await withLease(store.db, 'source:one', 'first', open, async () => {
      await sql`update lease set expires_at = clock_timestamp() + interval '1 second'`.execute(store.db);
      jest.advanceTimersByTime(5_000);
      await until('it is renewed', async () => {
        const { rows } = await sql<{ ok: boolean }>`
          select expires_at > clock_timestamp() + interval '50 seconds' as ok from lease`.execute(store.db);
        return rows[0]?.ok === true;
      });
    });
  });

  it('is told to stop once the lease is somebody else’s', async () => {
    await withLease(store.db, 'source:one', 'first', open, async (_, signal) => {
      await sql`update lease set expires_at = clock_timestamp() - interval '1 second'`.execute(store.db);
      await take('second');
      expect(signal.aborted).toBe(false);
      jest.advanceTimersByTime(5_000);
      await until('it is told', () => signal.aborted);
      expect(String(signal.reason)).toContain('taken over');
    });
    const { rows } = await sql<{ holder: string }>`select holder from lease`.execute(store.db);
    expect(rows).toEqual([{ holder: 'second' }]);
  });

  it('takes up again what it holds only because its release was lost with the connection', async () => {
    await take('worker');
    expect(await withLease(store.db, 'source:one', 'worker', open, ({ fence }) => Promise.resolve(fence))).toEqual({
      result: '2',
    });
    await withLease(store.db, 'source:one', 'worker', open, async () => {
      expect(await withLease(store.db, 'source:one', 'worker', open, () => Promise.resolve('twice'))).toBeNull();
    });
  });

  it('is told to stop when the worker stops', async () => {
    const outer = new AbortController();
    await withLease(store.db, 'source:one', 'first', outer.signal, (_, signal) => {
      outer.abort();
      expect(signal.aborted).toBe(true);
      return Promise.resolve();
    });
  });
});
