import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Writable } from 'node:stream';
import { createLog } from '../../src/shared/log.ts';
import { wordsIn } from '../support/dump.ts';
import type { EventInput } from '../support/graph/inputs.ts';
import { at, day } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';
import { severalTenants, type SeveralTenants } from '../support/several-tenants.ts';

let world: SeveralTenants;
let logged = '';
beforeEach(async () => {
  logged = '';
  const console = new Writable({
    write: (chunk: Buffer, _, done) => {
      logged += chunk.toString();
      done();
    },
  });
  const log = createLog({ level: 'trace', console, files: null });
  world = await severalTenants(['contoso', 'fabrikam', 'tailspin'], { log });
});
afterEach(() => world.close());

const parts = ['body', 'place', 'category', 'guest', 'link'] as const;
const wordsOf = (name: string): string[] => parts.map((part) => `${name}-${part}`);

/** An event with a word of its own in every field that has words. */
function planted(name: string, more: Partial<EventInput> = {}): EventInput {
  return {
    subject: `${name}-title`,
    body: { contentType: 'text', content: `${name}-body` },
    location: { displayName: `${name}-place` },
    categories: [`${name}-category`],
    attendees: [{ name: `${name}-guest`, address: `${name}-guest@example.com`, type: 'required', response: 'none' }],
    joinUrl: `https://meet.example/${name}-link`,
    start: at(5),
    ...more,
  };
}

const targetText = (): string =>
  world
    .shown()
    .map(({ body }) => body.replaceAll('\r\n ', ''))
    .join('\n');
const inTarget = (words: readonly string[]): string[] => words.filter((word) => targetText().includes(word));
const inLog = (words: readonly string[]): string[] => words.filter((word) => logged.includes(word));
const db = () => world.stage.product.store.db;

describe('words that a mode cuts', () => {
  it('are nowhere: not in any table, queue, log or entry, whatever happens to the events', async () => {
    await world.configure({
      sources: [
        { id: 'contoso', privacy: 'title' },
        { id: 'fabrikam', privacy: 'busy' },
        { id: 'tailspin', privacy: 'full', privateItems: 'skip', filters: { titles: ['^filtered'] } },
      ],
    });
    const calendars = (['contoso', 'fabrikam', 'tailspin'] as const).map((name) => world.calendar(name));
    const [contoso, fabrikam, tailspin] = calendars;
    if (contoso === undefined || fabrikam === undefined || tailspin === undefined) throw new Error('Three are there.');
    const titled = contoso.createEvent(planted('titled'));
    const busy = fabrikam.createEvent(planted('busied'));
    const series = fabrikam.createSeries({
      ...planted('rowed'),
      pattern: { type: 'daily' },
      range: { type: 'numbered', startDate: day(3), numberOfOccurrences: 4 },
      start: '09:00',
    });
    tailspin.createEvent(planted('skipped', { sensitivity: 'private' }));
    tailspin.createEvent(planted('confided', { sensitivity: 'confidential' }));
    tailspin.createEvent(planted('filtered'));
    const copy = contoso.inviteTo(titled, world.mailbox('fabrikam').state, { response: 'accepted' });
    await world.again();
    // Conflicts, failed readings, drift, trash, history.
    fabrikam.updateEvent(copy, { subject: 'copied-title', start: at(6) });
    fabrikam.updateOccurrence(series, day(4), { subject: 'changed-title', location: { displayName: 'changed-place' } });
    world.stage.simulator.fail({ match: '/events/', times: 2, how: { status: 500 } });
    world.stage.caldav.fail({ on: 'PUT', times: 1, how: '500-stored', at: 1 });
    await world.again();
    await world.again();
    fabrikam.delete(busy);
    contoso.updateEvent(titled, { subject: 'titled-title again' });
    await world.again();

    const all = ['titled', 'busied', 'rowed', 'skipped', 'confided', 'filtered', 'copied', 'changed'];
    const cut = [
      ...all.flatMap((name) => wordsOf(name)),
      ...all.filter((name) => name !== 'titled').map((name) => `${name}-title`),
    ];
    expect(await wordsIn(db(), cut)).toEqual([]);
    expect(inTarget(cut)).toEqual([]);
    expect(inLog([...cut, 'titled-title'])).toEqual([]);
    expect(inTarget(['titled-title'])).toEqual(['titled-title']);
    expect(await wordsIn(db(), ['titled-title'])).toEqual(['public.claim: titled-title']);
    const { out } = await runCli(world.stage, ['trash', 'list', '--json']);
    expect(JSON.parse(out)).toMatchObject([{ source: 'fabrikam', title: 'Busy' }]);
  });

  it('are gone at once when privacy is tightened, and from the entries at the next writing', async () => {
    const full = [{ id: 'contoso' }, { id: 'fabrikam' }];
    await world.configure({ sources: full });
    const open = world.calendar('contoso').createEvent(planted('opened'));
    const trashed = world.calendar('contoso').createEvent(planted('trashed', { start: at(7) }));
    world.calendar('contoso').createEvent(planted('hushed', { start: at(8), sensitivity: 'private' }));
    const copy = world.calendar('contoso').inviteTo(open, world.mailbox('fabrikam').state, { response: 'accepted' });
    world.calendar('fabrikam').updateEvent(copy, { subject: 'copied-title' });
    await world.again();
    world.calendar('contoso').delete(trashed);
    await world.again();
    const { out } = await runCli(world.stage, ['trash', 'list', '--json']);
    const [{ id } = { id: '' }] = JSON.parse(out) as { id: string }[];
    await runCli(world.stage, ['trash', 'restore', id]);
    await world.again();
    const words = ['opened', 'trashed', 'hushed'].flatMap((name) => [...wordsOf(name), `${name}-title`]);
    expect(await wordsIn(db(), ['trashed-title', 'opened-title'])).toEqual(
      expect.arrayContaining(['public.trash: trashed-title', 'public.conflict: opened-title']),
    );

    await world.configure({ sources: [{ id: 'contoso', privacy: 'busy', privateItems: 'skip' }, full[1] ?? {}] });
    // The copy that another tenant's mailbox has is that source's to show.
    const theirs = new Set(wordsOf('opened'));
    const left = (await wordsIn(db(), words)).filter((found) => !theirs.has(found.split(': ')[1] ?? ''));
    expect(left).toEqual([]);
    await world.again();
    expect(inTarget(words).filter((word) => !theirs.has(word))).toEqual([]);
    expect(world.titles()).toEqual(['copied-title']);
  });
});

