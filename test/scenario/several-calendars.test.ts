import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { OutlookCalendar } from '../support/graph/outlook.ts';
import { directoryOf } from '../support/graph/people.ts';
import { at, day } from '../support/one-calendar.ts';
import { aStage, type Stage } from '../support/stage.ts';
import { compareWithTruth } from '../support/compare-truth.ts';

interface Read {
  readonly id: string;
  readonly calendar: OutlookCalendar;
}

let stage: Stage;
beforeEach(async () => {
  stage = await aStage();
});
afterEach(() => stage.close());

/** Two calendars of two mailboxes in a tenant of each of two clouds. */
async function eightCalendars(): Promise<Read[]> {
  await stage.target();
  const read: Read[] = [];
  for (const [name, cloud] of [
    ['contoso', 'global'],
    ['agency', 'gcch'],
  ] as const) {
    const domain = `${name}.example`;
    await stage.tenant(name, { directory: directoryOf(domain), domain, client: `app-${name}`, cloud });
    for (const person of ['ann', 'bob']) {
      const upn = `${person}@${domain}`;
      const mailbox = stage.simulator.tenant(domain).addMailbox({ upn, name: person });
      for (const calendar of [mailbox.calendar(), mailbox.addCalendar('Work')]) {
        const id = `${name}-${person}-${calendar.state.isDefault ? 'own' : 'work'}`;
        await stage.source({ id, tenant: name, mailbox: upn, calendar: calendar.state.isDefault ? 'default' : 'Work' });
        for (let index = 0; index < 6; index += 1)
          calendar.createEvent({ subject: `${id} ${index}`, start: at(1 + index) });
        for (let index = 0; index < 2; index += 1)
          calendar.createSeries({
            subject: `${id} series ${index}`,
            pattern: { type: 'weekly', daysOfWeek: ['monday'] },
            range: { type: 'numbered', startDate: day(1), numberOfOccurrences: 4 },
            start: '10:00',
          });
        read.push({ id, calendar });
      }
    }
  }
  return read;
}

describe('several calendars of several mailboxes in several tenants and clouds', () => {
  it('are read at once, never with more than three requests at a time for a mailbox, and each shows its own', async () => {
    const read = await eightCalendars();
    stage.simulator.switches.mailboxConcurrency = 3;
    stage.simulator.latencyMs = 5;
    const { worker } = stage.product;
    // Of each mailbox one calendar is read at a time; the other has its turn afterwards.
    const results = await Promise.all(read.map(({ id }) => worker.run('ingest', id)));
    expect(results.filter((result) => result?.kind === 'done').length).toBeGreaterThanOrEqual(4);
    expect(results.filter((result) => result !== null && result.kind !== 'done')).toEqual([]);
    expect(stage.simulator.requests.filter(({ status }) => status !== 200)).toEqual([]);
    await stage.sync();

    const window = { from: `${day(-10)}T00:00:00Z`, to: `${day(90)}T00:00:00Z` };
    const truths = read.map(({ id, calendar }) => ({
      source: id,
      privacy: 'full' as const,
      privateItems: 'full' as const,
      titleTag: '',
      instances: calendar.expected(window),
    }));
    const expected = read.length * (6 + 2 * 4);
    expect(compareWithTruth(truths, stage.bodies(), window)).toEqual({
      expected,
      shown: expected,
      missing: [],
      surplus: [],
    });
  });

  it('go on when one tenant lets nobody in', async () => {
    await eightCalendars();
    stage.simulator.tenant('agency.example').configure({ consent: false });
    await stage.sync();

    const titles = stage.bodies().map((body) => /^SUMMARY:(\w+)-/m.exec(body)?.[1]);
    expect(new Set(titles)).toEqual(new Set(['contoso']));
    expect(titles).toHaveLength(4 * 8);
  });
});
