/** The product as a process of its own, as operators run it; its clouds are the simulator's. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { until } from './until.ts';

export interface LogLine {
  readonly event: string;
  readonly level: string;
  readonly [field: string]: unknown;
}

export interface Process {
  readonly child: ChildProcess;
  /** Events told so far. */
  readonly events: LogLine[];
  /** All that it wrote. */
  readonly output: () => { stdout: string; stderr: string };
  /** The first event of this name, told already or yet to come. */
  event(name: string, withinMs?: number): Promise<LogLine>;
  /** Sends a signal and gives the exit code once it has ended; null when it was killed. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
  /** Exit code, once it ends by itself. */
  ended(): Promise<number | null>;
}

export interface ProcessOptions {
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly originMap?: Readonly<Record<string, string>>;
}

export function startProcess(args: readonly string[], options: ProcessOptions): Process {
  const file = join(import.meta.dirname, '../demo/product.ts');
  const child = spawn(process.execPath, [file, JSON.stringify(options.originMap ?? {}), ...args], {
    cwd: options.folder,
    env: {
      PATH: process.env['PATH'],
      HOST: '127.0.0.1',
      PORT: '0',
      NODE_COMPILE_CACHE: join(tmpdir(), 'compile-cache'), // as `npm start` has it; the run's processes share it
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const events: LogLine[] = [];
  const written = { stdout: '', stderr: '' };
  createInterface({ input: child.stdout }).on('line', (line) => {
    written.stdout += `${line}\n`;
    if (line.startsWith('{"')) events.push(JSON.parse(line) as LogLine);
  });
  child.stderr.on('data', (chunk: Buffer) => (written.stderr += chunk.toString()));
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const closed = once(child, 'close') as Promise<[number | null]>;

  const self: Process = {
    child,
    events,
    output: () => written,
    async event(name, withinMs = 20_000) {
      const find = (): LogLine | undefined => events.find((line) => line.event === name);
      await until(
        name,
        () => {
          if (find() === undefined && child.exitCode !== null) throw new Error(`It ended with ${child.exitCode}`);
          return find() !== undefined;
        },
        withinMs,
      ).catch((cause: unknown) => {
        throw new Error(`No ${name}; it said ${JSON.stringify(written)}`, { cause });
      });
      return find() as LogLine;
    },
    async end(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return (await exited)[0];
    },
    ended: async () => (await closed)[0],
  };
  return self;
}

/** A folder as an operator has one: `calendars.yaml` in it, and the data. */
export function aHome(yaml: string | null = null): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'calendar-sync-home-'));
  if (yaml !== null) writeFileSync(join(path, 'calendars.yaml'), yaml);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
