import { sql } from 'kysely';
import type { Privacy } from '../calendar/privacy.ts';
import type { SourceConfig } from '../config/model.ts';
import { SyncError } from '../shared/errors.ts';
import type { Window } from '../shared/window.ts';
import { capped, sourceCeiling } from './ceiling.ts';
import { memberHash } from './claims.ts';
import type { Db } from './database.ts';

/** Where one reading of a source continues. `full` until its first round has ended, `delta` from then on. */
export interface Stream {
  readonly id: string;
  readonly kind: 'full' | 'delta';
  readonly cursor: string | null;
  readonly cursorSeq: string;
  readonly round: string;
  readonly window: Window;
  readonly startedAt: string;
  /** Of a full reading: the delta beside it is whole, so that a series of the version that we have has not changed. */
  readonly isRoutine: boolean;
  /** How many times its window is halved: see `halvedWindow`. */
  readonly halvings: number;
  /** How often a longer window was tried in vain since. */
  readonly failedTrials: number;
}

/** A source as a worker finds it when a run starts. */
export interface SourceState {
  readonly id: string;
  readonly config: SourceConfig;
  readonly targetId: string;
  readonly calendarId: string;
  readonly dedupe: 'target' | 'calendar' | 'off';
  readonly epoch: number;
  readonly wantedVersion: string;
  readonly doneVersion: string;
  /** How often Graph told of something by then, and since when what no reading has dealt with waits; null: nothing does. */
  readonly toldVersion: string;
  readonly toldSince: string | null;
  /** The database's clock when this was loaded. */
  readonly loadedAt: string;
  readonly isFullWanted: boolean;
  readonly failures: number;
  /** How many times its polls were halved because it asked us to slow down. */
  readonly slowed: number;
  /** Of its tenant: how many readings may run at a time; null: nothing is known yet. */
  readonly pace: number | null;
  readonly pausedCode: string | null;
  /** Whether change notifications tell of this calendar for certain. */
  readonly hasPush: boolean;
  /** Digest of its settings, its secret, its tenant and the clouds: unchanged, an opened source may go on serving. */
  readonly access: string;
  readonly streams: readonly Stream[];
}

/** What was read belongs to a configuration or a cursor that is no longer the present one; it must not be stored. */
export function superseded(sourceId: string): SyncError {
  return new SyncError(`The reading of ${sourceId} was overtaken by a change; nothing of it was stored`, {
    code: 'ingest.superseded',
    recovery: { kind: 'retry' },
  });
}

const instant = (expression: string) =>
  sql.raw(`to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`);
const windowBound = (column: string) => sql.raw(`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`);

/** Seconds between polls of a source whose changes are told: at least so many. */
export const pollWithPushSeconds = 600;

/** Of a subscription `u`: Graph tells of the very calendar that is read. */
export const isLivePush = sql.raw(`u.graph_id is not null and u.scope = 'calendar' and u.expires_at > now()`);

/** Of source `s`: no poll has found what should have been told, or something was told since. */
export const isHeard = sql.raw(`(s.push_missed_at is null or exists (
  select from told h where h.source_id = s.id and h.at > s.push_missed_at))`);

