import { isAbsolute } from 'node:path';

import { parseKey } from '../shared/secret-box.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What the variables say, before paths are resolved and a key is found. Null: not set. */
export interface Values {
  readonly databaseUrl: string | null;
  readonly dataDir: string;
  readonly publicUrl: string | null;
  readonly host: string;
  readonly port: number;
  readonly apiKey: string | null;
  readonly encryptionKey: Buffer | null;
  readonly encryptionKeysOld: readonly Buffer[];
  readonly configFile: string | null;
  readonly httpsProxy: string | null;
  readonly extraCaFile: string | null;
  readonly logLevel: LogLevel;
  readonly logFiles: number;
  readonly historyDays: number;
  readonly staleAfterMinutes: number;
  readonly alarmWebhookUrl: string | null;
  readonly alarmWebhookSecret: string | null;
  readonly smtpUrl: string | null;
  readonly alarmMailFrom: string | null;
  readonly alarmMailTo: string | null;
  readonly heartbeatUrl: string | null;
  readonly statusEntries: boolean;
  readonly backupDir: string | null;
}

/** Why a text is no value. Never quotes a secret. */
export interface Refusal {
  readonly refused: string;
  readonly remedy: string;
}

export interface Variable<T> {
  readonly name: string;
  /** A secret may also come from the file that `<name>_FILE` names, and is never shown. */
  readonly isSecret: boolean;
  readonly whenAbsent: T;
  /** How `whenAbsent` is written; empty where nothing stands for it. */
  readonly initial: string;
  /** For the operator, in sentences. */
  readonly about: string;
  readonly read: (text: string) => T | Refusal;
}

