import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { SyncError } from '../../../src/shared/errors.ts';
import { graphSource } from '../../../src/sources/graph/graph-source.ts';
import type { OutlookCalendar } from '../../support/graph/outlook.ts';
import { startGraphSimulator, type GraphSimulator } from '../../support/graph/simulator.ts';
import type { Switches } from '../../support/graph/switches.ts';
import { clientOf, contoso, me, type Mirror, mirrorOf, patient, truth, window } from './mirror.ts';
import { endless, someOfEverything, weekly } from './some-of-everything.ts';

let simulator: GraphSimulator;
let calendar: OutlookCalendar;

beforeEach(async () => {
  simulator = await startGraphSimulator({ tenants: [contoso], pageSize: 10 });
  calendar = simulator
    .tenant(contoso.directory)
    .addMailbox({ upn: me, name: 'Me', zone: 'W. Europe Standard Time' })
    .calendar();
});
afterEach(() => simulator.close());

const fill = () => someOfEverything(calendar);

describe('reading a calendar for the first time', () => {
  it('shows what Outlook shows, series by their rules', async () => {
    fill();
    const mirror = await mirrorOf(simulator).round();

    expect(mirror.shown()).toEqual(truth(calendar));
    expect(mirror.modes()).toEqual(['rule', 'rule', 'rule', 'rule']);
    expect(mirror.claims.size).toBe(6);
  });

  it('sends the wishes that belong to every page, none to a page alone', async () => {
    fill();
    await mirrorOf(simulator).round();

    const graph = simulator.requests.filter(({ url }) => url.startsWith('https://graph.'));
    expect(graph.length).toBeGreaterThan(5);
    for (const { headers } of graph) {
      expect(headers['prefer']).toContain('IdType="ImmutableId"');
      expect(headers['prefer']).toContain('outlook.timezone="UTC"');
      expect(headers['prefer']).toContain('outlook.body-content-type="html"');
      expect(headers['user-agent']).toBe('calendar-sync/0.1.0');
    }
  });

  it('costs one token and, once read, one request per poll', async () => {
    fill();
    const mirror = await mirrorOf(simulator).round();
    const before = simulator.requests.length;
    await mirror.round();

    expect(simulator.requests.length - before).toBe(1);
    expect(simulator.requests.filter(({ url }) => url.includes('/oauth2/'))).toHaveLength(1);
  });
});

describe('changes in Outlook', () => {
  const switchings: [string, Partial<Switches>][] = [
    ['as reported most', {}],
    ['masters before the window unsent', { mastersBeforeWindow: 'not', afterOccurrenceChange: 'whole-series' }],
    ['iCalUIds per occurrence', { iCalUId: 'per-occurrence', afterMasterChange: 'master-only' }],
    ['occurrence ids that are not immutable', { immutableOccurrenceIds: 'no' }],
    ['cancellations not told', { cancelledOccurrences: 'unknown' }],
    ['exceptions without original start', { exceptionOriginalStart: 'null', exceptionFields: 'blank-inherited' }],
    ['neither original starts nor cancellations', { exceptionOriginalStart: 'null', cancelledOccurrences: 'unknown' }],
    ['no recurrence zone, instants for all-day', { recurrenceTimeZone: 'empty', allDayTimes: 'converted' }],
    ['one exception per page', { exceptionPageSize: 1, seriesDeleted: 'master', removedReason: 'changed' }],
    [
      'disorder, repetitions and empty pages',
      { disorder: { seed: 7, shuffle: true, duplicates: 0.3, replays: 0.2, emptyPages: 0.4, strangeRemovals: true } },
    ],
  ];

  it.each(switchings)('are followed: %s', async (_, switches) => {
    Object.assign(simulator.switches, switches);
    const { standup, monthly, lunch, holiday, gym } = fill();
    const mirror = await mirrorOf(simulator).round();
    expect(mirror.shown()).toEqual(truth(calendar));

    calendar.updateEvent(lunch, { subject: 'Long lunch' });
    calendar.cancelOccurrence(standup, '2026-05-19');
    calendar.updateOccurrence(monthly, '2026-04-30', { start: '2026-04-29T16:00' });
    calendar.createEvent({ subject: 'New', start: '2026-08-01', end: '2026-08-03' });
    await mirror.round();
    expect(mirror.shown()).toEqual(truth(calendar));

    calendar.reschedule(standup, { start: '10:00', end: '10:30' });
    calendar.deleteSeries(holiday);
    calendar.delete(lunch);
    calendar.cancelOccurrence(gym, '2026-03-10');
    await mirror.round();
    expect(mirror.shown()).toEqual(truth(calendar));
    expect(mirror.modes().every((mode) => mode === 'rule')).toBe(true);
  });
});

