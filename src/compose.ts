import { createHash, randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Env } from './config/env.ts';
import { openCalDav, type CalDav } from './dav/calendar-client.ts';
import { closeServer, createApp, listen } from './http/app.ts';
import { openHints, type Hints } from './jobs/hints.ts';
import { holderName } from './jobs/holder.ts';
import { writeTimeoutMs } from './jobs/with-lease.ts';
import { createWorker, type Worker } from './jobs/worker.ts';
import { systemClock, type Clock } from './shared/clock.ts';
import { builtInClouds, type Cloud } from './shared/clouds.ts';
import { SyncError } from './shared/errors.ts';
import type { Log } from './shared/log.ts';
import { outgoingFetch } from './shared/outgoing-fetch.ts';
import { SecretBox } from './shared/secret-box.ts';
import { graphClient, type GraphClient } from './sources/graph/client.ts';
import { graphSource, type GraphCalendarSource } from './sources/graph/graph-source.ts';
import { loadClouds, loadTenant, openTargetPassword } from './store/configuration.ts';
import { instanceOf, openStore, type Store } from './store/database.ts';
import { startEmbedded } from './store/embedded-postgres.ts';
import type { SourceState } from './store/sources.ts';
import type { TargetState } from './store/targets.ts';
import { version } from './version.ts';

export interface ComposeOptions {
  readonly env: Env;
  readonly log: Log;
  readonly clock?: Clock;
  /** Stands in for the network towards sources and login hosts; targets are always reached directly. */
  readonly fetch?: typeof fetch;
  /** How long to wait for a database that is still starting. */
  readonly waitMs?: number;
}

/** All rooms joined. Nothing runs until `startWeb` or `startWorker`. */
export interface Product {
  readonly store: Store;
  readonly box: SecretBox;
  readonly worker: Worker;
  readonly hints: Hints;
  readonly databaseKind: 'embedded' | 'server';
  openSource(state: Pick<SourceState, 'config'>): Promise<GraphCalendarSource>;
  openGraph(tenantId: string): Promise<GraphClient>;
  openTarget(target: Pick<TargetState, 'id' | 'url' | 'username' | 'passwordSealed'>): CalDav;
  startWeb(): Promise<{ url: string }>;
  startWorker(): Promise<void>;
  /** Finishes what has begun, and lets go of everything. */
  close(): Promise<void>;
}

export async function compose(options: ComposeOptions): Promise<Product> {
  const { env, log } = options;
  const clock = options.clock ?? systemClock;
  const startedAt = clock.now();
  const embedded = env.databaseUrl === null ? await startEmbedded(env.dataDir) : null;
  const databaseUrl = env.databaseUrl ?? embedded?.url ?? '';
  const opened: (() => Promise<void>)[] = [async () => embedded?.stop()];
  const closeAll = async (): Promise<void> => {
    for (const close of opened.splice(0).reverse()) await close();
  };
  try {
    const store = await openStore(databaseUrl, { waitMs: options.waitMs ?? 0, poolSize: 12 });
    opened.push(() => store.close());
    const hints = await openHints(databaseUrl, log);
    opened.push(() => hints.stop());
    const outgoing = options.fetch === undefined ? outgoingFetch(env) : { fetch: options.fetch, close: async () => {} };
    opened.push(outgoing.close);
    const box = new SecretBox(env.encryptionKey, env.encryptionKeysOld);
    const instance = await instanceOf(store.db, () => randomBytes(5).toString('hex'));
    const random = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;

    const graphClients = cached<GraphClient>();
    const openGraph = async (tenantId: string): Promise<GraphClient> => {
      const tenant = await loadTenant(store.db, box, tenantId);
      if (tenant === null) throw missing('tenant', tenantId);
      if (tenant.credential === null)
        throw new SyncError(`The tenant ${tenantId} has no credential`, {
          code: 'graph.no_credential',
          field: `tenants.${tenantId}.secret`,
          recovery: { kind: 'operator', remedy: 'Give the tenant a secret or a certificate and apply it.' },
        });
      const { credential } = tenant;
      const cloud = findCloud([...builtInClouds, ...(await loadClouds(store.db))], tenant.cloud);
      return graphClients(tenantId, [tenant, cloud], () =>
        graphClient({
          cloud,
          directory: tenant.directory,
          client: tenant.client,
          credential,
          fetch: outgoing.fetch,
          version,
          clock,
        }),
      );
    };
    const openSource = async ({ config }: Pick<SourceState, 'config'>): Promise<GraphCalendarSource> => {
      if (config.kind !== 'graph') throw missing('reader of kind', config.kind);
      return graphSource({
        client: await openGraph(config.tenant),
        mailbox: config.mailbox,
        calendar: config.calendar,
      });
    };

    const accounts = cached<CalDav>((account) => void account.close());
    const openTarget: Product['openTarget'] = (target) => {
      const account = { url: target.url, username: target.username, password: openTargetPassword(box, target) };
      return accounts(target.id, account, () => openCalDav(account, { timeoutMs: writeTimeoutMs, clock }));
    };
    opened.push(() => accounts.clear());

    const worker = createWorker({
      store,
      log,
      hints,
      holder: holderName(),
      ingest: { store, instance, clock, log, random, open: openSource },
      deliver: { store, clock, log, random, open: openTarget },
    });
    opened.push(() => worker.stop());

    return {
      store,
      box,
      worker,
      hints,
      databaseKind: embedded === null ? 'server' : 'embedded',
      openSource,
      openGraph,
      openTarget,
      async startWeb() {
        const app = createApp({ db: store.db, log, apiKey: env.apiKey, version, startedAt });
        const server: Server = await listen(app, env.host, env.port);
        opened.push(() => closeServer(server));
        const { port } = server.address() as AddressInfo;
        return { url: `http://${env.host.includes(':') ? `[${env.host}]` : env.host}:${port}` };
      },
      startWorker: () => worker.start(),
      close: closeAll,
    };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

function findCloud(clouds: readonly Cloud[], id: string): Cloud {
  const cloud = clouds.findLast((one) => one.id === id);
  if (cloud === undefined) throw missing('cloud', id);
  return cloud;
}

function missing(what: string, id: string): SyncError {
  return new SyncError(`There is no ${what} ${id}`, {
    code: 'config.missing_entry',
    recovery: { kind: 'operator', remedy: 'Apply a configuration that has it.' },
  });
}

interface Cache<T> {
  (id: string, settings: unknown, make: () => T): T;
  clear(): Promise<void>;
}

/** One value per id for as long as its settings stay the same: tokens and connections outlive a run. */
function cached<T>(drop: (value: T) => void | Promise<void> = () => undefined): Cache<T> {
  const held = new Map<string, { digest: string; value: T }>();
  const get = (id: string, settings: unknown, make: () => T): T => {
    const digest = createHash('sha256').update(JSON.stringify(settings)).digest('hex');
    const present = held.get(id);
    if (present?.digest === digest) return present.value;
    if (present !== undefined) void drop(present.value);
    const value = make();
    held.set(id, { digest, value });
    return value;
  };
  return Object.assign(get, {
    clear: async () => {
      for (const { value } of held.values()) await drop(value);
      held.clear();
    },
  });
}
