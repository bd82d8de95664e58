import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseEnv } from 'node:util';

import { generateKey, parseKey } from '../shared/secret-box.ts';
import { ConfigError, type ConfigFault } from './faults.ts';
import { nearest } from './near.ts';
import { isRefusal, type Values, VARIABLES } from './variables.ts';

/** What the process needs to start; checked, paths absolute, frozen. */
export interface Env extends Omit<Values, 'encryptionKey'> {
  readonly encryptionKey: Buffer;
  /** What the operator should hear of although it can be worked with; each a whole line. */
  readonly notices: readonly string[];
  /** Any variable by name, or from the file that `<name>_FILE` names: for `${NAME}` in the YAML file. */
  readonly lookUp: (name: string) => string | undefined;
}

/**
 * Reads the environment and the `.env` file of `folder` (which never overrides the environment), and makes an encryption
 * key where there may be one. The sole reader of process.env. Throws ConfigError with everything that is wrong.
 */
export function loadEnv(folder: string = process.cwd()): Env {
  const file = join(folder, '.env');
  const unreadable = existsSync(file) ? faultsOfFile('.env', file) : [];
  if (unreadable.length > 0) throw new ConfigError(unreadable);
  const fromFile = existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {};
  return readEnv({ ...fromFile, ...process.env }, folder);
}

/** `loadEnv` on given variables; relative paths start at `folder`. */
export function readEnv(variables: Readonly<Record<string, string | undefined>>, folder: string): Env {
  const faults: ConfigFault[] = [];
  const lookUp = (name: string): string | undefined => nonEmpty(variables[name]) ?? readSecretFile(name);

  function readSecretFile(name: string): string | undefined {
    const path = nonEmpty(variables[`${name}_FILE`]);
    // The line break at its end is the editor's.
    return path === undefined ? undefined : readFileSync(resolve(folder, path), 'utf8').trimEnd();
  }

  function valueOf<K extends keyof Values>(key: K): Values[K] {
    const { name, isSecret, whenAbsent, read } = VARIABLES[key];
    if (isSecret && nonEmpty(variables[name]) !== undefined && nonEmpty(variables[`${name}_FILE`]) !== undefined) {
      faults.push(fault('config.twice', name, `${name} and ${name}_FILE are both set`, 'Remove one of them.'));
      return whenAbsent;
    }
    let text: string | undefined;
    try {
      text = isSecret ? lookUp(name) : nonEmpty(variables[name]);
    } catch {
      const remedy = 'Name a file that this user may read.';
      faults.push(fault('config.file', `${name}_FILE`, `${variables[`${name}_FILE`] ?? ''} cannot be read`, remedy));
    }
    if (text === undefined) return whenAbsent;
    const value = read(text);
    if (!isRefusal(value)) return value;
    faults.push(fault('config.value', name, value.refused, value.remedy));
    return whenAbsent;
  }

  const values: Values = {
    databaseUrl: valueOf('databaseUrl'),
    dataDir: resolve(folder, valueOf('dataDir')),
    publicUrl: valueOf('publicUrl'),
    host: valueOf('host'),
    port: valueOf('port'),
    apiKey: valueOf('apiKey'),
    encryptionKey: valueOf('encryptionKey'),
    encryptionKeysOld: valueOf('encryptionKeysOld'),
    configFile: findConfigFile(valueOf('configFile'), folder, faults),
    httpsProxy: valueOf('httpsProxy'),
    extraCaFile: valueOf('extraCaFile'),
    logLevel: valueOf('logLevel'),
    logFiles: valueOf('logFiles'),
    historyDays: valueOf('historyDays'),
    staleAfterMinutes: valueOf('staleAfterMinutes'),
    alarmWebhookUrl: valueOf('alarmWebhookUrl'),
    alarmWebhookSecret: valueOf('alarmWebhookSecret'),
    smtpUrl: valueOf('smtpUrl'),
    alarmMailFrom: valueOf('alarmMailFrom'),
    alarmMailTo: valueOf('alarmMailTo'),
    heartbeatUrl: valueOf('heartbeatUrl'),
    statusEntries: valueOf('statusEntries'),
    backupDir: inFolder(valueOf('backupDir'), folder),
  };
  const notices = nearMisses(Object.keys(variables));
  const { extraCaFile } = values;
  if (extraCaFile !== null) faults.push(...faultsOfFile(VARIABLES.extraCaFile.name, extraCaFile));
  // A key is only made once nothing else is wrong.
  const key = values.encryptionKey ?? (faults.some(isAboutKey) ? null : keyInDataDir(values, faults, notices));
  if (key === null || faults.length > 0) throw new ConfigError(faults);
  return Object.freeze({ ...values, encryptionKey: key, notices: Object.freeze(notices), lookUp });
}

