import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { defaultFilters } from '../../src/calendar/filters.ts';
import { directoryOf } from '../support/graph/people.ts';
import { at, day, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar({ source: { filters: { ...defaultFilters, titles: ['^Lunch'] }, titleTag: '[C] ' } });
});
afterEach(() => world.close());

function fill(): { key: string } {
  world.calendar.createEvent({ subject: 'Dentist', start: at(3) });
  world.calendar.createEvent({ subject: 'Lunch', start: at(3, '12:00') });
  world.calendar.createEvent({ subject: 'Holiday', start: day(20), isAllDay: true });
  const review = world.calendar.createSeries({
    subject: 'Review',
    pattern: { type: 'daily' },
    range: { type: 'numbered', startDate: day(2), numberOfOccurrences: 10 },
    start: '15:00',
  });
  world.calendar.cancelOccurrence(review, day(4));
  world.calendar.updateOccurrence(review, day(5), { start: `${day(5)}T18:00`, subject: 'Late review' });
  return review;
}

interface Compared {
  readonly results: readonly {
    readonly outcome: string;
    readonly same: number;
    readonly hidden: unknown;
    readonly elsewhere: unknown;
    readonly held: number;
    readonly missing: readonly { line: string; why: string }[];
    readonly surplus: readonly { line: string; why: string }[];
  }[];
}

async function verify(...args: string[]) {
  const { code, out } = await runCli(world.stage, ['verify', '--json', ...args]);
  const [result] = (JSON.parse(out) as Compared).results;
  return { ...result, code };
}

describe('verify', () => {
  it('finds a mirror that is true to be true, and says what is left out why', async () => {
    fill();
    await world.stage.sync();

    expect(await verify()).toMatchObject({
      code: 0,
      outcome: 'compared',
      same: 11,
      hidden: { title: 1 },
      held: 0,
      missing: [],
      surplus: [],
    });
    const { code, out } = await runCli(world.stage, ['verify', 'contoso-me']);
    expect({ code, out }).toEqual({ code: 0, out: 'contoso-me: 11 as in the source, 1 hidden by title\n' });
  });

  it('tells each difference, and exits with 1', async () => {
    const review = fill();
    await world.stage.sync();
    world.calendar.createEvent({ subject: 'Unread', start: at(6) });
    world.calendar.updateOccurrence(review, day(7), { subject: 'Renamed' });
    world.calendar.cancelOccurrence(review, day(8));
    const dentist = world.calendar.events().find(({ fields }) => fields.subject === 'Dentist');
    if (dentist !== undefined) world.calendar.delete(dentist);
    const { code, missing = [], surplus = [] } = await verify();

    expect(code).toBe(1);
    expect(missing.map(({ line, why }) => [line.replace(/^.*busy /, ''), why]).sort()).toEqual([
      ['[C] Renamed', 'not so in the target'],
      ['[C] Unread', 'not read yet'],
    ]);
    expect(surplus.map(({ line }) => line.replace(/^.*busy /, '')).sort()).toEqual([
      '[C] Dentist',
      '[C] Review',
      '[C] Review',
    ]);
  });

  it('finds what was deleted in the target behind our back', async () => {
    fill();
    await world.stage.sync();
    const objects = [...world.stage.caldav.objects('alice', 'work')];
    const path = objects.find(([, { body }]) => body.includes('Holiday'))?.[0] ?? '';
    world.stage.caldav.discard('alice', 'work', path.slice(path.lastIndexOf('/') + 1));

    expect(await verify()).toMatchObject({
      code: 1,
      outcome: 'compared',
      same: 10,
      missing: [{ line: expect.stringContaining('[C] Holiday'), why: 'not so in the target' }],
      surplus: [],
    });
  });

  it('counts what another source shows, and what the guard holds', async () => {
    fill();
    const { simulator } = world.stage;
    await world.stage.tenant('fabrikam', {
      directory: directoryOf('fabrikam.example'),
      domain: 'fabrikam.example',
      client: 'app-2',
    });
    const kim = simulator.tenant('fabrikam.example').addMailbox({ upn: 'kim@fabrikam.example', name: 'Kim' });
    const meeting = kim.calendar().createEvent({ subject: 'Joint', start: at(9) });
    kim.calendar().inviteTo(meeting, world.mailbox.state, { response: 'accepted' });
    for (let index = 0; index < 12; index += 1)
      kim.calendar().createEvent({ subject: `Own ${index}`, start: at(10 + index) });
    await world.stage.source({ id: 'fabrikam-kim', tenant: 'fabrikam', mailbox: 'kim@fabrikam.example' });
    await world.stage.sync();
    for (const item of kim.calendar().events()) if (item.key !== meeting.key) kim.calendar().delete(item);
    await world.stage.passTime();
    await world.stage.sync();

    const { code, out } = await runCli(world.stage, ['verify']);
    expect(code).toBe(0);
    expect(out).toContain('12 held by the guard');
    expect(out).toMatch(/1 shown by another: (contoso-me|fabrikam-kim)/);
  });

  it('says which source cannot be asked', async () => {
    fill();
    expect(await verify()).toMatchObject({ code: 0, outcome: 'skipped' });
    await world.stage.sync();
    world.stage.simulator.fail({ match: 'https://graph.', how: { status: 403 } });

    expect(await verify()).toMatchObject({ code: 1, outcome: 'failed' });
    expect((await runCli(world.stage, ['verify', 'nobody'])).code).toBe(2);
  });
});

