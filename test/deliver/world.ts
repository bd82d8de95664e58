/** Delivery without ingest: claims are put into the database as ingest would, and written to a CalDAV server. */
import { createHash, randomBytes } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import type { Series } from '../../src/calendar/series.ts';
import type { SourceConfig, Target } from '../../src/config/model.ts';
import { openCalDav, type CalDav } from '../../src/dav/calendar-client.ts';
import { runDeliver, type DeliverDeps, type DeliverOutcome } from '../../src/deliver/run-deliver.ts';
import { withLease } from '../../src/jobs/with-lease.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { nullLog } from '../../src/shared/log.ts';
import { SecretBox } from '../../src/shared/secret-box.ts';
import { removeClaims, upsertClaims } from '../../src/store/claims.ts';
import { openTargetPassword, saveSource, saveTarget } from '../../src/store/configuration.ts';
import { openStore, type Store } from '../../src/store/database.ts';
import { loadSource } from '../../src/store/sources.ts';
import { dueTargets } from '../../src/store/targets.ts';
import { anEntry, aSeries, zoned } from '../calendar/builders.ts';
import { startFaultProxy, type FaultProxyOptions, type FaultySide } from '../support/caldav/fault-proxy.ts';
import {
  pastFaults,
  startCalDavServer,
  type CalDavServer,
  type CalDavServerOptions,
} from '../support/caldav/server.ts';
import { createMigratedDatabase } from '../support/database.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';

/** What a source says of one series, with what decides which copy shows. */
export interface Said {
  readonly series: Series;
  readonly detail?: 'full' | 'title' | 'busy';
  readonly lastModifiedAt?: string;
  /** Null: endless. */
  readonly lastEnd?: string | null;
}

export interface DeliveryWorld {
  readonly store: Store;
  readonly target: Target;
  readonly box: SecretBox;
  /** The in-process server; not used when the suite runs on a server named by CALDAV_URL. */
  readonly server: CalDavServer;
  readonly isReal: boolean;
  /** What the product meets on its way: the in-process server, or a proxy before the real one. */
  readonly faults: FaultySide;
  /** The account as the product has it. */
  readonly dav: CalDav;
  /** The account in somebody else's hands: reaches the server whatever `faults` do. */
  readonly hand: CalDav;
  /** The id of a calendar, unique on a real server, and its path once it is there. */
  calendarId(calendar?: string): string;
  href(calendar?: string): Promise<string>;
  /** Adds or changes a source; nothing is read from it. */
  source(
    id: string,
    settings?: { calendar?: string; titleTag?: string; priority?: number; mailbox?: string },
  ): Promise<void>;
  /** The source says this from now on, by key. */
  says(source: string, series: Readonly<Record<string, Said | Series>>): Promise<void>;
  /** The source has these no more. */
  loses(source: string, ...keys: string[]): Promise<void>;
  /** One delivery run; with `hands`, some of its requests are made in another way. */
  run(options?: { signal?: AbortSignal; holder?: string; hands?: Partial<CalDav> }): Promise<DeliverOutcome>;
  /** Runs until nothing is due, whatever the back-off; looks for drift each time when `look`. */
  settle(options?: { look?: boolean }): Promise<void>;
  /** Makes every calendar due for a look at what changed. */
  lookNow(full?: boolean): Promise<void>;
  /** Lets waiting times pass: back-off, time-outs of requests. */
  pass(): Promise<void>;
  /** What stands in a calendar, by href. */
  standing(calendar?: string): Promise<Map<string, string>>;
  history(action?: string): Promise<{ status: string; action: string; code: string | null; message: string | null }[]>;
  count(table: string): Promise<number>;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly target?: Partial<Target>;
  readonly caldav?: CalDavServerOptions;
  readonly writeTimeoutMs?: number;
}

export const realUrl = process.env['CALDAV_URL'] ?? null;

/** A meeting at nine o'clock on this day. */
export function aMeeting(uid: string, summary = uid, day = '2027-07-01'): Series {
  return aSeries({
    uid,
    main: anEntry({ summary, start: zoned(`${day}T09:00:00`), end: zoned(`${day}T10:00:00`) }),
  });
}

