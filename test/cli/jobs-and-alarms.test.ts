import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { at, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { runCli, type CliResult } from '../support/run-cli.ts';

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar();
  world.calendar.createEvent({ subject: 'Meeting', start: at(1) });
  await world.stage.sync();
}, 60_000);
afterEach(() => world.close());

const run = (...args: string[]): Promise<CliResult> => runCli(world.stage, args);
const parsed = ({ out }: CliResult): unknown => JSON.parse(out);

describe('jobs', () => {
  it('list says that nothing has failed, and exits with 0', async () => {
    expect(await run('jobs', 'list')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Nothing has failed\.\n0 under way\./),
    });
  });

  it('list tells of a source that fails and is tried again, and retry makes it due at once', async () => {
    const fault = world.stage.simulator.fail({ match: 'delta', how: { status: 503, retryAfter: '600' } });
    await world.stage.passTime();
    await world.stage.product.worker.run('ingest', 'contoso-me');
    fault.clear();

    const listed = await run('jobs', 'list', '--json');
    // It comes right by itself: nobody is needed.
    expect(listed.code).toBe(0);
    expect(parsed(listed)).toMatchObject({
      failed: [{ id: 'source:contoso-me', state: 'retrying', failures: 1 }],
      running: [],
    });

    expect(await run('jobs', 'retry', 'source:contoso-me')).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 made due'),
    });
    await world.stage.sync();
    expect(parsed(await run('jobs', 'list', '--json'))).toEqual({ failed: [], running: [] });
  });

  it('list exits with 1 when a person is needed, and says for what', async () => {
    await sql`
      update source set paused_code = 'graph.access_denied', paused_reason = 'Graph refused', remedy = 'Grant it.',
        failures = 1`.execute(world.stage.product.store.db);
    const listed = await run('jobs', 'list');
    expect(listed.code).toBe(1);
    expect(listed.out).toContain('graph.access_denied');
    expect(listed.out).toContain('Graph refused Grant it.');
  });

  it('retry refuses a job that does not exist, by name', async () => {
    const refused = await run('jobs', 'retry', 'source:nobody');
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('There is no job source:nobody');
  });

  it('retry without an id takes all that failed', async () => {
    expect(await run('jobs', 'retry')).toMatchObject({ code: 0, out: 'Nothing has failed.\n' });
  });
});

describe('alarms', () => {
  it('list says that there is none, and exits with 0', async () => {
    await world.stage.product.alarms.keep();
    expect(await run('alarms', 'list')).toMatchObject({ code: 0, out: 'No alarm.\n' });
  });

  it('list exits with 1 while a source is out of date, and says since when and what to do', async () => {
    await sql`update source set fresh_at = now() - interval '3 days'`.execute(world.stage.product.store.db);
    await world.stage.product.alarms.keep();
    const listed = await run('alarms', 'list');
    expect(listed.code).toBe(1);
    expect(listed.out).toContain('source.stale');
    expect(listed.out).toContain('calendar-sync jobs');
    expect(parsed(await run('alarms', 'list', '--json'))).toMatchObject({
      alarms: [{ key: 'stale:contoso-me', subject: 'contoso-me' }],
    });
  });

  describe('test', () => {
    let hook: Server;
    let status: number;
    let posted: number;
    beforeEach(async () => {
      status = 204;
      posted = 0;
      hook = createServer((request, response) => {
        posted += 1;
        request.resume().on('end', () => response.writeHead(status).end());
      });
      await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    });
    afterEach(() => new Promise((resolve) => hook.close(resolve)));

    const trial = (): Promise<CliResult> => {
      const ALARM_WEBHOOK_URL = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook`;
      return runCli(world.stage, ['alarms', 'test'], { ALARM_WEBHOOK_URL });
    };

    it('says that no channel is set up, and exits with 1', async () => {
      const told = await run('alarms', 'test');
      expect(told.code).toBe(1);
      expect(told.out).toContain('No channel is set up');
    });

    it('sends a trial on a channel and says that it was taken', async () => {
      expect(await trial()).toMatchObject({ code: 0, out: 'webhook: taken\n' });
      expect(posted).toBe(1);
    });

    it('exits with 1 when a channel does not take it, and says why', async () => {
      status = 500;
      const told = await trial();
      expect(told.code).toBe(1);
      expect(told.out).toMatch(/^webhook: .*500/);
    });
  });
});
