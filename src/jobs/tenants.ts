import { toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Store } from '../store/database.ts';
import { takeDueProofs, type DueProof } from '../store/tenant-access.ts';
import { every, type Repetition } from './every.ts';
import { sideBySide } from './side-by-side.ts';

export interface TenantKeeperDeps {
  readonly store: Store;
  readonly log: Log;
  /** Tries what a tenant lets us read, and records it. */
  readonly prove: (tenant: DueProof, signal: AbortSignal) => Promise<unknown>;
  /** Tells what ends soon, and ends what is to end. */
  readonly upkeep: () => Promise<void>;
}

export interface TenantKeeper {
  /** Does all that is due now, and waits for it. */
  keep(): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

/** Longer than a proof may take; should its worker die, another tries after that. */
const takenMs = 300_000;
const patienceMs = 120_000;
const proveEveryMs = 30_000;
const upkeepEveryMs = 600_000;
const tenantsAtOnce = 32;

/** Repeats the proofs of tenants' access: daily, and sooner while something is amiss. One tenant's trouble delays no other. */
export function tenantKeeper(deps: TenantKeeperDeps): TenantKeeper {
  const stopping = new AbortController();
  const isStopping = (): boolean => stopping.signal.aborted;
  const repetitions: Repetition[] = [];
  const proofs = sideBySide(tenantsAtOnce);
  let latest: Promise<void> = Promise.resolve();

  const prove = async (tenant: DueProof): Promise<void> => {
    if (isStopping()) return;
    try {
      await deps.prove(tenant, AbortSignal.any([stopping.signal, AbortSignal.timeout(patienceMs)]));
    } catch (thrown) {
      if (!isStopping())
        deps.log.event('worker.failed', { kind: 'proof', id: tenant.id, reason: toSyncError(thrown).message });
    }
  };
  const keep = async (): Promise<void> => {
    const due = new Map((await takeDueProofs(deps.store.db, takenMs)).map((tenant) => [tenant.id, tenant]));
    await proofs.run([...due.keys()], async (id) => {
      const tenant = due.get(id);
      if (tenant !== undefined) await prove(tenant);
    });
  };
  return {
    keep,
    start() {
      // Who is slow delays no other: the next round does not wait for this one.
      const beginProofs = (): void => {
        if (isStopping()) return;
        latest = keep().catch((thrown: unknown) => {
          deps.log.event('worker.failed', { kind: 'proof', id: '', reason: toSyncError(thrown).message });
        });
      };
      const tend = (): Promise<void> =>
        deps.upkeep().catch((thrown: unknown) => {
          deps.log.event('worker.failed', { kind: 'upkeep', id: '', reason: toSyncError(thrown).message });
        });
      beginProofs();
      repetitions.push(every(proveEveryMs, beginProofs), every(upkeepEveryMs, tend));
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      await Promise.all(repetitions.map((repetition) => repetition.stop()));
      await latest;
      await proofs.settled();
    },
  };
}
