import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import { makeConsentLink } from '../../src/access/consent-desk.ts';
import { cleanUp } from '../../src/store/clean-up.ts';
import { loadTenant, removeEntry, saveTenant } from '../../src/store/configuration.ts';
import { directoryOf } from '../support/graph/people.ts';
import { at as inDays } from '../support/one-calendar.ts';
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

/** A tenant without an administrator: Ann signs in for herself. */
async function ann() {
  const { product, simulator } = stage;
  const { db } = product.store;
  const id = `p${++count}`;
  const domain = `${id}.example`;
  const upn = `ann@${domain}`;
  await stage.tenant(id, { directory: directoryOf(domain), domain, client: `app-${id}` });
  const config = await loadTenant(db, product.box, id);
  if (config !== null) await saveTenant(db, product.box, { ...config, credential: null });
  const tenant = simulator.tenant(domain);
  tenant.configure({ consent: false });
  tenant
    .addMailbox({ upn })
    .calendar()
    .createEvent({ subject: `Stand-up ${id}`, start: inDays(30) });
  tenant.addMailbox({ upn: `bo@${domain}` });
  await stage.source({ id: `s-${id}`, tenant: id, mailbox: upn });
  const options = { hours: 1, actor: 'test' };
  const { url } = await makeConsentLink({ store: product.store, mint: randomUUID, publicUrl }, id, options);
  const at = (path: string): string => path.replace(publicUrl, serverUrl);
  const first = await fetch(at(url), { redirect: 'manual' });
  const cookie = first.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  const post = (action: string, form: Record<string, string>) =>
    fetch(at(`${publicUrl}/consent/${id}/${action}`), {
      method: 'POST',
      headers: { cookie, origin: publicUrl },
      body: new URLSearchParams(form),
      redirect: 'manual',
    });
  return {
    id,
    upn,
    bo: `bo@${domain}`,
    db,
    /** Signs in at Microsoft as `who`, and gives the address to which Microsoft leads back. */
    signIn: async (who = upn, prompt = ''): Promise<string> => {
      const there = new URL((await post('sign-in', { mailbox: upn })).headers.get('location') ?? '');
      expect(there.searchParams.get('code_challenge_method')).toBe('S256');
      expect(there.searchParams.get('scope')).toContain('https://graph.microsoft.com/Calendars.Read');
      there.searchParams.set('login_hint', who);
      if (prompt !== '') there.searchParams.set('prompt', prompt);
      return (await simulator.fetch(there.href, { redirect: 'manual' })).headers.get('location') ?? '';
    },
    comeBack: (to: string, headers: Record<string, string> = { cookie }) =>
      fetch(at(to), { headers, redirect: 'manual' }).then(async (answer) => ({
        status: answer.status,
        location: answer.headers.get('location') ?? '',
        text: (await answer.text()).replaceAll(/\s+/g, ' '),
      })),
    post,
    kept: async () =>
      (
        await sql<{ username: string; sealed: string }>`
        select username, cache_sealed as sealed from sign_in where tenant_id = ${id}`.execute(db)
      ).rows,
    shown: () => stage.bodies().filter((body) => body.includes(`Stand-up ${id}`)).length,
    audits: async () =>
      (
        await sql<{ action: string }>`select action from audit where subject like ${`%${id}`} or subject = 'tenants'
        order by id`.execute(db)
      ).rows.map(({ action }) => action),
    sync: async () => {
      await stage.passTime();
      await stage.sync();
    },
  };
}

