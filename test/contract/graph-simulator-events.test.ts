import { afterEach, describe, expect, it } from '@jest/globals';

import { contoso as startContoso, tuesdays } from '../support/graph/contoso.ts';
import type { RawEvent } from '../support/graph/raw-client.ts';
import type { GraphSimulator, SimulatorOptions } from '../support/graph/simulator.ts';

const running: GraphSimulator[] = [];
afterEach(() => Promise.all(running.splice(0).map((simulator) => simulator.close())));

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

  it('count as inside a window that they overlap, without length too', async () => {
    const { calendar, client } = await contoso();
    for (const [subject, start, end] of [
      ['before', '2026-05-04T11:00', '2026-05-04T12:00'],
      ['into', '2026-05-04T11:00', '2026-05-04T12:01'],
      ['moment', '2026-05-04T12:00', '2026-05-04T12:00'],
      ['out of', '2026-05-04T12:59', '2026-05-04T14:00'],
      ['after', '2026-05-04T13:00', '2026-05-04T14:00'],
    ] as const) {
      calendar.createEvent({ subject, start, end });
    }
    const hour = 'startDateTime=2026-05-04T12:00:00%2B02:00&endDateTime=2026-05-04T11:00:00';
    const { json } = await client.get(`${ann}/calendarView?${hour}`);
    expect(json.value.map(({ subject }) => subject)).toEqual(['into', 'moment', 'out of']);
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

  it('may get another id', async () => {
    const { calendar, client } = await contoso();
    calendar.createEvent({ subject: 'Call', start: '2026-05-04T12:00' });
    const old = calendar.id;
    calendar.changeId();
    expect((await client.get(`${ann}/calendars/${old}/events`)).json.error?.code).toBe('ErrorItemNotFound');
    expect((await client.get(`${ann}/calendars/${calendar.id}/events`)).json.value).toMatchObject([
      { subject: 'Call' },
    ]);
  });

  it('leave listing people and zones to further permissions', async () => {
    const { tenant, client } = await contoso();
    expect((await client.get('/users')).json.error?.code).toBe('Authorization_RequestDenied');
    tenant.configure({ roles: ['User.Read.All', 'MailboxSettings.Read'] });
    expect((await client.get('/users')).json.value).toMatchObject([{ userPrincipalName: 'ann@contoso.example' }]);
    expect((await client.get(`${ann}/mailboxSettings`)).json['timeZone']).toBe('W. Europe Standard Time');
  });
});
