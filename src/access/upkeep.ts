import { sql } from 'kysely';
import type { Clock } from '../shared/clock.ts';
import type { Log } from '../shared/log.ts';
import type { SecretBox } from '../shared/secret-box.ts';
import { forgetClaims, loadModel, readAnew } from '../store/configuration.ts';
import type { Store } from '../store/database.ts';
import { recordAudit } from '../store/history.ts';
import { takeEndingSignIns } from '../store/sign-ins.ts';
import { recordWarned } from '../store/tenant-access.ts';
import { recordTold, withdrawnSources } from '../store/withdrawals.ts';
import { credentialEnd, warningStep } from './credential-end.ts';

export interface UpkeepDeps {
  readonly store: Store;
  readonly box: SecretBox;
  readonly log: Log;
  readonly clock: Clock;
}

/** Days before a withdrawn source's events go at which that is told. */
const tellingDays = [1, 3, 7] as const;

/** Tells of credentials that end, and of events that go because access was withdrawn; removes those whose time has come. */
export async function upkeep(deps: UpkeepDeps): Promise<void> {
  await tellEndings(deps);
  for (const one of await takeEndingSignIns(deps.store.db)) deps.log.event('sign_in.ending', one);
  await endWithdrawn(deps);
}

async function tellEndings({ store, box, log, clock }: UpkeepDeps): Promise<void> {
  for (const tenant of (await loadModel(store.db, box)).tenants) {
    const end = credentialEnd(tenant);
    const step = end === null ? null : warningStep(end, clock.now());
    if (end === null || step === null) continue;
    const endsAt = end.toISOString();
    // Of several workers one tells, once for each step.
    if (await recordWarned(store.db, tenant.id, `${endsAt} ${step}`))
      log.event('credential.ending', { tenant: tenant.id, days: step, endsAt });
  }
}

async function endWithdrawn({ store, log }: UpkeepDeps): Promise<void> {
  for (const { source, daysLeft, toldDays } of await withdrawnSources(store.db)) {
    if (daysLeft <= 0 && toldDays !== null) {
      if (await removeEvents(store, source)) log.event('access.events_removed', { source });
      continue;
    }
    const step = tellingDays.find((days) => daysLeft <= days);
    if (step === undefined || (toldDays !== null && toldDays <= step)) continue;
    await recordTold(store.db, source, step);
    log.event('access.events_expiring', { source, days: Math.max(0, daysLeft) });
  }
}

/** What was read goes, from what is stored and then from the target; should access come back, all is read anew. */
async function removeEvents(store: Store, sourceId: string): Promise<boolean> {
  return store.transaction(async (db) => {
    const found = await sql<{ targetId: string }>`
      update withdrawal w set removed_at = now() from source s
      where w.source_id = ${sourceId} and w.removed_at is null and s.id = w.source_id
      returning s.target_id as "targetId"`.execute(db);
    const row = found.rows[0];
    if (row === undefined) return false;
    await forgetClaims(db, sourceId, row.targetId);
    await readAnew(db, sourceId);
    await recordAudit(db, { actor: 'worker', action: 'access.events_removed', subject: `sources/${sourceId}` });
    return true;
  });
}
