import { isAddress } from '../../calendar/text.ts';
import { SyncError } from '../../shared/errors.ts';
import type { GraphClient } from './client.ts';
import type { Owner } from './people.ts';
import { readCalendar, readCollection, type WireCalendar } from './wire.ts';

/** Requests of one piece of work: one mailbox, one signal, counted. */
export interface Session {
  readonly mailbox: string;
  readonly requests: () => number;
  /** A path below `/users/{mailbox}`. */
  get(path: string, query?: Readonly<Record<string, string>>): Promise<unknown>;
  /** As `get`, for answers that come in pages. */
  getPage(path: string, query?: Readonly<Record<string, string>>): Promise<unknown>;
  follow(link: string): Promise<unknown>;
}

export function openSession(client: GraphClient, mailbox: string, signal: AbortSignal): Session {
  let requests = 0;
  const user = `/users/${encodeURIComponent(mailbox)}`;
  const ask = (to: Parameters<GraphClient['get']>[0]['to'], isPaged: boolean): Promise<unknown> => {
    requests += 1;
    return client.get({ mailbox, to, isPaged, signal });
  };
  return {
    mailbox,
    requests: () => requests,
    get: (path, query = {}) => ask({ path: `${user}${path}`, query }, false),
    getPage: (path, query = {}) => ask({ path: `${user}${path}`, query }, true),
    follow: (link) => ask({ link }, true),
  };
}

const SELECT = 'id,name,owner,isDefaultCalendar,canEdit,canShare,canViewPrivateItems,hexColor';
/** Longer collections than this are no person's, or a link that leads in a circle. */
const MAX_PAGES = 200;

/** All items of a collection from its first page on. Throws `graph.unreadable_answer` when it is none. */
export async function allItems(session: Session, firstPage: unknown): Promise<unknown[]> {
  const items: unknown[] = [];
  let page = readCollection(firstPage);
  for (let pages = 1; page !== null && pages <= MAX_PAGES; pages += 1) {
    items.push(...page.items);
    if (page.nextLink === null) return items;
    page = readCollection(await session.follow(page.nextLink));
  }
  throw notACollection();
}

export function notACollection(): SyncError {
  return new SyncError('Graph answered something else than a list.', {
    code: 'graph.unreadable_answer',
    recovery: { kind: 'retry' },
  });
}

/** The calendars of a mailbox, other people's that were added to it included. */
export async function listCalendars(session: Session): Promise<WireCalendar[]> {
  const items = await allItems(session, await session.getPage('/calendars', { $select: SELECT }));
  return items.map(readCalendar).filter((calendar) => calendar !== null);
}

/**
 * The calendar that a source means by `default`, an id or a name. Ids of calendars are not immutable: a name finds it
 * again. Throws `graph.calendar_not_found` or `graph.calendar_ambiguous`.
 */
export async function resolveCalendar(session: Session, wanted: string): Promise<WireCalendar> {
  if (wanted === 'default') {
    const calendar = readCalendar(await session.get('/calendar', { $select: SELECT }));
    if (calendar === null) throw notACollection();
    return { ...calendar, isDefault: true };
  }
  const calendars = await listCalendars(session);
  const byId = calendars.find(({ id }) => id === wanted);
  if (byId !== undefined) return byId;

  const named = calendars.filter(({ name }) => name.trim().toLowerCase() === wanted.trim().toLowerCase());
  const exact = named.filter(({ name }) => name === wanted);
  const own = named.filter((calendar) => isOwn(calendar, session.mailbox));
  for (const found of [named, exact, own]) {
    if (found.length === 1 && found[0] !== undefined) return found[0];
  }
  const isAmbiguous = named.length > 1;
  throw new SyncError(
    isAmbiguous
      ? `The mailbox ${session.mailbox} has several calendars of that name.`
      : `The mailbox ${session.mailbox} has no such calendar.`,
    {
      code: isAmbiguous ? 'graph.calendar_ambiguous' : 'graph.calendar_not_found',
      recovery: {
        kind: 'operator',
        remedy: 'Set `calendar` of the source to `default`, or to a name or id that `calendar-sync probe` lists.',
      },
      field: 'calendar',
    },
  );
}

/** Whether the calendar itself answers; only then does a missing event mean that the event is gone. */
export async function confirmCalendar(session: Session, calendar: WireCalendar): Promise<void> {
  await session.get(calendarPath(calendar), { $select: 'id' });
}

export function calendarPath({ id }: WireCalendar): string {
  return `/calendars/${encodeURIComponent(id)}`;
}

/** False for the local copy of somebody else's calendar, which is better read at its owner. */
export function isOwn({ owner, isDefault }: WireCalendar, mailbox: string): boolean {
  return isDefault || owner.address === null || owner.address.toLowerCase() === mailbox.toLowerCase();
}

/** Whose answers `responseStatus` tells: the calendar's owner's. */
export function ownerOf(calendar: WireCalendar, mailbox: string): Owner {
  const addresses = [calendar.owner.address, ...(isOwn(calendar, mailbox) ? [mailbox] : [])]
    .filter((address) => address !== null)
    .map((address) => address.toLowerCase());
  return { addresses: [...new Set(addresses)].filter((address) => isAddress(address)), name: calendar.owner.name };
}
