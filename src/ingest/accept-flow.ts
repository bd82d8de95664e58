import type { PowerAutomateSource } from '../config/model.ts';
import type { Claim } from '../sources/source.ts';
import { hasPending, markMeetingsDirty, removeAged, upsertClaims } from '../store/claims.ts';
import type { Db } from '../store/database.ts';
import {
  bury,
  dropClaims,
  dropFrozen,
  endListing,
  joinListing,
  knownKeys,
  lockFlowSource,
  markListed,
  pendingMeetings,
  recordFlowPost,
  rememberSignature,
  unbury,
  uidsWithOccurrences,
  type KnownKey,
  type ListedPart,
  type Listing,
} from '../store/flows.ts';
import { settleHandOver } from '../store/hand-over.ts';
import { recordHistory } from '../store/history.ts';
import { loadSource, type SourceState } from '../store/sources.ts';
import { judgePending, tellHeld, type Judged } from './guard-removals.ts';
import { prepareClaim } from './prepare-claim.ts';
import type { IngestDeps } from './run.ts';

/** How long a listing may lag behind what was deleted; when it still has it later than that, it is there again. */
const listingLagMs = 15 * 60_000;

export interface FlowPost {
  readonly claims: readonly FlowClaim[];
  /** Keys. When they were deleted, nobody tells: now at the latest. */
  readonly deleted: readonly string[];
  /** Set: a part of a whole window, whose silence means absence. */
  readonly window: ListedPart | null;
  /** Set: signed, and to be stored once, however often it comes. */
  readonly signature: string | null;
}

export interface FlowClaim {
  readonly claim: Claim;
  /** Instant with fractions of a second, which tell apart what was changed in a row; null: the flow does not say. */
  readonly modifiedAt: string | null;
  /** The key of its series' master, whose stand-in it replaces. */
  readonly masterKey: string | null;
  /** Stands for the first occurrence of a series as long as no occurrence is known. */
  readonly isMaster: boolean;
}

export type FlowOutcome =
  | { readonly kind: 'unknown' | 'paused' | 'repeated' }
  | {
      readonly kind: 'stored';
      readonly changed: number;
      readonly removed: number;
      readonly held: number;
      /** Older than what is known, or than their deletion. */
      readonly outdated: number;
    };

export interface FlowDeps extends Pick<IngestDeps, 'store' | 'instance' | 'log' | 'onChanged'> {
  /** Called after the commit where Graph reads the same mailbox: it has something to read. */
  readonly onPosted: (sourceId: string) => void;
}

interface Stored {
  readonly state: SourceState;
  readonly changed: number;
  readonly outdated: number;
  readonly judged: Judged;
  readonly hasGraphBeside: boolean;
}

/**
 * Stores what a flow posts, filtered and redacted, in one transaction; when it returns, it is durable. The same post
 * again changes nothing. In whatever order posts come, what was modified last wins, and a deletion beats all that was
 * modified before it. Throws when storing fails; then the flow must post again.
 */
export async function acceptFlow(
  deps: FlowDeps,
  sourceId: string,
  postFor: (config: PowerAutomateSource) => FlowPost,
): Promise<FlowOutcome> {
  const stored = await deps.store.transaction((db) => store(db, deps, sourceId, postFor));
  if (!('state' in stored)) return stored;
  const { state, changed, outdated, judged, hasGraphBeside } = stored;
  if (changed + judged.removed > 0) deps.onChanged(state.targetId);
  if (hasGraphBeside) deps.onPosted(sourceId);
  await tellHeld(deps, state, judged);
  const { removed, held } = judged;
  return { kind: 'stored', changed, removed, held, outdated };
}

async function store(
  db: Db,
  deps: FlowDeps,
  sourceId: string,
  postFor: (config: PowerAutomateSource) => FlowPost,
): Promise<Stored | { kind: 'unknown' | 'paused' | 'repeated' }> {
  const { hasGraphBeside } = await lockFlowSource(db, sourceId);
  const state = await loadSource(db, sourceId);
  if (state?.config.kind !== 'powerautomate') return { kind: 'unknown' };
  if (state.config.isPaused) return { kind: 'paused' };
  const post = postFor(state.config);
  if (post.signature !== null && !(await rememberSignature(db, sourceId, post.signature))) return { kind: 'repeated' };
  const listing = post.window === null ? null : await joinListing(db, sourceId, post.window);
  const round = listing?.round ?? state.streams.find(({ kind }) => kind === 'delta')?.round ?? '0';
  await bury(db, sourceId, post.deleted);
  const { accepted, older, revived, outdated } = await sift(db, sourceId, post, listing);

  const prepared = accepted.map(({ claim, modifiedAt }) => ({
    ...prepareClaim(claim, state.config),
    lastModifiedAt: modifiedAt,
  }));
  const replaced = await dropClaims(db, sourceId, standIns(accepted));
  const changed = await upsertClaims(db, state, prepared, { round, instance: deps.instance, isLive: listing === null });
  await unbury(db, sourceId, revived);
  if (listing !== null) await markListed(db, sourceId, older, listing.round);
  if (replaced.length > 0) await markMeetingsDirty(db, state.targetId, { identities: [], ids: replaced });
  if (listing?.isWhole === true) await endListing(db, sourceId, listing);
  const aged =
    listing?.isWhole === true && !state.config.keepPast && post.window !== null
      ? await removeAged(db, state, post.window.from)
      : 0;
  // Nothing stays pending beyond the transaction that made it so.
  const isSilent = post.deleted.length === 0 && listing?.isWhole !== true;
  const judged = isSilent ? nothingJudged : await judge(db, state);
  await recordFlowPost(db, sourceId);
  if (hasGraphBeside) await settleHandOver(db);
  const changedInAll = changed + replaced.length + aged;
  const { removed, held } = judged;
  // A listing that changed nothing is a sign of life all the same.
  if (changedInAll + removed + held > 0 || listing?.isWhole === true)
    await recordHistory(db, {
      status: 'ok',
      action: 'ingest',
      sourceId,
      targetId: state.targetId,
      counts: { changed: changedInAll, removed, held, outdated },
    });
  return { state, changed: changedInAll, outdated, judged, hasGraphBeside };
}