/** Tuesdays at nine in Berlin, read already. */
async function aReadSeries(): Promise<{ series: { key: string }; mirror: Mirror }> {
  const range = { type: 'endDate', startDate: '2026-02-03', endDate: '2026-04-28' } as const;
  const series = calendar.createSeries({ subject: 'Stand-up', pattern: weekly, range, start: '09:00' });
  return { series, mirror: await mirrorOf(simulator).round() };
}

async function failure(task: Promise<unknown>): Promise<SyncError> {
  return task.then(
    () => Promise.reject(new Error('It did not fail.')),
    (thrown: unknown) => thrown as SyncError,
  );
}

describe('a series', () => {
  it('that is deleted goes, also when only its occurrences are told', async () => {
    for (const seriesDeleted of ['master', 'occurrences', 'both'] as const) {
      simulator.switches.seriesDeleted = seriesDeleted;
      const { series, mirror } = await aReadSeries();
      calendar.deleteSeries(series);
      await mirror.round();
      expect(mirror.shown()).toEqual([]);
    }
  });

  it('that is deleted goes, whatever form of id its occurrences name it by', async () => {
    const forms = { immutableOccurrenceIds: 'nor-seriesMasterId', mastersBeforeWindow: 'not' } as const;
    Object.assign(simulator.switches, { ...forms, seriesDeleted: 'occurrences' });
    const series = calendar.createSeries({
      subject: 'Old',
      pattern: weekly,
      range: endless('2025-06-03'),
      start: '09:00',
    });
    const mirror = await mirrorOf(simulator).round();
    expect(mirror.only().key).toBe(series.key);
    calendar.deleteSeries(series);
    await mirror.round();
    expect(mirror.shown()).toEqual([]);
  });

  it('has all its exceptions, however many pages they fill', async () => {
    simulator.switches.exceptionPageSize = 1;
    const { series, mirror } = await aReadSeries();
    for (const date of ['2026-02-10', '2026-02-17', '2026-02-24'])
      calendar.updateOccurrence(series, date, { subject: date });
    await mirror.round();
    expect(mirror.shown()).toEqual(truth(calendar));
    expect(mirror.only().series.overrides).toHaveLength(3);
  });

  it('that changes between the readings of its parts is read again', async () => {
    const { series, mirror } = await aReadSeries();
    calendar.updateEvent(series, { subject: 'Before' });
    const from = simulator.requests.length;
    simulator.latencyMs = 30;
    const round = mirror.round();
    await simulator.waitForRequest('/instances', from);
    calendar.cancelOccurrence(series, '2026-03-10');
    await round;

    expect(mirror.shown()).toEqual(truth(calendar));
    expect(mirror.modes()).toEqual(['rule']);
    expect(simulator.requests.slice(from).filter(({ url }) => url.includes('/instances'))).toHaveLength(2);
  });

  it('that never stands still is left for later', async () => {
    const { series, mirror } = await aReadSeries();
    simulator.switches.exceptionPageSize = 10;
    const touch = (): void => calendar.updateEvent(series, { subject: `At ${simulator.requests.length}` });
    const fetchAndTouch: typeof fetch = async (...request) => {
      const answer = await simulator.fetch(...request);
      if (/\/events\/[^/]+$/.test(new URL(simulator.requests.at(-1)?.url ?? '').pathname)) touch();
      return answer;
    };
    const restless = graphSource({
      client: clientOf(simulator, { fetch: fetchAndTouch }),
      mailbox: me,
      calendar: 'default',
    });
    expect(await failure(restless.rebuild(mirror.only().key, window, patient))).toMatchObject({
      code: 'graph.series_changing',
      recovery: { kind: 'retry' },
    });
  });

  it('with a lost zone takes the zone of its mailbox if that fits', async () => {
    simulator.tenant(contoso.directory).configure({ roles: ['MailboxSettings.Read'] });
    const lost = { zone: 'tzone://Microsoft/Custom', actualZone: 'Europe/Berlin' };
    calendar.createSeries({ subject: 'Lost', pattern: weekly, range: endless('2026-01-06'), start: '09:00', ...lost });
    const mirror = await mirrorOf(simulator).round();

    expect(mirror.shown()).toEqual(truth(calendar));
    expect(mirror.only().check).toEqual({ mode: 'zone', detail: 'counted in Europe/Berlin, which fits' });
  });

  it('with a lost zone that nothing explains is shown date by date', async () => {
    const lost = { zone: 'tzone://Microsoft/Custom', actualZone: 'America/New_York' };
    const series = calendar.createSeries({
      subject: 'Lost',
      pattern: weekly,
      range: endless('2026-01-06'),
      start: '09:00',
      ...lost,
    });
    calendar.updateOccurrence(series, '2026-03-10', { subject: 'Lost and found' });
    const mirror = await mirrorOf(simulator).round();

    expect(mirror.shown()).toEqual(truth(calendar));
    expect(mirror.only()).toMatchObject({ check: { mode: 'list' }, series: { recurrence: null } });
    expect(mirror.only().version).toContain(`@${window.from}`);
  });

  it('asks for less detail where a cloud does not know all, and remembers that', async () => {
    simulator.switches.cancelledOccurrences = 'unknown';
    const { series, mirror } = await aReadSeries();
    calendar.cancelOccurrence(series, '2026-03-10');
    await mirror.round();

    expect(mirror.shown()).toEqual(truth(calendar));
    const refused = simulator.requests.filter(({ status }) => status === 400);
    expect(refused).toHaveLength(2);
  });
});

