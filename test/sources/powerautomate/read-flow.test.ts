import { describe, expect, it } from '@jest/globals';
import type { Claim } from '../../../src/sources/source.ts';
import { faultOfBrokenJson, shapeOf, shapeOfBroken } from '../../../src/sources/powerautomate/broken-body.ts';
import {
  readFlowBody,
  readFlowWindow,
  type FlowAction,
  type FlowFault,
  type FlowItem,
} from '../../../src/sources/powerautomate/read-flow-body.ts';
import { toClaim } from '../../../src/sources/powerautomate/to-claim.ts';
import { aFlowItem, uidOf, type RawItem } from './flow-items.ts';

const owner = 'Me@contoso.example';

function items(json: unknown, action: FlowAction | null = null): readonly FlowItem[] {
  const read = readFlowBody(json, action);
  if (read.kind === 'faults') throw new Error(JSON.stringify(read.faults));
  return read.value;
}

function faults(json: unknown): readonly FlowFault[] {
  const read = readFlowBody(json, null);
  if (read.kind === 'read') throw new Error('It was read.');
  return read.faults;
}

function claimOf(fields: RawItem, action: FlowAction | null = null): Claim {
  const [item] = items(aFlowItem(fields), action);
  const claim = item === undefined ? null : toClaim(item, owner);
  if (claim === null) throw new Error('It is no claim.');
  return claim;
}

const entryOf = (fields: RawItem) => claimOf(fields).series.main;

describe('the body of a flow', () => {
  const item = aFlowItem();
  it.each([
    ['an item', item, 1],
    ['a list', [item, item], 2],
    ['{ value }', { value: [item] }, 1],
    ['{ Value }', { Value: [item] }, 1],
    ['{ body: { value } }', { body: { value: [item, item] } }, 2],
    ['{ headers, body: { value } }', { headers: {}, body: { value: [item] } }, 1],
    ['{ body: item }', { body: item }, 1],
    ['an empty list', { value: [] }, 0],
  ])('may be %s', (_, json, count) => {
    expect(items(json)).toHaveLength(count);
  });

  it('reads names in any case to the same', () => {
    const upper = Object.fromEntries(Object.entries(item).map(([name, value]) => [name.toUpperCase(), value]));
    expect(items(upper)).toEqual(items(item));
  });

  it.each([
    ['deleted by the trigger', { ActionType: 'deleted', id: '1' }, null, true],
    ['deleted in another spelling', { actionType: 'Deleted', id: '1' }, null, true],
    ['deleted by the route', { id: '1' }, 'deleted', true],
    ['not deleted by the route', aFlowItem({ ActionType: 'deleted' }), 'updated', false],
  ] as const)('is %s', (_, json, action, isDeleted) => {
    expect(items(json, action)[0]).toMatchObject({ isDeleted });
  });

  it('names every field at fault, and no value', () => {
    const found = faults({
      value: [
        aFlowItem(),
        { ...aFlowItem({ id: undefined, isAllDay: 'Secret' }), reminderMinutesBeforeStart: 'Secret' },
        'Secret',
        aFlowItem({ start: 12 }),
        aFlowItem({ start: undefined }),
      ],
    });
    expect(found.map(({ field }) => field)).toEqual([
      'value[1].id',
      'value[1].isAllDay',
      'value[1].reminderMinutesBeforeStart',
      'value[2]',
      'value[3].start',
      'value[4].start',
    ]);
    expect(JSON.stringify(found)).not.toContain('Secret');
  });

  it.each([[null], [7], ['text'], [{}], [[[]]]])('is not %j', (json) => {
    expect(faults(json)).not.toEqual([]);
  });
});

