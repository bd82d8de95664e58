/** Events as Graph writes them; a test names only what matters. */
import type { Owner } from '../../../src/sources/graph/people.ts';

export type Json = Record<string, unknown>;

export const owner: Owner = { addresses: ['me@contoso.example'], name: 'Me' };
export const berlin = 'W. Europe Standard Time';
export const newYork = 'Eastern Standard Time';

export function time(dateTime: string): Json {
  return { dateTime: `${dateTime}.0000000`, timeZone: 'UTC' };
}

/** A single appointment of an hour in UTC. */
export function anEvent(fields: Json = {}): Json {
  return {
    '@odata.etag': 'W/"k1"',
    id: 'EV1',
    type: 'singleInstance',
    seriesMasterId: null,
    iCalUId: '040000008200E00074C5B7101A82E00800000000AA01',
    changeKey: 'k1',
    subject: 'Boiler check',
    body: { contentType: 'html', content: '' },
    start: time('2026-07-01T07:00:00'),
    end: time('2026-07-01T08:00:00'),
    isAllDay: false,
    originalStartTimeZone: berlin,
    originalEndTimeZone: berlin,
    attendees: [],
    organizer: person('Me', 'me@contoso.example'),
    isOrganizer: true,
    responseStatus: { response: 'organizer', time: '0001-01-01T00:00:00Z' },
    showAs: 'busy',
    ...fields,
  };
}

/** The noise that Graph fills unused fields with, and a weekly Tuesday that never ends. */
export function recurrence(pattern: Json = {}, range: Json = {}): Json {
  return {
    pattern: {
      type: 'weekly',
      interval: 1,
      month: 0,
      dayOfMonth: 0,
      daysOfWeek: [],
      firstDayOfWeek: 'sunday',
      index: 'first',
      ...pattern,
    },
    range: {
      type: 'noEnd',
      startDate: '2026-05-05',
      endDate: '0001-01-01',
      recurrenceTimeZone: newYork,
      numberOfOccurrences: 0,
      ...range,
    },
  };
}

/** Tuesdays at 19:00 in New York until 19 May 2026: the series of the mapping's cases 12 and 30 to 35. */
export function aMaster(fields: Json = {}): Json {
  return anEvent({
    id: 'EVm1',
    type: 'seriesMaster',
    subject: 'Choir',
    start: time('2026-05-05T23:00:00'),
    end: time('2026-05-06T00:30:00'),
    originalStartTimeZone: newYork,
    originalEndTimeZone: newYork,
    recurrence: recurrence({ daysOfWeek: ['tuesday'] }, { type: 'endDate', endDate: '2026-05-19' }),
    ...fields,
  });
}

export function anException(fields: Json = {}): Json {
  return anEvent({
    id: 'EVm1o2',
    type: 'exception',
    seriesMasterId: 'EVm1',
    subject: 'Choir',
    originalStartTimeZone: newYork,
    originalEndTimeZone: newYork,
    start: time('2026-05-12T21:00:00'),
    end: time('2026-05-12T22:00:00'),
    ...fields,
  });
}

export function person(name: string | null, address: string | null): Json {
  return { emailAddress: { name, address } };
}

export function attendee(address: string, fields: Json = {}): Json {
  return { type: 'required', status: { response: 'none' }, ...person(null, address), ...fields };
}
