import { hash } from 'node:crypto';
import { expandSeries } from '../../calendar/expand.ts';
import { parseCalendar, type ParseProblem } from '../../calendar/parse.ts';
import type { Series } from '../../calendar/series.ts';
import { slotKey } from '../../calendar/slot-key.ts';
import type { Recovery } from '../../shared/errors.ts';
import type { Window } from '../../shared/window.ts';

/** All that a feed says, by key, in the order of the keys. */
export interface Feed {
  readonly events: ReadonlyMap<string, FeedEvent>;
  /** Keys of UIDs of which something could not be read; what is missing of them is not gone. */
  readonly lost: ReadonlyMap<string, { readonly code: string; readonly reason: string }>;
}

export interface FeedEvent {
  readonly series: Series;
  readonly isInWindow: boolean;
  /** Short hash of what it says, time stamps left out. */
  readonly version: string;
}

/** What is wrong with a text that is no calendar; it proves nothing about the calendar. */
export interface BadFeed {
  readonly code: 'ics.empty' | 'ics.not_a_calendar' | 'ics.truncated';
  readonly says: string;
  readonly recovery: Recovery;
}

export interface FeedRules {
  readonly isOurs: (uid: string) => boolean;
  /** Whether its UIDs may meet those of other sources; otherwise each event is an identity of its own. */
  readonly mayMerge: boolean;
  readonly window: Window;
}

/** Problems after which an event of the text is missing from what was read. */
const losing = new Set<ParseProblem['code']>(['ical.start_missing', 'ical.slot_unreadable', 'ical.event_unreadable']);

/** Null for a whole calendar, or several in a row. Pure. */
export function faultOf(text: string): BadFeed | null {
  const bad = (code: BadFeed['code'], says: string): BadFeed => ({ code, says, recovery: { kind: 'retry' } });
  if (text.trim() === '') return bad('ics.empty', 'sent an empty answer');
  const begun = text.match(/^\uFEFF?BEGIN:VCALENDAR[ \t]*\r?$/gim)?.length ?? 0;
  if (begun === 0) {
    const what = /^[\s\uFEFF]*<(?:!doctype|html|\?xml)/i.test(text)
      ? 'sent a web page instead of a calendar'
      : text.startsWith('\u001F')
        ? 'sent a compressed file instead of a calendar'
        : 'sent something that is no calendar';
    return bad('ics.not_a_calendar', what);
  }
  const ended = text.match(/^END:VCALENDAR[ \t]*\r?$/gim)?.length ?? 0;
  return ended < begun ? bad('ics.truncated', 'broke off before the end of the calendar') : null;
}

/**
 * Reads a text that has no fault. A key is a hash of the UID, and `#` with the slot for an exception without its
 * master: so it is short whatever the feed writes, and a list of keys fits into a cursor. Throws `ical.unreadable`.
 * Pure.
 */
export function readFeed(text: string, { isOurs, mayMerge, window }: FeedRules): Feed {
  const { resources, problems } = parseCalendar(text);
  const events: [string, FeedEvent][] = [];
  const lost = new Map<string, { code: string; reason: string }>();
  for (const { code, reason, uid } of problems) {
    if (losing.has(code) && uid !== null && !isOurs(uid)) lost.set(uidKey(uid), { code, reason });
  }
  for (const { uid, series } of resources) {
    if (isOurs(uid)) continue;
    const stem = uidKey(uid);
    for (const one of series) {
      const isInWindow = overlaps(one, window);
      if (isInWindow === null)
        lost.set(stem, { code: 'ical.event_unreadable', reason: 'The event has times that do not exist' });
      else {
        const own = one.slot !== '*' ? one.slot : one === series[0] ? null : slotKey(one.main.start);
        events.push([
          own === null ? stem : `${stem}#${own}`,
          { series: mayMerge ? one : { ...one, uid: null }, isInWindow, version: versionOf(one) },
        ]);
      }
    }
  }
  events.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return { events: new Map(events), lost };
}

/** Of a text without its time stamps of making, which some servers renew with every answer. */
export function digestOf(text: string): string {
  return hash('sha256', text.replace(/^DTSTAMP[;:].*$/gim, ''), 'base64url').slice(0, 22);
}

function versionOf(series: Series): string {
  const told = JSON.stringify(series, (name, value: unknown) =>
    name === 'lastModifiedAt' || name === 'createdAt' || name === 'sequence' ? undefined : value,
  );
  return hash('sha256', told, 'base64url').slice(0, 8);
}

export function uidKey(uid: string): string {
  return hash('sha256', uid, 'base64url').slice(0, 16);
}

/** The key of the UID that a key belongs to. */
export function stemOf(key: string): string {
  return key.slice(0, 16);
}

/** Null when its times cannot be worked out, so that it could not be stored either. */
function overlaps(series: Series, window: Window): boolean | null {
  try {
    return expandSeries(series, window).length > 0;
  } catch {
    return null;
  }
}
