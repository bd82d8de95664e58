import { sql } from 'kysely';
import type { SecretBox } from '../shared/secret-box.ts';
import type { Db } from './database.ts';
import { withDates } from './instants.ts';

/** A person's sign-in for a mailbox, as it is kept; the cache holds tokens and is sealed at rest. */
export interface KeptSignIn {
  readonly account: string;
  readonly username: string;
  readonly cache: string;
  readonly expiresAt: Date | null;
}

const contextOf = (tenantId: string, mailbox: string): string => `sign-in:${tenantId}:${mailbox}`;

/** Throws `secret.unreadable` when the cache cannot be opened. */
export async function loadSignIn(
  db: Db,
  box: SecretBox,
  tenantId: string,
  mailbox: string,
): Promise<(KeptSignIn & { readonly signedInAt: Date }) | null> {
  const found = await sql<Omit<KeptSignIn, 'cache'> & { sealed: string; signedInAt: Date }>`
    select account, username, cache_sealed as sealed, expires_at as "expiresAt", signed_in_at as "signedInAt"
    from sign_in where tenant_id = ${tenantId} and mailbox = ${mailbox.toLowerCase()}`.execute(db);
  const [row] = found.rows;
  if (row === undefined) return null;
  const { sealed, ...rest } = withDates(row, 'expiresAt', 'signedInAt');
  return { ...rest, cache: box.open(sealed, contextOf(tenantId, mailbox.toLowerCase())) };
}

/** Keeps a sign-in; its sources are tried at once. */
export async function saveSignIn(
  db: Db,
  box: SecretBox,
  tenantId: string,
  mailbox: string,
  { account, username, cache, expiresAt }: KeptSignIn,
): Promise<void> {
  const sealed = box.seal(cache, contextOf(tenantId, mailbox.toLowerCase()));
  await sql`
    insert into sign_in (tenant_id, mailbox, account, username, cache_sealed, signed_in_at, refreshed_at, expires_at)
    values (${tenantId}, ${mailbox.toLowerCase()}, ${account}, ${username}, ${sealed}, now(), now(),
      ${expiresAt?.toISOString() ?? null}::timestamptz)
    on conflict (tenant_id, mailbox) do update set account = excluded.account, username = excluded.username,
      cache_sealed = excluded.cache_sealed, signed_in_at = now(), refreshed_at = now(), expires_at = excluded.expires_at,
      version = sign_in.version + 1, warned_of = null`.execute(db);
  await sql`
    update source set not_before = null, wanted_version = wanted_version + 1
    where tenant_id = ${tenantId} and lower(settings->>'mailbox') = ${mailbox.toLowerCase()}`.execute(db);
}

/** What a renewal gave; a sign-in by another account that came meanwhile stays. */
export async function renewSignIn(
  db: Db,
  box: SecretBox,
  tenantId: string,
  mailbox: string,
  { account, cache, expiresAt }: Omit<KeptSignIn, 'username'>,
): Promise<void> {
  const sealed = box.seal(cache, contextOf(tenantId, mailbox.toLowerCase()));
  await sql`
    update sign_in set cache_sealed = ${sealed}, refreshed_at = now(), version = version + 1,
      expires_at = ${expiresAt?.toISOString() ?? null}::timestamptz
    where tenant_id = ${tenantId} and mailbox = ${mailbox.toLowerCase()} and account = ${account}`.execute(db);
}

export interface SignInFacts {
  readonly mailbox: string;
  readonly username: string;
  readonly signedInAt: Date;
  readonly expiresAt: Date | null;
}

export async function signInsOf(db: Db, tenantId: string): Promise<SignInFacts[]> {
  const found = await sql<SignInFacts>`
    select mailbox, username, signed_in_at as "signedInAt", expires_at as "expiresAt" from sign_in
    where tenant_id = ${tenantId} order by mailbox`.execute(db);
  return found.rows.map((row) => withDates(row, 'signedInAt', 'expiresAt'));
}

/** Sign-ins that end within three days and of which nobody was told yet; they are marked as told. */
export async function takeEndingSignIns(db: Db): Promise<{ tenant: string; mailbox: string; endsAt: string }[]> {
  const found = await sql<{ tenant: string; mailbox: string; endsAt: string }>`
    update sign_in set warned_of = expires_at::text
    where expires_at < now() + interval '3 days' and warned_of is distinct from expires_at::text
    returning tenant_id as tenant, mailbox, to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "endsAt"`.execute(
    db,
  );
  return found.rows;
}
