import { createHash } from 'node:crypto';
import type { Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import { closeServer, createApp, listen } from '../../src/http/app.ts';
import { createLog } from '../../src/shared/log.ts';
import { SecretBox } from '../../src/shared/secret-box.ts';
import { saveSource, saveTarget } from '../../src/store/configuration.ts';
import { openStore, type Store } from '../../src/store/database.ts';
import { acquireSourceLease } from '../../src/store/source-lease.ts';
import { dueSources } from '../../src/store/sources.ts';
import { recordAttempt, recordCreated } from '../../src/store/subscriptions.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';
import { until } from '../support/until.ts';

const secret = 'the-secret-part-of-the-path';
const apiKey = 'key-of-the-operator';
const box = new SecretBox(Buffer.alloc(32, 1));

let database: TestDatabase;
let store: Store;
let server: Server;
let hinted: string[];
let lines: string[];

/** Sources `a` and `b` share subscription `one`, `c` has `two`; client states are `state of <id>`. */
beforeAll(async () => {
  database = await createMigratedDatabase();
  store = await openStore(database.url);
  await saveTarget(store.db, box, aTarget('http://127.0.0.1:9/'));
  for (const [id, graphId] of [
    ['a', 'one'],
    ['b', 'one'],
    ['c', 'two'],
  ] as const) {
    const source = aGraphSource({ id, tenant: 't', mailbox: 'm@t.example' });
    await saveSource(store.db, box, source, 0, { bumpsEpoch: false, fullReading: false, isOther: false });
    const clientStateHash = createHash('sha256').update(`state of ${graphId}`).digest('hex');
    await recordAttempt(store.db, {
      sourceId: id,
      tenantId: 't',
      mailbox: 'm@t.example',
      calendar: 'default',
      scope: 'calendar',
      resource: '/users/m/events',
      clientStateHash,
      url: 'https://calendar.example',
      minutes: 4_200,
      at: new Date(),
    });
    const life = { graphId, expiresAt: '2030-01-01T00:00:00Z', renewAt: new Date('2029-01-01T00:00:00Z') };
    await recordCreated(store.db, id, clientStateHash, { ...life, at: new Date() });
  }
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

beforeEach(async () => {
  await sql`update source set done_version = wanted_version`.execute(store.db);
  await sql`delete from told`.execute(store.db);
  hinted = [];
  lines = [];
  await open(store);
});

afterEach(() => closeServer(server));

async function open(on: Store): Promise<void> {
  const console = { write: (line: string) => void lines.push(line) };
  const log = createLog({ level: 'debug', console, files: null });
  // An app of the test before may still have a hint to give.
  const here = hinted;
  const notifications = { db: on.db, secret, hint: (id: string) => void here.push(id) };
  const app = createApp({ db: on.db, log, apiKey, version: '1.2.3', startedAt: new Date(), notifications });
  server = await listen(app, '127.0.0.1', 0);
}

const port = (): number => (server.address() as AddressInfo).port;
const address = (path: string): string => `http://127.0.0.1:${port()}${path}`;
const notifications = `/api/graph/notifications/${secret}`;
const lifecycle = `/api/graph/lifecycle/${secret}`;

async function post(body: unknown, path = notifications, type = 'application/json; charset=utf-8'): Promise<number> {
  const response = await fetch(address(path), {
    method: 'POST',
    headers: { 'content-type': type },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  await response.arrayBuffer();
  return response.status;
}

const item = (id: string, more: object = {}): object => ({
  subscriptionId: id,
  clientState: `state of ${id}`,
  changeType: 'updated',
  tenantId: `tenant of ${id}`,
  resource: 'Users/m/Events/e',
  resourceData: { '@odata.type': '#Microsoft.Graph.Event', id: 'e' },
  ...more,
});

async function wanted(): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select source_id as id from told where version > done_version order by 1`.execute(store.db);
  return rows.map(({ id }) => id);
}

async function counts(): Promise<unknown> {
  const response = await fetch(address('/api/stats'), { headers: { 'x-api-key': apiKey } });
  return ((await response.json()) as { notifications: unknown }).notifications;
}

describe('the handshake', () => {
  it.each([
    ['prose', 'Validation: Testing client application reachability for subscription Request-Id: 1 + 1 = 2, 100%'],
    ['a script', '<script>alert(1)</script>'],
    ['other letters', 'prüfen – 検証'],
  ])('gives back a token of %s, decoded once, as plain text and nothing else', async (_, token) => {
    for (const path of [notifications, lifecycle]) {
      const response = await fetch(address(`${path}?${new URLSearchParams({ validationToken: token }).toString()}`), {
        method: 'POST',
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        body: '{ this is no JSON',
      });
      expect(response.status).toBe(200);
      expect(await response.text()).toBe(token);
      expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    }
  });

  it('is refused under another path', async () => {
    const response = await fetch(address('/api/graph/notifications/guess?validationToken=t'), { method: 'POST' });
    expect(response.status).toBe(404);
    expect(await response.text()).not.toContain('validationToken');
  });
});

describe('a source that was told of', () => {
  const version = async (): Promise<unknown> =>
    (await sql<{ version: string }>`select version::text from told where source_id = 'c'`.execute(store.db)).rows[0]
      ?.version;

  it('and waits to be read is not told of again: whoever begins reads that too', async () => {
    for (let turn = 0; turn < 3; turn += 1) expect(await post({ value: [item('two')] })).toBe(202);
    expect(await version()).toBe('1');
    expect(await wanted()).toEqual(['c']);
  });

  it('and is being read is read once more', async () => {
    await post({ value: [item('two')] });
    await acquireSourceLease(store.db, 'c', 'a worker', 60_000, () => false);
    await post({ value: [item('two')] });
    expect(await version()).toBe('2');
    await sql`update lease set holder = null`.execute(store.db);
    await sql`update told set done_version = 1`.execute(store.db);
    expect(await wanted()).toEqual(['c']);
  });

  it('and was read since then is told of again', async () => {
    await post({ value: [item('two')] });
    await sql`update told set done_version = version`.execute(store.db);
    await post({ value: [item('two')] });
    expect(await wanted()).toEqual(['c']);
  });
});

describe('a batch', () => {
  it('that mixes subscriptions and tenants makes every source of them due', async () => {
    expect(await post({ value: [item('one'), item('two')] })).toBe(202);
    expect(await wanted()).toEqual(['a', 'b', 'c']);
    expect(hinted.toSorted()).toEqual(['a', 'b', 'c']);
    await sql`update source set next_poll_at = 'infinity'`.execute(store.db);
    expect((await dueSources(store.db)).toSorted()).toEqual(['a', 'b', 'c']);
  });

  it('of which a part is not genuine is answered alike, and that part ignored and counted', async () => {
    const value = [
      item('two'),
      item('one', { clientState: 'state of two' }),
      item('one', { clientState: undefined }),
      item('one', { clientState: 7 }),
      item('nobody'),
      item('nobody'),
      { lifecycleEvent: 'missed' },
      null,
      'text',
    ];
    expect(await post({ value })).toBe(202);
    expect(await wanted()).toEqual(['c']);
    expect(await counts()).toEqual({ received: 9, unknown: 2, wrongState: 3, malformed: 3 });
  });

  it('that comes again, or out of order, means no more than another reading', async () => {
    const old = { value: [item('two', { subscriptionExpirationDateTime: '2020-01-01T00:00:00Z' })] };
    for (let time = 0; time < 3; time += 1) expect(await post(old)).toBe(202);
    expect(await wanted()).toEqual(['c']);
  });

  it('for a source that is gone is ignored', async () => {
    await sql`update subscription set source_id = 'removed' where source_id = 'c'`.execute(store.db);
    expect(await post({ value: [item('two')] })).toBe(202);
    expect(hinted).toEqual([]);
    await sql`update subscription set source_id = 'c' where source_id = 'removed'`.execute(store.db);
  });

  it('of 10,000 items is taken', async () => {
    const value = Array.from({ length: 10_000 }, (_, index) => ({
      subscriptionId: index % 2 === 0 ? 'two' : `unknown-${index}`,
      clientState: 'state of two',
    }));
    const startedAt = performance.now();
    expect(await post({ value })).toBe(202);
    expect(performance.now() - startedAt).toBeLessThan(2_500);
    expect(hinted).toEqual(['c']);
    expect(await counts()).toMatchObject({ received: 10_000, unknown: 5_000 });
  });

  it('shares one statement with others that come at the same time', async () => {
    const answers: Promise<number>[] = [];
    await store.transaction(async (db) => {
      await sql`lock table told in exclusive mode`.execute(db);
      for (let count = 0; count < 50; count += 1) answers.push(post({ value: [item('two')] }));
      await until('all have come', async () => ((await counts()) as { received: number }).received === 50);
    });
    expect(new Set(await Promise.all(answers))).toEqual(new Set([202]));
    const { rows } = await sql<{ ahead: number }>`
      select (version - done_version)::int as ahead from told where source_id = 'c'`.execute(store.db);
    expect(rows[0]?.ahead).toBeLessThanOrEqual(3);
  });
});

describe('a lifecycle event', () => {
  const told = (lifecycleEvent: string): Promise<number> =>
    post({ value: [item('two', { lifecycleEvent, resource: undefined })] }, lifecycle);
  const subscription = async () => {
    const { rows } = await sql<{ graphId: string | null; isDue: boolean }>`
      select graph_id as "graphId", renew_at < now() as "isDue" from subscription where source_id = 'c'`.execute(
      store.db,
    );
    return rows[0];
  };

  it.each(['missed', 'somethingNew'])('"%s" means a reading', async (event) => {
    expect(await told(event)).toBe(202);
    expect(await wanted()).toEqual(['c']);
  });

  it('"reauthorizationRequired" means a renewal, not a reading', async () => {
    expect(await told('reauthorizationRequired')).toBe(202);
    expect(await subscription()).toEqual({ graphId: 'two', isDue: true });
    expect(await wanted()).toEqual([]);
  });

  it('"subscriptionRemoved" means a reading and that there is none any more; replayed, nothing', async () => {
    expect(await told('subscriptionRemoved')).toBe(202);
    expect(await subscription()).toMatchObject({ graphId: null });
    expect(await wanted()).toEqual(['c']);
    expect(await told('subscriptionRemoved')).toBe(202);
    expect(await counts()).toMatchObject({ unknown: 1 });
    await sql`update subscription set graph_id = 'two' where source_id = 'c'`.execute(store.db);
  });
});

describe('what is no batch', () => {
  it.each([
    ['not JSON', 'value=1', 400],
    ['nothing', '', 400],
    ['JSON of another kind', '[]', 400],
    ['a list that is none', '{"value":{"0":{}}}', 400],
    ['deep nesting', `{"value":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 400],
    ['deep nesting behind a string with brackets', `{"a":"]]]]\\"","value":${'[{"b":'.repeat(9)}`, 400],
  ])('%s is refused', async (_, body, status) => {
    expect(await post(body)).toBe(status);
    expect(await wanted()).toEqual([]);
  });

  it('brackets in strings are no nesting', async () => {
    expect(await post({ value: [item('two', { note: '[{'.repeat(1_000) + '\\"' })] })).toBe(202);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'text/html; charset=application/json'])(
    'content of type %s is refused',
    async (type) => {
      expect(await post({ value: [item('two')] }, notifications, type)).toBe(415);
      expect(await wanted()).toEqual([]);
    },
  );

  it('5 MB are refused, whether their length is told or not', async () => {
    const padding = ' '.repeat(5 * 1024 * 1024);
    expect(await post(padding)).toBe(413);
    expect(await chunked(padding)).toMatch(/^HTTP\/1\.1 413 /);
    expect(await post({ value: [item('two')] })).toBe(202);
  });

  it.each(['/api/graph/notifications/', '/api/graph/notifications/guess', `/api/graph/other/${secret}`])(
    'the address %s is not there',
    async (path) => {
      expect(await post({ value: [item('two')] }, path)).toBe(404);
      expect(await wanted()).toEqual([]);
    },
  );

  it('no secret gets into the log', async () => {
    await post({ value: [item('two'), item('one', { clientState: 'wrong but private' })] });
    await post('{', notifications);
    const text = lines.join('');
    expect(text).toContain('notifications.ignored');
    for (const word of [secret, 'state of two', 'wrong but private']) expect(text).not.toContain(word);
  });
});

describe('while the database does not answer', () => {
  it('503 lets Graph send it again', async () => {
    await closeServer(server);
    const broken = await openStore(database.url);
    await broken.close();
    await open(broken);
    expect(await post({ value: [item('two')] })).toBe(503);
  });

  it('a table that is locked for long means 503 within 3 s', async () => {
    let answered = 0;
    await store.transaction(async (db) => {
      await sql`lock table told in exclusive mode`.execute(db);
      const startedAt = performance.now();
      expect(await post({ value: [item('two')] })).toBe(503);
      answered = performance.now() - startedAt;
    });
    expect(answered).toBeLessThan(2_900);
    expect(await post({ value: [item('two')] })).toBe(202);
  });
});

describe('while a reading holds the source', () => {
  it('a notification of it is stored and answered all the same', async () => {
    await store.transaction(async (db) => {
      await sql`select from source where id = 'c' for update`.execute(db);
      expect(await post({ value: [item('two')] })).toBe(202);
    });
    expect(await wanted()).toEqual(['c']);
  });
});

describe('a subscription that Graph has given another life', () => {
  it('is known as soon as it is recorded, and its former one no more', async () => {
    expect(await post({ value: [item('two')] })).toBe(202);
    await sql`update subscription set graph_id = 'three' where graph_id = 'two'`.execute(store.db);
    await sql`delete from told`.execute(store.db);
    expect(await post({ value: [item('two')] })).toBe(202);
    expect(await wanted()).toEqual([]);
    expect(await counts()).toMatchObject({ unknown: 1 });
    expect(await post({ value: [item('three', { clientState: 'state of two' })] })).toBe(202);
    expect(await wanted()).toEqual(['c']);
    await sql`update subscription set graph_id = 'two' where graph_id = 'three'`.execute(store.db);
  });
});

/** A body whose length is not told beforehand; gives the first line of the answer. */
function chunked(body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port(), '127.0.0.1', () => {
      socket.write(`POST ${notifications} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`);
      socket.write(`Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`);
      socket.write(body);
    });
    let answer = '';
    socket.on('data', (data) => {
      answer += data.toString();
      if (answer.includes('\r\n')) {
        resolve(answer.slice(0, answer.indexOf('\r\n')));
        socket.destroy();
      }
    });
    socket.on('error', (error) => (answer === '' ? reject(error) : undefined));
  });
}
