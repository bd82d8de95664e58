import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import type { OutlookCalendar } from '../support/graph/outlook.ts';
import { directoryOf } from '../support/graph/people.ts';
import { at } from '../support/one-calendar.ts';
import { runCli } from '../support/run-cli.ts';
import { aStage, type Stage } from '../support/stage.ts';

let stage: Stage;
let count = 0;

beforeAll(async () => {
  stage = await aStage();
  await stage.target();
}, 120_000);
afterAll(() => stage.close());

/** A tenant with Ann, who has a second calendar and a copy of Bo's, and a guest. */
async function aTenant() {
  const id = `t${++count}`;
  const domain = `${id}.example`;
  const [ann, bo] = [`ann@${domain}`, `bo@${domain}`];
  await stage.tenant(id, { directory: directoryOf(domain), domain, client: `app-${id}` });
  const tenant = stage.simulator.tenant(domain);
  const mailbox = tenant.addMailbox({ upn: ann });
  const bos = tenant.addMailbox({ upn: bo });
  tenant.addMailbox({ upn: `gus@${domain}`, kind: 'guest' });
  const team = mailbox.addCalendar('Team', { hexColor: '#336699' });
  mailbox.openShared(bos.calendar());
  return { id, ann, bo, tenant, mailbox, team };
}

/** Whatever was known of delta is gone, and so is the process: the calendar must be found by what is stored. */
async function afterRestart(): Promise<void> {
  stage.simulator.forgetDeltaTokens();
  await stage.restart();
  await stage.passTime();
  await stage.sync();
}

const shows = (title: string): boolean => stage.bodies().some((body) => body.includes(title));

/** As Outlook does at times soon after a calendar was made, and always when it is made again. Gives the calendar of now. */
function changeId(mailbox: string, calendar: OutlookCalendar): OutlookCalendar {
  const { simulator } = stage;
  simulator.restore(simulator.snapshot().replaceAll(calendar.id, `${calendar.id.slice(0, -4)}NEW=`));
  return simulator.mailbox(mailbox).calendar(calendar.state.name);
}

const known = async (source: string) => {
  const found = await sql<{ calendar_id: string; name: string; wanted: string }>`
    select calendar_id, name, wanted from source_calendar where source_id = ${source}`.execute(stage.product.store.db);
  return found.rows[0];
};

describe('what a tenant has to read', () => {
  it('is listed by mailbox where the optional permission is given, guests as what they are', async () => {
    const { id, ann, tenant } = await aTenant();
    tenant.configure({ roles: ['Calendars.Read', 'User.Read.All'] });
    await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann });
    const { code, out } = await runCli(stage, ['calendars', id, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      isListed: true,
      mailboxes: [
        { address: ann, isGuest: false, sources: [`s-${id}`] },
        { address: `bo@${id}.example`, isGuest: false, sources: [] },
        { address: `gus@${id}.example`, isGuest: true, sources: [] },
      ],
    });
  });

  it('is what sources name where that permission is not given', async () => {
    const { id, ann } = await aTenant();
    await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann });
    const { out } = await runCli(stage, ['calendars', id]);
    expect(out).toContain('the optional permission User.Read.All');
    expect(out).toContain(ann);
    expect(out).not.toContain(`bo@${id}.example`);
  });

  it('is listed by calendar with colour, owner and id, and a copy points to its owner', async () => {
    const { id, ann, bo, team, mailbox } = await aTenant();
    const twins = ['Twin', 'twin'].map((name) => mailbox.addCalendar(name).id);
    await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann, calendar: team.id });
    const { out } = await runCli(stage, ['calendars', id, ann.toUpperCase(), '--json']);
    const { calendars } = JSON.parse(out) as { calendars: Record<string, unknown>[] };
    expect(calendars).toHaveLength(5);
    // A name that two have names neither.
    expect(calendars.filter(({ name }) => /^twin$/i.test(String(name))).map(({ write }) => write)).toEqual(twins);
    expect(calendars[0]).toMatchObject({ isDefault: true, isOwn: true, owner: ann, write: 'default' });
    expect(calendars.find(({ name }) => name === 'Team')).toMatchObject({
      id: team.id,
      color: '#336699',
      isOwn: true,
      write: 'Team',
      sources: [`s-${id}`],
    });
    expect(calendars.find(({ isOwn }) => isOwn === false)).toMatchObject({ owner: bo });
    const told = (await runCli(stage, ['calendars', id, ann])).out;
    expect(told).toContain(`read by s-${id}`);
    expect(told).toContain(`a copy: read it at its owner, "calendar-sync calendars ${id} ${bo}"`);
    expect(told).toContain(`- { kind: graph, tenant: ${id}, mailbox: ${ann}, calendar: "default", … }`);
  });

  it.each([
    [['calendars', 'nobody'], 'There is no tenant nobody', 2],
    [['calendars', 't1', 'gus@t1.example'], 'graph.mailbox_unavailable', 3],
    [['calendars', 't1', 'who@t1.example'], 'graph.user_not_found', 3],
  ])('is refused with words: %p', async (args, says, code) => {
    const result = await runCli(stage, args);
    expect(result.err).toContain(says);
    expect(result.code).toBe(code);
  });
});

