import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';

import { closeServer, createApp, listen } from '../../src/http/app.ts';
import { nullLog, type Log } from '../../src/shared/log.ts';
import { openStore, type Store } from '../../src/store/database.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let store: Store;
let server: Server;
let told: { name: string; fields: object }[];

const apiKey = 'key-of-the-operator';

async function open(key: string | null = apiKey): Promise<void> {
  const log: Log = { ...nullLog, event: (name, fields) => void told.push({ name, fields }) };
  const notifications = { db: store.db, secret: 'path-secret', hint: () => undefined };
  const app = createApp({ db: store.db, log, apiKey: key, version: '1.2.3', startedAt: new Date(), notifications });
  server = await listen(app, '127.0.0.1', 0);
}

beforeAll(async () => {
  database = await createMigratedDatabase();
  store = await openStore(database.url);
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

beforeEach(async () => {
  told = [];
  await open();
});

afterEach(() => closeServer(server));

interface Answer {
  status: number;
  headers: Headers;
  text: string;
  body: Record<string, unknown> & { error?: { code: string; message: string } };
}

async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, init);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: (text === '' ? {} : JSON.parse(text)) as Answer['body'],
  };
}

const withKey = { headers: { 'X-API-Key': apiKey } };

describe('health', () => {
  it('tells anybody whether it lives and is ready, and no more', async () => {
    const { status, body, headers } = await ask('/api/health');
    expect(status).toBe(200);
    expect(body).toEqual({ live: true, ready: true, version: '1.2.3' });
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('tells who has the key of each source and target', async () => {
    const { body } = await ask('/api/health', withKey);
    expect(body).toMatchObject({ ready: true, sources: [], targets: [] });
    expect((await ask('/api/health', { headers: { 'X-API-Key': 'another' } })).body).not.toHaveProperty('sources');
  });

  it('is 503 while the database is away, with the key too', async () => {
    await store.close();
    for (const init of [{}, withKey]) {
      const { status, body } = await ask('/api/health', init);
      expect(status).toBe(503);
      expect(body).toEqual({ live: true, ready: false, version: '1.2.3' });
    }
    store = await openStore(database.url);
  });
});

describe('stats', () => {
  it('need the key', async () => {
    for (const headers of [{}, { 'X-API-Key': '' }, { 'X-API-Key': 'another' }, { 'X-API-Key': `${apiKey} x` }]) {
      const { status, body } = await ask('/api/stats', { headers });
      expect(status).toBe(401);
      expect(body.error).toMatchObject({ code: 'http.unauthorized', field: 'X-API-Key' });
    }
    const { status, body } = await ask('/api/stats', withKey);
    expect(status).toBe(200);
    expect(body).toMatchObject({ version: '1.2.3', sources: [], targets: [], last24Hours: [], trash: 0 });
  });

  it('are closed where no key is set', async () => {
    await closeServer(server);
    await open(null);
    expect((await ask('/api/stats', withKey)).status).toBe(401);
    expect((await ask('/api/stats')).body.error?.message).toContain('No API_KEY is set');
  });

  it('fail without telling how the inside looks; the log tells', async () => {
    await store.close();
    const { status, text, body } = await ask('/api/stats', withKey);
    expect(status).toBe(500);
    expect(body.error).toEqual({
      code: 'internal.unexpected',
      message: 'Something unexpected happened; the log says what.',
    });
    expect(text).not.toMatch(/node_modules|\.ts|at .*\(/);
    expect(told.filter(({ name }) => name === 'http.failed')).toHaveLength(1);
    store = await openStore(database.url);
  });
});

describe('a request for what is not there', () => {
  it('is answered with a code', async () => {
    for (const path of ['/', '/api', '/api/healthy', '/%', '/api/../etc/passwd', '//api/health']) {
      const { status, body } = await ask(path);
      expect([path, status, body.error?.code]).toEqual([path, 404, 'http.not_found']);
    }
  });

  it('by a method that the address does not take names those that it takes', async () => {
    const { status, body, headers } = await ask('/api/health', { method: 'DELETE' });
    expect([status, body.error?.code]).toEqual([405, 'http.method_not_allowed']);
    expect(headers.get('allow')).toBe('HEAD, GET');
    expect((await ask('/api/health', { method: 'HEAD' })).status).toBe(200);
  });
});

describe('a port that is taken', () => {
  it('is told with the setting to change', async () => {
    const { port } = server.address() as AddressInfo;
    const app = createApp({
      db: store.db,
      log: nullLog,
      apiKey,
      version: '1.2.3',
      startedAt: new Date(),
    });
    await expect(listen(app, '127.0.0.1', port)).rejects.toMatchObject({ code: 'http.cannot_listen', field: 'PORT' });
  });
});
