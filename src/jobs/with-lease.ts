import type { Db } from '../store/database.ts';
import { acquireLease, releaseLease, renewLease, type Lease } from '../store/leases.ts';
import { acquireSourceLease } from '../store/source-lease.ts';
import { isDeadHolder } from './holder.ts';

/** Long enough that a write (see `writeTimeoutMs`) fits behind a renewal; short enough to take over within a minute. */
export const leaseTtlMs = 55_000;
export const writeTimeoutMs = 40_000;
const renewEveryMs = 5_000;

/**
 * Leases that runs of this process are under, as `holder name`. One that the database ascribes to us and that is not
 * here is left over: its release, or the answer to its taking, was lost together with the connection.
 */
const heldHere = new Set<string>();
export const isHeldHere = (holder: string, name: string): boolean => heldHere.has(`${holder} ${name}`);

/**
 * Runs `work` while holding the lease, renewing it; `work`'s signal aborts when the lease is lost or `outer` aborts.
 * Null when somebody else holds it.
 */
export async function withLease<T>(
  db: Db,
  name: string,
  holder: string,
  outer: AbortSignal,
  work: (lease: Lease, signal: AbortSignal) => Promise<T>,
): Promise<{ readonly result: T } | null> {
  return holding(db, name, holder, outer, work, () =>
    acquireLease(db, name, holder, leaseTtlMs, (present) => present === holder || isDeadHolder(present)),
  );
}

/** `withLease` for the reading of a source, within the limits of its mailbox and its tenant. */
export async function withSourceLease<T>(
  db: Db,
  sourceId: string,
  holder: string,
  outer: AbortSignal,
  work: (lease: Lease, signal: AbortSignal) => Promise<T>,
): Promise<{ readonly result: T } | null> {
  const name = `source:${sourceId}`;
  return holding(db, name, holder, outer, work, () =>
    acquireSourceLease(
      db,
      sourceId,
      holder,
      leaseTtlMs,
      (taken, present) =>
        (present === holder && (taken === name || !heldHere.has(`${holder} ${taken}`))) || isDeadHolder(present),
    ),
  );
}

async function holding<T>(
  db: Db,
  name: string,
  holder: string,
  outer: AbortSignal,
  work: (lease: Lease, signal: AbortSignal) => Promise<T>,
  acquire: () => Promise<Lease | null>,
): Promise<{ readonly result: T } | null> {
  const here = `${holder} ${name}`;
  if (heldHere.has(here)) return null;
  heldHere.add(here);
  let beside: string | null = null;
  try {
    const lease = await acquire();
    if (lease === null) return null;
    if (lease.beside !== null) heldHere.add((beside = `${holder} ${lease.beside}`));
    return { result: await underLease(db, lease, outer, work) };
  } finally {
    heldHere.delete(here);
    if (beside !== null) heldHere.delete(beside);
  }
}

async function underLease<T>(
  db: Db,
  lease: Lease,
  outer: AbortSignal,
  work: (lease: Lease, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  let lastRenewal = performance.now();
  const timer = setInterval(() => {
    void renewLease(db, lease, leaseTtlMs).then(
      (isOurs) => {
        if (isOurs) lastRenewal = performance.now();
        else lost.abort(new Error(`lease ${lease.name} was taken over`));
      },
      () => {
        // The database is away: the lease may be renewed later, unless it has run out by then.
        if (performance.now() - lastRenewal > leaseTtlMs) lost.abort(new Error(`lease ${lease.name} ran out`));
      },
    );
  }, renewEveryMs);
  try {
    return await work(lease, AbortSignal.any([outer, lost.signal]));
  } finally {
    clearInterval(timer);
    await releaseLease(db, lease).catch(() => undefined);
  }
}
