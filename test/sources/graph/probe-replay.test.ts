import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { expandSeries } from '../../../src/calendar/expand.ts';
import { graphSource } from '../../../src/sources/graph/graph-source.ts';
import { recordExchanges } from '../../../src/sources/graph/probe/exchange.ts';
import { gather } from '../../../src/sources/graph/probe/gather.ts';
import { settle } from '../../../src/sources/graph/probe/question.ts';
import { questions } from '../../../src/sources/graph/probe/questions.ts';
import { saveProbe } from '../../../src/sources/graph/probe/saved.ts';
import { seenIn } from '../../../src/sources/graph/probe/seen.ts';
import type { Claim } from '../../../src/sources/source.ts';
import { replay } from '../../support/graph/replay.ts';
import { startGraphSimulator, type GraphSimulator } from '../../support/graph/simulator.ts';
import { fillTelling, tellingWindow as window } from '../../support/graph/telling-calendar.ts';
import { clientOf, contoso, me, patient } from './mirror.ts';

const golden = join(import.meta.dirname, '../../fixtures/graph-probe');
const at = '2026-04-01T12:00:00.000Z';
let simulator: GraphSimulator;
let folder: string;

beforeAll(async () => {
  folder = process.env['UPDATE_GOLDEN'] === '1' ? golden : mkdtempSync(join(tmpdir(), 'calendar-sync-replay-'));
  simulator = await startGraphSimulator({ tenants: [contoso], now: () => new Date(at) });
  const tenant = simulator.tenant(contoso.directory);
  const mailbox = tenant.addMailbox({ upn: me, name: 'Me', zone: 'W. Europe Standard Time' });
  fillTelling(mailbox, tenant.addMailbox({ upn: 'ann@contoso.example', name: 'Ann' }));
  const recorder = recordExchanges(simulator.fetch, 'https://graph.microsoft.com', () => Date.now());
  const client = clientOf(simulator, { fetch: recorder.fetch });
  const places = [{ mailbox: me, calendar: 'default' }];
  await gather({
    recorder,
    client: () => Promise.resolve(client),
    places,
    window,
    signal: patient,
    onStep: () => undefined,
    wait: () => Promise.resolve(),
    now: () => Date.now(),
  });
  const { exchanges } = recorder;
  const settled = settle(questions, seenIn(exchanges, { window, skewMs: 0 }));
  const key = Buffer.from('the same each time');
  saveProbe(folder, {
    program: '0.1.0',
    cloud: 'global',
    at,
    window,
    skewMs: 0,
    tried: {},
    places,
    settled,
    exchanges,
    key,
  });
});
afterAll(async () => {
  await simulator.close();
  if (folder !== golden) rmSync(folder, { recursive: true, force: true });
});

/** What a reading makes of it: each happening, whatever it is called. */
async function shownBy(source: ReturnType<typeof graphSource>): Promise<{ times: string[]; modes: string[] }> {
  const claims = new Map<string, Claim>();
  const stale = new Set<string>();
  let [cursor, isLast]: [string | null, boolean] = [null, false];
  while (!isLast) {
    const page = await source.readPage(cursor, window, patient);
    for (const claim of page.claims) claims.set(claim.key, claim);
    for (const { key } of page.stale) stale.add(key);
    ({ cursor, isLast } = page);
  }
  for (const key of stale) {
    const result = await source.rebuild(key, window, patient);
    if (result.kind === 'series') for (const claim of result.claims) claims.set(claim.key, claim);
  }
  const times = [...claims.values()]
    .flatMap(({ series }) => expandSeries(series, window))
    .map(({ start, end, isAllDay, entry }) => `${start} ${end} ${isAllDay} ${entry.showAs} ${entry.status}`)
    .sort();
  return { times, modes: [...claims.values()].flatMap(({ check }) => check?.mode ?? []).sort() };
}

describe('a saved probe', () => {
  it('is read again as the calendar was that it came from', async () => {
    const { probe, client } = replay(folder);
    const [place] = probe.places;
    const saved = await shownBy(
      graphSource({ client, mailbox: place?.mailbox ?? '', calendar: place?.calendar ?? '' }),
    );
    const truth = await shownBy(graphSource({ client: clientOf(simulator), mailbox: me, calendar: 'default' }));
    expect(truth.times.length).toBeGreaterThan(40);
    expect(saved).toEqual(truth);
  });

  it('gives the answers that were found', () => {
    const { probe, exchanges } = replay(folder);
    const { skewMs, tried } = probe;
    const settled = settle(questions, seenIn(exchanges, { window: probe.window, skewMs, tried }));
    const found = settled.map(({ question, state, answer, evidence }) => ({ question, state, answer, evidence }));
    expect(found).toEqual(probe.answers);
  });

  it('is written as the one that is kept for comparison (UPDATE_GOLDEN=1 rewrites that)', () => {
    for (const name of ['probe.json', 'exchanges.json'])
      expect(JSON.parse(readFileSync(join(folder, name), 'utf8'))).toEqual(
        JSON.parse(readFileSync(join(golden, name), 'utf8')),
      );
  });

  it('can be read by its owner only', () => {
    if (folder === golden) return;
    expect(statSync(join(folder, 'exchanges.json')).mode & 0o777).toBe(0o600);
  });
});
