import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { blankEntry, singleSeries } from '../calendar/blank.ts';
import { markMeetingsDirty, upsertClaims, type StorableClaim } from './claims.ts';
import type { Db } from './database.ts';
import { statusSourcePrefix } from './meetings.ts';
import { loadSource } from './sources.ts';

/** An all-day entry in a person's calendar that says that a source is out of date. */
export interface StatusEntry {
  readonly sourceId: string;
  readonly summary: string;
  readonly description: string;
  /** Dates; the last day is one that it covers. */
  readonly firstDay: string;
  readonly lastDay: string;
}

const key = 'status';

/**
 * Makes the status entries those that are wanted, inside the caller's transaction: claims of their own beside the
 * source's, which delivery writes and deletes like any other. Gives the targets where something changed.
 */
export async function keepStatusEntries(
  db: Db,
  wanted: readonly StatusEntry[],
  instance: string,
): Promise<ReadonlySet<string>> {
  const targets = new Set<string>();
  for (const entry of wanted) {
    const source = await loadSource(db, entry.sourceId);
    if (source === null) continue;
    const state = { ...source, id: statusSourcePrefix + source.id, dedupe: 'off' as const };
    if ((await upsertClaims(db, state, [claimOf(entry)], { round: '0', instance })) > 0) targets.add(source.targetId);
  }
  const kept = wanted.map(({ sourceId }) => statusSourcePrefix + sourceId);
  const gone = await sql<{ meetingId: string | null; targetId: string | null }>`
    with gone as (
      delete from claim where starts_with(source_id, ${statusSourcePrefix}) and not source_id = any(${kept}::text[])
      returning meeting_id)
    select g.meeting_id::text as "meetingId", m.target_id as "targetId" from gone g join meeting m on m.id = g.meeting_id`.execute(
    db,
  );
  for (const { meetingId, targetId } of gone.rows) {
    if (meetingId === null || targetId === null) continue;
    await markMeetingsDirty(db, targetId, { identities: [], ids: [meetingId] });
    targets.add(targetId);
  }
  return targets;
}

function claimOf({ summary, description, firstDay, lastDay }: StatusEntry): StorableClaim {
  const end = new Date(Date.parse(lastDay) + 86_400_000).toISOString().slice(0, 10);
  const series = singleSeries({
    ...blankEntry({ kind: 'date', date: firstDay }, { kind: 'date', date: end }),
    summary,
    description,
    showAs: 'free',
  });
  return {
    key,
    version: null,
    uid: null,
    slot: '*',
    series,
    hiddenBy: null,
    detail: 'full',
    lastModifiedAt: null,
    firstStart: `${firstDay}T00:00:00Z`,
    lastEnd: `${end}T00:00:00Z`,
    check: null,
    members: [],
    content: createHash('sha256').update(JSON.stringify(series)).digest('base64url'),
  };
}
