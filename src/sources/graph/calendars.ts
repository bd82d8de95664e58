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
  const user = `/users/${pathSegment(mailbox)}`;
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

/**
 * One segment of a path. `@` and `=`, of which addresses and ids are full, stand as they are: a path allows them, and not
 * everything between us and Graph undoes what need not have been done.
 */
export function pathSegment(text: string): string {
  return encodeURIComponent(text).replaceAll('%40', '@').replaceAll('%3D', '=').replaceAll("'", '%27');
}

/** Asks with `query`; a service that refuses one of the names in it is asked without. */
export async function orPlain<T>(
  query: Readonly<Record<string, string>>,
  ask: (query: Readonly<Record<string, string>>) => Promise<T>,
): Promise<T> {
  try {
    return await ask(query);
  } catch (thrown) {
    if (!isCode(thrown, 'graph.request_refused')) throw thrown;
    const { $select: _, ...plain } = query;
    return ask(plain);
  }
}

export function isCode(thrown: unknown, ...codes: readonly string[]): boolean {
  return thrown instanceof SyncError && codes.includes(thrown.code);
}

/** All items of a collection from its first page on. Throws `graph.unreadable_answer` when it is none. */
export async function allItems(
  { follow }: Pick<Session, 'follow'>,
  firstPage: unknown,
  mostPages = MAX_PAGES,
): Promise<unknown[]> {
  const items: unknown[] = [];
  let page = readCollection(firstPage);
  for (let pages = 1; page !== null && pages <= mostPages; pages += 1) {
    items.push(...page.items);
    if (page.nextLink === null) return items;
    page = readCollection(await follow(page.nextLink));
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
  const first = await orPlain({ $select: SELECT }, (query) => session.getPage('/calendars', query));
  const items = await allItems(session, first);
  return items.map(readCalendar).filter((calendar) => calendar !== null);
}

/** A calendar that a source was found to be at some time. */
export interface KnownCalendar {
  /** What the configuration called it then. */
  readonly wanted: string;
  readonly id: string;
  readonly name: string;
  readonly owner: string | null;
}

/**
 * The calendar that a source means by `default`, an id or a name. Neither is for ever: calendars are renamed, and made
 * again or changed in id (microsoft-graph-docs#11296, #5580). One that was found before is followed by its id, then, if
 * nothing is called as configured, by its name and owner. Throws `graph.calendar_not_found` or `graph.calendar_ambiguous`.
 */
export async function resolveCalendar(
  session: Session,
  wanted: string,
  before: KnownCalendar | null = null,
): Promise<WireCalendar> {
  if (wanted === 'default') return defaultCalendar(session);
  const calendars = await listCalendars(session);
  const known = before?.wanted === wanted ? before : null;
  const byId = calendars.find(({ id }) => id === wanted) ?? calendars.find(({ id }) => id === known?.id);
  if (byId !== undefined) return byId;

  const named = calendars.filter(({ name }) => isSameText(name, wanted));
  const exact = named.filter(({ name }) => name === wanted);
  const own = named.filter((calendar) => isOwn(calendar, session.mailbox));
  const again = calendars.filter(
    ({ name, owner }) => known !== null && isSameText(name, known.name) && isSameText(owner.address, known.owner),
  );
  for (const found of [named, exact, own, again]) {
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
        remedy:
          'Set `calendar` of the source to `default`, or to a name or id that "calendar-sync calendars <tenant> <mailbox>" lists.',
      },
      field: 'calendar',
    },
  );
}

function isSameText(one: string | null, other: string | null): boolean {
  return (one ?? '').trim().toLowerCase() === (other ?? '').trim().toLowerCase();
}

async function defaultCalendar(session: Session): Promise<WireCalendar> {
  try {
    const answer = await orPlain({ $select: SELECT }, (query) => session.get('/calendar', query));
    const calendar = readCalendar(answer);
    if (calendar === null) throw notACollection();
    return { ...calendar, isDefault: true };
  } catch (thrown) {
    if (!isCode(thrown, ...missing)) throw thrown;
    const found = (await listCalendars(session)).find(({ isDefault }) => isDefault);
    if (found === undefined) throw thrown;
    return found;
  }
}

const missing = ['graph.item_not_found', 'graph.not_found_unexplained'];

/**
 * Whether the calendar itself answers, by itself or in the list; only then does a missing event mean that the event is
 * gone. Throws SyncError; `graph.item_not_found` when the calendar is gone too.
 */
export async function confirmCalendar(session: Session, calendar: WireCalendar): Promise<void> {
  try {
    const answer = await orPlain({ $select: 'id' }, (query) => session.get(calendarPath(calendar), query));
    if (readCalendar(answer) === null) throw notACollection();
  } catch (thrown) {
    if (!isCode(thrown, ...missing)) throw thrown;
    const listed = await listCalendars(session);
    if (!listed.some(({ id }) => id === calendar.id)) throw calendarMissing(thrown);
  }
}

function calendarMissing(cause: unknown): SyncError {
  return new SyncError('Graph has no such calendar any more.', {
    code: 'graph.item_not_found',
    recovery: { kind: 'retry' },
    cause,
  });
}

export function calendarPath({ id }: WireCalendar): string {
  return `/calendars/${pathSegment(id)}`;
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
