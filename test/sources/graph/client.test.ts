import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { builtInClouds } from '../../../src/shared/clouds.ts';
import type { SyncError } from '../../../src/shared/errors.ts';
import { graphClient, type GraphClient } from '../../../src/sources/graph/client.ts';
import { limiter } from '../../../src/shared/limiter.ts';
import { selfSigned } from '../../support/graph/self-signed.ts';
import { startGraphSimulator, type GraphSimulator } from '../../support/graph/simulator.ts';
import { clientOf, contoso, me, patient } from './mirror.ts';

let simulator: GraphSimulator;

beforeEach(async () => {
  simulator = await startGraphSimulator({ tenants: [contoso] });
  simulator.tenant(contoso.directory).addMailbox({ upn: me });
});
afterEach(() => simulator.close());

const path = `/users/${me}/calendar`;
function read(client: GraphClient, signal: AbortSignal = patient): Promise<unknown> {
  return client.get({ mailbox: me, to: { path }, signal });
}
function readPage(client: GraphClient): Promise<unknown> {
  return client.get({ mailbox: me, to: { path: `/users/${me}/calendars` }, isPaged: true, signal: patient });
}
async function failure(task: Promise<unknown>): Promise<SyncError> {
  return task.then(
    () => Promise.reject(new Error('It did not fail.')),
    (thrown: unknown) => thrown as SyncError,
  );
}
const tokenRequests = () => simulator.requests.filter(({ url }) => url.includes('/oauth2/v2.0/token')).length;

