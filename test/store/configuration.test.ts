import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';

import { applyFile } from '../../src/cli/apply.ts';
import type { ConfigChange } from '../../src/config/diff.ts';
import { readEnv } from '../../src/config/env.ts';
import { renderYaml } from '../../src/config/render-yaml.ts';
import { parseModel } from '../../src/config/yaml.ts';
import { loadModel } from '../../src/store/configuration.ts';
import { startCalDavServer } from '../support/caldav/server.ts';
import type { OutlookCalendar } from '../support/graph/outlook.ts';
import { aHome } from '../support/process.ts';
import { aStage, type Stage } from '../support/stage.ts';

const contoso = { directory: '6f0c2a0e-0000-4000-8000-000000000001', client: '1d2e0000-0000-4000-8000-000000000002' };
const fabrikam = { directory: '6f0c2a0e-0000-4000-8000-000000000003', client: '1d2e0000-0000-4000-8000-000000000004' };
const secrets = {
  CONTOSO_SECRET: 'right-horse-battery',
  FABRIKAM_SECRET: 'other-horse-battery',
  ME_PASSWORD: 'dav-horse-battery',
  FEED_URL: 'https://feeds.example/private-9bf1c2.ics',
  FLOW_KEY: 'flow-key-of-thirty-two-characters-77',
  FLOW_FORMER_KEY: 'flow-key-of-thirty-two-characters-76',
  FLOW_SIGNING_KEY: 'signing-key-of-some-more-characters-5',
  ICLOUD_PASSWORD: 'abcd-efgh-ijkl-mnop',
};

let stage: Stage;
let home: ReturnType<typeof aHome>;
let ann: OutlookCalendar;
let bob: OutlookCalendar;

beforeEach(async () => {
  stage = await aStage({
    caldav: { users: [{ name: 'alice', password: secrets.ME_PASSWORD, email: 'alice@example.org' }] },
  });
  home = aHome();
  ann = stage.simulator
    .addTenant({ ...contoso, secret: secrets.CONTOSO_SECRET })
    .addMailbox({ upn: 'ann@contoso.example' })
    .calendar();
  bob = stage.simulator
    .addTenant({ ...fabrikam, secret: secrets.FABRIKAM_SECRET })
    .addMailbox({ upn: 'bob@fabrikam.example' })
    .calendar();
});

afterEach(async () => {
  await stage.close();
  home.remove();
});

interface Parts {
  tenants: string[];
  targets: string[];
  sources: string[];
}

/** A configuration in which each test changes only what it is about. */
function parts(): Parts {
  return {
    tenants: [
      `{ id: contoso, cloud: global, directory: ${contoso.directory}, client: ${contoso.client}, access: tenant-wide, secret: '\${CONTOSO_SECRET}' }`,
      `{ id: fabrikam, cloud: global, directory: ${fabrikam.directory}, client: ${fabrikam.client}, access: tenant-wide, secret: '\${FABRIKAM_SECRET}' }`,
    ],
    targets: [
      `{ id: me, url: '${stage.caldav.url}', username: alice, password: '\${ME_PASSWORD}', calendars: [ { id: work, name: Work }, { id: side, name: Side } ] }`,
    ],
    sources: [
      `{ id: ann, kind: graph, tenant: contoso, mailbox: ann@contoso.example, calendar: default, into: me/work, privacy: full }`,
      `{ id: bob, kind: graph, tenant: fabrikam, mailbox: bob@fabrikam.example, calendar: default, into: me/side, privacy: full }`,
    ],
  };
}

const withText = (list: string[], from: string, to: string): string[] => list.map((line) => line.replace(from, to));

