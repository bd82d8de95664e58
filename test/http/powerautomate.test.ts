import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { compose, type Product } from '../../src/compose.ts';
import { readEnv } from '../../src/config/env.ts';
import { nullLog } from '../../src/shared/log.ts';
import { hashKey } from '../../src/shared/webhook-key.ts';
import { saveSource, saveTarget } from '../../src/store/configuration.ts';
import { readHistory } from '../../src/store/history.ts';
import { readStatus } from '../../src/store/status.ts';
import { aFlowItem, aFlowSource, flowKey, uidOf } from '../sources/powerautomate/flow-items.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import { runFlow, type FlowAction, type FlowDefinition } from '../support/flow-runner.ts';
import { aTarget } from '../support/stage.ts';

const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-flows-'));
const effects = { bumpsEpoch: true, fullReading: false, isOther: false };
let now = new Date();
let database: TestDatabase;
let product: Product;
let url: string;

beforeAll(async () => {
  database = await createMigratedDatabase();
  const env = readEnv(
    { DATABASE_URL: database.url, DATA_DIR: folder, PORT: '0', ENCRYPTION_KEY: 'ab'.repeat(32) },
    folder,
  );
  product = await compose({ env, log: nullLog, clock: { now: () => now } });
  ({ url } = await product.startWeb());
  await saveTarget(product.store.db, product.box, aTarget('http://127.0.0.1:9'));
});
afterAll(async () => {
  await product.close();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  now = new Date();
  const { db } = product.store;
  for (const table of ['flow_signature', 'claim', 'tombstone', 'stream', 'sync_history', 'meeting', 'source'])
    await sql`delete from ${sql.table(table)}`.execute(db);
  await saveSource(db, product.box, aFlowSource(), 0, effects);
});

interface Sent {
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly raw?: string;
  /** Another process' address. */
  readonly at?: string;
}

