import { afterEach, describe, expect, it } from '@jest/globals';
import { ConfidentialClientApplication, type INetworkModule, type NetworkRequestOptions } from '@azure/msal-node';

import { startGraphSimulator, type GraphSimulator, type SimulatorOptions } from '../support/graph/simulator.ts';
import { directoryOf } from '../support/graph/people.ts';

interface Event {
  id: string;
  type?: string;
  subject?: string;
  seriesMasterId?: string | null;
  '@removed'?: { reason: string };
  [name: string]: unknown;
}
interface Page {
  value: Event[];
  '@odata.nextLink'?: string;
  '@odata.deltaLink'?: string;
}

const window2026 = { from: '2026-01-01T00:00:00Z', to: '2027-01-01T00:00:00Z' };
const clock = (): Date => new Date('2026-05-01T12:00:00Z');
const running: GraphSimulator[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((simulator) => simulator.close()));
});

async function contoso(options: SimulatorOptions = {}) {
  const simulator = await startGraphSimulator({ now: clock, ...options });
  running.push(simulator);
  const tenant = simulator.addTenant({
    directory: directoryOf('contoso.example'),
    domain: 'contoso.example',
    client: 'app-1',
    secret: 'right',
  });
  const ann = tenant.addMailbox({ upn: 'ann@contoso.example', name: 'Ann', zone: 'W. Europe Standard Time' });
  return { simulator, tenant, ann, calendar: ann.calendar() };
}

function msalOver(simulator: GraphSimulator, options: { secret?: string; tenant?: string; login?: string } = {}) {
  const {
    secret = 'right',
    tenant = directoryOf('contoso.example'),
    login = 'https://login.microsoftonline.com',
  } = options;
  const networkClient: INetworkModule = {
    async sendGetRequestAsync<T>(url: string, request?: NetworkRequestOptions) {
      const response = await simulator.fetch(url, { headers: request?.headers ?? {} });
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: (await response.json()) as T,
      };
    },
    async sendPostRequestAsync<T>(url: string, request?: NetworkRequestOptions) {
      const init = { method: 'POST', headers: request?.headers ?? {}, body: request?.body ?? '' };
      const response = await simulator.fetch(url, init);
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: (await response.json()) as T,
      };
    },
  };
  return new ConfidentialClientApplication({
    auth: { clientId: 'app-1', clientSecret: secret, authority: `${login}/${tenant}` },
    system: { networkClient },
  });
}

async function tokenOf(simulator: GraphSimulator, graph = 'https://graph.microsoft.com'): Promise<string> {
  const result = await msalOver(simulator).acquireTokenByClientCredential({ scopes: [`${graph}/.default`] });
  return result?.accessToken ?? '';
}

async function get(simulator: GraphSimulator, path: string, headers: Record<string, string> = {}) {
  const url = path.startsWith('https:') ? path : `https://graph.microsoft.com/v1.0${path}`;
  const authorization = `Bearer ${await tokenOf(simulator)}`;
  const response = await simulator.fetch(url, {
    headers: { authorization, prefer: 'IdType="ImmutableId"', ...headers },
  });
  return { status: response.status, headers: response.headers, json: (await response.json()) as Page & Event };
}

/** Follows a round to its end. */
async function round(simulator: GraphSimulator, start: string, headers: Record<string, string> = {}) {
  const pages: Page[] = [];
  let link: string | undefined = start;
  while (link !== undefined) {
    const { status, json }: { status: number; json: Page } = await get(simulator, link, headers);
    if (status !== 200) throw new Error(`status ${status}`);
    pages.push(json);
    link = json['@odata.nextLink'];
  }
  return { pages, items: pages.flatMap(({ value }) => value), deltaLink: pages.at(-1)?.['@odata.deltaLink'] ?? '' };
}

const firstRound =
  '/users/ann@contoso.example/calendarView/delta?startDateTime=2026-01-01T00:00:00Z&endDateTime=2027-01-01T00:00:00Z';

describe('the simulated login', () => {
  it('gives unmodified MSAL a token that opens the calendar', async () => {
    const { simulator, calendar } = await contoso();
    calendar.createEvent({ subject: 'Stand-up', start: '2026-05-04T09:00', end: '2026-05-04T09:15' });

    const { status, json } = await get(simulator, '/users/ann@contoso.example/calendar/events');

    expect(status).toBe(200);
    expect(json.value).toMatchObject([
      {
        subject: 'Stand-up',
        type: 'singleInstance',
        start: { dateTime: '2026-05-04T07:00:00.0000000', timeZone: 'UTC' },
      },
    ]);
  });
});

describe('calendarView/delta', () => {
  it('sends singles, masters and stubs over pages, then a delta link that tells only changes', async () => {
    const { simulator, calendar } = await contoso();
    const lunch = calendar.createEvent({ subject: 'Lunch', start: '2026-05-04T12:00' });
    for (let day = 10; day < 20; day += 1) calendar.createEvent({ subject: `Day ${day}`, start: `2026-05-${day}` });
    calendar.createSeries({
      subject: 'Review',
      pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
      range: { type: 'numbered', startDate: '2026-05-05', numberOfOccurrences: 3 },
      start: '09:00',
    });

    const first = await round(simulator, firstRound, { prefer: 'odata.maxpagesize=5, IdType="ImmutableId"' });
    calendar.updateEvent(lunch, { subject: 'Long lunch' });
    const second = await round(simulator, first.deltaLink);

    expect(first.pages.map(({ value }) => value.length)).toEqual([5, 5, 5]);
    expect(first.items.filter(({ type }) => type === 'occurrence')[0]).not.toHaveProperty('subject');
    expect(second.items).toMatchObject([{ id: lunch.key, subject: 'Long lunch' }]);
  });
});

describe('a series', () => {
  it('shows its master with exceptions, cancellations and instances', async () => {
    const { simulator, calendar } = await contoso();
    const series = calendar.createSeries({
      subject: 'Review',
      pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
      range: { type: 'endDate', startDate: '2026-05-05', endDate: '2026-05-26' },
      start: '09:00',
    });
    calendar.updateOccurrence(series, '2026-05-12', { subject: 'Review, late', start: '2026-05-12T15:00' });
    calendar.cancelOccurrence(series, '2026-05-19');

    const path = `/users/ann@contoso.example/calendars/${calendar.id}/events/${series.key}`;
    const master = await get(simulator, `${path}?$select=subject,cancelledOccurrences&$expand=exceptionOccurrences`);
    const instances = await get(simulator, `${path}/instances?startDateTime=2026-01-01&endDateTime=2027-01-01`);

    expect(master.json).toMatchObject({
      subject: 'Review',
      cancelledOccurrences: [`OID.${series.key}.2026-05-19`],
      exceptionOccurrences: [{ subject: 'Review, late', originalStart: '2026-05-12T07:00:00Z' }],
    });
    expect(instances.json.value.map(({ type }) => type)).toEqual(['occurrence', 'exception', 'occurrence']);
    expect(simulator.expected(calendar, window2026).map(({ start }) => start)).toEqual([
      '2026-05-05T07:00:00Z',
      '2026-05-12T13:00:00Z',
      '2026-05-26T07:00:00Z',
    ]);
  });
});
