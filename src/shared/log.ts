import { type DestinationStream, type Logger, pino } from 'pino';

import { type Clock, systemClock } from './clock.ts';
import { toSyncError } from './errors.ts';
import { type EventName, EVENTS, type LogEvents } from './log-events.ts';
import { RotatingFile } from './rotating-file.ts';

/** Where happenings are told. */
export interface Log {
  /** Logs one happening at the level of its kind. */
  event<Name extends EventName>(name: Name, fields: LogEvents[Name]): void;
  /** A log that adds these fields to each event. */
  child(fields: Readonly<Record<string, string | number>>): Log;
  /** Closes the files. */
  close(): void;
}

export interface LogOptions {
  readonly level: string;
  /** Standard output for services; standard error for commands, whose output is for others to read. */
  readonly console: DestinationStream;
  /** Folder for files and how many to keep; null: none. */
  readonly files: { readonly folder: string; readonly keep: number } | null;
  readonly clock?: Clock;
  readonly maxBytes?: number;
}

const MAX_BYTES = 20 * 1024 * 1024;

/** Fields that would be secrets if they ever got into an event, at its top or one below. */
const SECRETS = [
  'password',
  'secret',
  'token',
  'apiKey',
  'key',
  'authorization',
  'cookie',
  'privateKey',
  'clientState',
];

/** Logs JSON lines to the console and to rotating files. */
export function createLog({ level, console, files, clock = systemClock, maxBytes = MAX_BYTES }: LogOptions): Log {
  const file = files === null ? null : new RotatingFile({ ...files, maxBytes, clock });
  const streams = [{ stream: console }, ...(file === null ? [] : [{ stream: file }])];
  const logger = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: () => `,"time":"${clock.now().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'event',
      serializers: { error: describeError, path: maskPath, reason: withoutCredentials },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
    },
    // Each stream takes what the logger lets through.
    pino.multistream(streams.map(({ stream }) => ({ stream, level: 'trace' as const }))),
  );
  return wrap(logger, () => file?.close());
}

/** Tells nobody: for tests. */
export const nullLog: Log = { event: () => undefined, child: () => nullLog, close: () => undefined };

function wrap(logger: Logger, close: () => void): Log {
  return {
    event: (name, fields) => logger[EVENTS[name].level](fields as object, name as string),
    child: (fields) => wrap(logger.child(fields), close),
    close,
  };
}

/** An error as fields: what people need of it, its causes included, without what it may have come to hold. */
function describeError(thrown: unknown): object {
  const error = toSyncError(thrown);
  return {
    code: error.code,
    recovery: error.recovery.kind,
    message: withoutCredentials(error.message),
    stack: withoutCredentials((thrown instanceof Error ? thrown : error).stack ?? ''),
    ...(error.cause instanceof Error && error.cause !== thrown ? { cause: describeError(error.cause) } : {}),
  };
}

/** URLs in messages of libraries may carry `user:password@`. */
function withoutCredentials(text: string): string {
  return text.replaceAll(/(\w:\/\/)[^\s/@]+@/g, '$1');
}

/** The notification routes carry their secret in the path. */
function maskPath(path: string): string {
  return path.replace(/(\/api\/graph\/\w+\/)[^/]+/, '$1[redacted]');
}