export async function loadSource(db: Db, id: string): Promise<SourceState | null> {
  const found = await sql<{
    settings: SourceConfig;
    targetId: string;
    calendarId: string;
    dedupe: SourceState['dedupe'];
    epoch: number;
    wantedVersion: string;
    doneVersion: string;
    toldVersion: string;
    toldSince: string | null;
    loadedAt: string;
    isFullWanted: boolean;
    failures: number;
    slowed: number;
    pace: number | null;
    pausedCode: string | null;
    hasPush: boolean;
    access: string;
    ceiling: Privacy | null;
    streams: Stream[] | null;
  }>`
    select s.settings, s.target_id as "targetId", s.calendar_id as "calendarId", t.dedupe, s.epoch,
      s.wanted_version as "wantedVersion", s.done_version as "doneVersion", s.is_full_wanted as "isFullWanted",
      coalesce(n.version, 0)::text as "toldVersion",
      case when n.version > n.done_version then ${instant('n.since')} end as "toldSince",
      ${instant('clock_timestamp()')} as "loadedAt",
      s.failures, s.slowed, (select p.cap from tenant_pace p where p.tenant_id = s.tenant_id) as pace,
      s.paused_code as "pausedCode",
      ${isHeard} and exists (select from subscription u where u.source_id = s.id and ${isLivePush}) as "hasPush",
      ${sourceCeiling} as ceiling,
      md5(concat(s.settings, s.secret_sealed, (select n::text from tenant n where n.id = s.tenant_id),
        (select a.probed_at::text from tenant_access a where a.tenant_id = s.tenant_id),
        (select string_agg(c::text, '' order by c.id) from cloud c))) as access,
      (select json_agg(json_build_object('id', r.id::text, 'kind', r.kind, 'cursor', r.cursor,
          'cursorSeq', r.cursor_seq::text, 'round', r.round::text, 'startedAt', r.started_at, 'isRoutine', r.is_routine,
          'halvings', r.halvings, 'failedTrials', r.failed_trials, 'window', json_build_object('from', ${windowBound('r.window_from')}, 'to', ${windowBound('r.window_to')})))
        from stream r where r.source_id = s.id) as streams
    from source s join target t on t.id = s.target_id left join told n on n.source_id = s.id
    where s.id = ${id}`.execute(db);
  const row = found.rows[0];
  if (row === undefined) return null;
  const { ceiling, settings, ...state } = row;
  return { ...state, id, config: capped(settings, ceiling), streams: row.streams ?? [] };
}

/** Of `source s`: it has something to do now. */
export const isSourceDue = sql.raw(`
  not coalesce((s.settings->>'isPaused')::boolean, false) and s.kind <> 'powerautomate'
    and (s.not_before is null or s.not_before <= now())
    and (s.wanted_version > s.done_version or s.next_poll_at <= now()
      or exists (select from told n where n.source_id = s.id and n.version > n.done_version)
      or exists (select from stale_series x where x.source_id = s.id and (x.not_before is null or x.not_before <= now())))`);

/** Sources that have something to do now: a poll or a hint, stale series, or an hourly probe of a paused one. */
export async function dueSources(db: Db): Promise<string[]> {
  const found = await sql<{ id: string }>`
    select s.id from source s where ${isSourceDue} order by s.next_poll_at`.execute(db);
  return found.rows.map((row) => row.id);
}

/** Asks for a reading: a notification, an operator, a flow's hint. */
export async function wantReading(db: Db, sourceId: string, isFull = false): Promise<boolean> {
  const found = await sql<{ id: string }>`
    update source set wanted_version = wanted_version + 1, is_full_wanted = is_full_wanted or ${isFull},
      not_before = case when paused_code is null then not_before else null end
    where id = ${sourceId} returning id`.execute(db);
  return found.rows.length === 1;
}

/**
 * Begins a full reading over `window` on a stream of its own, from its start if one is under way; the delta stream, if
 * there is one, goes on. What was ordered since the run loaded its settings stays ordered.
 */
export async function beginFullReading(
  db: Db,
  state: SourceState,
  { window, isRoutine, halvings, failedTrials }: Pick<Stream, 'window' | 'isRoutine' | 'halvings' | 'failedTrials'>,
): Promise<Stream> {
  const found = await sql<{ id: string; round: string; cursorSeq: string; startedAt: Date | string }>`
    insert into stream (source_id, kind, cursor, cursor_seq, round, window_from, window_to, started_at,
      is_routine, halvings, failed_trials)
    select ${state.id}, 'full', null, 0,
      greatest(coalesce((select max(round) from claim where source_id = ${state.id}), 0),
        coalesce((select max(round) from stream where source_id = ${state.id}), 0)) + 1,
      ${window.from}::timestamptz, ${window.to}::timestamptz, now(), ${isRoutine}, ${halvings}, ${failedTrials}
    from source where id = ${state.id} and epoch = ${state.epoch}
    on conflict (source_id, kind) do update
      set cursor = null, cursor_seq = stream.cursor_seq + 1, round = excluded.round, window_from = excluded.window_from,
        window_to = excluded.window_to, started_at = excluded.started_at, is_routine = excluded.is_routine,
        halvings = excluded.halvings, failed_trials = excluded.failed_trials
    returning id::text, round::text, cursor_seq::text as "cursorSeq", started_at as "startedAt"`.execute(db);
  const row = found.rows[0];
  if (row === undefined) throw superseded(state.id);
  await sql`
    update source set is_full_wanted = false where id = ${state.id} and wanted_version = ${state.wantedVersion}`.execute(
    db,
  );
  return {
    ...row,
    kind: 'full',
    cursor: null,
    window,
    isRoutine,
    halvings,
    failedTrials,
    startedAt: new Date(row.startedAt).toISOString(),
  };
}

