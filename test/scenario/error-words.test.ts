import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import { makeConsentLink } from '../../src/access/consent-desk.ts';
import { builtInClouds } from '../../src/shared/clouds.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { beginSignIn, finishSignIn } from '../../src/sources/graph/sign-in.ts';
import { loadTenant, saveTenant } from '../../src/store/configuration.ts';
import { saveSignIn } from '../../src/store/sign-ins.ts';
import { correlationOf, entraBody, entraWords, unknownNumber } from '../support/entra-words.ts';
import { graphError } from '../support/graph/exchange.ts';
import type { How } from '../support/graph/faults.ts';
import { directoryOf } from '../support/graph/people.ts';
import { runCli } from '../support/run-cli.ts';
import { aStage, type Stage } from '../support/stage.ts';

/** One tenant in trouble, and what an administrator must be told of it. */
interface Trouble {
  readonly id: string;
  readonly how: How;
  readonly at: 'login' | 'graph';
  readonly isDelegated: boolean;
  readonly says: string;
  /** Null: it passes. */
  readonly remedy: string | null;
}

const graphTrouble = (
  id: string,
  [status, code, message]: readonly [number, string, string?],
  says: string,
  remedy: string | null,
): Trouble => ({
  id: `graph-${id}`,
  how: { answer: graphError(status, code, message ?? 'Words that are not ours.') },
  at: 'graph',
  isDelegated: false,
  says,
  remedy,
});

const troubles: readonly Trouble[] = [
  ...[
    ...entraWords,
    {
      number: unknownNumber,
      error: 'invalid_client',
      says: 'the login host refused',
      remedy: 'Microsoft explains it at',
      isDelegated: false,
    },
  ].map(({ number, error, says, remedy, isDelegated }): Trouble => ({
    id: `aadsts-${number}`,
    how: { answer: { status: 400, body: entraBody(number, error) } },
    at: 'login',
    isDelegated,
    says,
    remedy,
  })),
  graphTrouble(
    'audience',
    [401, 'InvalidAuthenticationToken', 'Invalid audience.'],
    'tokens of this login host',
    'different clouds',
  ),
  graphTrouble('token', [401, 'InvalidAuthenticationToken'], 'refused our token', 'right cloud'),
  graphTrouble(
    'policy',
    [403, 'ErrorAccessDenied', 'Access to OData is disabled.'],
    'application access policy',
    'group of the policy',
  ),
  graphTrouble('denied', [403, 'ErrorAccessDenied'], 'refused to read this calendar', 'Grant the app Calendars.Read'),
  graphTrouble('role', [403, 'Authorization_RequestDenied'], 'lacks the permission', 'Grant the app Calendars.Read'),
  graphTrouble('guest', [404, 'MailboxNotEnabledForRESTAPI'], 'cannot reach this mailbox', 'belongs to a guest'),
  graphTrouble('user', [404, 'Request_ResourceNotFound'], 'knows no such user', 'address may have changed'),
  graphTrouble('extension', [400, 'ExtensionError'], 'Exchange refused this', 'Exchange admin centre'),
  graphTrouble('request', [400, 'ErrorInvalidRequest'], 'refused our request', 'longer than five years'),
  graphTrouble('throttled', [429, 'ApplicationThrottled'], 'asks us to slow down', null),
  graphTrouble('overload', [503, 'ErrorServerBusy'], 'overloaded', null),
  graphTrouble('failed', [500, 'ErrorInternalServerError'], 'Graph failed', null),
];

const publicUrl = 'https://calendar.example';
let stage: Stage;
let checks: readonly { name: string; state: string; says: string; remedy: string | null }[];
const pages = new Map<string, string>();
const histories = new Map<string, string>();

/** What the page shows, without its marks. */
const wordsOf = (page: string): string =>
  page
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ');