describe('an event of a flow', () => {
  it('becomes a claim with all that a flow tells', () => {
    const claim = claimOf({
      organizer: 'boss@contoso.example',
      responseType: 'tentativelyAccepted',
      requiredAttendees: 'me@contoso.example;Ann@x.example;',
      optionalAttendees: 'bob@x.example;',
      resourceAttendees: 'room4@x.example;',
      categories: ['Red', 'Red'],
      body: '<p>Bring <b>coffee</b></p><p>https://teams.microsoft.com/l/meetup-join/19%3ameeting</p>',
    });
    expect(claim).toMatchObject({
      key: 'AAMkAGI1-1',
      series: {
        uid: uidOf(1),
        slot: '*',
        recurrence: null,
        main: {
          start: { kind: 'utc', instant: '2026-12-01T09:00:00Z' },
          end: { kind: 'utc', instant: '2026-12-01T09:30:00Z' },
          summary: 'Stand-up',
          description: 'Bring coffee\n\nhttps://teams.microsoft.com/l/meetup-join/19%3ameeting',
          location: 'Room 4',
          showAs: 'busy',
          status: 'confirmed',
          answer: 'tentative',
          organizer: { address: 'boss@contoso.example' },
          joinUrl: 'https://teams.microsoft.com/l/meetup-join/19%3ameeting',
          categories: ['Red'],
          reminder: 15,
          lastModifiedAt: '2026-11-01T08:00:00Z',
        },
      },
    });
    expect(
      claim.series.main.attendees.map(({ address, role, participation }) => [address, role, participation]),
    ).toEqual([
      ['boss@contoso.example', 'chair', 'accepted'],
      ['ann@x.example', 'required', 'needsAction'],
      ['bob@x.example', 'optional', 'needsAction'],
      ['me@contoso.example', 'required', 'tentative'],
      ['room4@x.example', 'nonParticipant', 'needsAction'],
    ]);
  });

  it('is a plain appointment where nobody is invited', () => {
    expect(entryOf({})).toMatchObject({ organizer: null, attendees: [], answer: 'none' });
  });

  it.each([
    [{ start: '2026-07-01T09:00:00.0000000' }, { kind: 'utc', instant: '2026-07-01T09:00:00Z' }],
    [{ start: '2026-07-01T09:00:00Z' }, { kind: 'utc', instant: '2026-07-01T09:00:00Z' }],
    [{ start: '2026-07-01T09:00:00+02:00' }, { kind: 'utc', instant: '2026-07-01T07:00:00Z' }],
    [
      { start: '2026-07-01T09:00:00', timeZone: 'W. Europe Standard Time' },
      { kind: 'zoned', local: '2026-07-01T09:00:00', zone: 'Europe/Berlin' },
    ],
    [
      { start: '2026-07-01T09:00:00', startWithTimeZone: '2026-07-01T07:00:00+00:00', timeZone: 'Europe/Berlin' },
      { kind: 'zoned', local: '2026-07-01T09:00:00', zone: 'Europe/Berlin' },
    ],
    [
      { start: '2026-07-01T09:00:00', timeZone: 'Nobody knows' },
      { kind: 'utc', instant: '2026-07-01T09:00:00Z' },
    ],
    [
      { start: { dateTime: '2026-07-01T09:00:00', timeZone: 'Tokyo Standard Time' } },
      { kind: 'zoned', local: '2026-07-01T09:00:00', zone: 'Asia/Tokyo' },
    ],
    // The second two o'clock of an autumn night has no local name.
    [
      { start: '2026-10-25T01:30:00Z', timeZone: 'Europe/Berlin' },
      { kind: 'utc', instant: '2026-10-25T01:30:00Z' },
    ],
    [
      { start: '2026-07-01T00:00:00', end: '2026-07-02T00:00:00', isAllDay: true },
      { kind: 'date', date: '2026-07-01' },
    ],
    [
      { start: '2026-06-30T22:00:00', end: '2026-07-01T22:00:00', isAllDay: true },
      { kind: 'date', date: '2026-07-01' },
    ],
    [
      { start: '2026-07-01', end: '2026-07-02', isAllDay: 'True' },
      { kind: 'date', date: '2026-07-01' },
    ],
  ])('%j starts at %j', (fields, start) => {
    expect(entryOf({ end: undefined, ...fields }).start).toEqual(start);
  });

  it('lasts a day where an all-day event tells no end, and has no length where the end is not after the start', () => {
    const allDay = { start: '2026-07-01T00:00:00', end: undefined, endWithTimeZone: undefined, isAllDay: true };
    expect(entryOf(allDay).end).toEqual({ kind: 'date', date: '2026-07-02' });
    expect(entryOf({ start: '2026-07-01T09:00:00', end: '2026-07-01T09:00:00' }).end).toBeNull();
  });

  it.each(['Canceled: Stand-up', 'Abgesagt: Stand-up'])('called "%s" is not cancelled', (subject) => {
    expect(entryOf({ subject })).toMatchObject({ status: 'confirmed', summary: subject });
  });

  it('of an unknown degree of secrecy is private', () => {
    expect(entryOf({ sensitivity: 'topSecret' }).sensitivity).toBe('private');
  });

  it('beyond the years of calendars is no claim', () => {
    const [item] = items(aFlowItem({ start: '0001-01-01T00:00:00' }));
    expect(item && toClaim(item, owner)).toBeNull();
  });

  it('without an iCalUId, or with a blank one, has no identity but its own', () => {
    expect(claimOf({ iCalUId: undefined }).series.uid).toBeNull();
    expect(claimOf({ iCalUId: ' ' }).series.uid).toBeNull();
  });
});

