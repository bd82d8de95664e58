import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { consentDesk } from './access/consent-desk.ts';
import { proveTenant } from './access/prove-tenant.ts';
import { upkeep } from './access/upkeep.ts';
import { openChannels, type Channel } from './alarms/channels.ts';
import { cached } from './cached.ts';
import { compareSource, type CompareDeps } from './compare/compare-source.ts';
import type { Env } from './config/env.ts';
import { instanceSuffix } from './consolidate/identity.ts';
import { dataReport, type DataReport } from './report/data-report.ts';
import { openCalDav, type CalDav } from './dav/calendar-client.ts';
import { planAll } from './deliver/plan-writes.ts';
import { restoreFromTrash } from './deliver/restore-trash.ts';
import { flowInbox } from './flow-inbox.ts';
import type { Operations } from './http/api-routes.ts';
import { closeServer, createApp, listen } from './http/app.ts';
import { comparisonKeeper, type ComparisonKeeper } from './jobs/comparisons.ts';
import { openHints, type Hints } from './jobs/hints.ts';
import { holderName } from './jobs/holder.ts';
import { writeTimeoutMs } from './jobs/with-lease.ts';
import { subscriptionKeeper, type SubscriptionKeeper } from './jobs/subscriptions.ts';
import { tenantKeeper, type TenantKeeper } from './jobs/tenants.ts';
import { alarmKeeper, type AlarmKeeper } from './jobs/alarms.ts';
import { createWorker, type Worker } from './jobs/worker.ts';
import { sourceOpener, type SourceOpener } from './open-sources.ts';
import { systemClock, type Clock } from './shared/clock.ts';
import type { Log } from './shared/log.ts';
import { outgoingFetch, trustedAuthorities } from './shared/outgoing-fetch.ts';
import { SecretBox } from './shared/secret-box.ts';
import { countClaims } from './store/claims.ts';
import { trashDays } from './store/clean-up.ts';
import { loadModel, openTargetPassword } from './store/configuration.ts';
import { wantReadingsBeside } from './store/flows.ts';
import { instanceOf, openReceiver, openStore, type Store } from './store/database.ts';
import { startEmbedded } from './store/embedded-postgres.ts';
import { notificationSecret } from './store/subscriptions.ts';
import type { TargetState } from './store/targets.ts';
import type { DueProof, ProofRecord } from './store/tenant-access.ts';
import { version } from './version.ts';

/** Graph waits 3 s for its 202; what was not stored by then it sends again. */
const receiverTimeoutMs = 2_500;
/** The HTTP action of a flow waits two minutes for its 202; a statement that stores one part of a window is done long before. */
const postboxTimeoutMs = 30_000;

export interface ComposeOptions {
  readonly env: Env;
  readonly log: Log;
  readonly clock?: Clock;
  /** Stands in for the network towards sources and login hosts; targets are always reached directly. */
  readonly fetch?: typeof fetch;
  /** How long to wait for a database that is still starting. */
  readonly waitMs?: number;
  /** Ends that waiting. */
  readonly signal?: AbortSignal;
}

