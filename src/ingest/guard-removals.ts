import { judgeRemovals } from '../consolidate/judge-removals.ts';
import { countRemovals, hasPending, holdPending, removeClaims, removeHidden } from '../store/claims.ts';
import type { Db } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import type { SourceState } from '../store/sources.ts';
import { commit, type IngestDeps, type Run } from './run.ts';

/** What became of the removals that waited. */
export interface Judged {
  readonly removed: number;
  readonly held: number;
  readonly reason: string;
}

/** The guard over all that was confirmed gone in this run: carried out, or held and told. */
export async function guardRemovals(run: Run): Promise<void> {
  const { deps, state, counts } = run;
  if (!(await hasPending(deps.store.db, state.id))) return;
  const judged = await commit(run, (db) => judgePending(db, state));
  counts.removed += judged.removed;
  counts.held += judged.held;
  if (judged.removed > 0) deps.onChanged(state.targetId);
  await tellHeld(deps, state, judged);
}

/** Judges what is pending inside the caller's transaction. */
export async function judgePending(db: Db, state: SourceState): Promise<Judged> {
  await removeHidden(db, state.id);
  const verdict = judgeRemovals(await countRemovals(db, state.id));
  if (verdict.kind === 'apply') return { removed: await removeClaims(db, state, 'pending'), held: 0, reason: '' };
  return { removed: 0, held: await holdPending(db, state.id, verdict.reason), reason: verdict.reason };
}

/** After the commit: tells the operator of what is held, if anything is. */
export async function tellHeld(
  deps: Pick<IngestDeps, 'log' | 'store'>,
  state: SourceState,
  { held, reason }: Judged,
): Promise<void> {
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
