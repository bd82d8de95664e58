/** The one door to ical.js: text to jCal (RFC 7265) and back. */
import ICAL from 'ical.js';

export type JCalProperty = readonly [
  name: string,
  parameters: Readonly<Record<string, string | readonly string[]>>,
  type: string,
  ...values: unknown[],
];
export type JCal = readonly [name: string, properties: readonly JCalProperty[], components: readonly JCal[]];

/** Octets of a line before it is folded; the blank in front of the lines that continue it makes 75. */
const lineOctets = 74;

/** Lines end with CR LF, the last one included; none is longer than 75 octets (RFC 5545 section 3.1). */
export function componentText([name, properties, components]: JCal): string {
  const tag = name.toUpperCase();
  let text = `BEGIN:${tag}\r\n`;
  for (const property of properties)
    text += `${fold(ICAL.stringify.property([...property], ICAL.design.icalendar, true))}\r\n`;
  for (const component of components) text += componentText(component);
  return `${text}END:${tag}\r\n`;
}

const header = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//calendar-sync//EN', 'CALSCALE:GREGORIAN', ''].join('\r\n');

/** A calendar object of ours around the texts of its components. */
export function calendarText(components: readonly string[]): string {
  return `${header}${components.join('')}END:VCALENDAR\r\n`;
}

/** As ical.js folds, between characters, in half the time: most lines are short and plain. */
function fold(line: string): string {
  if (line.length <= lineOctets && !/[^\u0000-\u007F]/.test(line)) return line;
  let folded = '';
  let [from, octets, at] = [0, 0, 0];
  while (at < line.length) {
    const code = line.codePointAt(at) ?? 0;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
    if (octets + size > lineOctets) {
      folded += `${line.slice(from, at)}\r\n `;
      from = at;
      octets = 0;
    }
    octets += size;
    at += size === 4 ? 2 : 1;
  }
  return folded + line.slice(from);
}

/**
 * The components at the top of a text. Throws whatever ical.js throws; its messages quote the text and must not be
 * shown.
 */
export function readText(text: string): JCal[] {
  const parsed = ICAL.parse(text) as JCal | JCal[];
  return (typeof parsed[0] === 'string' ? [parsed] : parsed) as JCal[];
}

/** One unfolded line as a property. Throws as `readText`. */
export function readLine(line: string): JCalProperty {
  return ICAL.parse.property(line, ICAL.design.icalendar) as JCalProperty;
}