describe('signing in', () => {
  it('asks once for however many requests', async () => {
    const client = clientOf(simulator);
    await Promise.all(Array.from({ length: 8 }, () => read(client)));
    expect(tokenRequests()).toBe(1);
  });

  it.each(['gcch', 'dod', 'china'])('stays in its own cloud: %s', async (id) => {
    const agency = { directory: '77aa0000-0000-4000-8000-00000000000a', client: contoso.client };
    simulator.addTenant({ ...agency, secret: 'x', cloud: id }).addMailbox({ upn: me });
    const cloud = builtInClouds.find((each) => each.id === id);
    if (!cloud) throw new Error('There is no such cloud.');
    const credential = { kind: 'secret', secret: 'x' } as const;
    const client = graphClient({ ...agency, cloud, credential, fetch: simulator.fetch, version: '0.1.0' });
    await read(client);
    const origins = new Set(simulator.requests.map(({ url }) => new URL(url).origin));
    expect([...origins].sort()).toEqual([cloud.graph, cloud.login].sort());

    const [global] = builtInClouds;
    if (!global) throw new Error('There is no cloud.');
    const astray = graphClient({ ...agency, cloud: global, credential, fetch: simulator.fetch, version: '0.1.0' });
    expect(await failure(astray.signIn())).toMatchObject({
      code: expect.stringMatching(/wrong_cloud|not_found/) as unknown,
    });
  });

  it('works with a certificate', async () => {
    const { certificate, privateKey } = selfSigned();
    simulator.tenant(contoso.directory).configure({ certificate, secret: null });
    const [cloud] = builtInClouds;
    if (!cloud) throw new Error('There is no cloud.');
    const options = {
      cloud,
      directory: contoso.directory,
      client: contoso.client,
      fetch: simulator.fetch,
      version: '0.1.0',
    };
    await read(graphClient({ ...options, credential: { kind: 'certificate', certificate, privateKey } }));

    const other = selfSigned().privateKey;
    const mismatched = graphClient({ ...options, credential: { kind: 'certificate', certificate, privateKey: other } });
    expect(await failure(mismatched.signIn())).toMatchObject({
      code: 'graph.certificate_invalid',
      field: 'certificate',
    });
  });

  it('says what is wrong with the credential', async () => {
    const error = await failure(read(clientOf(simulator, { secret: 'the-id-not-the-value' })));
    expect(error).toMatchObject({ code: 'graph.secret_wrong', recovery: { kind: 'operator' } });
    expect(error.message).not.toContain('the-id-not-the-value');
  });

  it('says that the directory does not exist', async () => {
    const [cloud] = builtInClouds;
    if (!cloud) throw new Error('There is no cloud.');
    const credential = { kind: 'secret', secret: 'x' } as const;
    const client = graphClient({
      cloud,
      directory: 'nowhere.example',
      client: contoso.client,
      credential,
      fetch: simulator.fetch,
      version: '0',
    });
    expect(await failure(client.signIn())).toMatchObject({ code: 'graph.directory_not_found' });
  });

  it('passes on the reason and the wait of a busy login host, also while MSAL holds back', async () => {
    const client = clientOf(simulator);
    const fault = simulator.fail({ match: '/oauth2/', how: { status: 429, retryAfter: '30' } });
    const first = await failure(read(client));
    expect(first).toMatchObject({
      code: 'graph.sign_in_busy',
      recovery: { kind: 'retry', notBefore: expect.any(Date) as unknown },
    });
    fault.clear();
    expect(await failure(read(client))).toMatchObject({ code: 'graph.sign_in_busy', recovery: { kind: 'retry' } });
  });

  it('tells a broken connection to the login host from a refusal', async () => {
    simulator.fail({ match: 'login.microsoftonline.com', how: { reset: 'before' } });
    const error = await failure(read(clientOf(simulator)));
    expect(error).toMatchObject({ code: 'graph.unreachable', recovery: { kind: 'retry' } });
    expect(error.message).toContain('login.microsoftonline.com');
  });

  it('takes one fresh token for all after a refusal', async () => {
    const client = clientOf(simulator);
    await read(client);
    simulator.fail({
      match: 'graph.microsoft.com',
      times: 3,
      how: { status: 401, code: 'InvalidAuthenticationToken' },
    });
    await Promise.all([read(client), read(client), read(client)]);
    expect(tokenRequests()).toBe(2);
  });

  it('gives up after a fresh token is refused too', async () => {
    const client = clientOf(simulator);
    simulator.fail({ match: 'graph.microsoft.com', how: { status: 401, code: 'InvalidAuthenticationToken' } });
    expect(await failure(read(client))).toMatchObject({ code: 'graph.token_refused', recovery: { kind: 'operator' } });
    expect(tokenRequests()).toBe(2);
  });
});

describe('links', () => {
  it.each([
    'https://graph.microsoft.us/v1.0/users/x',
    'http://graph.microsoft.com/v1.0/users/x',
    'https://graph.microsoft.com.evil.example/v1.0',
    'https://graph.microsoft.com:8443/v1.0',
    'https://graph.microsoft.com@evil.example/v1.0',
    '/v1.0/users/x',
    'nonsense',
  ])('that lead elsewhere get neither token nor request: %s', async (link) => {
    const client = clientOf(simulator);
    await read(client);
    const before = simulator.requests.length;
    const error = await failure(client.get({ mailbox: me, to: { link }, signal: patient }));
    expect(error).toMatchObject({ code: 'graph.foreign_link', recovery: { kind: 'operator' } });
    expect(simulator.requests).toHaveLength(before);
  });

  it('are never followed on a redirect, which would carry the token along', async () => {
    const redirects = new Set<unknown>();
    const watched: typeof fetch = (url, init) => {
      redirects.add(init?.redirect);
      return simulator.fetch(url, init);
    };
    const client = clientOf(simulator, { fetch: watched });
    simulator.fail({ match: 'graph.microsoft.com', how: { status: 302 } });
    expect(await failure(read(client))).toMatchObject({ code: 'graph.redirected', recovery: { kind: 'retry' } });
    expect([...redirects]).toEqual(['manual']);
  });

  it('are followed to the letter', async () => {
    const link = `https://graph.microsoft.com/v1.0/users/${me}/calendar?$select=id&x=a%2Bb&x=c&$skiptoken=s%3D1`;
    await failure(clientOf(simulator).get({ mailbox: me, to: { link }, signal: patient })).catch(() => null);
    expect(simulator.requests.at(-1)?.url).toBe(link);
  });
});

