import type { Window } from '../../shared/window.ts';
import { SyncError } from '../../shared/errors.ts';
import type { Claim, Rebuilt } from '../source.ts';
import type { AskedPart, Learned } from './behaviours.ts';
import { allItems, calendarPath, confirmCalendar, isCode, orPlain, pathSegment, type Session } from './calendars.ts';
import { checkSeries, type Evidence } from './check-series.ts';
import type { Members } from './members.ts';
import type { Owner } from './people.ts';
import { instantOf, knownZone, type KnownZone } from './times.ts';
import { singleSeries, zonesOf } from './to-series.ts';
import { readEvent, SEQUENCE_PROPERTY, type WireCalendar, type WireEvent } from './wire.ts';

export interface RebuildContext {
  readonly session: Session;
  readonly calendar: WireCalendar;
  readonly owner: Owner;
  readonly window: Window;
  /** Shared by all rebuilds of a tenant: what its cloud can be asked for. */
  readonly learned: Learned;
  /** Version of this program: another may map the same series otherwise. */
  readonly program: string;
  /** Told which occurrences a master has. */
  readonly occurrences: Members;
  /** Ids of occurrences whose series has been rebuilt since the last page: nothing is left to ask of them. */
  readonly settled: Set<string>;
}

const FIELDS = [
  'id,type,seriesMasterId,iCalUId,changeKey,subject,body,bodyPreview,start,end,isAllDay,originalStart',
  'originalStartTimeZone,originalEndTimeZone,recurrence,location,locations,attendees,organizer,isOrganizer',
  'responseStatus,responseRequested,allowNewTimeProposals,showAs,sensitivity,importance,categories,isReminderOn',
  'reminderMinutesBeforeStart,isCancelled,hideAttendees,onlineMeeting,onlineMeetingUrl,hasAttachments',
  'createdDateTime,lastModifiedDateTime,webLink',
].join(',');
const SEQUENCE = `singleValueExtendedProperties($filter=id eq '${SEQUENCE_PROPERTY}')`;
/** How often a series may change under our eyes before we come back later. */
const MAX_READS = 3;
const MAX_SETTLED = 10_000;

/**
 * One event or series by its id through the calendar's own path, checked against what Graph shows. The claim's key is
 * the id in the answer. A missing event is gone only if the calendar itself still answers. Throws SyncError when Graph could not say.
 */
export async function rebuildSeries(key: string, context: RebuildContext): Promise<Rebuilt> {
  const { session } = context;
  const done = <T extends object>(result: T) => ({ ...result, requests: session.requests() });
  if (context.settled.has(key)) return done({ kind: 'gone' as const });
  try {
    return done(await rebuilt(key, context));
  } catch (thrown) {
    if (!(thrown instanceof SyncError)) throw thrown;
    switch (thrown.code) {
      case 'graph.item_not_found':
        await confirmCalendar(session, context.calendar);
        return done({ kind: 'gone' as const });
      case 'graph.access_denied':
      case 'graph.request_refused':
        // One event may be closed to us, or more than Graph can answer, while its calendar is not.
        await confirmCalendar(session, context.calendar);
        return done({ kind: 'unmappable' as const, code: 'graph.event_refused', reason: thrown.message });
      case 'graph.id_refused':
        return done({ kind: 'unmappable' as const, code: thrown.code, reason: thrown.message });
      default:
        throw thrown;
    }
  }
}

type Result =
  | { readonly kind: 'series'; readonly claims: readonly Claim[] }
  | { readonly kind: 'gone' }
  | { readonly kind: 'unmappable'; readonly code: string; readonly reason: string };

async function rebuilt(key: string, context: RebuildContext): Promise<Result> {
  const event = await readWhole(key, context);
  if (isMaster(event)) return series(key, event, context);
  return event.seriesMasterId === null ? single(key, event, context) : member(key, event, context);
}

function isMaster({ type, recurrence }: WireEvent): boolean {
  return type === 'seriesMaster' || recurrence !== null;
}

async function series(key: string, first: WireEvent, context: RebuildContext): Promise<Result> {
  let event = first;
  for (let reads = 1; ; reads += 1) {
    const evidence = await gather(key, event, context);
    if (await isOfOneVersion(key, evidence, context)) return claimed(key, evidence, context);
    if (reads === MAX_READS) break;
    event = await readWhole(key, context);
    if (!isMaster(event)) return single(key, event, context);
  }
  throw new SyncError('A series kept changing while it was read.', {
    code: 'graph.series_changing',
    recovery: { kind: 'retry' },
  });
}

