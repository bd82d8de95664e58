import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from '@jest/globals';

import { contoso as startContoso, tuesdays } from '../support/graph/contoso.ts';
import { demoWorld } from '../support/graph/demo-world.ts';
import type { OriginMap } from '../support/graph/origins.ts';
import { startGraphSimulator, type GraphSimulator, type SimulatorOptions } from '../support/graph/simulator.ts';

const running: (GraphSimulator | { close(): unknown })[] = [];
afterEach(() => Promise.all(running.splice(0).map((service) => service.close())));

async function contoso(options: SimulatorOptions = {}) {
  const world = await startContoso(options);
  running.push(world.simulator);
  return world;
}

const ann = '/users/ann@contoso.example';
const year = 'startDateTime=2026-01-01T00:00:00Z&endDateTime=2027-01-01T00:00:00Z';
describe('$batch', () => {
  it('answers each of up to 20 requests, throttles what exceeds the concurrency and fails dependents', async () => {
    const { client } = await contoso();
    const requests = Array.from({ length: 6 }, (_, index) => ({
      id: String(index),
      method: 'GET',
      url: `${ann}/calendar`,
    }));
    const chained = [
      { id: 'a', method: 'GET', url: `${ann}/events/none`, dependsOn: ['0'] },
      { id: 'b', method: 'GET', url: `${ann}/calendar`, dependsOn: ['a'] },
    ];
    const { status, json } = await client.send('POST', '/$batch', { body: { requests: [...requests, ...chained] } });
    const answers = json['responses'] as { id: string; status: number; headers: Record<string, string> }[];
    expect(status).toBe(200);
    expect(Object.fromEntries(answers.map((answer) => [answer.id, answer.status]))).toEqual({
      0: 200,
      1: 200,
      2: 200,
      3: 200,
      4: 429,
      5: 429,
      a: 404,
      b: 424,
    });
    expect(answers.find(({ id }) => id === '4')?.headers['retry-after']).toBe('1.5');
    const many = Array.from({ length: 21 }, (_, index) => ({
      id: String(index),
      method: 'GET',
      url: `${ann}/calendar`,
    }));
    expect((await client.send('POST', '/$batch', { body: { requests: many } })).status).toBe(400);
  });
});

describe('faults', () => {
  it('hit the requests that they name, as often as they say', async () => {
    const { simulator, client } = await contoso();
    const fault = simulator.fail({ match: '/calendarView/delta', times: 2, how: { status: 429, retryAfter: '7.5' } });
    const first = await client.get(`${ann}/calendarView/delta?${year}`);
    expect([first.status, first.headers.get('retry-after'), first.json.error?.code]).toEqual([
      429,
      '7.5',
      'ApplicationThrottled',
    ]);
    expect((await client.get(`${ann}/calendars`)).status).toBe(200);
    expect((await client.get(`${ann}/calendarView/delta?${year}`)).status).toBe(429);
    expect((await client.get(`${ann}/calendarView/delta?${year}`)).status).toBe(200);
    expect(fault.hits()).toBe(2);
    simulator.fail({ match: /GET .*\/calendars$/, how: { status: 404, code: 'ErrorItemNotFound' } });
    expect((await client.get(`${ann}/calendars`)).json.error?.code).toBe('ErrorItemNotFound');
  });

  it('break connections, cut JSON and answer with web pages', async () => {
    const { simulator, client } = await contoso();
    await client.get(`${ann}/calendar`);
    for (const how of [{ reset: 'before' }, { reset: 'after' }, { truncated: true }, { html: 502 }] as const) {
      simulator.fail({ times: 1, how });
      await expect(client.get(`${ann}/calendar`)).rejects.toThrow(/fetch failed|JSON/);
    }
    expect((await client.get(`${ann}/calendar`)).status).toBe(200);
  });

  it('include throttling beyond four requests at once for a mailbox', async () => {
    const { simulator, tenant, client } = await contoso({ latencyMs: 30 });
    await client.get(`${ann}/calendar`);
    const statuses = await Promise.all(
      Array.from({ length: 6 }, async () => (await client.get(`${ann}/calendar`)).status),
    );
    expect(statuses.filter((status) => status === 429)).toHaveLength(2);
    expect(simulator.requests.filter(({ status }) => status === 429)).toHaveLength(2);

    tenant.addMailbox({ upn: 'bo@contoso.example' });
    const both = async () => {
      const paths = [ann, ann, ann, '/users/bo@contoso.example', '/users/bo@contoso.example'];
      return (await Promise.all(paths.map(async (path) => (await client.get(`${path}/calendar`)).status))).sort();
    };
    expect(await both()).toEqual([200, 200, 200, 200, 200]);
    simulator.switches.concurrencyPer = 'app';
    expect(await both()).toEqual([200, 200, 200, 200, 429]);
  });

  it('can nest the code that tells more', async () => {
    const { simulator, client } = await contoso();
    simulator.fail({ how: { status: 403, code: 'accessDenied', innerCode: 'ErrorAccessDenied' }, match: '/calendars' });
    const { json } = await client.get(`${ann}/calendars`);
    expect(json.error).toMatchObject({ code: 'accessDenied', innererror: { code: 'ErrorAccessDenied' } });
  });

  it('can be a change that falls between two requests', async () => {
    const { simulator, calendar, client } = await contoso();
    const series = tuesdays(calendar);
    simulator.before('/instances', () => calendar.cancelOccurrence(series, '2026-05-12'));
    const path = `${ann}/events/${series.key}`;
    const before = (await client.get(path)).json['changeKey'];
    expect((await client.get(`${path}/instances?${year}`)).json.value).toHaveLength(3);
    expect((await client.get(path)).json['changeKey']).not.toBe(before);
  });

  it('can be waited for', async () => {
    const { simulator, client } = await contoso();
    const waiting = simulator.waitForRequest('/calendars');
    await client.get(`${ann}/calendars`);
    expect((await waiting).url).toBe(`https://graph.microsoft.com/v1.0${ann}/calendars`);
  });
});

