import { compose, type Product } from '../compose.ts';
import { loadEnv, type Env } from '../config/env.ts';
import { ConfigError, faultLine } from '../config/faults.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import { createLog, type Log } from '../shared/log.ts';
import { storeError } from '../store/database.ts';

/** What a caller other than the operator may put in place: the demo reaches its simulated clouds by its own fetch. */
export interface Overrides {
  readonly fetch?: typeof fetch;
}

/** Exit codes, the same for every command. */
export const exitCodes = {
  ok: 0,
  /** The command ran and found trouble: a failed check, a difference, a source that cannot be read. */
  trouble: 1,
  /** Wrong usage or configuration; nothing was changed. */
  invalid: 2,
  /** Something that the command needs does not answer: PostgreSQL, a tenant, a target. */
  unavailable: 3,
} as const;

export interface Session {
  readonly env: Env;
  readonly log: Log;
  readonly product: Product;
}

/** Opens everything for one command, runs it, and lets go of everything whatever happens. Gives the exit code. */
export async function withProduct(
  overrides: Overrides,
  work: (session: Session) => Promise<number>,
  options: {
    readonly isService?: boolean;
    readonly waitMs?: number;
    /** Ends the waiting for the database. */
    readonly signal?: AbortSignal;
    /** Told when everything is let go of, before the log closes. */
    readonly onClosed?: (log: Log) => void;
    /** Told what broke it off, before the log closes. */
    readonly onFailed?: (log: Log, error: SyncError) => void;
  } = {},
): Promise<number> {
  const env = loadEnv();
  const isService = options.isService ?? false;
  const log = createLog({
    // What a command has to say it says in sentences; only what goes wrong in it is logged.
    level: isService ? env.logLevel : quieter(env.logLevel),
    console: isService ? process.stdout : process.stderr,
    files: env.logFiles === 0 || !isService ? null : { folder: `${env.dataDir}/logs`, keep: env.logFiles },
  });
  try {
    for (const notice of env.notices) log.event('config.notice', { notice });
    const product = await compose({
      env,
      log,
      waitMs: options.waitMs ?? 5_000,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(overrides.fetch === undefined ? {} : { fetch: overrides.fetch }),
    });
    try {
      return await work({ env, log, product });
    } finally {
      await product.close();
      options.onClosed?.(log);
    }
  } catch (thrown) {
    const error = storeError(thrown);
    options.onFailed?.(log, toSyncError(error));
    throw error;
  } finally {
    log.close();
  }
}

function quieter(level: Env['logLevel']): Env['logLevel'] {
  return level === 'silent' ? 'silent' : 'error';
}

/** Tells a failure to a person: what happened, its code, what to do. Gives the exit code. */
export function tellFailure(thrown: unknown, json: boolean): number {
  const error = toSyncError(thrown);
  const faults = error instanceof ConfigError ? error.faults : [];
  if (json)
    process.stdout.write(
      `${JSON.stringify({
        error: {
          code: error.code,
          message: error.message,
          ...(error.field === undefined ? {} : { field: error.field }),
          ...(error.recovery.kind === 'operator' ? { remedy: error.recovery.remedy } : {}),
          ...(faults.length === 0 ? {} : { faults }),
        },
      })}\n`,
    );
  else if (faults.length > 0)
    process.stderr.write(
      `The configuration cannot be used:\n${faults.map((fault) => `  ${faultLine(fault)}\n`).join('')}`,
    );
  else {
    const remedy = error.recovery.kind === 'operator' ? `\n  ${error.recovery.remedy}` : '';
    process.stderr.write(`${error.message} (${error.code})${remedy}\n`);
  }
  return exitCodeOf(error);
}

function exitCodeOf(error: SyncError): number {
  if (/^(cli|config|http\.cannot_listen|secret|backup|restore|retire)/.test(error.code)) return exitCodes.invalid;
  if (/^(store|graph|dav|sign_in|source|target)\./.test(error.code)) return exitCodes.unavailable;
  return exitCodes.trouble;
}

/** Writes a result: JSON for programs, sentences for people. */
export function tell(json: boolean, value: unknown, sentences: readonly string[]): void {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${sentences.join('\n')}\n`);
}

/** A table for the terminal: columns as wide as their widest cell. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}
