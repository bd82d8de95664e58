import { describe, expect, it } from '@jest/globals';

import { judgeProof, type ProofContext } from '../../src/access/judge-proof.ts';
import { SyncError } from '../../src/shared/errors.ts';
import type { AccessFindings, MailboxFinding } from '../../src/sources/graph/prove-access.ts';
import type { AccessState } from '../../src/store/tenant-access.ts';

const now = new Date('2026-11-25T12:00:00Z');
const errorOf = (code: string, kind: 'operator' | 'retry' = 'operator'): SyncError =>
  new SyncError(`told ${code}`, { code, recovery: kind === 'retry' ? { kind } : { kind, remedy: 'do this' } });
const mailbox = (kind: MailboxFinding['kind'], name = 'ann@a.example'): MailboxFinding => ({
  mailbox: name,
  kind,
  error: kind === 'readable' ? null : errorOf(`graph.${kind}`, kind === 'unknown' ? 'retry' : 'operator'),
});
const readable = mailbox('readable');
const refused = mailbox('refused');
const found = (findings: Partial<AccessFindings>): AccessFindings => ({
  signIn: null,
  calendarRoles: null,
  mailboxes: [],
  control: null,
  ...findings,
});
const fresh: ProofContext['before'] = {
  state: 'unasked',
  provenAt: null,
  grantedAt: null,
  declinedAt: null,
  controlState: null,
};
const granted = { ...fresh, state: 'propagating' as const, grantedAt: new Date('2026-11-25T11:30:00Z') };
const proven = { ...granted, state: 'proven' as const, provenAt: new Date('2026-11-25T11:40:00Z') };
const judge = (findings: Partial<AccessFindings>, context: Partial<ProofContext> = {}) =>
  judgeProof(found(findings), { access: 'scoped', before: fresh, now, random: 0.5, ...context });

describe('what a proof found', () => {
  it.each<[string, Partial<AccessFindings>, ProofContext['before'], AccessState, string | null]>([
    ['all can be read', { mailboxes: [readable] }, fresh, 'proven', null],
    ['all can be read, the control is refused', { mailboxes: [readable], control: refused }, granted, 'proven', null],
    ['the control can be read', { mailboxes: [readable], control: readable }, proven, 'undone', 'access.scope_undone'],
    [
      'the control can be read, nothing else',
      { mailboxes: [refused], control: readable },
      granted,
      'undone',
      'access.scope_undone',
    ],
    [
      'the control does not exist',
      { mailboxes: [readable], control: mailbox('missing') },
      granted,
      'proven',
      'access.control_unproven',
    ],
    [
      'the control has no mailbox',
      { mailboxes: [readable], control: mailbox('unavailable') },
      granted,
      'proven',
      'access.control_unproven',
    ],
    [
      'an Entra role, no control',
      { mailboxes: [readable], calendarRoles: ['Calendars.Read'] },
      granted,
      'proven',
      'access.scope_doubtful',
    ],
    [
      'an Entra role, the control is refused',
      { mailboxes: [readable], calendarRoles: ['Calendars.Read'], control: refused },
      granted,
      'proven',
      null,
    ],
    ['refused, and nobody said anything', { mailboxes: [refused] }, fresh, 'unasked', 'graph.refused'],
    [
      'refused after a no',
      { mailboxes: [refused] },
      { ...fresh, state: 'declined', declinedAt: now },
      'declined',
      'graph.refused',
    ],
    ['refused after a yes', { mailboxes: [refused] }, granted, 'propagating', 'access.propagating'],
    ['refused after a proof', { mailboxes: [refused] }, proven, 'withdrawn', 'graph.refused'],
    ['one is refused', { mailboxes: [readable, refused] }, proven, 'partial', 'graph.refused'],
    [
      'one does not answer, one is read',
      { mailboxes: [readable, mailbox('unknown')] },
      proven,
      'proven',
      'graph.unknown',
    ],
    ['none answers', { mailboxes: [mailbox('unknown')] }, proven, 'proven', 'graph.unknown'],
    ['none answers, never proven', { mailboxes: [mailbox('unknown')] }, granted, 'propagating', 'graph.unknown'],
    ['a guest', { mailboxes: [mailbox('unavailable')] }, granted, 'unreadable', 'graph.unavailable'],
    ['nobody of that name', { mailboxes: [mailbox('missing')] }, proven, 'unreadable', 'graph.missing'],
    ['no mailbox is named', {}, granted, 'propagating', 'access.no_mailbox'],
    ['no token: secret expired', { signIn: errorOf('graph.secret_expired') }, proven, 'proven', 'graph.secret_expired'],
    [
      'no token: the app was taken out',
      { signIn: errorOf('graph.app_unknown') },
      proven,
      'withdrawn',
      'graph.app_unknown',
    ],
    [
      'no token: never consented',
      { signIn: errorOf('graph.consent_missing') },
      fresh,
      'unasked',
      'graph.consent_missing',
    ],
    [
      'no token: the login host is away',
      { signIn: errorOf('graph.unreachable', 'retry') },
      proven,
      'proven',
      'graph.unreachable',
    ],
  ])('%s', (_, findings, before, state, code) => {
    expect(judge(findings, { before })).toMatchObject({ state, code });
  });

  it('counts as a proof only when every mailbox was read and the control, if any, was not', () => {
    expect(judge({ mailboxes: [readable], control: refused }).isProven).toBe(true);
    for (const findings of [
      { mailboxes: [readable, mailbox('unknown')] },
      { mailboxes: [readable, refused] },
      { mailboxes: [readable], control: readable },
      { mailboxes: [readable], control: mailbox('missing') },
      { mailboxes: [] },
    ])
      expect(judge(findings, { before: proven }).isProven).toBe(false);
  });

  it('is looked for again in a day, or sooner while something is amiss', () => {
    const hours = (findings: Partial<AccessFindings>, before: ProofContext['before'] = proven): number =>
      judge(findings, { before }).afterMs / 3_600_000;
    expect(hours({ mailboxes: [readable] })).toBeGreaterThan(22);
    expect(hours({ mailboxes: [readable] })).toBeLessThanOrEqual(24);
    expect(hours({ mailboxes: [readable, refused] })).toBe(1);
    expect(hours({ mailboxes: [mailbox('unknown')] })).toBeLessThan(0.2);
    expect(hours({ mailboxes: [refused] }, granted)).toBeLessThan(0.1);
    const long = { ...granted, grantedAt: new Date('2026-11-20T00:00:00Z') };
    expect(hours({ mailboxes: [refused] }, long)).toBe(1);
  });

  it('tells what to do where an Entra grant undoes the scope', () => {
    const { remedy } = judge({ mailboxes: [readable], control: readable });
    expect(remedy).toContain('Remove the permission Calendars.Read of the app in Entra');
  });
});
