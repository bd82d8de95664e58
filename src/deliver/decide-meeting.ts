import { comparableFields } from '../calendar/compare-fields.ts';
import { anchorFor, renderSeries } from '../calendar/render.ts';
import type { Series } from '../calendar/series.ts';
import { chooseClaim, type Candidate, type Choice } from '../consolidate/choose-claim.ts';
import { conflictsOf, type Conflict } from '../consolidate/conflicts.ts';
import { coversSlot } from '../consolidate/covers-slot.ts';
import { resourceName } from '../consolidate/identity.ts';
import type { WantedObject } from '../consolidate/plan-meeting.ts';
import type { Window } from '../shared/window.ts';
import type { DueMeeting, MeetingClaim } from '../store/meetings.ts';

export interface Decision {
  readonly wanted: readonly WantedObject[];
  readonly shown: MeetingClaim | null;
  /** `gone`: nobody shows it any more; `covered`: it shows as part of a series. */
  readonly state: 'shown' | 'covered' | 'gone';
  /** In plain words, for history and `explain`. */
  readonly why: string;
  readonly sequence: number;
  readonly anchor: string | null;
  /** In what the other copies disagree with the one that shows. */
  readonly conflicts: readonly Conflict[];
}

export interface DecisionContext {
  readonly strategy: 'last-write-wins' | 'priority';
  readonly now: Date;
  /** Collection path with trailing slash by calendar id. */
  readonly calendarHrefs: ReadonlyMap<string, string>;
}

/** What a meeting should show now, and as which resources. Pure. */
export function decideMeeting(meeting: DueMeeting, context: DecisionContext): Decision {
  const nothing = (state: 'covered' | 'gone', why: string): Decision => ({
    wanted: [],
    shown: null,
    state,
    why,
    sequence: meeting.sequence,
    anchor: meeting.anchor,
    conflicts: [],
  });
  const choose = (claims: readonly MeetingClaim[], pinnedSourceId: string | null): Choice<ClaimCandidate> | null =>
    chooseClaim(claims.map(toCandidate), { strategy: context.strategy, pinnedSourceId, now: context.now });
  const series = choose(meeting.covers, meeting.coverPinnedSourceId)?.shown.claim;
  if (series !== undefined && coversSlot(series.series, meeting.slot))
    return nothing('covered', `covered by the series of ${series.sourceId}`);
  if (meeting.isMerged && meeting.claims.length === 0) return nothing('covered', 'merged into another meeting');
  const choice = choose(meeting.claims, meeting.pinnedSourceId);
  if (choice === null) return nothing('gone', meeting.lostBecause ?? 'no source shows it any more');

  const claim = choice.shown.claim;
  const collection = context.calendarHrefs.get(claim.calendarId);
  if (collection === undefined) return nothing('gone', `the calendar ${claim.calendarId} is not configured`);
  const window = windowOf(claim, context.now);
  const anchor = nextAnchor(meeting.anchor, anchorFor(claim.series, window));
  // What the operator restored of a meeting is one claim for each object that it had.
  const shown = claim.restored === null ? [claim] : meeting.claims.filter((one) => one.restored !== null);
  const render = (sequence: number): WantedObject[] =>
    shown.flatMap(({ series, settings, restored }) =>
      renderSeries(series, {
        uid: restored?.uid ?? meeting.uid,
        sequence,
        titleTag: settings.titleTag,
        detail: claim.detail,
        reminders: settings.reminders,
        window,
        anchor,
      }).map((object) => {
        const part = restored?.part ?? object.part;
        return {
          ...object,
          part,
          calendarId: claim.calendarId,
          href: `${collection}${resourceName(meeting.uid, part)}`,
        };
      }),
    );

  const base = Math.max(meeting.sequence, ...shown.map(({ series }) => series.sequence ?? 0));
  const first = render(base);
  const isRescheduled = first.some((object) =>
    meeting.objects.some(
      (known) =>
        known.part === object.part &&
        known.scheduleFingerprint !== null &&
        known.scheduleFingerprint !== object.scheduleFingerprint,
    ),
  );
  const sequence = isRescheduled ? base + 1 : base;
  return {
    wanted: isRescheduled ? render(sequence) : first,
    shown: claim,
    state: 'shown',
    why: describeChoice(choice),
    sequence,
    anchor,
    conflicts: conflictsOf(
      claim,
      meeting.claims.filter((other) => other.id !== claim.id && other.restored === null),
    ),
  };
}

interface ClaimCandidate extends Candidate {
  readonly claim: MeetingClaim;
}

function toCandidate(claim: MeetingClaim): ClaimCandidate {
  return {
    claim,
    claimId: claim.id,
    sourceId: claim.sourceId,
    calendarId: claim.calendarId,
    detail: claim.detail,
    lastModifiedAt: claim.lastModifiedAt === null ? null : new Date(claim.lastModifiedAt),
    priority: claim.settings.priority,
    position: claim.position,
    isRestored: claim.restored !== null,
    comparable: comparableText(claim.series),
  };
}

function comparableText(series: Series): string {
  return JSON.stringify(Object.entries(comparableFields(series)).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function describeChoice(choice: Choice<ClaimCandidate>): string {
  const source = choice.shown.sourceId;
  if (choice.shown.isRestored) return 'restored from the trash';
  switch (choice.why) {
    case 'only':
      return `shown by ${source}`;
    case 'pinned':
      return `${source} is pinned`;
    case 'detail':
      return `${source} may show the most detail`;
    case 'last-write-wins':
      return `${source} was changed last`;
    case 'priority':
      return `${source} has priority`;
    case 'order':
      return `${source} comes first`;
  }
}

const dayMs = 86_400_000;
const yearMs = 366 * dayMs;

function windowOf(claim: MeetingClaim, now: Date): Window {
  const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 10)}T00:00:00Z`;
  const { pastDays, futureDays } = claim.settings.window;
  return { from: iso(now.getTime() - pastDays * dayMs), to: iso(now.getTime() + (futureDays + 1) * dayMs) };
}

/** A stored anchor moves at most once a year, so that a rolling window rewrites nothing. */
function nextAnchor(stored: string | null, needed: string | null): string | null {
  if (needed === null) return null;
  if (stored === null) return needed;
  return Date.parse(needed) - Date.parse(stored) > yearMs ? needed : stored;
}
