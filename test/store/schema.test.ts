import { afterAll, describe, expect, it } from '@jest/globals';
import { MikroORM } from '@mikro-orm/postgresql';
import { entities } from '../../src/store/entities.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase | null = null;
afterAll(() => database?.drop());

describe('the entities', () => {
  it('describe the schema that the migrations make', async () => {
    database = await createMigratedDatabase();
    const orm = await MikroORM.init({ entities, clientUrl: database.url, discovery: { warnWhenNoEntities: false } });
    try {
      const difference = await orm.schema.getUpdateSchemaSQL({ dropTables: false });
      // Indexes and triggers are the migration's own: entities cannot say them.
      const statements = difference
        .split('\n')
        .filter((line) => line.trim() !== '' && !/^(drop (index|trigger|function)|set names)/i.test(line));
      expect(statements).toEqual([]);
    } finally {
      await orm.close(true);
    }
  });
});
