import { SyncError } from '../shared/errors.ts';
import { discardHeld, heldRemovals, removeClaims } from '../store/claims.ts';
import { recordAudit } from '../store/history.ts';
import { loadSource } from '../store/sources.ts';
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
