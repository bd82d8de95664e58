import {
  ConfidentialClientApplication,
  CryptoProvider,
  type Configuration,
  type INetworkModule,
  type NetworkRequestOptions,
} from '@azure/msal-node';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Client } from '@microsoft/microsoft-graph-client';

import { contoso as startContoso } from '../support/graph/contoso.ts';
import { mapOrigins } from '../support/graph/origins.ts';
import { directoryOf } from '../support/graph/people.ts';
import { RawClient, type RawEvent } from '../support/graph/raw-client.ts';
import { selfSigned } from '../support/graph/self-signed.ts';
import type { GraphSimulator, SimulatorOptions } from '../support/graph/simulator.ts';

const running: GraphSimulator[] = [];
afterEach(() => Promise.all(running.splice(0).map((simulator) => simulator.close())));

async function contoso(options: SimulatorOptions = {}) {
  const world = await startContoso(options);
  running.push(world.simulator);
  return world;
}

/** MSAL as it is, over the simulator's fetch. */
function msal(simulator: GraphSimulator, auth: Partial<Configuration['auth']>) {
  const send = (method: string) => async (url: string, request?: NetworkRequestOptions) => {
    const body = request?.body === undefined ? {} : { body: request.body };
    const response = await simulator.fetch(url, { method, headers: request?.headers ?? {}, ...body });
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: (await response.json()) as never,
    };
  };
  const networkClient: INetworkModule = { sendGetRequestAsync: send('GET'), sendPostRequestAsync: send('POST') };
  const authority = `https://login.microsoftonline.com/${directoryOf('contoso.example')}`;
  return new ConfidentialClientApplication({
    auth: { clientId: 'app-1', authority, ...auth },
    system: { networkClient },
  });
}
const raise = (): never => {
  throw new Error('nobody signed in');
};
const graphScope = { scopes: ['https://graph.microsoft.com/.default'] };

