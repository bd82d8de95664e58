import { sql } from 'kysely';
import type { Privacy } from '../calendar/privacy.ts';
import type { Db } from './database.ts';
import { withDates } from './instants.ts';

/**
 * How far a tenant has let us in. `unasked`: nobody has said anything yet; `declined`: the administrator said no;
 * `propagating`: said to be given, not working yet; `proven`: tried and found right; `partial`: not for every mailbox;
 * `undone`: a mailbox that must not be readable is; `unreadable`: no mailbox can be read, for another reason than a
 * missing permission; `withdrawn`: was given and is no more.
 */
export type AccessState =
  'unasked' | 'declined' | 'propagating' | 'proven' | 'partial' | 'undone' | 'unreadable' | 'withdrawn';

export interface TenantAccess {
  readonly tenantId: string;
  readonly state: AccessState;
  readonly grantedAt: Date | null;
  readonly grantedBy: 'admin-consent' | 'pasted' | null;
  readonly declinedAt: Date | null;
  readonly controlMailbox: string | null;
  readonly controlState: 'refused' | 'readable' | 'unknown' | null;
  readonly ceiling: Privacy | null;
  readonly ceilingAt: Date | null;
  /** When a proof last found all right. */
  readonly provenAt: Date | null;
  readonly triedAt: Date | null;
  readonly failures: number;
  readonly code: string | null;
  readonly reason: string | null;
  readonly remedy: string | null;
}

const columns = sql.raw(`
  state, granted_at as "grantedAt", granted_by as "grantedBy", declined_at as "declinedAt",
  control_mailbox as "controlMailbox", control_state as "controlState", ceiling, ceiling_at as "ceilingAt",
  proven_at as "provenAt", tried_at as "triedAt", failures, code, reason, remedy`);

/** A tenant that nobody has dealt with yet has access `unasked`. */
export async function loadAccess(db: Db, tenantId: string): Promise<TenantAccess> {
  const found = await sql<TenantAccess>`
    select tenant_id as "tenantId", ${columns} from tenant_access where tenant_id = ${tenantId}`.execute(db);
  const [row] = found.rows;
  if (row === undefined) return { ...unasked, tenantId };
  return withDates(row, 'grantedAt', 'declinedAt', 'ceilingAt', 'provenAt', 'triedAt');
}

const unasked: Omit<TenantAccess, 'tenantId'> = {
  state: 'unasked',
  grantedAt: null,
  grantedBy: null,
  declinedAt: null,
  controlMailbox: null,
  controlState: null,
  ceiling: null,
  ceilingAt: null,
  provenAt: null,
  triedAt: null,
  failures: 0,
  code: null,
  reason: null,
  remedy: null,
};

async function ensureRow(db: Db, tenantId: string): Promise<void> {
  await sql`insert into tenant_access (tenant_id) values (${tenantId}) on conflict do nothing`.execute(db);
}

/** The administrator says that access is given: it is tried from now on until it works. */
export async function recordGrant(db: Db, tenantId: string, by: 'admin-consent' | 'pasted'): Promise<void> {
  await ensureRow(db, tenantId);
  await sql`
    update tenant_access set granted_at = now(), granted_by = ${by}, declined_at = null, failures = 0,
      state = case when state in ('proven', 'partial') then state else 'propagating' end, next_try_at = now()
    where tenant_id = ${tenantId}`.execute(db);
}

export async function recordDecline(db: Db, tenantId: string): Promise<void> {
  await ensureRow(db, tenantId);
  await sql`
    update tenant_access set declined_at = now(),
      state = case when state in ('unasked', 'propagating') then 'declined' else state end
    where tenant_id = ${tenantId}`.execute(db);
}

/** Names a mailbox that must stay closed to us; null: none. What was proven without it is tried again. */
export async function setControlMailbox(db: Db, tenantId: string, mailbox: string | null): Promise<void> {
  await ensureRow(db, tenantId);
  await sql`
    update tenant_access set control_mailbox = ${mailbox}, control_state = null, next_try_at = now()
    where tenant_id = ${tenantId}`.execute(db);
}

/** What one proof came to. */
export interface ProofRecord {
  readonly state: AccessState;
  readonly isProven: boolean;
  readonly controlState: TenantAccess['controlState'];
  readonly code: string | null;
  readonly reason: string | null;
  readonly remedy: string | null;
  /** Another try is due after so long. */
  readonly afterMs: number;
  readonly mailboxes: readonly MailboxProof[];
}

export interface MailboxProof {
  readonly mailbox: string;
  readonly state: 'readable' | 'refused' | 'missing' | 'unavailable' | 'unknown';
  readonly code: string | null;
  readonly reason: string | null;
  readonly remedy: string | null;
}

