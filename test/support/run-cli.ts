/** Command lines as the operator types them, in this process, against a stage. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { beside } from './beside.ts';
import type { Stage } from './stage.ts';

export interface CliResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs one command. One at a time: it borrows the process' environment and streams. */
export async function runCli(
  stage: Stage,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<CliResult> {
  const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-cli-'));
  const before = { ...process.env };
  const writeOut = process.stdout.write.bind(process.stdout);
  const writeErr = process.stderr.write.bind(process.stderr);
  let [out, err] = ['', ''];
  Object.assign(process.env, {
    DATABASE_URL: stage.database.url,
    DATA_DIR: folder,
    ENCRYPTION_KEY: 'ab'.repeat(32),
    LOG_LEVEL: 'silent',
    ...variables,
  });
  process.stdout.write = (text: string | Uint8Array): boolean => {
    out += String(text);
    return true;
  };
  process.stderr.write = (text: string | Uint8Array): boolean => {
    err += String(text);
    return true;
  };
  try {
    const code = await runProgram(args, { fetch: beside(stage.simulator.fetch) });
    return { code, out, err };
  } finally {
    process.stdout.write = writeOut;
    process.stderr.write = writeErr;
    for (const name of Object.keys(process.env)) if (!(name in before)) Reflect.deleteProperty(process.env, name);
    Object.assign(process.env, before);
    rmSync(folder, { recursive: true, force: true });
  }
}
