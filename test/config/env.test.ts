import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { defaultFilters } from '../../src/calendar/filters.ts';
import { loadEnv, readEnv } from '../../src/config/env.ts';
import { ConfigError, type ConfigFault } from '../../src/config/faults.ts';
import { cloudShape, sourceShape, targetShape, tenantShape } from '../../src/config/shapes.ts';
import { renderEnvTemplate, renderVariableList } from '../support/render-variables.ts';

const key = 'ab'.repeat(32);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'env-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the environment', () => {
  it('needs nothing: every variable has a default', () => {
    const { lookUp, notices, encryptionKey, ...env } = readEnv({}, folder);
    expect(env).toEqual({
      databaseUrl: null,
      dataDir: join(folder, 'data'),
      publicUrl: null,
      host: '127.0.0.1',
      port: 3000,
      apiKey: null,
      encryptionKeysOld: [],
      configFile: null,
      httpsProxy: null,
      extraCaFile: null,
      logLevel: 'info',
      logFiles: 7,
      historyDays: 90,
      staleAfterMinutes: 30,
      alarmWebhookUrl: null,
      alarmWebhookSecret: null,
      smtpUrl: null,
      alarmMailFrom: null,
      alarmMailTo: null,
      heartbeatUrl: null,
      statusEntries: false,
      backupDir: null,
    });
    expect(encryptionKey).toHaveLength(32);
    expect(lookUp('CONTOSO_SECRET')).toBeUndefined();
    expect(notices).toHaveLength(1);
  });

  it('is frozen, and takes values in the forms that the template shows', () => {
    writeFileSync(join(folder, 'my.yaml'), '');
    const env = readEnv(
      {
        DATABASE_URL: 'postgresql://calendaruser:p%40ss@db.example:5432/calendardb',
        DATA_DIR: '/var/lib/calendar-sync',
        PUBLIC_URL: 'https://calendar.example/sync/',
        PORT: '8080',
        ENCRYPTION_KEY: key,
        ENCRYPTION_KEYS_OLD: `${'cd'.repeat(32)}, ${'ef'.repeat(32)}`,
        CONFIG_FILE: 'my.yaml',
        LOG_LEVEL: 'debug',
        LOG_FILES: '0',
      },
      folder,
    );
    expect(env).toMatchObject({
      dataDir: '/var/lib/calendar-sync',
      publicUrl: 'https://calendar.example/sync',
      port: 8080,
      encryptionKey: Buffer.alloc(32, 0xab),
      encryptionKeysOld: [Buffer.alloc(32, 0xcd), Buffer.alloc(32, 0xef)],
      configFile: join(folder, 'my.yaml'),
      logLevel: 'debug',
      logFiles: 0,
      notices: [],
    });
    expect(Object.isFrozen(env)).toBe(true);
  });

  it('treats an empty variable as not set, as compose files leave them', () => {
    expect(readEnv({ PORT: '', DATABASE_URL: ' ', ENCRYPTION_KEY: key }, folder)).toMatchObject({ port: 3000 });
  });

  it('uses calendars.yaml where there is one', () => {
    writeFileSync(join(folder, 'calendars.yaml'), '');
    expect(readEnv({ ENCRYPTION_KEY: key }, folder).configFile).toBe(join(folder, 'calendars.yaml'));
  });

  it('reads a secret from a file, without the line break at its end', () => {
    writeFileSync(join(folder, 'api_key'), 'a-key-of-some-length\n');
    writeFileSync(join(folder, 'contoso'), 'hunter2\n');
    const env = readEnv({ API_KEY_FILE: 'api_key', CONTOSO_SECRET_FILE: 'contoso', ENCRYPTION_KEY: key }, folder);
    expect(env.apiKey).toBe('a-key-of-some-length');
    expect(env.lookUp('CONTOSO_SECRET')).toBe('hunter2');
  });

  it('tells everything that is wrong at once, each with a remedy, and quotes no secret', () => {
    const faults = faultsOf({
      DATABASE_URL: 'mysql://root:hunter2@db.example/x',
      PUBLIC_URL: 'http://calendar.example',
      PORT: '70000',
      API_KEY: 'short',
      API_KEY_FILE: 'short.txt',
      ENCRYPTION_KEY: 'hunter2',
      ENCRYPTION_KEYS_OLD: `${key},hunter2`,
      CONFIG_FILE: 'nowhere.yaml',
      HTTPS_PROXY: 'hunter2',
      NODE_EXTRA_CA_CERTS: 'ca.pem',
      LOG_LEVEL: 'loud',
      LOG_FILES: '-1',
    });
    expect(faults.map(({ field, message }) => `${field} ${message}`)).toEqual([
      'DATABASE_URL is no such URL',
      'PUBLIC_URL "http://calendar.example" does not start with https://',
      'PORT "70000" is no number from 0 to 65535',
      'API_KEY API_KEY and API_KEY_FILE are both set',
      'ENCRYPTION_KEY is not 32 bytes in hexadecimal or base64',
      'ENCRYPTION_KEYS_OLD number 2 is not 32 bytes in hexadecimal or base64',
      `CONFIG_FILE there is no file ${join(folder, 'nowhere.yaml')}`,
      'HTTPS_PROXY is no such URL',
      'NODE_EXTRA_CA_CERTS "ca.pem" is not absolute',
      'LOG_LEVEL "loud" is no level',
      'LOG_FILES "-1" is no number from 0 to 365',
    ]);
    expect(faults.every(({ remedy }) => remedy.endsWith('.') || remedy.startsWith('Make'))).toBe(true);
    expect(JSON.stringify(faults)).not.toContain('hunter2');
    expect(existsSync(join(folder, 'data'))).toBe(false);
  });

  it('says which file is none that it may read', () => {
    mkdirSync(join(folder, 'a-folder'));
    mkdirSync(join(folder, 'data', 'encryption.key'), { recursive: true });
    expect(faultsOf({ CONFIG_FILE: 'a-folder', NODE_EXTRA_CA_CERTS: join(folder, 'a-folder') })).toMatchObject([
      { field: 'CONFIG_FILE', code: 'config.file', message: `${join(folder, 'a-folder')} cannot be read` },
      { field: 'NODE_EXTRA_CA_CERTS', code: 'config.file', message: `${join(folder, 'a-folder')} cannot be read` },
      { field: 'ENCRYPTION_KEY', code: 'config.file' },
    ]);
    mkdirSync(join(folder, '.env'));
    expect(() => loadEnv(folder)).toThrow(`.env: ${join(folder, '.env')} cannot be read. Make it a file that`);
  });

  it('says which secret file cannot be read', () => {
    expect(faultsOf({ API_KEY_FILE: '/nowhere/key' })).toMatchObject([
      { field: 'API_KEY_FILE', code: 'config.file', message: '/nowhere/key cannot be read' },
    ]);
  });

  it('notices names that look like ours', () => {
    const names = {
      DATABSE_URL: 'x',
      Port: '1',
      LOG_LEVELS: 'x',
      API_KEYFILE: 'x',
      HOME: '/root',
      PATH: '/bin',
      HTTP_PROXY: '',
    };
    expect(readEnv({ ...names, ENCRYPTION_KEY: key }, folder).notices).toEqual([
      'The variable API_KEYFILE is unknown and has no effect. Is API_KEY_FILE meant?',
      'The variable DATABSE_URL is unknown and has no effect. Is DATABASE_URL meant?',
      'The variable LOG_LEVELS is unknown and has no effect. Is LOG_LEVEL meant?',
      'The variable Port is unknown and has no effect. Is PORT meant?',
    ]);
  });
});