export async function aDeliveryWorld(options: WorldOptions = {}): Promise<DeliveryWorld> {
  const database = await createMigratedDatabase();
  const store = await openStore(database.url, { poolSize: 6 });
  const box = new SecretBox(Buffer.alloc(32, 7));
  const isReal = realUrl !== null;
  const server = await startCalDavServer({ auth: 'basic', ...options.caldav });
  const faults = realUrl === null ? server : await startFaultProxy(realUrl, halfStoring(process.env['CALDAV_SQLITE']));
  const account = {
    url: faults.url,
    username: isReal ? (process.env['CALDAV_USERNAME'] ?? 'alice') : 'alice',
    password: isReal ? (process.env['CALDAV_PASSWORD'] ?? 'secret') : 'secret',
  };
  const hand = openCalDav(
    { ...account, url: realUrl ?? server.url },
    { fetch: (url, init) => fetch(url, { ...init, headers: { ...(init?.headers as object), [pastFaults]: '1' } }) },
  );
  // On a real server each world has calendars of its own.
  const suffix = isReal ? `-${randomBytes(4).toString('hex')}` : '';
  const calendars = options.target?.calendars ?? [{ id: 'work', name: 'Work', color: '#3366cc' }];
  const target = aTarget(account.url, {
    ...options.target,
    username: account.username,
    password: account.password,
    calendars: calendars.map((calendar) => ({ ...calendar, id: `${calendar.id}${suffix}` })),
  });
  await saveTarget(store.db, box, target);

  const writeTimeoutMs = options.writeTimeoutMs ?? (isReal ? 20_000 : 3_000);
  const dav = openCalDav(account, { timeoutMs: writeTimeoutMs });
  const deps: DeliverDeps = {
    store,
    clock: systemClock,
    log: nullLog,
    random: () => 0.5,
    open: (state) => {
      openTargetPassword(box, state);
      return dav;
    },
    writeTimeoutMs,
  };
  let position = 0;
  let round = 1;

  const stateOf = async (id: string) => {
    const state = await loadSource(store.db, id);
    if (state === null) throw new Error(`There is no source ${id}`);
    return state;
  };

  const world: DeliveryWorld = {
    store,
    target,
    box,
    server,
    isReal,
    faults,
    dav,
    hand,
    calendarId: (calendar = 'work') => `${calendar}${suffix}`,
    async href(calendar = 'work') {
      const found = await sql<{ href: string | null }>`
        select href from target_calendar where id = ${`${calendar}${suffix}`}`.execute(store.db);
      return found.rows[0]?.href ?? '';
    },
    async source(id, { calendar = 'work', titleTag = '', priority = 100, mailbox = `${id}@contoso.example` } = {}) {
      const settings: SourceConfig = aGraphSource({
        id,
        tenant: 'contoso',
        mailbox,
        into: { target: target.id, calendar: `${calendar}${suffix}` },
        titleTag,
        priority,
      });
      const effects = { bumpsEpoch: false, fullReading: false, isOther: false };
      await store.transaction((db) => saveSource(db, box, settings, position++, effects));
    },
    async says(source, said) {
      const state = await stateOf(source);
      const claims = Object.entries(said).map(([key, one]) => {
        const { series, detail = 'full', lastModifiedAt = null, lastEnd = '2099-01-01T00:00:00Z' } = saidOf(one);
        return {
          key,
          version: null,
          uid: series.uid,
          slot: series.slot,
          series,
          hiddenBy: null,
          detail,
          lastModifiedAt,
          firstStart: null,
          lastEnd,
          check: null,
          members: [],
          content: createHash('sha256')
            .update(JSON.stringify([series, detail, lastModifiedAt]))
            .digest('hex'),
        };
      });
      round += 1;
      await store.transaction((db) => upsertClaims(db, state, claims, { round: String(round), instance: 'test' }));
    },
    async loses(source, ...keys) {
      await store.transaction(async (db) => {
        await sql`update claim set state = 'pending' where source_id = ${source} and key = any(${keys})`.execute(db);
        await removeClaims(db, { id: source, targetId: target.id }, 'pending');
      });
    },
    async run({ signal, holder = 'test', hands = {} } = {}) {
      const held = await withLease(
        store.db,
        `target:${target.id}`,
        holder,
        signal ?? new AbortController().signal,
        (lease, inner) =>
          runDeliver(
            // The account itself where nothing of it is replaced: some things are told once of each.
            Object.keys(hands).length === 0 ? deps : { ...deps, open: (state) => ({ ...deps.open(state), ...hands }) },
            target.id,
            lease,
            inner,
          ),
      );
      if (held === null) throw new Error('somebody else has the lease');
      return held.result;
    },
    async settle({ look = false } = {}) {
      for (let runs = 0; runs < 40; runs += 1) {
        await world.pass();
        if (look && runs === 0) await world.lookNow();
        if ((await dueTargets(store.db)).length === 0) return;
        await world.run();
      }
      const rows =
        await sql`select id, uid, wanted_version, done_version, code, reason from meeting where wanted_version > done_version`.execute(
          store.db,
        );
      throw new Error(`It never comes to rest: ${JSON.stringify(rows.rows.slice(0, 5))}`);
    },
    async lookNow(full = false) {
      await sql`update target_calendar set checked_at = null, listed_at = case when ${full} then null else listed_at end`.execute(
        store.db,
      );
    },
    async pass() {
      await sql`update meeting set not_before = null where not_before is not null`.execute(store.db);
      await sql`update target set not_before = null`.execute(store.db);
      await sql`update intent set settle_at = clock_timestamp() - interval '1 second'`.execute(store.db);
    },
    async standing(calendar = 'work') {
      const href = await world.href(calendar);
      if (href === '') return new Map();
      const listed = (await hand.list(href)).map((entry) => entry.href);
      if (new Set(listed).size < listed.length) throw new Error(`Several of one name: ${listed.join(' ')}`);
      const bodies = await hand.multiget(href, listed);
      return new Map([...bodies].map(([name, object]) => [name, object.body]));
    },
    async history(action) {
      const found = await sql<{ status: string; action: string; code: string | null; message: string | null }>`
        select status, action, code, message from sync_history
        where ${action ?? null}::text is null or action = ${action ?? null} order by id`.execute(store.db);
      return found.rows;
    },
    async count(table) {
      const found = await sql<{ n: number }>`select count(*)::int as n from ${sql.table(table)}`.execute(store.db);
      return found.rows[0]?.n ?? 0;
    },
    async close() {
      if (isReal) await dropCalendars(store, hand);
      await dav.close();
      await hand.close();
      await store.close();
      if (isReal) await faults.close();
      await server.close();
      await database.drop();
    },
  };
  return world;
}

