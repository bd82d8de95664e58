import { existsSync } from 'node:fs';
import { SyncError } from '../shared/errors.ts';
import { tryPaused } from '../store/jobs.ts';
import { version } from '../version.ts';
import { applyFile } from './apply.ts';
import { exitCodes, withProduct, type Overrides } from './context.ts';

/** After this long an orderly stop ends the process anyway: what was begun is written down and settled later. */
const drainMs = 9_000;
/** How long the embedded database then has to stop. */
const abandonMs = 1_000;
/** How long to wait for a database that is still starting. */
const databaseWaitMs = 60_000;

/** Runs the service until SIGTERM or SIGINT: `web` answers HTTP, `worker` reads and writes, `serve` does both. */
export async function serve(command: 'serve' | 'web' | 'worker', overrides: Overrides): Promise<number> {
  const stopping = new AbortController();
  let abandon = (): Promise<void> => Promise.resolve();
  const stopped = new Promise<string>((resolve) => {
    const stop = (signal: string): void => {
      stopping.abort();
      // Should something never come to its end: what was begun is written down, and settled later.
      setTimeout(() => {
        const gone = (): never => process.exit(exitCodes.ok);
        setTimeout(gone, abandonMs).unref();
        void abandon().then(gone, gone);
      }, drainMs).unref();
      resolve(signal);
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  });
  let stoppingSince = 0;
  const run = (): Promise<number> =>
    withProduct(
      overrides,
      async ({ env, log, product }) => {
        abandon = () => product.abandon();
        if (command !== 'web' && env.configFile !== null && existsSync(env.configFile))
          await applyFile(product, env, env.configFile, { prune: false, actor: 'start' });
        // A start is most often somebody's answer to what was wrong.
        if (command !== 'web') await tryPaused(product.store.db);
        const address = command === 'worker' ? null : (await product.startWeb()).url;
        if (command !== 'web') await product.startWorker();
        log.event('service.started', {
          command,
          version,
          database: product.databaseKind,
          durationMs: Math.round(performance.now()),
          ...(address === null ? {} : { address }),
        });
        const reason = await stopped;
        stoppingSince = performance.now();
        log.event('service.stopping', { reason });
        return exitCodes.ok;
      },
      {
        isService: true,
        waitMs: databaseWaitMs,
        signal: stopping.signal,
        onFailed: (log, { code, message }) => {
          if (code === 'store.connection_lost') log.event('store.waiting', { reason: message });
        },
        onClosed: (log) =>
          log.event('service.stopped', {
            durationMs: stoppingSince === 0 ? 0 : Math.round(performance.now() - stoppingSince),
          }),
      },
    );

  for (;;) {
    try {
      return await run();
    } catch (thrown) {
      // Asked to end while it was still waiting for the database.
      if (stopping.signal.aborted) return exitCodes.ok;
      // A server that goes while we start is waited for as one that has not come yet.
      const isLost = thrown instanceof SyncError && thrown.code === 'store.connection_lost';
      if (!isLost || performance.now() > databaseWaitMs) throw thrown;
    }
  }
}