describe('a missing encryption key', () => {
  it('is made once, kept to ourselves, told, and found again', () => {
    const path = join(folder, 'data', 'encryption.key');
    const first = readEnv({}, folder);
    expect(first.notices).toEqual([`Made an encryption key for secrets: ${path}. Keep a copy apart from the backups.`]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const second = readEnv({}, folder);
    expect(second.encryptionKey).toEqual(first.encryptionKey);
    expect(second.notices).toEqual([]);
  });

  it('is not made when the database is on another machine, which others may share', () => {
    expect(faultsOf({ DATABASE_URL: 'postgres://u@db.example/calendardb' })).toMatchObject([
      { code: 'config.key_missing', field: 'ENCRYPTION_KEY', remedy: expect.stringContaining('openssl rand -hex 32') },
    ]);
    for (const host of ['localhost', '127.0.0.1:5433', '%2Fvar%2Frun%2Fpostgresql']) {
      expect(readEnv({ DATABASE_URL: `postgres://u@${host}/calendardb` }, folder).encryptionKey).toHaveLength(32);
    }
  });

  it('is not replaced when its file is damaged', () => {
    readEnv({}, folder);
    writeFileSync(join(folder, 'data', 'encryption.key'), 'oops');
    expect(faultsOf({})).toMatchObject([{ code: 'config.key_file', field: 'ENCRYPTION_KEY' }]);
  });
});

describe('the .env file', () => {
  it('adds to the environment and never overrides it', () => {
    writeFileSync(join(folder, '.env'), `PORT=4000\nLOG_FILES=3\nENCRYPTION_KEY=${key} # comment\nX="two\nlines"\n`);
    process.env['PORT'] = '5000';
    try {
      const env = loadEnv(folder);
      expect(env).toMatchObject({ port: 5000, logFiles: 3, encryptionKey: Buffer.alloc(32, 0xab) });
      expect(env.lookUp('X')).toBe('two\nlines');
    } finally {
      delete process.env['PORT'];
    }
  });
});

describe('.env.template', () => {
  it('shows every variable (UPDATE_GOLDEN=1 writes it anew)', () => {
    const path = join(import.meta.dirname, '../../.env.template');
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, renderEnvTemplate());
    expect(readFileSync(path, 'utf8')).toBe(renderEnvTemplate());
  });

  it('is a valid .env file, its defaults included', () => {
    writeFileSync(join(folder, '.env'), renderEnvTemplate().replaceAll(/^#(?=[A-Z_]+=)/gm, ''));
    expect(loadEnv(folder)).toMatchObject({ port: 3000, logFiles: 7, dataDir: join(folder, 'data') });
  });
});

describe('docs/configuration.md', () => {
  const path = join(import.meta.dirname, '../../docs/configuration.md');
  const text = readFileSync(path, 'utf8');

  it('tells every variable (UPDATE_GOLDEN=1 writes them anew)', () => {
    const [head = '', rest = ''] = text.split(/(?<=<!-- variables[^>]*-->\n)/);
    const tail = rest.slice(rest.indexOf('<!-- /variables -->'));
    const wanted = `${head}\n${renderVariableList()}\n\n${tail}`;
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, wanted);
    expect(readFileSync(path, 'utf8')).toBe(wanted);
  });

  it('tells every setting of the file', () => {
    const settings = [
      ...[cloudShape, tenantShape, targetShape, ...sourceShape.options].flatMap((shape) => Object.keys(shape.shape)),
      ...Object.keys(defaultFilters),
    ];
    expect(settings.length).toBeGreaterThan(40);
    const untold = settings.filter((name) => !text.includes(`\`${name}\``) && !text.includes(`\`${name}:`));
    expect(untold).toEqual([]);
  });
});

function faultsOf(variables: Record<string, string>): readonly ConfigFault[] {
  try {
    readEnv(variables, folder);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}