/** Every variable that the product knows, in the order in which the template and the documentation show them. */
export const VARIABLES: { readonly [K in keyof Values]: Variable<Values[K]> } = {
  databaseUrl: {
    name: 'DATABASE_URL',
    isSecret: true,
    whenAbsent: null,
    initial: '',
    about:
      'PostgreSQL to use, like postgresql://calendaruser:password@db.example:5432/calendardb. Without it an embedded ' +
      'PostgreSQL runs in DATA_DIR.',
    read: (text) => asUrl(text, ['postgres:', 'postgresql:'], 'postgresql://user:password@host:5432/calendardb'),
  },
  dataDir: {
    name: 'DATA_DIR',
    isSecret: false,
    whenAbsent: './data',
    initial: './data',
    about: 'Folder for what must survive a restart: the embedded database, a generated encryption key, log files.',
    read: (text) => text,
  },
  publicUrl: {
    name: 'PUBLIC_URL',
    isSecret: false,
    whenAbsent: null,
    initial: '',
    about:
      'Address under which Microsoft and your browser reach this service, like https://calendar.example. Without it ' +
      'there are no change notifications and no consent pages; calendars are polled.',
    read: readPublicUrl,
  },
  host: {
    name: 'HOST',
    isSecret: false,
    whenAbsent: '127.0.0.1',
    initial: '127.0.0.1',
    about: 'Address to listen on. 0.0.0.0 opens it to other machines; put a proxy with TLS in front of it then.',
    read: (text) => text,
  },
  port: {
    name: 'PORT',
    isSecret: false,
    whenAbsent: 3000,
    initial: '3000',
    about: 'Port to listen on.',
    read: (text) => asInteger(text, 0, 65_535),
  },
  apiKey: {
    name: 'API_KEY',
    isSecret: true,
    whenAbsent: null,
    initial: '',
    about:
      'Key for the JSON API, the web pages and the webhooks (header X-API-Key), at least 16 characters: `openssl rand ' +
      '-hex 24`. Without it they are closed.',
    read: (text) =>
      text.length >= 16
        ? text
        : { refused: `has ${text.length} characters`, remedy: 'Use 16 or more: openssl rand -hex 24' },
  },
  encryptionKey: {
    name: 'ENCRYPTION_KEY',
    isSecret: true,
    whenAbsent: null,
    initial: '',
    about:
      'Encrypts the secrets in the database: 32 bytes in hexadecimal or base64, `openssl rand -hex 32`. Without it one ' +
      'is made at the first start in DATA_DIR/encryption.key, unless the database is on another machine. Whoever loses ' +
      'it enters every secret again: keep a copy apart from the backups.',
    read: readKey,
  },
  encryptionKeysOld: {
    name: 'ENCRYPTION_KEYS_OLD',
    isSecret: true,
    whenAbsent: [],
    initial: '',
    about:
      'Former keys, separated by commas, still able to read until `calendar-sync rotate-key` has rewritten all secrets.',
    read: readKeys,
  },
  configFile: {
    name: 'CONFIG_FILE',
    isSecret: false,
    whenAbsent: null,
    initial: '',
    about: 'YAML file with tenants, targets and sources. Without it ./calendars.yaml, if there is one.',
    read: (text) => text,
  },
  httpsProxy: {
    name: 'HTTPS_PROXY',
    isSecret: true,
    whenAbsent: null,
    initial: '',
    about: 'Proxy for all outgoing requests, like http://proxy.example:3128.',
    read: (text) => asUrl(text, ['http:', 'https:'], 'http://proxy.example:3128'),
  },
  extraCaFile: {
    name: 'NODE_EXTRA_CA_CERTS',
    isSecret: false,
    whenAbsent: null,
    initial: '',
    about: 'PEM file, by its absolute path, with certificates to trust beside the usual ones.',
    read: (text) =>
      isAbsolute(text) ? text : { refused: `"${text}" is not absolute`, remedy: 'Give the whole path, from / on.' },
  },
  logLevel: {
    name: 'LOG_LEVEL',
    isSecret: false,
    whenAbsent: 'info',
    initial: 'info',
    about: `How much is logged: ${LOG_LEVELS.join(', ')}.`,
    read: (text) =>
      LOG_LEVELS.find((level) => level === text) ?? {
        refused: `"${text}" is no level`,
        remedy: `Choose one of ${LOG_LEVELS.join(', ')}.`,
      },
  },
  logFiles: {
    name: 'LOG_FILES',
    isSecret: false,
    whenAbsent: 7,
    initial: '7',
    about:
      'How many log files to keep in DATA_DIR/logs, a new one each day or after 20 MB. 0 writes none: the log then goes ' +
      'to standard output only.',
    read: (text) => asInteger(text, 0, 365),
  },
  historyDays: {
    name: 'HISTORY_DAYS',
    isSecret: false,
    whenAbsent: 90,
    initial: '90',
    about:
      'How long the history of writes and decisions is kept, and conflicts that have closed. The audit log is kept for ' +
      'good, deleted entries for 30 days.',
    read: (text) => asInteger(text, 1, 3_650),
  },
  staleAfterMinutes: {
    name: 'STALE_AFTER_MINUTES',
    isSecret: false,
    whenAbsent: 30,
    initial: '30',
    about:
      'A source that could not be proven fresh for so long is an alarm. Those that are read less often have three of ' +
      'their intervals.',
    read: (text) => asInteger(text, 5, 100_000),
  },
  alarmWebhookUrl: {
    name: 'ALARM_WEBHOOK_URL',
    isSecret: true,
    whenAbsent: null,
    initial: '',
    about:
      'Where alarms, and that they are over, are posted as JSON, like https://chat.example/hooks/abc. Try it with ' +
      '`calendar-sync alarms test`.',
    read: (text) => asUrl(text, ['http:', 'https:'], 'https://chat.example/hooks/abc'),
  },
  alarmWebhookSecret: {
    name: 'ALARM_WEBHOOK_SECRET',
    isSecret: true,
    whenAbsent: null,
    initial: '',
    about:
      'Signs what is posted: X-Signature is sha256= and the HMAC of X-Timestamp, a full stop and the body, in hexadecimal.',
    read: (text) => text,
  },
  smtpUrl: {
    name: 'SMTP_URL',
    isSecret: true,
    whenAbsent: null,
    initial: '',
    about: 'Mail server for alarms, like smtps://user:password@mail.example:465 or smtp://mail.example:587.',
    read: (text) => asUrl(text, ['smtp:', 'smtps:'], 'smtps://user:password@mail.example:465'),
  },
  alarmMailFrom: {
    name: 'ALARM_MAIL_FROM',
    isSecret: false,
    whenAbsent: null,
    initial: '',
    about: 'Sender of the mails. Without it they come from the (first) receiver.',
    read: (text) => asMailAddresses(text),
  },
  alarmMailTo: {
    name: 'ALARM_MAIL_TO',
    isSecret: false,
    whenAbsent: null,
    initial: '',
    about: 'Who gets alarms by mail, with SMTP_URL: one address, or several with commas between.',
    read: (text) => asMailAddresses(text),
  },
  heartbeatUrl: {
    name: 'HEARTBEAT_URL',
    isSecret: true,
    whenAbsent: null,
    initial: '',
    about:
      'Asked for once a minute while every source is fresh, so that a watcher elsewhere (Healthchecks, Uptime Kuma) ' +
      'raises the alarm when this stops.',
    read: (text) => asUrl(text, ['http:', 'https:'], 'https://hc-ping.com/…'),
  },
  statusEntries: {
    name: 'STATUS_ENTRIES',
    isSecret: false,
    whenAbsent: false,
    initial: 'false',
    about:
      'With true, an all-day entry in the calendar itself says which source has not been updated since when. It goes ' +
      'when the source is fresh again.',
    read: (text) =>
      text === 'true' || text === 'false'
        ? text === 'true'
        : { refused: `"${text}" is neither true nor false`, remedy: 'Write true or false.' },
  },
  backupDir: {
    name: 'BACKUP_DIR',
    isSecret: false,
    whenAbsent: null,
    initial: '',
    about:
      'Where backup.sh puts archives (DATA_DIR/backups without it). When the newest is older than two days, that is an alarm.',
    read: (text) => text,
  },
};

