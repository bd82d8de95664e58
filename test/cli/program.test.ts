import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Client } from 'pg';

import { runProgram } from '../../src/cli/program.ts';
import { startCalDavServer, type CalDavServer } from '../support/caldav/server.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import type { SimulatedTenant } from '../support/graph/people.ts';
import { startGraphSimulator, type GraphSimulator } from '../support/graph/simulator.ts';
import { aHome } from '../support/process.ts';

const directory = '6f0c2a0e-0000-4000-8000-000000000001';
const client = '1d2e0000-0000-4000-8000-000000000002';

let simulator: GraphSimulator;
let tenant: SimulatedTenant;
let caldav: CalDavServer;
let database: TestDatabase;
let empty: TestDatabase;
let home: ReturnType<typeof aHome>;
const variables = process.env;
const folder = process.cwd();
const mainFile = join(folder, 'src/main.ts');

beforeAll(async () => {
  simulator = await startGraphSimulator();
  tenant = simulator.addTenant({ directory, client, secret: 'right' });
  const day = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  tenant
    .addMailbox({ upn: 'ann@contoso.example' })
    .calendar()
    .createEvent({ subject: 'Review', start: `${day}T09:00`, end: `${day}T10:00` });
  caldav = await startCalDavServer({ auth: 'basic' });
  // One installation for all: another one would not touch what this one wrote.
  database = await createMigratedDatabase();
  empty = await createMigratedDatabase();
  home = aHome();
  process.chdir(home.path);
});

afterAll(async () => {
  process.chdir(folder);
  home.remove();
  await database.drop();
  await empty.drop();
  await caldav.close();
  await simulator.close();
});

beforeEach(() => {
  rmSync(join(home.path, 'calendars.yaml'), { force: true });
  process.env = {
    DATABASE_URL: database.url,
    DATA_DIR: home.path,
    ENCRYPTION_KEY: 'ab'.repeat(32),
    SECRET: 'right',
    PASSWORD: 'secret',
  };
});

afterEach(() => {
  process.env = variables;
});

const yaml = (): string => `tenants:
  - { id: contoso, cloud: global, directory: ${directory}, client: ${client}, access: tenant-wide, secret: '\${SECRET}' }
targets:
  - { id: me, url: '${caldav.url}', username: alice, password: '\${PASSWORD}', calendars: [ { id: work, name: Work } ] }
sources:
  - { id: ann, kind: graph, tenant: contoso, mailbox: ann@contoso.example, calendar: default, into: me/work, privacy: full }
`;

interface Told {
  code: number;
  out: string;
  err: string;
}

/** Runs one command line as from a shell, and gives what a person sees of it. */
async function run(...args: string[]): Promise<Told> {
  const told: Told = { code: -1, out: '', err: '' };
  const out = jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((told.out += String(text)), true));
  const err = jest.spyOn(process.stderr, 'write').mockImplementation((text) => ((told.err += String(text)), true));
  try {
    told.code = await runProgram(args, { fetch: simulator.fetch });
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
  return told;
}

function write(text = yaml()): void {
  writeFileSync(join(home.path, 'calendars.yaml'), text);
}

async function rowsOf(query: string): Promise<unknown[]> {
  const connection = new Client({ connectionString: database.url });
  await connection.connect();
  const { rows } = await connection.query<Record<string, unknown>>(query);
  await connection.end();
  return rows;
}

async function stored(): Promise<unknown> {
  const rows = await rowsOf(`
    select (select json_agg(t) from tenant t) as tenants, (select json_agg(t) from target t) as targets,
      (select json_agg(c order by c.id) from claim c) as claims, (select json_agg(o) from object o) as objects`);
  return rows[0];
}

const commands = [
  'serve',
  'web',
  'worker',
  'sync',
  'apply',
  'diff',
  'export',
  'doctor',
  'history',
  'guard list',
  'guard approve',
  'guard discard',
];

describe('help', () => {
  it.each(commands)('of %s has an example', async (command) => {
    const { code, out } = await run(...command.split(' '), '--help');
    expect(code).toBe(0);
    expect(out).toContain(`Examples:\n  calendar-sync ${command}`);
  });

  it('of the whole tells the exit codes', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    expect(out).toMatch(/Exit codes: 0 .*1 .*2 /s);
  });
});

it('of which nobody reads the whole comes to its end all the same', async () => {
  const command = `set -o pipefail; '${process.execPath}' '${mainFile}' --help | true`;
  await expect(promisify(execFile)('bash', ['-c', command])).resolves.toMatchObject({ stderr: '' });
});

