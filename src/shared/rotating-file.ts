import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { pino } from 'pino';

import type { Clock } from './clock.ts';

export interface RotatingFileOptions {
  readonly folder: string;
  /** How many files stay; the oldest go. */
  readonly keep: number;
  readonly maxBytes: number;
  readonly clock: Clock;
}

const NAME = /^calendar-sync-\d{4}-\d\d-\d\d\.\d{3}\.log$/;

/**
 * A stream of log lines into `calendar-sync-<UTC day>.<number>.log`, a new file each day and after `maxBytes`. Files are
 * only ever appended to and never renamed, so that several processes can write the same ones.
 */
export class RotatingFile {
  readonly #options: RotatingFileOptions;
  #file: { readonly day: string; readonly destination: ReturnType<typeof pino.destination>; bytes: number } | null =
    null;

  constructor(options: RotatingFileOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true, mode: 0o750 });
  }

  write(line: string): void {
    const day = this.#options.clock.now().toISOString().slice(0, 10);
    if (this.#file?.day !== day || this.#file.bytes >= this.#options.maxBytes) this.#open(day);
    if (this.#file === null) return;
    this.#file.destination.write(line);
    this.#file.bytes += Buffer.byteLength(line);
  }

  close(): void {
    this.#file?.destination.end();
    this.#file = null;
  }

  #open(day: string): void {
    this.close();
    const { folder, keep, maxBytes } = this.#options;
    for (let number = 1; ; number += 1) {
      const path = join(folder, `calendar-sync-${day}.${String(number).padStart(3, '0')}.log`);
      const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      if (bytes >= maxBytes) continue;
      this.#file = { day, bytes, destination: pino.destination({ dest: path, sync: true, mode: 0o640 }) };
      break;
    }
    const files = readdirSync(folder).filter((name) => NAME.test(name));
    for (const name of files.toSorted().slice(0, -keep)) rmSync(join(folder, name), { force: true });
  }
}
