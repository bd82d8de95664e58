import { eventText } from './event.ts';

const event = eventText('a');
const master = /BEGIN:VEVENT[\s\S]*END:VEVENT\r\n/.exec(event)?.[0] ?? '';

/**
 * What Baikal makes of a body: name, text, status, and whether it is stored as sent with an ETag. Checked against Baikal
 * 0.12.1.
 */
export const bodyCases: readonly (readonly [name: string, body: string, status: number, isKept: boolean])[] = [
  ['an event', event, 201, true],
  ['line ends of LF', event.replaceAll('\r', ''), 201, true],
  ['a folded line', eventText('a', 'SUMMARY:one', ' two'), 201, true],
  ['an exception without its master', eventText('a', 'RECURRENCE-ID:20270101T100000Z'), 201, true],
  [
    'a zone without its definition',
    event.replace('DTSTART:20270101T100000Z', 'DTSTART;TZID=W. Europe Standard Time:20270101T100000'),
    201,
    true,
  ],
  ['an end before the start', event.replace('T110000Z', 'T090000Z'), 201, true],
  ['a series without end', eventText('a', 'RRULE:FREQ=DAILY'), 201, true],
  ['no DTSTAMP', event.replace(/DTSTAMP.*\r\n/, ''), 201, false],
  ['no UID', event.replace(/UID.*\r\n/, ''), 201, false],
  ['no PRODID', event.replace(/PRODID.*\r\n/, ''), 201, false],
  ['a control character', eventText('a', 'SUMMARY:a\u0007b'), 201, false],
  ['no DTSTART', event.replace(/DTSTART.*\r\n/, ''), 415, false],
  ['a bad date', event.replace('20270101T100000Z', 'tomorrow'), 415, false],
  ['a METHOD', event.replace('VERSION', 'METHOD:PUBLISH\r\nVERSION'), 415, false],
  ['two masters', event.replace('END:VCALENDAR', `${master}END:VCALENDAR`), 415, false],
  ['two RRULEs', eventText('a', 'RRULE:FREQ=DAILY', 'RRULE:FREQ=DAILY'), 415, false],
  ['an underscore in a name', eventText('a', 'X_A:1'), 415, false],
  ['an alarm without trigger', eventText('a', 'BEGIN:VALARM', 'ACTION:DISPLAY', 'END:VALARM'), 415, false],
  ['half a calendar', event.slice(0, 100), 415, false],
  ['nothing', '', 415, false],
  ['a journal', event.replaceAll('VEVENT', 'VJOURNAL'), 403, false],
  ['10,000 days', eventText('a', 'RRULE:FREQ=DAILY;COUNT=10000'), 500, false],
  ['ten years of days', eventText('a', 'RRULE:FREQ=DAILY;UNTIL=20370101T100000Z'), 500, false],
  ['no days at all', eventText('a', 'RRULE:FREQ=DAILY;COUNT=1', 'EXDATE:20270101T100000Z'), 500, false],
  ['a rule without interval', eventText('a', 'RRULE:FREQ=DAILY;INTERVAL=0'), 500, false],
  [
    'two UIDs',
    event.replace(
      'END:VCALENDAR',
      `${master.replace('UID:a', 'UID:b\r\nRECURRENCE-ID:20270101T100000Z')}END:VCALENDAR`,
    ),
    415,
    false,
  ],
  [
    'two overrides of one date',
    event.replace(
      'END:VCALENDAR',
      `${master.replace('UID:a', 'UID:a\r\nRECURRENCE-ID:20270101T100000Z').repeat(2)}END:VCALENDAR`,
    ),
    201,
    true,
  ],
  ['two statuses', eventText('a', 'STATUS:CONFIRMED', 'STATUS:TENTATIVE'), 415, false],
  ['one status twice', eventText('a', 'STATUS:CONFIRMED', 'STATUS:CONFIRMED'), 201, false],
  ['an end and a duration', eventText('a', 'DURATION:PT1H'), 201, true],
  ['the year 1601', event.replaceAll('20270101T', '16010101T'), 201, true],
  ['the year 4501', event.replaceAll('20270101T', '45010101T'), 201, true],
  ['3,499 days', eventText('a', 'RRULE:FREQ=DAILY;COUNT=3499'), 201, true],
  ['3,500 days', eventText('a', 'RRULE:FREQ=DAILY;COUNT=3500'), 500, false],
  ['a frequency of its own', eventText('a', 'RRULE:FREQ=FORTNIGHTLY'), 500, false],
  ['a count of 0', eventText('a', 'RRULE:FREQ=DAILY;COUNT=0'), 500, false],
  ['a vCard', 'BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\r\nN:A;;;;\r\nEND:VCARD\r\n', 415, false],
  [
    'a date without time',
    event
      .replace('DTSTART:20270101T100000Z', 'DTSTART;VALUE=DATE:20270101')
      .replace('DTEND:20270101T110000Z', 'DTEND;VALUE=DATE:20270102'),
    201,
    true,
  ],
  [
    'quoted parameters',
    eventText('a', 'ATTENDEE;CN="Zed; the: last";PARTSTAT=ACCEPTED:mailto:zed@elsewhere.example'),
    201,
    true,
  ],
  ['a task', event.replaceAll('VEVENT', 'VTODO').replace('DTEND', 'DUE'), 201, true],
  ['no VERSION', event.replace('VERSION:2.0\r\n', ''), 201, false],
  ['another VERSION', event.replace('VERSION:2.0', 'VERSION:1.0'), 415, false],
  [
    'two organizers',
    event
      .replace('END:VEVENT', 'ORGANIZER:mailto:a@x.example\r\nATTENDEE:mailto:b@x.example\r\nEND:VEVENT')
      .replace(
        'END:VCALENDAR',
        `${master.replace('UID:a', 'UID:a\r\nRECURRENCE-ID:20270101T100000Z\r\nORGANIZER:mailto:c@x.example\r\nATTENDEE:mailto:b@x.example')}END:VCALENDAR`,
      ),
    500,
    false,
  ],
];