/** All rooms joined. Nothing runs until `startWeb` or `startWorker`. */
export interface Product {
  readonly store: Store;
  readonly box: SecretBox;
  readonly worker: Worker;
  readonly hints: Hints;
  readonly subscriptions: SubscriptionKeeper;
  readonly comparisons: ComparisonKeeper;
  readonly comparing: CompareDeps;
  readonly tenants: TenantKeeper;
  /** The way out towards sources and login hosts: proxy and authorities as they are set. */
  readonly fetch: typeof fetch;
  /** Tries what a tenant lets us read, and records it. */
  prove(tenant: DueProof, signal: AbortSignal): Promise<ProofRecord>;
  readonly alarms: AlarmKeeper;
  /** Ways to tell the operator that are set up. */
  readonly channels: readonly Channel[];
  readonly databaseKind: 'embedded' | 'server';
  readonly sources: SourceOpener;
  /** What becomes of a tenant's data; null: there is no such tenant. */
  dataReport(tenantId: string): Promise<DataReport | null>;
  openTarget(target: Pick<TargetState, 'id' | 'url' | 'username' | 'passwordSealed'>): CalDav;
  startWeb(): Promise<{ url: string }>;
  startWorker(): Promise<void>;
  /** Finishes what has begun, and lets go of everything. */
  close(): Promise<void>;
  /** Lets go of the embedded database alone, for a process that must end now: the last one out stops it. */
  abandon(): Promise<void>;
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
    const store = await openStore(databaseUrl, {
      waitMs: options.waitMs ?? 0,
      poolSize: 12,
      onWaiting: (reason) => log.event('store.waiting', { reason }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    opened.push(() => store.close());
    const hints = await openHints(databaseUrl, log);
    opened.push(() => hints.stop());
    const outgoing = options.fetch === undefined ? outgoingFetch(env) : { fetch: options.fetch, close: async () => {} };
    opened.push(outgoing.close);
    const box = new SecretBox(env.encryptionKey, env.encryptionKeysOld);
    const instance = await instanceOf(store.db, () => randomBytes(5).toString('hex'));
    const random = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;

    const suffix = `@${instanceSuffix(instance)}`;
    const ca = trustedAuthorities(env.extraCaFile);
    const sources = sourceOpener({
      db: store.db,
      box,
      log,
      clock,
      fetch: outgoing.fetch,
      ca,
      isFetchForAll: options.fetch !== undefined || env.httpsProxy !== null,
      isOurs: (uid) => uid.endsWith(suffix),
    });
    opened.push(() => sources.close());

    const accounts = cached<CalDav>((account) => void account.close());
    const openTarget: Product['openTarget'] = (target) => {
      const account = { url: target.url, username: target.username, password: openTargetPassword(box, target) };
      return accounts(target.id, account, () =>
        openCalDav(account, { timeoutMs: writeTimeoutMs, clock, ...(ca === null ? {} : { ca }) }),
      );
    };
    opened.push(() => accounts.clear());

    const reportOn: Product['dataReport'] = async (tenantId) =>
      dataReport({
        model: await loadModel(store.db, box),
        tenantId,
        counts: await countClaims(store.db),
        historyDays: env.historyDays,
        logFiles: env.logFiles,
        now: clock.now(),
      });

    const operations: Operations = {
      store,
      hint: (kind, id) => hints.send(kind, id),
      plan: () => planAll(store.db, openTarget, clock.now()),
      dataReport: reportOn,
      restore: (id, actor) => restoreFromTrash(store, id, actor),
    };

    const holder = holderName();
    const worker = createWorker({
      store,
      log,
      hints,
      holder,
      historyDays: env.historyDays,
      ingest: {
        store,
        instance,
        clock,
        log,
        random,
        open: async ({ id, access }) => (await sources.open(id, access)).source,
      },
      deliver: { store, clock, log, random, open: openTarget },
    });
    opened.push(() => worker.stop());

    const openSource = async (id: string) => (await sources.open(id)).source;
    const comparing = { db: store.db, openSource, openTarget };
    const compare: Parameters<typeof comparisonKeeper>[0]['compare'] = (id, signal) =>
      compareSource(comparing, id, signal);
    const comparisons = comparisonKeeper({ store, log, holder, random, compare, worker });
    opened.push(() => comparisons.stop());

    const secret = await notificationSecret(store.db, () => randomBytes(24).toString('base64url'));
    const hint = (id: string): void => worker.hint('ingest', id);
    const subscriptions = subscriptionKeeper({
      store,
      log,
      clock,
      random,
      mint: () => randomBytes(32).toString('base64url'),
      holder,
      publicUrl: env.publicUrl,
      secret,
      open: (tenantId) => sources.graph(tenantId),
      hint,
    });
    opened.push(() => subscriptions.stop());

    const prove: Product['prove'] = (tenant, signal) =>
      proveTenant({ store, log, clock, random, open: (id, mailbox) => sources.graph(id, mailbox) }, tenant, signal);
    const tenants = tenantKeeper({ store, log, prove, upkeep: () => upkeep({ store, box, log, clock }) });
    opened.push(() => tenants.stop());
    const { publicUrl } = env;
    const mint = (): string => randomBytes(24).toString('base64url');
    const consent =
      publicUrl === null
        ? {}
        : {
            consent: {
              publicUrl,
              kept: { history: env.historyDays, trash: trashDays },
              desk: consentDesk({ store, box, log, clock, mint, publicUrl, prove, version, fetch: outgoing.fetch }),
            },
          };
    const { alarmWebhookUrl: webhookUrl, alarmWebhookSecret: webhookSecret, smtpUrl, heartbeatUrl } = env;
    const channels = openChannels(
      { webhookUrl, webhookSecret, smtpUrl, mailFrom: env.alarmMailFrom, mailTo: env.alarmMailTo, heartbeatUrl },
      { fetch: outgoing.fetch, clock },
    );
    const alarms = alarmKeeper({
      store,
      log,
      random,
      holder,
      instance,
      channels,
      heartbeatUrl,
      fetch: outgoing.fetch,
      staleAfterSeconds: env.staleAfterMinutes * 60,
      hasStatusEntries: env.statusEntries,
      backups: { folder: env.backupDir ?? `${env.dataDir}/backups`, isNamed: env.backupDir !== null },
      hint: (target) => worker.hint('deliver', target),
    });
    opened.push(() => alarms.stop());

    return {
      store,
      box,
      worker,
      hints,
      subscriptions,
      comparisons,
      comparing,
      tenants,
      fetch: outgoing.fetch,
      prove,
      alarms,
      channels,
      databaseKind: embedded === null ? 'server' : 'embedded',
      sources,
      openTarget,
      dataReport: reportOn,
      async startWeb() {
        const receiver = openReceiver(databaseUrl, { size: 2, timeoutMs: receiverTimeoutMs });
        opened.push(() => receiver.close());
        const postbox = openReceiver(databaseUrl, { size: 4, timeoutMs: postboxTimeoutMs });
        opened.push(() => postbox.close());
        const flows = flowInbox({
          store: postbox,
          instance,
          log,
          box,
          clock,
          onChanged: (target) => worker.hint('deliver', target),
          onPosted: (flow) => {
            // Only a hint: should it fail, the next poll finds the change.
            void wantReadingsBeside(store.db, flow).then(
              (readers) => readers.forEach((source) => worker.hint('ingest', source)),
              () => undefined,
            );
          },
        });
        const notifications = { db: receiver.db, secret, hint };
        const app = createApp({
          db: store.db,
          log,
          apiKey: env.apiKey,
          flows,
          version,
          startedAt,
          notifications,
          operations,
          ...consent,
          publicUrl: env.publicUrl,
        });
        const server: Server = await listen(app, env.host, env.port);
        opened.push(() => closeServer(server));
        const { port } = server.address() as AddressInfo;
        return { url: `http://${env.host.includes(':') ? `[${env.host}]` : env.host}:${port}` };
      },
      async startWorker() {
        await worker.start();
        subscriptions.start();
        comparisons.start();
        tenants.start();
        alarms.start();
      },
      close: closeAll,
      abandon: async () => embedded?.stop(),
    };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}