async function apply(config: Parts, prune = false): Promise<ConfigChange[]> {
  const list = (name: keyof Parts): string => `${name}:\n${config[name].map((line) => `  - ${line}\n`).join('')}`;
  const file = join(home.path, 'calendars.yaml');
  const text = `${list('tenants')}${list('targets')}${config.sources.length === 0 ? '' : list('sources')}`;
  writeFileSync(file, text);
  const env = readEnv({ ...secrets, ENCRYPTION_KEY: 'ab'.repeat(32), DATA_DIR: home.path }, home.path);
  return applyFile(stage.product, env, file, { prune, actor: 'test' });
}

const day = (offset: number): string => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);

const event = (subject: string, offset = 2): { subject: string; start: string; end: string } => ({
  subject,
  start: `${day(offset)}T09:00`,
  end: `${day(offset)}T10:00`,
});

const titles = (calendar: string): string[] =>
  stage
    .bodies(calendar)
    .map((body) => /^SUMMARY:(.*?)\r?$/m.exec(body)?.[1] ?? '')
    .toSorted();

async function rows<T>(text: string): Promise<T[]> {
  const client = new Client({ connectionString: stage.database.url });
  await client.connect();
  try {
    return (await client.query(text)).rows as T[];
  } finally {
    await client.end();
  }
}

/** Every value of every row of every table, as text: what a dump of the database shows. */
async function dump(): Promise<string> {
  const tables = await rows<{ name: string }>(`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`);
  const texts = [];
  for (const { name } of tables) texts.push(...(await rows<{ text: string }>(`select t::text as text from ${name} t`)));
  return texts.map(({ text }) => text).join('\n');
}

