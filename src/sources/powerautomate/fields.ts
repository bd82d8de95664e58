import { tryParseLocal } from '../../calendar/civil.ts';
import type { FlowFault } from './read-flow-body.ts';

/** The members of one object by name, whatever their case. What has another type than asked for is a fault. */
export interface Fields {
  readonly size: number;
  raw(name: string): unknown;
  /** Null where it is missing, null or blank. An object is no fault: some fields come either way. */
  text(name: string): string | null;
  texts(name: string): readonly string[];
  flag(name: string): boolean | null;
  integer(name: string): number | null;
  /** A wall clock or an instant that exists, as it is written. */
  time(name: string): string | null;
  /** An instant in UTC, of a text that has no zone too. */
  instant(name: string): string | null;
  inner(name: string): Fields | null;
  fault(name: string, problem: string): void;
}

/** Null when the value is no object. Faults are added to `faults`, with `path` before their names. */
export function readFields(value: unknown, path: string, faults: FlowFault[]): Fields | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const members = new Map(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member as unknown]));
  const raw = (name: string): unknown => members.get(name.toLowerCase());
  const fieldOf = (name: string): string => (path === '' ? name : `${path}.${name}`);
  const fault = (name: string, problem: string): void => {
    faults.push({ field: fieldOf(name), problem });
  };
  const text = (name: string): string | null => {
    const found = raw(name);
    if (found === undefined || found === null || typeof found === 'object') return null;
    const written = typeof found === 'string' ? found : JSON.stringify(found);
    return written.trim() === '' ? null : written;
  };
  const time = (name: string): string | null => {
    const found = raw(name);
    if (typeof found === 'number' || typeof found === 'boolean' || Array.isArray(found)) {
      fault(name, 'is no date and time such as "2026-07-01T09:00:00"');
      return null;
    }
    const written = text(name)?.trim() ?? null;
    if (written === null || isTime(written)) return written;
    fault(name, 'is no date and time such as "2026-07-01T09:00:00"');
    return null;
  };
  return {
    size: members.size,
    raw,
    text,
    texts(name) {
      const found = raw(name);
      const all = typeof found === 'string' ? found.split(/[;,]/) : Array.isArray(found) ? (found as unknown[]) : [];
      return all.flatMap((one) => (typeof one === 'string' && one.trim() !== '' ? [one.trim()] : []));
    },
    flag(name) {
      const found = raw(name);
      if (found === undefined || found === null || found === '') return null;
      if (typeof found === 'boolean') return found;
      if (typeof found === 'string' && /^(?:true|false)$/i.test(found.trim())) return /true/i.test(found);
      fault(name, 'is neither true nor false');
      return null;
    },
    integer(name) {
      const found = raw(name);
      if (found === undefined || found === null || found === '' || typeof found === 'object') return null;
      const number = Number(found);
      if (Number.isInteger(number)) return number;
      fault(name, 'is no whole number');
      return null;
    },
    time,
    instant(name) {
      const written = time(name);
      if (written === null) return null;
      // Without a zone it is UTC; fractions are kept, for they tell which of two changes came later.
      const hasZone = /(?:Z|[+-]\d\d:?\d\d)$/.test(written.slice(10));
      return new Date(hasZone || written.length === 10 ? written : `${written}Z`).toISOString();
    },
    inner: (name) => readFields(raw(name), fieldOf(name), faults),
    fault,
  };
}

function isTime(text: string): boolean {
  if (tryParseLocal(text) !== null) return true;
  const local = /^(.+)[+-](?:[01]\d|2[0-3]):?[0-5]\d$/.exec(text)?.[1];
  return local !== undefined && tryParseLocal(local) !== null && !Number.isNaN(Date.parse(text));
}
