import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import { makeConsentLink } from '../../src/access/consent-desk.ts';
import { saveTenant, loadTenant } from '../../src/store/configuration.ts';
import { loadAccess } from '../../src/store/tenant-access.ts';
import { grantScript, resultMark } from '../../src/web/consent/exchange-script.ts';
import { upkeep } from '../../src/access/upkeep.ts';
import { nullLog, type Log } from '../../src/shared/log.ts';
import { builtInClouds } from '../../src/shared/clouds.ts';
import { directoryOf } from '../support/graph/people.ts';
import { at } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';
import { aStage, type Stage } from '../support/stage.ts';

const publicUrl = 'https://calendar.example';
let stage: Stage;
let serverUrl: string;
let count = 0;

beforeAll(async () => {
  stage = await aStage({ env: { PUBLIC_URL: publicUrl } });
  await stage.target();
  serverUrl = (await stage.product.startWeb()).url;
}, 120_000);
afterAll(() => stage.close());

/** A tenant that has granted nothing yet, and the administrator's browser. */
async function aTenant(options: { cloud?: string; access?: 'scoped' | 'tenant-wide' } = {}) {
  const { simulator, product } = stage;
  const { db } = product.store;
  const id = `t${++count}`;
  const domain = `${id}.example`;
  const [ann, boss] = [`ann@${domain}`, `boss@${domain}`];
  const { cloud = 'global', access = 'tenant-wide' } = options;
  await stage.tenant(id, { directory: directoryOf(domain), domain, client: `app-${id}`, cloud });
  const tenant = simulator.tenant(domain);
  tenant.configure({ consent: false });
  const config = await loadTenant(db, product.box, id);
  if (config !== null) await saveTenant(db, product.box, { ...config, access });
  tenant
    .addMailbox({ upn: ann })
    .calendar()
    .createEvent({ subject: `Stand-up ${id}`, start: at(30) });
  tenant.addMailbox({ upn: boss });
  await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann });
  const link = (
    await makeConsentLink({ store: product.store, mint: randomUUID, publicUrl }, id, { hours: 1, actor: 'test' })
  ).url;
  const since = await sql<{ id: string }>`select coalesce(max(id), 0)::text as id from audit`.execute(db);
  return {
    id,
    here: `/consent/${id}`,
    directory: directoryOf(domain),
    ann,
    boss,
    tenant,
    db,
    browser: aBrowser(),
    link,
    access: () => loadAccess(db, id),
    /** Actions of the audit since the link was made. */
    audits: async () => {
      const found = await sql<{ action: string }>`
        select action from audit where id > ${since.rows[0]?.id} order by id`.execute(db);
      return found.rows.map(({ action }) => action);
    },
    prove: async () => {
      await sql`update tenant_access set next_try_at = now() - interval '1 second' where tenant_id = ${id}`.execute(db);
      await product.tenants.keep();
    },
    /** How often the title of its one meeting stands in the target. */
    shown: () => stage.bodies().filter((body) => body.includes(`Stand-up ${id}`)).length,
  };
}

type World = Awaited<ReturnType<typeof aTenant>>;

