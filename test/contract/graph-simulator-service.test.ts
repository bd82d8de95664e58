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
import type { RawEvent } from '../support/graph/raw-client.ts';
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
const times = (event: RawEvent) =>
  [event['start'], event['end']].map((moment) => (moment as { dateTime: string }).dateTime.slice(0, 16));

describe('a master', () => {
  it('fills the fields that its recurrence does not use, and keeps the first start ever', async () => {
    const { calendar, client } = await contoso();
    const { json } = await client.get(`${ann}/events/${tuesdays(calendar).key}`);
    expect(json).toMatchObject({
      type: 'seriesMaster',
      seriesMasterId: null,
      originalStartTimeZone: 'W. Europe Standard Time',
    });
    expect(json['recurrence']).toEqual({
      pattern: {
        type: 'weekly',
        interval: 1,
        month: 0,
        dayOfMonth: 0,
        daysOfWeek: ['tuesday'],
        firstDayOfWeek: 'sunday',
        index: 'first',
      },
      range: {
        type: 'endDate',
        startDate: '2026-05-05',
        endDate: '2026-05-26',
        recurrenceTimeZone: 'W. Europe Standard Time',
        numberOfOccurrences: 0,
      },
    });
    expect(times(json)).toEqual(['2026-05-05T07:00', '2026-05-05T08:00']);
  });

  it('tells cancelled and changed occurrences on request only, the latter over pages', async () => {
    const { simulator, calendar, client } = await contoso({ switches: { exceptionPageSize: 1 } });
    const series = tuesdays(calendar);
    calendar.updateOccurrence(series, '2026-05-12', { subject: 'Late', start: '2026-05-12T15:00' });
    calendar.updateOccurrence(series, '2026-05-26', { subject: 'Last' });
    calendar.cancelOccurrence(series, '2026-05-19');
    const path = `${ann}/calendars/${calendar.id}/events/${series.key}`;
    const asked = `${path}?$select=subject,cancelledOccurrences,occurrenceId&$expand=exceptionOccurrences($select=subject,originalStart)`;

    const { json } = await client.get(asked);
    const more = await client.get(String(json['exceptionOccurrences@odata.nextLink']));

    expect((await client.get(path)).json).not.toHaveProperty('cancelledOccurrences');
    expect(json).toMatchObject({
      subject: 'Review',
      cancelledOccurrences: [`OID.${series.key}.2026-05-19`],
      exceptionOccurrences: [{ subject: 'Late', originalStart: '2026-05-12T07:00:00Z' }],
    });
    expect(json).not.toHaveProperty('recurrence');
    expect(more.json.value).toMatchObject([{ subject: 'Last', occurrenceId: `OID.${series.key}.2026-05-26` }]);

    simulator.switches.cancelledOccurrences = 'unknown';
    expect((await client.get(asked)).status).toBe(400);
    expect((await client.get(`${path}?$select=subject`)).status).toBe(200);
  });

  it('cannot be asked for annotations by $select', async () => {
    const { calendar, client } = await contoso();
    const path = `${ann}/events/${tuesdays(calendar).key}`;
    expect((await client.get(`${path}?$select=@odata.etag`)).status).toBe(400);
    expect((await client.get(`${path}?$select=subject`)).json).toHaveProperty(['@odata.etag']);
  });

  it('gives its sequence number as an extended property', async () => {
    const { calendar, client } = await contoso();
    const series = tuesdays(calendar);
    calendar.updateSeries(series, { subject: 'Review 2' });
    const id = 'Integer {00062002-0000-0000-C000-000000000046} Id 0x8201';
    const { json } = await client.get(
      `${ann}/events/${series.key}?$expand=singleValueExtendedProperties($filter=id eq '${id}')`,
    );
    expect(json['singleValueExtendedProperties']).toEqual([{ id, value: '1' }]);
  });

  it('may hide its zone', async () => {
    const { simulator, calendar, client } = await contoso();
    const custom = calendar.createSeries({
      subject: 'Custom',
      pattern: { type: 'daily' },
      range: { type: 'noEnd', startDate: '2026-05-05' },
      start: '09:00',
      zone: 'tzone://Microsoft/Custom',
      actualZone: 'Europe/Berlin',
    });
    const read = async () => (await client.get(`${ann}/events/${custom.key}`)).json;
    expect(await read()).toMatchObject({
      originalStartTimeZone: 'tzone://Microsoft/Custom',
      recurrence: { range: { recurrenceTimeZone: 'Customized Time Zone' } },
    });
    simulator.switches.recurrenceTimeZone = 'empty';
    expect(await read()).toMatchObject({ recurrence: { range: { recurrenceTimeZone: '' } } });
    expect(times(await read())[0]).toBe('2026-05-05T07:00');
  });
});

