import { describe, expect, it } from '@jest/globals';
import ICAL from 'ical.js';
import { contentFingerprint, mergeClientState } from '../../src/calendar/client-state.ts';
import { comparableFields, differingFields } from '../../src/calendar/compare-fields.ts';
import { renderSeries } from '../../src/calendar/render.ts';
import type { RenderedObject } from '../../src/calendar/render.ts';
import type { Series } from '../../src/calendar/series.ts';
import { anEntry, anOverride, aSeries, recurring, utc, zoned } from './builders.ts';
import { defaultOptions } from './golden.ts';

const slot = zoned('2026-07-08T09:00:00');
const series: Series = {
  ...recurring('FREQ=WEEKLY;COUNT=4', zoned('2026-07-01T09:00:00'), zoned('2026-07-01T10:00:00')),
  overrides: [
    anOverride(slot, { start: zoned('2026-07-08T11:00:00'), end: zoned('2026-07-08T12:00:00'), reminder: 5 }),
  ],
};
const main = anEntry({
  start: zoned('2026-07-01T09:00:00'),
  end: zoned('2026-07-01T10:00:00'),
  summary: 'Review, part two',
  description: 'A text that is long enough to be folded, with commas; semicolons and “quotes”.\nSecond line',
  categories: ['Red', 'Blue'],
  reminder: 15,
  organizer: { address: 'boss@contoso.example', name: 'The Boss' },
  attendees: [
    {
      address: 'ann@contoso.example',
      name: 'Ann',
      role: 'required',
      kind: 'individual',
      participation: 'needsAction',
      rsvp: true,
    },
  ],
});

function rendered(one: Series): RenderedObject {
  const [object] = renderSeries(one, defaultOptions);
  if (object === undefined) throw new Error('nothing was rendered');
  return object;
}

const ours = rendered({ ...series, main });

