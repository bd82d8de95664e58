import { Migration } from '@mikro-orm/migrations';

/** The few claims whose lastModified lay ahead of our clock when they were read: asked for again and again. */
export class ClaimsAhead extends Migration {
  override name = '20261127-claims-ahead';

  override up(): void {
    this.addSql(`create index claim_ahead on claim (last_modified_at) where last_modified_at > read_at`);
  }
}
