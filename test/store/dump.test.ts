import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { sql } from 'kysely';
import { Client } from 'pg';
import { openStore } from '../../src/store/database.ts';
import { dumpDatabase, loadDump } from '../../src/store/dump.ts';
import { loadStatements } from '../../src/store/migrations.ts';
import { createDatabase, createMigratedDatabase, type TestDatabase } from '../support/database.ts';

jest.setTimeout(120_000);

const databases: TestDatabase[] = [];
afterAll(async () => {
  for (const database of databases) await database.drop();
});
async function a(making: Promise<TestDatabase>): Promise<string> {
  const database = await making;
  databases.push(database);
  return database.url;
}

async function onClient(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await work(client);
  await client.end();
}

async function dump(url: string): Promise<Buffer> {
  const out = new PassThrough();
  const read = buffer(out);
  await dumpDatabase(url, out, '0.1.0');
  out.end();
  return await read;
}

const options = { replace: true, actor: 'test', archive: 'a' };
const load = (url: string, bytes: Buffer, chunk = bytes.length): Promise<unknown> => {
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, at) =>
    bytes.subarray(at * chunk, (at + 1) * chunk),
  );
  return loadDump(url, Readable.from(chunks), options);
};

/** What is hard to write down: separators of all kinds, escapes, JSON's null, numbers beyond what a double holds. */
const awkward = 'tab\tline\nreturn\rback\\slash \\. \u2028 \u2029 \u0085 \u{1F600} "quotes"';

describe('a dump of the database', () => {
  it('brings every row back as it was, in whatever pieces it arrives', async () => {
    const from = await a(createMigratedDatabase());
    await onClient(from, async (client) => {
      await client.query(
        `insert into claim (source_id, key, series, slot, detail, round, content, members, changed_at, read_at)
         values ('s', $1, $2, '*', 'full', 9007199254740993, 'x', '{-9223372036854775808, 9007199254740993}', now(), now()),
           ('s', '\\.', null, '*', 'full', 1, '', '{}', now(), now())`,
        [awkward, JSON.stringify({ text: awkward, none: null })],
      );
      await client.query(
        `insert into conflict (meeting_id, field, shown, other, rule, opened_at) values (1, 'f', 'null', '{}', $1, now())`,
        [awkward],
      );
    });
    const bytes = await dump(from);
    const to = await a(createDatabase());
    await load(to, bytes, 7);

    const rows = `select (select json_agg(c order by id) from claim c)::text || (select json_agg(c) from conflict c)::text as all`;
    const all: unknown[] = [];
    for (const url of [from, to]) await onClient(url, async (client) => all.push((await client.query(rows)).rows[0]));
    expect(all[1]).toEqual(all[0]);
    // New rows get new numbers.
    await onClient(to, async (client) => {
      const made = await client.query(
        `insert into claim (source_id, key, slot, detail, round, content, changed_at, read_at)
         values ('s', 'new', '*', 'full', 1, '', now(), now()) returning id`,
      );
      expect(Number((made.rows as { id: string }[])[0]?.id)).toBeGreaterThan(2);
    });
  });

  it('of any older schema is brought up to date at the next start', async () => {
    const migrations = await loadStatements();
    for (let count = 1; count <= migrations.length; count += 1) {
      const applied = migrations.slice(0, count);
      const old = await a(createDatabase());
      await onClient(old, async (client) => {
        await client.query(
          'create table migration (id serial primary key, name varchar(255), executed_at timestamptz default now())',
        );
        for (const { name, statements } of applied) {
          for (const statement of statements) await client.query(statement);
          await client.query('insert into migration (name) values ($1)', [name]);
        }
        await client.query(`insert into target (id, url, username, strategy, dedupe, drift, updated_at)
          values ('me', 'http://x/', 'u', 'priority', 'target', 'repair', now())`);
      });
      const to = await a(createDatabase());
      await load(to, await dump(old));
      const store = await openStore(to);
      const found = await sql<{ id: string; review: string }>`select id, review from target`.execute(store.db);
      await store.close();
      expect(found.rows).toEqual([{ id: 'me', review: 'waiting' }]);
    }
  });

  it('that is cut off, altered or of a newer version changes nothing', async () => {
    const from = await a(createMigratedDatabase());
    const to = await a(createMigratedDatabase());
    const mark = `insert into setting (name, value) values ('mark', 'stays')`;
    await onClient(to, (client) => client.query(mark));
    const bytes = await dump(from);
    const text = bytes.toString();
    const wrong: [Buffer, string][] = [
      [bytes.subarray(0, bytes.length - 10), 'restore.damaged'],
      [bytes.subarray(0, bytes.length >> 1), 'restore.damaged'],
      [Buffer.from(text.replace('{"table":"claim"}', '{"table":"clam"}')), 'restore.damaged'],
      [Buffer.from(text.replace('"migrations":[', '"migrations":["20991231-later",')), 'restore.newer'],
      [Buffer.from('something else'), 'restore.damaged'],
    ];
    for (const [content, code] of wrong) await expect(load(to, content)).rejects.toMatchObject({ code });
    await onClient(to, async (client) => {
      const found = await client.query(`select value from setting where name = 'mark'`);
      expect(found.rows).toEqual([{ value: 'stays' }]);
      await expect(load(to, bytes)).rejects.toMatchObject({ code: 'restore.in_use' });
    });
  });
});