describe('the simulated login', () => {
  it('gives unmodified MSAL a token with which the unmodified Graph client reads a calendar', async () => {
    const { simulator, calendar } = await contoso();
    calendar.createEvent({ subject: 'Stand-up', start: '2026-05-04T09:00', end: '2026-05-04T09:15' });
    const result = await msal(simulator, { clientSecret: 'right' }).acquireTokenByClientCredential(graphScope);
    const client = Client.initWithMiddleware({
      middleware: {
        execute: async (context) => {
          const headers = { authorization: `Bearer ${result?.accessToken ?? ''}` };
          context.response = await simulator.fetch(String(context.request), {
            ...context.options,
            headers,
          });
        },
      },
    });

    const answer = (await client.api('/users/ann@contoso.example/calendar/events').get()) as { value: RawEvent[] };

    expect(answer.value).toMatchObject([
      {
        subject: 'Stand-up',
        type: 'singleInstance',
        start: { dateTime: '2026-05-04T07:00:00.0000000', timeZone: 'UTC' },
      },
    ]);
  });

  it('accepts the assertion of the registered certificate only', async () => {
    const { simulator, tenant } = await contoso({ now: () => new Date() });
    const [registered, other] = [selfSigned(), selfSigned()];
    tenant.configure({ certificate: registered.certificate });
    const withKey = ({ thumbprintSha256, privateKey }: typeof registered) =>
      msal(simulator, { clientCertificate: { thumbprintSha256, privateKey } }).acquireTokenByClientCredential(
        graphScope,
      );

    await expect(withKey(registered)).resolves.toHaveProperty('accessToken');
    await expect(withKey(other)).rejects.toThrow('700027');
    await expect(withKey({ ...other, thumbprintSha256: registered.thumbprintSha256 })).rejects.toThrow('700027');
  });

  it.each<[number, string, { form?: Record<string, string>; login?: string; tenant?: string; configure?: object }]>([
    [7000215, 'a wrong secret', { form: { client_secret: 'wrong' } }],
    [7000222, 'an expired secret', { configure: { secretExpiresAt: '2026-04-30T00:00:00Z' } }],
    [700016, 'an unknown app', { form: { client_id: 'app-2' } }],
    [7000112, 'a disabled app', { configure: { isAppDisabled: true } }],
    [90002, 'an unknown tenant', { tenant: 'nobody.example' }],
    [900382, "another cloud's login host", { login: 'https://login.microsoftonline.us' }],
    [500011, "another cloud's Graph host", { form: { scope: 'https://graph.microsoft.us/.default' } }],
    [1002012, 'a scope that is not .default', { form: { scope: 'https://graph.microsoft.com/Calendars.Read' } }],
  ])('answers AADSTS%i to %s', async (code, _, { form, login, tenant: directory, configure = {} }) => {
    const { tenant, client } = await contoso();
    tenant.configure(configure);
    expect(await client.askToken(form, login, directory)).toMatchObject({ error_codes: [code] });
  });

  it('issues a token though nothing is granted, and then the calendar refuses', async () => {
    const { tenant, client } = await contoso();
    tenant.configure({ consent: false });
    const { status, json } = await client.get('/users/ann@contoso.example/calendar');
    expect([status, json.error?.code]).toEqual([403, 'ErrorAccessDenied']);
    tenant.configure({ allowedMailboxes: ['ann@contoso.example'] });
    expect((await client.get('/users/ann@contoso.example/calendar')).status).toBe(200);
  });

  it('lets a policy shut out other mailboxes, and knows guests and unknown people', async () => {
    const { tenant, client } = await contoso();
    tenant.addMailbox({ upn: 'bo@contoso.example' });
    tenant.addMailbox({ upn: 'guest@contoso.example', kind: 'guest' });
    tenant.configure({ allowedMailboxes: ['ann@contoso.example', 'guest@contoso.example'] });
    const code = async (upn: string) => (await client.get(`/users/${upn}/calendars`)).json.error?.code;
    expect(await code('bo@contoso.example')).toBe('ErrorAccessDenied');
    expect(await code('guest@contoso.example')).toBe('MailboxNotEnabledForRESTAPI');
    expect(await code('nobody@contoso.example')).toBe('Request_ResourceNotFound');
  });

  it('refuses expired tokens and those of another cloud', async () => {
    let now = new Date('2026-05-01T12:00:00Z');
    const { client, simulator, tenant } = await contoso({ now: () => now });
    expect((await client.get('/users/ann@contoso.example/calendar')).status).toBe(200);
    now = new Date('2026-05-01T14:00:00Z');
    expect((await client.get('/users/ann@contoso.example/calendar')).json.error?.code).toBe(
      'InvalidAuthenticationToken',
    );
    const fresh = new RawClient(simulator, tenant.state);
    await fresh.signIn('https://login.microsoftonline.com');
    expect(
      (await fresh.get('https://graph.microsoft.us/v1.0/users/ann@contoso.example/calendar')).json.error?.message,
    ).toContain('audience');
  });

  it('says admin_consent=True even when the v2 consent was refused', async () => {
    const { simulator, tenant } = await contoso();
    tenant.configure({ consent: false });
    const ask = async (more: string) => {
      const query = `client_id=app-1&redirect_uri=https%3A%2F%2Fsync.example%2Fback&state=s1&scope=x${more}`;
      const url = `https://login.microsoftonline.com/contoso.example/v2.0/adminconsent?${query}`;
      const response = await simulator.fetch(url, { redirect: 'manual' });
      return Object.fromEntries(new URL(response.headers.get('location') ?? '').searchParams);
    };
    expect(await ask('&prompt=refuse')).toMatchObject({
      error: 'consent_required',
      admin_consent: 'True',
      state: 's1',
    });
    expect(tenant.state.consent).toBe(false);
    expect(await ask('')).toMatchObject({ tenant: directoryOf('contoso.example'), admin_consent: 'True' });
    expect(tenant.state.consent).toBe(true);
  });

  it('signs people in by code with PKCE and refreshes, for their own mailbox only', async () => {
    const { simulator, tenant } = await contoso({ now: () => new Date() });
    const app = msal(simulator, { clientSecret: 'right' });
    const { verifier, challenge } = await new CryptoProvider().generatePkceCodes();
    const redirectUri = 'https://sync.example/back';
    const scopes = ['https://graph.microsoft.com/Calendars.Read', 'offline_access'];
    const challenged = { codeChallenge: challenge, codeChallengeMethod: 'S256', loginHint: 'ann@contoso.example' };
    const page = await app.getAuthCodeUrl({ scopes, redirectUri, state: 's1', ...challenged });
    const back = new URL((await simulator.fetch(page, { redirect: 'manual' })).headers.get('location') ?? '');
    const code = back.searchParams.get('code') ?? '';
    const signedIn = await app.acquireTokenByCode({ code, scopes, redirectUri, codeVerifier: verifier });
    const account = signedIn.account;
    const renewed = account && (await app.acquireTokenSilent({ account, scopes, forceRefresh: true }));
    const read = async (path: string) => {
      const headers = { authorization: `Bearer ${renewed?.accessToken ?? ''}` };
      return (await simulator.fetch(`https://graph.microsoft.com/v1.0${path}`, { headers })).status;
    };

    tenant.addMailbox({ upn: 'bo@contoso.example' });
    expect(back.searchParams.get('state')).toBe('s1');
    expect(account?.username).toBe('ann@contoso.example');
    expect(await Promise.all(['/me/calendars', '/users/bo@contoso.example/calendars'].map(read))).toEqual([200, 403]);
    await expect(app.acquireTokenByCode({ code, scopes, redirectUri, codeVerifier: verifier })).rejects.toThrow(
      '70008',
    );
    simulator.revokeSignIns('ann@contoso.example');
    await expect(app.acquireTokenSilent({ account: account ?? raise(), scopes, forceRefresh: true })).rejects.toThrow(
      '50173',
    );
  });

  it('signs people in by device code once they have entered it', async () => {
    const { simulator, client } = await contoso();
    const form = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', scope: 'Calendars.Read offline_access' };
    const url = `https://login.microsoftonline.com/${directoryOf('contoso.example')}/oauth2/v2.0/devicecode`;
    const body = new URLSearchParams({ client_id: 'app-1', scope: form.scope });
    const begun = (await (await simulator.fetch(url, { method: 'POST', body })).json()) as {
      device_code: string;
      user_code: string;
    };
    const poll = () => client.askToken({ ...form, device_code: begun.device_code });

    expect(await poll()).toMatchObject({ error: 'authorization_pending', error_codes: [70016] });
    simulator.enterDeviceCode(begun.user_code, 'ann@contoso.example');
    expect(await poll()).toMatchObject({ status: 200, access_token: expect.any(String) });
    expect(await poll()).toMatchObject({ error: 'expired_token' });
  });

  it('lets another process build the same fetch, and nothing out', async () => {
    const { simulator } = await contoso();
    const elsewhere = mapOrigins(JSON.parse(JSON.stringify(simulator.originMap)) as Record<string, string>);
    const url = 'https://login.microsoftonline.us/organizations/v2.0/.well-known/openid-configuration';
    expect(await (await elsewhere(url)).json()).toMatchObject({
      token_endpoint: expect.stringContaining('https://login.microsoftonline.us/'),
    });
    await expect(elsewhere('https://elsewhere.example/')).rejects.toThrow('fetch failed');
  });
});
