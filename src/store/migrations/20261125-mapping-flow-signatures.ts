import { Migration } from '@mikro-orm/migrations';

/** Signatures of flows' posts are remembered where every process sees them; a signed post stores once. */
export class FlowSignatures extends Migration {
  override name = '20261125-mapping-flow-signatures';

  override up(): void {
    this.addSql(`create table flow_signature (source_id text not null,
      signature text not null,
      until timestamptz(3) not null, primary key (source_id, signature))`);
  }
}
