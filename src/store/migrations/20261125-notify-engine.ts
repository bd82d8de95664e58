import { Migration } from '@mikro-orm/migrations';

/** Pace towards tenants, how fresh what shows is, and what was told to the operator. */
export class Engine extends Migration {
  override name = '20261125-notify-engine';

  override up(): void {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  `alter table lease add column tenant_id text null`,
  // Those who read a tenant now, counted before each reading of it.
  `create index lease_tenant on lease (tenant_id) where holder is not null and tenant_id is not null`,
  `create table tenant_pace (tenant_id text not null,
    cap double precision not null,
    throttled_at timestamptz(3) null, primary key (tenant_id))`,
  `alter table source add column slowed int not null default 0`,
  `alter table source add column slowed_at timestamptz(3) null`,
  `alter table source add column push_missed_at timestamptz(3) null`,
  `alter table claim add column told_at timestamptz(3) null`,
  `alter table claim add column is_live boolean not null default false`,
  `create table freshness (
    id bigserial primary key,
    source_id text not null,
    at timestamptz(3) not null,
    change_ms double precision null,
    told_ms double precision null,
    read_ms double precision not null)`,
  `create index freshness_source_at on freshness (source_id, at)`,
  `create table alarm (key text not null,
    kind text not null,
    subject text not null,
    message text not null,
    remedy text null,
    since timestamptz(3) not null,
    raised_at timestamptz(3) not null,
    cleared_at timestamptz(3) null, primary key (key))`,
  `create table alarm_notice (
    id bigserial primary key,
    alarm_key text not null,
    raised_at timestamptz(3) not null,
    what text not null,
    channel text not null,
    text jsonb not null,
    attempts int not null default 0,
    not_before timestamptz(3) null,
    sent_at timestamptz(3) null,
    failure text null)`,
  `create unique index alarm_notice_once on alarm_notice (alarm_key, raised_at, what, channel)`,
  `create index alarm_notice_due on alarm_notice (id) where sent_at is null`,
];