export async function recordProof(db: Db, tenantId: string, proof: ProofRecord): Promise<void> {
  await ensureRow(db, tenantId);
  await sql`
    update tenant_access set state = ${proof.state}, tried_at = now(), control_state = ${proof.controlState},
      proven_at = case when ${proof.isProven} then now() else proven_at end,
      failures = case when ${proof.isProven} then 0 else failures + 1 end,
      code = ${proof.code}, reason = ${proof.reason}, remedy = ${proof.remedy},
      next_try_at = now() + ${proof.afterMs} * interval '1 millisecond'
    where tenant_id = ${tenantId}`.execute(db);
  for (const one of proof.mailboxes)
    await sql`
      insert into mailbox_access (tenant_id, mailbox, state, code, reason, remedy, readable_at, tried_at)
      values (${tenantId}, ${one.mailbox.toLowerCase()}, ${one.state}, ${one.code}, ${one.reason}, ${one.remedy},
        case when ${one.state === 'readable'} then now() end, now())
      on conflict (tenant_id, mailbox) do update set state = excluded.state, code = excluded.code,
        reason = excluded.reason, remedy = excluded.remedy, tried_at = now(),
        readable_at = coalesce(excluded.readable_at, mailbox_access.readable_at)`.execute(db);
  await sql`
    delete from mailbox_access where tenant_id = ${tenantId}
      and not mailbox = any(${proof.mailboxes.map(({ mailbox }) => mailbox.toLowerCase())}::text[])`.execute(db);
}

/** A mailbox of a tenant as its administrator sees it. */
export interface MailboxAccess {
  readonly mailbox: string;
  readonly state: MailboxProof['state'] | null;
  readonly code: string | null;
  readonly reason: string | null;
  readonly remedy: string | null;
  readonly readableAt: Date | null;
  /** When a reading of one of its calendars last came to its end. */
  readonly lastReadAt: Date | null;
  /** The most detail that any source of it is configured to show, its ceilings not heeded. */
  readonly privacy: Privacy;
}

/** The mailboxes that the tenant's sources name, in the order of their addresses. */
export async function mailboxesOf(db: Db, tenantId: string): Promise<MailboxAccess[]> {
  const found = await sql<MailboxAccess>`
    with named as (
      select lower(settings->>'mailbox') as mailbox, max(fresh_at) as "lastReadAt",
        (array['busy', 'title', 'full'])[max(array_position(array['busy', 'title', 'full'], settings->>'privacy'))] as privacy
      from source where tenant_id = ${tenantId} and kind = 'graph' group by 1)
    select n.*, a.state, a.code, a.reason, a.remedy, a.readable_at as "readableAt"
    from named n left join mailbox_access a on a.tenant_id = ${tenantId} and a.mailbox = n.mailbox
    order by n.mailbox`.execute(db);
  return found.rows.map((row) => withDates(row, 'readableAt', 'lastReadAt'));
}

/**
 * Tenants whose proof is due: its time has come, or one of its sources was read although the last proof says that nothing
 * can be. Each is put off by `afterMs`, so that only one worker tries it.
 */
export async function takeDueProofs(db: Db, afterMs: number): Promise<DueProof[]> {
  await sql`insert into tenant_access (tenant_id) select id from tenant on conflict do nothing`.execute(db);
  const found = await sql<DueProof>`
    update tenant_access a set next_try_at = now() + ${afterMs} * interval '1 millisecond'
    from tenant t where t.id = a.tenant_id
      and exists (select from source s where s.tenant_id = t.id and s.kind = 'graph')
      and (a.next_try_at is null or a.next_try_at <= now()
        or (a.state not in ('proven', 'partial', 'undone')
          and exists (select from source s where s.tenant_id = t.id and s.fresh_at > coalesce(a.tried_at, to_timestamp(0)))))
    returning a.tenant_id as id, case when t.credential_kind is null then 'delegated' else t.access end as access`.execute(
    db,
  );
  return found.rows;
}

export interface DueProof {
  readonly id: string;
  readonly access: 'scoped' | 'tenant-wide' | 'delegated';
}

/** False: that was told already. */
export async function recordWarned(db: Db, tenantId: string, warnedOf: string): Promise<boolean> {
  await ensureRow(db, tenantId);
  const told = await sql`
    update tenant_access set warned_of = ${warnedOf}
    where tenant_id = ${tenantId} and warned_of is distinct from ${warnedOf} returning tenant_id`.execute(db);
  return told.rows.length === 1;
}

/** The app or the directory is another one now: nothing that was proven holds. */
export async function forgetProof(db: Db, tenantId: string): Promise<void> {
  await sql`
    update tenant_access set state = 'unasked', granted_at = null, granted_by = null, declined_at = null,
      control_state = null, proven_at = null, tried_at = null, next_try_at = null, failures = 0, code = null,
      reason = null, remedy = null, behaviours = null, probed_at = null
    where tenant_id = ${tenantId}`.execute(db);
  await sql`delete from mailbox_access where tenant_id = ${tenantId}`.execute(db);
  await sql`delete from sign_in where tenant_id = ${tenantId}`.execute(db);
}

/** All that is kept of a tenant's access. The audit stays. */
export async function forgetAccess(db: Db, tenantId: string): Promise<void> {
  for (const table of ['tenant_access', 'mailbox_access', 'consent_link', 'consent_state', 'sign_in'])
    await sql`delete from ${sql.table(table)} where tenant_id = ${tenantId}`.execute(db);
}
