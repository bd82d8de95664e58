import { sql } from 'kysely';
import { SyncError } from '../shared/errors.ts';
import { markMeetingsDirty } from './claims.ts';
import type { Db } from './database.ts';
import { recordAudit, recordHistory } from './history.ts';

/** A meeting of which the operator has said whose copy shows. */
export interface Pin {
  readonly target: string;
  /** The UID that the target shows. */
  readonly uid: string;
  readonly title: string | null;
  readonly source: string;
  /** Whose copy shows now: another one while the pinned source has none to show. */
  readonly shownBy: string | null;
}

export interface PinChange {
  readonly target: string;
  readonly uid: string;
  /** Null: nothing is pinned now. */
  readonly source: string | null;
  readonly before: string | null;
}

export async function listPins(db: Db): Promise<Pin[]> {
  const found = await sql<Pin>`
    select m.target_id as target, m.uid, c.series->'main'->>'summary' as title, m.pinned_source_id as source,
      m.shown_source_id as "shownBy"
    from meeting m left join claim c on c.id = m.shown_claim_id
    where m.pinned_source_id is not null order by m.target_id, m.uid`.execute(db);
  return found.rows;
}

interface Pinnable {
  readonly id: string;
  readonly target: string;
  readonly uid: string;
  readonly slot: string;
  readonly pinned: string | null;
  /** Sources that have a copy of it to show. */
  readonly sources: readonly string[];
}

/**
 * Lets one source's copy of a meeting show whatever else would decide; with null, what else decides does again. `which`
 * is the UID that the target shows, or a source's iCalUId or id where that names one meeting only. A pin stays when its
 * source has no copy for a while. Inside the caller's transaction. Throws `pin.*`.
 */
export async function setPin(db: Db, which: string, source: string | null, actor: string): Promise<PinChange> {
  const meeting = await findPinnable(db, which.trim());
  if (source !== null && !meeting.sources.includes(source)) throw noCopy(meeting, source);
  const change: PinChange = { target: meeting.target, uid: meeting.uid, source, before: meeting.pinned };
  if (source === meeting.pinned) return change;
  await sql`update meeting set pinned_source_id = ${source} where id = ${meeting.id}`.execute(db);
  await markMeetingsDirty(db, meeting.target, { identities: [], ids: [meeting.id] });
  const action = source === null ? 'unpin' : 'pin';
  await recordAudit(db, {
    actor,
    action: `meeting.${action}`,
    subject: `${meeting.target}/${meeting.uid}`,
    detail: { source, before: meeting.pinned },
  });
  await recordHistory(db, {
    status: 'ok',
    action,
    targetId: meeting.target,
    meetingId: meeting.id,
    uid: meeting.uid,
    ...(source === null ? {} : { sourceId: source }),
    message: source === null ? 'the rules decide again whose copy shows' : `${source} is pinned by the operator`,
  });
  return change;
}

async function findPinnable(db: Db, which: string): Promise<Pinnable> {
  const found = await sql<Pinnable>`
    select m.id::text, m.target_id as target, m.uid, m.slot, m.pinned_source_id as pinned,
      coalesce((select jsonb_agg(distinct c.source_id) from claim c join source s on s.id = c.source_id
        where c.meeting_id = m.id and c.series is not null), '[]') as sources
    from meeting m where not starts_with(m.identity, 'merged|') and (m.uid = ${which} or m.id in (
      select meeting_id from claim where key = ${which} or uid = ${which}
      union select meeting_id from object where uid = ${which} or href = ${which}))
    order by m.target_id, m.id limit 20 for update of m`.execute(db);
  const exact = found.rows.filter(({ uid }) => uid === which);
  const meetings = exact.length > 0 ? exact : found.rows;
  const [first, ...others] = meetings;
  if (first === undefined)
    throw new SyncError(`No meeting is known by "${which}"`, {
      code: 'pin.unknown_meeting',
      field: 'uid',
      recovery: { kind: 'operator', remedy: 'Take the uid that "calendar-sync explain <title>" tells.' },
    });
  if (others.length > 0)
    throw new SyncError(`"${which}" names ${meetings.length} meetings`, {
      code: 'pin.ambiguous',
      field: 'uid',
      recovery: {
        kind: 'operator',
        remedy: `Name one of them: ${meetings.map(({ uid, target, slot }) => `${uid} (${target}${slot === '*' ? '' : `, the date ${slot}`})`).join(', ')}.`,
      },
    });
  return first;
}

function noCopy({ sources }: Pinnable, source: string): SyncError {
  return new SyncError(`${source} has no copy of this meeting that may show`, {
    code: 'pin.no_copy',
    field: 'source',
    recovery: {
      kind: 'operator',
      remedy: sources.length === 0 ? 'No source has one now.' : `Choose one of: ${sources.join(', ')}.`,
    },
  });
}
