import type { Db, Store } from '../store/database.ts';
import { isHeld } from '../store/leases.ts';
import type { WriteRight } from '../store/objects.ts';
import { leaseLost } from './record-writes.ts';

/**
 * Records something of a target in one transaction, only while its lease is ours: neither a worker that took over nor
 * settings that changed meanwhile are told what was true before. Throws `deliver.lease_lost`.
 */
export function asHolder<T>(
  store: Store,
  targetId: string,
  lease: WriteRight['lease'],
  work: (db: Db) => Promise<T>,
): Promise<T> {
  return store.transaction(async (db) => {
    if (!(await isHeld(db, lease))) throw leaseLost(targetId);
    return work(db);
  });
}
