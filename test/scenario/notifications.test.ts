import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { removeEntry, saveSource } from '../../src/store/configuration.ts';
import { readHistory } from '../../src/store/history.ts';
import { readStatus, type SourceStatus } from '../../src/store/status.ts';
import type { Switches } from '../support/graph/switches.ts';
import { at, me, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { aGraphSource } from '../support/stage.ts';
import { until } from '../support/until.ts';

const publicUrl = 'https://calendar.example';
const hour = 3_600_000;
const day = 24 * hour;

let world: OneCalendar;
let env: Record<string, string>;
/** Where the public address leads; null: nowhere. */
let web: string | null;
/** Added to the real time, for Graph and for the product. */
let later: number;
const now = (): Date => new Date(Date.now() + later);

const callbackFetch: typeof fetch = async (input, init) => {
  const url = new URL(input);
  if (web === null) throw new TypeError('fetch failed');
  return await fetch(`${web}${url.pathname}${url.search}`, init);
};

async function open(switches: Partial<Switches> = {}, source: Parameters<typeof oneCalendar>[0] = {}): Promise<void> {
  world = await oneCalendar({ env, clock: { now }, simulator: { callbackFetch, now, switches }, ...source });
  web = (await world.stage.product.startWeb()).url;
}

async function restart(): Promise<void> {
  await world.stage.restart();
  web = (await world.stage.product.startWeb()).url;
}

beforeEach(() => {
  env = { PUBLIC_URL: publicUrl };
  later = 0;
  web = null;
});
afterEach(() => world.close());

const keep = (): Promise<void> => world.stage.product.subscriptions.keep();
const live = () => world.stage.simulator.subscriptions();
const only = () => {
  const [one, ...others] = live();
  if (one === undefined || others.length > 0) throw new Error(`There are ${live().length} subscriptions.`);
  return one;
};
/** Requests that succeeded: as the time leaps, a token is often refused at first. */
const requests = (match: string): number =>
  world.stage.simulator.requests.filter(
    ({ method, url, status: answered }) => answered !== 401 && `${method} ${url}`.includes(match),
  ).length;
const db = () => world.stage.product.store.db;

async function status(id = 'contoso-me'): Promise<SourceStatus> {
  const found = (await readStatus(db())).sources.find((source) => source.id === id);
  if (found === undefined) throw new Error(`There is no source ${id}.`);
  return found;
}

interface Row {
  isWanted: boolean;
  /** Seconds until the next poll. */
  pollIn: number;
}
async function row(id = 'contoso-me'): Promise<Row> {
  const { rows } = await sql<Row>`
    select wanted_version > done_version or exists (
      select from told n where n.source_id = id and n.version > n.done_version) as "isWanted", extract(epoch from next_poll_at - now())::float as "pollIn"
    from source where id = ${id}`.execute(db());
  if (rows[0] === undefined) throw new Error(`There is no source ${id}.`);
  return rows[0];
}

/** As if it had waited long enough to be tried again. */
async function backOffIsOver(): Promise<void> {
  await sql`update subscription set not_before = null`.execute(db());
}

describe('a source where PUBLIC_URL is set', () => {
  beforeEach(() => open());

  it('is watched after a handshake, and polled every ten minutes', async () => {
    await world.stage.sync();
    expect((await row()).pollIn).toBeLessThan(70);
    await keep();

    const subscription = only();
    expect(subscription).toMatchObject({
      resource: `/users/${me.replace('@', '%40')}/events`,
      changeType: 'created,updated,deleted',
      isImmutable: true,
    });
    expect(subscription.notificationUrl).toMatch(/^https:\/\/calendar\.example\/api\/graph\/notifications\/[\w-]{32}$/);
    expect(subscription.lifecycleNotificationUrl).toMatch(/\/api\/graph\/lifecycle\/[\w-]{32}$/);
    expect(subscription.clientState).toMatch(/^[\w-]{43}$/);
    expect(Date.parse(subscription.expiresAt) - now().getTime()).toBeGreaterThan(4_190 * 60_000);
    // What changed before it began to be told.
    expect((await row()).isWanted).toBe(true);
    await world.stage.sync();
    expect((await row()).pollIn).toBeGreaterThan(530);
    expect(await status()).toMatchObject({ push: 'live', pushCode: null });

    const { rows } = await sql<{ text: string }>`select u::text as text from subscription u`.execute(db());
    expect(rows[0]?.text).not.toContain(subscription.clientState);
  });

  it('uses the id of the user where it may look it up', async () => {
    world.tenant.configure({ roles: ['Calendars.Read', 'User.Read.All'] });
    await keep();
    expect(only().resource).toMatch(/^\/users\/[0-9a-f-]{36}\/events$/);
  });

  it('asks Graph for nothing more while all is as it should be', async () => {
    await keep();
    const before = world.stage.simulator.requests.length;
    await keep();
    expect(world.stage.simulator.requests).toHaveLength(before);
  });

  it('shows a change at once, and asks once more ten seconds after', async () => {
    await world.stage.sync();
    await keep();
    await world.stage.sync();
    await world.stage.product.worker.start();
    world.calendar.createEvent({ subject: 'Told', start: at(1), end: at(1, '10:00') });
    const tookMs = await until('it shows', () => world.titles().includes('Told'));
    process.stdout.write(`change to CalDAV: ${Math.round(tookMs)} ms\n`);
    // No poll would have been so fast.
    expect(tookMs).toBeLessThan(5_000);
    await until('the reading is recorded', async () => !(await row()).isWanted);
    const { pollIn } = await row();
    expect(pollIn).toBeGreaterThan(3);
    expect(pollIn).toBeLessThan(10.1);

    await sql`update told set at = now() - interval '10 seconds'`.execute(db());
    await sql`update source set next_poll_at = now()`.execute(db());
    await until('it was asked once more', async () => (await row()).pollIn > 500);
  });

  it('is read a handful of times for a hundred notifications within a second', async () => {
    await world.stage.sync();
    await keep();
    await world.stage.sync();
    await world.stage.product.worker.start();
    const before = requests('/delta');
    for (let index = 0; index < 100; index += 1) {
      world.calendar.createEvent({
        subject: `Told ${index}`,
        start: at(1 + (index % 50)),
        end: at(1 + (index % 50), '10:00'),
      });
      await new Promise((resolve) => setTimeout(resolve, 8));
    }
    await until('all show', () => world.titles().length === 100);
    await until('it rests', async () => !(await row()).isWanted);
    const reads = requests('/delta') - before;
    process.stdout.write(`100 notifications within a second: ${reads} reads of Graph\n`);
    // A read of changes has two pages at most here.
    expect(reads).toBeLessThanOrEqual(16);
  });

  it('is renewed at half of its life, not sooner, and the value that Graph gives counts', async () => {
    await keep();
    const [first] = live();
    later = 30 * hour;
    await keep();
    expect(requests('PATCH')).toBe(0);
    later = 40 * hour;
    await keep();
    expect(requests('PATCH')).toBe(1);
    expect(only().id).toBe(first?.id);
    expect(Date.parse(only().expiresAt) - now().getTime()).toBeGreaterThan(4_190 * 60_000);
    const { rows } = await sql<{ expiresAt: string }>`
      select to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "expiresAt" from subscription`.execute(
      db(),
    );
    expect(rows).toEqual([{ expiresAt: only().expiresAt }]);
  });

  it('goes on being watched through ten weeks', async () => {
    for (let hours = 0; hours < 10 * 7 * 24; hours += 6) {
      later = hours * hour;
      await keep();
      expect(live()).toHaveLength(1);
    }
    expect(requests('POST https://graph.microsoft.com/v1.0/subscriptions')).toBe(1);
    process.stdout.write(`ten weeks: ${requests('PATCH')} renewals\n`);
    expect(requests('PATCH')).toBeGreaterThan(40);
    expect(requests('PATCH')).toBeLessThan(60);
  });

  it('is watched anew and read when its subscription ran out unnoticed', async () => {
    await keep();
    await world.stage.sync();
    later = 4 * day;
    expect(live()).toHaveLength(0);
    await restart();
    await keep();
    expect(live()).toHaveLength(1);
    expect((await row()).isWanted).toBe(true);
  });

  it('is watched anew when Graph lost the subscription', async () => {
    await keep();
    await world.stage.sync();
    const first = only();
    world.stage.simulator.world.state.subscriptions.length = 0;
    later = 40 * hour;
    await keep();
    expect(only().id).not.toBe(first.id);
    expect((await row()).isWanted).toBe(true);
  });
});

describe('a lifecycle event', () => {
  beforeEach(async () => {
    await open();
    await world.stage.sync();
    await keep();
    await world.stage.sync();
  });

  it('"missed" means a reading', async () => {
    await world.stage.simulator.sendLifecycle(only().id, 'missed');
    expect((await row()).isWanted).toBe(true);
  });

  it('"subscriptionRemoved" means a reading and another subscription', async () => {
    const { id } = only();
    await world.stage.simulator.sendLifecycle(id, 'subscriptionRemoved');
    expect(await status()).toMatchObject({ push: 'off' });
    expect((await row()).isWanted).toBe(true);
    await keep();
    expect(only().id).not.toBe(id);
    expect(await status()).toMatchObject({ push: 'live' });
  });

  it('"reauthorizationRequired" means a renewal, once', async () => {
    later = 5 * hour;
    await world.stage.simulator.sendLifecycle(only().id, 'reauthorizationRequired');
    await keep();
    await keep();
    expect(requests('PATCH')).toBe(1);
    expect((await row()).isWanted).toBe(false);
  });
});

describe('a subscription of which nobody knows', () => {
  beforeEach(() => open());

  it('is adopted where only the answer was lost', async () => {
    world.stage.simulator.fail({ match: /POST .*\/subscriptions$/, times: 1, how: { reset: 'after' } });
    await keep();
    expect(await status()).toMatchObject({ push: 'off', pushCode: 'graph.unreachable' });
    const { id } = only();
    await backOffIsOver();
    await keep();
    expect(only().id).toBe(id);
    expect(await status()).toMatchObject({ push: 'live', pushCode: null });

    await world.stage.sync();
    world.calendar.createEvent({ subject: 'Told', start: at(1), end: at(1, '10:00') });
    await world.stage.simulator.notificationsSettled();
    expect((await row()).isWanted).toBe(true);
  });

  it('is adopted by the next process after one was killed before it wrote down the answer', async () => {
    await keep();
    const { id } = only();
    await sql`
      update subscription set graph_id = null, created_at = null, expires_at = null, renew_at = null, attempted_at = now()`.execute(
      db(),
    );
    await restart();
    await keep();
    expect(only().id).toBe(id);
  });

  it('is made once where the request was lost', async () => {
    world.stage.simulator.fail({ match: /POST .*\/subscriptions$/, times: 1, how: { reset: 'before' } });
    await keep();
    expect(live()).toHaveLength(0);
    await backOffIsOver();
    await keep();
    expect(live()).toHaveLength(1);
  });

  it('is deleted where nothing remembers it, and foreign ones stay', async () => {
    await keep();
    const { id, ...rest } = only();
    const foreign = { ...rest, id: 'foreign', notificationUrl: 'https://other.example/api/graph/notifications/else' };
    world.stage.simulator.world.state.subscriptions.push(foreign);
    await sql`delete from subscription`.execute(db());
    await restart();
    await keep();
    expect(live()).toHaveLength(2);
    expect(live().map((one) => one.id)).toContain('foreign');
    expect(live().map((one) => one.id)).not.toContain(id);
  });

  it('makes room where Graph allows no second one like it', async () => {
    world.stage.simulator.switches.duplicateSubscriptions = 'refused';
    await keep();
    const { id } = only();
    await sql`delete from subscription`.execute(db());
    await keep();
    expect(only().id).not.toBe(id);
    expect(await status()).toMatchObject({ push: 'live' });
  });
});

describe('a configuration that changes', () => {
  beforeEach(async () => {
    await open();
    await keep();
  });

  it('to another PUBLIC_URL moves the subscription there', async () => {
    env['PUBLIC_URL'] = 'https://elsewhere.example/calendars';
    await restart();
    const inner = web;
    await keep();
    // The proxy would take the path off; here the path is simply unknown.
    expect(inner).not.toBeNull();
    expect(live()).toHaveLength(0);
    env['PUBLIC_URL'] = 'https://elsewhere.example';
    await restart();
    await keep();
    expect(only().notificationUrl).toMatch(/^https:\/\/elsewhere\.example\/api/);
    expect(await status()).toMatchObject({ push: 'live' });
  });

  it('to none ends it', async () => {
    delete env['PUBLIC_URL'];
    await restart();
    await keep();
    expect(live()).toHaveLength(0);
    await world.stage.sync();
    expect((await row()).pollIn).toBeLessThan(70);
    expect(await status()).toMatchObject({ push: 'off' });
  });

  it('ends it with its source', async () => {
    await world.stage.product.store.transaction((to) => removeEntry(to, 'source', 'contoso-me'));
    await keep();
    expect(live()).toHaveLength(0);
    expect(requests('DELETE')).toBe(1);
  });

  it('ends it while the source is paused', async () => {
    const effects = { bumpsEpoch: true, fullReading: false, isOther: false };
    const save = (isPaused: boolean): Promise<void> =>
      world.stage.product.store.transaction((to) =>
        saveSource(
          to,
          world.stage.product.box,
          aGraphSource({ id: 'contoso-me', tenant: 'contoso', mailbox: me, isPaused }),
          0,
          effects,
        ),
      );
    await save(true);
    await keep();
    expect(live()).toHaveLength(0);
    await save(false);
    await keep();
    expect(live()).toHaveLength(1);
  });

  it('ends it where the tenant takes no notifications', async () => {
    await sql`update tenant set has_push = false`.execute(db());
    await keep();
    expect(live()).toHaveLength(0);
  });

  it('gives sources of one calendar one subscription, and the last of them ends it', async () => {
    await world.stage.source({ id: 'again', tenant: 'contoso', mailbox: me, into: { target: 'me', calendar: 'work' } });
    await keep();
    expect(live()).toHaveLength(1);
    expect(await status('again')).toMatchObject({ push: 'live' });
    await world.stage.sync();
    world.calendar.createEvent({ subject: 'Told', start: at(1), end: at(1, '10:00') });
    await world.stage.simulator.notificationsSettled();
    expect([(await row()).isWanted, (await row('again')).isWanted]).toEqual([true, true]);

    await world.stage.product.store.transaction((to) => removeEntry(to, 'source', 'contoso-me'));
    await keep();
    expect(live()).toHaveLength(1);
    await world.stage.product.store.transaction((to) => removeEntry(to, 'source', 'again'));
    await keep();
    expect(live()).toHaveLength(0);
  });

  it('without its tenant is forgotten, for nobody can be told', async () => {
    await world.stage.product.store.transaction(async (to) => {
      await removeEntry(to, 'source', 'contoso-me');
      await removeEntry(to, 'tenant', 'contoso');
    });
    await keep();
    const { rows } = await sql`select from subscription`.execute(db());
    expect(rows).toHaveLength(0);
  });
});

describe('what Graph refuses', () => {
  it('a life that is too long: the one that it names is taken', async () => {
    await open({ subscriptionMinutes: 1_440 });
    await keep();
    expect(Date.parse(only().expiresAt) - now().getTime()).toBeGreaterThan(1_430 * 60_000);
    later = 14 * hour;
    await keep();
    expect(requests('PATCH')).toBe(1);
    expect(requests('POST https://graph.microsoft.com/v1.0/subscriptions')).toBe(2);
  });

  it('a calendar by itself: the mailbox has to do, and polling goes on at its own pace', async () => {
    await open({ calendarSubscriptions: 'refused' }, { source: { calendar: 'Team' } });
    world.mailbox.addCalendar('Team');
    await keep();
    expect(only().resource).toMatch(/^\/users\/[^/]+\/events$/);
    expect(await status()).toMatchObject({ push: 'mailbox', pushCode: 'graph.calendar_subscription_refused' });
    await world.stage.sync();
    expect((await row()).pollIn).toBeLessThan(70);
  });

  it('nothing of the kind: a calendar is watched by its own path', async () => {
    await open({}, { source: { calendar: 'Team' } });
    world.mailbox.addCalendar('Team');
    await keep();
    expect(only().resource).toMatch(/^\/users\/[^/]+\/calendars\/[^/]+\/events$/);
    expect(await status()).toMatchObject({ push: 'live' });
  });

  it('more subscriptions than a mailbox may have: it is polled, and asked again after a day', async () => {
    await open();
    const message = 'The number of active subscriptions for this mailbox exceeds the limit of 1000.';
    const full = world.stage.simulator.fail({
      match: /POST .*\/subscriptions$/,
      how: { status: 403, code: 'Forbidden', message },
    });
    await keep();
    await world.stage.sync();
    expect(await status()).toMatchObject({ state: 'fresh', push: 'off', pushCode: 'graph.subscription_quota' });
    later = 20 * hour;
    await keep();
    expect(full.hits()).toBe(1);
    full.clear();
    later = 26 * hour;
    await keep();
    expect(await status()).toMatchObject({ push: 'live', pushCode: null });
  });

  it('an address that it cannot reach: polling goes on, and it is asked again', async () => {
    await open();
    const reachable = web;
    web = null;
    await keep();
    await world.stage.sync();
    expect(await status()).toMatchObject({ state: 'fresh', push: 'off', pushCode: 'graph.notifications_unreachable' });
    expect((await row()).pollIn).toBeLessThan(70);
    web = reachable;
    later = 2 * hour;
    await keep();
    expect(await status()).toMatchObject({ push: 'live' });
  });

  it('to answer for now: it is asked when it said', async () => {
    await open();
    const busy = world.stage.simulator.fail({
      match: /POST .*\/subscriptions$/,
      how: { status: 429, retryAfter: '7200' },
    });
    await keep();
    later = 1.5 * hour;
    await keep();
    expect(busy.hits()).toBe(1);
    busy.clear();
    later = 2.1 * hour;
    await keep();
    expect(live()).toHaveLength(1);
    const lines = await readHistory(db(), { action: 'subscribe', limit: 10 });
    expect(lines.map(({ status: outcome }) => outcome)).toEqual(['ok', 'error']);
  });

  it('the app altogether: the source says so as ever, and subscriptions pause nothing', async () => {
    await open();
    world.stage.simulator.fail({ match: '/subscriptions', how: { status: 403 } });
    await keep();
    await world.stage.sync();
    expect(await status()).toMatchObject({ state: 'fresh', push: 'off', pushCode: 'graph.access_denied' });
  });
});
