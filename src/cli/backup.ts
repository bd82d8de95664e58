import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadEnv, type Env } from '../config/env.ts';
import { SyncError } from '../shared/errors.ts';
import { dumpDatabase } from '../store/dump.ts';
import { startEmbedded } from '../store/embedded-postgres.ts';
import { version } from '../version.ts';
import { exitCodes } from './context.ts';

/**
 * Makes a backup as backup.sh does: the database, Baikal's data and the configuration in one archive. With `isStdout`
 * only the database, as a stream; the product may go on meanwhile.
 */
export async function backup(isStdout: boolean): Promise<number> {
  if (!isStdout) return await runScript('backup.sh', []);
  const env = loadEnv();
  if (env.databaseUrl === null && !existsSync(join(env.dataDir, 'postgres/PG_VERSION')))
    throw new SyncError(`There is no database: DATABASE_URL is not set and ${env.dataDir} holds none`, {
      code: 'backup.no_database',
      field: 'DATA_DIR',
      recovery: { kind: 'operator', remedy: 'Set the DATABASE_URL or DATA_DIR that the service runs with.' },
    });
  await onDatabase(env, (url) => dumpDatabase(url, process.stdout, version));
  return exitCodes.ok;
}

/** Runs work on the database without bringing its schema up to date, whichever way it is kept. */
export async function onDatabase<T>(env: Env, work: (url: string) => Promise<T>): Promise<T> {
  if (env.databaseUrl !== null) return await work(env.databaseUrl);
  const server = await startEmbedded(env.dataDir);
  try {
    return await work(server.url);
  } finally {
    await server.stop();
  }
}

/** Runs one of the scripts beside the program, on the installation in the present folder. Gives its exit code. */
export function runScript(name: string, args: readonly string[]): Promise<number> {
  const { argv, env, execPath } = process;
  const script = fileURLToPath(new URL(`../../${name}`, import.meta.url));
  const program = argv[1] ?? '';
  return new Promise((resolve, reject) => {
    const child = spawn('bash', [script, ...args], {
      stdio: 'inherit',
      env: { ...env, CALENDAR_SYNC_HOME: process.cwd(), CALENDAR_SYNC_NODE: execPath, CALENDAR_SYNC_PROGRAM: program },
    });
    child.once('error', (cause) =>
      reject(
        new SyncError(`bash, which ${name} needs, does not start: ${cause.message}`, {
          code: 'backup.no_shell',
          recovery: { kind: 'operator', remedy: 'Install bash.' },
          cause,
        }),
      ),
    );
    child.once('exit', (code) => resolve(code ?? exitCodes.trouble));
  });
}
