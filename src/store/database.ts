import { setTimeout as pause } from 'node:timers/promises';
import { Kysely, PostgresDialect, sql, type PostgresPool, type PostgresPoolClient } from 'kysely';
import { Pool, TypeOverrides, type PoolConfig } from 'pg';
import { SyncError } from '../shared/errors.ts';
import { migrationNames } from './migrations.ts';
import { finishRestore } from './restored.ts';

/** A connection pool, or the transaction in which it stands. Statements carry bound parameters, never inlined values. */
// The rows are typed where they are read: each repository states the columns that it asks for.
export type Db = Kysely<Record<string, never>>;

export interface Store {
  readonly db: Db;
  /** Runs `work` in one transaction; a deadlock or serialisation failure is tried again, at most three times. */
  transaction<T>(work: (db: Db) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly poolSize?: number;
  /** How long to wait for a server that does not answer yet. */
  readonly waitMs?: number;
  /** Told once when waiting begins, with what the server's absence looks like. */
  readonly onWaiting?: (reason: string) => void;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

/** Connects, waits for a server that is still starting, and brings the schema up to date. Throws `store.*`. */
export async function openStore(url: string, options: StoreOptions = {}): Promise<Store> {
  const db = overPool(poolOf({ connectionString: url, max: options.poolSize ?? 10 }));
  try {
    await waitUntilItAnswers(db, options);
    await migrate(url, db);
  } catch (cause) {
    await db.destroy();
    throw cause;
  }

  return storeOver(db);
}

/**
 * A few connections apart from the store's, for what must be answered while those are all at work: their statements are
 * few and come again and again, so each connection has the server read and plan them once. A statement that takes longer
 * than `timeoutMs` is given up by the server.
 */
export function openReceiver(
  url: string,
  { size, timeoutMs }: { readonly size: number; readonly timeoutMs: number },
): Store {
  const pool = poolOf({
    connectionString: url,
    application_name: 'calendar-sync receiver',
    max: size,
    idleTimeoutMillis: 60_000,
    connectionTimeoutMillis: timeoutMs,
    statement_timeout: timeoutMs,
  });
  return storeOver(overPool(preparing(pool)));
}

function storeOver(db: Db): Store {
  return {
    db,
    async transaction(work) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await db.transaction().execute(work);
        } catch (error) {
          if (attempt === 3 || !isSerialisationFailure(error)) throw error;
        }
      }
    },
    close: () => db.destroy(),
  };
}

/** date, timestamp, timestamptz and interval as the server writes them: exact, and in no zone of ours. */
const readers = new TypeOverrides();
for (const oid of [1082, 1114, 1184, 1186]) readers.setTypeParser(oid, (text) => text);

function poolOf(config: PoolConfig): Pool {
  const pool = new Pool({ ...config, types: readers });
  // A connection that breaks while nobody uses it is replaced by the next one; whoever uses it is told by his statement.
  // Without a listener of its own, the error of a connection in use would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

function overPool(pool: PostgresPool): Db {
  return new Kysely<Record<string, never>>({ dialect: new PostgresDialect({ pool }) });
}

/** No more texts than these are kept by the server, on each connection: one made of many values is seldom seen again. */
const preparedAtMost = 200;

/** The pool, with each statement under a name: the driver has a connection prepare it once. */
function preparing(pool: Pool): PostgresPool {
  const names = new Map<string, string>();
  const nameOf = (text: string) => {
    const known = names.get(text);
    if (known !== undefined || names.size >= preparedAtMost) return known;
    const name = `statement ${names.size + 1}`;
    names.set(text, name);
    return name;
  };
  return {
    options: pool.options,
    end: () => pool.end(),
    connect: async () => {
      const client = await pool.connect();
      const query = (text: string, values: readonly unknown[]) => {
        const name = values.length === 0 ? undefined : nameOf(text);
        return client.query({ text, values: [...values], ...(name !== undefined && { name }) });
      };
      return { query, release: () => client.release() } as unknown as PostgresPoolClient;
    },
  };
}

async function waitUntilItAnswers(db: Db, { waitMs = 0, onWaiting, signal }: StoreOptions): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await sql`select 1`.execute(db);
      return;
    } catch (cause) {
      const reason = reasonOf(cause);
      if (isRefusal(cause))
        throw new SyncError(`PostgreSQL refuses the connection: ${reason}`, {
          code: 'store.refused',
          field: 'DATABASE_URL',
          recovery: { kind: 'operator', remedy: 'Correct user, password or database name in DATABASE_URL.' },
          cause,
        });
      if (performance.now() >= deadline || signal?.aborted === true)
        throw new SyncError(`PostgreSQL does not answer: ${reason}`, {
          code: 'store.unreachable',
          field: 'DATABASE_URL',
          recovery: {
            kind: 'operator',
            remedy: 'Check that the server runs and that DATABASE_URL names its host and port.',
          },
          cause,
        });
      if (attempt === 1) onWaiting?.(reason);
      await pause(250, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    }
  }
}

