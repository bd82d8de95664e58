/** The one door to ical.js: text to jCal (RFC 7265) and back. */
import ICAL from 'ical.js';

export type JCalProperty = readonly [
  name: string,
  parameters: Readonly<Record<string, string | readonly string[]>>,
  type: string,
  ...values: unknown[],
];
export type JCal = readonly [name: string, properties: readonly JCalProperty[], components: readonly JCal[]];

// ical.js counts the blank that it puts in front of continued lines out, so 75 would give lines of 76 octets.
ICAL.foldLength = 74;

/** Lines end with CR LF, the last one included; none is longer than 75 octets (RFC 5545 section 3.1). */
export function componentText(component: JCal): string {
  return ICAL.stringify(component as unknown as unknown[]);
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
