import type { Window } from '../../shared/window.ts';
import { SyncError } from '../../shared/errors.ts';
import type { Claim, Rebuilt } from '../source.ts';
import { allItems, calendarPath, confirmCalendar, type Session } from './calendars.ts';
import { checkSeries, type Evidence } from './check-series.ts';
import type { Members } from './members.ts';
import type { Owner } from './people.ts';
import { knownZone, type KnownZone } from './times.ts';
import { singleSeries, zonesOf } from './to-series.ts';
import { readEvent, SEQUENCE_PROPERTY, type WireCalendar, type WireEvent } from './wire.ts';

export interface RebuildContext {
  readonly session: Session;
  readonly calendar: WireCalendar;
  readonly owner: Owner;
  readonly window: Window;
  /** Shared by all rebuilds of a tenant: how much of `DETAILS` its cloud understands. */
  readonly learned: { detail: number };
  /** Told which occurrences a master has. */
  readonly occurrences: Members;
}

const FIELDS = [
  'id,type,seriesMasterId,iCalUId,changeKey,subject,body,bodyPreview,start,end,isAllDay,originalStart',
  'originalStartTimeZone,originalEndTimeZone,recurrence,location,locations,attendees,organizer,isOrganizer',
  'responseStatus,responseRequested,allowNewTimeProposals,showAs,sensitivity,importance,categories,isReminderOn',
  'reminderMinutesBeforeStart,isCancelled,hideAttendees,onlineMeeting,onlineMeetingUrl,hasAttachments',
  'createdDateTime,lastModifiedDateTime,webLink',
].join(',');
const SEQUENCE = `singleValueExtendedProperties($filter=id eq '${SEQUENCE_PROPERTY}')`;
/**
 * What can be asked of a master, most first. National clouds trail: occurrenceId is not in the metadata
 * (msgraph-metadata#827), the other two came to v1.0 in May 2025. A 400 leads to the next.
 */
const DETAILS: readonly Readonly<Record<string, string>>[] = [
  {
    $select: `${FIELDS},occurrenceId,cancelledOccurrences,exceptionOccurrences`,
    $expand: `exceptionOccurrences,${SEQUENCE}`,
  },
  { $select: `${FIELDS},cancelledOccurrences,exceptionOccurrences`, $expand: `exceptionOccurrences,${SEQUENCE}` },
  { $select: FIELDS, $expand: SEQUENCE },
  { $select: FIELDS },
];
/** How often a series may change under our eyes before we come back later. */
const MAX_READS = 3;

/**
 * One event or series by its id through the calendar's own path, checked against what Graph shows. The claim's key is
 * the id in the answer. A missing event is gone only if the calendar itself still answers. Throws SyncError when Graph could not say.
 */
export async function rebuildSeries(key: string, context: RebuildContext): Promise<Rebuilt> {
  const { session } = context;
  const done = <T extends object>(result: T) => ({ ...result, requests: session.requests() });
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
  for (let reads = 0; reads < MAX_READS; reads += 1) {
    const event = await readWhole(key, context);
    if (event.type !== 'seriesMaster' && event.recurrence === null) {
      return event.seriesMasterId === null ? single(key, event, context) : member(key, event, context);
    }
    const evidence = await gather(key, event, context);
    const after = readEvent(await getEvent(key, context, { $select: 'id,changeKey' }));
    // Changed between the readings: they do not belong together.
    if (after.version !== event.version) continue;
    const proven = checkSeries(evidence, context.window, context.owner);
    if (proven.kind === 'unmappable') return proven;
    // A list, or cancellations found by comparison, hold for this window only.
    const isWindowed = proven.check.mode === 'list' || evidence.cancelled === null;
    const members = evidence.instances.flatMap(({ id }) => id ?? []);
    const version = isWindowed && event.version !== null ? `${event.version}@${context.window.from}` : event.version;
    return {
      kind: 'series',
      claims: [{ key: keyOf(event, key), version, series: proven.series, check: proven.check, members }],
    };
  }
  throw new SyncError('A series kept changing while it was read.', {
    code: 'graph.series_changing',
    recovery: { kind: 'retry' },
  });
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

/** An occurrence by its own id: an orphan if its series is not here, else told under its master's key. */
async function member(key: string, event: WireEvent, context: RebuildContext): Promise<Result> {
  try {
    await getEvent(event.seriesMasterId ?? '', context, { $select: 'id,type' });
    return { kind: 'gone' };
  } catch (thrown) {
    if (!(thrown instanceof SyncError) || thrown.code !== 'graph.item_not_found') throw thrown;
    await confirmCalendar(context.session, context.calendar);
    return single(key, event, context);
  }
}

async function gather(key: string, master: WireEvent, context: RebuildContext): Promise<Evidence> {
  const { session } = context;
  const rows = await session.getPage(`${eventPath(key, context)}/instances`, {
    startDateTime: context.window.from,
    endDateTime: context.window.to,
    $select: 'id,type,start,end,isAllDay,originalStart',
  });
  const instances = (await allItems(session, rows)).map(readEvent);
  const ids = instances.flatMap(({ id }) => id ?? []);
  context.occurrences.note(keyOf(master, key), ids);
  const exceptions = await exceptionsOf(master, instances, context);
  const mailboxZone = zonesOf(master).length > 0 ? null : await zoneOfMailbox(session);
  return { master, exceptions, cancelled: master.cancelledOccurrences, instances, mailboxZone };
}

async function exceptionsOf(
  master: WireEvent,
  instances: readonly WireEvent[],
  context: RebuildContext,
): Promise<WireEvent[]> {
  // Rows of instances have times only.
  const told = master.exceptionOccurrences;
  if (told === null) {
    const exceptions: WireEvent[] = [];
    for (const row of instances) if (row.type === 'exception') exceptions.push(await wholeOr(row, context));
    return exceptions;
  }
  if (master.exceptionsNextLink === null) return [...told];
  const more = await allItems(context.session, await context.session.follow(master.exceptionsNextLink));
  return [...told, ...more.map(readEvent)];
}

async function wholeOr(exception: WireEvent, context: RebuildContext): Promise<WireEvent> {
  try {
    const whole = await readWhole(exception.id ?? '', context);
    return { ...whole, occurrenceId: whole.occurrenceId ?? exception.occurrenceId };
  } catch (thrown) {
    // Gone meanwhile, or not readable by its own id: the master tells the rest.
    if (thrown instanceof SyncError && thrown.code === 'graph.item_not_found') return exception;
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
    if (thrown instanceof SyncError && ['graph.access_denied', 'graph.request_refused'].includes(thrown.code))
      return null;
    throw thrown;
  }
}

/** A whole event with as much detail as this cloud gives. */
async function readWhole(key: string, context: RebuildContext): Promise<WireEvent> {
  const { learned } = context;
  for (let detail = learned.detail; ; detail += 1) {
    const query = DETAILS[detail];
    const isLast = detail >= DETAILS.length - 1;
    try {
      const event = readEvent(await getEvent(key, context, query ?? {}));
      learned.detail = Math.max(learned.detail, detail);
      return event;
    } catch (thrown) {
      if (isLast || !(thrown instanceof SyncError) || thrown.code !== 'graph.request_refused') throw thrown;
    }
  }
}

function getEvent(key: string, context: RebuildContext, query: Readonly<Record<string, string>>): Promise<unknown> {
  return context.session.get(eventPath(key, context), query);
}

/** `/events/{id}` alone misses shared calendars (OpenWhispr#1835). */
function eventPath(key: string, { calendar }: RebuildContext): string {
  return `${calendarPath(calendar)}/events/${encodeURIComponent(key)}`;
}
