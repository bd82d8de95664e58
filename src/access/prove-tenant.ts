import type { Clock } from '../shared/clock.ts';
import { toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { GraphClient } from '../sources/graph/client.ts';
import { findAccess, type AccessFindings, type MailboxFinding } from '../sources/graph/prove-access.ts';
import type { Store } from '../store/database.ts';
import { recordAudit } from '../store/history.ts';
import { loadAccess, mailboxesOf, recordProof, type ProofRecord } from '../store/tenant-access.ts';
import { judgeProof, type ProofContext } from './judge-proof.ts';

export interface ProofDeps {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
  /** For one mailbox where people sign in by themselves. Throws SyncError where the tenant cannot be signed in to. */
  readonly open: (tenantId: string, mailbox?: string) => Promise<GraphClient>;
}

export interface ProvenTenant {
  readonly id: string;
  readonly access: ProofContext['access'];
}

/**
 * Tries what a tenant lets us read and records what came of it; changes are told and audited. Holds no connection while
 * Graph is asked.
 */
export async function proveTenant(deps: ProofDeps, tenant: ProvenTenant, signal: AbortSignal): Promise<ProofRecord> {
  const { store, log, clock, random } = deps;
  const before = await loadAccess(store.db, tenant.id);
  const mailboxes = (await mailboxesOf(store.db, tenant.id)).map(({ mailbox }) => mailbox);
  const wanted = { mailboxes, control: tenant.access === 'delegated' ? null : before.controlMailbox, signal };
  const findings = await (tenant.access === 'delegated'
    ? findOneByOne(deps, tenant.id, mailboxes, signal)
    : find(deps, tenant.id, wanted));
  const proof = judgeProof(findings, { access: tenant.access, before, now: clock.now(), random: random() });
  await store.transaction(async (db) => {
    await recordProof(db, tenant.id, proof);
    if (proof.state !== before.state)
      await recordAudit(db, {
        actor: 'proof',
        action: `access.${proof.state}`,
        subject: `tenants/${tenant.id}`,
        detail: { from: before.state, code: proof.code },
      });
  });
  if (proof.state !== before.state || proof.code !== before.code) {
    const fields = { tenant: tenant.id, from: before.state, to: proof.state, code: proof.code ?? 'none' };
    if (proof.state === 'withdrawn') log.event('access.withdrawn', fields);
    else if (proof.state === 'undone') log.event('access.undone', fields);
    else log.event('access.changed', fields);
  }
  return proof;
}

async function find(
  deps: ProofDeps,
  tenantId: string,
  wanted: Parameters<typeof findAccess>[1],
): Promise<AccessFindings> {
  try {
    return await findAccess(await deps.open(tenantId), wanted);
  } catch (thrown) {
    wanted.signal.throwIfAborted();
    return { signIn: toSyncError(thrown), calendarRoles: null, mailboxes: [], control: null };
  }
}

/** Where people sign in, each mailbox has a token of its own; who has not signed in yet is refused. */
async function findOneByOne(
  deps: ProofDeps,
  tenantId: string,
  mailboxes: readonly string[],
  signal: AbortSignal,
): Promise<AccessFindings> {
  const found: MailboxFinding[] = [];
  for (const mailbox of mailboxes) {
    try {
      const { signIn, mailboxes: one } = await findAccess(await deps.open(tenantId, mailbox), {
        mailboxes: [mailbox],
        control: null,
        signal,
      });
      found.push(...(signIn === null ? one : [unsigned(mailbox, signIn)]));
    } catch (thrown) {
      signal.throwIfAborted();
      found.push(unsigned(mailbox, toSyncError(thrown)));
    }
  }
  return { signIn: null, calendarRoles: null, mailboxes: found, control: null };
}

function unsigned(mailbox: string, error: NonNullable<MailboxFinding['error']>): MailboxFinding {
  return { mailbox, kind: error.recovery.kind === 'operator' ? 'refused' : 'unknown', error };
}
