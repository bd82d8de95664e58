import { Migration } from '@mikro-orm/migrations';

/** Whose occurrence a removed id is, asked of a million claims at each page with removals. */
export class MembersIndex extends Migration {
  override name = '20261126-members-index';

  override up(): void {
    this.addSql(`create index claim_members on claim using gin (members) where members <> '{}'`);
  }
}
