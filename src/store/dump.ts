import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Client } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { SyncError } from '../shared/errors.ts';
import { loadStatements, migrationNames } from './migrations.ts';
import { pendingRestore, type Strictness } from './restored.ts';

/** The first line of a dump. Then, for each table, a line of JSON, its rows in COPY's text form, and a line `\.`. */
interface DumpHead {
  readonly format: 'calendar-sync dump';
  readonly version: 1;
  /** Of the program that made it. */
  readonly program: string;
  readonly at: string;
  /** Names of the migrations that its schema has seen, in order. */
  readonly migrations: readonly string[];
  readonly tables: readonly { readonly name: string; readonly columns: readonly string[] }[];
}

const migrationTable = `create table migration (id serial primary key, name varchar(255),
  executed_at timestamptz default current_timestamp)`;
const presence = 'calendar-sync presence';

/**
 * Writes the whole database, as it is at one moment, while others use it. Portable between versions of PostgreSQL and
 * between the embedded database and a server. The job queue is left out: jobs are hints. Gives the number of rows.
 * Throws `store.unreachable`, or what the writing throws.
 */
export async function dumpDatabase(url: string, out: Writable, program: string): Promise<number> {
  return await withClient(url, async (client) => {
    await client.query('begin isolation level repeatable read read only');
    const tables = await tablesOf(client);
    if (!tables.some(({ name }) => name === 'migration')) throw empty();
    const applied = await client.query('select name from migration order by id');
    const clock = await client.query('select clock_timestamp()::text as at');
    const head: DumpHead = {
      format: 'calendar-sync dump',
      version: 1,
      program,
      at: (clock.rows as { at: string }[])[0]?.at ?? '',
      migrations: applied.rows.map(({ name }) => String(name)),
      tables,
    };
    await write(out, `${JSON.stringify(head)}\n`);
    let rows = 0;
    for (const { name, columns } of tables) {
      await write(out, `${JSON.stringify({ table: name })}\n`);
      const stream = client.query(copyTo(`copy ${quoted(name)} (${columns.map(quoted).join(', ')}) to stdout`));
      for await (const chunk of stream) await write(out, chunk as Buffer);
      await write(out, '\\.\n');
      rows += (stream as unknown as { rowCount: number }).rowCount;
    }
    await write(out, `${JSON.stringify({ end: true, rows })}\n`);
    await client.query('commit');
    return rows;
  });
}

export interface LoadOptions {
  /** Throw away what is there. */
  readonly replace: boolean;
  readonly actor: string;
  /** What the audit calls it. */
  readonly archive: string;
}

export interface Loaded {
  readonly rows: number;
  readonly madeAt: string;
  /** Sources that the backup brings back and that the database did not have any more. */
  readonly broughtBack: readonly string[];
}

/**
 * Puts a dump in place of what the database holds, all of it or nothing; newer migrations follow at the next start,
 * together with all that a restore entails (`pendingRestore`). Throws `restore.*`, `store.unreachable`.
 */
export async function loadDump(url: string, input: Readable, options: LoadOptions): Promise<Loaded> {
  const lines = linesOf(input);
  const next = async (): Promise<Buffer> => {
    const line = await lines.next();
    if (line.done === true) throw damaged('it ends too early');
    return line.value;
  };
  const head = readHead((await next()).toString());
  return await withClient(url, async (client) => {
    await client.query('begin');
    await expectNobody(client);
    const before = await presentStrictness(client, options.replace);
    await replaceSchema(client, head);
    let rows = 0;
    for (const table of head.tables) {
      const announced = parsed<{ table?: string }>(await next());
      if (announced.table !== table.name) throw damaged(`table ${table.name} is missing`);
      rows += await loadTable(client, table, next);
    }
    const end = parsed<{ end?: boolean; rows?: number }>(await next());
    if (end.end !== true || end.rows !== rows) throw damaged('its rows do not add up');
    await resetSequences(client);
    const found = await client.query('select id from source');
    const known = new Set(before.map(({ id }) => id));
    const broughtBack =
      before.length === 0 ? [] : found.rows.map(({ id }) => String(id)).filter((id) => !known.has(id));
    await client.query(...pendingRestore({ side: 'database', strictness: before, ...options }));
    await client.query('commit');
    return { rows, madeAt: head.at, broughtBack };
  });
}

function parsed<T extends object>(line: Buffer): Partial<T> {
  try {
    return JSON.parse(line.toString()) as Partial<T>;
  } catch {
    throw damaged('a line is cut off');
  }
}

function readHead(line: string): DumpHead {
  let head: Partial<DumpHead>;
  try {
    head = JSON.parse(line) as Partial<DumpHead>;
  } catch {
    throw damaged('it does not begin as one');
  }
  if (head.format !== 'calendar-sync dump' || head.version !== 1) throw damaged('it does not begin as one');
  const known = new Set(migrationNames);
  const unknown = (head.migrations ?? []).filter((name) => !known.has(name));
  if (unknown.length === 0) return head as DumpHead;
  throw new SyncError(`The backup is of calendar-sync ${head.program ?? ''}, newer than this one`, {
    code: 'restore.newer',
    recovery: { kind: 'operator', remedy: 'Install that version, or a later one, and restore with it.' },
  });
}

async function expectNobody(client: Client): Promise<void> {
  const found = await client.query(
    `select count(*)::int as others from pg_stat_activity where datname = current_database()
      and pid <> pg_backend_pid() and backend_type = 'client backend' and application_name <> $1`,
    [presence],
  );
  if ((found.rows as { others: number }[])[0]?.others === 0) return;
  throw new SyncError('Somebody uses the database', {
    code: 'restore.in_use',
    recovery: {
      kind: 'operator',
      remedy: 'Stop calendar-sync first: docker compose stop middleware worker, or the service.',
    },
  });
}

