import { Migration } from '@mikro-orm/migrations';

/** How often a longer window than the halved one was tried in vain. */
export class ReadingTrials extends Migration {
  override name = '20261126-reading-trials';

  override up(): void {
    this.addSql(`alter table stream add column failed_trials int not null default 0`);
  }
}
