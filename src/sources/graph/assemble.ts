import type { Claim, Stale } from '../source.ts';
import type { Owner } from './people.ts';
import { singleSeries } from './to-series.ts';
import { readEvent, type WireEvent } from './wire.ts';

export interface Assembled {
  readonly claims: readonly Claim[];
  readonly stale: readonly Stale[];
}

/** Members of a series without its master on the same page: above this many they are no stray invitations. */
const MAX_STRAYS = 5;

/**
 * What a page of calendarView/delta says. Singles are told whole; of a series any member only says that something about
 * it changed, so that it is rebuilt from its master. A removal may only mean that the event left the view: it is asked
 * again by its id. An id that comes twice counts as it came last. Items without id say nothing.
 *
 * Members whose master is not on the page are asked for by their own id as well when they are few: a person can be
 * invited to one date of a series that this calendar does not have.
 */
export function assemble(items: readonly unknown[], owner: Owner): Assembled {
  const claims = new Map<string, Claim>();
  const stale = new Map<string, Stale>();
  const members = new Map<string, Set<string>>();
  const masters = new Set<string>();
  const versions = new Map<string, Set<string | null>>();
  const noteVersion = (master: string, version: string | null): void => {
    versions.set(master, (versions.get(master) ?? new Set()).add(version));
  };
  const mark = (key: string, why: Stale['why']): void => {
    claims.delete(key);
    stale.delete(key);
    stale.set(key, { key, why });
  };

  for (const item of items) {
    const event = readEvent(item);
    const { id, seriesMasterId } = event;
    if (id === null) continue;
    for (const siblings of members.values()) siblings.delete(id);
    // Both there and gone on one page, in no order that means anything: it is asked for, whether it was known or not.
    if (event.isRemoved) noteVersion(id, null);
    if (event.isRemoved) mark(id, claims.has(id) || isToldOf(stale.get(id)) ? 'thin' : 'removed');
    else if (event.type === 'seriesMaster' || event.recurrence !== null) {
      masters.add(id);
      noteVersion(id, event.version);
      mark(id, 'member');
    } else if (seriesMasterId !== null) {
      claims.delete(id);
      stale.delete(id);
      noteVersion(seriesMasterId, event.version);
      mark(seriesMasterId, 'member');
      members.set(seriesMasterId, (members.get(seriesMasterId) ?? new Set()).add(id));
    } else if (event.type === 'occurrence' || event.type === 'exception' || isThin(event)) mark(id, 'thin');
    else {
      const mapped = singleSeries(event, owner);
      if (mapped.kind === 'unmappable') mark(id, 'unreadable');
      else {
        stale.delete(id);
        claims.delete(id);
        claims.set(id, { key: id, version: event.version, series: mapped.series, check: null });
      }
    }
  }
  for (const [key, { why }] of stale) {
    const [version, ...others] = versions.get(key) ?? [];
    if (why === 'member' && typeof version === 'string' && others.length === 0) stale.set(key, { key, why, version });
  }
  for (const [series, ids] of members) {
    if (masters.has(series) || ids.size > MAX_STRAYS) continue;
    for (const id of ids) stale.set(id, { key: id, why: 'stray', series });
  }
  return { claims: [...claims.values()], stale: [...stale.values()] };
}

function isToldOf(stale: Stale | undefined): boolean {
  return stale !== undefined && stale.why !== 'removed';
}

/** Rows that carry times only, or not even these, as some answers do. An event without title has an empty one. */
function isThin(event: WireEvent): boolean {
  return event.start === null || (event.subject === null && event.body === null && event.showAs === null);
}