describe('a configuration that is applied', () => {
  const others = [
    `{ id: icloud, kind: caldav, preset: icloud, username: me@icloud.example, password: '\${ICLOUD_PASSWORD}', calendar: Home, into: me/side, paused: true }`,
    `{ id: feed, kind: ics, url: '\${FEED_URL}', every: 12h, into: me/side, paused: true, filters: { titles: ['Holiday*'] } }`,
    `{ id: flow, kind: powerautomate, mailbox: me@other.example, key: '\${FLOW_KEY}', formerKey: '\${FLOW_FORMER_KEY}', signingKey: '\${FLOW_SIGNING_KEY}', into: me/work, titleTag: '[F] ', reminders: none }`,
  ];

  it('is what export gives back, whatever kinds of entries it has', async () => {
    const config = { ...parts(), sources: [...parts().sources, ...others] };
    expect((await apply(config)).every(({ kind }) => kind === 'add')).toBe(true);
    const stored = await loadModel(stage.product.store.db, stage.product.box);
    const exported = renderYaml(stored);
    for (const value of Object.values(secrets)) expect(exported).not.toContain(value);
    const lookUp = (name: string): string | undefined => (secrets as Record<string, string>)[name];
    const again = parseModel(exported, { file: 'exported.yaml', lookUp, readText: () => '' });
    expect(again).toEqual(stored);
    expect(await apply(config)).toEqual([]);
  });

  it('with faults changes nothing, and the audit has which they were, once however often it is tried', async () => {
    await apply(parts());
    const before = await loadModel(stage.product.store.db, stage.product.box);
    const faulty = { ...parts(), tenants: [withText(parts().tenants, 'contoso', 'callback')[0] ?? ''] };
    for (let time = 0; time < 2; time += 1)
      await expect(apply(faulty)).rejects.toMatchObject({ code: 'config.invalid' });
    expect(await loadModel(stage.product.store.db, stage.product.box)).toEqual(before);
    const refused = await rows<{ detail: { faults: object[] } }>(
      `select detail from audit where action = 'config.refused'`,
    );
    expect(refused).toHaveLength(1);
    expect(refused[0]?.detail.faults).toContainEqual({ code: 'config.value', field: 'tenants.callback.id' });
  });

  it('leaves no secret in the clear anywhere in the database', async () => {
    await apply({ ...parts(), sources: [...parts().sources, ...others] });
    ann.createEvent(event('Visible'));
    await stage.sync();
    await apply({ ...parts(), targets: withText(parts().targets, 'ME_PASSWORD', 'CONTOSO_SECRET') });
    const text = await dump();
    expect(text).toContain('Visible');
    for (const value of Object.values(secrets)) expect(text).not.toContain(value);
  });

  it('without --prune keeps what the file does not have, and says so', async () => {
    await apply(parts());
    bob.createEvent(event('Of Bob'));
    await stage.sync();
    const changes = await apply({ ...parts(), sources: parts().sources.slice(0, 1) });
    expect(changes.map(({ kind, id }) => [kind, id])).toEqual([['keep', 'bob']]);
    expect(changes[0]?.sentence).toContain('stays');
    await stage.sync();
    expect(titles('side')).toEqual(['Of Bob']);
  });

  it('is refused where an entry that stays would break a rule of the file', async () => {
    await apply(parts());
    const tightened = {
      ...parts(),
      tenants: withText(parts().tenants, 'id: fabrikam,', 'id: fabrikam, ceiling: busy,'),
      sources: parts().sources.slice(0, 1),
    };
    await expect(apply(tightened)).rejects.toMatchObject({
      code: 'config.invalid',
      faults: [expect.objectContaining({ code: 'config.above_ceiling', field: 'sources.bob.privacy' })],
    });
    expect((await loadModel(stage.product.store.db, stage.product.box)).tenants[1]?.ceiling).toBe('full');
    await apply(tightened, true);
  });

  it('twice at once ends as one of the two says', async () => {
    const one = parts();
    const other = { ...parts(), sources: withText(parts().sources, 'into: me/side', 'into: me/work') };
    await Promise.all([apply(one), apply(one), apply(one)]);
    expect((await loadModel(stage.product.store.db, stage.product.box)).sources).toHaveLength(2);
    const results = await Promise.allSettled([apply(one), apply(other), apply(one), apply(other)]);
    expect(results.map(({ status }) => status)).toEqual(Array.from({ length: 4 }, () => 'fulfilled'));
  });

  it('is in the audit: who changed what, without values that are secret', async () => {
    await apply(parts());
    await apply({ ...parts(), targets: withText(parts().targets, 'ME_PASSWORD', 'FLOW_KEY') });
    const last = await rows<{ actor: string; action: string; subject: string; detail: string }>(
      'select actor, action, subject, detail from audit order by id desc limit 1',
    );
    expect(last).toEqual([
      { actor: 'test', action: 'config.update', subject: 'targets/me', detail: 'target me: password changed' },
    ]);
  });
});

