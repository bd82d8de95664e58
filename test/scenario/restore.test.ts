/** A backup of either side comes back (histories 25): what is written is shown first, and both sides agree afterwards. */
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { sql } from 'kysely';
import { loadModel, saveSource } from '../../src/store/configuration.ts';
import { dumpDatabase, loadDump } from '../../src/store/dump.ts';
import { forgetOutside } from '../../src/store/restored.ts';
import { at, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';

// Dumps, restarts and commands one after the other: slow on a busy machine.
jest.setTimeout(120_000);

let world: OneCalendar;
afterEach(() => world.close());

async function dump(): Promise<Buffer> {
  const out = new PassThrough();
  const read = buffer(out);
  await dumpDatabase(world.stage.database.url, out, '0.0.0');
  out.end();
  return await read;
}

/** Stops the product, puts the dump in place of the database, and starts the product. */
async function loadAndStart(bytes: Buffer): Promise<void> {
  await world.stage.product.close();
  await loadDump(world.stage.database.url, Readable.from([bytes]), { replace: true, actor: 'test', archive: 'a' });
  await world.stage.restart();
}

/** What stood in the CalDAV server at a moment, by name. */
function snapshot(): Map<string, string> {
  const objects = world.stage.caldav.objects('alice', 'work');
  return new Map([...objects].map(([href, { body }]) => [href.split('/').at(-1) ?? '', body]));
}

/** The server goes back to a moment, as when its files are copied back. */
async function turnBack(moment: Map<string, string>): Promise<void> {
  for (const name of snapshot().keys()) world.stage.caldav.discard('alice', 'work', name);
  for (const [name, body] of moment) world.stage.caldav.store('alice', 'work', name, body);
  await world.stage.product.store.transaction((db) => forgetOutside(db, 'target'));
}

/** Reads and delivers until a restored target has been compared; nothing may be written meanwhile. */
async function readBothSides(): Promise<void> {
  const before = snapshot();
  const seen = world.stage.caldav.requests.length;
  for (let round = 0; round < 4; round += 1) {
    await world.stage.passTime();
    await world.stage.sync();
  }
  expect(snapshot()).toEqual(before);
  const methods = world.stage.caldav.requests.slice(seen).map(({ method }) => method);
  expect(methods.filter((method) => ['PUT', 'DELETE', 'MKCALENDAR', 'PROPPATCH'].includes(method))).toEqual([]);
  expect((await runCli(world.stage, ['restore', 'status'])).out).toContain('me, restored');
}

async function settle(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await world.stage.passTime();
    await world.stage.sync();
  }
}

const titlesOf = (plan: string, sign: string): string[] =>
  [...plan.matchAll(new RegExp(`^  \\${sign} work: (.*?) \\(`, 'gm'))].map(([, title = '']) => title).toSorted();

