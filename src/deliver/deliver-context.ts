import type { Step } from '../consolidate/plan-meeting.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import type { Clock } from '../shared/clock.ts';
import type { SyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Store } from '../store/database.ts';
import { postponeMeetings, type DueMeeting, type MeetingObject } from '../store/meetings.ts';
import type { Intent, WriteRight } from '../store/objects.ts';
import { goneCheckEveryMs, type TargetState } from '../store/targets.ts';
import type { Decision } from './decide-meeting.ts';

export interface DeliverCounts {
  created: number;
  updated: number;
  deleted: number;
  unchanged: number;
  failed: number;
}

export interface DeliverContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly target: TargetState;
  readonly dav: CalDav;
  readonly right: WriteRight;
  /** Collection path with trailing slash by calendar id. */
  readonly calendarHrefs: ReadonlyMap<string, string>;
  /** Calendars that take nothing now; what concerns them waits. */
  readonly goneCalendars: Map<string, SyncError>;
  readonly counts: DeliverCounts;
  readonly signal: AbortSignal;
}

/** A meeting with what it takes to make it what is wanted. */
export interface Decided {
  readonly meeting: DueMeeting;
  readonly decision: Decision;
  readonly steps: readonly Step<MeetingObject>[];
}

/** With all its requests written down. */
export interface Ready extends Decided {
  readonly intents: readonly Intent[];
  /** `performance.now()` when the intents were written. */
  readonly openedAt: number;
}

/** Puts off what concerns a calendar that takes nothing now. */
export async function postpone(context: DeliverContext, calendarId: string, ids: readonly string[]): Promise<void> {
  const error = context.goneCalendars.get(calendarId);
  if (error === undefined) return;
  const { code, message: reason } = error;
  await postponeMeetings(context.store.db, ids, { code, reason, afterMs: goneCheckEveryMs });
}
