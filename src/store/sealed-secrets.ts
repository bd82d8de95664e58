import { sql } from 'kysely';
import { SyncError } from '../shared/errors.ts';
import type { SecretBox } from '../shared/secret-box.ts';
import type { Db } from './database.ts';

/** A column of sealed secrets: its table's key, and the context that each was sealed for. */
interface SealedColumn {
  readonly table: string;
  readonly column: string;
  readonly key: readonly string[];
  readonly context: (...key: string[]) => string;
}

/** Every column whose name ends with `_sealed` and that lives longer than an hour; a test proves that none is missing. */
export const sealedColumns: readonly SealedColumn[] = [
  { table: 'tenant', column: 'secret_sealed', key: ['id'], context: (id) => `tenant:${id}:secret` },
  { table: 'tenant', column: 'private_key_sealed', key: ['id'], context: (id) => `tenant:${id}:private-key` },
  { table: 'target', column: 'password_sealed', key: ['id'], context: (id) => `target:${id}:password` },
  { table: 'source', column: 'secret_sealed', key: ['id'], context: (id) => `source:${id}:secret` },
  {
    table: 'sign_in',
    column: 'cache_sealed',
    key: ['tenant_id', 'mailbox'],
    context: (tenant, mailbox) => `sign-in:${tenant}:${mailbox}`,
  },
];

export interface Rotation {
  readonly sealed: number;
  /** Contexts of those that no key of ours opens. */
  readonly unreadable: readonly string[];
}

/**
 * Seals every secret that was sealed with a former key with the present one, each on its own: cut off, it goes on where
 * it was. A secret that somebody changes meanwhile is left as it then is. `onProgress` is told after each.
 */
export async function resealSecrets(
  db: Db,
  box: SecretBox,
  onProgress: (done: number, all: number) => void,
): Promise<Rotation> {
  const outdated = (await Promise.all(sealedColumns.map((column) => outdatedIn(db, box, column)))).flat();
  const unreadable: string[] = [];
  let sealed = 0;
  for (const [index, secret] of outdated.entries()) {
    const opened = tryOpen(box, secret.value, secret.context);
    if (opened === null) unreadable.push(secret.context);
    else sealed += await replace(db, secret, box.seal(opened, secret.context));
    onProgress(index + 1, outdated.length);
  }
  return { sealed, unreadable };
}

/** Ids of the keys that stored secrets were sealed with, the most used first. */
export async function sealingKeys(db: Db): Promise<{ readonly key: string; readonly count: number }[]> {
  const all = sealedColumns.map(
    ({ table, column }) => sql`select split_part(${sql.ref(column)}, '.', 2) as key from ${sql.table(table)}
      where ${sql.ref(column)} is not null`,
  );
  const found = await sql<{ key: string; count: number }>`
    select key, count(*)::int as count from (${sql.join(all, sql` union all `)}) s group by key order by 2 desc, 1`.execute(
    db,
  );
  return found.rows;
}

interface OutdatedSecret extends Omit<SealedColumn, 'context'> {
  /** Of its key. */
  readonly values: readonly string[];
  readonly value: string;
  readonly context: string;
}

async function outdatedIn(db: Db, box: SecretBox, column: SealedColumn): Promise<OutdatedSecret[]> {
  const value = sql.ref(column.column);
  const found = await sql<{ keys: string[]; value: string }>`
    select json_build_array(${sql.join(column.key.map((name) => sql.ref(name)))}) as keys, ${value} as value
    from ${sql.table(column.table)} where ${value} is not null and split_part(${value}, '.', 2) <> ${box.currentKeyId}
    order by ${sql.join(column.key.map((name) => sql.ref(name)))}`.execute(db);
  return found.rows.map((row) => ({
    ...column,
    values: row.keys,
    value: row.value,
    context: column.context(...row.keys),
  }));
}

async function replace(db: Db, secret: OutdatedSecret, sealed: string): Promise<number> {
  const column = sql.ref(secret.column);
  const which = secret.key.map((name, index) => sql`${sql.ref(name)} = ${secret.values[index] ?? ''}`);
  const done = await sql`
    update ${sql.table(secret.table)} set ${column} = ${sealed}
    where ${sql.join(which, sql` and `)} and ${column} = ${secret.value}`.execute(db);
  return Number(done.numAffectedRows ?? 0n);
}

function tryOpen(box: SecretBox, value: string, context: string): string | null {
  try {
    return box.open(value, context);
  } catch (thrown) {
    if (thrown instanceof SyncError && thrown.code === 'secret.unreadable') return null;
    throw thrown;
  }
}
