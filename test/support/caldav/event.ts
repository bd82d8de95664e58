import { createHash } from 'node:crypto';

/** Text of a small event; `lines` are put before its end. */
export function eventText(uid: string, ...lines: string[]): string {
  return [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//calendar-sync//test//EN',
    'BEGIN:VEVENT',
    `UID:${uid}`,
    'DTSTAMP:20260101T000000Z',
    'DTSTART:20270101T100000Z',
    'DTEND:20270101T110000Z',
    ...lines,
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ].join('\r\n');
}

/** The etag that Baikal gives this text. */
export function etagOfText(text: string): string {
  return `"${createHash('md5').update(text, 'utf8').digest('hex')}"`;
}