/** The cursor is dead: the stream goes, unless somebody has moved it on meanwhile. Throws `ingest.superseded`. */
export async function dropStream(db: Db, state: SourceState, stream: Stream): Promise<void> {
  const gone = await sql<{ id: string }>`
    delete from stream where id = ${stream.id} and cursor_seq = ${stream.cursorSeq} returning id`.execute(db);
  if (gone.rows.length === 0) throw superseded(state.id);
}

/** A longer window was tried in vain: the trial ends, and the delta stream waits longer for the next. */
export async function endTrial(db: Db, state: SourceState, trial: Stream, delta: Stream): Promise<void> {
  await dropStream(db, state, trial);
  await sql`update stream set failed_trials = failed_trials + 1 where id = ${delta.id}`.execute(db);
}

/**
 * Locks the source's row for this transaction and proves that configuration and lease are those the reading started
 * from. Throws `ingest.superseded`.
 */
export async function lockForCommit(db: Db, state: SourceState, fence: string): Promise<void> {
  const found = await sql<{ id: string }>`
    select s.id from source s join lease l on l.name = ${`source:${state.id}`}
    where s.id = ${state.id} and s.epoch = ${state.epoch} and l.fence = ${fence} for update of s`.execute(db);
  if (found.rows.length === 0) throw superseded(state.id);
}

/** Moves the stream's cursor inside the transaction that stores what it covers. Throws `ingest.superseded`. */
export async function moveCursor(db: Db, state: SourceState, stream: Stream, cursor: string): Promise<void> {
  const found = await sql<{ id: string }>`
    update stream set cursor = ${cursor}, cursor_seq = cursor_seq + 1
    where id = ${stream.id} and cursor_seq = ${stream.cursorSeq} returning id`.execute(db);
  if (found.rows.length === 0) throw superseded(state.id);
}

/**
 * A full reading has ended: what lies in its window and was not seen in its round becomes stale, to be confirmed singly,
 * and the stream takes over as the delta stream. Returns how many were not seen.
 */
export async function endFullReading(db: Db, state: SourceState, stream: Stream): Promise<number> {
  const unseen = await sql<{ key: string }>`
    insert into stale_series (source_id, key, why, version, since)
    select source_id, key, 'removed', 1, now() from claim
    where source_id = ${state.id} and round < ${stream.round}
      and (last_end is null or last_end > ${stream.window.from}::timestamptz)
      and (first_start is null or first_start < ${stream.window.to}::timestamptz)
    on conflict (source_id, key) do nothing
    returning key`.execute(db);
  await sql`delete from stream where source_id = ${state.id} and kind = 'delta'`.execute(db);
  await sql`update stream set kind = 'delta', finished_at = now() where id = ${stream.id}`.execute(db);
  return unseen.rows.length;
}

export interface StaleSeries {
  readonly key: string;
  readonly version: string;
  readonly failures: number;
}

export async function dueStale(db: Db, sourceId: string, limit: number): Promise<StaleSeries[]> {
  const found = await sql<StaleSeries>`
    select key, version::text, failures from stale_series
    where source_id = ${sourceId} and (not_before is null or not_before <= now())
    order by failures, why = 'stray', since, key limit ${limit}`.execute(db);
  return found.rows;
}

/**
 * Marks series to be rebuilt. A removal of what we do not have says nothing, unless it names an occurrence: then it says
 * that the series has changed. What is told again is tried again at once.
 */
