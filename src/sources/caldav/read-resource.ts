import { expandSeries } from '../../calendar/expand.ts';
import { parseCalendar, type ParsedCalendar, type ParseProblem } from '../../calendar/parse.ts';
import type { Series } from '../../calendar/series.ts';
import { slotKey } from '../../calendar/slot-key.ts';
import { toSyncError } from '../../shared/errors.ts';
import type { Window } from '../../shared/window.ts';

/** One series of a resource. Its claim's key is the resource's name, and `#` with the suffix unless that is empty. */
export interface ReadPart {
  readonly suffix: string;
  readonly series: Series;
  readonly isInWindow: boolean;
}

export interface Trouble {
  readonly code: string;
  /** Without anything of the event's content. */
  readonly reason: string;
}

export type ReadResource =
  /** `lost`: something of it could not be read, so that a part which is missing may well be there. */
  | { readonly kind: 'events'; readonly parts: readonly ReadPart[]; readonly lost: Trouble | null }
  /** A task, a journal, or nothing at all. */
  | { readonly kind: 'no-events' }
  /** It bears our own mark: what a mirror wrote is never read as a source's (no loops). */
  | { readonly kind: 'ours' }
  | ({ readonly kind: 'unreadable' } & Trouble);

/** Problems after which an event of the text is missing from what was read. */
const losing = new Set<ParseProblem['code']>(['ical.start_missing', 'ical.slot_unreadable', 'ical.event_unreadable']);

/**
 * Reads a calendar object resource (RFC 4791 section 4.1: one UID, its master and its exceptions). Keys are as stable
 * as what they name: the whole series has an empty suffix; exceptions without a master, and what a change to this and
 * all later occurrences cut off, have their slot. Where a server keeps several UIDs in one resource, each has its UID.
 * Pure.
 */
export function readResource(
  text: string,
  options: {
    readonly self: readonly string[];
    readonly window: Window;
    readonly isOurs: (uid: string) => boolean;
  },
): ReadResource {
  if (!/\bEND:VCALENDAR\s*$/i.test(text))
    return { kind: 'unreadable', code: 'caldav.resource_cut', reason: 'The resource does not end as a calendar does' };
  let parsed: ParsedCalendar;
  try {
    parsed = parseCalendar(text, { self: options.self });
  } catch (thrown) {
    const { code, message } = toSyncError(thrown);
    return { kind: 'unreadable', code, reason: message };
  }
  const { resources, problems } = parsed;
  const foreign = resources.filter(({ uid }) => !options.isOurs(uid));
  if (resources.length > 0 && foreign.length === 0) return { kind: 'ours' };

  const problem = problems.find(({ code, uid }) => losing.has(code) && !(uid !== null && options.isOurs(uid)));
  let lost: Trouble | null = problem ?? null;
  const parts = new Map<string, ReadPart>();
  for (const { uid, series } of foreign) {
    for (const one of series) {
      const isInWindow = overlaps(one, options.window);
      if (isInWindow === null)
        lost ??= { code: 'ical.event_unreadable', reason: 'The event has times that do not exist' };
      else {
        const suffix = suffixOf(one, series, resources.length > 1 ? uid : null);
        parts.set(suffix, { suffix, series: one, isInWindow });
      }
    }
  }
  if (parts.size > 0) return { kind: 'events', parts: [...parts.values()], lost };
  return lost === null ? { kind: 'no-events' } : { kind: 'unreadable', code: lost.code, reason: lost.reason };
}

function suffixOf(one: Series, all: readonly Series[], uid: string | null): string {
  const own = one.slot !== '*' ? one.slot : one === all[0] ? '' : slotKey(one.main.start);
  return [uid, own].filter((text) => text !== null && text !== '').join('#');
}

/** Null when its times cannot be worked out, so that it could not be stored either. */
function overlaps(series: Series, window: Window): boolean | null {
  try {
    return expandSeries(series, window).length > 0;
  } catch {
    return null;
  }
}