describe('a calendar that is followed', () => {
  it('by its name is found again after it was renamed, also after a restart', async () => {
    const { id, ann, team } = await aTenant();
    team.createEvent({ subject: `Before ${id}`, start: at(30) });
    await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann, calendar: 'Team' });
    await stage.sync();
    expect(shows(`Before ${id}`)).toBe(true);

    team.state.name = 'Squad';
    team.createEvent({ subject: `After ${id}`, start: at(31) });
    await afterRestart();

    expect([shows(`Before ${id}`), shows(`After ${id}`)]).toEqual([true, true]);
    expect(await known(`s-${id}`)).toEqual({ calendar_id: team.id, name: 'Squad', wanted: 'Team' });
    const { checks } = JSON.parse((await runCli(stage, ['doctor', '--json'])).out) as {
      checks: { name: string; says: string }[];
    };
    expect(checks.find(({ name }) => name === `source s-${id}`)?.says).toBe(
      'reads the calendar "Squad", called "Team" in the configuration',
    );
  });

  it.each(['id', 'name'] as const)(
    'by its %s is found again when it has a new id, also after a restart',
    async (by) => {
      const { id, ann, team } = await aTenant();
      team.createEvent({ subject: `Before ${id}`, start: at(30) });
      await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann, calendar: by === 'id' ? team.id : 'Team' });
      await stage.sync();
      const before = team.id;

      const now = changeId(ann, team);
      expect(now.id).not.toBe(before);
      now.createEvent({ subject: `After ${id}`, start: at(31) });
      await afterRestart();

      expect([shows(`Before ${id}`), shows(`After ${id}`)]).toEqual([true, true]);
      expect(await known(`s-${id}`)).toMatchObject({ calendar_id: now.id, wanted: by === 'id' ? before : 'Team' });
    },
  );

  it('is not mistaken for another one of its name that somebody else owns', async () => {
    const { id, ann, team, bo } = await aTenant();
    await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann, calendar: team.id });
    await stage.sync();
    changeId(ann, team).state.owner = { name: 'Bo', address: bo };
    await afterRestart();
    const paused = await sql<{ code: string }>`
      select paused_code as code from source where id = ${`s-${id}`}`.execute(stage.product.store.db);
    expect(paused.rows).toEqual([{ code: 'graph.calendar_not_found' }]);
  });

  it('is looked for anew where the configuration names another', async () => {
    const { id, ann, mailbox } = await aTenant();
    const other = mailbox.addCalendar('Other');
    other.createEvent({ subject: `Other ${id}`, start: at(31) });
    await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann, calendar: 'Team' });
    await stage.sync();
    await stage.source({ id: `s-${id}`, tenant: id, mailbox: ann, calendar: 'Other' });
    await afterRestart();
    expect(shows(`Other ${id}`)).toBe(true);
    expect(await known(`s-${id}`)).toMatchObject({ calendar_id: other.id, wanted: 'Other' });
  });
});
