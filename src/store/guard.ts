import { SyncError } from '../shared/errors.ts';
import { discardHeld, heldRemovals, removeClaims, type HeldRemoval } from './claims.ts';
import type { Db } from './database.ts';
import { approveDeletions, discardDeletions } from './deletions.ts';
import { goneCalendars, wantCalendarAgain, type GoneCalendar } from './gone-calendars.ts';
import { recordAudit } from './history.ts';
import { loadSource } from './sources.ts';
import { loadTarget } from './targets.ts';

export type GuardDecision = 'approve' | 'discard';

/** What waits for the operator: removals that are too many at once, and calendars that are gone from the server. */
export interface Held {
  readonly removals: readonly HeldRemoval[];
  readonly calendars: readonly GoneCalendar[];
}

export async function listHeld(db: Db): Promise<Held> {
  return { removals: await heldRemovals(db), calendars: await goneCalendars(db) };
}

export interface Decided {
  /** A source's id, or `target:<id>`. */
  readonly subject: string;
  readonly decision: GuardDecision;
  readonly count: number;
  /** What has something to do now. */
  readonly hint: { readonly kind: 'ingest' | 'deliver'; readonly id: string };
}

/**
 * Carries out, or forgets, what is held of a source or, as `target:<id>`, of a target. Inside the caller's transaction.
 * Throws `config.missing_entry`.
 */
export async function decideHeld(db: Db, subject: string, decision: GuardDecision, actor: string): Promise<Decided> {
  const decided = subject.startsWith('target:')
    ? await decideTarget(db, subject.slice('target:'.length), decision)
    : await decideSource(db, subject, decision);
  await recordAudit(db, { actor, action: `guard.${decision}`, subject, detail: { count: decided.count } });
  return { subject, decision, ...decided };
}

async function decideSource(db: Db, id: string, decision: GuardDecision): Promise<Pick<Decided, 'count' | 'hint'>> {
  const source = await loadSource(db, id);
  if (source === null) throw unknown('source', id);
  return decision === 'approve'
    ? { count: await removeClaims(db, source, 'held'), hint: { kind: 'deliver', id: source.targetId } }
    : { count: await discardHeld(db, id), hint: { kind: 'ingest', id } };
}

async function decideTarget(db: Db, id: string, decision: GuardDecision): Promise<Pick<Decided, 'count' | 'hint'>> {
  if ((await loadTarget(db, id)) === null) throw unknown('target', id);
  const count = await (decision === 'approve' ? approveDeletions : discardDeletions)(db, id);
  return { count, hint: { kind: 'deliver', id } };
}

/** Orders a calendar that is gone from the server to be made again, with all that shows in it. Throws `guard.not_gone`. */
export async function recreateCalendar(db: Db, target: string, calendar: string, actor: string): Promise<void> {
  if (!(await wantCalendarAgain(db, target, calendar)))
    throw new SyncError(`The calendar ${target}/${calendar} is not gone from its server`, {
      code: 'guard.not_gone',
      field: 'calendar',
      recovery: { kind: 'operator', remedy: 'See "calendar-sync guard list" for what is.' },
    });
  await recordAudit(db, { actor, action: 'guard.recreate', subject: `${target}/${calendar}` });
}

function unknown(what: 'source' | 'target', id: string): SyncError {
  return new SyncError(`There is no ${what} ${id}`, {
    code: 'config.missing_entry',
    field: what,
    recovery: { kind: 'operator', remedy: 'See "calendar-sync guard list".' },
  });
}
