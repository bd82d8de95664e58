import { Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { sql, type Kysely } from 'kysely';
import { SyncError } from '../shared/errors.ts';
import { entities } from './entities.ts';
import { Initial } from './migrations/20261122-initial.ts';

/** A connection pool, or the transaction in which it stands. Statements carry bound parameters, never inlined values. */
// The rows are typed where they are read: each repository states the columns that it asks for.
export type Db = Kysely<Record<string, never>>;

export interface Store {
  readonly db: Db;
  /** Runs `work` in one transaction; a deadlock or serialisation failure is tried again, at most three times. */
  transaction<T>(work: (db: Db) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Connects, waits for a starting server (at most `waitMs`), and brings the schema up to date. */
export async function openStore(url: string, options: { poolSize?: number; waitMs?: number } = {}): Promise<Store> {
  const orm = await MikroORM.init({
    entities,
    clientUrl: url,
    pool: { min: 0, max: options.poolSize ?? 10 },
    extensions: [Migrator],
    migrations: { migrationsList: [Initial], tableName: 'migration', snapshot: false, silent: true },
    // Repositories take their own forks; the global context is never used for rows.
    allowGlobalContext: true,
    discovery: { warnWhenNoEntities: false },
    logger: () => undefined,
  });
  const db = orm.em.getKysely<Record<string, never>>();
  try {
    await waitUntilItAnswers(db, options.waitMs ?? 0);
    await migrate(orm, db);
  } catch (cause) {
    await orm.close(true);
    throw cause;
  }

  return {
    db,
    async transaction(work) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await orm.em.fork().transactional((em) => work(em.getKysely() as unknown as Db));
        } catch (error) {
          if (attempt === 3 || !isSerialisationFailure(error)) throw error;
        }
      }
    },
    close: () => orm.close(true),
  };
}

async function waitUntilItAnswers(db: Db, waitMs: number): Promise<void> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      await sql`select 1`.execute(db);
      return;
    } catch (cause) {
      if (Date.now() >= deadline)
        throw new SyncError(`PostgreSQL does not answer: ${cause instanceof Error ? cause.message : String(cause)}`, {
          code: 'store.unreachable',
          field: 'DATABASE_URL',
          recovery: {
            kind: 'operator',
            remedy: 'Check that the server runs and that DATABASE_URL names it, its user and its password.',
          },
          cause,
        });
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

const migrationLock = 727_001;

/** Several processes may start at once: one migrates, the others wait and find nothing to do. */
async function migrate(orm: { readonly migrator: { up(): Promise<unknown> } }, db: Db): Promise<void> {
  await db.connection().execute(async (connection) => {
    await sql`select pg_advisory_lock(${migrationLock})`.execute(connection);
    try {
      await orm.migrator.up();
    } finally {
      await sql`select pg_advisory_unlock(${migrationLock})`.execute(connection);
    }
  });
}

function isSerialisationFailure(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  const cause = (error as { cause?: { code?: unknown } } | null)?.cause?.code;
  return [code, cause].some((value) => value === '40P01' || value === '40001');
}

/** Reads or mints what names this installation: the suffix of every UID that we write. */
export async function instanceOf(db: Db, mint: () => string): Promise<string> {
  await sql`insert into setting (name, value) values ('instance', ${mint()}) on conflict do nothing`.execute(db);
  const found = await sql<{ value: string }>`select value from setting where name = 'instance'`.execute(db);
  return found.rows[0]?.value ?? mint();
}
