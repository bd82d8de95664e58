import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { runCli, type CliResult } from '../support/run-cli.ts';
import { aStage, type Stage } from '../support/stage.ts';
import { directoryOf } from '../support/graph/people.ts';
import { fillTelling } from '../support/graph/telling-calendar.ts';

const me = 'zanzibar@contoso.example';
const word = 'zanzibar';
const tenant = {
  directory: directoryOf('contoso.example'),
  client: '1d2e0000-0000-4000-8000-000000000002',
  domain: 'contoso.example',
};
const secret = 'zanzibar-secret';

let stage: Stage;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'calendar-sync-probe-'));
  stage = await aStage({ env: { PUBLIC_URL: 'https://calendar.example' } });
  await stage.target();
  await stage.tenant('contoso', { ...tenant, secret });
  const contoso = stage.simulator.tenant('contoso.example');
  const mailbox = contoso.addMailbox({ upn: me, name: `Me ${word}`, zone: 'W. Europe Standard Time' });
  fillTelling(mailbox, contoso.addMailbox({ upn: `ann-${word}@contoso.example`, name: `Ann ${word}` }), word);
  // What lies around today, whenever that is.
  const calendar = mailbox.calendar();
  const today = new Date().toISOString().slice(0, 10);
  calendar.createEvent({
    subject: `Today ${word}`,
    start: `${today}T10:00`,
    body: { contentType: 'html', content: word },
  });
  await stage.source({ id: 'contoso-me', tenant: 'contoso', mailbox: me });
});
afterAll(async () => {
  await stage.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await sql`delete from tenant_access`.execute(stage.product.store.db);
});

const probe = (...options: string[]): Promise<CliResult> =>
  runCli(stage, ['probe', 'contoso', ...options], { PUBLIC_URL: 'https://calendar.example' });
const stored = async (): Promise<Record<string, { answer: string; by: string }>> => {
  const found = await sql<{ behaviours: Record<string, { answer: string; by: string }> | null }>`
    select behaviours from tenant_access where tenant_id = 'contoso'`.execute(stage.product.store.db);
  return found.rows[0]?.behaviours ?? {};
};
const refusals = (): number => stage.simulator.requests.filter(({ status }) => status === 400).length;

describe('calendar-sync probe', () => {
  it('tells what it does and found, keeps it, and doctor shows it', async () => {
    const { code, out, err } = await probe('--no-save');
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(err).toContain('Reads only.');
    expect(out).toMatch(/Does a calendar answer by its id.*answers/);
    expect(out).toContain('Run this with --subscribe');
    expect(await stored()).toMatchObject({
      occurrenceId: { answer: 'known', by: 'probe' },
      pageSize: { answer: '100' },
    });
    const doctor = await runCli(stage, ['doctor']);
    expect(doctor.out).toMatch(/tenant contoso: behaviours: probed on .* behaviours known; all can be asked for/);
  });

  it('has no word of anybody in what it prints and saves', async () => {
    const save = join(folder, 'saved');
    const { out, err } = await probe('--save', save);
    const json = await probe('--json', '--no-save');
    const files = readdirSync(save);
    expect(files).toEqual(['exchanges.json', 'probe.json']);
    const text = [out, err, json.out, json.err, ...files.map((file) => readFileSync(join(save, file), 'utf8'))].join(
      '\n',
    );
    const ids = stage.simulator
      .mailbox(me)
      .calendars()
      .flatMap((calendar) => [calendar.id, ...calendar.events().flatMap(({ key, id }) => [key, id])]);
    for (const planted of [word, secret, tenant.directory, tenant.client, 'Bearer', ...ids])
      expect(text.toLowerCase()).not.toContain(planted.toLowerCase());
    // It is not empty either.
    expect(JSON.parse(readFileSync(join(save, 'exchanges.json'), 'utf8'))).toHaveLength(
      (JSON.parse(json.out) as { requests: number }).requests,
    );
  });

  it('spares a reading what this Graph refuses, and asks again where it was wrong', async () => {
    const { simulator, product } = stage;
    simulator.switches.cancelledOccurrences = 'unknown';
    try {
      await probe('--no-save');
      expect(await stored()).toMatchObject({ seriesParts: { answer: 'refused' }, occurrenceId: { answer: 'refused' } });
      const before = refusals();
      await product.store.transaction((db) =>
        sql`update source set is_full_wanted = true`.execute(db).then(() => undefined),
      );
      await stage.passTime();
      await stage.sync();
      expect(refusals() - before).toBe(0);

      // Told to know what it does not: the reading finds out, goes by that and keeps it.
      await sql`
        update tenant_access set probed_at = now(),
          behaviours = behaviours || '{"seriesParts":{"answer":"known","by":"probe","at":"2126-01-01T00:00:00Z"}}'::jsonb`.execute(
        product.store.db,
      );
      await sql`update source set is_full_wanted = true`.execute(product.store.db);
      await stage.passTime();
      await stage.sync();
      expect(refusals() - before).toBeGreaterThan(0);
      expect(await stored()).toMatchObject({ seriesParts: { answer: 'refused', by: 'reading' } });
      const doctor = await runCli(stage, ['doctor']);
      expect(doctor.out).toContain('since then readings met otherwise: seriesParts refused');
    } finally {
      simulator.switches.cancelledOccurrences = 'known';
    }
  });

  it.each([
    ['429', { match: '/calendarView', how: { status: 429, retryAfter: '3600' } }, 'graph.throttled'],
    ['500', { match: '/calendarView', how: { status: 500 } }, 'graph.server_error'],
    ['403', { match: '/calendarView', how: { status: 403 } }, 'graph.access_denied'],
    [
      'a mailbox that is none',
      { match: '/calendar', how: { status: 404, code: 'MailboxNotEnabledForRESTAPI' } },
      'graph.mailbox_unavailable',
    ],
    ['a wrong secret', { match: '/oauth2/', how: { status: 401, code: 'invalid_client' } }, 'graph.'],
  ])('keeps nothing where it meets %s, and says so', async (_, fault, code) => {
    const save = join(folder, 'failed');
    const failing = stage.simulator.fail(fault);
    try {
      const result = await probe('--save', save);
      expect(result.code).toBe(3);
      expect(result.err).toContain(`(${code}`);
      expect(result.err).toContain('Nothing is kept');
      expect(result.err).not.toMatch(/^\s+at /m);
    } finally {
      failing.clear();
    }
    expect(existsSync(save)).toBe(false);
    expect(await stored()).toEqual({});
  });

  it('knows its usage', async () => {
    expect((await runCli(stage, ['probe', 'nobody'])).code).toBe(2);
    const help = await runCli(stage, ['probe', '--help']);
    expect(help.out).toContain('calendar-sync probe contoso --subscribe');
    expect(help.out).toContain('--subscribe');
  });
});
