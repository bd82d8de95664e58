import { restoreFromTrash } from '../deliver/restore-trash.ts';
import { listTrash } from '../store/trash.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** Lists what was deleted from targets in the last 30 days, newest first. */
export function showTrash(
  which: { readonly target?: string; readonly limit: number },
  json: boolean,
  overrides: Overrides,
): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const entries = await listTrash(product.store.db, which);
    const rows = entries.map((entry) => [
      entry.id,
      entry.deletedAt,
      `${entry.target}/${entry.calendar}`,
      titleOf(entry.body),
      entry.restoredAt === null ? entry.reason : `restored ${entry.restoredAt}`,
    ]);
    tell(
      json,
      entries.map(({ body, ...entry }) => ({ ...entry, title: titleOf(body) })),
      entries.length === 0
        ? ['The trash is empty.']
        : [...table(['id', 'deleted (UTC)', 'where', 'title', 'why'], rows), '', '"trash restore <id>" puts one back.'],
    );
    return exitCodes.ok;
  });
}

/** Puts one deleted meeting back. */
export function restoreOne(id: string, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const { targetId, objects } = await restoreFromTrash(product.store, id, 'cli');
    product.hints.send('deliver', targetId);
    tell(json, { id, target: targetId, objects }, [
      `It is written to ${targetId} again, and stays until a source shows it once more.`,
    ]);
    return exitCodes.ok;
  });
}

/** For the operator's own eyes: the trash is theirs. */
function titleOf(body: string): string {
  const unfolded = body.replaceAll(/\r?\n[ \t]/g, '');
  return (/^SUMMARY[^:\r\n]*:([^\r\n]*)/m.exec(unfolded)?.[1] ?? '').replaceAll(/\\([,;\\])/g, '$1');
}