/**
 * Changed between the readings, they do not belong together. All rows of a series carry its version (contrib#7803); where
 * they do not, the master is asked once more.
 */
async function isOfOneVersion(key: string, { master, later }: Gathered, context: RebuildContext): Promise<boolean> {
  if (master.version !== null && later.length > 0 && later.every(({ version }) => version === master.version))
    return true;
  const after = readEvent(await orPlain({ $select: 'id,changeKey' }, (query) => getEvent(key, context, query)));
  return after.version === master.version;
}

function claimed(key: string, evidence: Gathered, context: RebuildContext): Result {
  const { master, instances } = evidence;
  const proven = checkSeries(evidence, context.window, context.owner);
  if (proven.kind === 'unmappable') return proven;
  // A list, or cancellations found by comparison, hold for this window only.
  const isWindowed = proven.check.mode === 'list' || evidence.cancelled === null;
  const members = instances.flatMap(({ id }) => id ?? []);
  for (const id of members) if (context.settled.size < MAX_SETTLED) context.settled.add(id);
  const whole = master.version === null ? null : seriesVersion(master.version, context.program);
  const version = isWindowed && whole !== null ? `${whole}@${context.window.from}` : whole;
  return {
    kind: 'series',
    claims: [{ key: keyOf(master, key), version, series: proven.series, check: proven.check, members }],
  };
}

/** The version of a series' claim. */
export function seriesVersion(version: string, program: string): string {
  return `${version}~${program}`;
}

function single(key: string, event: WireEvent, { owner }: RebuildContext): Result {
  const mapped = singleSeries(event, owner);
  if (mapped.kind === 'unmappable') return mapped;
  const { series } = mapped;
  return { kind: 'series', claims: [{ key: keyOf(event, key), version: event.version, series, check: null }] };
}

/** seriesMasterId may come in another form than the id of the master itself (`outlook-immutable-id.md` is silent). */
function keyOf(event: WireEvent, asked: string): string {
  return event.id ?? asked;
}

/** An occurrence by its own id: an orphan if its series is not here, else its series. */
async function member(key: string, event: WireEvent, context: RebuildContext): Promise<Result> {
  const masterKey = event.seriesMasterId ?? '';
  let master: WireEvent;
  try {
    master = await readWhole(masterKey, context);
  } catch (thrown) {
    if (!isCode(thrown, 'graph.item_not_found')) throw thrown;
    await confirmCalendar(context.session, context.calendar);
    return single(key, event, context);
  }
  return isMaster(master) ? series(masterKey, master, context) : single(key, event, context);
}

/** A series with what was read after its master. */
interface Gathered extends Evidence {
  readonly later: readonly WireEvent[];
}

async function gather(key: string, master: WireEvent, context: RebuildContext): Promise<Gathered> {
  const { session } = context;
  const bounds = { startDateTime: context.window.from, endDateTime: context.window.to };
  const fields = { ...bounds, $select: 'id,type,start,end,isAllDay,originalStart' };
  const rows = await instancePage(`${eventPath(key, context)}/instances`, fields, context);
  const instances = (await allItems(session, rows)).map(readEvent);
  const ids = instances.flatMap(({ id }) => id ?? []);
  context.occurrences.note(keyOf(master, key), ids);
  const { told, later } = await exceptionsOf(master, instances, context);
  const mailboxZone = zonesOf(master).length > 0 ? null : await zoneOfMailbox(session);
  return {
    master,
    exceptions: [...told, ...later],
    cancelled: master.cancelledOccurrences,
    instances,
    mailboxZone,
    later: [...instances, ...later],
  };
}

/** Exceptions that came with the master, and those that were read after it. */
async function exceptionsOf(
  master: WireEvent,
  instances: readonly WireEvent[],
  context: RebuildContext,
): Promise<{ told: readonly WireEvent[]; later: readonly WireEvent[] }> {
  const told = master.exceptionOccurrences ?? [];
  const more =
    master.exceptionsNextLink === null
      ? []
      : await allItems(context.session, await context.session.follow(master.exceptionsNextLink));
  const later = more.map(readEvent);
  // Rows of instances have times only; of an exception that was not told otherwise, they are not enough.
  const known = [...told, ...later];
  const ids = new Set(known.map(({ id }) => id));
  const starts = new Set(known.map(({ start }) => instantOf(start)));
  for (const row of instances) {
    if (row.type !== 'exception' || ids.has(row.id) || starts.has(instantOf(row.start))) continue;
    later.push(await wholeOr(row, context));
  }
  return { told, later };
}

