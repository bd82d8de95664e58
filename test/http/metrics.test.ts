import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { at, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';

const apiKey = 'key of the operator';
let world: OneCalendar;
let url: string;

beforeAll(async () => {
  world = await oneCalendar({ env: { API_KEY: apiKey } });
  world.calendar.createEvent({ subject: 'Words of a person', start: at(1) });
  await world.stage.sync();
  ({ url } = await world.stage.product.startWeb());
}, 60_000);
afterAll(() => world.close());

const ask = (headers: Record<string, string>): Promise<Response> => fetch(`${url}/metrics`, { headers });

/** Samples by name and labels. */
async function samples(): Promise<Map<string, number>> {
  const text = await (await ask({ 'x-api-key': apiKey })).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

describe('GET /metrics', () => {
  it.each([
    ['no key', {}],
    ['another key', { 'x-api-key': 'guess' }],
    ['another bearer', { authorization: 'Bearer guess' }],
  ])('is closed for %s', async (_, headers) => {
    const answer = await ask(headers);
    expect(answer.status).toBe(401);
    expect(await answer.text()).not.toContain('calendar_sync_');
  });

  it('answers Prometheus, which sends the key as a bearer, in its own text format', async () => {
    const answer = await ask({ authorization: `Bearer ${apiKey}` });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await answer.text();
    // Each line is a comment or a sample, each family is described once, before its samples.
    for (const line of text.trimEnd().split('\n'))
      expect(line).toMatch(
        /^(?:# (?:HELP|TYPE) calendar_sync_\w+ \S.*|calendar_sync_\w+(?:\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? -?[\d.e+-]+)$/,
      );
    const types = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
    expect(new Set(types).size).toBe(types.length);
    expect(text).not.toContain('Words of a person');
  });

  it('tells of sources, targets, alarms and memory', async () => {
    const told = await samples();
    expect(told.get('calendar_sync_source_state{source="contoso-me",kind="graph",state="fresh"}')).toBe(1);
    expect(told.get('calendar_sync_source_series{source="contoso-me",state="shown"}')).toBe(1);
    expect(told.get('calendar_sync_target_objects{target="me"}')).toBe(1);
    expect(told.get('calendar_sync_target_due{target="me"}')).toBe(0);
    expect(told.get('calendar_sync_alarms{kind="none",subject=""}')).toBe(0);
    expect(told.get('calendar_sync_resident_memory_bytes')).toBeGreaterThan(1e7);
    const fresh = told.get('calendar_sync_source_fresh_timestamp_seconds{source="contoso-me"}') ?? 0;
    expect(Math.abs(Date.now() / 1_000 - fresh)).toBeLessThan(120);
  });

  it('counts failures in a row, and what notifications were not heeded', async () => {
    const fault = world.stage.simulator.fail({ match: 'delta', how: { status: 503 } });
    await world.stage.passTime();
    await world.stage.product.worker.run('ingest', 'contoso-me');
    fault.clear();
    const told = await samples();
    expect(told.get('calendar_sync_source_failures{source="contoso-me"}')).toBe(1);
    expect(told.get('calendar_sync_notifications_ignored_total{why="unknown"}')).toBe(0);
  });
});
