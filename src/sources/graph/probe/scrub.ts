import { createHmac } from 'node:crypto';
import { zoneOf } from '../../../calendar/windows-zones.ts';
import { SEQUENCE_PROPERTY } from '../wire.ts';
import type { Exchange } from './exchange.ts';

/** Where a scrubbed Graph is said to be. */
export const scrubbedHost = 'https://graph.example';

export interface Scrubber {
  readonly exchange: (exchange: Exchange) => Exchange;
  readonly address: (address: string) => string;
  /** An id of a calendar, or `default`. */
  readonly calendar: (wanted: string) => string;
}

/**
 * Makes exchanges fit to be kept: by allow-list, so that what is not known is left out. Shapes, enumerations, times,
 * rules and known time zones stay; ids, addresses and texts become hashes under `key`, equal ones equal, so that what
 * belongs together still does. Whoever has not the key cannot tell what stood there.
 */
export function scrubber(key: Uint8Array): Scrubber {
  const hash = (text: string, length = 12): string =>
    createHmac('sha256', key).update(text).digest('hex').slice(0, length);
  const words = new Words(hash);
  return {
    exchange: ({ purpose, url, prefer, status, body }) => ({
      purpose,
      url: words.url(url),
      prefer: scrubPrefer(prefer),
      status,
      body: words.object(body),
    }),
    address: (address) => words.address(address),
    calendar: (wanted) => (wanted === 'default' ? wanted : words.id(wanted)),
  };
}

type Kind =
  | 'id'
  | 'etag'
  | 'oid'
  | 'uid'
  | 'text'
  | 'content'
  | 'word'
  | 'flag'
  | 'number'
  | 'when'
  | 'zone'
  | 'link'
  | 'url'
  | 'address'
  | 'color'
  | 'code'
  | 'object'
  | 'value';

const table: Readonly<Partial<Record<Kind, string>>> = {
  id: 'id seriesMasterId changeKey',
  etag: '@odata.etag',
  oid: 'occurrenceId cancelledOccurrences',
  uid: 'iCalUId uid',
  text: 'subject bodyPreview displayName name categories street city state countryOrRegion postalCode',
  content: 'content',
  word: '@odata.type reason type response showAs sensitivity importance contentType firstDayOfWeek index daysOfWeek onlineMeetingProvider locationType color',
  flag: 'isAllDay isCancelled isOrganizer isReminderOn responseRequested allowNewTimeProposals hideAttendees hasAttachments isOnlineMeeting isDraft isDefaultCalendar canEdit canShare canViewPrivateItems isRemovable',
  number: 'interval month dayOfMonth numberOfOccurrences reminderMinutesBeforeStart',
  when: 'dateTime startDate endDate originalStart createdDateTime lastModifiedDateTime time',
  zone: 'timeZone originalStartTimeZone originalEndTimeZone recurrenceTimeZone',
  link: '@odata.nextLink @odata.deltaLink exceptionOccurrences@odata.nextLink',
  url: 'webLink joinUrl onlineMeetingUrl',
  address: 'address locationEmailAddress',
  color: 'hexColor',
  code: 'code',
  object:
    '@removed emailAddress status responseStatus organizer body location recurrence pattern range owner onlineMeeting error innerError innererror attendees locations exceptionOccurrences singleValueExtendedProperties start end',
  value: 'value',
};
const kinds: ReadonlyMap<string, Kind> = new Map(
  Object.entries(table).flatMap(([kind, names]) => names.split(' ').map((name) => [name, kind as Kind] as const)),
);

const knownWords = new Set(
  `#microsoft.graph.event deleted changed singleInstance occurrence exception seriesMaster required optional resource none
  organizer tentativelyAccepted accepted declined notResponded free tentative busy oof workingElsewhere unknown normal
  personal private confidential low high html text sunday monday tuesday wednesday thursday friday saturday first second
  third fourth last teamsForBusiness skypeForBusiness skypeForConsumer default conferenceRoom homeAddress
  businessAddress geoCoordinates streetAddress hotel restaurant localBusiness postalAddress daily weekly absoluteMonthly
  relativeMonthly absoluteYearly relativeYearly endDate noEnd numbered auto lightBlue lightGreen lightOrange lightGray
  lightYellow lightTeal lightPink lightBrown lightRed maxColor`.split(/\s+/),
);
const pathWords = new Set(
  'v1.0 users calendar calendars calendarView delta delta() events instances exceptionOccurrences mailboxSettings'.split(
    ' ',
  ),
);

class Words {
  private readonly hash: (text: string, length?: number) => string;

  constructor(hash: (text: string, length?: number) => string) {
    this.hash = hash;
  }

  object(json: unknown): unknown {
    if (Array.isArray(json)) return json.map((one) => this.object(one));
    if (typeof json !== 'object' || json === null) return null;
    const entries = Object.entries(json).flatMap(([name, value]: [string, unknown]): [string, unknown][] => {
      const kind = kinds.get(name);
      if (kind === undefined) return [];
      const scrubbed = this.value(kind, value);
      return scrubbed === undefined ? [] : [[name, scrubbed]];
    });
    return Object.fromEntries(entries);
  }

  /** Undefined: left out. */
  private value(kind: Kind, value: unknown): unknown {
    if (value === null) return null;
    if (kind === 'flag') return typeof value === 'boolean' ? value : undefined;
    if (kind === 'number') return typeof value === 'number' ? value : undefined;
    if (typeof value === 'object') {
      if (kind === 'object' || kind === 'value' || kind === 'address') return this.object(value);
      return Array.isArray(value)
        ? value.map((one) => this.value(kind, one)).filter((one) => one !== undefined)
        : undefined;
    }
    return typeof value === 'string' ? this.text(kind, value) : undefined;
  }

