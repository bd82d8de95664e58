import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { Lease } from './leases.ts';

/** Readings of one tenant that may run at a time, all workers together, until it asks for less or bears more. */
const firstCap = 8;
export const highestCap = 32;
/** Several readings are refused at once when there are too many: that is one sign, not one for each. */
const oneSignMs = 5_000;

/**
 * Takes the right to read a source, or gives null. A source of Graph is read only while no other calendar of its mailbox
 * is (three requests at a time are one reading's) and fewer readings of its tenant run than `tenant_pace` allows; both
 * hold for all workers together. `isLeftOver` is asked about present holders, as for `acquireLease`.
 */
export async function acquireSourceLease(
  db: Db,
  sourceId: string,
  holder: string,
  ttlMs: number,
  isLeftOver: (name: string, holder: string) => boolean,
): Promise<Lease | null> {
  const name = `source:${sourceId}`;
  const taken = await tryTake(db, sourceId, name, holder, ttlMs, []);
  if ('lease' in taken) return taken.lease;
  const found = await sql<{ name: string; holder: string }>`
    select name, holder from lease where name in (${name}, ${taken.mailbox}) and holder is not null`.execute(db);
  const left = found.rows.filter((row) => isLeftOver(row.name, row.holder)).map((row) => row.holder);
  if (left.length === 0) return null;
  const again = await tryTake(db, sourceId, name, holder, ttlMs, left);
  return 'lease' in again ? again.lease : null;
}

async function tryTake(
  db: Db,
  sourceId: string,
  name: string,
  holder: string,
  ttlMs: number,
  left: readonly string[],
): Promise<{ readonly lease: Lease } | { readonly mailbox: string | null }> {
  const expiry = sql`clock_timestamp() + ${ttlMs} * interval '1 millisecond'`;
  const isFree = sql`lease.holder is null or lease.expires_at < clock_timestamp() or lease.holder = any(${left}::text[])`;
  const found = await sql<{ fence: string | null; mailbox: string | null; hasMailbox: boolean }>`
    with place as (
      select case when s.kind = 'graph' then s.tenant_id end as tenant_id,
        case when s.kind = 'graph' then 'mailbox:' || s.tenant_id || '/' || lower(s.settings->>'mailbox') end as mailbox,
        s.kind <> 'graph' or (
          select count(*) from lease l
          where l.tenant_id = s.tenant_id and l.holder is not null and l.expires_at > clock_timestamp() and l.name <> ${name}
        ) < floor(coalesce((select cap from tenant_pace p where p.tenant_id = s.tenant_id), ${firstCap})) as has_room
      from source s where s.id = ${sourceId}),
    box as (
      insert into lease (name, holder, fence, expires_at)
      select mailbox, ${holder}, 1, ${expiry} from place where mailbox is not null and has_room
      on conflict (name) do update set holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
        where ${isFree}
      returning name),
    own as (
      insert into lease (name, holder, fence, expires_at, tenant_id)
      select ${name}, ${holder}, 1, ${expiry}, tenant_id from place
      where has_room and (mailbox is null or exists (select from box))
      on conflict (name) do update set holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at,
        tenant_id = excluded.tenant_id
        where ${isFree}
      returning fence)
    select (select fence::text from own) as fence, mailbox, exists (select from box) as "hasMailbox" from place`.execute(
    db,
  );
  const row = found.rows[0];
  if (row?.fence != null) return { lease: { name, holder, fence: row.fence, beside: row.mailbox } };
  if (row?.hasMailbox === true)
    await sql`update lease set holder = null where name = ${row.mailbox} and holder = ${holder}`.execute(db);
  return { mailbox: row?.mailbox ?? null };
}

/**
 * A tenant bears what it is asked for: a little more of it, up to the highest pace. Free of cost once that is reached; of
 * many readings that end at once one counts, for none of them waits for another.
 */
export async function recordBorne(db: Db, tenantId: string): Promise<void> {
  await sql`
    with present as (
      select cap from tenant_pace where tenant_id = ${tenantId} and cap < ${highestCap} for update skip locked),
    more as (
      update tenant_pace p set cap = least(present.cap + 1 / present.cap, ${highestCap}) from present
      where p.tenant_id = ${tenantId})
    insert into tenant_pace (tenant_id, cap) select ${tenantId}, ${firstCap}
    where not exists (select from tenant_pace where tenant_id = ${tenantId}) on conflict do nothing`.execute(db);
}

/** A tenant asked us to slow down: half as much of it at a time, one at least. */
export async function recordThrottled(db: Db, tenantId: string): Promise<void> {
  await sql`
    insert into tenant_pace (tenant_id, cap, throttled_at) values (${tenantId}, ${firstCap / 2}, clock_timestamp())
    on conflict (tenant_id) do update set throttled_at = clock_timestamp(),
      cap = case when tenant_pace.throttled_at > clock_timestamp() - ${oneSignMs} * interval '1 millisecond'
        then tenant_pace.cap else greatest(1, floor(tenant_pace.cap / 2)) end`.execute(db);
}
