/**
 * A real Baikal whose storage fails while we deliver: a full disk, a database that somebody locks, one that is read-only
 * or missing. Nothing counts as done meanwhile that is not there, and all of it is there afterwards, once, also for a
 * client that syncs by token. Real time passes, two minutes in all; by root, on Linux:
 *
 *   CALDAV_URL=… CALDAV_USERNAME=… CALDAV_PASSWORD=… CALDAV_SQLITE=/mnt/small/…/db.sqlite BAIKAL_MOUNT=/mnt/small \
 *     node test/soak/baikal-storage.ts [full|lock-5|lock-64|read-only|missing …]
 *
 * BAIKAL_MOUNT is a file system of its own for that Baikal, of at most 64 MB: it is filled to its last byte.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { dueTargets } from '../../src/store/targets.ts';
import { aDeliveryWorld, aMeeting, titles, type DeliveryWorld } from '../deliver/world.ts';
import setUp, { tearDown } from '../support/database-setup.ts';

const file = process.env['CALDAV_SQLITE'] ?? '';
const mount = process.env['BAIKAL_MOUNT'] ?? '';
if (file === '' || mount === '' || process.env['CALDAV_URL'] === undefined)
  throw new Error('CALDAV_URL, CALDAV_SQLITE and BAIKAL_MOUNT are needed');
const { blocks, bsize } = statfsSync(mount);
if (blocks * bsize > 64 * 1024 * 1024) throw new Error(`${mount} is larger than 64 MB; it would be filled`);

interface Trouble {
  start(): void;
  end(): void;
  readonly forMs: number;
}

const folder = dirname(file);
const ballast = join(mount, 'ballast');
let lock: DatabaseSync | null = null;
const locked = (forMs: number): Trouble => ({
  start() {
    lock = new DatabaseSync(file, { timeout: 10_000 });
    lock.exec('begin exclusive');
  },
  end() {
    lock?.exec('rollback');
    lock?.close();
  },
  forMs,
});

const troubles: Readonly<Record<string, Trouble>> = {
  full: {
    start() {
      for (const size of [1024 * 1024, 4096, 1]) fill(size);
    },
    end: () => rmSync(ballast),
    forMs: 8_000,
  },
  'lock-5': locked(5_000),
  'lock-64': locked(64_000),
  'read-only': {
    start() {
      execFileSync('mount', ['--bind', folder, folder]);
      execFileSync('mount', ['-o', 'remount,bind,ro', folder]);
    },
    end: () => void execFileSync('umount', ['--lazy', folder]),
    forMs: 8_000,
  },
  missing: {
    start: () => setAside(file, `${file}.aside`),
    end: () => setAside(`${file}.aside`, file),
    forMs: 8_000,
  },
};

function fill(size: number): void {
  const piece = Buffer.alloc(size);
  try {
    for (;;) writeFileSync(ballast, piece, { flag: 'a' });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
  }
}

/** The database with its log, which belongs to it. */
function setAside(from: string, to: string): void {
  for (const end of ['-wal', '-shm', '']) {
    rmSync(`${to}${end}`, { force: true });
    if (readdirSync(folder).some((name) => join(folder, name) === `${from}${end}`))
      renameSync(`${from}${end}`, `${to}${end}`);
  }
}

const say = (what: string): void => void process.stdout.write(`${what}\n`);
const shows = (version: string, from: number, to: number): Record<string, ReturnType<typeof aMeeting>> =>
  Object.fromEntries(
    Array.from({ length: to - from }, (_, index) => {
      const name = `m${from + index}`;
      return [name, aMeeting(`uid-${name}`, `${name} ${version}`)];
    }),
  );

/** Delivers as a worker would, at the times that are due, until nothing is or the time is over. */
async function work(world: DeliveryWorld, untilMs: number, isUp: () => boolean): Promise<void> {
  for (; performance.now() < untilMs; await delay(250)) {
    if ((await dueTargets(world.store.db)).length > 0) await world.run();
    if (!isUp()) continue;
    const open = await sql<{ n: number }>`
      select (select count(*) from meeting where wanted_version > done_version)::int
        + (select count(*) from intent)::int as n`.execute(world.store.db);
    if (open.rows[0]?.n === 0) return;
  }
}

async function trial(name: string, trouble: Trouble): Promise<boolean> {
  const world = await aDeliveryWorld();
  try {
    await world.source('a');
    await world.says('a', shows('first', 0, 20));
    await world.settle();
    const href = await world.href();
    const { syncToken } = await world.hand.changes(href, null);
    const first = await world.standing();

    trouble.start();
    let isUp = false;
    const startedAt = performance.now();
    const over = delay(trouble.forMs).then(() => {
      trouble.end();
      isUp = true;
    });
    await world.says('a', { ...shows('second', 0, 10), ...shows('new', 20, 30) });
    await world.loses('a', 'm18', 'm19');
    const working = work(world, startedAt + trouble.forMs + 180_000, () => isUp);
    await over;
    const told = await sql`
      select coalesce(code, 'ok') as code, count(*)::int as n from sync_history where at > now() - interval '1 hour' and status = 'error'
      group by 1 order by 1`.execute(world.store.db);
    const broken = await sql`
      select id from target_calendar where gone_at is not null
      union all select m.id::text from meeting m where m.wanted_version = m.done_version and m.code is not null`.execute(
      world.store.db,
    );
    await working;
    const seconds = Math.round((performance.now() - startedAt - trouble.forMs) / 1_000);

    // Twice more, as often as it is looked anyhow after unknown outcomes.
    for (let looks = 0; looks < 2; looks += 1) {
      await world.lookNow();
      await world.settle();
    }
    const standing = await world.standing();
    const expected = [
      ...Object.values({ ...shows('first', 10, 18), ...shows('second', 0, 10), ...shows('new', 20, 30) }),
    ]
      .map(({ main }) => main.summary ?? '')
      .toSorted();
    const { changed, removed } = await world.hand.changes(href, syncToken);
    const seen = new Set([...changed.map((one) => one.href), ...removed]);
    const mustBeSeen = [...new Set([...first.keys(), ...standing.keys()])].filter(
      (one) => first.get(one) !== standing.get(one),
    );
    const unseen = mustBeSeen.filter((one) => !seen.has(one));
    const isRight = JSON.stringify(titles(standing)) === JSON.stringify(expected);
    const isGood = isRight && unseen.length === 0 && broken.rows.length === 0;
    say(
      `${isGood ? 'held ' : 'FAILED'} ${name}: all there ${seconds} s after it ended; told ${JSON.stringify(told.rows)}; ` +
        `other clients see ${mustBeSeen.length - unseen.length} of ${mustBeSeen.length} changes`,
    );
    if (!isGood) say(JSON.stringify({ shown: titles(standing), expected, unseen, broken: broken.rows }, null, 1));
    return isGood;
  } finally {
    await world.close();
  }
}

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(troubles);
await setUp();
let failed = 0;
try {
  for (const name of wanted) {
    const trouble = troubles[name];
    if (trouble === undefined) throw new Error(`Troubles: ${Object.keys(troubles).join(', ')}`);
    if (!(await trial(name, trouble))) failed += 1;
  }
} finally {
  await tearDown();
}
process.exit(failed === 0 ? 0 : 1);