describe('subscriptions', () => {
  interface Item {
    subscriptionId: string;
    clientState?: string;
    changeType?: string;
    lifecycleEvent?: string;
    resourceData?: { id: string };
  }

  /** A webhook that answers the handshake (unless told how else) and gathers what it is sent. */
  async function webhook(answerHandshake: (token: string) => string = (token) => token) {
    const items: Item[] = [];
    let fails = 0;
    const server: Server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const token = new URL(request.url ?? '/', 'http://webhook').searchParams.get('validationToken');
        if (token === null && fails > 0) {
          fails -= 1;
          response.writeHead(503).end();
          return;
        }
        if (token === null) items.push(...(JSON.parse(Buffer.concat(chunks).toString()) as { value: Item[] }).value);
        response.writeHead(token === null ? 202 : 200, { 'content-type': 'text/plain' });
        response.end(token === null ? '' : answerHandshake(token));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    running.push({ close: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())) });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    return { url, items, failNext: (times: number) => void (fails = times) };
  }

  async function subscribed(changes: Record<string, unknown> = {}, options: SimulatorOptions = {}) {
    const world = await contoso(options);
    const hook = await webhook();
    const wanted = {
      changeType: 'created,updated,deleted',
      resource: `/users/${world.ann.state.id}/events`,
      notificationUrl: hook.url,
      lifecycleNotificationUrl: hook.url,
      expirationDateTime: '2026-05-03T12:00:00Z',
      clientState: 'cs-1',
      ...changes,
    };
    const answer = await world.client.send('POST', '/subscriptions', { body: wanted });
    return { ...world, ...hook, wanted, answer, id: answer.json.id };
  }

  it('begin with a handshake and then tell of each change, one occurrence as its master', async () => {
    const { simulator, calendar, answer, items } = await subscribed();
    expect(answer.status).toBe(201);
    const series = tuesdays(calendar);
    calendar.updateOccurrence(series, '2026-05-12', { subject: 'Late' });
    calendar.deleteSeries(series);
    await simulator.notificationsSettled();
    expect(
      items.map(({ changeType, clientState, resourceData }) => [changeType, clientState, resourceData?.id]),
    ).toEqual([
      ['created', 'cs-1', series.key],
      ['updated', 'cs-1', series.key],
      ['deleted', 'cs-1', series.key],
    ]);
  });

  it('are not made when the handshake fails', async () => {
    const { client, simulator } = await contoso();
    const hook = await webhook((token) => `<p>${token}</p>`);
    const body = {
      changeType: 'updated',
      resource: `${ann}/events`,
      notificationUrl: hook.url,
      expirationDateTime: '2026-05-03T12:00:00Z',
    };
    const { status, json } = await client.send('POST', '/subscriptions', { body });
    expect([status, json.error?.code, simulator.subscriptions()]).toEqual([400, 'InvalidRequest', []]);
  });

  it.each([
    ['a time without Z', { expirationDateTime: '2026-05-03T12:00:00' }, 'camelCase'],
    ['too long a life', { expirationDateTime: '2026-06-03T12:00:00Z' }, '10080 minutes'],
    ['too long a clientState', { clientState: 'x'.repeat(129) }, '128'],
    ['a single event', { resource: `${ann}/events/AAA` }, 'not supported'],
  ])('are refused for %s', async (_, changes, message) => {
    const { answer } = await subscribed(changes);
    expect(answer.json.error?.message).toContain(message);
  });

  it('live at least 45 minutes, are renewed, expire and can be deleted', async () => {
    let now = new Date('2026-05-01T12:00:00Z');
    const { client, id, answer } = await subscribed({ expirationDateTime: '2026-05-01T12:10:00Z' }, { now: () => now });
    expect(answer.json['expirationDateTime']).toBe('2026-05-01T12:45:00.000Z');
    now = new Date('2026-05-01T12:30:00Z');
    const renewed = await client.send('PATCH', `/subscriptions/${id}`, {
      body: { expirationDateTime: '2026-05-01T13:30:00Z' },
    });
    expect(renewed.json['expirationDateTime']).toBe('2026-05-01T13:30:00.000Z');
    now = new Date('2026-05-01T13:00:00Z');
    expect((await client.get('/subscriptions')).json.value).toHaveLength(1);
    expect((await client.send('DELETE', `/subscriptions/${id}`)).status).toBe(204);
    expect((await client.get(`/subscriptions/${id}`)).status).toBe(404);
  });

  it('may tell several times, try again after a failure, and send lifecycle events', async () => {
    const { simulator, calendar, items, id, failNext } = await subscribed(
      {},
      { switches: { notifications: 'several' } },
    );
    failNext(1);
    calendar.createEvent({ subject: 'Call', start: '2026-05-04T12:00' });
    await simulator.notificationsSettled();
    expect(items.map(({ changeType }) => changeType)).toEqual(['created', 'updated']);
    await simulator.sendLifecycle(id, 'missed');
    expect(items.at(-1)).toMatchObject({ lifecycleEvent: 'missed', subscriptionId: id, clientState: 'cs-1' });
    await simulator.sendLifecycle(id, 'subscriptionRemoved');
    expect(simulator.subscriptions()).toEqual([]);
  });

  it('may be refused for single calendars and as duplicates', async () => {
    const { client, calendar, wanted } = await subscribed(
      {},
      { switches: { calendarSubscriptions: 'refused', duplicateSubscriptions: 'refused' } },
    );
    expect((await client.send('POST', '/subscriptions', { body: wanted })).status).toBe(409);
    const ofCalendar = { ...wanted, resource: `${ann}/calendars/${calendar.id}/events` };
    expect((await client.send('POST', '/subscriptions', { body: ofCalendar })).json.error?.code).toBe('ExtensionError');
  });
});

