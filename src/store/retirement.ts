/** What a predecessor's entries are replaced by, and where they are kept when they go. */
import { sql } from 'kysely';
import type { Privacy, PrivateItems } from '../calendar/privacy.ts';
import type { Db } from './database.ts';
import { createMeetings } from './identities.ts';

/** A meeting of ours that stands in the target. */
export interface Replacement {
  readonly uid: string;
  readonly sourceId: string;
  readonly privacy: Privacy;
  readonly privateItems: PrivateItems;
}

interface Wanted {
  /** The caller's name for it. */
  readonly id: string;
  /** Its id at its source. */
  readonly key: string | null;
  /** Its iCalendar UID, cleaned. */
  readonly uid: string | null;
  /** Instant of its first start, and its title: where no id says what it is. */
  readonly startsAt: string | null;
  readonly title: string | null;
}

/**
 * For each of these what replaces it: a meeting of ours that stands in the target and shows a claim with the same id at
 * its source, with the same UID, or beginning at the same instant under the same title.
 */
export async function replacementsOf(
  db: Db,
  targetId: string,
  wanted: readonly Wanted[],
): Promise<Map<string, Replacement & { readonly by: 'id' | 'uid' | 'start and title' }>> {
  const found = await sql<Replacement & { id: string; by: 'id' | 'uid' | 'start and title' }>`
    with r as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) as r(id text, key text, uid text,
        "startsAt" timestamptz, title text)),
    found as (
      select r.id, c.id as claim_id, 'id' as by, 1 as rank from r join claim c on c.key = r.key
      union all
      select r.id, c.id, 'uid', 2 from r join claim c on c.uid = r.uid
      union all
      select r.id, c.id, 'start and title', 3 from r join claim c on c.first_start = r."startsAt"
        and c.detail <> 'busy' and c.series->'main'->>'summary' = r.title)
    select distinct on (f.id) f.id, f.by, m.uid, s.id as "sourceId", s.settings->>'privacy' as privacy,
      s.settings->>'privateItems' as "privateItems"
    from found f join claim c on c.id = f.claim_id join source s on s.id = c.source_id and s.target_id = ${targetId}
      join meeting m on m.id = c.meeting_id and m.target_id = ${targetId}
    where m.wanted_version <= m.done_version
      and (exists (select from object o where o.meeting_id = m.id) or m.why like 'covered by%')
    order by f.id, f.rank, f.claim_id`.execute(db);
  return new Map(found.rows.map(({ id, ...rest }) => [id, rest]));
}

/** The strictest privacy of what goes into a target: for entries of which nobody knows whose they are. */
export async function strictestPrivacy(
  db: Db,
  targetId: string,
): Promise<{ readonly privacy: Privacy; readonly privateItems: PrivateItems }> {
  const found = await sql<{ privacy: Privacy; privateItems: PrivateItems }>`
    select settings->>'privacy' as privacy, settings->>'privateItems' as "privateItems" from source
    where target_id = ${targetId}`.execute(db);
  const order = ['full', 'title', 'busy', 'skip'];
  const last = <T extends string>(values: readonly T[], none: T): T =>
    values.toSorted((a, b) => order.indexOf(a) - order.indexOf(b)).at(-1) ?? none;
  return {
    privacy: last(
      found.rows.map((row) => row.privacy),
      'full',
    ),
    privateItems: last(
      found.rows.map((row) => row.privateItems),
      'full',
    ),
  };
}

/** A meeting to which a retired entry belongs from now on, so that it can be taken out of the trash again. */
export async function meetingOfRetired(
  db: Db,
  targetId: string,
  href: string,
): Promise<{ readonly id: string; readonly uid: string }> {
  const identity = `retired|${href}`;
  const instance = await sql<{ value: string }>`select value from setting where name = 'instance'`.execute(db);
  await createMeetings(db, targetId, [{ identity, identityUid: null, slot: '*' }], instance.rows[0]?.value ?? '');
  const found = await sql<{ id: string; uid: string }>`
    select id::text, uid from meeting where target_id = ${targetId} and identity = ${identity}`.execute(db);
  const row = found.rows[0];
  if (row === undefined) throw new Error('The meeting was just made');
  return row;
}