describe('when PostgreSQL comes back from yesterday and Baikal is of today', () => {
  it('shows what it would write, and ends equal to the source, without duplicates or leftovers', async () => {
    world = await oneCalendar();
    const { stage, calendar } = world;
    const refs = Array.from({ length: 6 }, (_, index) =>
      calendar.createEvent({ subject: `Event ${index}`, start: at(index + 1) }),
    );
    await stage.sync();
    const yesterday = await dump();
    const keeps = calendar.createEvent({ subject: 'Made after the backup', start: at(3, '15:00') });
    const gone = calendar.createEvent({ subject: 'Made and deleted', start: at(4, '15:00') });
    calendar.updateEvent(refs[0] ?? keeps, { subject: 'Event 0, renamed' });
    await settle();
    calendar.delete(refs[1] ?? keeps);
    calendar.delete(gone);
    calendar.updateEvent(refs[2] ?? keeps, { subject: 'Event 2, renamed' });
    const today = snapshot();
    expect(today.size).toBe(8);

    await loadAndStart(yesterday);
    await readBothSides();

    const plan = await runCli(stage, ['plan']);
    expect(plan.out).toContain('me was restored');
    expect(titlesOf(plan.out, '+')).toEqual([]);
    expect(titlesOf(plan.out, '~')).toEqual(['Event 2, renamed']);
    expect(titlesOf(plan.out, '-')).toEqual(['Event 1', 'Made and deleted']);

    const approved = await runCli(stage, ['restore', 'approve']);
    expect(approved).toMatchObject({
      code: 0,
      out: expect.stringContaining('0 will be created, 1 updated, 2 deleted'),
    });
    await settle();
    expect(world.compare()).toMatchObject(noDifference);
    expect(new Set(snapshot().keys())).toEqual(
      new Set([...today].filter(([, body]) => !/SUMMARY:(Event 1|Made and deleted)/.test(body)).map(([name]) => name)),
    );
    const trash = await runCli(stage, ['trash', 'list']);
    expect(trash.out).toContain('Made and deleted');
    stage.caldav.requests.splice(0);
    await settle();
    expect(stage.caldav.requests.filter(({ method }) => method === 'PUT' || method === 'DELETE')).toEqual([]);
  });

  it('never lets SEQUENCE fall, and keeps the names of what it adopts', async () => {
    world = await oneCalendar();
    const { stage, calendar } = world;
    const ref = calendar.createEvent({ subject: 'Moves', start: at(2) });
    await stage.sync();
    const yesterday = await dump();
    for (const hour of ['10:00', '11:00', '12:00']) {
      calendar.updateEvent(ref, { start: at(2, hour), end: at(2, hour.replace(':00', ':30')) });
      await settle();
    }
    const sequence = Number(/^SEQUENCE:(\d+)/m.exec([...snapshot().values()][0] ?? '')?.[1]);
    expect(sequence).toBeGreaterThan(1);

    await loadAndStart(yesterday);
    await readBothSides();
    calendar.updateEvent(ref, { start: at(2, '14:00'), end: at(2, '14:30') });
    await settle();
    expect((await runCli(stage, ['restore', 'approve', 'me'])).code).toBe(0);
    await settle();

    expect(world.compare()).toMatchObject(noDifference);
    const now = Number(/^SEQUENCE:(\d+)/m.exec([...snapshot().values()][0] ?? '')?.[1]);
    expect(now).toBeGreaterThan(sequence);
  });

  it("reveals no more than today's privacy allows, although yesterday's allowed all", async () => {
    world = await oneCalendar();
    const { stage, calendar } = world;
    calendar.createEvent({
      subject: 'Merger talks',
      start: at(2),
      body: { contentType: 'text', content: 'Top secret' },
    });
    await stage.sync();
    const yesterday = await dump();
    const { store, box } = stage.product;
    const [source] = (await loadModel(store.db, box)).sources;
    if (source === undefined) throw new Error('there is no source');
    await store.transaction((db) =>
      saveSource(db, box, { ...source, privacy: 'busy' }, 0, { bumpsEpoch: true, fullReading: false, isOther: false }),
    );
    await settle();
    expect(world.titles().join()).not.toContain('Merger');

    await loadAndStart(yesterday);
    await readBothSides();
    expect(await runCli(stage, ['restore', 'approve'])).toMatchObject({ code: 0, err: '' });
    await settle();

    expect(snapshot().size).toBe(1);
    expect([...snapshot().values()].join()).not.toMatch(/Merger|secret/);
    const claims = await sql<{ text: string }>`select series::text as text from claim`.execute(stage.product.store.db);
    expect(claims.rows.map(({ text }) => text).join()).not.toMatch(/Merger|secret/);
  });
});

