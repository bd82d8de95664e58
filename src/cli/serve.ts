import { existsSync } from 'node:fs';
import { version } from '../version.ts';
import { applyFile } from './apply.ts';
import { exitCodes, withProduct, type Overrides } from './context.ts';

/** After this long an orderly stop ends the process anyway: what was begun is written down and settled later. */
const drainMs = 10_000;
/** How long to wait for a database that is still starting. */
const databaseWaitMs = 60_000;

/** Runs the service until SIGTERM or SIGINT: `web` answers HTTP, `worker` reads and writes, `serve` does both. */
export async function serve(command: 'serve' | 'web' | 'worker', overrides: Overrides): Promise<number> {
  let stop: (reason: string) => void = () => undefined;
  const stopped = new Promise<string>((resolve) => (stop = resolve));
  const onSignal = (signal: string): void => stop(signal);
  // Not once: npm and a terminal may both pass a signal on, and the second must not cut the drain short.
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  let stoppingSince: number | null = null;

  const code = await withProduct(
    overrides,
    async ({ env, log, product }) => {
      if (command !== 'web' && env.configFile !== null && existsSync(env.configFile))
        await applyFile(product, env, env.configFile, { prune: false, actor: 'start' });
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
      setTimeout(() => process.exit(exitCodes.ok), drainMs).unref();
      log.event('service.stopping', { reason });
      return exitCodes.ok;
    },
    {
      isService: true,
      waitMs: databaseWaitMs,
      onClosed: (log) =>
        log.event('service.stopped', {
          durationMs: Math.round(performance.now() - (stoppingSince ?? performance.now())),
        }),
    },
  );
  return code;
}
