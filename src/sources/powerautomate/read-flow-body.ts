import { readFields, type Fields } from './fields.ts';

/** What a route of the predecessor says of all that it is sent; null: each item says it itself. */
export type FlowAction = 'created' | 'updated' | 'deleted';

/** One event as a flow tells it: flat, without pattern, exceptions or cancellation. Texts are as they came. */
export interface FlowItem {
  readonly id: string;
  readonly isDeleted: boolean;
  readonly iCalUId: string | null;
  readonly seriesMasterId: string | null;
  /** A series' master: its times are those of the first occurrence. */
  readonly isMaster: boolean;
  /** Null only when it is deleted. */
  readonly start: FlowTime | null;
  readonly end: FlowTime | null;
  readonly isAllDay: boolean;
  readonly subject: string | null;
  readonly body: { readonly content: string; readonly isHtml: boolean } | null;
  readonly location: string | null;
  readonly showAs: string | null;
  readonly sensitivity: string | null;
  readonly importance: string | null;
  readonly isCancelled: boolean;
  readonly categories: readonly string[];
  readonly webLink: string | null;
  readonly organizer: string | null;
  readonly attendees: readonly FlowAttendee[];
  readonly response: string | null;
  readonly reminderMinutes: number | null;
  readonly createdAt: string | null;
  readonly lastModifiedAt: string | null;
  readonly changeKey: string | null;
}

export interface FlowTime {
  /** A wall clock in `zone`, or an instant with an offset of its own. */
  readonly text: string;
  /** As the flow names it; null: UTC. */
  readonly zone: string | null;
}

export interface FlowAttendee {
  readonly address: string;
  readonly name: string | null;
  readonly role: 'required' | 'optional' | 'resource';
}

/** What keeps a body from being read. `field` is a path such as `value[3].start`; neither holds a value of the body. */
export interface FlowFault {
  readonly field: string;
  readonly problem: string;
}

/** The numbered part of a window that a scheduled flow posts. Instants as in ISO 8601. */
export interface FlowWindow {
  readonly id: string;
  readonly part: number;
  readonly parts: number;
  readonly from: string;
  readonly to: string;
  /** When the flow listed the calendar; null: it does not say. */
  readonly listedAt: string | null;
}

export type Read<T> =
  { readonly kind: 'read'; readonly value: T } | { readonly kind: 'faults'; readonly faults: readonly FlowFault[] };

/** Above this a body is no flow's. */
const MAX_ITEMS = 5_000;
const MAX_FAULTS = 20;

/**
 * Reads what a flow posts, in all the shapes that triggers and hand-made flows give it: one item, a list, `{ value }`,
 * `{ body: { value } }`, names in any case, missing fields. Pure.
 */
export function readFlowBody(json: unknown, action: FlowAction | null): Read<readonly FlowItem[]> {
  const found = itemsOf(json, '');
  if (found === null) return fault('body', 'is no event, no list of events, and has no list named "value"');
  if (found.items.length > MAX_ITEMS) return fault(found.path, `has more than ${MAX_ITEMS} events; post them in parts`);
  const faults: FlowFault[] = [];
  const items: FlowItem[] = [];
  for (const [index, raw] of found.items.entries()) {
    const path = found.isList ? `${found.path}[${index}]` : '';
    const item = readItem(raw, path, action, faults);
    if (item !== null) items.push(item);
    if (faults.length >= MAX_FAULTS) break;
  }
  return faults.length > 0 ? { kind: 'faults', faults } : { kind: 'read', value: items };
}

/** What `{ window: … }` of a body says of the listing that it is a part of. Pure. */
export function readFlowWindow(json: unknown): Read<FlowWindow> {
  const outer = readFields(json, '', []);
  const raw = outer?.raw('window');
  const faults: FlowFault[] = [];
  const window = readFields(raw, 'window', faults);
  if (window === null) return fault('window', 'is missing: { "id", "part", "parts", "from", "to", "listedAt" }');
  const from = window.instant('from');
  const to = window.instant('to');
  const part = window.integer('part') ?? 1;
  const parts = window.integer('parts') ?? 1;
  const listedAt = window.instant('listedAt');
  if (from === null) window.fault('from', 'is missing: the instant at which the listed window begins');
  if (to === null) window.fault('to', 'is missing: the instant at which the listed window ends');
  if (from !== null && to !== null && Date.parse(to) <= Date.parse(from)) window.fault('to', 'is not after "from"');
  if (parts < 1 || parts > 1_000) window.fault('parts', 'is not between 1 and 1000');
  else if (part < 1 || part > parts) window.fault('part', 'is not between 1 and "parts"');
  const id = window.text('id') ?? listedAt ?? (parts === 1 ? `${from ?? ''}/${to ?? ''}` : null);
  if (id === null) window.fault('id', 'is missing: parts of one listing share one, such as the id of the run');
  else if (id.length > 200) window.fault('id', 'is longer than 200 characters');
  if (faults.length > 0 || from === null || to === null || id === null) return { kind: 'faults', faults };
  return { kind: 'read', value: { id, part, parts, from, to, listedAt } };
}

interface Items {
  readonly items: readonly unknown[];
  readonly path: string;
  readonly isList: boolean;
}

function itemsOf(json: unknown, path: string): Items | null {
  if (Array.isArray(json)) return { items: json, path: path === '' ? 'body' : path, isList: true };
  const fields = readFields(json, path, []);
  if (fields === null) return null;
  const under = (name: string): string => (path === '' ? name : `${path}.${name}`);
  const value = fields.raw('value');
  if (Array.isArray(value)) return { items: value, path: under('value'), isList: true };
  // An event's own body is a text or `{ content }`; only a trigger's output has events in it.
  const inner = fields.raw('body');
  if (typeof inner === 'object' && inner !== null && fields.raw('id') === undefined) {
    const found = itemsOf(inner, under('body'));
    if (found !== null && (found.isList || readFields(inner, '', [])?.raw('id') !== undefined)) return found;
  }
  return fields.size === 0 ? null : { items: [json], path: 'body', isList: false };
}