describe('wrong usage', () => {
  it.each([
    [['snyc'], /unknown command 'snyc'[\s\S]*sync/],
    [['sync', '--fulll'], /unknown option '--fulll'/],
    [['history', '--limit', 'many'], /whole number/],
    [['history', '--status', 'odd'], /Allowed choices are ok, error/],
    [['guard', 'approve'], /missing required argument 'source'/],
  ] as const)('%j ends with 2 and says what is meant', async (args, says) => {
    const { code, err } = await run(...args);
    expect(code).toBe(2);
    expect(err).toMatch(says);
  });

  it('is JSON where JSON is asked for', async () => {
    const { code, out } = await run('sync', '--fulll', '--json');
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({
      error: { code: 'cli.usage', message: expect.stringContaining('--fulll') },
    });
  });
});

describe('the way from a file to a mirrored calendar', () => {
  it('is one command after the other, each with its exit code, in sentences or JSON', async () => {
    write();
    expect(await run('diff')).toMatchObject({ code: 1, out: expect.stringContaining('source ann is added') });
    expect(await run('apply')).toMatchObject({ code: 0, out: expect.stringContaining('target me is added') });
    expect(await run('diff')).toMatchObject({ code: 0, out: 'Nothing to change.\n' });
    expect(await run('doctor')).toMatchObject({ code: 0, out: expect.stringContaining('All is well.') });
    expect(await run('sync')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/source ann: .*changed 1[\s\S]*created 1/),
    });

    const again = await run('sync', 'ann', '--json');
    expect(again.code).toBe(0);
    expect(JSON.parse(again.out)).toMatchObject({
      results: [
        { kind: 'source', id: 'ann', outcome: 'done' },
        { kind: 'target', id: 'me' },
      ],
    });
    for (const args of [['doctor'], ['history'], ['guard', 'list'], ['export'], ['diff'], ['apply']]) {
      const told = await run(...args, '--json');
      expect([args, told.code, told.err]).toEqual([args, 0, '']);
      expect(() => void JSON.parse(told.out)).not.toThrow();
    }
    expect((await run('export')).out).toContain('secret: ${');
    expect((await run('history', '--action', 'create')).out).toMatch(/ok +create/);
  });
});

