import type { CalDav } from '../dav/calendar-client.ts';
import { recordHistory } from '../store/history.ts';
import type { Store } from '../store/database.ts';
import {
  closeIntent,
  forgetObject,
  lastInTrash,
  openIntents,
  recordObject,
  wantMeeting,
  type Intent,
} from '../store/meetings.ts';

/**
 * Settles requests whose outcome nobody knows (a lost answer, a killed worker) by reading what stands at their href.
 * `quietMs` is the time-out of a write: until it has passed the request may still take effect.
 *
 * A write that is there is taken for unknown content and written once more under its etag: a half-stored one may be
 * missing from the server's change log (a Baikal's three autocommits). A deletion that took effect is put back and
 * deleted again for the same reason.
 */
export async function settleIntents(
  store: Store,
  dav: CalDav,
  targetId: string,
  quietMs: number,
  signal: AbortSignal,
): Promise<number> {
  const intents = await openIntents(store.db, targetId, quietMs);
  for (const intent of intents) {
    await settle(store, dav, targetId, intent, signal);
    await wantMeeting(store.db, intent.meetingId);
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
  return intents.length;
}

async function settle(store: Store, dav: CalDav, targetId: string, intent: Intent, signal: AbortSignal): Promise<void> {
  const etag = await dav.etagOf(intent.href, signal);
  if (etag !== null) {
    const standing = { ...intent, targetId, etag, fingerprint: null, scheduleFingerprint: null };
    await recordObject(store.db, standing, intent.id);
    return;
  }
  if (intent.action === 'delete') await deleteAgain(store, dav, targetId, intent, signal);
  await forgetObject(store.db, targetId, intent.href, intent.id);
  await closeIntent(store.db, intent.id);
}

async function deleteAgain(
  store: Store,
  dav: CalDav,
  targetId: string,
  intent: Intent,
  signal: AbortSignal,
): Promise<void> {
  const body = await lastInTrash(store.db, targetId, intent.href);
  if (body === null) return;
  const put = await dav.put(intent.href, body, { ifNoneMatch: '*' }, signal);
  if (put.kind === 'stored') await dav.remove(intent.href, put.etag, signal);
}
