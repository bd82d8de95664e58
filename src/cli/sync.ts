import { recordAudit } from '../store/history.ts';
import { loadSource, wantReading } from '../store/sources.ts';
import { readStatus } from '../store/status.ts';
import { SyncError } from '../shared/errors.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

/**
 * Reads one source, or all, and delivers what changed; waits for both. Tells per source and target what was done, and
 * what failed before and waits for its time. Exits with 1 when there is either.
 */
export function syncNow(
  id: string | null,
  options: { json: boolean; full: boolean },
  overrides: Overrides,
): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const { store, worker } = product;
    const status = await readStatus(store.db);
    const ids = status.sources.map((source) => source.id).filter((source) => id === null || source === id);
    if (ids.length === 0)
      throw new SyncError(id === null ? 'No source is configured' : `There is no source ${id}`, {
        code: 'config.missing_entry',
        field: 'source',
        recovery: {
          kind: 'operator',
          remedy:
            id === null
              ? 'Describe tenants, targets and sources in calendars.yaml and run "calendar-sync apply".'
              : `Name one of: ${status.sources.map((source) => source.id).join(', ')}.`,
        },
      });
    const say = (sentence: string): void => {
      if (!options.json) process.stdout.write(`${sentence}\n`);
    };

    const results: { kind: 'source' | 'target'; id: string; outcome: string; counts?: unknown; error?: unknown }[] = [];
    const record = (kind: 'source' | 'target', name: string, result: Awaited<ReturnType<typeof worker.run>>): void => {
      if (result === null) {
        results.push({ kind, id: name, outcome: 'busy' });
        say(`${kind} ${name}: another worker is at it`);
      } else if (result.kind === 'failed') {
        const { code, message, recovery } = result.error;
        results.push({ kind, id: name, outcome: 'failed', error: { code, message, recovery } });
        say(`${kind} ${name}: ${message} (${code})${recovery.kind === 'operator' ? `. ${recovery.remedy}` : ''}`);
      } else {
        const counts = result.kind === 'done' ? result.counts : {};
        results.push({ kind, id: name, outcome: result.kind, counts });
        say(`${kind} ${name}: ${describeCounts(counts)}`);
      }
    };

    await recordAudit(store.db, {
      actor: 'cli',
      action: 'sync',
      subject: id === null ? 'sources' : `sources/${id}`,
      detail: { full: options.full },
    });
    const targets = new Set<string>();
    for (const source of ids) {
      await wantReading(store.db, source, options.full);
      const state = await loadSource(store.db, source);
      if (state !== null) targets.add(state.targetId);
      record('source', source, await worker.run('ingest', source));
    }
    for (const target of targets) record('target', target, await worker.run('deliver', target));
    const after = await readStatus(store.db);
    const waiting = [
      ...after.sources.map((one) => ({ kind: 'source', id: one.id, count: ids.includes(one.id) ? one.stale : 0 })),
      ...after.targets.map((one) => ({ kind: 'target', id: one.id, count: targets.has(one.id) ? one.due : 0 })),
    ].filter(({ count }) => count > 0);
    for (const { kind, id: name, count } of waiting)
      say(
        `${kind} ${name}: ${count} still to be ${kind === 'source' ? 'read' : 'written'}; see "calendar-sync jobs list"`,
      );
    if (options.json) tell(true, { results, waiting }, []);
    const isWell =
      waiting.length === 0 && results.every(({ outcome, counts }) => outcome !== 'failed' && !hasFailed(counts));
    return isWell ? exitCodes.ok : exitCodes.trouble;
  });
}

/** Single series or meetings that could not be dealt with; they are tried again by themselves. */
function hasFailed(counts: unknown): boolean {
  return typeof counts === 'object' && counts !== null && 'failed' in counts && counts.failed !== 0;
}

function describeCounts(counts: object): string {
  const said = Object.entries(counts as Record<string, number>).filter(([, count]) => count > 0);
  return said.length === 0 ? 'nothing to do' : said.map(([name, count]) => `${name} ${count}`).join(', ');
}
