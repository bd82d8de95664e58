import { judgeDeletions } from '../consolidate/judge-deletions.ts';
import { approvedDeletions, bookDeletions, countDeletions, holdDeletions, targetInBooks } from '../store/deletions.ts';
import { recordHistory } from '../store/history.ts';
import type { DueMeeting } from '../store/meetings.ts';
import type { Decision } from './decide-meeting.ts';
import type { DeliverContext } from './deliver-meetings.ts';

/**
 * Which of these meetings may be deleted from the target. Those that nobody shows any more and that are not over yet
 * come before the target's ceiling, whatever the cause; above it they are held, and told. Gives the rest.
 */
export async function passCeiling<T extends { readonly meeting: DueMeeting; readonly decision: Decision }>(
  context: DeliverContext,
  decided: readonly T[],
): Promise<T[]> {
  const { store, target, log } = context;
  const lost = decided.filter(({ meeting, decision }) => decision.state === 'gone' && meeting.isUpcoming);
  if (lost.length === 0) return [...decided];
  const approved = await approvedDeletions(
    store.db,
    target.id,
    lost.map(({ meeting }) => meeting.uid),
  );
  const asked = lost.filter(({ meeting }) => !approved.has(meeting.uid)).map(({ meeting }) => meeting);
  if (asked.length === 0) return [...decided];
  const reason = judgeDeletions({
    ...(await countDeletions(store.db, target.id)),
    pendingUpcoming: asked.length,
  });
  if (reason === null) {
    await bookDeletions(
      store.db,
      target.id,
      asked.map((meeting) => meeting.uid),
    );
    return [...decided];
  }
  const count = await holdDeletions(store.db, target.id, asked, reason);
  if (count > 0) {
    log.event('guard.held', { source: targetInBooks(target.id), count, reason });
    await recordHistory(store.db, {
      status: 'error',
      action: 'hold',
      targetId: target.id,
      code: 'deliver.deletion_held',
      message: `${reason}; they go on showing until "guard approve ${targetInBooks(target.id)}"`,
      counts: { held: count },
    });
  }
  const held = new Set(asked.map((meeting) => meeting.id));
  return decided.filter(({ meeting }) => !held.has(meeting.id));
}