describe('after kill -9', () => {
  it('the truth is back with every change that was ever seen, under the same addresses', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'graph-simulator-'));
    running.push({ close: () => rmSync(folder, { recursive: true }) });
    const stateFile = join(folder, 'state.json');
    const support = new URL('../support/graph/', import.meta.url).href;
    const script = `
      const { startGraphSimulator } = await import('${support}simulator.ts');
      const { demoWorld } = await import('${support}demo-world.ts');
      const simulator = await startGraphSimulator({ stateFile: ${JSON.stringify(stateFile)} });
      const world = demoWorld(simulator);
      console.log(JSON.stringify(simulator.originMap));
      for (;;) {
        world.step();
        console.log(simulator.world.state.sequence);
        await new Promise((resolve) => setImmediate(resolve));
      }`;
    const child = spawn(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      '--input-type=module',
      '-e',
      script,
    ]);
    const said: string[] = [];
    child.stdout.on('data', (chunk: Buffer) => {
      said.push(chunk.toString());
      if (said.join('').split('\n').length > 12) child.kill('SIGKILL');
    });
    await once(child, 'close');
    // The last line may be cut off by the kill.
    const [origins = '', ...sequences] = said.join('').split('\n').slice(0, -1);

    const simulator = await startGraphSimulator({ stateFile, listenOn: JSON.parse(origins) as OriginMap });
    running.push(simulator);
    const world = demoWorld(simulator);

    expect(simulator.originMap).toEqual(JSON.parse(origins));
    expect(simulator.world.state.sequence).toBeGreaterThanOrEqual(Number(sequences.at(-1)));
    expect(simulator.world.state.items.length).toBeGreaterThan(100);
    expect(world.step()).toMatch(/\.$/);
  });

  it('a snapshot brings back what was shown and the tokens, but no delta states', async () => {
    const { simulator, ann: mailbox, calendar, client } = await contoso();
    tuesdays(calendar);
    const { deltaLink } = await client.round(`${ann}/calendarView/delta?${year}`);
    const snapshot = simulator.snapshot();
    for (const { key } of calendar.events()) calendar.delete({ key });
    simulator.restore(snapshot);
    const window = { from: '2026-01-01T00:00:00Z', to: '2027-01-01T00:00:00Z' };
    expect(simulator.expected(mailbox.calendar(), window)).toHaveLength(4);
    expect((await client.get(deltaLink)).status).toBe(410);
  });
});
