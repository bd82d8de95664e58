import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

import { Client } from 'pg';

import { openHints } from '../../src/jobs/hints.ts';
import { nullLog } from '../../src/shared/log.ts';
import { openStore } from '../../src/store/database.ts';

export interface TestDatabase {
  readonly url: string;
  /** Ends all connections to it. */
  drop(): Promise<void>;
}

const MIGRATED = 'migrated_template';

/** A fresh, empty database of the run's PostgreSQL, or a clone of `template`. About 20 ms. */
export async function createDatabase(template = 'template0'): Promise<TestDatabase> {
  const server = await serverUrl();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onServer(server, (client) => client.query(`create database ${name} template ${template} strategy file_copy`));
  return {
    url: urlOf(server, name),
    drop: async () => {
      await onServer(server, (client) => client.query(`drop database ${name} with (force)`));
    },
  };
}

/** A database with today's schema, its queues included; migrated once per run, then cloned. */
export async function createMigratedDatabase(): Promise<TestDatabase> {
  const server = await serverUrl();
  await onServer(server, async (client) => {
    await client.query('select pg_advisory_lock(1, 1)'); // several workers; the lock ends with the connection
    const { rows } = await client.query('select from pg_database where datname = $1', [MIGRATED]);
    if (rows.length > 0) return;
    await client.query(`drop database if exists ${MIGRATED}_draft with (force)`);
    await client.query(`create database ${MIGRATED}_draft template template0`);
    const store = await openStore(urlOf(server, `${MIGRATED}_draft`));
    await store.close();
    const hints = await openHints(urlOf(server, `${MIGRATED}_draft`), nullLog);
    await hints.stop();
    await client.query(`alter database ${MIGRATED}_draft rename to ${MIGRATED}`);
  });
  return await createDatabase(MIGRATED);
}

async function serverUrl(): Promise<string> {
  const socketPath = process.env['TEST_DATABASE_SOCKET'];
  if (socketPath === undefined) throw new Error('jest was started without globalSetup test/support/database-setup.ts');
  const answer = JSON.parse(await text(connect(socketPath))) as { url?: string; error?: string };
  if (answer.url === undefined) throw new Error(answer.error);
  return answer.url;
}

function urlOf(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

async function onServer(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
