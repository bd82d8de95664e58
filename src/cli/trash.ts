import { restoreFromTrash, restoreManyFromTrash } from '../deliver/restore-trash.ts';
import { listTrash, restorableSince, restoredText, titleOf, type TrashSpan } from '../store/trash.ts';
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
    const restored = await restoreFromTrash(product.store, id, 'cli');
    const { targetId: target, objects, shownBy } = restored;
    product.hints.send('deliver', target);
    tell(json, { id, target, objects, shownBy }, [restoredText(restored)]);
    return exitCodes.ok;
  });
}

/** Puts all back that was deleted in a span of time: what a mistaken approval took away, say. */
export function restoreAll(span: TrashSpan, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const ids = await restorableSince(product.store.db, span);
    const { count, targets, failed } = await restoreManyFromTrash(product.store, ids, 'cli', (done) => {
      if (!json) process.stderr.write(`${done} of ${ids.length}\n`);
    });
    for (const target of targets) product.hints.send('deliver', target);
    tell(json, { count, targets, failed: failed.map((id) => ({ id, code: 'trash.not_restorable' })) }, [
      count === 0
        ? 'There is nothing to restore.'
        : `${count} meetings are written again, and stay until a source shows them once more.`,
      ...(failed.length === 0 ? [] : [`${failed.length} could not be restored: ${failed.join(', ')}.`]),
    ]);
    return failed.length === 0 ? exitCodes.ok : exitCodes.trouble;
  });
}
