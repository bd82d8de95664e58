import { describe, expect, it } from '@jest/globals';

import { SyncError } from '../../../src/shared/errors.ts';
import {
  compareWithList,
  planSubscriptions,
  renewAt,
  shorterLife,
  type Listed,
  type Subscription,
} from '../../../src/sources/graph/plan-subscriptions.ts';
import { judgeRefusal } from '../../../src/sources/graph/subscriptions.ts';

const now = new Date('2026-06-01T12:00:00Z');
const inHours = (hours: number): string => new Date(now.getTime() + hours * 3_600_000).toISOString();
const publicUrl = 'https://calendar.example';
const source = { id: 'a', mailbox: 'me@t.example', calendar: 'default' };

/** Alive, and not to be renewed yet. */
const aSubscription = (settings: Partial<Subscription> = {}): Subscription => ({
  sourceId: 'a',
  mailbox: 'me@t.example',
  calendar: 'default',
  scope: 'calendar',
  resource: '/users/me/events',
  graphId: 'one',
  clientStateHash: 'hash',
  url: publicUrl,
  minutes: 4_200,
  attemptedAt: null,
  createdAt: inHours(-10),
  expiresAt: inHours(60),
  renewAt: inHours(25),
  notBefore: null,
  failures: 0,
  ...settings,
});

const plan = (subscriptions: readonly Subscription[], sources = [source], url: string | null = publicUrl) =>
  planSubscriptions({ now, publicUrl: url, sources, subscriptions });

describe('the plan for', () => {
  it.each<[string, Partial<Subscription>, object[]]>([
    ['one that is alive: nothing', {}, []],
    ['one past half of its life: renew', { renewAt: inHours(-1) }, [{ do: 'renew', graphId: 'one', minutes: 4_200 }]],
    ['one that ran out: make it anew', { expiresAt: inHours(-1) }, [{ do: 'create', why: 'expired' }]],
    ['one that Graph lost: make it anew', { graphId: null }, [{ do: 'create', why: 'lost' }]],
    ['one that was never made: make it', { graphId: null, createdAt: null }, [{ do: 'create', why: 'new' }]],
    ['one that may have been made: ask', { graphId: null, attemptedAt: inHours(-1) }, [{ do: 'list' }]],
    [
      'one that may have been made, asked in vain: wait',
      { graphId: null, attemptedAt: inHours(-1), notBefore: inHours(1) },
      [],
    ],
    ['one that failed just now: wait', { graphId: null, notBefore: inHours(1) }, []],
    ['one whose renewal failed just now: wait', { renewAt: inHours(-1), notBefore: inHours(1) }, []],
    ['another mailbox: delete', { mailbox: 'old@t.example' }, [{ do: 'delete', graphId: 'one', why: 'moved' }]],
    ['another calendar: delete', { calendar: 'Team' }, [{ do: 'delete', graphId: 'one', why: 'moved' }]],
    [
      'another PUBLIC_URL: delete',
      { url: 'https://old.example' },
      [{ do: 'delete', graphId: 'one', why: 'public-url' }],
    ],
    [
      'a removed source: delete',
      { sourceId: 'gone' },
      [{ do: 'delete', graphId: 'one', why: 'unwatched' }, { do: 'create' }],
    ],
    [
      'a removed source that had none: forget',
      { sourceId: 'gone', graphId: null },
      [{ do: 'delete', graphId: null }, { do: 'create' }],
    ],
    [
      'the mailbox in place of a calendar: stays so',
      { scope: 'mailbox', graphId: null },
      [{ do: 'create', scope: 'mailbox' }],
    ],
    ['a shorter life: stays so', { minutes: 1_439, renewAt: inHours(-1) }, [{ do: 'renew', minutes: 1_439 }]],
  ])('%s', (_, settings, steps) => {
    const found = plan([aSubscription(settings)]);
    expect(found).toHaveLength(steps.length);
    expect(found).toMatchObject(steps);
  });

  it('a new source: make it', () => {
    expect(plan([])).toEqual([{ do: 'create', source, scope: 'calendar', minutes: 4_200, failures: 0, why: 'new' }]);
  });

  it('no PUBLIC_URL: delete all, make none', () => {
    expect(plan([aSubscription()], [source], null)).toMatchObject([{ do: 'delete', why: 'unwatched' }]);
    expect(plan([], [source], null)).toEqual([]);
  });

  it('one that two sources share: renewed once, deleted with the last', () => {
    const b = { ...source, id: 'b' };
    const shared = (settings: Partial<Subscription>): Subscription[] => [
      aSubscription(settings),
      aSubscription({ sourceId: 'b', ...settings }),
    ];
    expect(plan(shared({ renewAt: inHours(-1) }), [source, b])).toHaveLength(1);
    expect(plan(shared({}), [b])).toMatchObject([{ do: 'delete', sourceId: 'a', graphId: null }]);
    expect(plan(shared({}), [])).toMatchObject([
      { do: 'delete', sourceId: 'a', graphId: 'one' },
      { do: 'delete', sourceId: 'b', graphId: null },
    ]);
  });
});