export async function markStale(
  db: Db,
  sourceId: string,
  stale: readonly { readonly key: string; readonly why: string }[],
): Promise<void> {
  if (stale.length === 0) return;
  const removed = stale.filter(({ why }) => why === 'removed').map(({ key }) => memberHash(key));
  await sql`
    insert into stale_series (source_id, key, why, version, since)
    select ${sourceId}, key, min(why), 1, now() from (
      select r.key, r.why from jsonb_to_recordset(${JSON.stringify(stale)}::jsonb) as r(key text, why text)
      where r.why <> 'removed' or exists (select from claim c where c.source_id = ${sourceId} and c.key = r.key)
        or exists (select from stale_series x where x.source_id = ${sourceId} and x.key = r.key)
      union all
      select c.key, 'member' from claim c
      where c.source_id = ${sourceId} and c.members && ${removed}::bigint[] and c.members <> '{}') as told
    group by key
    on conflict (source_id, key) do update
      set version = stale_series.version + 1, why = excluded.why, not_before = null`.execute(db);
}

/**
 * Takes series of which only a version is told for seen in this round where it is the version that we have. Returns
 * their keys.
 */
export async function seeUnchanged(
  db: Db,
  sourceId: string,
  told: readonly { readonly key: string; readonly version: string }[],
  round: string,
): Promise<Set<string>> {
  if (told.length === 0) return new Set();
  const seen = await sql<{ key: string }>`
    update claim c set round = greatest(c.round, ${round}), read_at = now()
    from jsonb_to_recordset(${JSON.stringify(told)}::jsonb) as r(key text, version text)
    where c.source_id = ${sourceId} and c.key = r.key and c.version = r.version and c.state = 'shown'
    returning c.key`.execute(db);
  return new Set(seen.rows.map(({ key }) => key));
}

/** Done with it, unless it was marked again meanwhile. */
export async function clearStale(db: Db, sourceId: string, stale: StaleSeries): Promise<void> {
  await sql`delete from stale_series where source_id = ${sourceId} and key = ${stale.key} and version = ${stale.version}`.execute(
    db,
  );
}

export async function postponeStale(
  db: Db,
  sourceId: string,
  stale: StaleSeries,
  failure: { code: string; reason: string; afterMs: number },
): Promise<void> {
  await sql`
    update stale_series set failures = failures + 1, code = ${failure.code}, reason = ${failure.reason},
      not_before = now() + ${failure.afterMs} * interval '1 millisecond'
    where source_id = ${sourceId} and key = ${stale.key} and version = ${stale.version}`.execute(db);
}

const isCurrent = (state: SourceState, fence: string) =>
  sql`s.id = ${state.id} and s.epoch = ${state.epoch}
    and exists (select from lease l where l.name = ${`source:${state.id}`} and l.fence = ${fence})`;

/** How one reading went. */
export interface ReadingSummary {
  readonly durationMs: number;
  readonly counts: Readonly<Record<string, number>>;
}

const readingDone = (state: SourceState, nextPollMs: number, { durationMs, counts }: ReadingSummary) =>
  sql`last_reading = ${JSON.stringify({ durationMs, ...counts })}::jsonb || jsonb_build_object('at', to_char(
      now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), done_version = greatest(s.done_version, ${state.wantedVersion}), failures = 0, not_before = null,
    paused_code = null, paused_reason = null, remedy = null, fresh_at = now(),
    slowed = case when s.slowed_at < now() - interval '10 minutes' then greatest(s.slowed - 1, 0) else s.slowed end,
    next_poll_at = least(now() + ${nextPollMs} * interval '1 millisecond', (
      select n.at + ${followUp} from told n where n.source_id = s.id and n.at + ${followUp} > now()))`;

/** How long after a notification changes that lag behind it are asked for. */
const followUp = sql.raw(`interval '10 seconds'`);

/** What was told by the time the run began is dealt with once `done` has a row; what came since waits from then on. */
const toldDone = (state: SourceState) => sql`
  dealt as (
    update told set done_version = ${state.toldVersion},
      since = case when version > ${state.toldVersion} then ${state.loadedAt}::timestamptz else since end
    where source_id = ${state.id} and done_version < ${state.toldVersion} and exists (select from done))`;