describe('a meeting', () => {
  it('tells the owner’s own answer, also to a reader that has just been started', async () => {
    const { cursor } = await mirrorOf(simulator).round();
    const ann = simulator.tenant(contoso.directory).addMailbox({ upn: 'ann@contoso.example', name: 'Ann' });
    const meeting = ann.calendar().createEvent({ subject: 'Review', start: '2026-03-10T09:00' });
    ann.calendar().inviteTo(meeting, simulator.mailbox(me).state);
    simulator.mailbox(me).accept(simulator.mailbox(me).copyOf(meeting));
    const restarted = mirrorOf(simulator);
    restarted.cursor = cursor;

    const { attendees, answer } = (await restarted.round()).only().series.main;
    expect(answer).toBe('accepted');
    expect(attendees.map(({ address, role, participation }) => [address, role, participation])).toEqual([
      ['ann@contoso.example', 'chair', 'accepted'],
      [me, 'required', 'accepted'],
    ]);
  });
});

describe('one date of somebody else’s series', () => {
  it.each(['singleInstance', 'exception'] as const)(
    'is shown by itself, as part of that meeting: %s',
    async (orphans) => {
      simulator.switches.orphans = orphans;
      const other = simulator
        .tenant(contoso.directory)
        .addMailbox({ upn: 'ann@contoso.example', zone: 'W. Europe Standard Time' });
      const range = { type: 'endDate', startDate: '2026-02-03', endDate: '2026-04-28' } as const;
      const series = other.calendar().createSeries({ subject: 'Review', pattern: weekly, range, start: '09:00' });
      other.calendar().inviteTo(series, simulator.mailbox(me).state, { date: '2026-03-10' });
      const mirror = await mirrorOf(simulator).round();

      expect(mirror.shown()).toEqual(truth(calendar));
      expect(mirror.only().series).toMatchObject({
        uid: expect.stringMatching(/^04.{30}0{8}/) as unknown,
        slot: '2026-03-10T08:00:00Z',
        recurrence: null,
      });

      other.calendar().updateOccurrence(series, '2026-03-10', { subject: 'Review, at last' });
      await mirror.round();
      expect(mirror.shown()).toEqual(truth(calendar));
    },
  );
});

