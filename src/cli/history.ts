import { readHistory, type HistoryQuery } from '../store/history.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** Shows what was written and what was left out, newest first. */
export function showHistory(query: HistoryQuery, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const records = await readHistory(product.store.db, query);
    const rows = records.map((record) => [
      record.at.slice(0, 19).replace('T', ' '),
      record.status,
      record.action,
      record.source ?? record.target ?? '',
      record.title ?? record.uid ?? '',
      record.code ?? '',
      record.message ?? describe(record.counts),
    ]);
    tell(
      json,
      records,
      records.length === 0
        ? ['Nothing yet.']
        : table(['when (UTC)', 'status', 'action', 'where', 'meeting', 'code', 'what'], rows),
    );
    return exitCodes.ok;
  });
}

function describe(counts: Record<string, number> | null): string {
  return Object.entries(counts ?? {})
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
