import { Migration } from '@mikro-orm/migrations';

/** The audit log takes lines and loses none; meetings of a forgotten tenant leave the target without a trace. */
export class ConsolidationBooks extends Migration {
  override name = '20261125-consolidation-books';

  override up(): void {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  `create function refuse_change() returns trigger language plpgsql as $$
    begin raise exception 'the table % is append-only', tg_table_name; end $$`,
  `create trigger audit_append_only before update or delete on audit for each row execute function refuse_change()`,
  `create trigger audit_no_truncate before truncate on audit for each statement execute function refuse_change()`,
  `alter table meeting add column is_forgotten boolean not null default false`,
  `create index meeting_forgotten on meeting (target_id) where is_forgotten`,
  `create index meeting_pinned on meeting (target_id) where pinned_source_id is not null`,
  // What a source's privacy or a tenant's end takes away is found by the source.
  `create index trash_source on trash (source_id)`,
  `create index history_target_at on sync_history (target_id, at)`,
  `create index conflict_opened on conflict (opened_at)`,
];
