import { SyncError } from '../shared/errors.ts';
import { recordAudit } from '../store/history.ts';
import { failedJobs, retryJob, runningJobs } from '../store/jobs.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** `jobs list`: what failed and what becomes of it. Exits with 1 when something waits for a person. */
export async function listJobs(options: { json: boolean; limit: number }, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product: { store } }) => {
    const failed = await failedJobs(store.db, options.limit);
    const running = await runningJobs(store.db);
    const rows = failed.map(({ id, state, failures, nextAt, code, reason, remedy }) => [
      id,
      state,
      String(failures),
      nextAt ?? '-',
      code ?? '-',
      [reason, remedy].filter((part) => part !== null).join(' '),
    ]);
    tell(options.json, { failed, running }, [
      ...(rows.length === 0
        ? ['Nothing has failed.']
        : table(['JOB', 'STATE', 'FAILURES', 'NEXT TRY', 'CODE', 'WHY'], rows)),
      `${running.length} under way${running.length === 0 ? '' : `: ${running.map(({ name }) => name).join(', ')}`}.`,
    ]);
    return failed.some(({ state }) => state !== 'retrying') ? exitCodes.trouble : exitCodes.ok;
  });
}

/** `jobs retry`: makes a job due at once; a running worker takes it up. Without an id: everything that failed. */
export async function retryJobs(id: string | null, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product: { store, hints } }) => {
    const ids = id === null ? (await failedJobs(store.db, 100_000)).map((job) => job.id) : [id];
    let count = 0;
    for (const one of ids) {
      const retried = await retryJob(store.db, one);
      if (retried === null) continue;
      count += 1;
      for (const source of retried.sources) hints.send('ingest', source);
      for (const target of retried.targets) hints.send('deliver', target);
    }
    if (id !== null && count === 0)
      throw new SyncError(`There is no job ${id}`, {
        code: 'cli.unknown_job',
        field: 'job',
        recovery: { kind: 'operator', remedy: 'Give an id of "calendar-sync jobs list".' },
      });
    await recordAudit(store.db, { actor: 'cli', action: 'jobs.retry', subject: id ?? 'jobs', detail: { count } });
    tell(json, { retried: count }, [
      count === 0 ? 'Nothing has failed.' : `${count} made due; running workers take them up within a second.`,
    ]);
    return exitCodes.ok;
  });
}
