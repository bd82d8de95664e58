import { Migration } from '@mikro-orm/migrations';

/** After a restore a target waits until the operator has seen what would be written. */
export class ProductionRestore extends Migration {
  override name = '20261125-production-restore';

  override up(): void {
    this.addSql(`alter table target add column restored_at timestamptz(3) null`);
    this.addSql(`alter table target add column review text null`);
    this.addSql(`alter table target add column is_rewrite_wanted boolean not null default false`);
  }
}
