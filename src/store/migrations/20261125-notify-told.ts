import { Migration } from '@mikro-orm/migrations';

/** What Graph told of a source gets a row of its own: a notification never waits for a reading that holds the source's. */
export class Told extends Migration {
  override name = '20261125-notify-told';

  override up(): void {
    this.addSql(`create table told (source_id text not null,
      version bigint not null default '1',
      done_version bigint not null default '0',
      since timestamptz(3) not null,
      at timestamptz(3) not null, primary key (source_id))`);
    this.addSql(`alter table source drop column follow_up_at`);
  }
}