describe('a person who signs in', () => {
  it('has their calendar read, by all workers and after a restart, their tokens sealed at rest', async () => {
    const world = await ann();
    await world.sync();
    expect(world.shown()).toBe(0);

    expect(await world.comeBack(await world.signIn())).toMatchObject({
      status: 303,
      location: `/consent/${world.id}?done=signedIn`,
    });
    await world.sync();
    expect(world.shown()).toBe(1);
    const [kept] = await world.kept();
    expect(kept?.username).toBe(world.upn);
    expect(kept?.sealed).toMatch(/^v1\./);

    const other = await stage.another();
    const client = await other.sources.graph(world.id, world.upn);
    await expect(client.signIn()).resolves.toBeDefined();
  });

  it('is forgotten when no source names their mailbox any more', async () => {
    const world = await ann();
    await world.comeBack(await world.signIn());
    await cleanUp(world.db, { historyDays: 90 });
    expect(await world.kept()).toHaveLength(1);
    await removeEntry(world.db, 'source', `s-${world.id}`);
    await cleanUp(world.db, { historyDays: 90 });
    expect(await world.kept()).toEqual([]);
  });

  it('is asked anew when the sign-in was ended, and goes on after', async () => {
    const world = await ann();
    await world.comeBack(await world.signIn());
    await world.sync();
    stage.simulator.revokeSignIns(world.upn);
    const client = await stage.product.sources.graph(world.id, world.upn);
    await expect(client.signIn({ isFresh: true })).rejects.toMatchObject({ code: 'graph.sign_in_again' });
    expect(await world.comeBack(await world.signIn())).toMatchObject({ status: 303 });
    await expect(client.signIn({ isFresh: true })).resolves.toBeDefined();
  });

  it.each<
    [string, (world: Awaited<ReturnType<typeof ann>>) => Promise<{ status: number; text: string }>, string, string]
  >([
    [
      'as somebody else',
      async (world) => world.comeBack(await world.signIn(world.bo)),
      'cannot read the calendar of ann@',
      'sign_in.refused',
    ],
    [
      'and declines',
      async (world) => world.comeBack(await world.signIn(world.upn, 'refuse')),
      'was declined',
      'consent.declined',
    ],
    [
      'in another browser',
      async (world) => world.comeBack(await world.signIn(), {}),
      'in the browser in which it began',
      'sign_in.other_browser',
    ],
    [
      'with a code of somebody’s own',
      async (world) => {
        const back = new URL(await world.signIn());
        back.searchParams.set('code', 'code.of-mine');
        return world.comeBack(back.href);
      },
      'The sign-in could not be taken',
      'sign_in.refused',
    ],
    [
      'for a mailbox that no source names',
      async (world) => {
        const answer = await world.post('sign-in', { mailbox: world.bo });
        return { status: answer.status, text: await answer.text() };
      },
      'Nobody can sign in for that mailbox',
      'sign_in.unknown_mailbox',
    ],
  ])('%s is refused with words, an audit entry and nothing stored', async (_, act, says, action) => {
    const world = await ann();
    const answer = await act(world);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain(says);
    expect(await world.kept()).toEqual([]);
    expect(await world.audits()).toContain(action);
  });

  it('can do so by a code on another device', async () => {
    const world = await ann();
    const from = stage.simulator.requests.length;
    const running = runCli(stage, ['sign-in', world.id, world.upn, '--json']);
    await stage.simulator.waitForRequest(/POST .*oauth2\/v2\.0\/token/, from);
    stage.simulator.enterDeviceCode(stage.simulator.waitingCodes().at(-1) ?? '', world.upn);
    const { code, out, err } = await running;
    expect(err).toContain('enter the code');
    expect(JSON.parse(out)).toMatchObject({ username: world.upn, isReadable: true });
    expect(code).toBe(0);
    await world.sync();
    expect(world.shown()).toBe(1);
  }, 60_000);

  it('by a code as somebody else is refused, with an audit entry and nothing stored', async () => {
    const world = await ann();
    const from = stage.simulator.requests.length;
    const running = runCli(stage, ['sign-in', world.id, world.upn]);
    await stage.simulator.waitForRequest(/POST .*oauth2\/v2\.0\/token/, from);
    stage.simulator.enterDeviceCode(stage.simulator.waitingCodes().at(-1) ?? '', world.bo);
    const { code, err } = await running;
    expect(err).toContain(`cannot read the calendar of ${world.upn}`);
    expect(code).toBe(3);
    expect(await world.kept()).toEqual([]);
    expect(await world.audits()).toContain('sign_in.refused');
  }, 60_000);

  it('for a mailbox that no source names is told which there are, before anybody is asked', async () => {
    const world = await ann();
    const from = stage.simulator.requests.length;
    const { code, err } = await runCli(stage, ['sign-in', world.id, 'who@nowhere']);
    expect([code, stage.simulator.requests.length]).toEqual([2, from]);
    expect(err).toContain(`Choose one of ${world.upn}`);
  });
});
