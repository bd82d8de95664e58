import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { demoWorld } from '../support/graph/demo-world.ts';
import type { SeriesInput } from '../support/graph/inputs.ts';
import type { OutlookCalendar } from '../support/graph/outlook.ts';
import type { Pattern, Weekday } from '../support/graph/patterns.ts';
import { directoryOf, type SimulatedTenant } from '../support/graph/people.ts';
import { RawClient, type RawEvent } from '../support/graph/raw-client.ts';
import { startGraphSimulator, type GraphSimulator } from '../support/graph/simulator.ts';
import { seededRandom, type Switches } from '../support/graph/switches.ts';

const berlin = 'W. Europe Standard Time';
const newYork = 'Eastern Standard Time';
const allDays: Weekday[] = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];
const workdays = allDays.slice(1, 6);
const day30 = { type: 'absoluteMonthly', dayOfMonth: 30 } as const;
const biweekly = { type: 'weekly', interval: 2, daysOfWeek: ['tuesday', 'sunday'] } satisfies Pattern;

let simulator: GraphSimulator;
let tenant: SimulatedTenant;
let count = 0;

beforeAll(async () => {
  simulator = await startGraphSimulator({ now: () => new Date('2026-05-01T12:00:00Z') });
  tenant = simulator.addTenant({
    directory: directoryOf('contoso.example'),
    domain: 'contoso.example',
    client: 'app',
    secret: 's',
  });
});
afterAll(() => simulator.close());

function aCalendar(): OutlookCalendar {
  count += 1;
  return tenant.addMailbox({ upn: `mailbox${count}@contoso.example`, zone: berlin }).calendar();
}

/** The starts that Outlook shows of a series, `take` of them from `from` on. */
function starts(input: Partial<SeriesInput> & Pick<SeriesInput, 'pattern' | 'range'>, take: number): string[] {
  const calendar = aCalendar();
  calendar.createSeries({ subject: 'Series', start: '09:00', ...input });
  const from = `${input.range.startDate}T00:00:00Z`;
  return simulator
    .expected(calendar, { from, to: `${Number(from.slice(0, 4)) + 9}-01-01T00:00:00Z` })
    .slice(0, take)
    .map(({ start }) => start);
}

/** The same as dates, for what does not hang on the time of day. */
function dates(pattern: Pattern, startDate: string, take: number, numberOfOccurrences = 0): string[] {
  const range = numberOfOccurrences
    ? ({ type: 'numbered', startDate, numberOfOccurrences } as const)
    : ({ type: 'noEnd', startDate } as const);
  return starts({ pattern, range, isAllDay: true, start: '00:00' }, take);
}

