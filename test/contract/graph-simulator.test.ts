import { afterEach, describe, expect, it } from '@jest/globals';

import { contoso as startContoso, tuesdays } from '../support/graph/contoso.ts';
import type { OutlookCalendar } from '../support/graph/outlook.ts';
import type { RawEvent } from '../support/graph/raw-client.ts';
import type { GraphSimulator, SimulatorOptions } from '../support/graph/simulator.ts';
import type { Switches } from '../support/graph/switches.ts';

const running: GraphSimulator[] = [];
afterEach(() => Promise.all(running.splice(0).map((simulator) => simulator.close())));

async function contoso(options: SimulatorOptions = {}) {
  const world = await startContoso(options);
  running.push(world.simulator);
  return world;
}

const year = 'startDateTime=2026-01-01T00:00:00Z&endDateTime=2027-01-01T00:00:00Z';
const delta = `/users/ann@contoso.example/calendarView/delta?${year}`;
const brief = ({ type, '@removed': removed, subject, start }: RawEvent): string =>
  removed ? 'removed' : `${type ?? ''} ${subject ?? (start as { dateTime: string }).dateTime.slice(5, 10)}`;

describe('calendarView/delta', () => {
  it('sends singles, masters and stubs over pages, then only what changed', async () => {
    const { calendar, client } = await contoso();
    const lunch = calendar.createEvent({ subject: 'Lunch', start: '2026-05-04T12:00' });
    for (let day = 10; day < 20; day += 1) calendar.createEvent({ subject: `Day ${day}`, start: `2026-05-${day}` });
    tuesdays(calendar);

    const first = await client.round(delta, 'odata.maxpagesize=4, IdType="ImmutableId"');
    calendar.updateEvent(lunch, { subject: 'Long lunch' });
    const second = await client.round(first.deltaLink);
    const third = await client.round(second.deltaLink);

    // The series stays whole, so the last page is longer than asked for.
    expect(first.pages.map(({ value }) => value.length)).toEqual([4, 4, 8]);
    const stub = first.items.find(({ type }) => type === 'occurrence');
    expect(Object.keys(stub ?? {}).sort()).toEqual([
      '@odata.etag',
      '@odata.type',
      'end',
      'id',
      'seriesMasterId',
      'start',
      'type',
    ]);
    expect(second.items).toMatchObject([{ id: lunch.key, subject: 'Long lunch' }]);
    expect(third.items).toEqual([]);
    expect(first.pages[0]?.['@odata.nextLink']).toMatch(/^https:\/\/graph\.microsoft\.com\/v1\.0\/.*\$skiptoken=/);
  });

  it('forgets Prefer between requests: the header decides the form of ids each time', async () => {
    const { calendar, client } = await contoso();
    const lunch = calendar.createEvent({ subject: 'Lunch', start: '2026-05-04T12:00' });
    const { deltaLink, items } = await client.round(delta);
    calendar.updateEvent(lunch, { subject: 'Long lunch' });
    const { items: later } = await client.round(deltaLink, '');
    expect([items[0]?.id, later[0]?.id]).toEqual([lunch.key, lunch.id]);
  });

  it.each([
    ['$select=subject', 400, 'ErrorInvalidUrlQuery'],
    ['$filter=type eq 1', 400, 'ErrorInvalidUrlQuery'],
    ['$top=5', 400, 'ErrorInvalidUrlQuery'],
    ['$expand=extensions', 500, 'ErrorInternalServerError'],
    ['$deltatoken=latest', 400, 'ErrorInvalidUrlQuery'],
  ])('refuses %s', async (option, status, code) => {
    const { client } = await contoso();
    const answer = await client.get(`${delta}&${option}`);
    expect([answer.status, answer.json.error?.code]).toEqual([status, code]);
  });

  it('never mentions a deleted occurrence and gives a rescheduled series new ids without removals', async () => {
    const { calendar, client } = await contoso();
    const series = tuesdays(calendar);
    const first = await client.round(delta);
    calendar.cancelOccurrence(series, '2026-05-12');
    const second = await client.round(first.deltaLink);
    calendar.reschedule(series, { start: '10:00' });
    const third = await client.round(second.deltaLink);

    expect(second.items.map(brief)).toEqual([
      'seriesMaster Review',
      'occurrence 05-05',
      'occurrence 05-19',
      'occurrence 05-26',
    ]);
    expect(third.items.some((item) => item['@removed'])).toBe(false);
    const oldIds = new Set(second.items.slice(1).map(({ id }) => id));
    expect(third.items.slice(1).filter(({ id }) => oldIds.has(id))).toEqual([]);
    expect((await client.get(`/users/ann@contoso.example/events/${[...oldIds][0] ?? ''}`)).status).toBe(404);
  });

  it('reports what moved out of the window or to another calendar as removed, though it exists', async () => {
    const { ann, calendar, client } = await contoso();
    const trip = calendar.createEvent({ subject: 'Trip', start: '2026-05-04T12:00' });
    const talk = calendar.createEvent({ subject: 'Talk', start: '2026-05-05T12:00' });
    const team = ann.addCalendar('Team');
    const first = await client.round(delta);
    calendar.updateEvent(trip, { start: '2028-01-01T12:00' });
    calendar.move(talk, team);
    const { items } = await client.round(first.deltaLink);

    expect(items).toHaveLength(2);
    expect(items).toEqual(
      expect.arrayContaining(
        [trip, talk].map(({ key }) => expect.objectContaining({ id: key, '@removed': { reason: 'deleted' } })),
      ),
    );
    const status = async (path: string) => (await client.get(`/users/ann@contoso.example${path}`)).status;
    expect(await status(`/calendars/${calendar.id}/events/${trip.key}`)).toBe(200);
    expect(await status(`/calendars/${calendar.id}/events/${talk.key}`)).toBe(404);
    expect(await status(`/calendars/${team.id}/events/${talk.key}`)).toBe(200);
  });

  it('tells what changes in the middle of a round in the next one', async () => {
    const { calendar, client } = await contoso();
    const lunch = calendar.createEvent({ subject: 'Lunch', start: '2026-05-04T12:00' });
    const gone = calendar.createEvent({ subject: 'Gone', start: '2026-05-04T12:00' });
    const series = tuesdays(calendar);
    const page = await client.get(delta, 'odata.maxpagesize=1, IdType="ImmutableId"');
    calendar.updateEvent(lunch, { subject: 'Long lunch' });
    calendar.delete(gone);
    calendar.reschedule(series, { start: '10:00' });
    const rest = await client.round(page.json['@odata.nextLink'] ?? '');
    const next = await client.round(rest.deltaLink);

    expect(page.json.value.map(brief)).toEqual(['singleInstance Lunch']);
    // Neither the deleted event nor occurrences by their old ids.
    expect(rest.items.map(brief)).toEqual(['seriesMaster Review']);
    expect(next.items.map(brief).sort()).toEqual([
      'occurrence 05-05',
      'occurrence 05-12',
      'occurrence 05-19',
      'occurrence 05-26',
      'removed',
      'seriesMaster Review',
      'singleInstance Long lunch',
    ]);
  });

  it('keeps few generations of its state and tells the loss as configured', async () => {
    const { simulator, client } = await contoso();
    const { deltaLink } = await client.round(delta);
    let link = deltaLink;
    for (let time = 0; time < 3; time += 1) link = (await client.round(link)).deltaLink;
    expect((await client.get(deltaLink)).json.error?.code).toBe('SyncStateNotFound');
    simulator.switches.syncStateError = { status: 400, code: 'resyncRequired', location: true };
    simulator.forgetDeltaTokens();
    const lost = await client.get(link);
    expect([lost.status, lost.json.error?.code, lost.headers.get('location')]).toEqual([
      400,
      'resyncRequired',
      expect.stringContaining('/delta'),
    ]);
  });

  it('may lag behind the truth', async () => {
    const { simulator, calendar, client } = await contoso();
    const { deltaLink } = await client.round(delta);
    const release = simulator.delayChanges();
    calendar.createEvent({ subject: 'Call', start: '2026-05-04T12:00' });
    const lagging = await client.round(deltaLink);
    release();
    const later = await client.round(lagging.deltaLink);
    expect([lagging.items, later.items.map(brief)]).toEqual([[], ['singleInstance Call']]);
  });

  it('may shuffle, repeat, replay and send empty pages, and the last word is still true', async () => {
    const disorder = { seed: 7, shuffle: true, duplicates: 0.5, replays: 0.5, emptyPages: 0.5, strangeRemovals: true };
    const { calendar, client } = await contoso({ switches: { disorder }, pageSize: 3 });
    for (let day = 10; day < 25; day += 1) calendar.createEvent({ subject: `Day ${day}`, start: `2026-05-${day}` });
    const first = await client.round(delta);
    const last = new Map(first.items.map((item) => [item.id, item['@removed'] ? 'removed' : item.subject]));

    expect(first.items.length).toBeGreaterThan(17);
    expect(first.pages.some(({ value }) => value.length === 0)).toBe(true);
    expect([...last.values()].filter((subject) => subject?.startsWith('Day'))).toHaveLength(15);
    expect((await client.round(first.deltaLink)).items.length).toBeGreaterThan(0);
  });
});