function saidOf(one: Said | Series): Said {
  return 'series' in one ? one : { series: one };
}

/** A real server keeps nothing of a suite. */
async function dropCalendars(store: Store, hand: CalDav): Promise<void> {
  const found = await sql<{ href: string }>`select href from target_calendar where href is not null`.execute(store.db);
  for (const { href } of found.rows) await hand.remove(href, null);
}

/** With the SQLite file of a real Baikal (CALDAV_SQLITE): what a disk that is full leaves of a write. */
function halfStoring(file: string | undefined): FaultProxyOptions {
  if (file === undefined) return {};
  return {
    forgetChange(path) {
      const [calendar = '', name = ''] = path.split('/').slice(-2).map(decodeURIComponent);
      const db = new DatabaseSync(file, { timeout: 10_000 });
      try {
        db.exec('begin immediate');
        const id =
          db.prepare('select calendarid as id from calendarinstances where uri = ?').get(calendar)?.['id'] ?? 0;
        const last = db
          .prepare('select id, uri, synctoken from calendarchanges where calendarid = ? order by id desc limit 1')
          .get(id);
        // Only when no other write has come after it.
        if (last?.['uri'] === name) {
          db.prepare('delete from calendarchanges where id = ?').run(last['id'] ?? 0);
          db.prepare('update calendars set synctoken = ? where id = ?').run(last['synctoken'] ?? 0, id);
        }
        db.exec('commit');
      } finally {
        db.close();
      }
    },
  };
}

/** Titles that stand in a calendar, sorted. */
export function titles(standing: ReadonlyMap<string, string>): string[] {
  return [...standing.values()].map((body) => /^SUMMARY[^:]*:(.*?)\r?$/m.exec(body)?.[1] ?? '').toSorted();
}