describe('tightened privacy', () => {
  it('leaves nothing of the words that may not be kept: claims, trash, conflicts, target', async () => {
    await apply(parts());
    const secretOnes = ['Zwetschgendatschi', 'Quittengelee', 'Schnittlauchbrot'];
    ann.createEvent({ ...event('Zwetschgendatschi'), body: { contentType: 'text', content: 'Quittengelee' } } as never);
    const gone = ann.createEvent(event('Schnittlauchbrot', 3));
    for (let index = 0; index < 12; index += 1) ann.createEvent(event(`Filler ${index}`, 5 + index));
    await stage.sync();
    ann.delete(gone);
    await stage.passTime();
    await stage.sync();
    expect(titles('work')).not.toContain('Schnittlauchbrot');
    expect(await dump()).toContain('Schnittlauchbrot');

    await apply({
      ...parts(),
      sources: withText(parts().sources, 'into: me/work, privacy: full', 'into: me/work, privacy: busy'),
    });
    const text = await dump();
    for (const word of secretOnes) expect(text).not.toContain(word);

    await stage.passTime();
    await stage.sync();
    expect(stage.bodies('work').join('\n')).not.toMatch(/Zwetsch|Quitten|Schnittlauch|Filler/);
    expect(stage.bodies('work')).toHaveLength(13);
    expect(await dump()).not.toMatch(/Zwetsch|Quitten|Schnittlauch/);
  });

  it('to leaving private items out removes them without keeping a copy', async () => {
    await apply(parts());
    ann.createEvent({ ...event('Geheimratsecke'), sensitivity: 'private' } as never);
    for (let index = 0; index < 12; index += 1) ann.createEvent(event(`Filler ${index}`, 5 + index));
    await stage.sync();
    await apply({
      ...parts(),
      sources: withText(
        parts().sources,
        'into: me/work, privacy: full',
        'into: me/work, privacy: full, privateItems: skip',
      ),
    });
    expect(await dump()).not.toContain('Geheimratsecke');
    await stage.passTime();
    await stage.sync();
    expect(titles('work')).not.toContain('Geheimratsecke');
    expect(await dump()).not.toContain('Geheimratsecke');
  });

  it.each([
    ['tightens it', 'into: me/work, privacy: full', 'into: me/work, privacy: busy'],
    ['moves it to another calendar', 'into: me/work, privacy: full', 'into: me/side, privacy: full'],
    ['pauses it', 'into: me/work, privacy: full', 'into: me/work, privacy: full, paused: true'],
    [
      'removes it',
      '{ id: ann, kind: graph, tenant: contoso, mailbox: ann@contoso.example, calendar: default, into: me/work, privacy: full }',
      '',
    ],
  ])('while a worker holds a page of the source: whoever %s finds nothing of the page stored', async (_, from, to) => {
    await apply(parts());
    ann.createEvent(event('Wintergarten'));
    // The page is on its way: the answer waits until the operator's change is committed.
    const slow = stage.simulator.fail({ match: 'ann@contoso.example/calendar', times: 1, how: { slowMs: 1_000 } });
    const run = stage.product.worker.run('ingest', 'ann');
    await stage.simulator.waitForRequest('ann@contoso.example/calendar');
    await apply({ ...parts(), sources: withText(parts().sources, from, to).filter((line) => line !== '') }, true);
    const result = await run;
    expect(slow.hits()).toBe(1);
    expect(result).toMatchObject({ kind: 'failed', error: { code: 'ingest.superseded' } });
    expect(await dump()).not.toContain('Wintergarten');
    expect(await rows('select from claim')).toEqual([]);

    await stage.passTime();
    await stage.sync();
    const elsewhere = [titles('work'), titles('side')].flat();
    expect(elsewhere).toEqual(to.includes('busy') ? ['Busy'] : to.includes('side') ? ['Wintergarten'] : []);
  });
});

describe('a source', () => {
  it('that goes into another calendar is written there before it is deleted here', async () => {
    await apply(parts());
    ann.createEvent(event('Umzug'));
    await stage.sync();
    stage.caldav.forget();
    await apply({ ...parts(), sources: withText(parts().sources, 'into: me/work', 'into: me/side') });
    await stage.passTime();
    await stage.sync();
    expect([titles('work'), titles('side')]).toEqual([[], ['Umzug']]);
    const writes = stage.caldav.requests.filter(({ method }) => method === 'PUT' || method === 'DELETE');
    expect(writes.map(({ method, path }) => [method, path.includes('/side/')])).toEqual([
      ['PUT', true],
      ['DELETE', false],
    ]);
  });

  it('removed with --prune takes its events with it; those of others stay untouched', async () => {
    await apply(parts());
    ann.createEvent(event('Of Ann'));
    bob.createEvent(event('Of Bob'));
    await stage.sync();
    stage.caldav.forget();
    const changes = await apply({ ...parts(), sources: parts().sources.slice(1) }, true);
    expect(changes.map(({ kind, id }) => [kind, id])).toEqual([['remove', 'ann']]);
    await stage.passTime();
    await stage.sync();
    expect([titles('work'), titles('side')]).toEqual([[], ['Of Bob']]);
    expect(stage.caldav.requests.filter(({ method }) => method === 'PUT')).toEqual([]);
    expect(await rows(`select from claim where source_id = 'ann'`)).toEqual([]);
  });
});