describe('an event that left the view', () => {
  it('is updated while it exists and gone when the calendar says so', async () => {
    const event = calendar.createEvent({ subject: 'Offsite', start: '2026-06-01T09:00' });
    const mirror = await mirrorOf(simulator).round();
    calendar.updateEvent(event, { start: '2030-06-01T09:00' });
    await mirror.round();
    expect(mirror.only().series.main.start).toMatchObject({ local: '2030-06-01T09:00:00' });

    calendar.delete(event);
    expect(await mirror.rebuild(mirror.only().key)).toMatchObject({ kind: 'gone' });
  });

  it.each([
    [{ status: 404, code: 'MailboxNotEnabledForRESTAPI' }, 'graph.mailbox_unavailable'],
    [{ status: 404, code: 'ResourceNotFound' }, 'graph.user_not_found'],
    [{ status: 404, code: 'SomethingElse' }, 'graph.not_found_unexplained'],
    [{ status: 500, code: 'x' }, 'graph.server_error'],
  ])('is not gone because of %j', async (how, code) => {
    const { mirror } = await aReadSeries();
    simulator.fail({ match: '/events/', how });
    expect(await failure(mirror.rebuild(mirror.only().key))).toMatchObject({ code });
  });

  it('is not gone because its whole calendar is', async () => {
    const work = simulator.mailbox(me).addCalendar('Work');
    work.createEvent({ subject: 'Report', start: '2026-06-01T09:00' });
    const mirror = await mirrorOf(simulator, 'Work').round();
    const { key } = mirror.only();
    simulator.world.state.calendars = simulator.world.state.calendars.filter(({ id }) => id !== work.id);

    expect(await failure(mirror.rebuild(key))).toMatchObject({
      code: 'graph.calendar_not_found',
      recovery: { kind: 'operator' },
    });
  });

  it.each([
    { status: 403, code: 'ErrorAccessDenied' },
    { status: 400, code: 'ErrorInvalidRequest' },
  ])('is not gone because Graph refuses it, nor does it stop the others: %j', async (how) => {
    const { mirror } = await aReadSeries();
    simulator.fail({ match: '/events/', how });
    const { key } = mirror.only();
    expect(await mirror.rebuild(key)).toMatchObject({ kind: 'unmappable', code: 'graph.event_refused' });
    expect(mirror.only().key).toBe(key);
  });

  it('stops all when Graph refuses the calendar too', async () => {
    const { mirror } = await aReadSeries();
    simulator.tenant(contoso.directory).configure({ consent: false });
    expect(await failure(mirror.rebuild(mirror.only().key))).toMatchObject({
      code: 'graph.access_denied',
      recovery: { kind: 'operator' },
    });
  });
});

