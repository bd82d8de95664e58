import { judgeDeletions } from '../consolidate/judge-deletions.ts';
import { allowedDeletions, bookDeletions, countDeletions, holdDeletions, targetInBooks } from '../store/deletions.ts';
import { recordHistory } from '../store/history.ts';
import type { DueMeeting } from '../store/meetings.ts';
import type { Decision } from './decide-meeting.ts';
import type { DeliverContext } from './deliver-context.ts';

/**
 * The ceiling of a target over all that one pass is about to delete: of what nobody shows any more and is not over yet,
 * whatever the cause. It is judged as a whole, so that a flood is held from its first deletion on.
 */
export class Ceiling {
  private readonly context: DeliverContext;
  private readonly lost = new Set<string>();
  private judged: Promise<{ readonly reason: string | null; readonly allowed: ReadonlySet<string> }> | null = null;

  constructor(context: DeliverContext) {
    this.context = context;
  }

  /** Counts a meeting that is about to be deleted. */
  count(meeting: DueMeeting, decision: Decision): void {
    if (isLost(meeting, decision)) this.lost.add(meeting.uid);
  }

  /** Which of these may be deleted; the others are held, and told. */
  async pass<T extends { readonly meeting: DueMeeting; readonly decision: Decision }>(
    decided: readonly T[],
  ): Promise<T[]> {
    const lost = decided.filter(({ meeting, decision }) => isLost(meeting, decision));
    if (lost.length === 0) return [...decided];
    const { store, target } = this.context;
    const { reason, allowed } = await (this.judged ??= this.judge());
    const asked = lost.filter(({ meeting }) => !allowed.has(meeting.uid)).map(({ meeting }) => meeting);
    if (reason === null) {
      await bookDeletions(
        store.db,
        target.id,
        asked.map((meeting) => meeting.uid),
      );
      return [...decided];
    }
    await this.hold(asked, reason);
    const held = new Set(asked.map((meeting) => meeting.id));
    return decided.filter(({ meeting }) => !held.has(meeting.id));
  }

  private async judge(): Promise<{ reason: string | null; allowed: ReadonlySet<string> }> {
    const { store, target } = this.context;
    const allowed = await allowedDeletions(store.db, target.id, [...this.lost]);
    const pendingUpcoming = this.lost.size - allowed.size;
    if (pendingUpcoming === 0) return { reason: null, allowed };
    return { reason: judgeDeletions({ ...(await countDeletions(store.db, target.id)), pendingUpcoming }), allowed };
  }

  private async hold(asked: readonly DueMeeting[], reason: string): Promise<void> {
    if (asked.length === 0) return;
    const { store, target, log } = this.context;
    const count = await holdDeletions(store.db, target.id, asked, reason);
    if (count === 0) return;
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
}

/** A forgotten tenant's meetings go whatever their number: its end was ordered. */
export function isLost(meeting: DueMeeting, decision: Decision): boolean {
  return decision.state === 'gone' && meeting.isUpcoming && !meeting.isForgotten;
}
