import { compareSource, type Compared } from '../compare/compare-source.ts';
import type { Product } from '../compose.ts';
import type { InstanceDifference } from '../consolidate/compare-instances.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import { readStatus } from '../store/status.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

const differencesTold = 20;

type Verified = { readonly source: string } & (
  | Omit<Extract<Compared, { outcome: 'compared' }>, 'keys'>
  | Extract<Compared, { outcome: 'skipped' }>
  | { readonly outcome: 'failed'; readonly code: string; readonly reason: string }
);

/**
 * Compares the target with what each source shows now, happening by happening, and changes nothing. Exits with 1 when
 * they differ or a source or target cannot be read.
 */
export function verify(id: string | null, options: { json: boolean }, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const ids = await namedSources(product, id);
    const say = (sentence: string): void => {
      if (!options.json) process.stdout.write(`${sentence}\n`);
    };
    const results: Verified[] = [];
    for (const [index, source] of ids.entries()) {
      if (!options.json && process.stderr.isTTY) process.stderr.write(`${index + 1}/${ids.length} ${source} …\r`);
      const result = await verifySource(product, source).catch((thrown: unknown): Verified => {
        const { code, message } = toSyncError(thrown);
        return { source, outcome: 'failed', code, reason: message };
      });
      results.push(result);
      for (const line of describe(result)) say(line);
    }
    if (options.json) tell(true, { results }, []);
    return results.every(isWell) ? exitCodes.ok : exitCodes.trouble;
  });
}

async function namedSources(product: Product, id: string | null): Promise<string[]> {
  const all = (await readStatus(product.store.db)).sources.map((source) => source.id);
  const ids = all.filter((source) => id === null || source === id);
  if (ids.length > 0) return ids;
  throw new SyncError(id === null ? 'No source is configured' : `There is no source ${id}`, {
    code: 'config.missing_entry',
    field: 'source',
    recovery: {
      kind: 'operator',
      remedy: id === null ? 'Apply a configuration that has one.' : `Name one of: ${all.join(', ')}.`,
    },
  });
}

async function verifySource(product: Product, source: string): Promise<Verified> {
  const compared = await compareSource(product.comparing, source, new AbortController().signal);
  if (compared.outcome === 'skipped') return { source, ...compared };
  const { keys: _, ...told } = compared;
  return { source, ...told };
}

function isWell(result: Verified): boolean {
  return result.outcome === 'compared'
    ? result.missing.length + result.surplus.length === 0
    : result.outcome === 'skipped';
}

function describe(result: Verified): string[] {
  if (result.outcome === 'skipped') return [`${result.source}: not compared, ${result.reason}`];
  if (result.outcome === 'failed') return [`${result.source}: ${result.reason} (${result.code})`];
  const { source, same, hidden, elsewhere, held, missing, surplus } = result;
  const counts = [
    `${same} as in the source`,
    ...Object.entries(hidden).map(([by, count]) => `${count} hidden by ${by}`),
    ...Object.entries(elsewhere).map(([by, count]) => `${count} shown by another: ${by}`),
    ...(held === 0 ? [] : [`${held} held by the guard`]),
    ...(missing.length === 0 ? [] : [`${missing.length} missing`]),
    ...(surplus.length === 0 ? [] : [`${surplus.length} too many`]),
  ];
  return [`${source}: ${counts.join(', ')}`, ...told('missing', missing), ...told('too many', surplus)];
}

function told(what: string, differences: readonly InstanceDifference[]): string[] {
  const lines = differences.slice(0, differencesTold).map(({ line, why }) => `  ${what}: ${line} (${why})`);
  const rest = differences.length - lines.length;
  return rest > 0 ? [...lines, `  and ${rest} more; "--json" tells all`] : lines;
}