describe('a server’s copy of ours', () => {
  it.each<[string, (text: string) => string]>([
    ['as we wrote it', (text) => text],
    ['with bare line feeds', (text) => text.replaceAll('\r\n', '\n')],
    ['unfolded', (text) => text.replaceAll('\r\n ', '')],
    ['folded elsewhere', (text) => text.replaceAll('\r\n ', '').replace(/(.{40})(?=.)/g, '$1\r\n ')],
    [
      'with other stamps',
      (text) => text.replace(/DTSTAMP:.*/g, 'DTSTAMP:20261122T000000Z\r\nLAST-MODIFIED:20261122T000000Z'),
    ],
    ['with another SEQUENCE', (text) => text.replace(/SEQUENCE:0/g, 'SEQUENCE:4')],
    ['of another program', (text) => text.replace(/PRODID:.*/, 'PRODID:-//Apple Inc.//iOS 19//EN')],
    ['with another zone definition', (text) => text.replace(/BEGIN:VTIMEZONE[^]*END:VTIMEZONE\r\n/, '')],
    [
      'with another name of the zone',
      (text) => text.replaceAll('TZID=Europe/Berlin', 'TZID=/citadel.org/1/Europe/Berlin'),
    ],
    [
      'with explicit defaults',
      (text) =>
        text.replaceAll('ATTENDEE;', 'ATTENDEE;CUTYPE=INDIVIDUAL;').replaceAll('CLASS:PUBLIC\r\n', 'PRIORITY:0\r\n'),
    ],
    ['without defaults', (text) => text.replaceAll('TRANSP:OPAQUE\r\n', '').replaceAll('STATUS:CONFIRMED\r\n', '')],
    ['with DURATION', (text) => text.replace('DTEND;TZID=Europe/Berlin:20260701T100000', 'DURATION:PT60M')],
    [
      'with another spelling of the trigger',
      (text) => text.replace('TRIGGER:-PT15M', 'TRIGGER;RELATED=START:-P0DT0H15M0S'),
    ],
    ['with categories apart', (text) => text.replace('CATEGORIES:Red,Blue', 'CATEGORIES:Blue\r\nCATEGORIES:Red')],
    [
      'with an acknowledged alarm',
      (text) => text.replace('TRIGGER:-PT15M', 'TRIGGER:-PT15M\r\nACKNOWLEDGED:20260701T064500Z'),
    ],
    [
      'with Thunderbird’s marks',
      (text) => text.replace('SUMMARY', 'X-MOZ-LASTACK:20260701T064500Z\r\nX-MOZ-GENERATION:2\r\nSUMMARY'),
    ],
    [
      'with a snoozed alarm',
      (text) =>
        text.replace(
          'BEGIN:VALARM',
          'BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:PT5M\r\nRELATED-TO;RELTYPE=SNOOZE:a\r\nEND:VALARM\r\nBEGIN:VALARM',
        ),
    ],
    [
      'with Apple’s default alarm',
      (text) =>
        text.replace(
          'BEGIN:VALARM',
          'BEGIN:VALARM\r\nACTION:NONE\r\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z\r\nEND:VALARM\r\nBEGIN:VALARM',
        ),
    ],
    ['with the master last', swapEvents],
    ['with sorted properties', sortProperties],
  ])('%s has our fingerprint', (_what, change) => {
    const copy = change(ours.text);

    expect(contentFingerprint(copy)).toBe(ours.fingerprint);
  });

  it.each<[string, (text: string) => string]>([
    ['another title', (text) => text.replace('Review', 'Party')],
    [
      'another time',
      (text) => text.replace('DTEND;TZID=Europe/Berlin:20260701T100000', 'DTEND;TZID=Europe/Berlin:20260701T103000'),
    ],
    ['another rule', (text) => text.replace('COUNT=4', 'COUNT=5')],
    [
      'an exclusion',
      (text) => text.replace('RRULE:FREQ=WEEKLY', 'EXDATE;TZID=Europe/Berlin:20260715T090000\r\nRRULE:FREQ=WEEKLY'),
    ],
    ['another alarm', (text) => text.replace('TRIGGER:-PT15M', 'TRIGGER:-PT20M')],
    ['no SCHEDULE-AGENT', (text) => text.replaceAll(';SCHEDULE-AGENT=CLIENT', '')],
    ['an answer', (text) => text.replace('NEEDS-ACTION', 'ACCEPTED')],
    ['no override', (text) => text.slice(0, text.lastIndexOf('BEGIN:VEVENT')) + 'END:VCALENDAR\r\n'],
  ])('with %s has another fingerprint', (_what, change) => {
    const copy = change(ours.text.replaceAll('\r\n ', ''));

    expect(contentFingerprint(copy)).not.toBe(ours.fingerprint);
  });

  it('that is no calendar is an error with a code', () => {
    expect(() => contentFingerprint('<html>')).toThrow(/no iCalendar object/);
  });
});

function swapEvents(text: string): string {
  const first = text.indexOf('BEGIN:VEVENT');
  const second = text.indexOf('BEGIN:VEVENT', first + 1);
  const end = text.indexOf('END:VCALENDAR');
  return text.slice(0, first) + text.slice(second, end) + text.slice(first, second) + text.slice(end);
}

function sortProperties(text: string): string {
  const calendar = new ICAL.Component(ICAL.parse(text) as unknown[]);
  for (const event of calendar.getAllSubcomponents('vevent')) {
    const properties = [...event.getAllProperties()].sort((a, b) => (a.name < b.name ? 1 : -1));
    event.removeAllProperties();
    for (const property of properties) event.addProperty(property);
  }
  return calendar.toString();
}