async function setUp({ id, how, at, isDelegated }: Trouble): Promise<void> {
  const { product, simulator } = stage;
  const { store, box } = product;
  const domain = `${id}.example`;
  const ann = `ann@${domain}`;
  const directory = directoryOf(domain);
  await stage.tenant(id, { directory, domain, client: `app-${id}` });
  simulator.tenant(domain).addMailbox({ upn: ann });
  await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann });
  if (isDelegated) {
    const config = await loadTenant(store.db, box, id);
    const [cloud] = builtInClouds;
    if (config === null || cloud === undefined) throw new Error('There is no such tenant.');
    await saveTenant(store.db, box, { ...config, credential: null });
    const options = { cloud, directory, client: `app-${id}`, fetch: simulator.fetch, clock: systemClock };
    const person = { ...options, version: '0', timeoutMs: 10_000 };
    const redirectUri = `${publicUrl}/consent/callback`;
    const { url, verifier } = await beginSignIn(person, { mailbox: ann, redirectUri, state: 's' });
    const back = await simulator.fetch(url, { redirect: 'manual' });
    const code = new URL(back.headers.get('location') ?? '').searchParams.get('code') ?? '';
    await saveSignIn(store.db, box, id, ann, await finishSignIn(person, { code, verifier, redirectUri }));
  }
  simulator.fail({ match: at === 'login' ? `/${directory}/oauth2/v2.0/token` : `/users/${ann}/`, how });
}

beforeAll(async () => {
  stage = await aStage({ env: { PUBLIC_URL: publicUrl } });
  const { product } = stage;
  await stage.target();
  await Promise.all(troubles.map(setUp));
  await Promise.all(troubles.map(({ id }) => product.worker.run('ingest', `s-${id}`)));
  checks = (JSON.parse((await runCli(stage, ['doctor', '--json'])).out) as { checks: typeof checks }).checks;
  const { url } = await product.startWeb();
  const show = async ({ id, isDelegated }: Trouble): Promise<void> => {
    await product.prove({ id, access: isDelegated ? 'delegated' : 'tenant-wide' }, AbortSignal.timeout(60_000));
    const link = await makeConsentLink({ store: product.store, mint: randomUUID, publicUrl }, id, {
      hours: 1,
      actor: 'test',
    });
    const opened = await fetch(link.url.replace(publicUrl, url), { redirect: 'manual' });
    const cookie = opened.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    pages.set(id, wordsOf(await (await fetch(`${url}/consent/${id}`, { headers: { cookie } })).text()));
  };
  await Promise.all(troubles.map(show));
  const rows = await sql<{ id: string; message: string }>`
    select source_id as id, message from sync_history where status = 'error'`.execute(product.store.db);
  for (const { id, message } of rows.rows) histories.set(id, message);
}, 120_000);
afterAll(() => stage.close());

describe.each(troubles)('a tenant of which Microsoft says $id', ({ id, at, isDelegated, says, remedy }) => {
  it('is told by doctor, on the consent page and in the history, with the way out', () => {
    const own = checks.filter(({ name }) => name.startsWith(`tenant ${id}: `));
    const told = own.find(
      ({ name, state }) => state === 'failed' && (at === 'graph' || isDelegated || name.endsWith('credential')),
    );
    expect(told?.says).toContain(says);
    expect(told?.remedy).toContain(remedy ?? 'Try again in a minute');
    expect(pages.get(id)).toContain(says);
    if (remedy !== null) expect(pages.get(id)).toContain(remedy);
    expect(histories.get(`s-${id}`)).toContain(says);
  });

  it('is never told in words that are not ours', () => {
    const all = [JSON.stringify(checks), pages.get(id), histories.get(`s-${id}`)];
    for (const text of all) expect(text).not.toMatch(/words that are not ours|OData is disabled|Invalid audience/i);
  });
});

describe('a mailbox of a guest, or kept on premises', () => {
  it('is in the audit as what nobody can read', async () => {
    const { rows } = await sql<{ action: string }>`
      select action from audit where subject = 'tenants/graph-guest'`.execute(stage.product.store.db);
    expect(rows.map(({ action }) => action)).toContain('access.unreadable');
  });
});

describe('doctor', () => {
  it('tells a secret that is wrong once, and then what it stops', () => {
    const id = 'aadsts-7000215';
    const own = checks.filter(({ name, says }) => name.includes(id) || says.includes(id));
    expect(own.filter(({ state }) => state === 'failed').map(({ name }) => name)).toEqual([`tenant ${id}: credential`]);
    expect(own.filter(({ state }) => state === 'skipped')).toEqual([
      {
        name: `tenant ${id}: stopped by that`,
        state: 'skipped',
        says: `not tried, as there is no token: access, mailbox ann@${id}.example, reading s-${id}`,
        code: null,
        remedy: null,
      },
    ]);
  });

  it('names the attempt by which an administrator finds it in the sign-in logs', () => {
    const told = checks.find(({ name }) => name === `tenant aadsts-${unknownNumber}: credential`);
    expect(told?.says).toContain(`AADSTS${unknownNumber}, correlation id ${correlationOf(unknownNumber)}`);
  });
});
