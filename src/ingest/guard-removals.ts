import { judgeRemovals } from '../consolidate/judge-removals.ts';
import { countRemovals, hasPending, holdPending, removeClaims, removeHidden } from '../store/claims.ts';
import { recordHistory } from '../store/history.ts';
import { commit, type Run } from './run.ts';

/** The guard over all that was confirmed gone in this run: carried out, or held and told. */
export async function guardRemovals(run: Run): Promise<void> {
  const { deps, state, counts } = run;
  if (!(await hasPending(deps.store.db, state.id))) return;
  const { removed, held, reason } = await commit(run, async (db) => {
    await removeHidden(db, state.id);
    const verdict = judgeRemovals(await countRemovals(db, state.id));
    if (verdict.kind === 'apply') return { removed: await removeClaims(db, state, 'pending'), held: 0, reason: '' };
    return { removed: 0, held: await holdPending(db, state.id, verdict.reason), reason: verdict.reason };
  });
  counts.removed += removed;
  counts.held += held;
  if (removed > 0) deps.onChanged(state.targetId);
  if (held === 0) return;
  deps.log.event('guard.held', { source: state.id, count: held, reason });
  await recordHistory(deps.store.db, {
    status: 'error',
    action: 'hold',
    sourceId: state.id,
    targetId: state.targetId,
    code: 'guard.held',
    message: `${held} removals are held: ${reason}. Look at them with "calendar-sync guard list".`,
    counts: { held },
  });
}
