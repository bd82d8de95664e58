import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';

import { findBinaries } from '../../src/store/embedded-binaries.ts';
import { startEmbedded } from '../../src/store/embedded-postgres.ts';

/** For tests that need no empty folder: making a database takes a second. */
let shared: string;
let folder: string;
let children: ChildProcess[];

beforeAll(() => {
  shared = aFolder();
});

afterAll(() => rmSync(shared, { recursive: true, force: true }));

beforeEach(() => {
  folder = aFolder();
  children = [];
});

afterEach(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) await leaving(child);
  rmSync(folder, { recursive: true, force: true });
});

describe('when two processes start at once on an empty folder', () => {
  it('gives both one database, which outlives the kill -9 of one and stops with the other, unharmed', async () => {
    const dataDir = join(folder, 'data');
    const [first, second] = await Promise.all([starting(dataDir), starting(dataDir)]);
    expect(first.url).toBe(second.url);
    await sql(first.url, 'create table note (text text)', "insert into note values ('kept')");

    first.child.kill('SIGKILL');
    await once(first.child, 'close');
    expect(await sql(second.url, 'select text from note')).toEqual([{ text: 'kept' }]);

    await leaving(second.child);
    await expect(sql(second.url, 'select 1')).rejects.toThrow('ENOENT');
    expect(readdirSync(dataDir)).toEqual(['postgres']);

    const before = Date.now();
    const next = await startEmbedded(dataDir);
    expect(Date.now() - before).toBeLessThan(2_000);
    expect(await sql(next.url, 'select text from note')).toEqual([{ text: 'kept' }]);
    await next.stop();
  });

  it('lets a process that comes while the last one goes start the database again', async () => {
    const dataDir = join(folder, 'data');
    let last = await startEmbedded(dataDir);
    for (let turn = 0; turn < 3; turn += 1) {
      const [next] = await Promise.all([startEmbedded(dataDir), last.stop()]);
      expect(await sql(next.url, 'select 1 as one')).toEqual([{ one: 1 }]);
      last = next;
    }
    await last.stop();
  });
});

describe('the embedded database', () => {
  it('stays up until the last of its users stops, whatever their order', async () => {
    const one = await startEmbedded(shared);
    const two = await startEmbedded(shared);
    await one.stop();
    await one.stop();
    expect(await sql(two.url, 'select current_user, current_database()')).toEqual([
      { current_user: 'calendaruser', current_database: 'calendardb' },
    ]);
    await two.stop();
    expect(existsSync(join(shared, 'postgres', 'postmaster.pid'))).toBe(false);
  });

  it('is started again by its user after it was killed', async () => {
    const embedded = await startEmbedded(shared);
    await sql(embedded.url, 'create table kept (text text)', "insert into kept values ('committed')");
    process.kill(postmaster(), 'SIGKILL');
    expect(await answering(embedded.url, 'select text from kept')).toEqual([{ text: 'committed' }]);
    await embedded.stop();
  });

  it('is reachable by a socket only, in a folder closed to others', async () => {
    const embedded = await startEmbedded(shared);
    expect(await sql(embedded.url, 'show listen_addresses')).toEqual([{ listen_addresses: '' }]);
    expect(statSync(join(shared, 'postgres')).mode & 0o077).toBe(0);
    await embedded.stop();
  });

  it('works under a path too long for a socket, with blanks, quotes and commas in it', async () => {
    const dataDir = join(folder, `it's a long, way`, 'down/'.repeat(25));
    const embedded = await startEmbedded(dataDir);
    expect(await sql(embedded.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await embedded.stop();
    rmSync(decodeURIComponent(new URL(embedded.url).hostname), { recursive: true });
  });

  it('works under a short path with blanks, quotes and commas in it', async () => {
    const embedded = await startEmbedded(join(folder, `it's, so`));
    expect(await sql(embedded.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await embedded.stop();
  });

  it('starts although the lock of a dead server names a living program', async () => {
    await (await startEmbedded(shared)).stop();
    await writeFile(join(shared, 'postgres', 'postmaster.pid'), `${process.pid}\n${shared}/postgres\n1\n5432\n`);
    const embedded = await startEmbedded(shared);
    expect(await sql(embedded.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await embedded.stop();
  });

  it('removes the half-made cluster of a process that was killed', async () => {
    const { child } = await starting(join(folder, 'elsewhere'));
    const draft = join(folder, `postgres.new.${child.pid ?? 0}.0a0b0c0d`);
    mkdirSync(draft);
    child.kill('SIGKILL');
    await once(child, 'close');
    const embedded = await startEmbedded(folder);
    expect(existsSync(draft)).toBe(false);
    await embedded.stop();
    await (await startEmbedded(join(folder, 'elsewhere'))).stop(); // the orphan of the killed one
  });

  it('says what to do where its binaries are not installed', async () => {
    await expect(findBinaries('riscv64')).rejects.toMatchObject({
      code: 'store.embedded_unavailable',
      field: 'DATABASE_URL',
      message: 'No embedded PostgreSQL for linux-riscv64: @embedded-postgres/linux-riscv64 is not installed',
    });
  });

  it('runs below a folder of root that is closed to the account that runs PostgreSQL', async () => {
    const closed = join(folder, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const embedded = await startEmbedded(join(closed, 'data'));
    expect(await sql(embedded.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await embedded.stop();
  });
});

function aFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'embedded-'));
  chmodSync(made, 0o755); // root's PostgreSQL runs under another account
  return made;
}

async function starting(dataDir: string): Promise<{ child: ChildProcess; url: string }> {
  const script = join(import.meta.dirname, '../support/embedded-process.ts');
  const child = spawn(process.execPath, [script, dataDir], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, url: line.toString().trim().replace('ready ', '') };
}

async function leaving(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close');
  child.stdin?.end();
  await closed;
}

function postmaster(): number {
  return Number.parseInt(readFileSync(join(shared, 'postgres', 'postmaster.pid'), 'utf8'), 10);
}

async function sql(url: string, ...statements: string[]): Promise<unknown> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    let rows: unknown;
    for (const statement of statements) rows = (await client.query(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

/** The same, once the database answers. */
async function answering(url: string, statement: string): Promise<unknown> {
  for (;;) {
    try {
      return await sql(url, statement);
    } catch {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