describe('the instances of a series', () => {
  it('leave out deleted ones and come over pages', async () => {
    const { calendar, client } = await contoso({ pageSize: 2 });
    const series = tuesdays(calendar);
    calendar.updateOccurrence(series, '2026-05-12', { start: '2026-05-13T15:00' });
    calendar.cancelOccurrence(series, '2026-05-19');
    const path = `${ann}/calendars/${calendar.id}/events/${series.key}/instances?${year}`;
    const { pages, items } = await client.round(path);
    expect(pages).toHaveLength(2);
    expect(items.map((item) => [item.type, times(item)[0]])).toEqual([
      ['occurrence', '2026-05-05T07:00'],
      ['exception', '2026-05-13T13:00'],
      ['occurrence', '2026-05-26T07:00'],
    ]);
    expect((await client.get(`${path}&$select=start,originalStart`)).json.value[1]).toMatchObject({
      originalStart: '2026-05-12T07:00:00Z',
    });
  });

  it('carry the iCalUId of the series or their own', async () => {
    const { simulator, calendar, client } = await contoso();
    const series = tuesdays(calendar);
    const uids = async () =>
      new Set((await client.get(`${ann}/calendarView?${year}`)).json.value.map((item) => item['iCalUId']));
    expect(await uids()).toEqual(new Set([series.iCalUId]));
    simulator.switches.iCalUId = 'per-occurrence';
    const own = await uids();
    expect(own.size).toBe(4);
    // 07EA0505 is 2026-05-05 in hexadecimal, at the place of the instance date.
    expect(own).toContain(`${series.iCalUId.slice(0, 32)}07EA0505${series.iCalUId.slice(40)}`);
  });

  it('have an original start that is an instant, with an offset when a zone is asked for', async () => {
    const { calendar, client } = await contoso();
    const holiday = calendar.createSeries({
      subject: 'Half day',
      pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
      range: { type: 'numbered', startDate: '2026-05-05', numberOfOccurrences: 2 },
      isAllDay: true,
    });
    const path = `${ann}/events/${holiday.key}/instances?${year}`;
    const [utc] = (await client.get(path)).json.value;
    const [zoned] = (await client.get(path, 'outlook.timezone="Eastern Standard Time"')).json.value;
    expect(utc?.['originalStart']).toBe('2026-05-04T22:00:00Z');
    expect(zoned?.['originalStart']).toBe('2026-05-04T18:00:00-04:00');
    // All-day is midnight UTC, whatever zone is asked for.
    expect(zoned).toMatchObject({ start: { dateTime: '2026-05-05T00:00:00.0000000', timeZone: 'UTC' } });
  });
});

describe('events', () => {
  it('show times in the zone that Prefer names and bodies as it wants', async () => {
    const { calendar, client } = await contoso();
    const { key } = calendar.createEvent({
      subject: 'Call',
      start: '2026-05-04T12:00',
      body: { contentType: 'html', content: '<p>Dial in</p>' },
    });
    const text = await client.get(
      `${ann}/events/${key}`,
      'outlook.timezone="Tokyo Standard Time", outlook.body-content-type="text"',
    );
    expect(text.json).toMatchObject({
      start: { dateTime: '2026-05-04T19:00:00.0000000', timeZone: 'Tokyo Standard Time' },
      body: { contentType: 'text', content: 'Dial in' },
    });
    expect((await client.get(`${ann}/events/${key}`)).json['body']).toEqual({
      contentType: 'html',
      content: '<p>Dial in</p>',
    });
  });

  it('show an invitee a meeting as Exchange does, and lose it when declined', async () => {
    const { tenant, calendar, client } = await contoso();
    const bo = tenant.addMailbox({ upn: 'bo@contoso.example', name: 'Bo' });
    const meeting = calendar.createEvent({ subject: 'Plan', start: '2026-05-04T12:00' });
    const copy = calendar.inviteTo(meeting, bo.state);
    bo.accept(copy);
    const path = `/users/bo@contoso.example/events/${copy.key}`;
    const { json } = await client.get(path);
    expect(json).toMatchObject({
      isOrganizer: false,
      iCalUId: meeting.iCalUId,
      responseStatus: { response: 'accepted' },
    });
    // The organizer comes twice, and every status is none.
    expect(json['attendees']).toMatchObject([
      { status: { response: 'none' }, emailAddress: { address: 'ann@contoso.example' } },
      { status: { response: 'none' }, emailAddress: { address: 'bo@contoso.example' } },
    ]);
    expect((await client.get(`${ann}/events/${meeting.key}`)).json['attendees']).toMatchObject([
      { status: { response: 'accepted' } },
    ]);
    bo.decline(copy);
    expect((await client.get(path)).json.error?.code).toBe('ErrorItemNotFound');
  });

  it('come as orphans to somebody who was asked to one date', async () => {
    const { simulator, tenant, calendar, client } = await contoso();
    const bo = tenant.addMailbox({ upn: 'bo@contoso.example' });
    const series = tuesdays(calendar);
    const orphan = calendar.inviteTo(series, bo.state, { date: '2026-05-12' });
    const read = async () => (await client.get(`/users/bo@contoso.example/events/${orphan.key}`)).json;
    expect(await read()).toMatchObject({ type: 'singleInstance', seriesMasterId: null });
    expect((await read())['iCalUId']).toBe(`${series.iCalUId.slice(0, 32)}07EA050C${series.iCalUId.slice(40)}`);
    simulator.switches.orphans = 'exception';
    const named = await read();
    expect(named).toMatchObject({ type: 'exception', iCalUId: series.iCalUId, originalStart: '2026-05-12T07:00:00Z' });
    expect((await client.get(`/users/bo@contoso.example/events/${String(named.seriesMasterId)}`)).status).toBe(404);
  });

  it('have ids that differ in case alone', async () => {
    const { calendar, client } = await contoso();
    const [one, other] = ['One', 'Other'].map((subject) =>
      calendar.createEvent({ subject, start: '2026-05-04T12:00' }),
    );
    const subject = async (id = '') => (await client.get(`${ann}/events/${id}`)).json.subject;
    const all = Array.from({ length: 30 }, () => calendar.createEvent({ start: '2026-05-04T12:00' }).key);
    expect(new Set(all.map((id) => id.toLowerCase())).size).toBeLessThan(all.length);
    expect([await subject(one?.key), await subject(other?.id)]).toEqual(['One', 'Other']);
  });

  it('are refused over a span of more than 1825 days', async () => {
    const { client } = await contoso();
    const { json } = await client.get(`${ann}/calendarView?startDateTime=2020-01-01&endDateTime=2026-01-01`);
    expect(json.error?.code).toBe('ErrorInvalidRequest');
  });
});

