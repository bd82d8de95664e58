import { SyncError } from '../../shared/errors.ts';
import type { Window } from '../../shared/window.ts';
import type { Page, Source, SourceInstance, Stale } from '../source.ts';
import { assemble } from './assemble.ts';
import {
  calendarPath,
  confirmCalendar,
  isCode,
  isOwn,
  notACollection,
  openSession,
  ownerOf,
  resolveCalendar,
  type KnownCalendar,
  type Session,
} from './calendars.ts';
import type { GraphClient } from './client.ts';
import { listInstances } from './instances.ts';
import { members } from './members.ts';
import type { Owner } from './people.ts';
import { rebuildSeries, seriesVersion } from './rebuild.ts';
import { readCollection, readEvent, type WireCalendar } from './wire.ts';

export interface GraphSourceOptions {
  readonly client: GraphClient;
  /** Address or id of the user whose calendar it is. */
  readonly mailbox: string;
  /** `default`, a calendar's id or its name. */
  readonly calendar: string;
  /** Which calendar it was before this process; without, a calendar is only followed as long as the process lives. */
  readonly memory?: CalendarMemory;
}

/** Remembers which calendar a source was found to be. */
export interface CalendarMemory {
  load(): Promise<KnownCalendar | null>;
  save(found: KnownCalendar & Pick<CalendarFacts, 'isOwn' | 'color'>): Promise<void>;
}

/** What a real look at the calendar tells the operator. */
export interface CalendarFacts {
  readonly id: string;
  readonly name: string;
  readonly owner: string | null;
  /** False: a local copy of somebody else's calendar, better read at its owner. */
  readonly isOwn: boolean;
  readonly isDefault: boolean;
  readonly color: string | null;
}

export interface GraphCalendarSource extends Source {
  /** Signs in and reads the calendar: the token alone proves no permission. Throws SyncError. */
  probeCalendar(signal: AbortSignal): Promise<CalendarFacts>;
  /** What the calendar shows in a window, occurrence by occurrence. Throws SyncError. */
  instances(window: Window, signal: AbortSignal): Promise<SourceInstance[]>;
}

const MAX_ALIASES = 5_000;
/** As often as one link may fail by Graph's fault before the reading begins anew. */
const FAILURES_OF_A_LINK = 4;
/** A link that is refused so will be refused for ever. */
const refusals = ['graph.request_refused', 'graph.id_refused', 'graph.not_found_unexplained'];

/**
 * One calendar of Microsoft 365 by `calendarView/delta`. The cursor is Graph's own next or delta link, which freezes the
 * window in it; a cold start is a full reading over the window. Worth keeping as long as the process lives: it remembers
 * the calendar's id and some occurrences.
 */
