import { eventText } from './event.ts';

/** What one write of a client that knows nothing of our rules makes Baikal mail; checked against Baikal 0.12.1. */
export interface SchedulingCase {
  readonly name: string;
  readonly before: string | null;
  /** Null: the object is deleted. */
  readonly after: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** `METHOD recipient`, sorted. */
  readonly mails: readonly string[];
  /** Whether the body is stored as sent, and an ETag answered. */
  readonly isKept: boolean;
}

const zed = 'zed@elsewhere.example';
const organizer = 'ORGANIZER:mailto:alice@example.org';
const attendee = `ATTENDEE:mailto:${zed}`;
const quiet = 'ATTENDEE;SCHEDULE-AGENT=CLIENT:mailto:zed@elsewhere.example';
const others = 'ORGANIZER:mailto:zed@elsewhere.example';
const othersQuiet = 'ORGANIZER;SCHEDULE-AGENT=CLIENT:mailto:zed@elsewhere.example';
const me = (answer: string): string => `ATTENDEE;PARTSTAT=${answer}:mailto:alice@example.org`;

const own = eventText('own', organizer, attendee);
const later = (text: string): string => text.replace('T110000Z', 'T120000Z');

export const schedulingCases: readonly SchedulingCase[] = [
  { name: 'own meeting made', before: null, after: own, mails: [`REQUEST ${zed}`], isKept: false },
  { name: 'own meeting moved', before: own, after: later(own), mails: [`REQUEST ${zed}`], isKept: false },
  {
    name: 'own meeting given another title',
    before: own,
    after: eventText('own', organizer, attendee, 'SUMMARY:new'),
    mails: [],
    isKept: true,
  },
  {
    name: 'one of two attendees taken out',
    before: eventText('own', organizer, attendee, 'ATTENDEE:mailto:yan@elsewhere.example'),
    after: own,
    mails: ['CANCEL yan@elsewhere.example'],
    isKept: true,
  },
  {
    name: 'own meeting cancelled',
    before: own,
    after: eventText('own', organizer, attendee, 'STATUS:CANCELLED'),
    mails: [`CANCEL ${zed}`],
    isKept: false,
  },
  { name: 'own meeting deleted', before: own, after: null, mails: [`CANCEL ${zed}`], isKept: true },
  {
    name: 'others’ meeting made, accepted',
    before: null,
    after: eventText('their', others, me('ACCEPTED')),
    mails: [`REPLY ${zed}`],
    isKept: false,
  },
  {
    name: 'others’ meeting made, unanswered',
    before: null,
    after: eventText('their', others, me('NEEDS-ACTION')),
    mails: [],
    isKept: true,
  },
  {
    name: 'others’ meeting answered',
    before: eventText('their', others, me('NEEDS-ACTION')),
    after: eventText('their', others, me('DECLINED')),
    mails: [`REPLY ${zed}`],
    isKept: false,
  },
  {
    name: 'others’ meeting deleted',
    before: eventText('their', others, me('NEEDS-ACTION')),
    after: null,
    mails: [`REPLY ${zed}`],
    isKept: true,
  },
  {
    name: 'own meeting with CLIENT on every attendee',
    before: null,
    after: eventText('own', organizer, quiet),
    mails: [],
    isKept: true,
  },
  {
    name: 'own meeting with NONE, which is ignored',
    before: null,
    after: eventText('own', organizer, `ATTENDEE;SCHEDULE-AGENT=NONE:mailto:${zed}`),
    mails: [`REQUEST ${zed}`],
    isKept: false,
  },
  {
    name: 'own meeting with CLIENT on the organizer only',
    before: null,
    after: eventText('own', 'ORGANIZER;SCHEDULE-AGENT=CLIENT:mailto:alice@example.org', attendee),
    mails: [`REQUEST ${zed}`],
    isKept: false,
  },
  {
    name: 'own meeting to which CLIENT is added later',
    before: own,
    after: eventText('own', organizer, quiet),
    mails: [`CANCEL ${zed}`],
    isKept: false,
  },
  {
    name: 'others’ meeting with CLIENT on its organizer',
    before: null,
    after: eventText('their', othersQuiet, me('ACCEPTED')),
    mails: [],
    isKept: true,
  },
  {
    name: 'others’ meeting with CLIENT deleted',
    before: eventText('their', othersQuiet, me('ACCEPTED')),
    after: null,
    mails: [],
    isKept: true,
  },
  {
    name: 'own meeting made with Schedule-Reply: F',
    before: null,
    after: own,
    headers: { 'Schedule-Reply': 'F' },
    mails: [],
    isKept: true,
  },
  {
    name: 'own meeting deleted with Schedule-Reply: F',
    before: own,
    after: null,
    headers: { 'Schedule-Reply': 'F' },
    mails: [],
    isKept: true,
  },
  {
    name: 'others’ meeting in which we have no part',
    before: null,
    after: eventText('their', others, 'ATTENDEE:mailto:yan@elsewhere.example'),
    mails: [],
    isKept: true,
  },
  { name: 'attendees without an organizer', before: null, after: eventText('x', attendee), mails: [], isKept: true },
];
