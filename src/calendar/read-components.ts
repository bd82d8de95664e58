import type { JCal, JCalProperty } from './ical.ts';
import { readLine, readText } from './ical.ts';
import { SyncError } from '../shared/errors.ts';

export interface ReadComponents {
  /** What the text has at its top: VCALENDARs, normally one. */
  readonly roots: readonly JCal[];
  /** Lines that cannot be read and were left out, once for each name and component. */
  readonly badLines: readonly BadLine[];
}

export interface BadLine {
  /** Null when the line does not begin with a name that we know: what stands there may be anybody's words. */
  readonly property: string | null;
  readonly uid: string | null;
}

const knownNames = new Set([
  'ATTENDEE',
  'CATEGORIES',
  'CREATED',
  'DESCRIPTION',
  'DTEND',
  'DTSTAMP',
  'DTSTART',
  'DURATION',
  'EXDATE',
  'LOCATION',
  'ORGANIZER',
  'RDATE',
  'RECURRENCE-ID',
  'RRULE',
  'SEQUENCE',
  'STATUS',
  'SUMMARY',
  'TRIGGER',
  'UID',
  'URL',
]);

// What one request may hand to us; a feed of 20,000 events has some 20 MB.
const maxLength = 64 * 1_048_576;

/**
 * The components of a text. A text with a fault is read line by line, and the lines at fault are reported. Throws the
 * SyncError `ical.unreadable` when nothing in it is a calendar.
 */
export function readComponents(text: string): ReadComponents {
  if (text.length > maxLength) throw unreadable('it is longer than 64 MiB');
  const body = text.replace(/^[\uFEFF\s]+/, '');
  if (!/^BEGIN:VCALENDAR[ \t]*\r?$/im.test(body)) throw unreadable('it has no BEGIN:VCALENDAR');
  const { roots, badLines } = readWhole(withLineBreaks(body));
  const calendars = roots.filter(([name]) => name === 'vcalendar');
  if (calendars.length === 0) throw unreadable('it has no complete calendar');
  return { roots: calendars, badLines };
}

function readWhole(text: string): ReadComponents {
  try {
    return { roots: readText(text), badLines: [] };
  } catch {
    // ical.js gives the whole text up for one bad line.
    return readByLine(text);
  }
}

function unreadable(why: string): SyncError {
  return new SyncError(`The text is no iCalendar object: ${why}`, {
    code: 'ical.unreadable',
    recovery: { kind: 'retry' },
  });
}

/** Old Macs and some web servers end lines with CR alone. */
function withLineBreaks(text: string): string {
  return /\r(?!\n)/.test(text) ? text.replace(/\r\n?/g, '\n') : text;
}

interface OpenComponent {
  readonly name: string;
  readonly properties: JCalProperty[];
  readonly components: JCal[];
  readonly badNames: Set<string>;
}

function readByLine(text: string): ReadComponents {
  const badLines: BadLine[] = [];
  const root: OpenComponent = { name: '', properties: [], components: [], badNames: new Set() };
  const stack: OpenComponent[] = [root];
  const close = (): void => {
    const done = stack.pop();
    const parent = stack.at(-1);
    if (done === undefined || parent === undefined) return;
    parent.components.push([done.name, done.properties, done.components]);
    const uid = done.properties.find(([name]) => name === 'uid')?.[3];
    for (const name of done.badNames) {
      const property = knownNames.has(name) ? name : null;
      badLines.push({ property, uid: typeof uid === 'string' ? uid : null });
    }
  };
  for (const line of text.replace(/\r?\n[ \t]/g, '').split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const edge = /^(BEGIN|END):([A-Za-z0-9-]+)\s*$/i.exec(line);
    if (edge === null) addLine(stack.at(-1) ?? root, line);
    else if (edge[1]?.toUpperCase() === 'BEGIN') {
      stack.push({ name: (edge[2] ?? '').toLowerCase(), properties: [], components: [], badNames: new Set() });
    } else {
      const name = (edge[2] ?? '').toLowerCase();
      // An END that nobody began is ignored; one that closes an outer component closes the inner ones too.
      if (stack.some((open) => open.name === name)) {
        while (stack.length > 1 && stack.at(-1)?.name !== name) close();
        close();
      }
    }
  }
  while (stack.length > 1) close();
  return { roots: root.components, badLines };
}

function addLine(component: OpenComponent, line: string): void {
  try {
    component.properties.push(readLine(line));
  } catch {
    component.badNames.add(/^(?:[A-Z-]{1,20})(?=[:;])/i.exec(line)?.[0].toUpperCase() ?? '');
  }
}
