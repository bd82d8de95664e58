import { afterAll, describe, expect, it } from '@jest/globals';

import { recordExchanges, type Recorder } from '../../../src/sources/graph/probe/exchange.ts';
import { gather, type Gathered } from '../../../src/sources/graph/probe/gather.ts';
import { settle, type Settled } from '../../../src/sources/graph/probe/question.ts';
import { questions } from '../../../src/sources/graph/probe/questions.ts';
import { scrubber } from '../../../src/sources/graph/probe/scrub.ts';
import { seenIn } from '../../../src/sources/graph/probe/seen.ts';
import { inDialect, plainDialect, type Dialect } from '../../support/graph/dialect.ts';
import { startGraphSimulator, type GraphSimulator } from '../../support/graph/simulator.ts';
import type { Switches } from '../../support/graph/switches.ts';
import { fillTelling, tellingWindow as window } from '../../support/graph/telling-calendar.ts';
import { clientOf, contoso, me, patient } from './mirror.ts';

const open = new Set<GraphSimulator>();
afterAll(async () => {
  for (const simulator of open) await simulator.close();
});

interface Probed {
  readonly simulator: GraphSimulator;
  readonly recorder: Recorder;
  readonly gathered: Gathered;
  readonly settled: Settled[];
  readonly steps: string[];
  readonly answer: (question: string) => string | null;
}

async function probed(
  switches: Partial<Switches> = {},
  options: {
    dialect?: Partial<Dialect>;
    isEmpty?: boolean;
    roles?: string[];
    fail?: (simulator: GraphSimulator) => void;
  } = {},
): Promise<Probed> {
  const { dialect = {}, isEmpty = false, roles = [], fail = () => undefined } = options;
  const simulator = await startGraphSimulator({ tenants: [{ ...contoso, roles }], switches });
  open.add(simulator);
  const mailbox = simulator
    .tenant(contoso.directory)
    .addMailbox({ upn: me, name: 'Me', zone: 'W. Europe Standard Time' });
  const other = simulator.tenant(contoso.directory).addMailbox({ upn: 'ann@contoso.example', name: 'Ann' });
  if (!isEmpty) fillTelling(mailbox, other);
  const between =
    Object.keys(dialect).length === 0 ? simulator.fetch : inDialect(simulator.fetch, { ...plainDialect, ...dialect });
  const recorder = recordExchanges(between, 'https://graph.microsoft.com', () => Date.now());
  fail(simulator);
  const client = clientOf(simulator, { fetch: recorder.fetch });
  const steps: string[] = [];
  const gathered = await gather({
    recorder,
    client: () => Promise.resolve(client),
    places: [{ mailbox: me, calendar: 'default' }],
    window,
    signal: patient,
    onStep: (step) => steps.push(step),
    wait: () => Promise.resolve(),
    now: () => Date.now(),
  });
  const settled = settle(questions, seenIn(recorder.exchanges, { window, skewMs: recorder.skewMs() }));
  const answer = (name: string): string | null => settled.find(({ question }) => question === name)?.answer ?? null;
  return { simulator, recorder, gathered, settled, steps, answer };
}

/** Each world is one Graph; its switches do not touch each other's questions. */
const worlds: [string, Partial<Switches>, Partial<Dialect>, Record<string, string>][] = [
  [
    'answers as most report',
    {},
    {},
    {
      mastersBeforeWindow: 'sent',
      occurrencesInDelta: 'stub',
      iCalUId: 'per-series',
      immutableIds: 'yes',
      immutableOccurrenceIds: 'yes',
      seriesMasterId: 'same',
      occurrenceId: 'known',
      occurrenceIdSeen: 'present',
      seriesParts: 'known',
      cancelledOccurrences: 'known',
      exceptionPages: 'in-pages',
      exceptionOriginalStart: 'present',
      exceptionFields: 'full',
      versions: 'one',
      orphans: 'singleInstance',
      recurrenceTimeZone: 'unknown-name',
      zoneNames: 'odd',
      calendarDelta: 'works',
      pageSize: '100',
      pageSizeHonoured: 'honoured',
      timeZone: 'honoured',
      bodyType: 'honoured',
      allDayTimes: 'midnight',
      sequence: 'known',
      fields: 'known',
      instanceFields: 'known',
      deltaSelect: 'refused',
      sameLink: 'works',
      lostState: '410 SyncStateNotFound',
      removalsAtFirst: 'no',
      organizerListed: 'listed',
      privateItems: 'readable',
      calendarByItself: 'answers',
      copies: 'some',
      userIds: 'refused',
      mailboxZones: 'refused',
      clock: 'agree',
    },
  ],
  [
    'answers as others report',
    {
      mastersBeforeWindow: 'not',
      iCalUId: 'per-occurrence',
      immutableOccurrenceIds: 'no',
      exceptionOriginalStart: 'null',
      exceptionFields: 'blank-inherited',
      recurrenceTimeZone: 'empty',
      exceptionPageSize: 50,
      allDayTimes: 'converted',
      orphans: 'exception',
      keptGenerations: 1,
      syncStateError: { status: 400, code: 'resyncRequired', location: true },
    },
    {},
    {
      mastersBeforeWindow: 'not',
      iCalUId: 'per-occurrence',
      immutableIds: 'yes',
      immutableOccurrenceIds: 'no',
      seriesMasterId: 'same',
      exceptionOriginalStart: 'null',
      exceptionFields: 'blank-inherited',
      recurrenceTimeZone: 'empty',
      exceptionPages: 'all',
      allDayTimes: 'converted',
      orphans: 'exception',
      sameLink: 'lost',
      lostState: '400 resyncRequired',
    },
  ],
  [
    'is old',
    {
      immutableOccurrenceIds: 'nor-seriesMasterId',
      cancelledOccurrences: 'unknown',
      syncStateError: { status: 404, code: 'syncStateInvalid', location: false },
    },
    {},
    {
      immutableOccurrenceIds: 'no',
      seriesMasterId: 'other',
      occurrenceId: 'refused',
      seriesParts: 'refused',
      cancelledOccurrences: 'unknown',
      sequence: 'known',
      fields: 'known',
      lostState: '404 syncStateInvalid',
    },
  ],
  [
    'refuses extras',
    {},
    {
      unknownNames: ['singleValueExtendedProperties', 'occurrenceId', 'originalStart'],
      calendarsOnlyListed: true,
      versions: 'none',
    },
    {
      occurrenceId: 'refused',
      seriesParts: 'known',
      sequence: 'refused',
      instanceFields: 'refused',
      calendarByItself: 'listed-only',
      versions: 'none',
    },
  ],
  [
    'passes over what it does not know',
    {},
    {
      ignoresIdType: true,
      zone: 'Pacific Standard Time',
      unknownNames: ['cancelledOccurrences', 'occurrenceId'],
      unknownAre: 'ignored',
    },
    { immutableIds: 'no', immutableOccurrenceIds: 'no', timeZone: 'ignored', cancelledOccurrences: 'unknown' },
  ],
];