describe('forget', () => {
  it('leaves nothing of the tenant but the audit log, deletes its entries past the ceiling, and says what was where', async () => {
    await world.configure({ sources: [{ id: 'contoso' }, { id: 'fabrikam' }] });
    const contoso = world.calendar('contoso');
    for (let index = 0; index < 14; index += 1) contoso.createEvent(planted(`kept${index}`, { start: at(3 + index) }));
    const shared = contoso.createEvent({ subject: 'Board', start: at(5) });
    world.calendar('contoso').inviteTo(shared, world.mailbox('fabrikam').state, { response: 'accepted' });
    const trashed = contoso.createEvent(planted('trashed'));
    await world.again();
    contoso.delete(trashed);
    await world.again();
    const board = world.shown().find(({ title }) => title === 'Board');
    expect(world.titles()).toHaveLength(15);

    const counted = await runCli(world.stage, ['forget', 'contoso', '--dry-run', '--json']);
    expect(JSON.parse(counted.out)).toMatchObject({
      wouldRemove: expect.arrayContaining([
        expect.objectContaining({ where: 'database, claim', count: 15 }),
        expect.objectContaining({ where: 'database, trash', count: 1 }),
        expect.objectContaining({ where: 'target me', count: 14 }),
      ]),
    });
    expect(world.titles()).toHaveLength(15);

    const { out, code } = await runCli(world.stage, ['forget', 'contoso', '--json']);
    const told = JSON.parse(out) as {
      removed: { where: string; count: number }[];
      remaining: string[];
      notes: string[];
    };
    expect(code).toBe(0);
    expect(told.remaining).toEqual([]);
    expect(told.removed).toContainEqual(expect.objectContaining({ where: 'target me', count: 14 }));
    expect(told.notes.join(' ')).toContain('Backups');
    expect(world.shown()).toMatchObject([{ title: 'Board', uid: board?.uid }]);

    const words = ['contoso', 'kept', 'trashed', ...parts.map((part) => `-${part}`)];
    const left = (await wordsIn(db(), words)).filter(
      // Who did what, the organizer of the copy that fabrikam has, and hints that go within the hour: a source's id.
      (found) => !/^(public\.audit|pgboss\.job\w*): contoso$/.test(found) && found !== 'public.claim: contoso',
    );
    expect(left).toEqual([]);
    await world.again();
    expect(world.titles()).toEqual(['Board']);
    expect((await runCli(world.stage, ['forget', 'contoso', '--json'])).code).toBe(2);
  });
});

describe('data-report', () => {
  it('says field by field what is stored and shown, as the door does it', async () => {
    await world.configure({
      sources: [{ id: 'contoso', privacy: 'title', privateItems: 'skip', filters: { free: 'hide' } }],
    });
    world.calendar('contoso').createEvent(planted('titled'));
    await world.again();
    const { out } = await runCli(world.stage, ['data-report', 'contoso', '--json']);
    const report = JSON.parse(out) as { sources: { fields: { field: string }[] }[] };
    const field = (name: string): unknown => report.sources[0]?.fields.find((one) => one.field === name);

    expect(report).toMatchObject({
      tenant: { id: 'contoso', ceiling: 'full' },
      sources: [{ id: 'contoso', privacy: 'title', stored: 1, hidden: 0, privateFields: [] }],
      places: expect.arrayContaining([expect.objectContaining({ place: 'database: trash' })]),
    });
    expect(field('title')).toMatchObject({ graph: 'subject', stored: 'yes', shown: 'yes' });
    expect(field('body')).toMatchObject({ stored: 'no', shown: 'no' });
    expect(field('attendees and their answers')).toMatchObject({ stored: 'no', shown: 'no' });
    const text = (await runCli(world.stage, ['data-report', 'contoso'])).out;
    expect(text).toContain('left out: events that are declined, events that are free');
    expect(text).not.toContain('titled-title');
    expect((await runCli(world.stage, ['data-report', 'nobody'])).code).toBe(2);
  });
});
