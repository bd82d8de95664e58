import type { SyncError } from '../shared/errors.ts';
import type { AccessFindings, MailboxFinding } from '../sources/graph/prove-access.ts';
import type { AccessState, ProofRecord, TenantAccess } from '../store/tenant-access.ts';

const minuteMs = 60_000;
const hourMs = 3_600_000;
/** Exchange takes over an hour to heed a new grant or policy (Graph docs, `auth-limit-mailbox-access.md`). */
const propagationMs = 4 * hourMs;
const dayMs = 24 * hourMs;

export interface ProofContext {
  readonly access: 'scoped' | 'tenant-wide' | 'delegated';
  readonly before: Pick<TenantAccess, 'state' | 'provenAt' | 'grantedAt' | 'declinedAt' | 'controlState'>;
  readonly now: Date;
  /** A number in [0, 1), for jitter: many tenants need not be tried at one hour. */
  readonly random: number;
}

/** What findings mean for a tenant. Pure. A failure that says nothing of access changes nothing but when it is tried again. */
export function judgeProof(findings: AccessFindings, context: ProofContext): ProofRecord {
  const { before, now, random } = context;
  const mailboxes = findings.mailboxes.map(mailboxProof);
  const control = findings.control;
  const controlState = control === null ? null : controlOf(control);
  const record = (state: AccessState, error: Told | null, afterMs: number, isProven = false): ProofRecord => ({
    state,
    isProven,
    controlState,
    code: error?.code ?? null,
    reason: error?.reason ?? null,
    remedy: error?.remedy ?? null,
    afterMs,
    mailboxes,
  });
  const daily = dayMs * (0.95 + 0.05 * random);
  const soon = isPropagating(before, now) ? 2 * minuteMs : hourMs;

  if (findings.signIn !== null) {
    const { code, recovery } = findings.signIn;
    if (recovery.kind !== 'operator') return record(before.state, told(findings.signIn), 5 * minuteMs);
    return record(
      withdrawing.has(code) && before.provenAt !== null ? 'withdrawn' : before.state,
      told(findings.signIn),
      soon,
    );
  }
  if (controlState === 'readable' && control !== null)
    return record('undone', scopeUndone(control.mailbox, context), hourMs);
  if (findings.mailboxes.length === 0) return record(before.state, noMailbox, hourMs);

  const readable = findings.mailboxes.filter(({ kind }) => kind === 'readable');
  const failed = findings.mailboxes.filter(({ kind }) => kind !== 'readable');
  const [first] = failed;
  if (first === undefined) {
    // All can be read; whether the rest is closed is another question, which this answers with no.
    if (control !== null && controlState === 'unknown') return record('proven', controlUnproven(control), hourMs);
    return record('proven', withoutControl(findings, context), daily, true);
  }
  if (failed.every(({ kind }) => kind === 'unknown')) return record(before.state, told(first.error), 5 * minuteMs);
  if (readable.length > 0) return record('partial', told(first.error), hourMs);
  if (failed.some(({ kind }) => kind === 'refused')) {
    if (before.provenAt !== null) return record('withdrawn', told(first.error), soon);
    if (before.grantedAt !== null) return record('propagating', propagating(context), soon);
    return record(before.declinedAt === null ? 'unasked' : 'declined', told(first.error), hourMs);
  }
  return record('unreadable', told(first.error), hourMs);
}

/** Sign-ins that fail so because the directory has taken the app's access away. */
const withdrawing = new Set(['graph.consent_missing', 'graph.app_unknown', 'graph.app_disabled']);

function isPropagating({ grantedAt }: ProofContext['before'], now: Date): boolean {
  return grantedAt !== null && now.getTime() - grantedAt.getTime() < propagationMs;
}

interface Told {
  readonly code: string;
  readonly reason: string;
  readonly remedy: string | null;
}

function told(error: SyncError | null): Told | null {
  if (error === null) return null;
  const { code, message, recovery } = error;
  return { code, reason: message, remedy: recovery.kind === 'operator' ? recovery.remedy : null };
}

function mailboxProof({ mailbox, kind, error }: MailboxFinding): ProofRecord['mailboxes'][number] {
  const { code, reason, remedy } = told(error) ?? { code: null, reason: null, remedy: null };
  return { mailbox, state: kind, code, reason, remedy };
}

/** Only a 403 proves that a mailbox is closed; that it does not exist proves nothing. */
function controlOf({ kind }: MailboxFinding): 'refused' | 'readable' | 'unknown' {
  return kind === 'readable' || kind === 'refused' ? kind : 'unknown';
}

function scopeUndone(mailbox: string, { access }: ProofContext): Told {
  return {
    code: 'access.scope_undone',
    reason: `The control mailbox ${mailbox} can be read, although it must not be.`,
    remedy:
      access === 'scoped'
        ? 'Remove the permission Calendars.Read of the app in Entra (API permissions, and Enterprise applications > Permissions): it counts beside the Exchange scope and limits nothing. Mind that this can take over an hour to work.'
        : 'Limit the app to the mailboxes that it is to read by an application access policy, or name another control mailbox.',
  };
}

function controlUnproven({ mailbox, error }: MailboxFinding): Told {
  return {
    code: 'access.control_unproven',
    reason: `That the control mailbox ${mailbox} is closed could not be shown: ${error?.message ?? 'it did not answer'}`,
    remedy: 'Name a mailbox that exists and that the app may not read.',
  };
}

/** All that is named can be read, and nothing shows that nothing else can. */
function withoutControl({ control, calendarRoles }: AccessFindings, { access }: ProofContext): Told | null {
  if (access !== 'scoped' || control !== null || calendarRoles === null || calendarRoles.length === 0) return null;
  return {
    code: 'access.scope_doubtful',
    reason: `The app holds ${calendarRoles.join(', ')} in Entra, for all mailboxes unless an application access policy limits it.`,
    remedy: 'Remove that permission, or name a control mailbox, whose refusal proves the policy.',
  };
}

function propagating({ access }: ProofContext): Told {
  return {
    code: 'access.propagating',
    reason: 'Access was granted, but Microsoft does not let the app read yet.',
    remedy:
      access === 'scoped'
        ? 'Exchange can take over an hour, up to two for a new scope. If it lasts longer, check the scope and the role assignment with the script.'
        : 'It usually takes minutes. If it lasts longer, check that the app registration asks for the application permission Calendars.Read.',
  };
}

const noMailbox: Told = {
  code: 'access.no_mailbox',
  reason: 'No source names a mailbox of this tenant yet, so nothing could be tried.',
  remedy: 'Add a source of this tenant to the configuration and apply it.',
};
