import { afterEach, describe, expect, it } from '@jest/globals';

import { planSubscriptions } from '../../../src/sources/graph/plan-subscriptions.ts';
import { learnedFrom, readBehaviours, subscriptionHabits } from '../../../src/sources/graph/behaviours.ts';
import { trySubscriptions, type Tried } from '../../../src/sources/graph/probe/subscriptions.ts';
import { startGraphSimulator, type GraphSimulator } from '../../support/graph/simulator.ts';
import type { Switches } from '../../support/graph/switches.ts';
import { clientOf, contoso, me, patient } from './mirror.ts';

let simulator: GraphSimulator;
afterEach(() => simulator.close());

/** Our receiver, which echoes the token of the handshake. */
const receiver: typeof fetch = (input) => {
  const token = new URL(input instanceof Request ? input.url : String(input)).searchParams.get('validationToken');
  return Promise.resolve(new Response(token, { headers: { 'content-type': 'text/plain' } }));
};

async function tried(switches: Partial<Switches>, callbackFetch = receiver): Promise<Tried> {
  simulator = await startGraphSimulator({ tenants: [contoso], switches, callbackFetch });
  simulator.tenant(contoso.directory).addMailbox({ upn: me });
  return trySubscriptions({
    client: clientOf(simulator),
    place: { mailbox: me, calendar: 'default' },
    notificationUrl: 'https://calendar.example/api/graph/notifications/x',
    lifecycleUrl: 'https://calendar.example/api/graph/lifecycle/x',
    clientState: 'state',
    now: () => new Date(),
    signal: patient,
  });
}

describe('trying subscriptions', () => {
  it.each([
    [10_080, 'accepted'],
    [4_230, 'refused'],
    [2_880, 'accepted'],
    // More than anybody reports: then it is known to be granted.
    [50_000, 'accepted'],
  ] as const)('finds a life of %i minutes, and calendars %s, and leaves none', async (minutes, calendars) => {
    const { found, left, reason } = await tried({ subscriptionMinutes: minutes, calendarSubscriptions: calendars });
    const longest = String(Math.min(minutes, 43_200));
    expect(found).toEqual({ subscriptionMinutes: [longest], calendarSubscriptions: [calendars] });
    expect([left, reason]).toEqual([0, null]);
    expect(simulator.subscriptions()).toEqual([]);
  });

  it('says that Graph could not reach us, and what it could tell all the same', async () => {
    const { found, reason } = await tried({}, () => Promise.reject(new Error('no way')));
    expect(found).toEqual({ subscriptionMinutes: ['10080'] });
    expect(reason).toContain('could not reach this service');
    expect(simulator.subscriptions()).toEqual([]);
  });
});

describe('what was found', () => {
  const now = new Date('2026-11-26T00:00:00Z');
  const at = '2026-11-25T00:00:00Z';
  const source = { id: 'a', mailbox: me, calendar: 'default' };
  const plan = (behaviours: unknown) =>
    planSubscriptions({
      now,
      publicUrl: 'https://calendar.example',
      sources: [source],
      subscriptions: [],
      habits: subscriptionHabits(readBehaviours(behaviours), now),
    });

  it('decides what a new subscription is asked for', async () => {
    simulator = await startGraphSimulator();
    const found = {
      subscriptionMinutes: { answer: '10080', by: 'probe', at },
      calendarSubscriptions: { answer: 'refused', by: 'probe', at },
    };
    expect(plan(found)).toMatchObject([{ do: 'create', minutes: 10_079, scope: 'mailbox' }]);
    expect(plan({})).toMatchObject([{ minutes: 4_200, scope: 'calendar' }]);
    const old = { subscriptionMinutes: { answer: '60', by: 'probe', at: '2026-10-01T00:00:00Z' } };
    expect(plan(old)).toMatchObject([{ minutes: 4_200 }]);
    for (const nonsense of [
      null,
      'x',
      [],
      { subscriptionMinutes: 7 },
      { subscriptionMinutes: { answer: 'x', by: 'probe', at } },
    ])
      expect(plan(nonsense)).toMatchObject([{ minutes: 4_200, scope: 'calendar' }]);
  });

  it('holds for the reading until it meets otherwise, or is old', async () => {
    simulator = await startGraphSimulator();
    const told: string[] = [];
    const found = readBehaviours({
      sequence: { answer: 'refused', by: 'probe', at },
      fields: { answer: 'refused', by: 'probe', at: '2026-10-01T00:00:00Z' },
      pageSize: { answer: '25', by: 'probe', at },
    });
    const learned = learnedFrom(found, now, (question, answer) => told.push(`${question} ${answer}`));
    expect([learned.knows('sequence'), learned.knows('fields'), learned.pageSize]).toEqual([false, true, 25]);
    learned.answered(['fields']);
    learned.refused(['fields', 'sequence', 'occurrenceId']);
    learned.refused(['occurrenceId']);
    // What was answered before is refused of one event only; what was known is not told again.
    expect(told).toEqual(['occurrenceId refused']);
    expect(learned.knows('fields')).toBe(true);
  });
});