describe('a target', () => {
  it('at another address gets everything anew', async () => {
    await apply(parts());
    ann.createEvent(event('Wanderer'));
    await stage.sync();
    const other = await startCalDavServer({ auth: 'basic', users: stage.caldav.users });
    try {
      await apply({ ...parts(), targets: withText(parts().targets, stage.caldav.url, other.url) });
      await stage.passTime();
      await stage.sync();
      expect(other.objects('alice', 'work').size).toBe(1);
    } finally {
      await other.close();
    }
  });

  it('with a wrong password needs the operator; the corrected one is tried at once', async () => {
    await apply({ ...parts(), targets: withText(parts().targets, 'ME_PASSWORD', 'FLOW_KEY') });
    ann.createEvent(event('Later'));
    await stage.sync();
    expect(await rows('select paused_code from target')).toEqual([{ paused_code: 'dav.unauthorized' }]);
    await apply(parts());
    await stage.sync();
    expect(titles('work')).toEqual(['Later']);
    expect(await rows('select paused_code from target')).toEqual([{ paused_code: null }]);
  });

  it('removed with its sources is forgotten; what stands there stays there', async () => {
    await apply(parts());
    ann.createEvent(event('Stays'));
    await stage.sync();
    await apply({ ...parts(), targets: withText(parts().targets, 'id: me', 'id: else'), sources: [] }, true);
    expect(await rows(`select from meeting where target_id = 'me'`)).toEqual([]);
    expect(await rows(`select from object where target_id = 'me'`)).toEqual([]);
    expect(titles('work')).toEqual(['Stays']);
  });

  it('that stops merging shows both copies; merging again leaves one', async () => {
    const both = { ...parts(), sources: withText(parts().sources, 'into: me/side', 'into: me/work') };
    await apply(both);
    const meeting = ann.createEvent(event('Together'));
    ann.inviteTo(meeting, bob.mailbox);
    await stage.sync();
    expect(titles('work')).toEqual(['Together']);

    await apply({ ...both, targets: withText(both.targets, 'id: me,', 'id: me, dedupe: off,') });
    await stage.passTime();
    await stage.sync();
    expect(titles('work')).toEqual(['Together', 'Together']);
    await apply(both);
    await stage.passTime();
    await stage.sync();
    expect(titles('work')).toEqual(['Together']);
  });
});

describe('a secret that cannot be read', () => {
  it('pauses its source with the reason; the others go on', async () => {
    await apply(parts());
    ann.createEvent(event('Of Ann'));
    bob.createEvent(event('Of Bob'));
    await rows(`update tenant set secret_sealed = replace(secret_sealed, '.', '.0') where id = 'contoso'`);
    await stage.sync();
    expect([titles('work'), titles('side')]).toEqual([[], ['Of Bob']]);
    const paused = await rows<{ paused_code: string; remedy: string }>(
      `select paused_code, remedy from source where id = 'ann'`,
    );
    expect(paused).toEqual([{ paused_code: 'secret.unreadable', remedy: expect.stringContaining('ENCRYPTION_KEY') }]);

    // Entered again, it is tried at once.
    await apply(parts());
    await stage.sync();
    expect(titles('work')).toEqual(['Of Ann']);
  });

  it('pauses its target with the reason; reading goes on', async () => {
    await apply(parts());
    await rows(`update target set password_sealed = 'v1.00000000.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA.AAAA'`);
    ann.createEvent(event('Of Ann'));
    await stage.sync();
    expect(await rows(`select paused_code from target`)).toEqual([{ paused_code: 'secret.unreadable' }]);
    expect(await rows(`select from claim`)).toHaveLength(1);
    await apply(parts());
    await stage.sync();
    expect(titles('work')).toEqual(['Of Ann']);
  });
});