export function graphSource({ client, mailbox, calendar: wanted, memory }: GraphSourceOptions): GraphCalendarSource {
  let known: WireCalendar | null = null;
  let failing: { readonly cursor: string; readonly times: number } | null = null;
  const occurrences = members();
  const settled = new Set<string>();
  /** Ids by which occurrences name their master where that is not the id of the master's own claim. */
  const aliases = new Map<string, string>();
  let lookingUp: Promise<WireCalendar> | null = null;
  const calendarOf = async (session: Session): Promise<WireCalendar> => {
    // Several series are rebuilt at a time: one asks for all, and the others for themselves if that was given up.
    if (known === null && lookingUp !== null) await lookingUp.catch(() => undefined);
    if (known !== null) return known;
    const mine = findCalendar(session).finally(() => {
      if (lookingUp === mine) lookingUp = null;
    });
    return (lookingUp = mine);
  };
  const findCalendar = async (session: Session): Promise<WireCalendar> => {
    const before = (await memory?.load()) ?? null;
    const found = await lookUp(session, before);
    const facts = factsOf(found, mailbox);
    if (!isSame(before, wanted, facts)) await memory?.save({ wanted, ...facts });
    return (known = found);
  };
  const lookUp = async (session: Session, before: KnownCalendar | null): Promise<WireCalendar> => {
    try {
      return await resolveCalendar(session, wanted, before);
    } catch (thrown) {
      throw isNotFound(thrown) ? calendarGone(mailbox, thrown) : thrown;
    }
  };

  /** Runs against the calendar; not found under its known id, it is looked up once more (ids do change). */
  const withCalendar = async <T>(session: Session, task: (calendar: WireCalendar) => Promise<T>): Promise<T> => {
    const wasKnown = known !== null;
    const calendar = await calendarOf(session);
    try {
      return await task(calendar);
    } catch (thrown) {
      if (!isNotFound(thrown)) throw thrown;
      known = null;
      if (!wasKnown || (await calendarOf(session)).id === calendar.id) throw calendarGone(mailbox, thrown);
      return task(await calendarOf(session));
    }
  };

  const start = (session: Session, window: Window): Promise<unknown> =>
    withCalendar(session, (calendar) =>
      session.getPage(`${calendarPath(calendar)}/calendarView/delta`, {
        startDateTime: window.from,
        endDateTime: window.to,
      }),
    );

  /**
   * Follows a link. One that Graph refuses, or that fails again and again while the calendar answers, is dead, whatever
   * the code says (`errors.md` lists some): then the calendar is read anew.
   */
  const resume = async (session: Session, cursor: string): Promise<unknown> => {
    try {
      const answer = await session.follow(cursor);
      failing = null;
      return answer;
    } catch (thrown) {
      // Whether the calendar or the user is really gone is told by the look below.
      const isRefused = isCode(thrown, 'graph.item_not_found', 'graph.user_not_found', ...refusals);
      if (!isRefused && !isCode(thrown, 'graph.server_error', 'graph.unreadable_answer')) throw thrown;
      failing = { cursor, times: failing?.cursor === cursor ? failing.times + 1 : 1 };
      if (!isRefused && failing.times < FAILURES_OF_A_LINK) throw thrown;
      // The calendar may be there under another id.
      known = null;
      await confirmCalendar(session, await calendarOf(session));
      failing = null;
      throw new SyncError('Graph does not take its own link any more, though the calendar is there.', {
        code: 'graph.link_dead',
        recovery: { kind: 'reread' },
        cause: thrown,
      });
    }
  };

  /** Of interest only where somebody was invited; a page without costs no look-up. */
  const ownerFor = async (session: Session, items: readonly unknown[]): Promise<Owner> => {
    if (known === null && !items.some(namesPeople)) return { addresses: [], name: null };
    return ownerOf(await calendarOf(session), mailbox);
  };

  return {
    async readPage(cursor, window, signal): Promise<Page> {
      const session = openSession(client, mailbox, signal);
      const answer = readCollection(cursor === null ? await start(session, window) : await resume(session, cursor));
      const next = answer?.nextLink ?? answer?.deltaLink ?? null;
      if (answer === null || next === null) throw notACollection();
      client.checkLink(next);
      if (answer.nextLink !== null && answer.nextLink === cursor) throw linkInCircle();
      settled.clear();
      const { claims, stale } = assemble(answer.items, await ownerFor(session, answer.items));
      const told = new Set(stale.map(({ key }) => key));
      const members = occurrences.take(answer.items).filter((key) => !told.has(key));
      const all = [...stale, ...members.map((key): Stale => ({ key, why: 'member' }))];
      return {
        claims,
        stale: all.map((each) => inClaimsTerms(each, aliases, client.version)),
        cursor: next,
        isLast: answer.nextLink === null,
        requests: session.requests(),
      };
    },

    async rebuild(key, window, signal) {
      const session = openSession(client, mailbox, signal);
      const result = await withCalendar(session, (calendar) =>
        rebuildSeries(key, {
          session,
          calendar,
          owner: ownerOf(calendar, mailbox),
          window,
          learned: client.learned,
          program: client.version,
          occurrences,
          settled,
        }),
      );
      const claimed = result.kind === 'series' ? result.claims[0]?.key : undefined;
      if (claimed !== undefined && claimed !== key && aliases.size < MAX_ALIASES) aliases.set(key, claimed);
      return result;
    },

    async answers(signal) {
      try {
        const session = openSession(client, mailbox, signal);
        await confirmCalendar(session, await calendarOf(session));
        return true;
      } catch {
        signal.throwIfAborted();
        return false;
      }
    },

    instances(window, signal) {
      const session = openSession(client, mailbox, signal);
      return withCalendar(session, (calendar) => listInstances(session, calendar, ownerOf(calendar, mailbox), window));
    },

    async probeCalendar(signal) {
      await client.signIn();
      const before = (await memory?.load()) ?? null;
      return factsOf(await resolveCalendar(openSession(client, mailbox, signal), wanted, before), mailbox);
    },
  };
}

function factsOf(calendar: WireCalendar, mailbox: string): CalendarFacts {
  const { id, name, owner, isDefault, color } = calendar;
  return { id, name, owner: owner.address, isOwn: isOwn(calendar, mailbox), isDefault, color };
}

function isSame(before: KnownCalendar | null, wanted: string, { id, name, owner }: CalendarFacts): boolean {
  return before?.wanted === wanted && before.id === id && before.name === name && before.owner === owner;
}

/** By the keys and versions under which claims are stored. */
function inClaimsTerms(stale: Stale, aliases: ReadonlyMap<string, string>, program: string): Stale {
  const { key, why, version, series } = stale;
  return {
    key: aliases.get(key) ?? key,
    why,
    ...(version === undefined ? {} : { version: seriesVersion(version, program) }),
    ...(series === undefined ? {} : { series: aliases.get(series) ?? series }),
  };
}

function isNotFound(thrown: unknown): boolean {
  return isCode(thrown, 'graph.item_not_found');
}

function linkInCircle(): SyncError {
  return new SyncError('Graph gave a page whose next page is itself.', {
    code: 'graph.link_dead',
    recovery: { kind: 'reread' },
  });
}

function calendarGone(mailbox: string, cause: unknown): SyncError {
  return new SyncError(`The calendar of ${mailbox} is not there any more; what is shown stays as it is.`, {
    code: 'graph.calendar_not_found',
    recovery: {
      kind: 'operator',
      remedy:
        'Set `calendar` of the source to one that "calendar-sync calendars <tenant> <mailbox>" lists, or remove the source.',
    },
    field: 'calendar',
    cause,
  });
}

function namesPeople(item: unknown): boolean {
  const { attendees, isOrganizer } = readEvent(item);
  return isOrganizer === false || (attendees ?? []).length > 0;
}
