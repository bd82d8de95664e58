import { sql } from 'kysely';
import type { Db } from './database.ts';

/** The calendar that a source was found to be. */
export interface SourceCalendar {
  /** What the configuration called it then. */
  readonly wanted: string;
  readonly id: string;
  readonly name: string;
  readonly owner: string | null;
}

/** Null: none was found yet. */
export async function loadSourceCalendar(db: Db, sourceId: string): Promise<SourceCalendar | null> {
  const found = await sql<SourceCalendar>`
    select wanted, calendar_id as id, name, owner from source_calendar where source_id = ${sourceId}`.execute(db);
  return found.rows[0] ?? null;
}

/** Nothing, where the source is being removed. */
export async function saveSourceCalendar(
  db: Db,
  sourceId: string,
  {
    wanted,
    id,
    name,
    owner,
    isOwn,
    color,
  }: SourceCalendar & { readonly isOwn: boolean; readonly color: string | null },
): Promise<void> {
  await sql`
    insert into source_calendar (source_id, wanted, calendar_id, name, owner, is_own, color, seen_at)
    select id, ${wanted}, ${id}, ${name}, ${owner}, ${isOwn}, ${color}, now() from source where id = ${sourceId}
    on conflict (source_id) do update set wanted = excluded.wanted, calendar_id = excluded.calendar_id,
      name = excluded.name, owner = excluded.owner, is_own = excluded.is_own, color = excluded.color,
      seen_at = excluded.seen_at`.execute(db);
}