  private text(kind: Kind, text: string): string | undefined {
    if (text.trim() === '') return '';
    switch (kind) {
      case 'id':
        return text.toLowerCase() === SEQUENCE_PROPERTY.toLowerCase() ? SEQUENCE_PROPERTY : this.id(text);
      case 'etag':
        return text.replace(
          /^((?:W\/)?"?)([^"]*)("?)$/,
          (_, before: string, tag: string, after: string) => `${before}${this.id(tag)}${after}`,
        );
      case 'oid':
        return text
          .replace(/^OID\.(.+)\.(\d{4}-\d\d-\d\d)$/, (_, id: string, date: string) => `OID.${this.id(id)}.${date}`)
          .replace(/^(?!OID\.id-[0-9a-f]{12}\.\d{4}-\d\d-\d\d$).*$/s, (other) => this.id(other));
      case 'uid':
        return this.uid(text);
      case 'text':
        return `Text ${this.hash(text, 8)}`;
      case 'content':
        return text.includes('<')
          ? `<html><body>Text ${this.hash(text, 8)}</body></html>`
          : `Text ${this.hash(text, 8)}`;
      case 'word':
        return knownWords.has(text) ? text : 'other';
      case 'when':
        return /^\d{4}-\d\d-\d\d(?:T[\d:.]{4,18}(?:Z|[+-]\d\d:?\d\d)?)?$/.test(text) ? text : undefined;
      case 'zone':
        return this.zone(text);
      case 'link':
        return this.url(text);
      case 'url':
        return `https://example.org/${this.hash(text)}`;
      case 'address':
        return this.address(text);
      case 'color':
        return /^#[0-9a-f]{6}$/i.test(text) ? text : '';
      case 'code':
        return /^[A-Za-z][A-Za-z_]{2,60}$/.test(text) ? text : 'other';
      case 'value':
        return /^\d{1,9}$/.test(text) ? text : undefined;
      default:
        return undefined;
    }
  }

  id(id: string): string {
    return `id-${this.hash(id)}`;
  }

  address(address: string): string {
    const hashed = this.hash(address.trim().toLowerCase());
    return address.includes('@') ? `p-${hashed}@example.org` : `/o=example/cn=${hashed}`;
  }

  /** A GlobalObjectId keeps its date, by which one of a series is told (MS-OXOCAL 2.2.1.27). */
  private uid(uid: string): string {
    const [, prefix, date, rest] = /^(040000008200E00074C5B7101A82E008)([0-9A-F]{8})([0-9A-F]+)$/i.exec(uid) ?? [];
    if (prefix === undefined || date === undefined || rest === undefined) return `uid-${this.hash(uid)}`;
    return `${prefix}${date}${this.hash(rest, 32).toUpperCase()}`;
  }

  private zone(name: string): string {
    const zone = zoneOf(name);
    const isPlain = name.lastIndexOf('(') <= 0;
    if (/^tzone:\/\/Microsoft\/(?:Custom|Utc)$/i.test(name) || name === 'Customized Time Zone') return name;
    if (zone.kind === 'unknown') return `Zone ${this.hash(name, 8)}`;
    return isPlain ? name : zone.kind === 'utc' ? 'UTC' : zone.zone;
  }

  url(text: string): string {
    if (!URL.canParse(text)) return `${scrubbedHost}/`;
    const { pathname, searchParams } = new URL(text);
    const segments = pathname.split('/').filter((one) => one !== '');
    const query = [...searchParams].map(([name, value]) => this.parameter(name, value));
    const path = segments.map((segment) => encodeURIComponent(this.segment(decodeURIComponent(segment)))).join('/');
    return `${scrubbedHost}/${path}${query.length === 0 ? '' : `?${query.join('&')}`}`;
  }

  private segment(segment: string): string {
    if (pathWords.has(segment)) return segment;
    const [, word, inside] = /^(users|calendars|events)\('(.*)'\)$/.exec(segment) ?? [];
    if (word !== undefined && inside !== undefined) return `${word}('${this.segment(inside)}')`;
    return segment.includes('@') ? this.address(segment) : this.id(segment);
  }

  private parameter(name: string, value: string): string {
    const isOurs =
      (/^(?:start|end)DateTime$/i.test(name) && /^[\d:TZ.+-]+$/.test(value)) ||
      (/^\$(?:select|expand)$/.test(name) && isOwnList(value)) ||
      (/^\$(?:top|skip)$/.test(name) && /^\d+$/.test(value));
    if (isOurs) return `${name}=${encodeURIComponent(value)}`;
    return /^\$?(?:skip|delta)token$/i.test(name)
      ? `${name}=${this.hash(value, 16)}`
      : `x=${this.hash(name + value, 16)}`;
  }
}

/** Names of fields only, and the one property that is expanded. */
function isOwnList(list: string): boolean {
  return /^[\w,]*$/.test(list.replace(/singleValueExtendedProperties\(\$filter=id eq '[^']*'\)/, 'x'));
}

/** Only what we ask for. */
function scrubPrefer(prefer: string): string {
  return prefer
    .split(/,\s*/)
    .filter((wish) =>
      /^(?:IdType|outlook\.timezone|outlook\.body-content-type|odata\.maxpagesize)=["\w -]+$/.test(wish),
    )
    .join(', ');
}