describe('an occurrence of a series', () => {
  const occurrence = { seriesMasterId: 'master', start: '2026-12-08T09:00:00', end: '2026-12-08T09:30:00' };

  it('has the identity of its series and the slot of its start', () => {
    const { series } = claimOf({ ...occurrence, iCalUId: uidOf(3, '2026-12-08') });
    expect([series.uid, series.slot, series.recurrence]).toEqual([uidOf(3), '2026-12-08T09:00:00Z', null]);
  });

  it('that was moved to another day keeps its slot by the date in its id', () => {
    expect(claimOf({ ...occurrence, iCalUId: uidOf(3, '2026-12-01') }).series.slot).toBe('2026-12-01T09:00:00Z');
  });

  it('whose date is another one in its organizer’s zone was not moved', () => {
    const early = { ...occurrence, start: '2026-12-07T20:00:00', end: undefined, iCalUId: uidOf(3, '2026-12-08') };
    expect(claimOf(early).series.slot).toBe('2026-12-07T20:00:00Z');
  });

  it.each([
    { recurrence: 'weekly' },
    { recurrence: 'none', numberOfOccurences: 4 },
    { recurrence: { pattern: { type: 'daily' } } },
  ])('is the first one where the flow tells a master: %j', (fields) => {
    const [item] = items(aFlowItem(fields));
    expect(item?.isMaster).toBe(true);
    expect(claimOf(fields).series).toMatchObject({ slot: '2026-12-01T09:00:00Z', recurrence: null });
  });
});

describe('the predecessor’s body', () => {
  it('is read as well', () => {
    const [item] = items(
      {
        id: '1',
        subject: 'Old',
        start: { dateTime: '2026-12-01T09:00:00', timeZone: 'W. Europe Standard Time' },
        end: { dateTime: '2026-12-01T10:00:00', timeZone: 'W. Europe Standard Time' },
        location: { displayName: 'Room 4' },
        body: { contentType: 'html', content: '<p>Hello</p>' },
        isAllDay: false,
        recurrence: null,
        changeKey: 'ck',
        categories: [],
        attendees: [{ emailAddress: { address: 'Ann@x.example', name: 'Ann' }, type: 'optional' }],
      },
      'created',
    );
    expect(item && toClaim(item, owner)).toMatchObject({
      version: 'ck',
      series: {
        slot: '*',
        main: {
          start: { kind: 'zoned', local: '2026-12-01T09:00:00', zone: 'Europe/Berlin' },
          location: 'Room 4',
          description: 'Hello',
          attendees: expect.arrayContaining([expect.objectContaining({ address: 'ann@x.example', role: 'optional' })]),
        },
      },
    });
  });
});

describe('a window', () => {
  it('says which part of which listing it is', () => {
    const window = { Id: 'run', Part: '2', parts: 3, from: '2026-11-01T00:00:00Z', to: '2026-12-01T00:00:00' };
    expect(readFlowWindow({ window })).toEqual({
      kind: 'read',
      value: {
        id: 'run',
        part: 2,
        parts: 3,
        from: '2026-11-01T00:00:00.000Z',
        to: '2026-12-01T00:00:00.000Z',
        listedAt: null,
      },
    });
  });
});

describe('broken JSON', () => {
  it.each([
    ['{"id":"1","recurrence": none}', 'recurrence'],
    ['{"id":"1","start":{"dateTime": 2026-12-01T09:00:00}}', 'dateTime'],
    ['{"id":"1","end": }', 'end'],
    ['{"id":"1","subject":"a\n b","start":"x"}', 'subject'],
    ['{"id":"1","subject":"a "b" c","start":"x"}', 'subject'],
    ['[{"id":"1"}', 'id'],
    ['   ', 'body'],
  ])('%j is blamed on %s', (text, field) => {
    expect(faultOfBrokenJson(text).field).toBe(field);
  });

  it('leaves names and types only', () => {
    const body = { subject: 'Secret', n: 1, value: [{ a: 'Secret' }, {}, {}], 'me@x.example': null };
    expect(shapeOf(body)).toBe('{"subject":"string","n":"number","value":[{"a":"string"},{},"3 items"],"?":"null"}');
    expect(shapeOfBroken('{"subject": Secret, "id": "Secret"')).toBe(
      'broken JSON of 34 characters with ["subject","id"]',
    );
  });
});