describe('when Baikal comes back from yesterday and PostgreSQL is of today', () => {
  it('shows what it would write, and ends equal to the source', async () => {
    world = await oneCalendar();
    const { stage, calendar } = world;
    const refs = Array.from({ length: 6 }, (_, index) =>
      calendar.createEvent({ subject: `Event ${index}`, start: at(index + 1) }),
    );
    await stage.sync();
    const yesterday = snapshot();
    calendar.createEvent({ subject: 'Made after the backup', start: at(3, '15:00') });
    for (const ref of refs.slice(0, 2)) calendar.delete(ref);
    await settle();
    expect(snapshot().size).toBe(5);
    // The rows of the two that are gone may be cleaned up by now: nothing remembers them but their suffix.
    await sql`delete from meeting m where not exists (select from claim c where c.meeting_id = m.id)`.execute(
      stage.product.store.db,
    );

    await turnBack(yesterday);
    await readBothSides();
    const plan = await runCli(stage, ['plan']);
    expect(titlesOf(plan.out, '+')).toEqual(['Made after the backup']);
    expect(titlesOf(plan.out, '-')).toEqual(['Event 0', 'Event 1']);
    // Programs that had seen a later state take up what is written again.
    expect(titlesOf(plan.out, '~')).toHaveLength(4);

    expect((await runCli(stage, ['restore', 'approve'])).code).toBe(0);
    await settle();
    expect(world.compare()).toMatchObject(noDifference);
    expect(snapshot().size).toBe(5);
  });
});

describe('while a source cannot be read after a restore', () => {
  it('writes only when told to anyway, and deletes nothing that may be its', async () => {
    world = await oneCalendar();
    const { stage, calendar, tenant } = world;
    calendar.createEvent({ subject: 'Before', start: at(1) });
    await stage.sync();
    const yesterday = await dump();
    calendar.createEvent({ subject: 'Made after the backup', start: at(3, '15:00') });
    await settle();
    await loadAndStart(yesterday);
    tenant.configure({ consent: false });
    await settle();

    const refused = await runCli(stage, ['restore', 'approve']);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('contoso-me');
    const plan = await runCli(stage, ['plan']);
    expect([titlesOf(plan.out, '+'), titlesOf(plan.out, '~'), titlesOf(plan.out, '-')]).toEqual([[], ['Before'], []]);
    const approved = await runCli(stage, ['restore', 'approve', '--anyway']);
    expect(approved.code).toBe(0);
    expect(approved.out).toContain('me: 0 will be created, 1 updated, 0 deleted');
    await settle();
    expect(world.titles()).toEqual(['Before', 'Made after the backup']);

    tenant.configure({ consent: true });
    await settle();
    expect(world.compare()).toMatchObject(noDifference);
    expect(snapshot().size).toBe(2);
  });
});

describe('an entry of ours that nobody claims', () => {
  it('goes to the trash at the next look at everything, however it got there', async () => {
    world = await oneCalendar();
    const { stage, calendar } = world;
    calendar.createEvent({ subject: 'Stays', start: at(1) });
    const ref = calendar.createEvent({ subject: 'Left behind', start: at(2) });
    await stage.sync();
    const [name, body] = [...snapshot()].find(([, text]) => text.includes('Left behind')) ?? ['', ''];
    calendar.delete(ref);
    await settle();
    await sql`delete from meeting m where not exists (select from claim c where c.meeting_id = m.id)`.execute(
      stage.product.store.db,
    );
    stage.caldav.store('alice', 'work', name, body);
    stage.caldav.store(
      'alice',
      'work',
      name.replace(/^../, 'zz'),
      body.replaceAll(/@[0-9a-f]+\.calendar-sync/g, '@0123456789.calendar-sync'),
    );
    await sql`update target_calendar set listed_at = null, checked_at = null`.execute(stage.product.store.db);
    await settle();

    // Another installation's is not ours to touch.
    expect(world.titles()).toEqual(['Left behind', 'Stays']);
    expect([...snapshot().keys()]).not.toContain(name);
    expect((await runCli(stage, ['trash', 'list'])).out).toContain('Left behind');
  });
});
