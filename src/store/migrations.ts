import type { Constructor } from '@mikro-orm/core';
import type { Migration } from '@mikro-orm/migrations';

type MigrationClass = Constructor<Migration>;
type Load = () => Promise<Readonly<Record<string, MigrationClass>>>;

/**
 * All of them under the names by which databases know them, in the order in which they were landed. Forward only; one
 * that has been released is never changed. Loaded where one has to run, for they bring MikroORM with them.
 */
const loaders: Readonly<Record<string, Load>> = {
  '20261122-initial': () => import('./migrations/20261122-initial.ts'),
  '20261125-tenants-access': () => import('./migrations/20261125-tenants-access.ts'),
  '20261125-consolidation-books': () => import('./migrations/20261125-consolidation-books.ts'),
  '20261125-notify-told': () => import('./migrations/20261125-notify-told.ts'),
  '20261125-production-restore': () => import('./migrations/20261125-production-restore.ts'),
  '20261125-reading-comparison': () => import('./migrations/20261125-reading-comparison.ts'),
  '20261125-mapping-flow-signatures': () => import('./migrations/20261125-mapping-flow-signatures.ts'),
  '20261125-notify-engine': () => import('./migrations/20261125-notify-engine.ts'),
  '20261126-members-index': () => import('./migrations/20261126-members-index.ts'),
  '20261126-reading-halvings': () => import('./migrations/20261126-reading-halvings.ts'),
  '20261126-reading-trials': () => import('./migrations/20261126-reading-trials.ts'),
  '20261126-object-uid': () => import('./migrations/20261126-object-uid.ts'),
  '20261127-claims-ahead': () => import('./migrations/20261127-claims-ahead.ts'),
};

export const migrationNames: readonly string[] = Object.keys(loaders);

export async function loadMigrations(): Promise<{ readonly name: string; readonly class: MigrationClass }[]> {
  return await Promise.all(
    Object.entries(loaders).map(async ([name, load]) => {
      const [only] = Object.values(await load());
      if (only === undefined) throw new Error(`Migration ${name} exports no class.`);
      return { name, class: only };
    }),
  );
}

/** Of each migration only the statements: for a schema as it was when a backup was made. */
export async function loadStatements(): Promise<{ readonly name: string; readonly statements: readonly string[] }[]> {
  const all = await loadMigrations();
  return all.map(({ name, class: Class }) => {
    const migration = new Class();
    void migration.up();
    return { name, statements: migration.getQueries().map(String) };
  });
}