describe('a bad input', () => {
  const applied = async (): Promise<unknown> => {
    write();
    expect((await run('apply')).code).toBe(0);
    expect((await run('sync')).code).toBe(0);
    return stored();
  };

  it.each([
    [
      'a tenant of no directory',
      'directory: 6f0c2a0e-0000-4000-8000-000000000001',
      'directory: common',
      /calendars\.yaml:2:\d+: tenants\.contoso\.directory: /,
    ],
    [
      'a cloud that is none',
      'cloud: global',
      'cloud: globl',
      /tenants\.contoso\.cloud: there is no cloud "globl"\. Choose one of/,
    ],
    [
      'an unset secret',
      '${SECRET}',
      '${MISSING}',
      /tenants\.contoso\.secret: needs \$\{MISSING\}, which is not set\. Set MISSING/,
    ],
    ['no mailbox', 'mailbox: ann@contoso.example', 'mailbox: ann', /sources\.ann\.mailbox: /],
    [
      'a calendar of the target that is none',
      'into: me/work',
      'into: me/wrok',
      /sources\.ann\.into: the target me has no calendar "wrok"\. Choose one of work/,
    ],
    ['no URL', /url: '[^']*'/, "url: 'nowhere'", /targets\.me\.url: /],
    ['a misspelt key', 'privacy: full', 'privcay: full', /sources\.ann\.privcay.*privacy/],
    ['no YAML', 'sources:', 'sources: [', /calendars\.yaml:\d+:\d+: .*YAML/],
  ] as const)(
    'in the file, %s, names field, cause and remedy, ends with 2 and changes nothing',
    async (_, from, to, says) => {
      const before = await applied();
      write(yaml().replace(from, to));
      const told = await run('apply');
      expect(told.err).toMatch(says);
      expect(told.code).toBe(2);
      expect(await stored()).toEqual(before);

      const asJson = JSON.parse((await run('apply', '--json')).out) as { error: { code: string; faults: object[] } };
      expect(asJson.error.code).toBe('config.invalid');
      expect(asJson.error.faults[0]).toMatchObject({
        code: expect.stringMatching(/^config\./),
        field: expect.any(String),
        message: expect.any(String),
        remedy: expect.any(String),
      });
    },
  );

  it.each([
    ['ENCRYPTION_KEY', 'short'],
    ['DATABASE_URL', 'mysql://nowhere'],
    ['PORT', '99999999'],
  ])('in the environment, %s=%s, names it and ends with 2', async (name, value) => {
    process.env[name] = value;
    const { code, err } = await run('doctor');
    expect(code).toBe(2);
    expect(err).toMatch(new RegExp(`${name}: .+\\. .+`));
  });

  it('that names no file, source or thing to do says what to name', async () => {
    expect(await run('apply', 'nowhere.yaml')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/nowhere\.yaml.*config\.no_file/),
    });
    expect(await run('apply')).toMatchObject({ code: 2, err: expect.stringMatching(/config\.no_file/) });
    process.env['DATABASE_URL'] = empty.url;
    expect(await run('sync')).toMatchObject({ code: 2, err: expect.stringMatching(/config\.missing_entry/) });
    process.env['DATABASE_URL'] = database.url;
    await applied();
    expect(await run('sync', 'bob')).toMatchObject({ code: 2, err: expect.stringMatching(/Name one of: ann/) });
    expect(await run('guard', 'approve', 'bob')).toMatchObject({ code: 2 });
  });

  it('that only Microsoft or the server can tell is found by doctor and sync, with a remedy; the calendar stays', async () => {
    await applied();
    const shown = [...caldav.objects('alice', 'work').keys()];
    const wrong: [string, string | RegExp, string, RegExp][] = [
      ['directory', directory, '6f0c2a0e-0000-4000-8000-00000000dead', /graph\./],
      ['client', client, '1d2e0000-0000-4000-8000-00000000dead', /graph\./],
      ['mailbox', 'ann@contoso.example', 'nobody@contoso.example', /graph\./],
      ['calendar', 'calendar: default', 'calendar: Nowhere', /graph\./],
      ['URL of the target', caldav.url, 'http://127.0.0.1:9/', /dav\./],
      ['server of the target', caldav.url, `${Object.values(simulator.originMap)[0] ?? ''}/`, /dav\./],
    ];
    for (const [what, from, to, code] of wrong) {
      write(yaml().replace(from, to));
      await run('apply');
      const told = await run('doctor', '--json');
      const { checks } = JSON.parse(told.out) as {
        checks: { state: string; code: string; remedy: string; says: string }[];
      };
      const failed = checks.filter(({ state }) => state === 'failed');
      expect([what, told.code, failed.length]).toEqual([what, 1, expect.any(Number)]);
      expect([what, failed.map((one) => one.code).join()]).toEqual([what, expect.stringMatching(code)]);
      for (const one of failed)
        expect([what, one.remedy.length > 10, one.says]).toEqual([
          what,
          true,
          expect.not.stringMatching(/right|secret['"]/),
        ]);
      const synced = await run('sync');
      expect([what, synced.code]).toEqual([what, 1]);
      expect([what, synced.out]).toEqual([what, expect.stringMatching(code)]);
    }
    for (const [name, value] of [
      ['SECRET', 'wrong-one'],
      ['PASSWORD', 'wrong-one'],
    ] as const) {
      write();
      process.env = { ...process.env, SECRET: 'right', PASSWORD: 'secret', [name]: value };
      await run('apply');
      const told = await run('doctor');
      expect([name, told.code]).toEqual([name, 1]);
      expect(told.out).toMatch(
        name === 'SECRET' ? /FAIL {2}tenant contoso.*graph\.secret_wrong/ : /FAIL {2}target me.*dav\.unauthorized/,
      );
      expect(told.out).not.toContain(value);
      expect((await run('sync')).code).toBe(1);
    }
    expect([...caldav.objects('alice', 'work').keys()]).toEqual(expect.arrayContaining(shown));
  });

  it('that is mended elsewhere is found by doctor, which takes up at once what had been paused', async () => {
    await applied();
    tenant.configure({ allowedMailboxes: [] });
    const waiting = `select paused_code, not_before > now() as waits from source union all
      select paused_code, not_before > now() from target`;
    expect((await run('sync')).code).toBe(1);
    expect(await rowsOf(waiting)).toContainEqual({ paused_code: 'graph.access_denied', waits: true });
    tenant.configure({ allowedMailboxes: 'all' });
    expect((await run('doctor')).out).toMatch(/source ann: reads .*; it had been paused, and is taken up again now/);
    expect(await rowsOf(waiting)).not.toContainEqual(expect.objectContaining({ waits: true }));
    expect((await run('sync')).code).toBe(0);
    expect((await run('doctor')).out).not.toContain('taken up');
  });

  it('that is the database: unreachable ends with 3 and says where to look', async () => {
    process.env['DATABASE_URL'] = 'postgresql://nobody@127.0.0.1:9/none';
    const { code, err } = await run('doctor');
    expect(code).toBe(3);
    expect(err).toMatch(/PostgreSQL does not answer: .*ECONNREFUSED.*store\.unreachable[\s\S]*DATABASE_URL/);
  });
});