describe('answers that are none', () => {
  it.each([
    ['cut in the middle', { truncated: true }, 'graph.unreadable_answer'],
    ['a web page', { html: 200 }, 'graph.unreadable_answer'],
    ['a web page of a gateway', { html: 502 }, 'graph.overloaded'],
    ['a broken connection', { reset: 'before' }, 'graph.unreachable'],
    ['a lost answer', { reset: 'after' }, 'graph.unreachable'],
  ] as const)('are tried again: %s', async (_, how, code) => {
    const client = clientOf(simulator);
    await client.signIn();
    simulator.fail({ match: 'graph.microsoft.com', how });
    expect(await failure(read(client))).toMatchObject({ code, recovery: { kind: 'retry' } });
  });

  it('are not waited for longer than set', async () => {
    const client = clientOf(simulator, { timeoutMs: 100 });
    await client.signIn();
    simulator.fail({ match: 'graph.microsoft.com', how: { slowMs: 1_000 } });
    expect(await failure(read(client))).toMatchObject({ code: 'graph.timeout', recovery: { kind: 'retry' } });
  });

  it('are not waited for once the caller gives up', async () => {
    const client = clientOf(simulator);
    await client.signIn();
    simulator.fail({ match: 'graph.microsoft.com', how: { slowMs: 1_000 } });
    const controller = new AbortController();
    const task = failure(read(client, controller.signal));
    await simulator.waitForRequest('GET https://graph');
    controller.abort();
    expect(await task).toMatchObject({ code: 'graph.aborted', recovery: { kind: 'retry' } });
    expect(await failure(read(client, controller.signal))).toMatchObject({ code: 'graph.aborted' });
  });

  it('carry the fraction of Retry-After', async () => {
    const client = clientOf(simulator);
    simulator.fail({
      match: 'graph.microsoft.com',
      how: { status: 429, code: 'ApplicationThrottled', retryAfter: '7.5' },
    });
    const before = Date.now();
    const { recovery } = await failure(read(client));
    const waitMs = recovery.kind === 'retry' ? (recovery.notBefore?.getTime() ?? 0) - before : 0;
    expect(waitMs).toBeGreaterThanOrEqual(7_500);
    expect(waitMs).toBeLessThan(20_000);
  });
});

describe('load', () => {
  it('is never more than three requests at a time for a mailbox', async () => {
    simulator.switches.mailboxConcurrency = 3;
    simulator.latencyMs = 20;
    const client = clientOf(simulator);
    await Promise.all(Array.from({ length: 12 }, () => readPage(client)));
    expect(simulator.requests.every(({ status }) => status === 200)).toBe(true);
  });

  it('halves pages while Graph is overloaded and lets them grow again', async () => {
    const client = clientOf(simulator);
    const size = () => /odata\.maxpagesize=(\d+)/.exec(simulator.requests.at(-1)?.headers['prefer'] ?? '')?.[1];
    const fault = simulator.fail({ match: 'graph.microsoft.com', how: { status: 504, code: 'UnknownError' } });
    const sizes: unknown[] = [];
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await failure(readPage(client));
      sizes.push(size());
    }
    fault.clear();
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await readPage(client);
      sizes.push(size());
    }
    expect(sizes).toEqual(['100', '50', '25', '12', '10', '10', '20']);
  });

  it('goes on after a task that failed', async () => {
    const limit = limiter(1);
    await expect(limit('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    const order: string[] = [];
    await Promise.all(['1', '2', '3'].map((name) => limit('a', () => Promise.resolve(order.push(name)))));
    expect(order).toEqual(['1', '2', '3']);
  });
});