/** How strict the privacy of today's sources is; empty where the database is. Throws `restore.not_empty`. */
async function presentStrictness(client: Client, mayReplace: boolean): Promise<readonly Strictness[]> {
  const tables = await tablesOf(client);
  if (tables.length > 0 && !mayReplace)
    throw new SyncError('The database is not empty', {
      code: 'restore.not_empty',
      recovery: { kind: 'operator', remedy: 'Restore into an empty one, or throw away what it holds with --replace.' },
    });
  if (!tables.some(({ name }) => name === 'source')) return [];
  const found = await client.query(
    `select id, settings->>'privacy' as privacy, settings->>'privateItems' as "privateItems" from source`,
  );
  return found.rows as readonly Strictness[];
}

/** The schema as the dump's migrations left it, without rows. */
async function replaceSchema(client: Client, head: DumpHead): Promise<void> {
  await client.query('drop schema if exists pgboss cascade');
  for (const { name } of await tablesOf(client)) await client.query(`drop table ${quoted(name)} cascade`);
  const functions = await client.query(`
    select p.oid::regprocedure::text as name from pg_proc p where p.pronamespace = 'public'::regnamespace
      and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')`);
  for (const { name } of functions.rows as { name: string }[]) await client.query(`drop function ${name} cascade`);
  await client.query(migrationTable);
  for (const { name, statements } of await loadStatements())
    if (head.migrations.includes(name)) for (const statement of statements) await client.query(statement);
}

async function loadTable(
  client: Client,
  { name, columns }: DumpHead['tables'][number],
  next: () => Promise<Buffer>,
): Promise<number> {
  // What a migration put there is in the dump too.
  const { rows: put } = await client.query(`select from ${quoted(name)} limit 1`);
  if (put.length > 0) await client.query(`truncate ${quoted(name)}`);
  const stream = client.query(copyFrom(`copy ${quoted(name)} (${columns.map(quoted).join(', ')}) from stdin`));
  const done = finished(stream);
  done.catch(() => undefined); // told when it is awaited
  let rows = 0;
  for (let line = await next(); !isEnd(line); line = await next()) {
    rows += 1;
    stream.cork();
    stream.write(line);
    const isFull = !stream.write('\n');
    stream.uncork();
    if (isFull) await Promise.race([once(stream, 'drain'), done]);
  }
  stream.end();
  try {
    await done;
  } catch (cause) {
    throw damaged(`table ${name} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  return rows;
}

const endMark = Buffer.from('\\.');
const isEnd = (line: Buffer): boolean => line.equals(endMark);

/** Lines end with a line feed and nothing else: a text may hold any other character that somebody takes for a line's end. */
async function* linesOf(input: Readable): AsyncGenerator<Buffer, void> {
  let rest: Buffer[] = [];
  for await (const chunk of input) {
    const bytes = chunk as Buffer;
    let from = 0;
    for (let to = bytes.indexOf(10); to >= 0; to = bytes.indexOf(10, from)) {
      yield Buffer.concat([...rest, bytes.subarray(from, to)]);
      rest = [];
      from = to + 1;
    }
    if (from < bytes.length) rest.push(bytes.subarray(from));
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}

async function resetSequences(client: Client): Promise<void> {
  const found = await client.query(`
    select c.relname as name, a.attname as column, pg_get_serial_sequence(quote_ident(c.relname), a.attname) as sequence
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
      and pg_get_serial_sequence(quote_ident(c.relname), a.attname) is not null`);
  for (const { name, column, sequence } of found.rows)
    await client.query(
      `select setval($1, greatest(1, (select coalesce(max(${quoted(String(column))}), 0) + 1 from ${quoted(String(name))})), false)`,
      [sequence],
    );
}

async function tablesOf(client: Client): Promise<{ readonly name: string; readonly columns: readonly string[] }[]> {
  const found = await client.query(`
    select c.relname as name, json_agg(a.attname order by a.attnum) as columns
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace group by c.relname order by c.relname`);
  return found.rows as { name: string; columns: string[] }[];
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, application_name: 'calendar-sync backup' });
  client.on('error', () => undefined); // the query that runs tells it
  try {
    await client.connect();
  } catch (cause) {
    throw new SyncError(`PostgreSQL does not answer: ${cause instanceof Error ? cause.message : String(cause)}`, {
      code: 'store.unreachable',
      field: 'DATABASE_URL',
      recovery: { kind: 'operator', remedy: 'Check that the server runs, and DATABASE_URL.' },
      cause,
    });
  }
  try {
    return await work(client);
  } finally {
    // Whatever was not committed is undone with the connection.
    await client.end().catch(() => undefined);
  }
}

async function write(out: Writable | NodeJS.WritableStream, data: string | Buffer): Promise<void> {
  if (!out.write(data)) await once(out, 'drain');
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function empty(): SyncError {
  return new SyncError('The database holds nothing of calendar-sync', {
    code: 'backup.empty',
    recovery: { kind: 'operator', remedy: 'Check DATABASE_URL or DATA_DIR; there is nothing to back up.' },
  });
}

function damaged(what: string): SyncError {
  return new SyncError(`The backup of the database is damaged: ${what}`, {
    code: 'restore.damaged',
    recovery: { kind: 'operator', remedy: 'Take another one.' },
  });
}