/** Keeps cookies and shows what each page says; addresses of PUBLIC_URL lead to the test's server. */
function aBrowser() {
  const cookies = new Map<string, string>();
  const go = async (
    path: string,
    init: RequestInit = {},
  ): Promise<{ status: number; text: string; headers: Headers }> => {
    const at = path.replace(publicUrl, serverUrl);
    const headers = {
      ...(init.headers as object),
      cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
    };
    const answer = await fetch(at.startsWith('/') ? serverUrl + at : at, { ...init, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    const text = (await answer.text()).replaceAll(/\s+/g, ' ');
    const next = answer.headers.get('location');
    if (next !== null && (next.startsWith('/') || next.startsWith(publicUrl))) return go(next);
    return { status: answer.status, text, headers: answer.headers };
  };
  return {
    get: (path: string) => go(path),
    post: (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
      go(path, { method: 'POST', body: new URLSearchParams(form), headers: { origin: publicUrl, ...headers } }),
    cookies,
  };
}

/** Sends the administrator to Microsoft and gives where Microsoft sends them back to. */
async function atMicrosoft({ browser, here }: World, form: 'v1' | 'v2', prompt: 'accept' | 'refuse' = 'accept') {
  const asked = await browser.post(`${here}/ask`, { form });
  const there = new URL(asked.headers.get('location') ?? 'https://nowhere.invalid');
  if (prompt === 'refuse') there.searchParams.set('prompt', 'refuse');
  const answer = await stage.simulator.fetch(there.href, { redirect: 'manual' });
  return { there, back: answer.headers.get('location') ?? '' };
}

describe('the consent pages', () => {
  it('are closed to whoever has no link, whatever the tenant', async () => {
    const { browser, here } = await aTenant();
    for (const path of [here, '/consent/nobody', `${here}?key=wrong`, `${here}/sheet`])
      expect(await browser.get(path)).toMatchObject({
        status: 403,
        text: expect.stringContaining('This page is closed'),
      });
    expect((await browser.post(`${here}/ask`, { form: 'v2' })).status).toBe(403);
  });

  it('open by the link for one tenant only, and the key leaves the address at once', async () => {
    const { browser, link, id, here } = await aTenant();
    const other = await aTenant();
    const page = await browser.get(link);
    expect(page.status).toBe(200);
    expect(page.text).toContain(`Calendar access for ${id}`);
    expect(page.text).not.toContain(new URL(link).searchParams.get('key'));
    expect((await browser.get(here)).status).toBe(200);
    expect((await browser.get(other.here)).status).toBe(403);
    expect((await browser.get(link.replace(`/${id}?`, `/${other.id}?`))).status).toBe(403);
  });

  it('close when the link expires or is closed', async () => {
    const { browser, link, id, here, db } = await aTenant();
    await browser.get(link);
    expect((await runCli(stage, ['consent', id, '--close'])).out).toContain('Closed 1 links');
    expect((await browser.get(here)).status).toBe(403);
    const made = await runCli(stage, ['consent', id, '--json'], { PUBLIC_URL: publicUrl });
    const { url } = JSON.parse(made.out) as { url: string };
    expect((await browser.get(url)).status).toBe(200);
    await sql`update consent_link set expires_at = now() - interval '1 second' where tenant_id = ${id}`.execute(db);
    expect((await browser.get(here)).status).toBe(403);
    expect((await browser.get(url)).status).toBe(403);
  });

  it('take no form that another site sends', async () => {
    const { browser, link, here, audits } = await aTenant();
    await browser.get(link);
    const answer = await browser.post(`${here}/ceiling`, { ceiling: 'busy' }, { origin: 'https://evil.example' });
    expect(answer.status).toBe(400);
    expect(await audits()).toEqual([]);
  });

  it('load nothing from elsewhere, run nothing, and stand in no frame', async () => {
    const { browser, link } = await aTenant({ cloud: 'gcch' });
    const { headers, text } = await browser.get(link);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toContain("form-action 'self' https://login.microsoftonline.us");
    expect(headers.get('cache-control')).toBe('no-store');
    expect(text).not.toMatch(/<script|<img|<link|src=|onclick/);
  });
});

describe.each(['v1', 'v2'] as const)('consent for the whole tenant by the form %s', (form) => {
  it('is asked at the tenant’s own cloud, granted, and proven by reading', async () => {
    const world = await aTenant();
    const { browser, link } = world;
    await browser.get(link);
    const { there, back } = await atMicrosoft(world, form);
    expect(there.origin).toBe('https://login.microsoftonline.com');
    expect(there.searchParams.get('redirect_uri')).toBe(`${publicUrl}/consent/callback`);
    expect(there.searchParams.get('scope')).toBe(form === 'v2' ? 'https://graph.microsoft.com/.default' : null);

    const page = await browser.get(back);

    expect(page.status).toBe(200);
    expect(page.text).toContain('Microsoft says that access was granted');
    expect(page.text).toContain('Proven: the calendars can be read');
    expect(await world.access()).toMatchObject({ state: 'proven', grantedBy: 'admin-consent' });
    expect(await world.audits()).toEqual(['consent.asked', 'consent.granted', 'access.proven']);
  });

  it('that is refused changes nothing, though it may say admin_consent=True beside', async () => {
    const world = await aTenant();
    await world.browser.get(world.link);
    const { back } = await atMicrosoft(world, form, 'refuse');
    expect(back.includes('admin_consent=True')).toBe(form === 'v2');

    const page = await world.browser.get(back);

    expect(page.status).toBe(400);
    expect(page.text).toContain('Access was not granted');
    expect(await world.access()).toMatchObject({ state: 'declined', grantedAt: null });
    expect(await world.audits()).toContain('consent.declined');
  });
});

describe('what comes back from Microsoft', () => {
  it('counts once', async () => {
    const world = await aTenant();
    await world.browser.get(world.link);
    const { back } = await atMicrosoft(world, 'v2');
    await world.browser.get(back);
    await sql`delete from tenant_access where tenant_id = ${world.id}`.execute(world.db);

    const again = await world.browser.get(back);

    expect(again).toMatchObject({ status: 400, text: expect.stringContaining('it counts once') });
    expect(await world.access()).toMatchObject({ state: 'unasked', grantedAt: null });
    expect(await world.audits()).toContain('consent.state_replayed');
  });

  const stateOf = (url: URL): string => url.searchParams.get('state') ?? '';
  it.each<[string, (back: URL, world: World) => unknown, string, string]>([
    ['without a state', (back) => back.searchParams.delete('state'), 'consent.state_forged', 'does not carry'],
    [
      'with a state of somebody’s own',
      (back) => back.searchParams.set('state', 'v1.abc.def.ghi.jkl'),
      'consent.state_forged',
      'does not carry',
    ],
    [
      'with an altered state',
      (back) =>
        back.searchParams.set(
          'state',
          stateOf(back).replace(/..$/, (end) => (end === 'AA' ? 'BB' : 'AA')),
        ),
      'consent.state_forged',
      'does not carry',
    ],
    [
      'too late',
      (_, { db, id }) =>
        sql`update consent_state set expires_at = now() - interval '1 second' where tenant_id = ${id}`.execute(db),
      'consent.state_expired',
      'Too much time',
    ],
    [
      'for another tenant',
      (back) => back.searchParams.set('tenant', directoryOf('other.example')),
      'consent.other_tenant',
      'another organisation',
    ],
    [
      'without a word about consent',
      (back) => back.searchParams.delete('admin_consent'),
      'consent.unclear',
      'did not say',
    ],
  ])('%s is refused with words, an audit entry and nothing stored', async (_, spoil, action, says) => {
    const world = await aTenant();
    await world.browser.get(world.link);
    const url = new URL((await atMicrosoft(world, 'v2')).back);
    await spoil(url, world);

    const page = await world.browser.get(url.href);

    expect(page.status).toBe(400);
    expect(page.text).toContain(says);
    expect(await world.access()).toMatchObject({ state: 'unasked', grantedAt: null });
    expect(await world.audits()).toContain(action);
  });

  it('in another browser than the one that has the page is taken, and shows nothing of the tenant', async () => {
    const world = await aTenant();
    await world.browser.get(world.link);
    const { back } = await atMicrosoft(world, 'v2');

    const page = await aBrowser().get(back);

    expect(page).toMatchObject({ status: 200, text: expect.stringContaining('Thank you') });
    expect(page.text).not.toContain(world.ann);
    expect((await world.access()).state).toBe('proven');
  });
});

describe('access to named mailboxes only', () => {
  const pasted = ({ directory, id, ann }: World, change: object = {}): string => {
    const mailboxes = [{ address: ann, inScope: true }];
    const result = { directory, client: `app-${id}`, grants: [], mailboxes, control: null, ...change };
    return resultMark + Buffer.from(JSON.stringify(result)).toString('base64');
  };

  it('is pasted back, propagates until it works, and is proven with a control mailbox', async () => {
    const world = await aTenant({ access: 'scoped' });
    const { browser, link, here, tenant, boss, ann } = world;
    expect((await browser.get(link)).text).not.toContain('Grant at Microsoft');
    await browser.post(`${here}/control`, { mailbox: boss.toUpperCase() });

    const told = await browser.post(`${here}/paste`, { result: `PS C:\\> ./grant.ps1\n${pasted(world)}\n` });
    expect(told.text).toContain('Propagating');

    tenant.configure({ allowedMailboxes: [ann] });
    await world.prove();
    const page = await browser.get(here);
    expect(page.text).toContain('Proven: the calendars can be read');
    expect(page.text).toContain(`The control mailbox ${boss} was refused, as it must be`);
  });

  it('is shown to be undone by a grant in Entra, at the next proof', async () => {
    const world = await aTenant({ access: 'scoped' });
    const { browser, link, here, tenant, boss, ann } = world;
    tenant.configure({ allowedMailboxes: [ann] });
    await browser.get(link);
    await browser.post(`${here}/control`, { mailbox: boss });
    expect((await world.access()).state).toBe('proven');

    tenant.configure({ consent: true, allowedMailboxes: 'all' });
    await stage.product.tenants.keep();
    expect((await world.access()).state).toBe('proven');
    await world.prove();

    expect(await world.access()).toMatchObject({ state: 'undone', code: 'access.scope_undone' });
    expect(await world.audits()).toContain('access.undone');
    expect((await browser.get(here)).text).toContain('The limit does not hold');
  });

  it('that is withdrawn, or closed for one mailbox, is noticed', async () => {
    const world = await aTenant();
    world.tenant.configure({ consent: true });
    await world.prove();
    expect((await world.access()).state).toBe('proven');
    world.tenant.configure({ consent: false });
    await world.prove();
    expect(await world.access()).toMatchObject({ state: 'withdrawn', code: 'graph.access_denied' });
    world.tenant.configure({ consent: true });
    await world.prove();
    expect((await world.access()).state).toBe('proven');
    world.tenant.addMailbox({ upn: `guest@${world.id}.example`, kind: 'guest' });
    await stage.source({ id: `g-${world.id}`, tenant: world.id, mailbox: `guest@${world.id}.example` });
    await world.prove();
    expect(await world.access()).toMatchObject({ state: 'partial', code: 'graph.mailbox_unavailable' });
    await world.browser.get(world.link);
    expect((await world.browser.get(world.here)).text).toContain('The mailbox belongs to a guest');
  });

  it.each<[string, (world: World) => string, string, string]>([
    [
      'is no result',
      () => 'calendar-sync-result:@@@',
      'consent.paste_unreadable',
      'not the line that the script prints',
    ],
    ['is cut off', (world) => pasted(world).slice(0, 60), 'consent.paste_unreadable', 'not the line'],
    ['is of another app', (world) => pasted(world, { client: 'x' }), 'consent.paste_other', 'another application'],
    [
      'is of another directory',
      (world) => pasted(world, { directory: directoryOf('other.example') }),
      'consent.paste_other',
      'or organisation',
    ],
    [
      'leaves a mailbox out',
      (world) => pasted(world, { mailboxes: { address: world.ann, inScope: false } }),
      'consent.paste_outside',
      'Outside the scope: ann@',
    ],
    [
      'shows an Entra grant',
      (world) => pasted(world, { grants: 'Calendars.Read' }),
      'consent.paste_too_wide',
      'Calendars.Read',
    ],
    [
      'shows the control within the scope',
      (world) => pasted(world, { control: { address: world.boss, inScope: true } }),
      'consent.paste_too_wide',
      'is within the scope',
    ],
  ])('refuses what %s', async (_, result, action, says) => {
    const world = await aTenant({ access: 'scoped' });
    await world.browser.get(world.link);
    const page = await world.browser.post(`${world.here}/paste`, { result: result(world) });
    expect(page.status).toBe(400);
    expect(page.text).toContain(says);
    expect(await world.access()).toMatchObject({ state: 'unasked', grantedAt: null });
    expect(await world.audits()).toContain(action);
  });

  it.each<[string, (world: World) => string, string]>([
    ['no address', () => 'no address', 'consent.control_malformed'],
    ['a mailbox that is read', ({ ann }) => ann, 'consent.control_is_read'],
  ])('refuses %s as a control mailbox', async (_, mailbox, action) => {
    const world = await aTenant({ access: 'scoped' });
    await world.browser.get(world.link);
    expect((await world.browser.post(`${world.here}/control`, { mailbox: mailbox(world) })).status).toBe(400);
    expect((await world.access()).controlMailbox).toBeNull();
    expect(await world.audits()).toContain(action);
  });

  it('comes with everything for the administrator: sheet, script, names of the cloud', async () => {
    const { browser, link, here, id, ann } = await aTenant({ access: 'scoped', cloud: 'gcch' });
    await browser.get(link);
    const sheet = await browser.get(`${here}/sheet`);
    expect(sheet.text).toContain('O365USGovGCCHigh');
    expect(sheet.text).toContain('portal.azure.us');
    expect(sheet.text).not.toContain('<form');
    const script = await browser.get(`${here}/grant.ps1`);
    expect(script.headers.get('content-disposition')).toContain(`calendar-sync-${id}.ps1`);
    expect(script.text).toContain(`'${ann}'`);
    expect((await runCli(stage, ['consent', id, '--script'])).out).toContain(`'${ann}'`);
  });
});

describe('the script', () => {
  it('lets no address become a command', () => {
    const [cloud] = builtInClouds;
    if (cloud === undefined) throw new Error('no cloud');
    const evil = "a';Remove-Item/*‘$(calc)@x.example";
    const script = grantScript({ tenantId: 't', directory: 'd', client: 'c', cloud, mailboxes: [evil], control: null });
    expect(script).toContain("@('a'';Remove-Item/*‘‘$(calc)@x.example')");
  });
});

describe('the ceiling', () => {
  it('cuts down at once what shows more, and rises only with approval', async () => {
    const { browser, link, here, tenant, db, id, shown, audits } = await aTenant();
    tenant.configure({ consent: true });
    await stage.sync();
    expect(shown()).toBe(1);
    const before = stage.bodies().length;
    await browser.get(link);

    await browser.post(`${here}/ceiling`, { ceiling: 'busy' });
    const stored = await sql<{ series: string }>`
      select series::text from claim where source_id = ${`s-${id}`}`.execute(db);
    expect(stored.rows).toHaveLength(1);
    expect(JSON.stringify(stored.rows)).not.toContain('Stand-up');
    await stage.sync();
    expect([shown(), stage.bodies().length]).toEqual([0, before]);

    const refused = await browser.post(`${here}/ceiling`, { ceiling: 'full' });
    expect(refused).toMatchObject({ status: 400, text: expect.stringContaining('needs your approval') });
    expect((await browser.post(`${here}/ceiling`, { ceiling: 'all' })).status).toBe(400);
    await stage.passTime();
    await stage.sync();
    expect(shown()).toBe(0);

    await browser.post(`${here}/ceiling`, { ceiling: 'full', approve: 'yes' });
    await stage.sync();
    expect(shown()).toBe(1);
    expect(await audits()).toEqual([
      'consent.ceiling_set',
      'consent.ceiling_unapproved',
      'consent.ceiling_malformed',
      'consent.ceiling_set',
    ]);
  });

  it('holds for whatever is configured later', async () => {
    const { browser, link, here, tenant, id, ann, shown } = await aTenant();
    tenant.configure({ consent: true });
    await browser.get(link);
    await browser.post(`${here}/ceiling`, { ceiling: 'busy' });
    await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann, privacy: 'full', titleTag: '[C] ' });
    await stage.sync();
    expect(shown()).toBe(0);
  });
});

describe('access that was withdrawn', () => {
  it('pauses, keeps what shows for as long as was said, tells it before, and comes back by itself', async () => {
    const { tenant, id, db, shown } = await aTenant();
    const told: string[] = [];
    const log: Log = { ...nullLog, event: (name, fields) => void told.push(`${name} ${JSON.stringify(fields)}`) };
    const { store, box } = stage.product;
    const tend = async (): Promise<string[]> => {
      await upkeep({ store, box, log, clock: { now: () => new Date() } });
      return told.splice(0).filter((line) => line.includes(`s-${id}`));
    };
    const since = (days: number) =>
      sql`update withdrawal set since = now() - ${days} * interval '1 day' where source_id = ${`s-${id}`}`.execute(db);
    tenant.configure({ consent: true });
    await stage.passTime();
    await stage.sync();
    tenant.configure({ consent: false });
    await stage.passTime();
    await stage.sync();
    const paused = await sql<{ code: string }>`select paused_code as code from source where id = ${`s-${id}`}`.execute(
      db,
    );
    expect(paused.rows).toEqual([{ code: 'graph.access_denied' }]);
    expect([shown(), await tend()]).toEqual([1, []]);

    await since(24);
    expect(await tend()).toEqual([`access.events_expiring {"source":"s-${id}","days":6}`]);
    expect(await tend()).toEqual([]);
    // Nobody tried lately: nothing is proven, nothing goes.
    await since(31);
    await sql`update withdrawal set proven_at = now() - interval '1 day' where source_id = ${`s-${id}`}`.execute(db);
    expect(await tend()).toEqual([]);
    await stage.passTime();
    await stage.sync();
    expect(await tend()).toEqual([`access.events_removed {"source":"s-${id}"}`]);
    await stage.sync();
    expect(shown()).toBe(0);

    tenant.configure({ consent: true });
    await stage.passTime();
    await stage.sync();
    expect(shown()).toBe(1);
    const rows = await sql`select from withdrawal where source_id = ${`s-${id}`}`.execute(db);
    expect(rows.rows).toHaveLength(0);
  });
});

describe('doctor', () => {
  it('looks at a tenant from its hosts to each mailbox, each line with a remedy', async () => {
    const { tenant, id, ann } = await aTenant();
    tenant.configure({ consent: true });
    const lines = async (): Promise<Record<string, { state: string; says: string; remedy: string | null }>> => {
      const { checks } = JSON.parse((await runCli(stage, ['doctor', '--json'])).out) as {
        checks: { name: string; state: string; says: string; remedy: string | null }[];
      };
      const own = checks.filter(({ name }) => name.startsWith(`tenant ${id}: `));
      return Object.fromEntries(own.map((check) => [check.name.replace(`tenant ${id}: `, ''), check]));
    };
    const well = await lines();
    expect(well['sign-in host']).toMatchObject({ state: 'ok', says: 'login.microsoftonline.com answers' });
    expect(well['calendar host']).toMatchObject({ state: 'ok', says: 'graph.microsoft.com answers' });
    expect(well['credential']?.state).toBe('ok');
    expect(well['access']).toMatchObject({ state: 'ok', says: expect.stringContaining('proven') });
    expect(well[`mailbox ${ann}`]).toMatchObject({ state: 'ok', says: '1 calendar visible' });
    expect(well['notifications']).toMatchObject({ says: expect.stringContaining('not possible without PUBLIC_URL') });

    tenant.configure({ allowedMailboxes: [] });
    const ill = await lines();
    for (const name of ['access', `mailbox ${ann}`])
      expect(ill[name]).toMatchObject({
        state: 'failed',
        remedy: expect.stringContaining('group of the policy'),
      });
  }, 60_000);
});