describe('the truth of a recurring series', () => {
  it('keeps the local time of day over DST (daily)', () => {
    const range = { type: 'numbered', startDate: '2026-03-27', numberOfOccurrences: 5 } as const;
    expect(starts({ pattern: { type: 'daily', interval: 3 }, range }, 9)).toEqual([
      '2026-03-27T08:00:00Z',
      '2026-03-30T07:00:00Z',
      '2026-04-02T07:00:00Z',
      '2026-04-05T07:00:00Z',
      '2026-04-08T07:00:00Z',
    ]);
  });

  it('ends on the local end date, though that is the next day in UTC', () => {
    const range = { type: 'endDate', startDate: '2026-05-05', endDate: '2026-05-19' } as const;
    const pattern: Pattern = { type: 'weekly', daysOfWeek: ['tuesday'] };
    expect(starts({ pattern, range, start: '19:00', zone: newYork }, 9)).toEqual([
      '2026-05-05T23:00:00Z',
      '2026-05-12T23:00:00Z',
      '2026-05-19T23:00:00Z',
    ]);
  });

  it('repeats on the local weekday', () => {
    const range = { type: 'noEnd', startDate: '2026-05-08' } as const;
    const pattern: Pattern = { type: 'weekly', daysOfWeek: ['friday'] };
    expect(starts({ pattern, range, start: '21:00', zone: newYork }, 2)).toEqual([
      '2026-05-09T01:00:00Z',
      '2026-05-16T01:00:00Z',
    ]);
  });

  it.each<[string, Pattern, string, number, string[]]>([
    [
      'two weeks that begin on Sunday',
      { ...biweekly, firstDayOfWeek: 'sunday' },
      '1997-08-05',
      4,
      ['1997-08-05', '1997-08-17', '1997-08-19', '1997-08-31'],
    ],
    [
      'two weeks that begin on Monday',
      { ...biweekly, firstDayOfWeek: 'monday' },
      '1997-08-05',
      4,
      ['1997-08-05', '1997-08-10', '1997-08-19', '1997-08-24'],
    ],
    [
      'Sundays and Mondays',
      { type: 'weekly', daysOfWeek: ['sunday', 'monday'] },
      '2026-05-03',
      3,
      ['2026-05-03', '2026-05-04', '2026-05-10'],
    ],
    [
      'a start within a week without its day',
      { type: 'weekly', interval: 2, daysOfWeek: ['monday'] },
      '2026-01-07',
      2,
      ['2026-01-19', '2026-02-02'],
    ],
    [
      'day 31',
      { type: 'absoluteMonthly', dayOfMonth: 31 },
      '2026-01-31',
      4,
      ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30'],
    ],
    ['day 30', day30, '2027-01-30', 3, ['2027-01-30', '2027-02-28', '2027-03-30']],
    [
      'day 29 through a leap year',
      { type: 'absoluteMonthly', dayOfMonth: 29 },
      '2027-12-29',
      4,
      ['2027-12-29', '2028-01-29', '2028-02-29', '2028-03-29'],
    ],
    [
      'day 30 of months that miss February',
      { ...day30, interval: 2 },
      '2026-01-30',
      3,
      ['2026-01-30', '2026-03-30', '2026-05-30'],
    ],
    [
      'day 30 of every third month',
      { ...day30, interval: 3 },
      '2026-11-30',
      3,
      ['2026-11-30', '2027-02-28', '2027-05-30'],
    ],
    [
      'the second Tuesday of every other month',
      { type: 'relativeMonthly', interval: 2, daysOfWeek: ['tuesday'], index: 'second' },
      '2025-06-10',
      3,
      ['2025-06-10', '2025-08-12', '2025-10-14'],
    ],
    [
      'the last working day',
      { type: 'relativeMonthly', daysOfWeek: workdays, index: 'last' },
      '2025-06-30',
      4,
      ['2025-06-30', '2025-07-31', '2025-08-29', '2025-09-30'],
    ],
    [
      'the last of all seven days',
      { type: 'relativeMonthly', daysOfWeek: allDays, index: 'last' },
      '2026-01-31',
      3,
      ['2026-01-31', '2026-02-28', '2026-03-31'],
    ],
    [
      'the first weekend day',
      { type: 'relativeMonthly', daysOfWeek: ['saturday', 'sunday'], index: 'first' },
      '2025-06-01',
      3,
      ['2025-06-01', '2025-07-05', '2025-08-02'],
    ],
    [
      'the second Thursday or Friday of November',
      { type: 'relativeYearly', month: 11, daysOfWeek: ['thursday', 'friday'], index: 'second' },
      '2025-11-07',
      3,
      ['2025-11-07', '2026-11-06', '2027-11-05'],
    ],
    [
      '29 February',
      { type: 'absoluteYearly', month: 2, dayOfMonth: 29 },
      '2024-02-29',
      5,
      ['2024-02-29', '2025-02-28', '2026-02-28', '2027-02-28', '2028-02-29'],
    ],
  ])('gives %s as Exchange does', (_, pattern, startDate, take, expected) => {
    expect(dates(pattern, startDate, take)).toEqual(expected);
  });

  it('counts a clamped day like any other', () => {
    expect(dates(day30, '2026-12-30', 9, 3)).toEqual(['2026-12-30', '2027-01-30', '2027-02-28']);
    expect(dates(day30, '2027-01-30', 14).at(13)).toBe('2028-02-29');
  });

  it('keeps the wall-clock end of an occurrence over the night of a DST change', () => {
    const calendar = aCalendar();
    const range = { type: 'numbered', startDate: '2026-10-24', numberOfOccurrences: 1 } as const;
    calendar.createSeries({ subject: 'Night', pattern: { type: 'daily' }, range, start: '22:00', end: '06:00' });
    const [night] = simulator.expected(calendar, { from: '2026-10-01T00:00:00Z', to: '2026-11-01T00:00:00Z' });
    expect([night?.start, night?.end]).toEqual(['2026-10-24T20:00:00Z', '2026-10-25T05:00:00Z']);
  });
});