describe('a cursor', () => {
  it.each([
    { status: 410, code: 'SyncStateNotFound', location: true },
    { status: 400, code: 'syncStateInvalid', location: false },
    { status: 404, code: 'resyncRequired', location: false },
  ] as const)('that Graph has forgotten calls for a full reading: %j', async (syncStateError) => {
    const { mirror } = await aReadSeries();
    simulator.switches.syncStateError = syncStateError;
    simulator.forgetDeltaTokens();
    expect(await failure(mirror.round())).toMatchObject({
      code: 'graph.sync_state_lost',
      recovery: { kind: 'reread' },
    });
    expect(mirror.shown()).toEqual(truth(calendar));
  });

  it('freezes its window: later pages name no dates', async () => {
    fill();
    const mirror = await mirrorOf(simulator).round();
    await mirror.round();
    const delta = simulator.requests.filter(({ url }) => url.includes('/calendarView/delta'));
    expect(delta.filter(({ url }) => url.includes('startDateTime')).map(({ url }) => new URL(url).search)).toEqual([
      '?startDateTime=2026-01-01T00%3A00%3A00Z&endDateTime=2027-01-01T00%3A00%3A00Z',
    ]);
  });

  it('of a calendar that came back under another id calls for a full reading', async () => {
    const work = simulator.mailbox(me).addCalendar('Work');
    const mirror = await mirrorOf(simulator, 'Work').round();
    simulator.world.state.calendars = simulator.world.state.calendars.filter(({ id }) => id !== work.id);
    expect(await failure(mirror.round())).toMatchObject({
      code: 'graph.calendar_not_found',
      recovery: { kind: 'operator' },
    });
    simulator.mailbox(me).addCalendar('Work');
    expect(await failure(mirror.round())).toMatchObject({ code: 'graph.link_dead', recovery: { kind: 'reread' } });
  });

  it('refused in the words for a missing user calls for a full reading while the user is there', async () => {
    fill();
    const mirror = await mirrorOf(simulator).round();
    const how = { status: 404, code: 'Request_ResourceNotFound' };
    const gone = simulator.fail({ match: '$deltatoken', how });
    expect(await failure(mirror.round())).toMatchObject({ code: 'graph.link_dead', recovery: { kind: 'reread' } });
    gone.clear();

    simulator.fail({ match: `/users/${me}`, how });
    expect(await failure(mirror.round())).toMatchObject({
      code: 'graph.user_not_found',
      recovery: { kind: 'operator' },
    });
  });

  it('that leads elsewhere is refused before it is kept', async () => {
    const { mirror } = await aReadSeries();
    const misled: typeof fetch = async (...request) => {
      const answer = await simulator.fetch(...request);
      const text = (await answer.text()).replace(
        /("@odata\.(?:next|delta)Link":"https:\/\/)[^/]+/,
        '$1graph.evil.example',
      );
      return new Response(text, { status: answer.status, headers: answer.headers });
    };
    const source = graphSource({ client: clientOf(simulator, { fetch: misled }), mailbox: me, calendar: 'default' });
    expect(await failure(source.readPage(mirror.cursor, window, patient))).toMatchObject({
      code: 'graph.foreign_link',
    });
  });
});

describe('choosing the calendar', () => {
  const probe = (wanted: string) =>
    graphSource({ client: clientOf(simulator), mailbox: me, calendar: wanted }).probeCalendar(patient);

  it('takes default, a name in any case or an id', async () => {
    const work = simulator.mailbox(me).addCalendar('Work', { hexColor: '#a4262c' });
    expect(await probe('default')).toMatchObject({
      name: 'Calendar',
      isDefault: true,
      isOwn: true,
      owner: me,
      color: null,
    });
    expect(await probe('work')).toMatchObject({ id: work.id, name: 'Work', color: '#a4262c' });
    expect(await probe(work.id)).toMatchObject({ name: 'Work' });
  });

  it('prefers the very name, then one’s own calendar', async () => {
    const ann = simulator.tenant(contoso.directory).addMailbox({ upn: 'ann@contoso.example', name: 'Ann' });
    simulator.mailbox(me).openShared(ann.calendar());
    const own = simulator.mailbox(me).addCalendar('Ann');
    const lower = simulator.mailbox(me).addCalendar('team');
    simulator.mailbox(me).addCalendar('Team');
    expect(await probe('team')).toMatchObject({ id: lower.id });
    expect(await probe('Ann')).toMatchObject({ id: own.id });
  });

  it('refuses a name that is missing or means two', async () => {
    simulator.mailbox(me).addCalendar('Team');
    simulator.mailbox(me).addCalendar('Team');
    expect(await failure(probe('Holidays'))).toMatchObject({ code: 'graph.calendar_not_found', field: 'calendar' });
    expect(await failure(probe('Team'))).toMatchObject({ code: 'graph.calendar_ambiguous' });
  });

  it('tells somebody else’s calendar from one’s own', async () => {
    const ann = simulator.tenant(contoso.directory).addMailbox({ upn: 'ann@contoso.example', name: 'Ann' });
    simulator.mailbox(me).openShared(ann.calendar());
    expect(await probe('Ann')).toMatchObject({ isOwn: false, owner: 'ann@contoso.example' });
  });

  it('reads all through the calendar’s own path, somebody else’s too', async () => {
    const ann = simulator.tenant(contoso.directory).addMailbox({ upn: 'ann@contoso.example', name: 'Ann' });
    const range = { type: 'endDate', startDate: '2026-02-03', endDate: '2026-04-28' } as const;
    const series = ann.calendar().createSeries({ subject: 'Review', pattern: weekly, range, start: '09:00' });
    ann.calendar().updateOccurrence(series, '2026-03-10', { subject: 'Review, long' });
    const shared = simulator.mailbox(me).openShared(ann.calendar());
    const mirror = await mirrorOf(simulator, 'Ann').round();

    expect(mirror.shown()).toEqual(truth(ann.calendar()));
    const reads = simulator.requests.filter(({ url }) => /\/events|calendarView/.test(url));
    expect(reads.length).toBeGreaterThan(2);
    for (const { url } of reads) expect(decodeURIComponent(url)).toContain(`/users/${me}/calendars/${shared.id}/`);
  });

  it('says that a mailbox has no calendar', async () => {
    simulator.fail({ match: `/users/${me}/calendar`, how: { status: 404, code: 'ErrorItemNotFound' } });
    const reading = mirrorOf(simulator).round();
    expect(await failure(reading)).toMatchObject({ code: 'graph.calendar_not_found', recovery: { kind: 'operator' } });
  });

  it('says that a guest has no mailbox', async () => {
    simulator.tenant(contoso.directory).addMailbox({ upn: 'guest@contoso.example', kind: 'guest' });
    const guest = graphSource({ client: clientOf(simulator), mailbox: 'guest@contoso.example', calendar: 'default' });
    expect(await failure(guest.probeCalendar(patient))).toMatchObject({ code: 'graph.mailbox_unavailable' });
  });

  it('proves permission, which a token alone does not', async () => {
    simulator.tenant(contoso.directory).configure({ consent: false });
    await clientOf(simulator).signIn();
    expect(await failure(probe('default'))).toMatchObject({
      code: 'graph.access_denied',
      recovery: { kind: 'operator' },
    });
  });
});
