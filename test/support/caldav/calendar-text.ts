/** What a CalDAV server needs to know of calendar text; deliberately not the parser under test. */
export interface Property {
  readonly name: string;
  readonly params: ReadonlyMap<string, string>;
  readonly value: string;
}

export interface Component {
  readonly name: string;
  readonly properties: Property[];
  readonly children: Component[];
}

/** The outermost component; null when the text cannot be parsed. */
export function parseCalendar(text: string): Component | null {
  const lines = text
    .replaceAll(/\r?\n[ \t]/g, '')
    .split(/\r?\n/)
    .filter((line) => line !== '');
  const stack: Component[] = [];
  let root: Component | null = null;
  for (const line of lines) {
    const match = /^([A-Za-z0-9-]+)((?:;[A-Za-z0-9-]+=(?:"[^"]*"|[^";:]*)(?:,(?:"[^"]*"|[^";:]*))*)*):(.*)$/.exec(line);
    if (match === null || (root !== null && stack.length === 0)) return null;
    const [, name = '', params = '', value = ''] = match;
    const upper = name.toUpperCase();
    if (upper === 'BEGIN') {
      const component: Component = { name: value.toUpperCase(), properties: [], children: [] };
      stack.at(-1)?.children.push(component);
      root ??= component;
      stack.push(component);
    } else if (upper === 'END') {
      if (stack.pop()?.name !== value.toUpperCase()) return null;
    } else {
      const named = [...params.matchAll(/;([A-Za-z0-9-]+)=("[^"]*"|[^;]*)/g)].map(
        ([, key = '', held = '']): [string, string] => [key.toUpperCase(), held.replaceAll('"', '')],
      );
      stack.at(-1)?.properties.push({ name: upper, params: new Map(named), value });
    }
  }
  return stack.length === 0 ? root : null;
}

export const all = (component: Component, name: string): Property[] =>
  component.properties.filter((property) => property.name === name);
export const first = (component: Component, name: string): Property | undefined =>
  component.properties.find((property) => property.name === name);

export type Judgement =
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly exception: string;
      readonly message: string;
      readonly extra: string;
    }
  /** `body` differs from what was sent when something was repaired; then `warning` says what. */
  | { readonly kind: 'taken'; readonly body: string; readonly warning: string | null };

const refused = (status: number, exception: string, message: string, extra = ''): Judgement => ({
  kind: 'refused',
  status,
  exception,
  message,
  extra,
});
const unsupported = (message: string): Judgement =>
  refused(415, 'Sabre\\DAV\\Exception\\UnsupportedMediaType', message);
const invalid = (message: string): Judgement => unsupported(`Validation error in iCalendar: ${message}`);

/** Takes, repairs or refuses a body as Baikal 0.12 does. `newUid` replaces a missing one. */
export function judgeBody(body: string, components: readonly string[], isStrict: boolean, newUid: string): Judgement {
  const calendar = parseCalendar(body);
  if (calendar === null)
    return unsupported('This resource only supports valid iCalendar 2.0 data. Parse error: Invalid Mimedir file.');
  if (calendar.name !== 'VCALENDAR') return unsupported('This collection can only support iCalendar objects.');
  const events = calendar.children.filter((one) => ['VEVENT', 'VTODO', 'VJOURNAL'].includes(one.name));
  const type = events.at(-1)?.name;
  if (type === undefined || !components.includes(type)) {
    return refused(
      403,
      'Sabre\\CalDAV\\Exception\\InvalidComponentType',
      `iCalendar objects must at least have a component of type ${components.join(', ')}`,
      '  <cal:supported-calendar-component xmlns:cal="urn:ietf:params:xml:ns:caldav"/>\n',
    );
  }
  const version = first(calendar, 'VERSION')?.value;
  if (version !== undefined && version !== '2.0')
    return invalid('Only iCalendar version 2.0 as defined in rfc5545 is supported.');
  if (first(calendar, 'METHOD') !== undefined) {
    return invalid('A calendar object on a CalDAV server MUST NOT have a METHOD property.');
  }
  if (new Set(events.map((event) => first(event, 'UID')?.value ?? '')).size > 1) {
    return invalid('A calendar object on a CalDAV server may only have components with the same UID.');
  }
  if (new Set(events.map((event) => event.name)).size > 1) {
    return invalid(
      'A calendar object on a CalDAV server may only have 1 type of component (VEVENT, VTODO or VJOURNAL).',
    );
  }
  if (events.filter((event) => first(event, 'RECURRENCE-ID') === undefined).length > 1) {
    return invalid('More than one master object was found for the object with UID');
  }
  for (const event of events) {
    const problem = problemOf(event);
    if (problem !== null) return problem;
  }
  const repaired = repair(body, calendar, events, newUid);
  if (repaired.warning !== null && isStrict) return invalid(repaired.warning);
  return { kind: 'taken', ...repaired };
}

const onceOnly = [
  'DTSTART',
  'DTEND',
  'DURATION',
  'RRULE',
  'STATUS',
  'UID',
  'SUMMARY',
  'SEQUENCE',
  'ORGANIZER',
  'RECURRENCE-ID',
];