describe('a probe', () => {
  const runs = new Map<string, Promise<Probed>>();
  const run = (switches: Partial<Switches>, dialect: Partial<Dialect>): Promise<Probed> => {
    const key = JSON.stringify([switches, dialect]);
    const running = runs.get(key) ?? probed(switches, { dialect });
    runs.set(key, running);
    return running;
  };

  it.each(worlds)('finds out how Graph answers that %s', async (_, switches, dialect, expected) => {
    const { settled } = await run(switches, dialect);
    const found = Object.fromEntries(settled.map(({ question, answer }) => [question, answer]));
    expect(found).toMatchObject(expected);
  });

  it('asks nothing whose answers no test tells', () => {
    const tested = new Set(worlds.flatMap(([, , , expected]) => Object.keys(expected)));
    const subscriptions = ['subscriptionMinutes', 'calendarSubscriptions'];
    expect(questions.map(({ name }) => name).filter((name) => !tested.has(name))).toEqual(subscriptions);
  });

  it('answers from what it saves as it did from what it saw', async () => {
    for (const running of runs.values()) {
      const { recorder, settled } = await running;
      const { exchange } = scrubber(Buffer.from('a key'));
      const again = settle(questions, seenIn(recorder.exchanges.map(exchange), { window, skewMs: recorder.skewMs() }));
      expect(again).toEqual(settled);
    }
  });

  it('only reads', async () => {
    for (const running of runs.values())
      for (const { method, url } of (await running).simulator.requests)
        expect(url.includes('/oauth2/') ? 'GET' : method).toBe('GET');
  });

  it('says of an empty calendar what to make in it', async () => {
    const { settled } = await probed({}, { isEmpty: true });
    const unsettled = settled.filter(({ state }) => state === 'open').map(({ question }) => question);
    expect(unsettled).toEqual(expect.arrayContaining(['mastersBeforeWindow', 'exceptionOriginalStart', 'allDayTimes']));
    expect(unsettled).not.toContain('calendarDelta');
    expect(settled.find(({ question }) => question === 'mastersBeforeWindow')?.means).toContain('Make a weekly series');
  });

  it('finds permissions that are extra', async () => {
    const { answer } = await probed({}, { roles: ['User.Read.All', 'MailboxSettings.Read'] });
    expect([answer('userIds'), answer('mailboxZones')]).toEqual(['granted', 'granted']);
  });

  it('waits where Graph asks for it, and asks for smaller pages where they are too much', async () => {
    const { steps, answer } = await probed(
      {},
      {
        fail: (simulator) => {
          simulator.fail({ match: 'calendarView/delta?startDateTime', times: 1, how: { status: 503 } });
          simulator.fail({ match: '/instances', times: 1, how: { status: 429, retryAfter: '2' } });
        },
      },
    );
    expect(steps.filter((step) => step.includes('patience'))).toHaveLength(2);
    expect(answer('pageSize')).toBe('50');
  });

  it.each([
    ['429', { status: 429, retryAfter: '1' }, 'graph.throttled'],
    ['500', { status: 500 }, 'graph.server_error'],
    ['403', { status: 403 }, 'graph.access_denied'],
    ['404 of the mailbox', { status: 404, code: 'MailboxNotEnabledForRESTAPI' }, 'graph.mailbox_unavailable'],
  ])('gives up where Graph goes on answering %s', async (_, how, code) => {
    const failing = probed({}, { fail: (simulator) => void simulator.fail({ match: '/calendarView', how }) });
    await expect(failing).rejects.toMatchObject({ code });
  });
});