/** What failed because its connection broke, as `store.connection_lost`; anything else as it is. */
export function storeError(thrown: unknown): unknown {
  if (thrown instanceof SyncError || !isConnectionLost(thrown)) return thrown;
  return new SyncError(`PostgreSQL broke the connection: ${reasonOf(thrown)}`, {
    code: 'store.connection_lost',
    recovery: { kind: 'operator', remedy: 'See whether the server runs, then try again.' },
    cause: thrown,
  });
}

/** The driver's own errors have no code; a server that goes says 57P01 to 57P03, a network what it always says. */
function isConnectionLost(error: unknown): boolean {
  const { message, syscall, cause } = (error ?? {}) as { message?: unknown; syscall?: unknown; cause?: unknown };
  return (
    syscall === 'connect' ||
    codesOf(error).some((code) => /^(08...|57P0[123]|ECONNRESET|EPIPE)$/.test(code)) ||
    /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect)/.test(
      String(message),
    ) ||
    (cause !== undefined && cause !== null && isConnectionLost(cause))
  );
}

/** What the driver says; several addresses of one host may have failed, each in its way. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join(', ');
  const inner = (cause as { cause?: unknown } | null)?.cause;
  if (inner instanceof AggregateError) return reasonOf(inner);
  return cause instanceof Error ? cause.message : String(cause);
}

/** Waiting mends no wrong user or password (class 28) and no missing database (3D000). */
function isRefusal(error: unknown): boolean {
  return codesOf(error).some((code) => code.startsWith('28') || code === '3D000');
}

const migrationLock = 727_001;

/** Several processes may start at once: one migrates, the others wait and find nothing to do. */
async function migrate(url: string, db: Db): Promise<void> {
  await db.connection().execute(async (connection) => {
    await sql`select pg_advisory_lock(${migrationLock})`.execute(connection);
    try {
      if (await isBehind(connection)) {
        // MikroORM is only loaded where there is something for it to do: it takes longer than all the rest of a start.
        const { runMigrations } = await import('./migrate.ts');
        await runMigrations(url);
      }
      await connection.transaction().execute(finishRestore);
    } finally {
      await sql`select pg_advisory_unlock(${migrationLock})`.execute(connection);
    }
  });
}

async function isBehind(db: Db): Promise<boolean> {
  const { rows } = await sql`select from pg_class where oid = to_regclass('migration')`.execute(db);
  if (rows.length === 0) return true;
  const seen = await sql<{ name: string }>`select name from migration`.execute(db);
  const known = new Set(seen.rows.map(({ name }) => name));
  return migrationNames.some((name) => !known.has(name));
}

function isSerialisationFailure(error: unknown): boolean {
  return codesOf(error).some((code) => code === '40P01' || code === '40001');
}

/** SQLSTATEs, of the error or of what a library wrapped. */
function codesOf(error: unknown): string[] {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown } | null };
  return [code, cause?.code].filter((value) => typeof value === 'string');
}

/** Reads or mints what names this installation: the suffix of every UID that we write. */
export async function instanceOf(db: Db, mint: () => string): Promise<string> {
  await sql`insert into setting (name, value) values ('instance', ${mint()}) on conflict do nothing`.execute(db);
  const found = await sql<{ value: string }>`select value from setting where name = 'instance'`.execute(db);
  return found.rows[0]?.value ?? mint();
}
