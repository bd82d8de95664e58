/** Moving over from the program before: what it wrote goes to the trash once ours is there, and nothing else does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { sql } from 'kysely';
import { at, day, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { runCli, type CliResult } from '../support/run-cli.ts';

jest.setTimeout(120_000);

const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-legacy-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar({ zone: 'UTC' });
  world.stage.caldav.makeCalendar('alice', 'work');
});
afterEach(() => world.close());

/** As the predecessor wrote them: an event of its own UID, at a path made of that. */
function legacy(uid: string, title: string, start: string, extra = ''): string {
  const stamp = start.replaceAll(/[-:]/g, '');
  const lines = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//x//EN', 'BEGIN:VEVENT', `UID:${uid}`, `SUMMARY:${title}`];
  const rest = [
    `DTSTART:${stamp}00Z`,
    `DTSTAMP:${stamp}00Z`,
    `DURATION:PT1H`,
    extra,
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ];
  world.stage.caldav.store(
    'alice',
    'work',
    `${uid}.ics`,
    [...lines, ...rest.filter((line) => line !== '')].join('\r\n'),
  );
  return `http://baikal:80/dav.php/calendars/alice/work/${encodeURIComponent(uid)}.ics`;
}

function mapping(rows: readonly (readonly [uid: string, url: string, id: string])[]): string {
  const file = join(folder, `mapping-${rows.length}.csv`);
  const lines = rows.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(','));
  writeFileSync(file, ['caldav_uid,caldav_url,source_event_id', ...lines, ''].join('\r\n'));
  return file;
}

const verdicts = (result: CliResult): Record<string, string> =>
  Object.fromEntries(
    (JSON.parse(result.out) as { retired: { uid: string; verdict: string }[] }).retired.map((one) => [
      one.uid,
      one.verdict,
    ]),
  );

