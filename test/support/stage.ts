/**
 * The whole product on a stage: a simulated Microsoft, a CalDAV server like Baikal (or, with CALDAV_URL and
 * CALDAV_SQLITE, a real one), a database of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { defaultFilters } from '../../src/calendar/filters.ts';
import { compose, type Product } from '../../src/compose.ts';
import { readEnv } from '../../src/config/env.ts';
import type { GraphSource, Target, Tenant } from '../../src/config/model.ts';
import type { Clock } from '../../src/shared/clock.ts';
import { nullLog, type Log } from '../../src/shared/log.ts';
import { saveSource, saveTarget, saveTenant } from '../../src/store/configuration.ts';
import { dueSources } from '../../src/store/sources.ts';
import { dueTargets } from '../../src/store/targets.ts';
import { realBaikal, startRealBaikal } from './caldav/real-baikal.ts';
import { startCalDavServer, type CalDavServer, type CalDavServerOptions } from './caldav/server.ts';
import { controlledClock } from './controlled-clock.ts';
import { createMigratedDatabase, type TestDatabase } from './database.ts';
import type { TenantOptions } from './graph/people.ts';
import { startGraphSimulator, type GraphSimulator, type SimulatorOptions } from './graph/simulator.ts';

export interface StageOptions {
  readonly simulator?: SimulatorOptions;
  readonly caldav?: CalDavServerOptions;
  readonly env?: Readonly<Record<string, string>>;
  readonly log?: Log;
  /** What lies between the product and the simulator. */
  readonly between?: (fetch: typeof globalThis.fetch) => typeof globalThis.fetch;
  /** The product's clock; the database keeps its own. */
  readonly clock?: Clock;
  /** Then product, database and simulator share a clock that starts there and moves by `advance` only. */
  readonly startsAt?: Date;
}

export interface Stage {
  readonly simulator: GraphSimulator;
  readonly caldav: CalDavServer;
  readonly database: TestDatabase;
  /** The product of now: `restart` makes another. */
  readonly product: Product;
  /** Ends the product's process and starts it anew. */
  restart(): Promise<void>;
  /** As if time had gone by: back-offs are over and every source is to be polled. */
  passTime(): Promise<void>;
  /** Moves the clock on; only on a stage with `startsAt`. */
  advance(ms: number): Promise<void>;
  /** The time on the stage. */
  now(): Date;
  /** Another process' worth of product on the same database. */
  another(): Promise<Product>;
  target(settings?: Partial<Target>): Promise<Target>;
  tenant(id: string, options: TenantOptions & { cloud?: string; secret?: string }): Promise<void>;
  source(settings: Partial<GraphSource> & Pick<GraphSource, 'id' | 'tenant' | 'mailbox'>): Promise<GraphSource>;
  /** Reads every source and writes every target, until nothing is due. */
  sync(): Promise<void>;
  /** Everything that the target shows, by calendar: bodies of its objects. */
  bodies(calendar?: string): string[];
  close(): Promise<void>;
}

export const aTarget = (url: string, settings: Partial<Target> = {}): Target => ({
  id: 'me',
  url,
  username: 'alice',
  password: 'secret',
  strategy: 'last-write-wins',
  dedupe: 'target',
  drift: 'repair',
  calendars: [{ id: 'work', name: 'Work', color: '#3366cc' }],
  ...settings,
});

export const aGraphSource = (
  settings: Partial<GraphSource> & Pick<GraphSource, 'id' | 'tenant' | 'mailbox'>,
): GraphSource => ({
  kind: 'graph',
  calendar: 'default',
  into: { target: 'me', calendar: 'work' },
  privacy: 'full',
  privateItems: 'full',
  titleTag: '',
  reminders: 'source',
  filters: defaultFilters,
  priority: 100,
  window: { pastDays: 90, futureDays: 730 },
  keepPast: true,
  everySeconds: 60,
  isPaused: false,
  ...settings,
});

export async function aStage(options: StageOptions = {}): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-stage-'));
  const caldav =
    realBaikal === null
      ? await startCalDavServer({ auth: 'basic', ...options.caldav })
      : await startRealBaikal(realBaikal, options.caldav);
  const database = await createMigratedDatabase();
  const { startsAt } = options;
  const controlled = startsAt === undefined ? null : await controlledClock(database.url, startsAt);
  const clock = controlled ?? options.clock;
  const simulator = await startGraphSimulator({
    ...(controlled === null ? {} : { now: () => controlled.now() }),
    ...options.simulator,
  });
  const products: Product[] = [];
  const open = async (): Promise<Product> => {
    const env = readEnv(
      { DATABASE_URL: database.url, DATA_DIR: folder, PORT: '0', ENCRYPTION_KEY: 'ab'.repeat(32), ...options.env },
      folder,
    );
    const opened = await compose({
      env,
      log: options.log ?? nullLog,
      fetch: options.between === undefined ? simulator.fetch : options.between(simulator.fetch),
      ...(clock === undefined ? {} : { clock }),
    });
    products.push(opened);
    return opened;
  };
  let product = await open();
  let position = 0;

  return {
    simulator,
    caldav,
    database,
    get product() {
      return product;
    },
    another: open,
    async restart() {
      products.splice(products.indexOf(product), 1);
      await product.close();
      product = await open();
    },
    async passTime() {
      const { db } = product.store;
      await sql`update source set not_before = null, next_poll_at = now() - interval '1 second'`.execute(db);
      await sql`update stale_series set not_before = null`.execute(db);
      await sql`update target set not_before = null`.execute(db);
      await sql`update meeting set not_before = null where not_before is not null`.execute(db);
    },
    async advance(ms) {
      if (controlled === null) throw new Error('The clock of this stage is not ours.');
      await controlled.advance(ms);
    },
    now: () => clock?.now() ?? new Date(),
    async target(settings = {}) {
      const target = aTarget(caldav.url, settings);
      await saveTarget(product.store.db, product.box, target);
      return target;
    },
    async tenant(id, { cloud = 'global', secret = 'a-secret', ...rest }) {
      simulator.addTenant({ ...rest, cloud, secret });
      const tenant: Tenant = {
        id,
        name: id,
        cloud,
        directory: rest.directory,
        client: rest.client,
        access: 'tenant-wide',
        ceiling: 'full',
        credential: { kind: 'secret', secret },
      };
      await saveTenant(product.store.db, product.box, tenant);
    },
    async source(settings) {
      const source = aGraphSource(settings);
      const effects = { bumpsEpoch: true, fullReading: true, isOther: false };
      await product.store.transaction((db) => saveSource(db, product.box, source, position++, effects));
      return source;
    },
    async sync() {
      const { store, worker } = product;
      for (let round = 0; round < 20; round += 1) {
        const sources = await dueSources(store.db);
        for (const id of sources) await worker.run('ingest', id);
        const targets = await dueTargets(store.db);
        for (const id of targets) await worker.run('deliver', id);
        if (sources.length + targets.length === 0) return;
      }
      throw new Error('It never comes to rest');
    },
    bodies: (calendar = 'work') => [...caldav.objects('alice', calendar).values()].map((object) => object.body),
    async close() {
      for (const one of products.splice(0).reverse()) await one.close();
      await caldav.close();
      await simulator.close();
      await database.drop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