async function wholeOr(exception: WireEvent, context: RebuildContext): Promise<WireEvent> {
  try {
    const whole = await readWhole(exception.id ?? '', context);
    return { ...whole, occurrenceId: whole.occurrenceId ?? exception.occurrenceId };
  } catch (thrown) {
    // Gone meanwhile, or not readable by its own id: the master tells the rest.
    if (isCode(thrown, 'graph.item_not_found')) return exception;
    throw thrown;
  }
}

/** Needs MailboxSettings.Read, an optional extra; without it nobody knows. */
async function zoneOfMailbox(session: Session): Promise<KnownZone | null> {
  try {
    const answer = await session.get('/mailboxSettings', { $select: 'timeZone' });
    const zone = (answer as { timeZone?: unknown } | null)?.timeZone;
    return typeof zone === 'string' ? knownZone(zone) : null;
  } catch (thrown) {
    if (isCode(thrown, 'graph.access_denied', 'graph.request_refused')) return null;
    throw thrown;
  }
}

/** The first page of a series' instances; what a cloud refuses to be asked for is asked for once. */
async function instancePage(
  path: string,
  { $select, ...bounds }: Readonly<Record<string, string>> & { readonly $select: string },
  { session, learned }: RebuildContext,
): Promise<unknown> {
  if (!learned.knows('instanceFields')) return session.getPage(path, bounds);
  return orPlain({ ...bounds, $select }, async (query) => {
    const page = await session.getPage(path, query);
    if (query['$select'] === undefined) learned.refused(['instanceFields']);
    else learned.answered(['instanceFields']);
    return page;
  });
}

type EventPart = Exclude<AskedPart, 'instanceFields'>;

const eventParts: readonly EventPart[] = ['occurrenceId', 'seriesParts', 'sequence', 'fields'];

/** What to ask for, most first, of what this cloud is not known to refuse: parts are left out singly, then together. */
function attemptsOf(learned: Learned): (readonly EventPart[])[] {
  if (!learned.knows('fields')) return [[]];
  const known = eventParts.filter((part) => learned.knows(part));
  const without = (...left: readonly EventPart[]): readonly EventPart[] => known.filter((part) => !left.includes(part));
  const attempts = [
    known,
    without('occurrenceId'),
    without('occurrenceId', 'seriesParts'),
    without('sequence'),
    without('occurrenceId', 'sequence'),
    without('occurrenceId', 'seriesParts', 'sequence'),
    [],
  ];
  return [...new Map(attempts.map((parts) => [parts.join(), parts])).values()];
}

function queryFor(parts: readonly EventPart[]): Record<string, string> {
  if (!parts.includes('fields')) return {};
  const hasParts = parts.includes('seriesParts');
  const expand = [...(hasParts ? ['exceptionOccurrences'] : []), ...(parts.includes('sequence') ? [SEQUENCE] : [])];
  const select = [
    FIELDS,
    ...(parts.includes('occurrenceId') ? ['occurrenceId'] : []),
    ...(hasParts ? ['cancelledOccurrences', 'exceptionOccurrences'] : []),
  ];
  return { $select: select.join(','), ...(expand.length === 0 ? {} : { $expand: expand.join(',') }) };
}

/** A whole event with as much detail as this cloud gives: a 400 leads to the next attempt. */
async function readWhole(key: string, context: RebuildContext): Promise<WireEvent> {
  const { learned } = context;
  const attempts = attemptsOf(learned);
  const [most = []] = attempts;
  let isLearned = true;
  for (let index = 0; ; index += 1) {
    const parts = attempts[index] ?? [];
    try {
      const event = readEvent(await getEvent(key, context, queryFor(parts)));
      if (isLearned) learned.answered(parts);
      if (isLearned) learned.refused(most.filter((part) => !parts.includes(part)));
      return event;
    } catch (thrown) {
      // Some parts of one event may be more than Graph can give (D#2270); that says nothing of others.
      if (isCode(thrown, 'graph.server_error') && parts.includes('seriesParts')) {
        isLearned = false;
        index = attempts.findIndex((one) => !one.includes('seriesParts')) - 1;
      } else if (index >= attempts.length - 1 || !isCode(thrown, 'graph.request_refused')) throw thrown;
    }
  }
}

function getEvent(key: string, context: RebuildContext, query: Readonly<Record<string, string>>): Promise<unknown> {
  return context.session.get(eventPath(key, context), query);
}

/** `/events/{id}` alone misses shared calendars (OpenWhispr#1835). */
function eventPath(key: string, { calendar }: RebuildContext): string {
  return `${calendarPath(calendar)}/events/${pathSegment(key)}`;
}