describe('an attendee of another tenant', () => {
  it('shares the iCalUId, follows the organizer and answers', () => {
    const calendar = aCalendar();
    const other = simulator
      .addTenant({ directory: directoryOf('fabrikam.example'), domain: 'fabrikam.example', client: 'app', secret: 's' })
      .addMailbox({ upn: 'bo@fabrikam.example', name: 'Bo' });
    const range = { type: 'numbered', startDate: '2026-06-01', numberOfOccurrences: 4 } as const;
    const series = calendar.createSeries({ subject: 'Joint', pattern: { type: 'daily' }, range, start: '10:00' });
    const copy = calendar.inviteTo(series, other.state);
    calendar.updateOccurrence(series, '2026-06-02', { start: '2026-06-02T12:00' });
    calendar.cancelOccurrence(series, '2026-06-03');
    other.accept(copy);

    const window = { from: '2026-06-01T00:00:00Z', to: '2026-07-01T00:00:00Z' };
    const theirs = simulator.expected(other.calendar(), window);

    expect(new Set(theirs.map(({ iCalUId }) => iCalUId))).toEqual(new Set([series.iCalUId]));
    expect(theirs.map(({ start, isCancelled, response }) => [start.slice(5, 13), isCancelled, response])).toEqual([
      ['06-01T08', false, 'accepted'],
      ['06-02T10', false, 'accepted'],
      ['06-03T08', true, 'accepted'],
      ['06-04T08', false, 'accepted'],
    ]);
    expect(simulator.expected(calendar, window)).toHaveLength(3);
    other.decline(copy);
    expect(simulator.expected(other.calendar(), window)).toEqual([]);
  });

  it('has an orphan when invited to one date only', () => {
    const calendar = aCalendar();
    const guest = aCalendar();
    const range = { type: 'numbered', startDate: '2026-06-01', numberOfOccurrences: 4 } as const;
    const series = calendar.createSeries({ subject: 'Joint', pattern: { type: 'daily' }, range, start: '10:00' });
    calendar.inviteTo(series, guest.mailbox, { date: '2026-06-02' });
    calendar.updateOccurrence(series, '2026-06-02', { start: '2026-06-02T15:00' });

    expect(guest.expected({ from: '2026-06-01T00:00:00Z', to: '2026-07-01T00:00:00Z' })).toMatchObject([
      { iCalUId: series.iCalUId, start: '2026-06-02T13:00:00Z', slot: '2026-06-02T08:00:00Z' },
    ]);
  });
});

describe("the demo's world", () => {
  it('has about 120 events in three tenants and two clouds, the same each time', async () => {
    const snapshots = [];
    for (let time = 0; time < 2; time += 1) {
      const demo = await startGraphSimulator({ now: () => new Date('2026-05-01T12:00:00Z') });
      const world = demoWorld(demo);
      expect(Math.abs(demo.world.state.items.length - 120)).toBeLessThan(10);
      const random = seededRandom(3);
      const said = Array.from({ length: 60 }, () => world.step(random));
      expect(new Set(said).size).toBeGreaterThan(40);
      snapshots.push(demo.snapshot());
      expect(world.tenants.map(({ cloud }) => cloud)).toEqual(['global', 'global', 'gcch']);
      await demo.close();
    }
    expect(snapshots[0]).toBe(snapshots[1]);
  });

  it('is told by Graph exactly as Outlook shows it, after any number of steps', async () => {
    const demo = await startGraphSimulator({ now: () => new Date('2026-05-01T12:00:00Z'), pageSize: 100 });
    const world = demoWorld(demo);
    const window = { from: '2026-04-01T00:00:00Z', to: '2026-12-01T00:00:00Z' };
    const random = seededRandom(4);
    for (let time = 0; time < 80; time += 1) world.step(random);
    for (const [index, calendar] of world.calendars.entries()) {
      const { state } = demo.tenant(world.tenants[index]?.directory ?? '');
      const isGovernment = state.cloud === 'gcch';
      const client = new RawClient(
        demo,
        state,
        isGovernment ? 'https://graph.microsoft.us' : 'https://graph.microsoft.com',
      );
      if (isGovernment) await client.signIn('https://login.microsoftonline.us');
      const path = `/users/${calendar.mailbox.upn}/calendars/${calendar.id}/calendarView`;
      const { items } = await client.round(`${path}?startDateTime=${window.from}&endDateTime=${window.to}`);
      const told = items.map(
        ({ subject, start }) => `${(start as { dateTime: string }).dateTime.slice(0, 16)} ${subject ?? ''}`,
      );
      const shown = demo
        .expected(calendar, window)
        .map(({ subject, start }) => `${start.length === 10 ? `${start}T00:00` : start.slice(0, 16)} ${subject ?? ''}`);
      expect(told.sort()).toEqual(shown.sort());
    }
    await demo.close();
  });
});

