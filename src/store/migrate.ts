import { Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { entities } from './entities.ts';
import { loadMigrations } from './migrations.ts';

/** Runs what the database has not seen yet, in order. The caller sees to it that nobody else does at the same time. */
export async function runMigrations(url: string): Promise<void> {
  const orm = await MikroORM.init({
    entities,
    clientUrl: url,
    // As for all other connections: the ORM by itself knows nothing of sslmode and the like.
    driverOptions: { connectionString: url },
    pool: { min: 0, max: 2 },
    extensions: [Migrator],
    migrations: { migrationsList: await loadMigrations(), tableName: 'migration', snapshot: false, silent: true },
    discovery: { warnWhenNoEntities: false },
    logger: () => undefined,
  });
  try {
    await orm.migrator.up();
  } finally {
    await orm.close(true);
  }
}
