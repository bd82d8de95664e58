import { Migration } from '@mikro-orm/migrations';

/** What a reading cost and did, whether a full one is routine, and how source and target compare. */
export class ReadingComparison extends Migration {
  override name = '20261125-reading-comparison';

  override up(): void {
    this.addSql('alter table stream add column is_routine boolean not null default false');
    this.addSql('alter table source add column last_reading jsonb null');
    this.addSql('alter table source add column drift integer null');
    this.addSql('alter table source add column compared_at timestamptz(3) null');
    this.addSql('alter table source add column compare_at timestamptz(3) null');
  }
}