function findConfigFile(named: string | null, folder: string, faults: ConfigFault[]): string | null {
  const path = resolve(folder, named ?? 'calendars.yaml');
  if (named === null && !existsSync(path)) return null;
  faults.push(...faultsOfFile(VARIABLES.configFile.name, path));
  return path;
}

function inFolder(path: string | null, folder: string): string | null {
  return path === null ? null : resolve(folder, path);
}

function isAboutKey({ field }: ConfigFault): boolean {
  return field.startsWith(VARIABLES.encryptionKey.name) || field.startsWith(VARIABLES.databaseUrl.name);
}

/** The key in DATA_DIR, made at the first start. Adds a fault, and returns null, where that would be no good. */
function keyInDataDir(values: Values, faults: ConfigFault[], notices: string[]): Buffer | null {
  const { name } = VARIABLES.encryptionKey;
  const path = join(values.dataDir, 'encryption.key');
  if (existsSync(path)) {
    const unreadable = faultsOfFile(name, path);
    faults.push(...unreadable);
    if (unreadable.length > 0) return null;
    const key = parseKey(readFileSync(path, 'utf8'));
    if (key === null) {
      faults.push(fault('config.key_file', name, `${path} holds no key`, `Put the key back there, or set ${name}.`));
    }
    return key;
  }
  if (isElsewhere(values.databaseUrl)) {
    // Other processes on other machines share that database; each would make a key of its own.
    const remedy = 'Make one and give it to every process: openssl rand -hex 32';
    faults.push(fault('config.key_missing', name, 'is needed, for the database is on another machine', remedy));
    return null;
  }
  if (faults.length > 0) return null;
  makeKey(path);
  notices.push(`Made an encryption key for secrets: ${path}. Keep a copy apart from the backups.`);
  return parseKey(readFileSync(path, 'utf8'));
}

/** Whole or not at all: of several processes that start at once, one makes it and all use it. */
function makeKey(path: string): void {
  const draft = `${path}.${process.pid}`;
  // Others may pass (root's embedded database runs under another account) but not look.
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  writeFileSync(draft, `${generateKey()}\n`, { mode: 0o600 });
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function isElsewhere(databaseUrl: string | null): boolean {
  if (databaseUrl === null) return false;
  const { hostname, searchParams } = new URL(databaseUrl);
  const host = decodeURIComponent(searchParams.get('host') ?? hostname);
  return !(host === '' || host.startsWith('/') || ['localhost', '127.0.0.1', '[::1]'].includes(host));
}

/** Names that look like ours but are not: a misspelt setting would otherwise be silently ignored. */
function nearMisses(names: readonly string[]): string[] {
  const known = Object.values(VARIABLES).flatMap(({ name, isSecret }) => (isSecret ? [name, `${name}_FILE`] : [name]));
  const ours = new Set([...known, 'HTTP_PROXY', 'https_proxy']);
  return names
    .filter((name) => !ours.has(name))
    .flatMap((name) => {
      const meant = nearest(name, known);
      return meant === undefined ? [] : [`The variable ${name} is unknown and has no effect. Is ${meant} meant?`];
    })
    .toSorted();
}

/** None for a file that can be read. */
function faultsOfFile(field: string, path: string): ConfigFault[] {
  if (!existsSync(path)) {
    return [fault('config.file', field, `there is no file ${path}`, 'Name one that exists, or remove the setting.')];
  }
  try {
    const file = openSync(path, 'r');
    try {
      readSync(file, Buffer.alloc(1)); // a folder may be opened, but not read
    } finally {
      closeSync(file);
    }
    return [];
  } catch {
    const who = process.getuid === undefined ? 'this user' : `the user that runs this (uid ${process.getuid()})`;
    return [fault('config.file', field, `${path} cannot be read`, `Make it a file that ${who} may read.`)];
  }
}

function fault(code: string, field: string, message: string, remedy: string): ConfigFault {
  return { code, field, message, remedy, place: null };
}

function nonEmpty(text: string | undefined): string | undefined {
  const trimmed = text?.trim();
  return trimmed === '' ? undefined : trimmed;
}
