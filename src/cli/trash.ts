import { restoreFromTrash } from '../deliver/restore-trash.ts';
import { toSyncError } from '../shared/errors.ts';
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
    const targets = new Set<string>();
    const failed: { id: string; code: string }[] = [];
    for (const [index, id] of ids.entries()) {
      try {
        targets.add((await restoreFromTrash(product.store, id, 'cli')).targetId);
      } catch (thrown) {
        const error = toSyncError(thrown);
        if (error.code !== 'trash.not_restorable') throw error;
        failed.push({ id, code: error.code });
      }
      if (!json && (index + 1) % 500 === 0) process.stderr.write(`${index + 1} of ${ids.length}\n`);
    }
    for (const target of targets) product.hints.send('deliver', target);
    const count = ids.length - failed.length;
    tell(json, { count, targets: [...targets], failed }, [
      count === 0
        ? 'There is nothing to restore.'
        : `${count} meetings are written again, and stay until a source shows them once more.`,
      ...(failed.length === 0
        ? []
        : [`${failed.length} could not be restored: ${failed.map(({ id }) => id).join(', ')}.`]),
    ]);
    return failed.length === 0 ? exitCodes.ok : exitCodes.trouble;
  });
}
