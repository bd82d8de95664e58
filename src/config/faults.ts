import { SyncError } from '../shared/errors.ts';

/** One thing wrong with a setting. Never quotes a secret. */
export interface ConfigFault {
  /** Stable, dotted: `config.number`. */
  readonly code: string;
  /** Variable, or path in the file: `sources.icloud-home.password`. */
  readonly field: string;
  readonly message: string;
  readonly remedy: string;
  /** Where in a file, lines and columns from 1; null for the environment. */
  readonly place: Place | null;
}

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** The configuration cannot be used; tells everything that is wrong with it at once. */
export class ConfigError extends SyncError {
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    super(faults.map(faultLine).join('\n'), {
      code: 'config.invalid',
      recovery: { kind: 'operator', remedy: [...new Set(faults.map((fault) => fault.remedy))].join('\n') },
      ...(faults[0] === undefined ? {} : { field: faults[0].field }),
    });
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** `calendars.yaml:12:5: sources.x.every: "12 parsecs" is no duration. Write it like 60s, 15m, 12h or 7d.` */
export function faultLine({ field, message, remedy, place }: ConfigFault): string {
  const where = place === null ? '' : `${place.file}:${place.line}:${place.column}: `;
  return `${where}${field === '' ? '' : `${field}: `}${message}. ${remedy}`;
}