function problemOf(event: Component): Judgement | null {
  if (event.name === 'VEVENT' && first(event, 'DTSTART') === undefined) {
    return invalid('DTSTART MUST appear exactly once in a VEVENT component');
  }
  for (const name of onceOnly) {
    const values = all(event, name).map((property) => property.value);
    const isSame = new Set(values).size < 2;
    if (values.length > 1 && (!isSame || name === 'RRULE'))
      return invalid(`${name} MUST NOT appear more than once in a VEVENT component`);
  }
  for (const name of ['DTSTART', 'DTEND', 'RECURRENCE-ID']) {
    const value = first(event, name)?.value;
    if (value !== undefined && !/^\d{8}(T\d{6}Z?)?$/.test(value)) {
      return invalid(`The supplied value (${value}) is not a correct DATE-TIME`);
    }
  }
  if (event.children.some((alarm) => alarm.name === 'VALARM' && first(alarm, 'TRIGGER') === undefined)) {
    return invalid('TRIGGER MUST appear exactly once in a VALARM component');
  }
  return ruleProblem(event);
}

/** The recurrence limits, which sabre/dav answers by a 500: 3,500 instances of a finite rule, none at all, nonsense. */
function ruleProblem(event: Component): Judgement | null {
  const rule = first(event, 'RRULE')?.value;
  if (rule === undefined) return null;
  const parts = new Map(
    rule.split(';').map((part): [string, string] => [part.split('=')[0] ?? '', part.split('=')[1] ?? '']),
  );
  const days: Record<string, number> = {
    DAILY: 1,
    WEEKLY: 7,
    MONTHLY: 30.4,
    YEARLY: 365.25,
    HOURLY: 1 / 24,
    MINUTELY: 1 / 1440,
    SECONDLY: 1 / 86400,
  };
  const step = days[parts.get('FREQ') ?? ''];
  const count = parts.has('COUNT') ? Number(parts.get('COUNT')) : null;
  const interval = Number(parts.get('INTERVAL') ?? 1);
  if (step === undefined || count === 0 || interval === 0) {
    return refused(500, 'Sabre\\VObject\\InvalidDataException', 'Invalid recurrence rule');
  }
  const until = parts.get('UNTIL');
  const day = (text: string): number =>
    Date.UTC(Number(text.slice(0, 4)), Number(text.slice(4, 6)) - 1, Number(text.slice(6, 8))) / 86_400_000;
  const span =
    until === undefined ? null : (day(until) - day(first(event, 'DTSTART')?.value ?? '')) / (step * interval);
  if ((count ?? span ?? 0) >= 3_500) {
    return refused(
      500,
      'Sabre\\VObject\\Recur\\MaxInstancesExceededException',
      'Recurring events are only allowed to generate 3500',
    );
  }
  const excluded = all(event, 'EXDATE').flatMap((property) => property.value.split(',')).length;
  if (count !== null && excluded >= count) {
    return refused(500, 'Sabre\\VObject\\Recur\\NoInstancesException', 'All occurrences of this event are excluded');
  }
  return null;
}

function repair(
  body: string,
  calendar: Component,
  events: readonly Component[],
  newUid: string,
): { body: string; warning: string | null } {
  let text = body;
  let warning: string | null = null;
  const fix = (message: string, change: (text: string) => string): void => {
    warning ??= message;
    text = change(text);
  };
  const isMissing = (name: string): boolean => events.some((event) => first(event, name) === undefined);
  const addToEach = (line: string) => (old: string) =>
    old.replaceAll(/^BEGIN:(VEVENT|VTODO|VJOURNAL)\r?\n/gm, (begin) => `${begin}${line}\r\n`);
  if (isMissing('UID')) fix('UID MUST appear exactly once in a VEVENT component', addToEach(`UID:${newUid}`));
  if (isMissing('DTSTAMP'))
    fix('DTSTAMP MUST appear exactly once in a VEVENT component', addToEach('DTSTAMP:20260101T000000Z'));
  for (const [name, value] of [
    ['PRODID', '-//Sabre//Sabre VObject 4.6.0//EN'],
    ['VERSION', '2.0'],
  ] as const) {
    if (first(calendar, name) === undefined) {
      fix(`${name} MUST appear exactly once in a VCALENDAR component`, (old) =>
        old.replace(/^BEGIN:VCALENDAR\r?\n/, (begin) => `${begin}${name}:${value}\r\n`),
      );
    }
  }
  for (const name of onceOnly) {
    if (!events.some((event) => all(event, name).length > 1)) continue;
    fix(`${name} MUST NOT appear more than once in a VEVENT component`, (old) =>
      old.replaceAll(new RegExp(`^(${name}[:;].*\\r?\\n)\\1`, 'gm'), '$1'),
    );
  }
  if (/[\u0000-\u0008\u000B\u000C\u000E-\u001F]/.test(text)) {
    fix('control characters were removed', (old) => old.replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F]/g, ''));
  }
  return { body: text, warning };
}
