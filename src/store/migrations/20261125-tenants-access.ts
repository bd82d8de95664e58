import { Migration } from '@mikro-orm/migrations';

/** How tenants let us in: consent links, proofs, sign-ins, withdrawals. */
export class TenantsAccess extends Migration {
  override name = '20261125-tenants-access';

  override up(): void {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  `alter table tenant add column secret_expires_at timestamptz(3) null`,
  `alter table tenant add column keep_withdrawn_days int not null default 30`,
  `create table tenant_access (
    tenant_id text not null,
    state text not null default 'unasked',
    granted_at timestamptz(3) null,
    granted_by text null,
    declined_at timestamptz(3) null,
    control_mailbox text null,
    control_state text null,
    ceiling text null,
    ceiling_at timestamptz(3) null,
    proven_at timestamptz(3) null,
    tried_at timestamptz(3) null,
    next_try_at timestamptz(3) null,
    failures int not null default 0,
    code text null,
    reason text null,
    remedy text null,
    warned_of text null,
    behaviours jsonb null,
    probed_at timestamptz(3) null, primary key (tenant_id))`,
  `create table mailbox_access (
    tenant_id text not null,
    mailbox text not null,
    state text not null,
    code text null,
    reason text null,
    remedy text null,
    readable_at timestamptz(3) null,
    tried_at timestamptz(3) not null, primary key (tenant_id,
    mailbox))`,
  `create table consent_link (
    id text not null,
    tenant_id text not null,
    created_at timestamptz(3) not null,
    expires_at timestamptz(3) not null,
    closed_at timestamptz(3) null, primary key (id))`,
  `create table consent_state (
    id text not null,
    tenant_id text not null,
    link_id text not null,
    kind text not null,
    mailbox text null,
    verifier_sealed text null,
    expires_at timestamptz(3) not null,
    used_at timestamptz(3) null, primary key (id))`,
  `create table sign_in (
    tenant_id text not null,
    mailbox text not null,
    account text not null,
    username text not null,
    cache_sealed text not null,
    version bigint not null default '1',
    signed_in_at timestamptz(3) not null,
    refreshed_at timestamptz(3) not null,
    expires_at timestamptz(3) null,
    warned_of text null, primary key (tenant_id,
    mailbox))`,
  `create table withdrawal (
    source_id text not null,
    code text not null,
    since timestamptz(3) not null,
    proven_at timestamptz(3) not null,
    told_days int null,
    removed_at timestamptz(3) null, primary key (source_id))`,
  `create table source_calendar (
    source_id text not null,
    wanted text not null,
    calendar_id text not null,
    name text not null,
    owner text null,
    is_own boolean not null,
    color text null,
    seen_at timestamptz(3) not null, primary key (source_id))`,
  `create index consent_link_tenant on consent_link (tenant_id)`,
];
