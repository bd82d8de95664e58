import { PgBoss } from 'pg-boss';
import type { Log } from '../shared/log.ts';

export type Kind = 'ingest' | 'deliver';

/**
 * Hints that a row has something to do. A hint may be lost, doubled or late: the rows are the truth, and the sweep
 * plants again what is due. The one place that knows pg-boss.
 */
export interface Hints {
  /** Never waits and never fails: what could not be sent is found by the sweep. */
  send(kind: Kind, id: string): void;
  /** Takes up hints in this process until `stop`. `take` says when the next one may come. */
  work(take: (kind: Kind, id: string) => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

const kinds: readonly Kind[] = ['ingest', 'deliver'];
const batchSize = 20;

/** Opens the queues on the product's own database (schema `pgboss`). */
export async function openHints(url: string, log: Log): Promise<Hints> {
  const boss = new PgBoss({
    connectionString: url,
    application_name: 'calendar-sync hints',
    max: 4,
    useListenNotify: true,
    schedule: false,
    superviseIntervalSeconds: 60,
  });
  boss.on('error', (error) => log.event('hints.failed', { reason: error.message }));
  await boss.start();
  for (const kind of kinds)
    await boss.createQueue(kind, {
      // One waiting for each row. `stately` would also allow only one that is taken up: one that a killed worker never
      // gave back would then make every fetch of the queue fail (a unique index) until it expires.
      policy: 'short',
      notify: true,
      retryLimit: 0,
      expireInSeconds: 60,
      retentionSeconds: 3_600,
      deleteAfterSeconds: 600,
    });

  const sending = new Set<Promise<unknown>>();
  return {
    send(kind, id) {
      const sent = boss.send(kind, { id }, { singletonKey: id }).catch((error: unknown) => {
        log.event('hints.failed', { reason: error instanceof Error ? error.message : String(error) });
      });
      sending.add(sent);
      void sent.finally(() => sending.delete(sent));
    },
    async work(take) {
      for (const kind of kinds)
        await boss.work<{ id: string }>(
          kind,
          { batchSize, pollingIntervalSeconds: 1, notifyPollingIntervalSeconds: 5, burstWhenBatchFull: true },
          async (jobs) => {
            for (const job of jobs) await take(kind, job.data.id);
          },
        );
    },
    async stop() {
      await Promise.allSettled(sending);
      await boss.stop({ graceful: true, timeout: 5_000 });
    },
  };
}