describe('retire-legacy', () => {
  it('tells first, then moves what ours replaces, and leaves everything else', async () => {
    const { stage, calendar } = world;
    calendar.createEvent({ subject: 'Stand-up', start: at(1) });
    calendar.createEvent({ subject: 'Review', start: at(2) });
    const review = legacy('aaaaaaaa@m365-one.caldav', 'Review', at(2));
    const late = legacy('bbbbbbbb@m365-one.caldav', 'Long gone at its source', at(3));
    const other = legacy('cccccccc@m365-one.caldav', 'Of somebody else', at(4));
    legacy('private@phone', 'Dentist', at(5));
    const [key] = await before('Stand-up');
    const byId = legacy('dddddddd@m365-one.caldav', 'Stand-up, an old title', at(9));
    const file = mapping([
      ['aaaaaaaa@m365-one.caldav', review, 'AAMk-1'],
      ['bbbbbbbb@m365-one.caldav', late, 'AAMk-2'],
      ['another@m365-one.caldav', other, 'AAMk-3'],
      ['dddddddd@m365-one.caldav', byId, key ?? ''],
      ['eeeeeeee@m365-one.caldav', review.replace('aaaaaaaa', 'eeeeeeee'), 'AAMk-5'],
    ]);

    const told = await runCli(stage, ['retire-legacy', file, '--target', 'me', '--json']);
    expect(verdicts(told)).toEqual({
      'aaaaaaaa@m365-one.caldav': 'replaced',
      'bbbbbbbb@m365-one.caldav': 'unmatched',
      'another@m365-one.caldav': 'other',
      'dddddddd@m365-one.caldav': 'replaced',
      'eeeeeeee@m365-one.caldav': 'gone',
    });
    expect(stage.bodies()).toHaveLength(7);

    expect((await runCli(stage, ['retire-legacy', file, '--target', 'me', '--for-real'])).out).toContain('2 went');
    expect(world.titles()).toEqual(['Dentist', 'Long gone at its source', 'Of somebody else', 'Review', 'Stand-up']);
    expect((await runCli(stage, ['retire-legacy', file, '--target', 'me', '--for-real'])).out).toContain('0 went');
    await runCli(stage, ['retire-legacy', file, '--target', 'me', '--for-real', '--unmatched-too']);
    expect(world.titles()).toEqual(['Dentist', 'Of somebody else', 'Review', 'Stand-up']);

    const trash = await runCli(stage, ['trash', 'list', '--json']);
    const entry = (JSON.parse(trash.out) as { id: string; title: string }[]).find(({ title }) =>
      title.startsWith('Long'),
    );
    expect((await runCli(stage, ['trash', 'restore', entry?.id ?? ''])).code).toBe(0);
    await stage.sync();
    expect(world.titles()).toContain('Long gone at its source');
    await stage.passTime();
    await stage.sync();
    expect(world.titles()).toContain('Long gone at its source');
  });

  /** Reads and delivers, and gives the source's id of the event of this title. */
  async function before(title: string): Promise<string[]> {
    await world.stage.sync();
    const found = await sql<{ key: string }>`
      select key from claim where series->'main'->>'summary' = ${title}`.execute(world.stage.product.store.db);
    return found.rows.map(({ key }) => key);
  }

  it('moves nothing before ours is there, and keeps no more of it than its source may show', async () => {
    const { stage, calendar } = world;
    const url = legacy('aaaaaaaa@m365-one.caldav', 'Board', at(2), 'DESCRIPTION:Strictly secret');
    calendar.createEvent({ subject: 'Board', start: at(2) });
    const file = mapping([['aaaaaaaa@m365-one.caldav', url, '']]);
    await world.read();
    expect(verdicts(await runCli(stage, ['retire-legacy', file, '--target', 'me', '--json']))).toEqual({
      'aaaaaaaa@m365-one.caldav': 'unmatched',
    });

    await sql`update source set settings = jsonb_set(settings, '{privacy}', '"title"')`.execute(stage.product.store.db);
    await stage.sync();
    expect((await runCli(stage, ['retire-legacy', file, '--target', 'me', '--for-real'])).out).toContain('1 went');
    expect(world.titles()).toEqual(['Board']);
    const kept = await sql<{ body: string }>`select body from trash`.execute(stage.product.store.db);
    expect(kept.rows).toHaveLength(1);
    expect(kept.rows[0]?.body).toContain('Board');
    expect(kept.rows[0]?.body).not.toContain('secret');
  });

  it('knows what vdirsyncer copied by its UID, and touches nothing else in that calendar', async () => {
    const { stage } = world;
    legacy('icloud-uid-1', 'Family dinner', at(3));
    legacy('of-the-phone', 'Family dinner 2', at(4));
    // Our own reading of the same calendar, as a CalDAV source would have stored and delivered it.
    world.calendar.createEvent({ subject: 'Whatever', start: `${day(3)}T18:00` });
    await stage.sync();
    await sql`update claim set uid = 'icloud-uid-1'`.execute(stage.product.store.db);

    const done = await runCli(stage, [
      'retire-legacy',
      '--target',
      'me',
      '--vdirsyncer',
      'work',
      '--for-real',
      '--json',
    ]);
    expect(verdicts(done)).toEqual({ 'icloud-uid-1': 'replaced', 'of-the-phone': 'unmatched' });
    expect(world.titles()).toEqual(['Family dinner 2', 'Whatever']);
  });

  it('refuses a list that is none, and a calendar with --unmatched-too', async () => {
    const file = join(folder, 'none.csv');
    writeFileSync(file, 'a,b\n1,2\n');
    expect((await runCli(world.stage, ['retire-legacy', file, '--target', 'me'])).code).toBe(2);
    expect((await runCli(world.stage, ['retire-legacy', file, '--target', 'you'])).code).toBe(2);
    const both = ['retire-legacy', '--target', 'me', '--vdirsyncer', 'work', '--unmatched-too'];
    expect((await runCli(world.stage, both)).code).toBe(2);
  });
});