describe('merging client state', () => {
  const theirs = ours.text
    .replace('SUMMARY', 'X-MOZ-LASTACK:20260701T064500Z\r\nX-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC\r\nSUMMARY')
    .replace('TRIGGER:-PT15M', 'TRIGGER:-PT15M\r\nACKNOWLEDGED:20260701T064500Z')
    .replace('TRIGGER:-PT5M', 'TRIGGER:-PT5M\r\nACKNOWLEDGED:20260708T085500Z\r\nX-APPLE-LOCAL-DEFAULT-ALARM:TRUE')
    .replace('RECURRENCE-ID;TZID=Europe/Berlin:20260708T090000', 'RECURRENCE-ID:20260708T070000Z');

  it('carries it to the component of the same slot, through a change of ours', () => {
    const next = rendered({ ...series, main: { ...main, summary: 'New title' } });
    const merged = mergeClientState(next.text, theirs);
    const [master = '', override = ''] = merged.split('BEGIN:VEVENT').slice(1);

    expect(master).toContain('SUMMARY:New title');
    expect(master).toContain('X-MOZ-LASTACK:20260701T064500Z');
    expect(master).toContain('X-APPLE-TRAVEL-ADVISORY-BEHAVIOR:AUTOMATIC');
    expect(master).toContain('ACKNOWLEDGED:20260701T064500Z');
    expect(override).toContain('ACKNOWLEDGED:20260708T085500Z');
    expect(contentFingerprint(merged)).toBe(next.fingerprint);
    for (const line of merged.split('\r\n')) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(75);
  });

  it('is settled after one merge', () => {
    const merged = mergeClientState(ours.text, theirs);

    expect(mergeClientState(ours.text, merged)).toBe(merged);
  });

  it('leaves ours as it is, to the byte, when there is nothing to carry', () => {
    expect(mergeClientState(ours.text, ours.text)).toBe(ours.text);
    expect(mergeClientState(ours.text, 'rubbish')).toBe(ours.text);
  });

  it('forgets the acknowledgement of an alarm whose time has changed', () => {
    const next = rendered({ ...series, main: { ...main, reminder: 30 } });

    expect(mergeClientState(next.text, theirs).split('BEGIN:VEVENT')[1]).not.toContain('ACKNOWLEDGED');
  });

  it('does not bring back Apple’s form of a place that is gone', () => {
    const copy = ours.text.replace('SUMMARY', 'X-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:1,2\r\nSUMMARY');

    expect(mergeClientState(ours.text, copy)).toBe(ours.text);
  });
});

describe('comparable fields', () => {
  const fields = comparableFields(series);

  it.each<[string, Series, string[]]>([
    ['a copy', { ...series, uid: 'other' }, []],
    ['a bump of the stamps', { ...series, main: { ...series.main, lastModifiedAt: '2026-09-09T09:09:09Z' } }, []],
    ['another body', { ...series, main: { ...series.main, description: 'x' } }, []],
    ['blanks and letter case of the title', { ...series, main: { ...series.main, summary: ' STAND-up ' } }, []],
    ['another title', { ...series, main: { ...series.main, summary: 'x' } }, ['title']],
    ['another place', { ...series, main: { ...series.main, location: 'x' } }, ['place']],
    ['another status', { ...series, main: { ...series.main, status: 'cancelled' } }, ['status']],
    ['another end', { ...series, main: { ...series.main, end: zoned('2026-07-01T11:00:00') } }, ['times']],
    ['a cancelled date', { ...series, excluded: [zoned('2026-07-15T09:00:00')] }, ['recurrence']],
    [
      'an order of parts in the rule',
      { ...series, recurrence: { rule: 'COUNT=4;FREQ=WEEKLY;INTERVAL=1', clampedDay: null, extra: [] } },
      [],
    ],
  ])('with %s', (_what, other, expected) => {
    expect(differingFields(fields, comparableFields(other))).toEqual(expected);
  });

  it('do not care in which zone a single event’s time is written', () => {
    const berlin = aSeries();
    const inUtc = aSeries({ main: anEntry({ start: utc('2026-07-01T07:00:00Z'), end: utc('2026-07-01T08:00:00Z') }) });

    expect(differingFields(comparableFields(berlin), comparableFields(inUtc))).toEqual([]);
  });
});
