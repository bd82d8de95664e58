import type { CalDav } from '../dav/calendar-client.ts';
import { DavError } from '../dav/dav-error.ts';
import { SyncError } from '../shared/errors.ts';
import type { Db, Store } from '../store/database.ts';
import { recordHistory } from '../store/history.ts';
import {
  closeIntents,
  intentsToSettle,
  leaveIntent,
  recordSettled,
  recordSettledDeletion,
  renewIntents,
  type Intent,
  type WriteRight,
} from '../store/objects.ts';
import { checkSoon, compareAllSoon } from '../store/targets.ts';
import { lastInTrash } from '../store/trash.ts';
import { settleDelayMs } from './blame.ts';
import { isOurs } from './write-object.ts';

/** A write that comes later still is found by asking what changed, not long after. */
const lookAgainMs = 60_000;

/**
 * Settles requests whose outcome nobody knows (a lost answer, a killed worker) by reading what stands at their href,
 * once they can have no effect any more.
 *
 * What is there is taken for unknown content and written once more under its etag: a half-stored write may be missing
 * from the server's change log (a Baikal's three autocommits). A deletion that took effect is put back and deleted
 * again for the same reason.
 */
export async function settleIntents(
  store: Store,
  dav: CalDav,
  targetId: string,
  right: WriteRight,
  signal: AbortSignal,
  skipCalendarIds: ReadonlySet<string>,
): Promise<number> {
  const intents = (await intentsToSettle(store.db, targetId)).filter((one) => !skipCalendarIds.has(one.calendarId));
  for (const intent of intents) {
    signal.throwIfAborted();
    await settle(store, dav, targetId, right, intent, signal);
    await recordHistory(store.db, {
      status: 'ok',
      action: 'settle',
      targetId,
      meetingId: intent.meetingId,
      uid: intent.uid,
      href: intent.href,
      message: `the outcome of an earlier ${intent.action} was settled by reading`,
    });
  }
  for (const calendarId of new Set(intents.map((intent) => intent.calendarId)))
    await checkSoon(store.db, targetId, calendarId, lookAgainMs);
  // Two creations of one name may both have worked; a list of all shows it, and nothing else.
  for (const calendarId of new Set(intents.flatMap((one) => (one.action === 'put' ? one.calendarId : []))))
    await compareAllSoon(store.db, targetId, calendarId);
  return intents.length;
}

async function settle(
  store: Store,
  dav: CalDav,
  targetId: string,
  right: WriteRight,
  intent: Intent,
  signal: AbortSignal,
): Promise<void> {
  const etag = await dav.etagOf(intent.href, signal);
  if (etag !== null || intent.action === 'put') {
    await recordSettled(store.db, targetId, intent, etag);
    return;
  }
  const body = await lastInTrash(store.db, targetId, intent.href);
  // Two more writes: they need the right to write, and the intent stands for them too.
  if (body !== null && isOurs(body, intent.uid)) {
    if (!(await renewIntents(store.db, [intent.id], right))) return;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(right.timeoutMs)]);
    const put = await dav.put(intent.href, body, { ifNoneMatch: '*' }, limit);
    if (put.kind === 'stored') {
      const removed = await dav.remove(intent.href, put.etag, limit);
      if (removed.kind === 'precondition-failed') return; // somebody was faster; looked at again after the time-out
    }
  }
  await recordSettledDeletion(store.db, targetId, intent);
}

/** Closes the intent of a request that certainly changed nothing; any other is settled by reading, later. */
export async function settleLater(db: Db, intentId: string, thrown: unknown, right: WriteRight): Promise<void> {
  if (thrown instanceof DavError && thrown.outcome === 'unknown')
    await leaveIntent(db, intentId, settleDelayMs(thrown, right.timeoutMs));
  else if (thrown instanceof SyncError) await closeIntents(db, [intentId]);
}