function readItem(raw: unknown, path: string, action: FlowAction | null, faults: FlowFault[]): FlowItem | null {
  const before = faults.length;
  const item = readFields(raw, path, faults);
  if (item === null) {
    faults.push({ field: path === '' ? 'body' : path, problem: 'is no event' });
    return null;
  }
  const id = item.text('id');
  if (id === null) item.fault('id', 'is missing');
  else if (id.length > 1_000) item.fault('id', 'is longer than 1000 characters');
  const isDeleted =
    action === 'deleted' ||
    (action === null &&
      (item.text('actionType')?.toLowerCase().startsWith('delete') === true || item.flag('isDeleted') === true));
  const isAllDay = item.flag('isAllDay') ?? false;
  const told = faults.length;
  const start = timeOf(item, 'start', isAllDay);
  if (!isDeleted && start === null && faults.length === told) item.fault('start', 'is missing');
  const isOn = item.flag('isReminderOn');
  const minutes = item.integer('reminderMinutesBeforeStart') ?? item.integer('reminder');
  const seriesMasterId = item.text('seriesMasterId');
  const read: FlowItem = {
    id: id ?? '',
    isDeleted,
    iCalUId: item.text('iCalUId'),
    seriesMasterId,
    isMaster: seriesMasterId === null && isRecurring(item),
    start,
    end: timeOf(item, 'end', isAllDay),
    isAllDay,
    subject: item.text('subject'),
    body: bodyOf(item),
    location: item.text('location') ?? item.inner('location')?.text('displayName') ?? null,
    showAs: item.text('showAs'),
    sensitivity: item.text('sensitivity'),
    importance: item.text('importance'),
    isCancelled: item.flag('isCancelled') === true,
    categories: item.texts('categories'),
    webLink: item.text('webLink'),
    organizer: item.text('organizer') ?? item.inner('organizer')?.inner('emailAddress')?.text('address') ?? null,
    attendees: attendeesOf(item),
    response: item.text('responseType') ?? item.inner('responseStatus')?.text('response') ?? null,
    reminderMinutes: isOn === false ? null : minutes,
    createdAt: item.instant('createdDateTime'),
    lastModifiedAt: item.instant('lastModifiedDateTime'),
    changeKey: item.text('changeKey'),
  };
  return faults.length > before ? null : read;
}

/** `startWithTimeZone` is unmistakable; `start` is in the zone beside it, or in UTC. */
function timeOf(item: Fields, name: 'start' | 'end', isAllDay: boolean): FlowTime | null {
  const zone = item.text('timeZone') ?? item.text(`${name}TimeZone`);
  const exact = isAllDay ? null : item.time(`${name}WithTimeZone`);
  if (exact !== null) return { text: exact, zone };
  const inner = item.inner(name);
  if (inner !== null) {
    const text = inner.time('dateTime') ?? inner.time('date');
    return text === null ? null : { text, zone: inner.text('timeZone') ?? zone };
  }
  const text = item.time(name);
  return text === null ? null : { text, zone };
}

/** `none`, `daily` … of the connector; Graph's object; the number of occurrences, as the connector spells it. */
function isRecurring(item: Fields): boolean {
  const word = item.text('recurrence')?.toLowerCase();
  if (word !== undefined && word !== 'none' && word !== 'null') return true;
  if (item.inner('recurrence') !== null) return true;
  return (item.integer('numberOfOccurences') ?? item.integer('numberOfOccurrences') ?? 0) > 1;
}

function bodyOf(item: Fields): FlowItem['body'] {
  const inner = item.inner('body');
  const content = inner === null ? item.text('body') : inner.text('content');
  if (content === null) return null;
  const type = inner?.text('contentType')?.toLowerCase();
  const told = item.flag('isHtml') ?? (type === undefined ? null : type === 'html');
  return { content, isHtml: told ?? /<(?:html|body|p|div|br|span|table)\b/i.test(content.slice(0, 2_000)) };
}

function attendeesOf(item: Fields): FlowAttendee[] {
  const named = (['required', 'optional', 'resource'] as const).flatMap((role) =>
    peopleOf(item.raw(`${role}Attendees`)).map((person) => ({ ...person, role })),
  );
  const others = peopleOf(item.raw('attendees')).map((person) => ({ ...person, role: person.role ?? 'required' }));
  return [...named, ...others];
}

/** `a@x.example;b@y.example;`, or a list of addresses or of Graph's attendees. */
function peopleOf(raw: unknown): { address: string; name: string | null; role: FlowAttendee['role'] | null }[] {
  if (typeof raw === 'string')
    return raw.split(/[;,]/).flatMap((part) => {
      const address = part.trim();
      return address === '' ? [] : [{ address, name: null, role: null }];
    });
  if (!Array.isArray(raw)) return [];
  return raw.flatMap((one) => {
    if (typeof one === 'string') return peopleOf(one);
    const fields = readFields(one, '', []);
    const email = fields?.inner('emailAddress') ?? fields;
    const address = email?.text('address') ?? fields?.text('email') ?? fields?.text('emailAddress') ?? null;
    if (address === null) return [];
    const type = fields?.text('type')?.toLowerCase();
    const role = type === 'optional' || type === 'resource' ? type : null;
    return [{ address, name: email?.text('name') ?? null, role }];
  });
}

function fault(field: string, problem: string): { kind: 'faults'; faults: FlowFault[] } {
  return { kind: 'faults', faults: [{ field, problem }] };
}
