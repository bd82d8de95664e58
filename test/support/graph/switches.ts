/**
 * Where reports on Microsoft Graph contradict each other, the simulator can do either. The defaults are what was reported
 * most; each comment names the report.
 */
export interface Switches {
  /** Is a master sent whose first occurrence lies before the window? keeper.sh#409: no; allodia-eu engine: yes. */
  mastersBeforeWindow: 'sent' | 'not';
  /** Docs: differs per occurrence; microsoft-graph-docs#17479, #4447: one for the series. */
  iCalUId: 'per-series' | 'per-occurrence';
  /**
   * `outlook-immutable-id.md` is silent on occurrences: do they, and does `seriesMasterId`, obey IdType="ImmutableId"?
   */
  immutableOccurrenceIds: 'yes' | 'no' | 'nor-seriesMasterId';
  /** v1.0 typings know it since May 2025; clouds may trail. `unknown` refuses $select and $expand of it. */
  cancelledOccurrences: 'known' | 'unknown';
  /** Null even on a direct GET: allodia-eu/email-calendar-sync-engine. */
  exceptionOriginalStart: 'present' | 'null';
  /** keeper.sh#409: subject and body are blank in delta where they are inherited. */
  exceptionFields: 'full' | 'blank-inherited';
  /** microsoft-graph-docs PR#4501: all current occurrences come again; yzhu.name 2026: only the master. */
  afterMasterChange: 'all-occurrences' | 'master-only';
  /** Nobody promises that siblings stay silent when one occurrence changes. */
  afterOccurrenceChange: 'exception-only' | 'whole-series';
  /** microsoft-graph-docs#7163: recurrenceTimeZone can be "". */
  recurrenceTimeZone: 'set' | 'empty';
  /** No evidence what a deleted series sends. */
  seriesDeleted: 'master' | 'occurrences' | 'both';
  /** `event-delta.md`: an event outside the window may come as removed although it exists. */
  outsideTouched: 'removed' | 'known-only';
  /** contrib#7803: midnight "UTC" whatever the zone; some clients saw the instant converted. */
  allDayTimes: 'midnight' | 'converted';
  /** Exceptions per page of `$expand=exceptionOccurrences`; the rest is behind exceptionOccurrences@odata.nextLink. */
  exceptionPageSize: number;
  /** How somebody's copy of one date of a foreign series comes: by itself, or naming a master that is not there. */
  orphans: 'singleInstance' | 'exception';
  /** Reason on @removed: both were seen. */
  removedReason: 'deleted' | 'changed';
  /** Signs of a lost sync state (`delta-query-overview.md`, microsoft-graph-docs#2350); status and code vary. */
  syncStateError: { status: 410 | 400 | 404; code: string; location: boolean };
  /**
   * Windows with an endless series in them that are longer than so many days answer 504 UnknownError
   * (microsoft-graph-docs#6499, msgraph-sdk-dotnet#1568); null: none does.
   */
  longestEndlessDays: number | null;
  /** Token generations that are kept; #2350 saw three. */
  keptGenerations: number;
  /** No maximum is documented: 10,080 in current docs, 4,230 until 2025, national clouds may trail. */
  subscriptionMinutes: number;
  /** Is `/users/{id}/calendars/{id}/events` accepted as a subscription's resource? */
  calendarSubscriptions: 'accepted' | 'refused';
  /** contrib#3072: three notifications for one edit; #7598: created and updated for one creation. */
  notifications: 'once' | 'several';
  /** Duplicated subscriptions can give 409. */
  duplicateSubscriptions: 'accepted' | 'refused';
  /** Concurrent requests per app and mailbox before 429 (`throttling-limits.md`). */
  mailboxConcurrency: number;
  /** 2021 docs: per mailbox; a 2023 page and contrib PR#9428: per app over all mailboxes. */
  concurrencyPer: 'mailbox' | 'app';
  /** Value of Retry-After when throttled; may be fractional. Null: absent. */
  retryAfter: string | null;
  /** Delta may shuffle, repeat and interleave empty pages (`delta-query-overview.md`); shares are of 1. */
  disorder: Disorder | null;
}

export interface Disorder {
  seed: number;
  shuffle: boolean;
  /** Chance that an entry comes twice in a round, an older version first when there is one. */
  duplicates: number;
  /** Chance that an unchanged entry is sent again in a later round. */
  replays: number;
  /** Chance of an empty page with a nextLink after a page. */
  emptyPages: number;
  /** Removals of things that were never in the view, even in a first round. */
  strangeRemovals: boolean;
}

export const defaultSwitches: Switches = {
  mastersBeforeWindow: 'sent',
  iCalUId: 'per-series',
  immutableOccurrenceIds: 'yes',
  cancelledOccurrences: 'known',
  exceptionOriginalStart: 'present',
  exceptionFields: 'full',
  afterMasterChange: 'all-occurrences',
  afterOccurrenceChange: 'exception-only',
  recurrenceTimeZone: 'set',
  seriesDeleted: 'both',
  outsideTouched: 'removed',
  allDayTimes: 'midnight',
  exceptionPageSize: 10,
  orphans: 'singleInstance',
  removedReason: 'deleted',
  syncStateError: { status: 410, code: 'SyncStateNotFound', location: false },
  longestEndlessDays: null,
  keptGenerations: 3,
  subscriptionMinutes: 10_080,
  calendarSubscriptions: 'accepted',
  notifications: 'once',
  duplicateSubscriptions: 'accepted',
  mailboxConcurrency: 4,
  concurrencyPer: 'mailbox',
  retryAfter: '1.5',
  disorder: null,
};

/** A small seeded random in [0, 1) (mulberry32): the same seed gives the same history. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