describe('where reports on delta differ, a switch', () => {
  /** What a changed series sends in the round after the change. */
  async function told(switches: Partial<Switches>, change: (calendar: OutlookCalendar, key: { key: string }) => void) {
    const { calendar, client } = await contoso({ switches });
    const series = tuesdays(calendar);
    const { deltaLink } = await client.round(delta);
    change(calendar, series);
    return (await client.round(deltaLink)).items.map(brief);
  }
  const all = ['seriesMaster Review', 'occurrence 05-05', 'occurrence 05-12', 'occurrence 05-19', 'occurrence 05-26'];

  it('decides what comes after a change of the master', async () => {
    const rename = (calendar: OutlookCalendar, series: { key: string }) =>
      calendar.updateSeries(series, { showAs: 'free' });
    expect(await told({ afterMasterChange: 'all-occurrences' }, rename)).toEqual(all);
    expect(await told({ afterMasterChange: 'master-only' }, rename)).toEqual(['seriesMaster Review']);
  });

  it('decides what comes after a change of one occurrence', async () => {
    const late = (calendar: OutlookCalendar, series: { key: string }) =>
      calendar.updateOccurrence(series, '2026-05-12', { subject: 'Late' });
    expect(await told({ afterOccurrenceChange: 'exception-only' }, late)).toEqual(['exception Late']);
    expect(await told({ afterOccurrenceChange: 'whole-series' }, late)).toHaveLength(5);
  });

  it('decides what a deleted series sends', async () => {
    const gone = (calendar: OutlookCalendar, series: { key: string }) => calendar.deleteSeries(series);
    expect(await told({ seriesDeleted: 'master' }, gone)).toHaveLength(1);
    expect(await told({ seriesDeleted: 'occurrences' }, gone)).toHaveLength(4);
    expect(await told({ seriesDeleted: 'both' }, gone)).toHaveLength(5);
  });

  it('decides whether a master older than the window is sent', async () => {
    const narrow = delta.replace('2026-01-01', '2026-05-10');
    const { simulator, calendar, client } = await contoso();
    tuesdays(calendar);
    expect((await client.round(narrow)).items.map(brief)).toEqual([all[0], ...all.slice(2)]);
    simulator.switches.mastersBeforeWindow = 'not';
    expect((await client.round(narrow)).items.map(brief)).toEqual(all.slice(2));
  });

  it('decides whether events outside the window are mentioned when touched', async () => {
    const { simulator, calendar, client } = await contoso();
    const far = calendar.createEvent({ subject: 'Far', start: '2030-01-01T10:00' });
    const { deltaLink } = await client.round(delta);
    calendar.updateEvent(far, { subject: 'Farther' });
    const second = await client.round(deltaLink);
    expect(second.items.map(brief)).toEqual(['removed']);
    simulator.switches.outsideTouched = 'known-only';
    calendar.updateEvent(far, { subject: 'Farthest' });
    expect((await client.round(second.deltaLink)).items).toEqual([]);
  });

  it('decides what an exception inherits visibly', async () => {
    const { simulator, calendar, client } = await contoso();
    calendar.updateOccurrence(tuesdays(calendar), '2026-05-12', { start: '2026-05-12T15:00' });
    const exception = async () => (await client.round(delta)).items.find(({ type }) => type === 'exception');
    expect(await exception()).toMatchObject({ subject: 'Review', originalStart: '2026-05-12T07:00:00Z' });
    simulator.switches.exceptionFields = 'blank-inherited';
    simulator.switches.exceptionOriginalStart = 'null';
    expect(await exception()).toMatchObject({
      subject: '',
      originalStart: null,
      occurrenceId: expect.stringMatching(/\.2026-05-12$/),
    });
  });

  it('decides the form of occurrence ids and of seriesMasterId', async () => {
    const { simulator, calendar, client } = await contoso();
    const series = tuesdays(calendar);
    const ids = async () => {
      const [master, first] = (await client.round(delta)).items;
      return [master?.id, first?.id, first?.seriesMasterId];
    };
    expect(await ids()).toEqual([series.key, calendar.occurrenceId(series, '2026-05-05'), series.key]);
    const ordinary = calendar.occurrenceId(series, '2026-05-05', 'ordinary');
    simulator.switches.immutableOccurrenceIds = 'no';
    expect(await ids()).toEqual([series.key, ordinary, series.key]);
    simulator.switches.immutableOccurrenceIds = 'nor-seriesMasterId';
    expect(await ids()).toEqual([series.key, ordinary, series.id]);
  });
});
