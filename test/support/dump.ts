import { sql } from 'kysely';
import type { Db } from '../../src/store/database.ts';

/** Everything in the database, row by row as JSON text, by table: queues and whatever else is there included. */
export async function dumpOf(db: Db): Promise<ReadonlyMap<string, readonly string[]>> {
  const tables = await sql<{ schema: string; name: string }>`
    select table_schema as schema, table_name as name from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') order by 1, 2`.execute(
    db,
  );
  const dump = new Map<string, readonly string[]>();
  for (const { schema, name } of tables.rows) {
    const rows = await sql<{ row: string }>`select to_jsonb(t)::text as row from ${sql.id(schema, name)} t`.execute(db);
    dump.set(
      `${schema}.${name}`,
      rows.rows.map(({ row }) => row),
    );
  }
  return dump;
}

/** Which of these words stand where, as `table: word`. */
export async function wordsIn(db: Db, words: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const [table, rows] of await dumpOf(db))
    for (const word of words) if (rows.some((row) => row.includes(word))) found.push(`${table}: ${word}`);
  return found;
}
