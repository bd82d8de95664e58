import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export interface ChildOptions {
  readonly name: string;
  /** File beside this one. */
  readonly file: string;
  /** Asked anew at each start: addresses must stay the same over restarts. */
  readonly args: () => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where its output goes; null: nowhere. */
  readonly output: number | 'ignore';
  readonly onMessage?: (message: unknown) => void;
  /** It ended although nobody asked it to, and is started again; `code` is null when it was killed. */
  readonly onRestart: (code: number | null) => void;
}

export interface Child {
  readonly pid: number | undefined;
  send(message: unknown): void;
  stop(): Promise<void>;
}

/** A process that is started again whenever it ends without being asked to. */
export function startChild(options: ChildOptions): Child {
  let isStopping = false;
  let process_: ChildProcess = start();
  let soonest = Date.now();

  function start(): ChildProcess {
    const child = spawn(process.execPath, [`${import.meta.dirname}/${options.file}`, ...options.args()], {
      env: { ...process.env, ...options.env },
      stdio: ['ignore', options.output, options.output, 'ipc'],
    });
    child.on('message', (message) => options.onMessage?.(message));
    child.once('exit', (code) => {
      if (isStopping) return;
      // One that dies at once is not to be started a hundred times a second.
      const waitMs = Math.max(0, soonest - Date.now());
      soonest = Date.now() + waitMs + 1_000;
      setTimeout(() => {
        if (isStopping) return;
        options.onRestart(code);
        process_ = start();
      }, waitMs);
    });
    return child;
  }

  return {
    get pid() {
      return process_.pid;
    },
    send(message) {
      if (process_.connected) process_.send(message as object);
    },
    async stop() {
      isStopping = true;
      if (process_.exitCode !== null || process_.signalCode !== null) return;
      const gone = once(process_, 'exit');
      process_.kill('SIGTERM');
      await gone;
    },
  };
}
