import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import { directoryOf } from '../support/graph/people.ts';
import { at } from '../support/one-calendar.ts';
import { aStage, type Stage } from '../support/stage.ts';
import { until } from '../support/until.ts';

/** More than one process reads at a time: were they to take every place, nobody else would be read. */
const sourcesOfOne = 20;
const well = 'well';
const troubled = ['hangs', 'throttled', 'expired', 'refused'] as const;

let stage: Stage;
let release: () => void = () => undefined;
const released = new Promise<void>((resolve) => (release = resolve));
/** Requests of the tenant that hangs which got no answer yet. */
let hanging = 0;

/** What lies between: a host that takes requests of one tenant and never answers. */
const between =
  (send: typeof fetch): typeof fetch =>
  async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    if (!url.includes('hangs.example') && !url.includes(directoryOf('hangs.example'))) return send(input, init);
    hanging += 1;
    const signal = init?.signal ?? null;
    await Promise.race([
      released,
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
    ]);
    return send(input, init);
  };

beforeAll(async () => {
  stage = await aStage({ between });
  await stage.target();
  for (const id of [...troubled, well]) {
    const domain = `${id}.example`;
    await stage.tenant(id, { directory: directoryOf(domain), domain, client: `app-${id}` });
    for (let number = 0; number < (id === well ? 1 : sourcesOfOne); number += 1) {
      const mailbox = `p${number}@${domain}`;
      stage.simulator.tenant(domain).addMailbox({ upn: mailbox });
      await stage.source({ id: `${id}-${number}`, tenant: id, mailbox });
    }
  }
  const { simulator } = stage;
  simulator.tenant('expired.example').configure({ secretExpiresAt: '2020-01-01T00:00:00Z' });
  simulator.tenant('refused.example').configure({ consent: false });
  simulator.fail({
    match: /users\/p\d+@throttled\.example/,
    how: { status: 429, code: 'ApplicationThrottled', retryAfter: '3600' },
  });
}, 120_000);
afterAll(async () => {
  release();
  await stage.close();
});

const requestsOf = (id: string): number =>
  stage.simulator.requests.filter(({ url }) =>
    [`${id}.example`, directoryOf(`${id}.example`)].some((name) => decodeURIComponent(url).includes(name)),
  ).length;
const stateOf = async (id: string) => {
  const found = await sql<{ paused: string | null; fresh: boolean; later: boolean; tries: number }>`
    select paused_code as paused, fresh_at is not null as fresh,
      coalesce(not_before > now() + interval '50 minutes', false) as later from source where id like ${`${id}-%`}`.execute(
    stage.product.store.db,
  );
  return found.rows;
};

describe('a tenant that is well beside others that are not', () => {
  it('is read, proven and shown while the requests of another wait for ever', async () => {
    const calendar = stage.simulator.mailbox('p0@well.example').calendar();
    calendar.createEvent({ subject: 'First', start: at(30) });
    await stage.product.startWorker();
    const shows = (title: string) => stage.bodies().some((body) => body.includes(title));
    await until('the first meeting shows', () => shows('First'));

    // All of that is due to happen again and again while the other still hangs.
    for (const title of ['Second', 'Third']) {
      calendar.createEvent({ subject: title, start: at(31) });
      await sql`update source set next_poll_at = now() where id = 'well-0'`.execute(stage.product.store.db);
      await until(`${title} shows`, () => shows(title));
    }
    const proven = async (): Promise<boolean> => {
      const found = await sql`select from tenant_access where tenant_id = ${well} and state = 'proven'`.execute(
        stage.product.store.db,
      );
      return found.rows.length === 1;
    };
    await until('its access is proven', proven);
    await sql`update tenant_access set state = 'unasked', next_try_at = null where tenant_id = ${well}`.execute(
      stage.product.store.db,
    );
    // The proof of the tenant that hangs is still under way; another round goes on beside it.
    void stage.product.tenants.keep().catch(() => undefined);
    await until('its access is proven', proven);
    expect(hanging).toBeGreaterThan(0);
    expect((await stateOf('hangs')).some(({ fresh }) => fresh)).toBe(false);
  }, 60_000);

  it('is not paid for by many requests of those: each is asked a few times, then left alone as long as it said', async () => {
    await until('an expired secret pauses', async () =>
      (await stateOf('expired')).every(({ paused }) => paused === 'graph.secret_expired'),
    );
    await until('a refusal pauses', async () =>
      (await stateOf('refused')).every(({ paused }) => paused === 'graph.access_denied'),
    );
    await until('Retry-After is kept', async () => (await stateOf('throttled')).every(({ later }) => later));
    // One token for all sources of a tenant, whose refusal is remembered; each calendar is asked once, and by a proof.
    expect(requestsOf('expired')).toBeLessThanOrEqual(2 * sourcesOfOne);
    expect(requestsOf('refused')).toBeLessThanOrEqual(4 * sourcesOfOne);
    expect(requestsOf('throttled')).toBeLessThanOrEqual(4 * sourcesOfOne);
    const before = [requestsOf('expired'), requestsOf('refused'), requestsOf('throttled')];
    const calendar = stage.simulator.mailbox('p0@well.example').calendar();
    calendar.createEvent({ subject: 'Fourth', start: at(32) });
    await sql`update source set next_poll_at = now() where id = 'well-0'`.execute(stage.product.store.db);
    await until('the fourth shows', () => stage.bodies().some((body) => body.includes('Fourth')));
    expect([requestsOf('expired'), requestsOf('refused'), requestsOf('throttled')]).toEqual(before);
  }, 60_000);

  it('is joined by the others as soon as they answer', async () => {
    release();
    await until('all are read', async () => (await stateOf('hangs')).every(({ fresh }) => fresh));
  }, 60_000);
});