/** Whether a text was refused. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'refused' in value;
}

function asInteger(text: string, least: number, most: number): number | Refusal {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  return {
    refused: `"${text}" is no number from ${least} to ${most}`,
    remedy: `Give a whole number, ${least} to ${most}.`,
  };
}

/** Does not quote the text, which may hold a password. */
function asUrl(text: string, protocols: readonly string[], example: string): string | Refusal {
  if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
  return { refused: 'is no such URL', remedy: `Write it like ${example}.` };
}

function asMailAddresses(text: string): string | Refusal {
  const isWell = text.split(',').every((part) => /^(?:[^<>@,]*<)?[^\s<>@,]+@[^\s<>@,]+>?$/.test(part.trim()));
  return isWell ? text : { refused: `"${text}" is no mail address`, remedy: 'Write it like operator@mail.example.' };
}

function readPublicUrl(text: string): string | Refusal {
  const remedy = 'Write it like https://calendar.example, or with the path under which a proxy shows the service.';
  if (!URL.canParse(text)) return { refused: `"${text}" is no URL`, remedy };
  const { protocol, hostname, search, hash, username } = new URL(text);
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (protocol !== 'https:' && !(protocol === 'http:' && isLocal)) {
    return { refused: `"${text}" does not start with https://`, remedy };
  }
  if (search !== '' || hash !== '' || username !== '') return { refused: 'has more than host, port and path', remedy };
  return text.replace(/\/+$/, '');
}

function readKey(text: string): Buffer | Refusal {
  return (
    parseKey(text) ?? { refused: 'is not 32 bytes in hexadecimal or base64', remedy: 'Make one: openssl rand -hex 32' }
  );
}

function readKeys(text: string): readonly Buffer[] | Refusal {
  const keys = text.split(',').map((part) => parseKey(part));
  const bad = keys.indexOf(null);
  if (bad === -1) return keys.filter((key) => key !== null);
  return {
    refused: `number ${bad + 1} is not 32 bytes in hexadecimal or base64`,
    remedy: 'List former keys as they were, separated by commas.',
  };
}
