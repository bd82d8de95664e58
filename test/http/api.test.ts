import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { routes, type Route } from '../../src/http/api-routes.ts';
import { at } from '../support/one-calendar.ts';
import { severalTenants, type SeveralTenants } from '../support/several-tenants.ts';

const apiKey = 'the-key-of-the-api-of-this-test';
let world: SeveralTenants;
let url: string;
let uid: string;

/** One meeting of two tenants at odds, one more that was deleted, a failed reading. */
beforeAll(async () => {
  world = await severalTenants(['contoso', 'fabrikam'], { env: { API_KEY: apiKey } });
  await world.configure({ sources: [{ id: 'contoso' }, { id: 'fabrikam' }] });
  const calendar = world.calendar('contoso');
  const own = calendar.createEvent({ subject: 'Board', start: at(5) });
  const copy = calendar.inviteTo(own, world.mailbox('fabrikam').state, { response: 'accepted' });
  world.calendar('fabrikam').updateEvent(copy, { subject: 'Bored' });
  const lunch = calendar.createEvent({ subject: 'Lunch', start: at(6) });
  await world.again();
  calendar.delete(lunch);
  await world.again();
  uid = world.shown()[0]?.uid ?? '';
  url = (await world.stage.product.startWeb()).url;
}, 120_000);
afterAll(() => world.close());

interface Answer<T> {
  readonly status: number;
  readonly body: T & { readonly error?: { readonly code: string; readonly field?: string; readonly remedy?: string } };
}

async function call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { 'X-API-Key': apiKey },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as Answer<T>['body'];
  const route = routeOf(method, path);
  if (response.ok && route !== undefined) route.answer.parse(answer);
  return { status: response.status, body: answer };
}

