import { sql } from 'kysely';
import type { Db } from './database.ts';

/** The right to be the only one at a source or a target, until it expires on the database's clock. */
export interface Lease {
  readonly name: string;
  readonly holder: string;
  /** Rises with every change of holder: what carries an older one is refused. */
  readonly fence: string;
  /** Another lease that is held, prolonged and released together with it: the mailbox of a source. */
  readonly beside: string | null;
}

/**
 * Takes the lease, or gives null while another holder's has not expired. `isDead` may release it sooner: it is asked
 * about the present holder, and answers true only when that process certainly lives no more.
 */
export async function acquireLease(
  db: Db,
  name: string,
  holder: string,
  ttlMs: number,
  isDead: (holder: string) => boolean,
): Promise<Lease | null> {
  const taken = await tryTake(db, name, holder, ttlMs, null);
  if (taken !== null) return taken;
  const found = await sql<{ holder: string | null }>`select holder from lease where name = ${name}`.execute(db);
  const present = found.rows[0]?.holder ?? null;
  return present !== null && isDead(present) ? tryTake(db, name, holder, ttlMs, present) : null;
}

async function tryTake(
  db: Db,
  name: string,
  holder: string,
  ttlMs: number,
  dead: string | null,
): Promise<Lease | null> {
  const result = await sql<{ fence: string }>`
    insert into lease (name, holder, fence, expires_at)
    values (${name}, ${holder}, 1, clock_timestamp() + ${ttlMs} * interval '1 millisecond')
    on conflict (name) do update
      set holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
      where lease.holder is null or lease.expires_at < clock_timestamp() or lease.holder = ${dead}
    returning fence`.execute(db);
  const row = result.rows[0];
  return row === undefined ? null : { name, holder, fence: row.fence, beside: null };
}

/** Prolongs the lease; false when it is somebody else's by now. */
export async function renewLease(db: Db, lease: Lease, ttlMs: number): Promise<boolean> {
  const result = await sql<{ name: string }>`
    update lease set expires_at = clock_timestamp() + ${ttlMs} * interval '1 millisecond'
    where ${isOf(lease)} returning name`.execute(db);
  return result.rows.some((row) => row.name === lease.name);
}

/**
 * Takes the lease away from whoever holds it: what it was taken for is another thing now. Before any row that its holder
 * changes under it is touched, inside the caller's transaction.
 */
export async function breakLease(db: Db, name: string): Promise<void> {
  await sql`
    update lease set holder = null, fence = fence + 1, expires_at = clock_timestamp() where name = ${name}`.execute(db);
}

/** Whether the lease is still this one's; it stays so until the caller's transaction ends. */
export async function isHeld(db: Db, lease: Pick<Lease, 'name' | 'fence'>): Promise<boolean> {
  const found = await sql`
    select from lease where name = ${lease.name} and fence = ${lease.fence} for share`.execute(db);
  return found.rows.length === 1;
}

export async function releaseLease(db: Db, lease: Lease): Promise<void> {
  await sql`
    update lease set holder = null, expires_at = clock_timestamp()
    where ${isOf(lease)}`.execute(db);
}

const isOf = (lease: Lease) => sql`
  holder = ${lease.holder} and (name = ${lease.beside} or (name = ${lease.name} and fence = ${lease.fence}))`;
