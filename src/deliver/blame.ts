import { DavError } from '../dav/dav-error.ts';
import type { SyncError } from '../shared/errors.ts';

/**
 * Whose trouble a failed delivery is.
 *
 * - `worker`: we lost the right to write; nothing is wrong with anything.
 * - `target`: nothing can be written there now; the run ends and no meeting is the worse for it.
 * - `calendar`: that calendar alone takes nothing.
 * - `meeting`: tried again after a while.
 * - `meeting-until-mended`: somebody must clear the way, which nothing tells us; tried again hourly.
 * - `meeting-for-good`: not tried again until it changes.
 */
export type Blame = 'worker' | 'target' | 'calendar' | 'meeting' | 'meeting-until-mended' | 'meeting-for-good';

const ofTarget = new Set([
  'dav.not_ready',
  'dav.unauthorized',
  'dav.unreachable',
  'dav.certificate',
  'dav.caldav_off',
  'dav.home_gone',
  'dav.redirected_away',
  'dav.busy',
  'dav.unavailable',
]);
const ofCalendar = new Set(['dav.calendar_gone', 'dav.forbidden']);

/** Pure: by what the failure says of itself. */
export function blameFor(error: SyncError): Blame {
  if (error.code === 'deliver.lease_lost') return 'worker';
  if (error.code === 'deliver.foreign_resource') return 'meeting-until-mended';
  if (!(error instanceof DavError)) return error.recovery.kind === 'operator' ? 'meeting-for-good' : 'meeting';
  if (error.outcome === 'refused') return 'meeting-for-good';
  if (ofCalendar.has(error.code)) return 'calendar';
  return ofTarget.has(error.code) ? 'target' : 'meeting';
}

/**
 * How long to wait before what became of a request is looked into. A server that answered has finished with it; one
 * that did not may still be at it: Baikal waits up to 60 s for its database, whether we still listen or not.
 */
export function settleDelayMs(error: DavError, timeoutMs: number): number {
  const isAnswered = error.status !== null && ![408, 502, 504].includes(error.status);
  return isAnswered ? 1_000 : Math.floor(timeoutMs / 2);
}