function send(
  body: unknown,
  { path = 'powerautomate/old-flow', headers = {}, raw, at = url }: Sent = {},
): Promise<Response> {
  return fetch(`${at}/api/webhook/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': flowKey, ...headers },
    body: raw ?? JSON.stringify(body),
  });
}

async function claims(): Promise<string[]> {
  const { rows } = await sql<{ key: string }>`select key from claim order by key`.execute(product.store.db);
  return rows.map(({ key }) => key);
}

async function errorOf(answer: Response): Promise<{ code: string; message: string; field?: string }> {
  return ((await answer.json()) as { error: { code: string; message: string; field?: string } }).error;
}

describe('a post of a flow', () => {
  it('is answered 202 without Location once it is stored', async () => {
    const answer = await send(aFlowItem());
    expect([answer.status, answer.headers.get('location')]).toEqual([202, null]);
    expect(await claims()).toEqual(['AAMkAGI1-1']);
  });

  const item = aFlowItem();
  const pascal = Object.fromEntries(
    Object.entries(item).map(([name, value]) => [name.slice(0, 1).toUpperCase() + name.slice(1), value]),
  );
  it.each([
    ['an item', item],
    ['a list', [item]],
    ['{ value }', { value: [item] }],
    ['{ body: { value } }', { body: { value: [item] } }],
    ['Pascal case', pascal],
    ['an item with little in it', { id: 'AAMkAGI1-1', start: '2026-12-01T09:00:00.0000000' }],
  ])('may be %s', async (_, body) => {
    expect((await send(body)).status).toBe(202);
    expect(await claims()).toEqual(['AAMkAGI1-1']);
  });

  it('with nothing in its list is a sign of life', async () => {
    expect((await send({ value: [] })).status).toBe(202);
    expect((await readStatus(product.store.db)).sources[0]).toMatchObject({ state: 'fresh', shown: 0 });
  });

  it.each([
    ['the wrong key', { headers: { 'x-api-key': 'a-key-of-a-flow-0123456780' } }, 401, 'X-API-Key'],
    ['no key', { headers: { 'x-api-key': '' } }, 401, 'X-API-Key'],
    ['a source that is not there', { path: 'powerautomate/other' }, 404, 'source'],
    [
      'a source that is not there, the old way',
      { path: 'event/created', headers: { 'x-calendar-source': 'x' } },
      404,
      'X-Calendar-Source',
    ],
    ['no source, the old way', { path: 'event/deleted' }, 404, 'X-Calendar-Source'],
    ['a form', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415, 'Content-Type'],
  ])('with %s is refused', async (_, sent, status, field) => {
    const answer = await send(aFlowItem(), sent);
    expect(answer.status).toBe(status);
    expect((await errorOf(answer)).field).toBe(field);
    expect(await claims()).toEqual([]);
  });

  it('by the key of a source of another kind or another source is refused', async () => {
    await saveSource(
      product.store.db,
      product.box,
      aFlowSource({ id: 'second', key: hashKey('another-key-0123456789') }),
      1,
      effects,
    );
    expect((await send(aFlowItem(), { path: 'powerautomate/second' })).status).toBe(401);
  });

  it('goes by the new key at once when it was changed', async () => {
    await send(aFlowItem());
    const key = hashKey('the-new-key-0123456789');
    await saveSource(product.store.db, product.box, aFlowSource({ key }), 0, effects);
    expect((await send(aFlowItem())).status).toBe(401);
    expect((await send(aFlowItem(), { headers: { 'x-api-key': 'the-new-key-0123456789' } })).status).toBe(202);
  });

  it('goes by the former key too while that is named', async () => {
    const [key, formerKey] = [hashKey('the-new-key-0123456789'), hashKey(flowKey)];
    await saveSource(product.store.db, product.box, aFlowSource({ key, formerKey }), 0, effects);
    expect((await send(aFlowItem())).status).toBe(202);
    expect((await send(aFlowItem(), { headers: { 'x-api-key': 'the-new-key-0123456789' } })).status).toBe(202);
    await saveSource(product.store.db, product.box, aFlowSource({ key }), 0, effects);
    expect((await send(aFlowItem())).status).toBe(401);
  });

  it.each(['', 'sha256:', hashKey(flowKey)])('by %j in place of a key is refused', async (key) => {
    expect((await send(aFlowItem(), { headers: { 'x-api-key': key } })).status).toBe(401);
  });

  it('of more than 5 MB is refused', async () => {
    const answer = await send(aFlowItem({ body: 'x'.repeat(5 * 1_048_576) }));
    expect(answer.status).toBe(413);
  });

  it('is answered 503 when it cannot be stored, and 202 when it comes again', async () => {
    const { db } = product.store;
    await sql`alter table claim rename to claim_away`.execute(db);
    const answer = await send(aFlowItem());
    await sql`alter table claim_away rename to claim`.execute(db);
    expect([answer.status, (await errorOf(answer)).code]).toEqual([503, 'flow.not_stored']);
    expect((await send(aFlowItem())).status).toBe(202);
    expect(await claims()).toEqual(['AAMkAGI1-1']);
  });

  it('to a paused source is not stored', async () => {
    await saveSource(product.store.db, product.box, aFlowSource({ isPaused: true }), 0, effects);
    expect((await send(aFlowItem())).status).toBe(202);
    expect(await claims()).toEqual([]);
  });
});

describe('a body that cannot be read', () => {
  const broken = (field: string, inner: string): [string, string, string] => [field, inner, field];
  it.each([
    broken('recurrence', '{"id": "1", "subject": "Secret plan", "start": "2026-12-01T09:00:00", "recurrence": weekly}'),
    broken('end', '{"id": "1", "start": "2026-12-01T09:00:00", "end": , "subject": "Secret plan"}'),
    broken('subject', '{"id": "1", "subject": "a "Secret" plan", "start": "2026-12-01T09:00:00"}'),
    ['start', JSON.stringify(aFlowItem({ start: { dateTime: '', timeZone: '' }, subject: 'Secret plan' })), 'start'],
    ['id', JSON.stringify(aFlowItem({ id: undefined, subject: 'Secret plan' })), 'id'],
    [
      'value[1].end',
      JSON.stringify({ value: [aFlowItem(), aFlowItem({ endWithTimeZone: undefined, end: 'Secret noon' })] }),
      'value[1].end',
    ],
    ['body', '<html>Secret plan</html>', 'body'],
    ['body', '', 'body'],
    ['body', '"Secret plan"', 'body'],
  ])('gets 422 naming %s and leaves its shape only', async (_, raw, field) => {
    const answer = await send(null, { raw });
    expect(answer.status).toBe(422);
    const error = await errorOf(answer);
    expect([error.code, error.field]).toEqual(['flow.unreadable', field]);
    const [line] = await readHistory(product.store.db, { status: 'error', limit: 1 });
    expect(line).toMatchObject({ action: 'receive', source: 'old-flow', code: 'flow.unreadable', httpStatus: 422 });
    expect(line?.message).toContain(field);
    expect(JSON.stringify([error, line])).not.toMatch(/Secret/);
    expect(await claims()).toEqual([]);
  });
});

describe('a signed post', () => {
  const at = (ms = 0): string => String(Math.round((now.getTime() + ms) / 1_000));
  const signingKey = 'a-signing-key-0123456789';
  beforeEach(() => saveSource(product.store.db, product.box, aFlowSource({ signingKey }), 0, effects));
  const signed = (raw: string, timestamp = at(), key = signingKey): Sent => ({
    raw,
    headers: {
      'x-api-key': '',
      'x-timestamp': timestamp,
      'x-signature': `sha256=${createHmac('sha256', key).update(`${timestamp}.${raw}`).digest('hex')}`,
    },
  });
  const raw = JSON.stringify(aFlowItem());

  it('needs no key', async () => {
    expect((await send(null, signed(raw))).status).toBe(202);
    expect(await claims()).toEqual(['AAMkAGI1-1']);
  });

  it('is stored once, however often it comes', async () => {
    await send(null, signed(raw));
    await sql`delete from claim`.execute(product.store.db);
    expect((await send(null, signed(raw))).status).toBe(202);
    expect(await claims()).toEqual([]);
  });

  it('is known to every process', async () => {
    await send(null, signed(raw));
    await sql`delete from claim`.execute(product.store.db);
    const env = readEnv(
      { DATABASE_URL: database.url, DATA_DIR: folder, PORT: '0', ENCRYPTION_KEY: 'ab'.repeat(32) },
      folder,
    );
    const other = await compose({ env, log: nullLog, clock: { now: () => now } });
    try {
      const { url: otherUrl } = await other.startWeb();
      const answer = await send(null, { ...signed(raw), at: otherUrl });
      expect([answer.status, await answer.json()]).toMatchObject([202, { changed: 0 }]);
      expect(await claims()).toEqual([]);
    } finally {
      await other.close();
    }
  });

  it('that could not be stored may come again', async () => {
    const { db } = product.store;
    await sql`alter table claim rename to claim_away`.execute(db);
    const answer = await send(null, signed(raw));
    await sql`alter table claim_away rename to claim`.execute(db);
    expect(answer.status).toBe(503);
    expect((await send(null, signed(raw))).status).toBe(202);
    expect(await claims()).toEqual(['AAMkAGI1-1']);
  });

  it('is refused where the source has no key for signatures, with what to do', async () => {
    await saveSource(product.store.db, product.box, aFlowSource(), 0, effects);
    const answer = await send(null, signed(raw, at(), flowKey));
    expect(answer.status).toBe(401);
    expect((await errorOf(answer)).message).toContain('signingKey');
  });

  it.each([
    ['of another body', { ...signed(raw), raw: `${raw} ` }],
    ['by another key', signed(raw, at(), 'another-key-0123456789')],
    ['of ten minutes ago', signed(raw, at(-600_000))],
    ['of the future', signed(raw, at(600_000))],
    ['without a time', signed(raw, '')],
  ])('%s is refused', async (_, sent) => {
    expect((await send(null, sent)).status).toBe(401);
    expect(await claims()).toEqual([]);
  });
});

describe('a window', () => {
  const path = 'powerautomate/old-flow/window';
  const from = '2026-11-20T00:00:00Z';
  const to = '2027-11-20T00:00:00Z';
  it.each([
    ['window', { value: [] }],
    ['window.from', { window: { to }, value: [] }],
    ['window.to', { window: { from, to: from }, value: [] }],
    ['window.part', { window: { id: '1', from, to, part: 3, parts: 2 }, value: [] }],
    ['window.id', { window: { from, to, part: 1, parts: 2 }, value: [] }],
  ])('without a usable %s gets 422', async (field, body) => {
    const answer = await send(body, { path });
    expect([answer.status, (await errorOf(answer)).field]).toEqual([422, field]);
  });
});

describe('a flow that falls silent', () => {
  it('is late after a day, or after three of its usual gaps', async () => {
    const { db } = product.store;
    const state = async (): Promise<string | undefined> => (await readStatus(db)).sources[0]?.state;
    const silentFor = async (hours: number): Promise<string | undefined> => {
      await sql`update source set fresh_at = now() - ${hours} * interval '1 hour'`.execute(db);
      return state();
    };
    expect(await state()).toBe('reading');
    await send(aFlowItem());
    expect(await state()).toBe('fresh');
    expect(await silentFor(23)).toBe('fresh');
    expect(await silentFor(25)).toBe('late');
    // It posts every other day.
    await sql`delete from sync_history`.execute(db);
    await sql`
      insert into sync_history (at, status, action, source_id)
      select now() - n * interval '2 days', 'ok', 'ingest', 'old-flow' from generate_series(1, 6) n`.execute(db);
    expect(await silentFor(25)).toBe('fresh');
    expect(await silentFor(6 * 24 + 1)).toBe('late');
  });
});

describe('the flows of the guide', () => {
  const read = (name: string): FlowDefinition => {
    const text = readFileSync(new URL(`../../docs/powerautomate/${name}.json`, import.meta.url), 'utf8');
    return (JSON.parse(text) as { properties: { definition: FlowDefinition } }).properties.definition;
  };
  const post = async ({ uri, headers, body }: { uri: string; headers: Record<string, string>; body: unknown }) => {
    const answer = await fetch(uri, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(answer.status).toBe(202);
  };
  const parameters = (): Record<string, string> => ({ address: url, source: 'old-flow', key: flowKey });
  const all = (actions: Readonly<Record<string, FlowAction>>): FlowAction[] =>
    Object.values(actions).flatMap((action) => [action, ...all(action.actions ?? {})]);

  it.each(['change-flow', 'window-flow'])(
    '%s holds in every cloud: it names no host but the one to fill in',
    (name) => {
      const text = readFileSync(new URL(`../../docs/powerautomate/${name}.json`, import.meta.url), 'utf8');
      const hosts = [...text.matchAll(/https?:\/\/([^/"]+)/g)].map(([, host]) => host);
      // The schema's address is a name, the same in government clouds.
      expect(new Set(hosts)).toEqual(new Set(['schema.management.azure.com', 'calendar.example']));
      expect(text).not.toMatch(/\.(?:us|cn|com)\/(?!schemas|providers)/);
    },
  );

  it.each(['change-flow', 'window-flow'])(
    '%s: each HTTP action tries again, polls nothing and hides its key',
    (name) => {
      const posts = all(read(name).actions).filter(({ type }) => type === 'Http');
      expect(posts).toHaveLength(1);
      for (const action of posts)
        expect(action).toMatchObject({
          inputs: { method: 'POST', retryPolicy: { type: 'exponential', count: 8 } },
          operationOptions: 'DisableAsyncPattern',
          runtimeConfiguration: { secureData: { properties: ['inputs', 'outputs'] } },
        });
    },
  );

  it('the change flow waits for added, updated and deleted events, and posts each as it is', async () => {
    const flow = read('change-flow');
    const [trigger] = Object.values(flow.triggers);
    expect(trigger).toMatchObject({
      type: 'OpenApiConnectionNotification',
      inputs: { host: { operationId: 'CalendarGetOnChangedItemsV3' } },
      splitOn: "@triggerOutputs()?['body/value']",
    });
    for (const triggerBody of [aFlowItem(), aFlowItem({ id: 'two', iCalUId: uidOf(2) })])
      await runFlow(flow, { parameters: parameters(), run: 'run', triggerBody, post });
    expect(await claims()).toEqual(['AAMkAGI1-1', 'two']);
    await runFlow(flow, {
      parameters: parameters(),
      run: 'run',
      triggerBody: { actionType: 'deleted', id: 'two' },
      post,
    });
    expect(await claims()).toEqual(['AAMkAGI1-1']);
  });

  const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  const listed = (count: number, from = 0) =>
    Array.from({ length: count }, (_, index) =>
      aFlowItem({
        id: `event ${from + index}`,
        iCalUId: uidOf(from + index),
        start: `${inDays(1 + (index % 300))}T09:00:00.0000000`,
        end: `${inDays(1 + (index % 300))}T10:00:00.0000000`,
      }),
    );

  it('the window flow posts all that it lists in parts, after which what it does not list is gone', async () => {
    const flow = read('window-flow');
    const run = (name: string, value: unknown[]) =>
      runFlow(flow, { parameters: parameters(), run: name, connector: { GetEventsCalendarViewV3: { value } }, post });
    await run('first', listed(120));
    expect(await claims()).toHaveLength(120);
    await run('second', listed(115));
    expect(await claims()).toHaveLength(115);
    // Nothing listed posts nothing.
    await run('third', []);
    expect(await claims()).toHaveLength(115);
    await expect(
      run(
        'cut off',
        Array.from({ length: 5_000 }, () => ({})),
      ),
    ).rejects.toThrow('terminated');
  });
});

describe('the time until a post is answered', () => {
  it('is short: stored and answered within a few milliseconds', async () => {
    for (let index = 0; index < 30; index += 1)
      await send(aFlowItem({ id: `warm ${index}`, iCalUId: uidOf(500 + index) }));
    const times: number[] = [];
    for (let index = 0; index < 300; index += 1) {
      const body = aFlowItem({ id: `event ${index}`, iCalUId: uidOf(1_000 + index) });
      const startedAt = performance.now();
      const answer = await send(body);
      times.push(performance.now() - startedAt);
      expect(answer.status).toBe(202);
    }
    times.sort((a, b) => a - b);
    const [p50 = 0, p99 = 0] = [times[150], times[297]];
    if (process.env['SHOW_FIGURES'] === '1')
      process.stdout.write(`p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms\n`);
    // The figure to reach is 20 ms; a machine that many share is allowed more.
    expect(p50).toBeLessThan(50);
    expect(await claims()).toHaveLength(330);
  });
});