describe('calendars', () => {
  it('are listed over pages, with copies of others under their owner', async () => {
    const { tenant, ann: mailbox, calendar, client } = await contoso({ pageSize: 2 });
    const bo = tenant.addMailbox({ upn: 'bo@contoso.example', name: 'Bo' });
    const meeting = bo.calendar().createEvent({ subject: 'Bo alone', start: '2026-05-04T12:00' });
    mailbox.addCalendar('Team', { hexColor: '#aa3333' });
    const copy = mailbox.openShared(bo.calendar());
    const { pages, items } = await client.round(`${ann}/calendars`);
    expect(pages).toHaveLength(2);
    expect(items).toMatchObject([
      { id: calendar.id, isDefaultCalendar: true, hexColor: '' },
      { name: 'Team', canShare: true, owner: { address: 'ann@contoso.example' } },
      { id: copy.id, canShare: false, owner: { address: 'bo@contoso.example' } },
    ]);
    // The mailbox's own path misses what lies in a shared calendar.
    expect((await client.get(`${ann}/calendars/${copy.id}/events/${meeting.key}`)).status).toBe(200);
    expect((await client.get(`${ann}/events/${meeting.key}`)).status).toBe(404);
    mailbox.addCalendar('Old share', { isBrokenShare: true });
    const broken = (await client.round(`${ann}/calendars`)).items.at(-1)?.id ?? '';
    expect((await client.get(`${ann}/calendars/${broken}/calendarView/delta?${year}`)).json.error?.code).toBe(
      'ErrorInternalServerTransientError',
    );
  });

  it('leave listing people and zones to further permissions', async () => {
    const { tenant, client } = await contoso();
    expect((await client.get('/users')).json.error?.code).toBe('Authorization_RequestDenied');
    tenant.configure({ roles: ['User.Read.All', 'MailboxSettings.Read'] });
    expect((await client.get('/users')).json.value).toMatchObject([{ userPrincipalName: 'ann@contoso.example' }]);
    expect((await client.get(`${ann}/mailboxSettings`)).json['timeZone']).toBe('W. Europe Standard Time');
  });
});

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
    const { simulator, client } = await contoso({ latencyMs: 30 });
    await client.get(`${ann}/calendar`);
    const statuses = await Promise.all(
      Array.from({ length: 6 }, async () => (await client.get(`${ann}/calendar`)).status),
    );
    expect(statuses.filter((status) => status === 429)).toHaveLength(2);
    expect(simulator.requests.filter(({ status }) => status === 429)).toHaveLength(2);
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
  it('the truth, the tokens and the addresses are back; only delta states are lost', async () => {
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
      for (;;) { world.step(); await new Promise((resolve) => setImmediate(resolve)); }`;
    const child = spawn(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      '--input-type=module',
      '-e',
      script,
    ]);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const originMap = JSON.parse(line.toString()) as OriginMap;
    child.kill('SIGKILL');
    await once(child, 'exit');

    const simulator = await startGraphSimulator({ stateFile, listenOn: originMap });
    running.push(simulator);
    const world = demoWorld(simulator);

    expect(simulator.originMap).toEqual(originMap);
    expect(simulator.world.state.items.length).toBeGreaterThan(100);
    expect(world.step()).toMatch(/\.$/);
  });

  it('a snapshot brings back what was shown', async () => {
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
