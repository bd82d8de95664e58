import { sql } from 'kysely';
import type { Db } from './database.ts';
import { withDates } from './instants.ts';

/** A link that opens a tenant's consent pages until it expires. The key itself is not kept, only its SHA-256, the id. */
export interface ConsentLink {
  readonly id: string;
  readonly tenantId: string;
  readonly expiresAt: Date;
}

/** Makes the link; those made before for the tenant stay valid until they expire, or are closed with `closeLinks`. */
export async function saveLink(db: Db, id: string, tenantId: string, hours: number): Promise<Date> {
  const made = await sql<{ expiresAt: Date }>`
    insert into consent_link (id, tenant_id, created_at, expires_at)
    values (${id}, ${tenantId}, now(), now() + ${hours} * interval '1 hour') returning expires_at as "expiresAt"`.execute(
    db,
  );
  return new Date(made.rows[0]?.expiresAt ?? 0);
}

export async function closeLinks(db: Db, tenantId: string): Promise<number> {
  const closed = await sql`
    update consent_link set closed_at = now()
    where tenant_id = ${tenantId} and closed_at is null and expires_at > now() returning id`.execute(db);
  return closed.rows.length;
}

/** The link of this id for this tenant, while it is open. */
export async function openLink(db: Db, id: string, tenantId: string): Promise<ConsentLink | null> {
  const found = await sql<ConsentLink>`
    select l.id, l.tenant_id as "tenantId", l.expires_at as "expiresAt"
    from consent_link l join tenant t on t.id = l.tenant_id
    where l.id = ${id} and l.tenant_id = ${tenantId} and l.closed_at is null and l.expires_at > now()`.execute(db);
  const [row] = found.rows;
  return row === undefined ? null : withDates(row, 'expiresAt');
}

/** A journey to Microsoft: what is asked for, for whom, by which link. */
export interface Journey {
  readonly id: string;
  readonly tenantId: string;
  readonly linkId: string;
  readonly kind: 'v1' | 'v2' | 'sign-in';
  /** Of a sign-in. */
  readonly mailbox: string | null;
  readonly verifierSealed: string | null;
}

export async function saveJourney(db: Db, journey: Journey, minutes: number): Promise<void> {
  await sql`
    insert into consent_state (id, tenant_id, link_id, kind, mailbox, verifier_sealed, expires_at)
    values (${journey.id}, ${journey.tenantId}, ${journey.linkId}, ${journey.kind}, ${journey.mailbox},
      ${journey.verifierSealed}, now() + ${minutes} * interval '1 minute')`.execute(db);
}

export type JourneyEnd =
  { readonly kind: 'found'; readonly journey: Journey } | { readonly kind: 'unknown' | 'used' | 'expired' };

/** Ends the journey: of several who come back with one state, the first finds it. */
export async function endJourney(db: Db, id: string): Promise<JourneyEnd> {
  const ended = await sql<Journey>`
    update consent_state set used_at = now() where id = ${id} and used_at is null and expires_at > now()
    returning id, tenant_id as "tenantId", link_id as "linkId", kind, mailbox, verifier_sealed as "verifierSealed"`.execute(
    db,
  );
  const journey = ended.rows[0];
  if (journey !== undefined) return { kind: 'found', journey };
  const found = await sql<{ isUsed: boolean }>`
    select used_at is not null as "isUsed" from consent_state where id = ${id}`.execute(db);
  const row = found.rows[0];
  return { kind: row === undefined ? 'unknown' : row.isUsed ? 'used' : 'expired' };
}
