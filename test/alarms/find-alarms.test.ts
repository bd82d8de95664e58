import { createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { findAlarms, type Alarm, type AlarmFacts, type SourceFacts } from '../../src/alarms/find-alarms.ts';
import { mailOf, signatureOf, webhookBody, type Notice } from '../../src/alarms/notice.ts';

const now = new Date('2026-11-25T12:00:00Z');
const source: SourceFacts = {
  id: 'contoso-me',
  kind: 'graph',
  tenant: 'contoso',
  tenantName: 'Contoso',
  target: 'me/work',
  freshAt: '2026-11-25T11:59:00Z',
  configuredAt: '2026-11-01T00:00:00Z',
  limitSeconds: 1_800,
  code: null,
  reason: null,
  remedy: null,
};
const well: AlarmFacts = {
  now,
  sources: [source],
  held: [],
  targets: [{ id: 'me', failures: 0, code: null, reason: null, remedy: null, gone: [] }],
  credentials: [],
  backup: null,
};
const found = (facts: Partial<AlarmFacts>): Alarm[] => findAlarms({ ...well, ...facts });
const keys = (facts: Partial<AlarmFacts>): string[] => found(facts).map(({ key }) => key);

describe('an operator is told', () => {
  it('nothing while all is well', () => expect(found({})).toEqual([]));

  it('of a source that was not proven fresh for longer than its limit, and since when', () => {
    const stale = { ...source, freshAt: '2026-11-25T11:29:59Z', reason: 'Graph is overloaded' };
    expect(found({ sources: [stale] })).toMatchObject([
      {
        key: 'stale:contoso-me',
        kind: 'source.stale',
        message: 'Contoso (contoso-me) has not been updated since 2026-11-25T11:29:59Z: Graph is overloaded',
        since: '2026-11-25T11:29:59Z',
      },
    ]);
    expect(keys({ sources: [{ ...stale, freshAt: '2026-11-25T11:30:01Z' }] })).toEqual([]);
    expect(keys({ sources: [{ ...stale, limitSeconds: 36_000 }] })).toEqual([]);
  });

  it('of one that was never read to its end', () => {
    const [alarm] = found({ sources: [{ ...source, freshAt: null }] });
    expect(alarm?.message).toMatch(/never been read .*2026-11-01/);
  });

  it('of a flow that is silent', () =>
    expect(found({ sources: [{ ...source, kind: 'powerautomate', freshAt: '2026-11-20T00:00:00Z' }] })).toMatchObject([
      { kind: 'flow.silent', key: 'stale:contoso-me' },
    ]));

  it('of a withdrawn consent once for all calendars of the tenant, with what to do', () => {
    const denied = {
      ...source,
      freshAt: null,
      code: 'graph.access_denied',
      reason: 'Graph refused',
      remedy: 'Grant it.',
    };
    const sources = Array.from({ length: 500 }, (_, index) => ({ ...denied, id: `user-${index}` }));
    expect(found({ sources })).toMatchObject([
      { key: 'access:contoso:graph.access_denied', kind: 'source.access', subject: 'contoso', remedy: 'Grant it.' },
    ]);
    expect(found({ sources })[0]?.message).toContain('and 495 more');
  });

  it('of removals that are held', () =>
    expect(found({ held: [{ subject: 'contoso-me', count: 40, since: '2026-11-25T11:00:00Z' }] })).toMatchObject([
      { kind: 'guard.held', since: '2026-11-25T11:00:00Z' },
    ]));

  it('of a target that takes nothing, not of a hiccup; and of a calendar that is gone', () => {
    const target = { id: 'me', failures: 4, code: null, reason: null, remedy: null, gone: [] };
    expect(keys({ targets: [target] })).toEqual([]);
    expect(keys({ targets: [{ ...target, failures: 5 }] })).toEqual(['target:me']);
    expect(keys({ targets: [{ ...target, failures: 1, code: 'dav.unauthorized' }] })).toEqual(['target:me']);
    expect(keys({ targets: [{ ...target, gone: ['Work'] }] })).toEqual(['gone:me']);
  });

  it.each([
    ['2026-12-26T00:00:00Z', 0],
    ['2026-12-24T00:00:00Z', 1],
    ['2026-11-01T00:00:00Z', 1],
  ])('a month before a credential ends: %s', (endsAt, count) =>
    expect(found({ credentials: [{ tenant: 'contoso', what: 'secret', endsAt }] })).toHaveLength(count),
  );

  it('of a backup that is more than two days old, or missing where one is expected', () => {
    const folder = '/backups';
    expect(keys({ backup: { folder, at: '2026-11-23T12:00:00Z' } })).toEqual([]);
    expect(keys({ backup: { folder, at: '2026-11-23T11:59:00Z' } })).toEqual(['backup']);
    expect(keys({ backup: { folder, at: null } })).toEqual(['backup']);
  });
});

describe('what is told', () => {
  const [alarm] = found({ sources: [{ ...source, freshAt: '2026-11-24T00:00:00Z' }] });
  if (alarm === undefined) throw new Error('no alarm');
  const notice: Notice = { what: 'raised', alarm, at: '2026-11-25T12:00:00Z' };

  it('to a webhook is JSON that can prove its sender', () => {
    const body = webhookBody([notice, { ...notice, what: 'cleared' }]);
    const read = JSON.parse(body) as { notices: { event: string }[] };
    expect(read.notices.map(({ event }) => event)).toEqual(['alarm', 'recovery']);
    const headers = signatureOf('a secret', body, now);
    expect(headers['X-Timestamp']).toBe('1795608000');
    const wanted = createHmac('sha256', 'a secret').update(`1795608000.${body}`).digest('hex');
    expect(headers['X-Signature']).toBe(`sha256=${wanted}`);
  });

  it('by mail says all in its subject, in one line', () => {
    expect(mailOf([notice]).subject).toBe(
      '[calendar-sync] Contoso (contoso-me) has not been updated since 2026-11-24T00:00:00Z',
    );
    expect(mailOf([notice]).text).toContain('What to do: ');
    expect(mailOf([notice, { ...notice, what: 'cleared' }]).subject).toBe('[calendar-sync] 1 alarm, 1 over');
    const broken = { ...notice, alarm: { ...alarm, message: 'a\r\nBcc: x@y.example' } };
    expect(mailOf([broken]).subject).toBe('[calendar-sync] a Bcc: x@y.example');
  });
});
