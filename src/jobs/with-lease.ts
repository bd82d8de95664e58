import type { Db } from '../store/database.ts';
import { acquireLease, releaseLease, renewLease, type Lease } from '../store/leases.ts';
import { isDeadHolder } from './holder.ts';

/** Long enough that a write (see `writeTimeoutMs`) fits behind a renewal; short enough to take over within a minute. */
export const leaseTtlMs = 55_000;
export const writeTimeoutMs = 40_000;
const renewEveryMs = 5_000;

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
  const lease = await acquireLease(db, name, holder, leaseTtlMs, isDeadHolder);
  if (lease === null) return null;
  const lost = new AbortController();
  let lastRenewal = performance.now();
  const timer = setInterval(() => {
    void renewLease(db, lease, leaseTtlMs).then(
      (isOurs) => {
        if (isOurs) lastRenewal = performance.now();
        else lost.abort(new Error(`lease ${name} was taken over`));
      },
      () => {
        // The database is away: the lease may be renewed later, unless it has run out by then.
        if (performance.now() - lastRenewal > leaseTtlMs) lost.abort(new Error(`lease ${name} ran out`));
      },
    );
  }, renewEveryMs);
  try {
    return { result: await work(lease, AbortSignal.any([outer, lost.signal])) };
  } finally {
    clearInterval(timer);
    await releaseLease(db, lease).catch(() => undefined);
  }
}
