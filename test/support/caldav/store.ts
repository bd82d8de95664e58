import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';

export interface User {
  readonly name: string;
  readonly password: string;
  readonly email: string;
}

export interface StoredObject {
  readonly etag: string;
  readonly body: string;
}

interface Change {
  readonly token: number;
  /** Empty for the calendar itself. */
  readonly name: string;
  readonly kind: 'added' | 'modified' | 'deleted';
}

export interface Calendar {
  readonly owner: string;
  readonly name: string;
  readonly components: readonly string[];
  /** Inner XML of stored properties by `{namespace}name`. */
  readonly properties: Map<string, string>;
  /** The first row of each name. */
  readonly objects: Map<string, StoredObject>;
  /** Further rows of a name: two creations at once, which SQLite lets through where nobody has made names unique. */
  readonly copies: Map<string, StoredObject[]>;
  readonly changes: Change[];
  token: number;
}

/** One line of the state file. */
type Entry =
  | {
      readonly do: 'make';
      readonly owner: string;
      readonly calendar: string;
      readonly components: readonly string[];
      readonly properties: Readonly<Record<string, string>>;
    }
  | { readonly do: 'drop'; readonly owner: string; readonly calendar: string }
  | {
      readonly do: 'describe';
      readonly owner: string;
      readonly calendar: string;
      readonly properties: Readonly<Record<string, string | null>>;
    }
  | {
      readonly do: 'put';
      readonly owner: string;
      readonly calendar: string;
      readonly name: string;
      readonly body: string;
      readonly isLogged: boolean;
      /** What the request had found before it wrote; an insertion adds a row, an update changes those that are there. */
      readonly as?: 'insert' | 'update';
    }
  | {
      readonly do: 'remove';
      readonly owner: string;
      readonly calendar: string;
      readonly name: string;
      readonly isLogged?: boolean;
    };

export interface Store {
  readonly calendars: Map<string, Map<string, Calendar>>;
  /** Does and records one change; each is in the state file before this returns. */
  apply(entry: Entry): void;
  close(): void;
}

export const md5 = (text: string): string => `"${createHash('md5').update(text, 'utf8').digest('hex')}"`;

/**
 * Calendars in memory; with a `stateFile` every change is appended to it first, so that a process that is killed comes
 * back with what it had answered for.
 */
export function openStore(users: readonly User[], stateFile: string | null): Store {
  const calendars = new Map<string, Map<string, Calendar>>(users.map((user) => [user.name, new Map()]));

  function carryOut(entry: Entry): void {
    const home = calendars.get(entry.owner) ?? new Map<string, Calendar>();
    calendars.set(entry.owner, home);
    if (entry.do === 'make') {
      home.set(entry.calendar, {
        owner: entry.owner,
        name: entry.calendar,
        components: entry.components,
        properties: new Map(Object.entries(entry.properties)),
        objects: new Map(),
        copies: new Map(),
        changes: [],
        token: 1,
      });
      return;
    }
    const calendar = home.get(entry.calendar);
    if (calendar === undefined) return;
    if (entry.do === 'drop') {
      home.delete(entry.calendar);
    } else if (entry.do === 'describe') {
      for (const [key, value] of Object.entries(entry.properties)) {
        if (value === null) calendar.properties.delete(key);
        else calendar.properties.set(key, value);
      }
      log(calendar, '', 'modified');
    } else if (entry.do === 'put') {
      const row = { etag: md5(entry.body), body: entry.body };
      const isThere = calendar.objects.has(entry.name);
      const as = entry.as ?? (isThere ? 'update' : 'insert');
      const copies = calendar.copies.get(entry.name) ?? [];
      if (as === 'insert' && isThere) calendar.copies.set(entry.name, [...copies, row]);
      else if (as === 'insert' || isThere) {
        calendar.objects.set(entry.name, row);
        if (copies.length > 0)
          calendar.copies.set(
            entry.name,
            copies.map(() => row),
          );
      }
      if (entry.isLogged) log(calendar, entry.name, as === 'insert' ? 'added' : 'modified');
    } else {
      calendar.objects.delete(entry.name);
      calendar.copies.delete(entry.name);
      if (entry.isLogged !== false) log(calendar, entry.name, 'deleted');
    }
  }

  const hasState = stateFile !== null && existsSync(stateFile);
  if (hasState) {
    const text = readFileSync(stateFile, 'utf8');
    // A killed process may have left half a last line; nobody was told that it was stored.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    if (whole !== text) truncateSync(stateFile, Buffer.byteLength(whole));
    for (const line of whole.split('\n')) {
      if (line !== '') carryOut(JSON.parse(line) as Entry);
    }
  }
  const file = stateFile === null ? null : openSync(stateFile, 'a');

  function apply(entry: Entry): void {
    if (file !== null) writeSync(file, `${JSON.stringify(entry)}\n`);
    carryOut(entry);
  }
  for (const user of users) {
    if (calendars.get(user.name)?.has('default') !== true && !hasState) {
      const properties = { '{DAV:}displayname': 'Default calendar' };
      apply({ do: 'make', owner: user.name, calendar: 'default', components: ['VEVENT', 'VTODO'], properties });
    }
  }
  return {
    calendars,
    apply,
    close: () => {
      if (file !== null) closeSync(file);
    },
  };
}

function log(calendar: Calendar, name: string, kind: Change['kind']): void {
  calendar.changes.push({ token: calendar.token, name, kind });
  calendar.token += 1;
}

/** All rows of a name, the oldest first. */
export function rowsOf(calendar: Calendar, name: string): StoredObject[] {
  const first = calendar.objects.get(name);
  return first === undefined ? [] : [first, ...(calendar.copies.get(name) ?? [])];
}

export interface Delta {
  /** Last kind of change per name. */
  readonly names: ReadonlyMap<string, Change['kind']>;
  /** What the report's token says: a number, or the asked one echoed when there is nothing after it. */
  readonly token: string;
  readonly isCut: boolean;
}

/**
 * The changes since a token as sabre/dav finds them: an unknown token is echoed, and a limit is applied to the rows of
 * the log before repeats of a name fall together, so a report may be cut short without saying so.
 */
export function changesSince(calendar: Calendar, token: string, limit: number | null): Delta {
  const from = Number(token);
  const rows = Number.isNaN(from) ? [] : calendar.changes.filter((change) => change.token >= from);
  const taken = limit === null ? rows : rows.slice(0, limit + 1);
  const last = new Map<string, Change>();
  for (const change of taken) last.set(change.name, change);
  const ordered = [...last.values()].toSorted((a, b) => a.token - b.token);
  const shown = limit === null ? ordered : ordered.slice(0, limit);
  const end = shown.at(-1);
  return {
    names: new Map(shown.map((change) => [change.name, change.kind])),
    token: end === undefined ? token : String(end.token + 1),
    isCut: shown.length < ordered.length,
  };
}