describe('the list of Graph', () => {
  const own = `${publicUrl}/api/graph/notifications/s`;
  const listed = (settings: Partial<Listed> = {}): Listed => ({
    graphId: 'one',
    resource: 'users/me/events',
    notificationUrl: own,
    expiresAt: inHours(60),
    ...settings,
  });
  const compare = (list: readonly Listed[], subscriptions: readonly Subscription[]) =>
    compareWithList(list, subscriptions, {
      now,
      urlOf: (url) => `${url}/api/graph/notifications/s`,
      isOurs: (url) => url.endsWith('/api/graph/notifications/s'),
    });
  const attempted = aSubscription({ graphId: null, attemptedAt: inHours(-1), createdAt: null });

  it('that agrees asks for nothing', () => {
    expect(compare([listed()], [aSubscription()])).toEqual([]);
  });

  it('shows what an attempt made, or that it made nothing', () => {
    expect(compare([listed()], [attempted])).toEqual([
      { do: 'adopt', sourceId: 'a', graphId: 'one', expiresAt: inHours(60) },
    ]);
    expect(compare([], [attempted])).toEqual([{ do: 'settle', sourceId: 'a' }]);
  });

  it.each<[string, Listed[], Subscription]>([
    ['two that might be it', [listed(), listed({ graphId: 'two' })], attempted],
    ['one with a client state that we do not know', [listed()], { ...attempted, clientStateHash: null }],
    [
      'one for another PUBLIC_URL',
      [listed({ notificationUrl: 'https://old.example/api/graph/notifications/s' })],
      attempted,
    ],
    ['one for another resource', [listed({ resource: 'users/you/events' })], attempted],
  ])('never adopts %s: they are deleted', (_, list, subscription) => {
    expect(compare(list, [subscription])).toEqual([
      { do: 'settle', sourceId: 'a' },
      ...list.map(({ graphId }) => ({ do: 'delete', graphId })),
    ]);
  });

  it('leaves what belongs to others alone', () => {
    expect(compare([listed({ notificationUrl: 'https://other.example/hook' })], [])).toEqual([]);
  });

  it('that lacks one means that it is lost, once for all sources, unless it is new', () => {
    expect(compare([], [aSubscription(), aSubscription({ sourceId: 'b' })])).toEqual([{ do: 'lose', graphId: 'one' }]);
    expect(compare([], [aSubscription({ createdAt: inHours(-0.1) })])).toEqual([]);
  });
});

describe('the life that is asked for', () => {
  it('is renewed around its half', () => {
    const expiry = new Date(now.getTime() + 4_200 * 60_000);
    const minutes = (random: number): number => (renewAt(now, expiry, random).getTime() - now.getTime()) / 60_000;
    expect([minutes(0), minutes(0.5), minutes(0.999)]).toEqual([1_890, 2_100, expect.closeTo(2_310, 0)]);
  });

  it.each([
    [4_200, 4_230, 1_400],
    [4_200, 1_440, 1_439],
    [4_200, null, 1_400],
    [1_400, null, 180],
    [180, null, 45],
    [45, null, null],
    [1_439, 20, 1_400],
  ])('of %s minutes, where %s are granted, is followed by %s', (minutes, named, next) => {
    expect(shorterLife(minutes, named)).toBe(next);
  });
});

describe('a refusal', () => {
  const error = new SyncError('no', { code: 'graph.request_refused', recovery: { kind: 'retry' } });
  const judge = (status: number, message: string, isCalendar = false) =>
    judgeRefusal({ status, message, codes: [], retryAfter: null, requestId: null }, error, {
      minutes: 4_200,
      isCalendar,
    });

  it.each([
    [400, 'Subscription expiration can only be 4230 minutes in the future.', { kind: 'shorter', minutes: 1_400 }],
    [400, 'Subscription expiration can only be 1440 minutes in the future.', { kind: 'shorter', minutes: 1_439 }],
    [400, 'Subscription validation request failed.', { kind: 'refused', when: 'soon', isUnknown: false }],
    [400, 'Subscription validation request timed out.', { kind: 'refused', when: 'soon' }],
    [400, 'Anything else', { kind: 'refused', when: 'daily' }],
    [
      403,
      'Exceeds the limit of 1000.',
      { kind: 'refused', when: 'daily', error: { code: 'graph.subscription_quota' } },
    ],
    [403, 'Access denied', { kind: 'refused', when: 'daily', error: { code: 'graph.request_refused' } }],
    [409, 'Exists', { kind: 'duplicate' }],
    [429, 'Slow down', { kind: 'refused', when: 'soon', isUnknown: false }],
    [504, 'Gateway', { kind: 'refused', when: 'soon', isUnknown: true }],
  ])('%s "%s"', (status, message, outcome) => {
    expect(judge(status, message)).toMatchObject(outcome);
  });

  it('of one calendar leads to the mailbox, of the mailbox nowhere', () => {
    expect(judge(400, 'Not supported', true)).toMatchObject({ kind: 'not-this-calendar' });
    expect(judge(400, 'Not supported', false)).toMatchObject({ kind: 'refused', when: 'daily' });
  });
});
