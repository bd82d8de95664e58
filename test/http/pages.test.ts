import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { at } from '../support/one-calendar.ts';
import { severalTenants, type SeveralTenants } from '../support/several-tenants.ts';

const apiKey = 'the-key-of-the-pages-of-this-test';
let world: SeveralTenants;
let url: string;
let uid: string;
let cookie = '';

beforeAll(async () => {
  world = await severalTenants(['contoso', 'fabrikam'], { env: { API_KEY: apiKey } });
  await world.configure({ sources: [{ id: 'contoso' }, { id: 'fabrikam', privacy: 'title' }] });
  const calendar = world.calendar('contoso');
  const own = calendar.createEvent({ subject: '<b>Board</b> & "Co"', start: at(5) });
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

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { cookie, origin: url, ...(init.headers as Record<string, string> | undefined) };
  return fetch(`${url}${path}`, { redirect: 'manual', ...init, headers });
}

function post(path: string, fields: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
  return ask(path, { method: 'POST', body: new URLSearchParams(fields), headers });
}

const pages = [
  '/',
  '/held',
  '/conflicts',
  '/meetings?q=board',
  '/trash',
  '/history',
  '/audit',
  '/tenants/contoso/data-report',
];

describe('the pages', () => {
  it('are closed to who is not signed in, and to forms of other sites', async () => {
    for (const path of pages) expect((await ask(path)).headers.get('location')).toMatch(/sign-in$/);
    expect((await post('/sign-in', { key: 'not the key at all' })).status).toBe(403);
    expect((await post('/sign-in', { key: apiKey }, { origin: 'https://evil.example' })).status).toBe(403);
    expect((await post('/held', { subject: 'contoso', decision: 'approve' })).status).toBe(403);

    const signed = await post('/sign-in', { key: apiKey });
    expect(signed.status).toBe(303);
    const set = signed.headers.get('set-cookie') ?? '';
    expect(set).toContain('HttpOnly; SameSite=Strict');
    cookie = set.split(';')[0] ?? '';
    expect((await post('/trash', { id: '1' }, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    const forged = cookie.replace(/=\d+/, '=9999999999999');
    expect((await fetch(`${url}/held`, { redirect: 'manual', headers: { cookie: forged } })).status).toBe(303);
  });

  it.each(pages)('shows %s without a script or anything from elsewhere, what people wrote escaped', async (path) => {
    const response = await ask(path);
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
    expect(text).toMatch(/<html lang="en">/);
    expect(text.match(/<h1>/g)).toHaveLength(1);
    expect(text).not.toMatch(/<script|<link|<img|style="|javascript:|https?:\/\/(?!127)/i);
    expect(text).not.toContain('<b>Board');
    for (const [, id = ''] of text.matchAll(/<label for="(\w+)"/g)) expect(text).toContain(`id="${id}"`);
  });

  it('let the operator pin, restore and decide, and go back to where that was done', async () => {
    const pinned = await post('/pins', { uid, source: 'fabrikam' });
    expect(pinned.status).toBe(303);
    const back = await (await ask(`/${(pinned.headers.get('location') ?? '').slice(2)}`)).text();
    expect(back).toContain('The copy of fabrikam shows from now on.');
    expect(back).toContain('Unpin');
    await world.again();
    expect(world.titles()).toEqual(['Bored']);
    await post('/pins', { uid, source: '' });

    const trash = await (await ask('/trash')).text();
    const id = /name="id" value="(\d+)"/.exec(trash)?.[1] ?? '';
    await post('/trash', { id });
    await world.again();
    expect(world.titles()).toContain('Lunch');
    const refused = await post('/trash', { id: '999' });
    expect(decodeURIComponent(refused.headers.get('location') ?? '')).toContain('no entry 999');
    const audit = await (await ask('/audit')).text();
    expect(audit).toContain('trash.restore');
    expect(audit).toContain('web');
    expect((await ask('/tenants/nobody/data-report')).status).toBe(404);
  });
});