describe('sync', () => {
  it('reads and delivers, and tells what it did', async () => {
    fill();
    const { code, out } = await runCli(world.stage, ['sync', '--json']);

    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      results: [
        { kind: 'source', id: 'contoso-me', outcome: 'done', counts: { changed: 4, rebuilt: 1, pages: 1 } },
        { kind: 'target', id: 'me', outcome: 'done', counts: { created: 3 } },
      ],
    });
  });

  it('tells what waits for its time, and exits with 1', async () => {
    const review = fill();
    await world.stage.sync();
    world.calendar.updateSeries(review, { subject: 'Changed' });
    world.stage.simulator.fail({ match: `/events/${review.key}`, times: 9, how: { status: 500 } });
    expect(await runCli(world.stage, ['sync'])).toMatchObject({
      code: 1,
      out: expect.stringContaining('source contoso-me: 1 still to be read; see "calendar-sync jobs list"'),
    });
    // Nothing failed in this one.
    const { code, out } = await runCli(world.stage, ['sync', '--json']);
    expect([code, JSON.parse(out)]).toMatchObject([1, { waiting: [{ kind: 'source', id: 'contoso-me', count: 1 }] }]);
  });

  it('exits with 1 and says what to do when a source needs a person', async () => {
    world.tenant.configure({ consent: false });
    const { code, out } = await runCli(world.stage, ['sync', 'contoso-me']);

    expect(code).toBe(1);
    expect(out).toContain('Calendars.Read');
  });
});

describe('guard', () => {
  async function loseTwelveOfFifteen(): Promise<void> {
    for (let index = 0; index < 15; index += 1)
      world.calendar.createEvent({ subject: `E${index}`, start: at(1 + index) });
    await world.stage.sync();
    for (const item of world.calendar.events().slice(0, 12)) world.calendar.delete(item);
    await world.stage.passTime();
    await world.stage.sync();
  }

  it('lists what is held and carries out what the operator decides', async () => {
    await loseTwelveOfFifteen();

    expect((await runCli(world.stage, ['guard', 'list'])).out).toMatch(/contoso-me +12 +12/);
    const approved = await runCli(world.stage, ['guard', 'approve', 'contoso-me', '--json']);
    expect(JSON.parse(approved.out)).toEqual({ source: 'contoso-me', decision: 'approve', count: 12 });
    await world.stage.sync();
    expect(world.titles()).toHaveLength(3);
    expect((await runCli(world.stage, ['guard', 'list'])).out).toContain('No removals are held.');
    expect((await runCli(world.stage, ['guard', 'approve', 'nobody'])).code).toBe(2);
  });

  it('keeps what is held when the operator says so, reads the source anew, and holds what is still gone', async () => {
    await loseTwelveOfFifteen();

    const discarded = await runCli(world.stage, ['guard', 'discard', 'contoso-me', '--json']);
    expect(JSON.parse(discarded.out)).toEqual({ source: 'contoso-me', decision: 'discard', count: 12 });
    expect((await runCli(world.stage, ['guard', 'list'])).out).toContain('No removals are held.');
    world.stage.simulator.requests.splice(0);
    await world.stage.sync();
    expect(world.stage.simulator.requests.some(({ url }) => url.includes('startDateTime'))).toBe(true);
    expect(world.titles()).toHaveLength(15);
    expect((await runCli(world.stage, ['guard', 'list'])).out).toMatch(/contoso-me +12 +12/);
  });
});