/** Reads a calendar by the book: whatever a round mentions is asked for by id, and the answer alone counts. */
class CarefulReader {
  private readonly client: RawClient;
  private readonly path: string;
  private readonly window: { from: string; to: string };
  private link: string | null = null;
  private readonly masters = new Map<string, string>();
  /** Canonical id of an event or series → what it shows. */
  private readonly shown = new Map<string, string[]>();

  constructor(client: RawClient, calendar: OutlookCalendar, window: { from: string; to: string }) {
    this.client = client;
    this.path = `/users/${calendar.mailbox.upn}/calendars/${calendar.id}`;
    this.window = window;
  }

  async poll(): Promise<string[]> {
    const query = `startDateTime=${this.window.from}&endDateTime=${this.window.to}`;
    const isDead = this.link !== null && (await this.client.get(this.link)).status === 410;
    const isFirst = isDead || this.link === null;
    const { items, deltaLink } = await this.client.round(
      isFirst ? `${this.path}/calendarView/delta?${query}` : (this.link ?? ''),
    );
    this.link = deltaLink;
    // A first round's silence means absence, once asked.
    const stale = new Set(isFirst ? this.shown.keys() : []);
    for (const item of items) {
      const { id, seriesMasterId } = item;
      if (seriesMasterId) this.masters.set(id, seriesMasterId);
      stale.add(seriesMasterId ?? this.masters.get(id) ?? id);
    }
    for (const id of stale) await this.rebuild(id, query);
    return [...this.shown.values()].flat().sort();
  }

  private async rebuild(id: string, query: string): Promise<void> {
    const { status, json } = await this.client.get(`${this.path}/events/${id}`);
    const key = status === 200 ? json.id : (this.masters.get(id) ?? id);
    this.masters.set(id, key);
    if (status === 404) this.shown.delete(key);
    else if (json.type === 'seriesMaster') {
      const { items } = await this.client.round(`${this.path}/events/${id}/instances?${query}`);
      this.shown.set(key, items.map(lineOf));
    } else
      this.shown.set(
        key,
        [lineOf(json)].filter((line) => line >= this.window.from && line < this.window.to),
      );
  }
}

function lineOf({ subject, start, isCancelled }: RawEvent): string {
  return `${(start as { dateTime: string }).dateTime.slice(0, 16)} ${subject ?? ''} ${String(isCancelled)}`;
}

describe('whatever habits Graph has, a careful reader', () => {
  const disorder = { seed: 11, shuffle: true, duplicates: 0.3, replays: 0.1, emptyPages: 0.3, strangeRemovals: true };
  it.each<[string, Partial<Switches>]>([
    ['by default', {}],
    [
      'with little told',
      {
        afterMasterChange: 'master-only',
        mastersBeforeWindow: 'not',
        seriesDeleted: 'occurrences',
        outsideTouched: 'known-only',
      },
    ],
    [
      'in disorder',
      { disorder, afterOccurrenceChange: 'whole-series', seriesDeleted: 'master', removedReason: 'changed' },
    ],
    ['with ids of two forms', { disorder, immutableOccurrenceIds: 'nor-seriesMasterId', seriesDeleted: 'occurrences' }],
  ])('arrives at the truth after each poll, %s', async (_, switches) => {
    const demo = await startGraphSimulator({ now: () => new Date('2026-05-01T12:00:00Z'), switches, pageSize: 40 });
    const world = demoWorld(demo);
    const window = { from: '2026-04-01T00:00', to: '2026-08-01T00:00' };
    const instants = { from: `${window.from}:00Z`, to: `${window.to}:00Z` };
    const [calendar] = world.calendars;
    if (!calendar) throw new Error('The demo has calendars.');
    const reader = new CarefulReader(new RawClient(demo, demo.tenant('contoso.example').state), calendar, window);
    const random = seededRandom(12);
    for (let round = 0; round < 8; round += 1) {
      if (round === 5) demo.forgetDeltaTokens();
      const truth = demo.expected(calendar, instants).map(({ start, subject, isCancelled }) => {
        const minute = start.length === 10 ? `${start}T00:00` : start.slice(0, 16);
        return `${minute} ${subject ?? ''} ${isCancelled}`;
      });
      expect(await reader.poll()).toEqual(truth.sort());
      for (let step = 0; step < 12; step += 1) world.step(random);
    }
    await demo.close();
  });
});
