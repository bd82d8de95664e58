import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { SecretBox } from '../../src/shared/secret-box.ts';
import { loadModel } from '../../src/store/configuration.ts';
import { resealSecrets, sealedColumns } from '../../src/store/sealed-secrets.ts';
import { oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';

const [former, next, lost] = [Buffer.alloc(32, 0xab), Buffer.alloc(32, 2), Buffer.alloc(32, 3)];
let world: OneCalendar;
beforeAll(async () => {
  world = await oneCalendar();
});
afterAll(() => world.close());

describe('rotating the encryption key', () => {
  it('knows every column of sealed secrets', async () => {
    const found = await sql<{ name: string }>`
      select table_name || '.' || column_name as name from information_schema.columns
      where table_schema = 'public' and table_name <> 'consent_state' and column_name like '%\_sealed' order by 1`.execute(
      world.stage.product.store.db,
    );
    expect(sealedColumns.map(({ table, column }) => `${table}.${column}`).toSorted()).toEqual(
      found.rows.map(({ name }) => name),
    );
  });

  it('seals all secrets anew, goes on where it was cut off, and then has nothing to do', async () => {
    const { db } = world.stage.product.store;
    const before = await loadModel(db, new SecretBox(former));
    const progress: string[] = [];
    const cut = resealSecrets(db, new SecretBox(next, [former]), (done, all) => {
      progress.push(`${done}/${all}`);
      throw new Error('killed');
    });
    await expect(cut).rejects.toThrow('killed');

    const both = new SecretBox(next, [former]);
    expect(await resealSecrets(db, both, (done, all) => progress.push(`${done}/${all}`))).toEqual({
      sealed: 1,
      unreadable: [],
    });
    expect(progress).toEqual(['1/2', '1/1']);
    expect(await resealSecrets(db, both, () => undefined)).toEqual({ sealed: 0, unreadable: [] });
    expect(await loadModel(db, new SecretBox(next))).toEqual(before);
  });

  it('tells which secrets no key opens, and leaves them as they are', async () => {
    const { db } = world.stage.product.store;
    const all = await resealSecrets(db, new SecretBox(lost), () => undefined);
    expect(all).toEqual({ sealed: 0, unreadable: ['tenant:contoso:secret', 'target:me:password'] });

    const told = await runCli(world.stage, ['rotate-key', '--json']);
    expect(told.code).toBe(1);
    expect(JSON.parse(told.out)).toMatchObject({ sealed: 0, unreadable: all.unreadable });
    const audit = await sql<{ action: string }>`select action from audit where action = 'key.rotate'`.execute(db);
    expect(audit.rows).toHaveLength(1);
  });
});