const nothingJudged: Judged = { removed: 0, held: 0, reason: '' };

/** What is gone goes, and with it what a reader of the same mailbox that is shut out still has of it. */
async function judge(db: Db, state: SourceState): Promise<Judged> {
  if (!(await hasPending(db, state.id))) return nothingJudged;
  const meetings = await pendingMeetings(db, state.id);
  const judged = await judgePending(db, state);
  if (judged.removed > 0)
    await markMeetingsDirty(db, state.targetId, { identities: [], ids: await dropFrozen(db, state.id, meetings) });
  return judged;
}

/** Parts what is to be stored from what is older than what we know. */
async function sift(
  db: Db,
  sourceId: string,
  post: FlowPost,
  listing: Listing | null,
): Promise<{ accepted: FlowClaim[]; older: string[]; revived: string[]; outdated: number }> {
  const told = newestOf(post.claims);
  const known = await knownKeys(
    db,
    sourceId,
    told.map(({ claim }) => claim.key),
  );
  const complete = await uidsWithOccurrences(
    db,
    sourceId,
    told.flatMap(({ claim, isMaster }) => (isMaster ? [{ key: claim.key, uid: claim.series.uid }] : [])),
  );
  const accepted: FlowClaim[] = [];
  const older: string[] = [];
  let outdated = 0;
  const replaced = new Set(standIns(told));
  const withOccurrences = new Set([
    ...complete,
    ...told.flatMap(({ claim, isMaster }) => (isMaster || claim.series.uid === null ? [] : [claim.series.uid])),
  ]);
  for (const one of told) {
    const { claim, isMaster, modifiedAt } = one;
    const row = known.get(claim.key);
    if (replaced.has(claim.key)) continue;
    if (isMaster && claim.series.uid !== null && withOccurrences.has(claim.series.uid)) continue;
    if (isDead(row, modifiedAt, listing)) outdated += 1;
    else if (isOlder(row, modifiedAt)) {
      outdated += 1;
      older.push(claim.key);
    } else accepted.push({ ...one, claim: withKnownUid(claim, row) });
  }
  const revived = accepted.flatMap(({ claim: { key } }) => (known.get(key)?.deletedAt == null ? [] : [key]));
  return { accepted, older, revived, outdated };
}

function isDead(row: KnownKey | undefined, modifiedAt: string | null, listing: Listing | null): boolean {
  if (row === undefined || row.deletedAt === null) return false;
  const deletedAt = Date.parse(row.deletedAt);
  if (listing !== null && Date.parse(listing.listedAt) > deletedAt + listingLagMs) return false;
  return modifiedAt === null || Date.parse(modifiedAt) <= deletedAt;
}

function isOlder(row: KnownKey | undefined, modifiedAt: string | null): boolean {
  if (row === undefined || row.lastModifiedAt === null || modifiedAt === null) return false;
  return Date.parse(modifiedAt) < Date.parse(row.lastModifiedAt);
}

/** The connector leaves out the iCalUId at times: what was known once stays known. */
function withKnownUid(claim: Claim, row: KnownKey | undefined): Claim {
  if (claim.series.uid !== null || row === undefined || row.uid === null || row.slot === null) return claim;
  return { ...claim, series: { ...claim.series, uid: row.uid, slot: row.slot } };
}

/** Each key once, as it was modified last; of equals the last. */
function newestOf(claims: readonly FlowClaim[]): FlowClaim[] {
  const newest = new Map<string, FlowClaim>();
  for (const one of claims) {
    const present = newest.get(one.claim.key);
    const before = Date.parse(present?.modifiedAt ?? '');
    if (!(Date.parse(one.modifiedAt ?? '') < before)) newest.set(one.claim.key, one);
  }
  return [...newest.values()];
}

function standIns(accepted: readonly FlowClaim[]): string[] {
  return [...new Set(accepted.flatMap(({ masterKey }) => (masterKey === null ? [] : [masterKey])))];
}
