/** Ids in the shapes that Microsoft uses, each derived from a counter so that the same history gives the same ids. */
import { createHash } from 'node:crypto';

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Neighbouring ids differ in the case of one letter: ids are case-sensitive (`outlook-immutable-id.md`). */
function counterCode(counter: number): string {
  let code = '';
  let rest = (counter >> 1) + (counter % 2) * 26;
  for (let place = 0; place < 5; place += 1) {
    code = (letters[rest % 52] ?? 'A') + code;
    rest = place === 0 ? (counter >> 1) / 26 : Math.floor(rest / 52);
    rest = Math.floor(rest);
  }
  return code;
}

export function ordinaryId(counter: number): string {
  return `AAMkADk0Zjc4${counterCode(counter)}BGAAAAAAD=`;
}

export function immutableId(counter: number): string {
  return `AAkALgAAAAAAHYQDEapm${counterCode(counter)}EzAA=`;
}

export function calendarId(counter: number): string {
  return `AAMkADk0Zjc4${counterCode(counter)}CALENDAR=`;
}

export function guid(...parts: (string | number)[]): string {
  const hex = createHash('sha256').update(parts.join('\0')).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const globalObjectPrefix = '040000008200E00074C5B7101A82E008';

/** A GlobalObjectId as Exchange writes it, instance date zeroed (MS-OXOCAL section 2.2.1.27). */
export function iCalUId(counter: number): string {
  const unique = createHash('sha256').update(`uid ${counter}`).digest('hex').toUpperCase();
  return `${globalObjectPrefix}00000000${unique.slice(0, 16)}000000000000000010000000${unique.slice(16, 48)}`;
}

/** The same with the date of an instance put in, as the ids of single occurrences carry it. */
export function iCalUIdOfDate(uid: string, date: string): string {
  if (!uid.startsWith(globalObjectPrefix)) return uid;
  const [year = 0, month = 0, day = 0] = date.split('-').map(Number);
  const hex = (value: number, width: number): string => value.toString(16).toUpperCase().padStart(width, '0');
  return `${globalObjectPrefix}${hex(year, 4)}${hex(month, 2)}${hex(day, 2)}${uid.slice(40)}`;
}

/** An occurrence's id from its master's, in the master's form; a rescheduled series gets new ones. */
export function occurrenceIdFrom(masterId: string, generation: number, date: string): string {
  return `${masterId.replace(/=+$/, '')}-o${generation}x${date.replaceAll('-', '')}=`;
}

/** Takes such an id apart; null for any other id. The master's id has lost its trailing `=`. */
export function splitOccurrenceId(id: string): { masterStem: string; generation: number; date: string } | null {
  const match = /^(.+)-o(\d+)x(\d{4})(\d\d)(\d\d)=$/.exec(id);
  if (!match) return null;
  const [, masterStem = '', generation, year = '', month = '', day = ''] = match;
  return { masterStem, generation: Number(generation), date: `${year}-${month}-${day}` };
}