function routeOf(method: string, path: string): Route | undefined {
  const asked = path.replace(/\?.*/, '').replace('/api/v1', '');
  const fits = ({ path: own }: Route): boolean => new RegExp(`^${own.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(asked);
  return routes.find((route) => route.method === method.toLowerCase() && fits(route));
}

const get = <T>(path: string): Promise<Answer<T>> => call<T>('GET', `/api/v1${path}`);

describe('the JSON API', () => {
  it('is described by an OpenAPI 3.1 document that has every route, and no reference into nowhere', async () => {
    const response = await fetch(`${url}/api/openapi.json`);
    const document = (await response.json()) as { openapi: string; paths: Record<string, Record<string, unknown>> };
    expect(document.openapi).toBe('3.1.0');
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(described.toSorted()).toEqual(routes.map(({ method, path }) => `${method} /api/v1${path}`).toSorted());
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods)) as {
      operationId: string;
    }[];
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(routes.length);
    const references = JSON.stringify(document).match(/"\$ref":"[^"]*"/g) ?? [];
    expect(new Set(references)).toEqual(new Set(['"$ref":"#/components/schemas/Error"']));
  });

  it('answers nobody without the key', async () => {
    for (const { method, path } of routes) {
      const response = await fetch(`${url}/api/v1${path.replaceAll(/\{\w+\}/g, 'x')}`, { method });
      expect(`${path} ${response.status}`).toBe(`${path} 401`);
    }
  });

  it.each([
    '/status',
    '/sources',
    '/sources/contoso',
    '/targets',
    '/targets/me',
    '/explain?q=board',
    '/history',
    '/audit',
    '/conflicts?state=all',
    '/plan',
    '/guard',
    '/trash',
    '/pins',
    '/tenants/contoso/data-report',
  ])('answers GET %s in the form that it describes, and no secret', async (path) => {
    const { status, body } = await get(path);
    expect(status).toBe(200);
    expect(JSON.stringify(body)).not.toMatch(/secret of|"secret"|"\w*sealed"|"password"/i);
  });

  it('asks history and audit by status, source, time and page', async () => {
    interface Page {
      items: { id: string; at: string; action: string; source: string | null }[];
      next: string | null;
    }
    const all = (await get<Page>('/history')).body.items;
    expect((await get<Page>('/history?source=fabrikam')).body.items.every((line) => line.source === 'fabrikam')).toBe(
      true,
    );
    expect((await get<Page>('/history?status=error')).body.items).toEqual([]);
    const first = (await get<Page>('/history?limit=2')).body;
    expect(first.items).toEqual(all.slice(0, 2));
    expect((await get<Page>(`/history?limit=2&before=${first.next ?? ''}`)).body.items).toEqual(all.slice(2, 4));
    const until = encodeURIComponent(all[0]?.at ?? '');
    expect((await get<Page>(`/history?until=${until}`)).body.items).toEqual(all.slice(1));
    expect((await get<Page>('/audit?action=config')).body.items).toHaveLength(5);
  });

  it('says which field of a question cannot be taken', async () => {
    const wrong = async (path: string, body?: unknown): Promise<unknown> => {
      const answer = await call(body === undefined ? 'GET' : 'PUT', `/api/v1${path}`, body);
      return [answer.status, answer.body.error?.code, answer.body.error?.field];
    };
    expect(await wrong('/history?status=bad')).toEqual([400, 'http.invalid_value', 'status']);
    expect(await wrong('/history?since=yesterday')).toEqual([400, 'http.invalid_value', 'since']);
    expect(await wrong('/history?colour=red')).toEqual([400, 'http.invalid_value', 'colour']);
    expect(await wrong('/explain')).toEqual([400, 'http.missing_query', 'q']);
    expect(await wrong(`/pins/${uid}`, {})).toEqual([400, 'http.missing_query', 'source']);
    expect(await wrong('/sources/nobody')).toEqual([404, 'config.missing_entry', 'source']);
    expect(await wrong('/pins/nobody', { source: 'contoso' })).toEqual([404, 'pin.unknown_meeting', 'uid']);
    const text = await fetch(`${url}/api/v1/pins/${uid}`, {
      method: 'PUT',
      headers: { 'X-API-Key': apiKey },
      body: '[1',
    });
    expect(text.status).toBe(400);
  });

  it('pins, restores and orders readings, each in the audit log', async () => {
    const pinned = await call('PUT', `/api/v1/pins/${encodeURIComponent(uid)}`, { source: 'contoso' });
    expect(pinned).toMatchObject({ status: 200, body: { target: 'me', uid, source: 'contoso', before: null } });
    expect((await get('/plan')).body).toMatchObject({
      plans: [
        { writes: [{ do: 'update', title: 'Board', why: 'contoso is pinned', fields: [{ field: 'title' }, {}] }] },
      ],
    });
    await world.again();
    expect(world.titles()).toEqual(['Board']);
    expect((await call('DELETE', `/api/v1/pins/${encodeURIComponent(uid)}`)).body).toMatchObject({ before: 'contoso' });

    const { body } = await get<{ items: { id: string; title: string }[] }>('/trash');
    expect(body.items).toMatchObject([{ title: 'Lunch', source: 'contoso', restoredAt: null }]);
    const restored = await call('POST', `/api/v1/trash/${body.items[0]?.id ?? ''}/restore`);
    expect(restored).toMatchObject({ status: 200, body: { target: 'me', objects: 1, shownBy: null } });
    expect((await call('POST', '/api/v1/trash/999/restore')).status).toBe(409);
    expect((await call('POST', '/api/v1/sources/contoso/sync', { full: true })).status).toBe(202);
    await world.again();
    expect(world.titles()).toEqual(['Bored', 'Lunch']);
    expect((await call('POST', '/api/v1/guard/contoso/approve')).body).toMatchObject({ count: 0 });
    expect((await call('POST', '/api/v1/guard/nobody/approve')).status).toBe(404);
    expect((await call('POST', '/api/v1/targets/me/calendars/work/recreate')).status).toBe(409);
    expect((await call('POST', '/api/v1/trash/restore', { since: new Date().toISOString() })).body).toMatchObject({
      count: 0,
    });

    const { items } = (await get<{ items: { action: string; actor: string }[] }>('/audit?actor=api')).body;
    expect(items.map(({ action }) => action)).toEqual([
      'guard.approve',
      'source.sync',
      'trash.restore',
      'meeting.unpin',
      'meeting.pin',
    ]);
  });
});
