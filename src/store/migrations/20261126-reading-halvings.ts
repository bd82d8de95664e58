import { Migration } from '@mikro-orm/migrations';

/** A window that Graph cannot answer for is read shorter. */
export class ReadingHalvings extends Migration {
  override name = '20261126-reading-halvings';

  override up(): void {
    this.addSql(`alter table stream add column halvings int not null default 0`);
  }
}
