import { Migration } from '@mikro-orm/migrations';

/** `explain` is asked for the UID that a calendar program shows. */
export class ObjectUid extends Migration {
  override name = '20261126-object-uid';

  override up(): void {
    this.addSql(`create index object_uid on object (uid)`);
  }
}