/** Of `source s` once its run has ended: whether something was wanted or told while it ran. */
const hasMore = (state: SourceState) => sql`
  s.wanted_version > ${state.wantedVersion} or exists (
    select from told n where n.source_id = s.id and n.version > ${state.toldVersion})`;

/** What a poll found may have changed a little before it was told. */
const toldLately = sql.raw(
  `exists (select from told n where n.source_id = s.id and n.at > now() - interval '5 minutes')`,
);

/**
 * A run ended well: what was wanted and told when it began is done. `isUntold`: it found changes that nobody had told.
 * True: something came meanwhile.
 */
export async function recordReading(
  db: Db,
  state: SourceState,
  fence: string,
  {
    nextPollMs,
    isUntold,
    summary,
  }: { readonly nextPollMs: number; readonly isUntold: boolean; readonly summary: ReadingSummary },
): Promise<boolean> {
  const found = await sql<{ hasMore: boolean }>`
    with done as (
      update source s set ${readingDone(state, nextPollMs, summary)},
        push_missed_at = case when ${isUntold} and not ${toldLately} then now() else s.push_missed_at end
      where ${isCurrent(state, fence)}
      returning ${hasMore(state)} as "hasMore"),
    ${toldDone(state)}
    select "hasMore" from done`.execute(db);
  return found.rows[0]?.hasMore ?? false;
}

/**
 * Commits a last page that tells nothing, in one statement: moves the cursor and, where no series is stale and no removal
 * waits for the guard, ends the run (`isDone`). `hasMore`: something came meanwhile. Throws `ingest.superseded`.
 */
export async function recordIdlePoll(
  db: Db,
  state: SourceState,
  fence: string,
  stream: Stream,
  cursor: string,
  nextPollMs: number,
  summary: ReadingSummary,
): Promise<{ readonly isDone: boolean; readonly hasMore: boolean }> {
  const found = await sql<{ hasMoved: boolean; isDone: boolean; hasMore: boolean }>`
    with current as (select s.id from source s where ${isCurrent(state, fence)} for update),
    moved as (
      update stream set cursor = ${cursor}, cursor_seq = cursor_seq + 1 from current
      where stream.id = ${stream.id} and stream.cursor_seq = ${stream.cursorSeq} returning stream.id),
    done as (
      update source s set ${readingDone(state, nextPollMs, summary)} from moved
      where s.id = ${state.id}
        and not exists (select from stale_series x where x.source_id = ${state.id} and (x.not_before is null or x.not_before <= now()))
        and not exists (select from claim c where c.source_id = ${state.id} and c.state = 'pending')
      returning ${hasMore(state)} as "hasMore"),
    ${toldDone(state)}
    select exists (select from moved) as "hasMoved", exists (select from done) as "isDone",
      exists (select from done where "hasMore") as "hasMore"`.execute(db);
  const row = found.rows[0];
  if (row?.hasMoved !== true) throw superseded(state.id);
  return row;
}

/** Thirty-two times slower is slow enough. */
const mostSlowed = 5;

/**
 * A run failed: not again before `afterMs`; for the operator, with code, reason and remedy. Something that was wanted
 * since the run began (a new secret was applied, say) may have mended what needed the operator: then it is tried at once.
 */
export async function recordFailure(
  db: Db,
  state: SourceState,
  fence: string,
  failure: {
    afterMs: number;
    paused: { code: string; reason: string; remedy: string } | null;
    /** The source asked us to slow down: its polls come half as often, for some time. */
    isThrottled: boolean;
  },
): Promise<void> {
  await sql`
    update source s set failures = failures + 1,
      slowed = least(${mostSlowed}::int, slowed + ${failure.isThrottled ? 1 : 0}::int),
      slowed_at = case when ${failure.isThrottled} then now() else slowed_at end,
      not_before = case when ${failure.paused !== null} and wanted_version > ${state.wantedVersion} then null
        else now() + ${failure.afterMs} * interval '1 millisecond' end,
      paused_code = ${failure.paused?.code ?? null}, paused_reason = ${failure.paused?.reason ?? null},
      remedy = ${failure.paused?.remedy ?? null}
    where ${isCurrent(state, fence)}`.execute(db);
}
