import type { Migration } from '@mikro-orm/migrations';
import { Initial } from './migrations/20261122-initial.ts';
import { ConsolidationBooks } from './migrations/20261125-consolidation-books.ts';
import { FlowSignatures } from './migrations/20261125-mapping-flow-signatures.ts';
import { Engine } from './migrations/20261125-notify-engine.ts';
import { Told } from './migrations/20261125-notify-told.ts';
import { ProductionRestore } from './migrations/20261125-production-restore.ts';
import { TenantsAccess } from './migrations/20261125-tenants-access.ts';
import { MembersIndex } from './migrations/20261126-members-index.ts';
import { ReadingHalvings } from './migrations/20261126-reading-halvings.ts';
import { ReadingComparison } from './migrations/20261125-reading-comparison.ts';

/** All of them, in the order in which they were landed. Forward only; one that has been released is never changed. */
export const migrationClasses = [
  Initial,
  TenantsAccess,
  ConsolidationBooks, // one a line: several hands add here
  Told,
  ProductionRestore,
  ReadingComparison,
  FlowSignatures,
  Engine,
  MembersIndex,
  ReadingHalvings,
];

/** Of a migration only the statements: for a schema as it was when a backup was made. */
export const migrations = migrationClasses.map((Class) => {
  const statements = (): readonly string[] => {
    const migration: Migration = new (Class as new () => Migration)();
    void migration.up();
    return migration.getQueries().map(String);
  };
  return { name: new (Class as new () => Migration)().name ?? Class.name, statements };
});
