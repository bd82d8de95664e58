import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beat, type Channel } from '../alarms/channels.ts';
import { findAlarms, staleOf, type AlarmFacts } from '../alarms/find-alarms.ts';
import type { Notice } from '../alarms/notice.ts';
import { backoffMs } from '../shared/backoff.ts';
import { toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import { bookAlarms, dueNotices, readAlarmFacts, recordSent } from '../store/alarms.ts';
import type { Store } from '../store/database.ts';
import { keepStatusEntries, type StatusEntry } from '../store/status-entries.ts';
import { every, type Repetition } from './every.ts';
import { withLease } from './with-lease.ts';

export interface AlarmDeps {
  readonly store: Store;
  readonly log: Log;
  readonly random: () => number;
  readonly holder: string;
  readonly instance: string;
  readonly channels: readonly Channel[];
  /** Asked for while everything is fresh; null: nowhere. */
  readonly heartbeatUrl: string | null;
  readonly fetch: typeof fetch;
  /** A source may be so long without proof that what shows is true. */
  readonly staleAfterSeconds: number;
  /** Whether a person's calendar says which source is out of date. */
  readonly hasStatusEntries: boolean;
  /** Where backups go, and whether the operator named it. */
  readonly backups: { readonly folder: string; readonly isNamed: boolean };
  /** Hints that a target has something to show. */
  readonly hint: (targetId: string) => void;
}

export interface AlarmKeeper {
  /** Looks at everything once and tells what is to be told. False: another process does. */
  keep(): Promise<boolean>;
  start(): void;
  stop(): Promise<void>;
}

const keepEveryMs = 10_000;
const beatEveryMs = 60_000;
const longestWaitMs = 30 * 60_000;
const dayMs = 86_400_000;

/**
 * Silence is an alarm: looks every few seconds for what an operator should know of, under one lease for all processes,
 * and tells it once on each channel, and once more when it is over. Both are written down before they are told, so that
 * a restart repeats nothing but what nobody has taken.
 */
export function alarmKeeper(deps: AlarmDeps): AlarmKeeper {
  const { store, log } = deps;
  const stopping = new AbortController();
  let repetition: Repetition | null = null;
  let keeping: Promise<boolean> | null = null;
  let beatAt = -Infinity;
  let isBeating = true;

  const tellAll = async (channel: Channel): Promise<void> => {
    const due = await dueNotices(store.db, channel.name);
    if (due.length === 0) return;
    const ids = due.map(({ id }) => id);
    try {
      await channel.send(due.map(({ alarm, at }): Notice => ({ what: alarm.what, alarm, at })));
      await recordSent(store.db, ids, null);
      log.event('alarm.told', { channel: channel.name, count: due.length });
    } catch (thrown) {
      const reason = toSyncError(thrown).message;
      const attempts = Math.max(...due.map((notice) => notice.attempts));
      const afterMs = backoffMs(attempts + 1, deps.random(), 5_000, longestWaitMs);
      await recordSent(store.db, ids, { reason, afterMs });
      log.event('alarm.not_told', { channel: channel.name, count: due.length, reason });
    }
  };

  const sendBeat = async (isFresh: boolean): Promise<void> => {
    if (deps.heartbeatUrl === null || !isFresh || performance.now() - beatAt < beatEveryMs) return;
    try {
      await beat(deps.heartbeatUrl, deps);
      beatAt = performance.now();
      isBeating = true;
    } catch (thrown) {
      if (isBeating)
        log.event('alarm.not_told', { channel: 'heartbeat', count: 1, reason: toSyncError(thrown).message });
      isBeating = false;
    }
  };

  const keepOnce = async (): Promise<void> => {
    const records = await readAlarmFacts(store.db, deps.staleAfterSeconds);
    const facts: AlarmFacts = { ...records, backup: newestBackup(deps.backups) };
    const alarms = findAlarms(facts);
    const stale = staleOf(facts);
    const entries = deps.hasStatusEntries ? stale.map((source) => entryOf(source, facts.now)) : [];
    const { changes, targets } = await store.transaction(async (db) => ({
      changes: await bookAlarms(
        db,
        alarms,
        deps.channels.map(({ name }) => name),
      ),
      targets: await keepStatusEntries(db, entries, deps.instance),
    }));
    for (const { what, kind, subject } of changes)
      if (what === 'raised') log.event('alarm.raised', { kind, subject });
      else log.event('alarm.cleared', { kind, subject });
    for (const target of targets) deps.hint(target);
    await Promise.all([...deps.channels.map(tellAll), sendBeat(stale.length === 0)]);
  };

  const keep = (): Promise<boolean> => {
    keeping ??= withLease(store.db, 'alarms', deps.holder, stopping.signal, keepOnce)
      .then((held) => held !== null)
      .finally(() => (keeping = null));
    return keeping;
  };
  const keepQuietly = async (): Promise<void> => {
    await keep().catch((thrown: unknown) => {
      if (!stopping.signal.aborted)
        log.event('worker.failed', { kind: 'alarms', id: '', reason: toSyncError(thrown).message });
    });
  };
  return {
    keep,
    start() {
      repetition = every(keepEveryMs, keepQuietly);
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      await repetition?.stop();
      await keeping?.catch(() => undefined);
    },
  };
}

/** Covers today wherever the person is. */
function entryOf(source: ReturnType<typeof staleOf>[number], now: Date): StatusEntry {
  const name = source.tenantName ?? source.id;
  const day = (at: number): string => new Date(at).toISOString().slice(0, 10);
  const since = `${source.since.slice(0, 10)} ${source.since.slice(11, 16)} UTC`;
  return {
    sourceId: source.id,
    summary: `${name}: not updated since ${since}`,
    description: `What this calendar shows of ${name} (${source.id}) may be out of date: it could not be read since ${since}. This entry goes when it can be again.`,
    firstDay: day(Math.min(Date.parse(source.since), now.getTime())),
    lastDay: day(now.getTime() + dayMs),
  };
}

/** Null: backups are made nowhere that we know of. */
function newestBackup({ folder, isNamed }: AlarmDeps['backups']): AlarmFacts['backup'] {
  let newest = -Infinity;
  try {
    for (const name of readdirSync(folder))
      if (/^calendar-sync-.*\.tar\.gz(?:\.enc)?$/.test(name))
        newest = Math.max(newest, statSync(join(folder, name)).mtimeMs);
  } catch {
    // No folder, no backup.
  }
  if (newest === -Infinity) return isNamed ? { at: null, folder } : null;
  return { at: `${new Date(newest).toISOString().slice(0, 19)}Z`, folder };
}
