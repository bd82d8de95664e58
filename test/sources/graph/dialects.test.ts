import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { graphSource } from '../../../src/sources/graph/graph-source.ts';
import { inDialect, plainDialect, type Dialect } from '../../support/graph/dialect.ts';
import type { OutlookCalendar } from '../../support/graph/outlook.ts';
import { startGraphSimulator, type GraphSimulator } from '../../support/graph/simulator.ts';
import { clientOf, contoso, me, Mirror, truth } from './mirror.ts';
import { someOfEverything } from './some-of-everything.ts';

/**
 * Services that read the same documents otherwise than our simulator does. What they show must be the same.
 */
let simulator: GraphSimulator;
let calendar: OutlookCalendar;

beforeEach(async () => {
  simulator = await startGraphSimulator({ tenants: [contoso], pageSize: 10 });
  calendar = simulator
    .tenant(contoso.directory)
    .addMailbox({ upn: me, name: 'Me', zone: 'W. Europe Standard Time' })
    .calendar();
});
afterEach(() => simulator.close());

const dialects: [string, Partial<Dialect>][] = [
  ['never sends masters', { noMasters: true }],
  ['names no series on stubs', { anonymousStubs: true }],
  ['tells only masters as removed', { removalsOf: 'masters' }],
  ['tells only occurrences as removed', { removalsOf: 'occurrences' }],
  ['calls removed what is there', { falseRemovals: 1 }],
  ['sends whole events as removed', { fatRemovals: true }],
  ['splits series over pages', { splitPages: 3 }],
  ['splits series without masters over pages', { splitPages: 2, noMasters: true }],
  ['tells things twice over pages', { splitPages: 4, repeats: 0.5 }],
  ['writes links otherwise', { links: 'capital' }],
  ['writes links as nobody would guess', { links: 'opaque' }],
  ['leaves out what has no value', { absentNulls: true }],
  ['has etags only', { versions: 'etag' }],
  ['has change keys only', { versions: 'changeKey' }],
  ['has no versions', { versions: 'none' }],
  ['has a version per occurrence', { versions: 'per-occurrence' }],
  ['refuses cancelledOccurrences', { unknownNames: ['cancelledOccurrences'] }],
  ['refuses extended properties', { unknownNames: ['singleValueExtendedProperties'] }],
  ['refuses originalStart and changeKey', { unknownNames: ['originalStart', 'changeKey'] }],
  ['refuses hexColor', { unknownNames: ['hexColor'] }],
  [
    'passes over what it does not know',
    { unknownNames: ['cancelledOccurrences', 'exceptionOccurrences', 'occurrenceId'], unknownAre: 'ignored' },
  ],
  ['pages every list', { listPage: 3 }],
  ['has calendars in the list only', { calendarsOnlyListed: true }],
  ['knows no immutable ids', { ignoresIdType: true }],
  ['answers in the zone of the mailbox', { zone: 'W. Europe Standard Time' }],
  ['answers in another zone', { zone: 'Pacific Standard Time', absentNulls: true }],
];

describe('a service that', () => {
  it.each(dialects)('%s is read as well', async (_, options) => {
    const dialect = { ...plainDialect, ...options };
    simulator.mailbox(me).addCalendar('Other');
    const { standup, monthly, lunch, holiday, gym } = someOfEverything(calendar);
    const client = clientOf(simulator, { fetch: inDialect(simulator.fetch, dialect) });
    const mirror = await new Mirror(graphSource({ client, mailbox: me, calendar: 'default' })).round();
    expect(mirror.shown()).toEqual(truth(calendar));

    calendar.updateEvent(lunch, { subject: 'Long lunch' });
    calendar.cancelOccurrence(standup, '2026-05-19');
    calendar.updateOccurrence(monthly, '2026-04-30', { start: '2026-04-29T16:00' });
    calendar.updateOccurrence(gym, '2026-03-13', { subject: 'Gym, with Ann' });
    calendar.createEvent({ subject: 'New', start: '2026-08-01', end: '2026-08-03' });
    await mirror.round();
    expect(mirror.shown()).toEqual(truth(calendar));

    calendar.reschedule(standup, { start: '10:00', end: '10:30' });
    calendar.deleteSeries(holiday);
    calendar.delete(lunch);
    calendar.cancelOccurrence(gym, '2026-03-10');
    await mirror.round();
    expect(mirror.shown()).toEqual(truth(calendar));
    expect(mirror.modes().every((mode) => mode === 'rule')).toBe(true);
  });
});
