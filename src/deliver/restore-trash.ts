import { parseCalendar } from '../calendar/parse.ts';
import type { Series } from '../calendar/series.ts';
import { toInstant } from '../calendar/zones.ts';
import { SyncError } from '../shared/errors.ts';
import type { Db, Store } from '../store/database.ts';
import { recordAudit, recordHistory } from '../store/history.ts';
import { claimRestored, restorable, type Restored } from '../store/trash.ts';

/**
 * Takes a deleted meeting, with all objects that it had, out of the trash: it becomes the operator's claim, so that it
 * stays although no source has it; once a source has it again, the source's copy shows and the operator's claim ends.
 * Gives the target, how many objects come back, and the source that shows the meeting still: then its copy stands, and
 * what it left out (one date of a series that is written date by date, say) stays out while it does. Throws
 * `trash.not_restorable`.
 */
export async function restoreFromTrash(store: Store, id: string, actor: string): Promise<Restored> {
  const restored = await store.transaction((db) => restoreIn(db, id, actor));
  if (restored === null) throw notRestorable(id);
  return restored;
}

/** Of many: what a mistaken approval took away, say. */
export interface RestoredMany {
  readonly count: number;
  /** Ids of targets that have something to write. */
  readonly targets: readonly string[];
  /** Ids of entries that could not be restored. */
  readonly failed: readonly string[];
}

/** A hundred meetings are a transaction: a commit for each would take most of the time. */
const batchSize = 100;

/** `restoreFromTrash` for many entries of different meetings; one that cannot be restored keeps none of the others back. */
export async function restoreManyFromTrash(
  store: Store,
  ids: readonly string[],
  actor: string,
  onProgress: (done: number) => void = () => undefined,
): Promise<RestoredMany> {
  const targets = new Set<string>();
  const failed: string[] = [];
  for (let from = 0; from < ids.length; from += batchSize) {
    const batch = ids.slice(from, from + batchSize);
    const outcomes = await store.transaction(async (db) => {
      const results: (Restored | null)[] = [];
      for (const id of batch) results.push(await restoreIn(db, id, actor));
      return results;
    });
    for (const [index, restored] of outcomes.entries())
      if (restored === null) failed.push(batch[index] ?? '');
      else targets.add(restored.targetId);
    onProgress(from + batch.length);
  }
  return { count: ids.length - failed.length, targets: [...targets], failed };
}

/** Inside the caller's transaction. Null, and nothing written: it cannot be restored. */
async function restoreIn(db: Db, id: string, actor: string): Promise<Restored | null> {
  const entries = await restorable(db, id);
  const [first] = entries;
  const read = entries.map((entry) => ({ entry, series: readBack(entry.body) }));
  if (first === undefined || read.some(({ series }) => series === null)) return null;
  for (const { entry, series } of read)
    if (series !== null) await claimRestored(db, entry, series, spanOfRestored(series));
  const { targetId, meetingId, shownBy } = first;
  await recordAudit(db, { actor, action: 'trash.restore', subject: id, detail: { objects: entries.length } });
  await recordHistory(db, {
    status: 'ok',
    action: 'restore',
    targetId,
    meetingId,
    message: 'taken out of the trash',
  });
  return { targetId, objects: entries.length, shownBy };
}

function readBack(body: string): Series | null {
  const series = parseCalendar(body).resources[0]?.series[0];
  // The UID is our own, by which no source's copy is recognised: the claim belongs to the meeting itself.
  return series === undefined ? null : { ...series, uid: null, slot: '*' };
}

/** A series that repeats counts as endless here: it is only asked whether it may still happen. */
function spanOfRestored({ main, recurrence }: Series): { first: string; last: string | null } {
  const first = toInstant(main.start).toISOString();
  return { first, last: recurrence === null ? toInstant(main.end ?? main.start).toISOString() : null };
}

function notRestorable(id: string): SyncError {
  return new SyncError(`The trash has no entry ${id} that can be restored`, {
    code: 'trash.not_restorable',
    recovery: { kind: 'operator', remedy: 'See "calendar-sync trash list"; its calendar must still be configured.' },
  });
}
