import { SyncError } from '../shared/errors.ts';
import { discardHeld, heldRemovals, removeClaims } from '../store/claims.ts';
import { approveDeletions, discardDeletions } from '../store/deletions.ts';
import { recordAudit } from '../store/history.ts';
import { loadSource } from '../store/sources.ts';
import type { Product } from '../compose.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** Lists removals that wait for a decision. */
export function listHeld(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const held = await heldRemovals(product.store.db);
    const rows = held.map((one) => [one.source, String(one.count), String(one.upcoming), one.since, one.reason]);
    tell(
      json,
      held,
      held.length === 0
        ? ['No removals are held.']
        : [
            ...table(['source', 'held', 'upcoming', 'since', 'why'], rows),
            '',
            'The events go on showing. "guard approve <source>" removes them, "guard discard <source>" keeps them and reads the source anew.',
          ],
    );
    return exitCodes.ok;
  });
}

/** Carries out, or forgets, what is held of one source. */
export function decideHeld(
  decision: 'approve' | 'discard',
  id: string,
  json: boolean,
  overrides: Overrides,
): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const { store, hints } = product;
    if (id.startsWith('target:')) return await decideDeletions(product, decision, id.slice('target:'.length), json);
    const source = await loadSource(store.db, id);
    if (source === null)
      throw new SyncError(`There is no source ${id}`, {
        code: 'config.missing_entry',
        field: 'source',
        recovery: { kind: 'operator', remedy: 'See "calendar-sync guard list".' },
      });
    const count = await store.transaction(async (db) => {
      const done = decision === 'approve' ? await removeClaims(db, source, 'held') : await discardHeld(db, id);
      await recordAudit(db, { actor: 'cli', action: `guard.${decision}`, subject: id, detail: { count: done } });
      return done;
    });
    if (decision === 'approve') hints.send('deliver', source.targetId);
    else hints.send('ingest', id);
    tell(json, { source: id, decision, count }, [
      decision === 'approve'
        ? `${count} events of ${id} are removed; what is deleted from the target is kept in the trash for 30 days.`
        : `${count} events of ${id} stay; the source is read anew.`,
    ]);
    return exitCodes.ok;
  });
}

/** Carries out, or forgets, deletions that were above the ceiling of a target. */
async function decideDeletions(
  { store, hints }: Pick<Product, 'store' | 'hints'>,
  decision: 'approve' | 'discard',
  targetId: string,
  json: boolean,
): Promise<number> {
  const count = await store.transaction(async (db) => {
    const done = await (decision === 'approve' ? approveDeletions : discardDeletions)(db, targetId);
    await recordAudit(db, {
      actor: 'cli',
      action: `guard.${decision}`,
      subject: `target:${targetId}`,
      detail: { count: done },
    });
    return done;
  });
  hints.send('deliver', targetId);
  tell(json, { target: targetId, decision, count }, [
    decision === 'approve'
      ? `${count} meetings are deleted from ${targetId}; they are kept in the trash for 30 days.`
      : `${count} meetings stay in ${targetId} while all its sources are read anew.`,
  ]);
  return exitCodes.ok;
}
