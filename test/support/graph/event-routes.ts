/** Events, their instances and the calendar view, below a mailbox or one of its calendars. */
import type { DeltaStreams } from './delta.ts';
import { instanceJson, itemJson, type Json, type Rendering } from './event-json.ts';
import { graphError, ok, Refusal, type Answer, type Call } from './exchange.ts';
import { instancesOf, occurrenceOn } from './instances.ts';
import { expandsOf, instantParameter, linkTo, paged, selected, type Expand } from './query.ts';
import type { CalendarState, ItemState, MailboxState } from './state.ts';
import type { World } from './world.ts';

export interface Place {
  readonly world: World;
  readonly mailbox: MailboxState;
  /** Null: the mailbox as a whole, as in `/users/{id}/events/{id}`. */
  readonly calendar: CalendarState | null;
  readonly rendering: Rendering;
  readonly delta: DeltaStreams;
  /** Page size where the client names none. */
  readonly pageSize: number;
}

export const notFound = (): Answer =>
  graphError(404, 'ErrorItemNotFound', 'The specified object was not found in the store.');

/** `/events`, `/events/{id}`, `/events/{id}/instances`, `/events/{id}/exceptionOccurrences`. */
export function answerEvents(call: Call, place: Place, rest: readonly string[]): Answer {
  const [id, part] = rest;
  if (id === undefined) return listEvents(call, place);
  const found = find(place, id);
  if (!found) return notFound();
  const { item, date } = found;
  if (part === 'instances' && date === null) return listInstances(call, place, item);
  if (part === 'exceptionOccurrences' && date === null) {
    const all = exceptionsOf(item, place.rendering, null);
    return ok(
      paged(call, all, place.rendering.switches.exceptionPageSize, place.rendering.preferences, 'Collection(event)'),
    );
  }
  if (part !== undefined) return notFound();
  if (date === null) return ok(itemWithParts(call, place, item));
  const occurrence = occurrenceOn(item, date);
  if (!occurrence) return notFound();
  return ok(pick(call, place, instanceJson(item, occurrence, place.rendering)));
}

/** Plain `calendarView`: occurrences, never masters. */
export function answerCalendarView(call: Call, place: Place): Answer {
  const [fromMs, toMs] = windowOf(call);
  // Over 1825 days is refused (microsoft-graph-docs#6284).
  if (toMs - fromMs > 1825 * 86_400_000) {
    return graphError(
      400,
      'ErrorInvalidRequest',
      'The difference between StartDateTime and EndDateTime exceeds 1825 days.',
    );
  }
  const select = call.url.searchParams.get('$select') ?? '';
  if (/\b(createdDateTime|lastModifiedDateTime)\b/.test(select)) {
    return graphError(
      400,
      'ErrorInvalidRequest',
      'createdDateTime and lastModifiedDateTime cannot be selected in a calendarView.',
    );
  }
  const all = itemsIn(place).flatMap((item) =>
    instancesOf(item, fromMs, toMs).map((instance) => pick(call, place, instanceJson(item, instance, place.rendering))),
  );
  return ok(paged(call, all, place.pageSize, place.rendering.preferences, 'Collection(event)'));
}

/** `calendarView/delta`: a first round by dates, later ones by token. */
export function answerDelta(call: Call, place: Place): Answer {
  const { searchParams } = call.url;
  refuseDeltaOptions(searchParams);
  const { calendar, world, delta, rendering } = place;
  const content = calendar ? world.contentOf(calendar) : defaultCalendar(place).id;
  const size = rendering.preferences.pageSize ?? place.pageSize;
  const token = searchParams.get('$skiptoken') ?? searchParams.get('$deltatoken');
  if (token !== null && searchParams.has('startDateTime')) {
    // The window is frozen in the token; other dates beside it do not work (microsoft-graph-docs#10328).
    return graphError(400, 'ErrorInvalidUrlQuery', 'startDateTime and endDateTime cannot be combined with a token.');
  }
  const page =
    token === null
      ? delta.start(content, ...windowOf(call), size, rendering)
      : delta.follow(token, content, size, rendering);
  if ('tooLong' in page) return graphError(504, 'UnknownError', '');
  if ('lost' in page) {
    const { status, code, location } = rendering.switches.syncStateError;
    const headers: Record<string, string> = location ? { location: linkTo(call.url, []) } : {};
    return graphError(status, code, page.lost, headers);
  }
  const link = linkTo(call.url, [[page.next.kind, page.next.token]]);
  return ok({
    '@odata.context': `${call.url.origin}/v1.0/$metadata#Collection(event)`,
    [page.next.kind === '$skiptoken' ? '@odata.nextLink' : '@odata.deltaLink']: link,
    value: page.value,
  });
}

/** Documented as unsupported (`event-delta.md`); each was seen to fail in its own way. */
function refuseDeltaOptions(parameters: URLSearchParams): void {
  // $expand answered 500 (microsoft-graph-docs#2270).
  if (parameters.has('$expand'))
    throw new Refusal(graphError(500, 'ErrorInternalServerError', 'Value cannot be null.'));
  if (parameters.has('$top')) {
    throw new Refusal(graphError(400, 'ErrorInvalidUrlQuery', "The query parameter '$top' is not supported."));
  }
  if (['$select', '$filter', '$orderby', '$search'].some((name) => parameters.has(name))) {
    const message =
      "The following parameters are not supported with change tracking over the 'CalendarView' resource: '$orderby, $filter, $select, $expand, $search'.";
    throw new Refusal(graphError(400, 'ErrorInvalidUrlQuery', message));
  }
}

function windowOf(call: Call): [fromMs: number, toMs: number] {
  const window: [number, number] = [instantParameter(call, 'startDateTime'), instantParameter(call, 'endDateTime')];
  if (window[1] < window[0]) throw new Refusal(graphError(400, 'ErrorInvalidParameter', 'End precedes start.'));
  return window;
}

function listEvents(call: Call, place: Place): Answer {
  const uid = /^iCalUId eq '(.+)'$/i.exec(call.url.searchParams.get('$filter') ?? '')?.[1];
  const all = itemsIn(place)
    .filter((item) => uid === undefined || item.iCalUId === uid)
    .map((item) => pick(call, place, itemJson(item, place.rendering)));
  return ok(paged(call, all, place.pageSize, place.rendering.preferences, 'Collection(event)'));
}

/** Occurrences and exceptions in a range, deleted ones left out (microsoft-graph-docs#2963). */
function listInstances(call: Call, place: Place, item: ItemState): Answer {
  const [fromMs, toMs] = windowOf(call);
  if (!item.recurrence)
    return graphError(400, 'ErrorInvalidRequest', 'Instances are only available for recurring events.');
  const all = instancesOf(item, fromMs, toMs).map((instance) =>
    pick(call, place, instanceJson(item, instance, place.rendering)),
  );
  return ok(paged(call, all, place.pageSize, place.rendering.preferences, 'Collection(event)'));
}

/** A calendar's path finds its own events only; the mailbox's path misses those of shared calendars (OpenWhispr#1835). */
function find({ world, mailbox, calendar }: Place, id: string): ReturnType<World['locate']> {
  const found = world.locate(id);
  if (!found) return null;
  if (calendar) return found.item.calendar === world.contentOf(calendar) ? found : null;
  return world.calendarById(found.item.calendar).mailbox === mailbox.id ? found : null;
}

function itemsIn(place: Place): ItemState[] {
  const { world, calendar } = place;
  return world.itemsOf(calendar ? world.contentOf(calendar) : defaultCalendar(place).id);
}

function defaultCalendar({ world, mailbox }: Place): CalendarState {
  const calendar = world.calendarsOf(mailbox).find(({ isDefault }) => isDefault);
  if (!calendar) throw new Refusal(notFound());
  return calendar;
}

/** A master with the parts that come on request only (v1.0 typings since May 2025). */
function itemWithParts(call: Call, place: Place, item: ItemState): Json {
  const { rendering } = place;
  const json = itemJson(item, rendering);
  const expands = expandsOf(call.url.searchParams.get('$expand'));
  const exceptions = expands.find(({ name }) => name === 'exceptionOccurrences');
  const wantsCancelled = (call.url.searchParams.get('$select') ?? '').includes('cancelledOccurrences');
  if (rendering.switches.cancelledOccurrences === 'unknown' && exceptions)
    throw new Refusal(unknownProperty('exceptionOccurrences'));
  // OID.{masterId}.{date}, the date in the recurrence's zone (beta `event.md`); ids may contain dots.
  const masterId = String(json['id']);
  const cancelled = item.cancelled.map((date) => `OID.${masterId}.${date}`);
  const parts: Json = {};
  if (exceptions && item.recurrence) {
    const all = exceptionsOf(item, rendering, exceptions);
    const size = rendering.switches.exceptionPageSize;
    parts['exceptionOccurrences'] = all.slice(0, size);
    if (all.length > size) {
      const path = `${call.url.origin}${call.url.pathname}/exceptionOccurrences`;
      parts['exceptionOccurrences@odata.nextLink'] = `${path}?$skip=${size}`;
    }
  }
  return {
    ...pick(call, place, {
      ...json,
      ...(wantsCancelled && item.recurrence ? { cancelledOccurrences: cancelled } : {}),
    }),
    ...parts,
    ...extendedProperties(item, expands),
  };
}

function exceptionsOf(item: ItemState, rendering: Rendering, expand: Expand | null): Json[] {
  const select = expand?.options.get('$select') ?? null;
  const inner = expandsOf(expand?.options.get('$expand') ?? null);
  return Object.keys(item.exceptions)
    .sort()
    .flatMap((date) => occurrenceOn(item, date) ?? [])
    .map((instance) => instanceJson(item, instance, rendering))
    .map((json) => ({ ...selected(json, select, knownProperties(rendering)), ...extendedProperties(item, inner) }));
}

/** Only 0x8201 is kept: the sequence number, which counts changes of the whole. */
function extendedProperties(item: ItemState, expands: readonly Expand[]): Json {
  const filter = expands.find(({ name }) => name === 'singleValueExtendedProperties')?.options.get('$filter');
  const id = [...(filter ?? '').matchAll(/id eq '([^']+)'/g)]
    .map(([, value = '']) => value)
    .find((value) => /0x8201$/i.test(value));
  if (id === undefined) return {};
  const sequence = Math.max(0, item.touches.filter(({ what }) => what === 'whole').length - 1);
  return { singleValueExtendedProperties: [{ id, value: String(sequence) }] };
}

function pick(call: Call, place: Place, json: Json): Json {
  const known = knownProperties(place.rendering);
  const whole = selected(json, call.url.searchParams.get('$select'), known);
  return {
    '@odata.context': `${call.url.origin}/v1.0/$metadata#users('${place.mailbox.id}')/events/$entity`,
    ...whole,
  };
}

const properties =
  'id createdDateTime lastModifiedDateTime changeKey categories transactionId originalStartTimeZone originalEndTimeZone iCalUId reminderMinutesBeforeStart isReminderOn hasAttachments subject bodyPreview importance sensitivity isAllDay isCancelled isOrganizer responseRequested seriesMasterId showAs type webLink onlineMeetingUrl isOnlineMeeting onlineMeetingProvider allowNewTimeProposals isDraft hideAttendees recurrence originalStart responseStatus body start end location locations attendees organizer onlineMeeting'.split(
    ' ',
  );
const oldProperties: ReadonlySet<string> = new Set(properties);
const newProperties: ReadonlySet<string> = new Set([
  ...properties,
  'occurrenceId',
  'cancelledOccurrences',
  'exceptionOccurrences',
]);

function knownProperties({ switches }: Rendering): ReadonlySet<string> {
  return switches.cancelledOccurrences === 'known' ? newProperties : oldProperties;
}

function unknownProperty(name: string): Answer {
  return graphError(
    400,
    'BadRequest',
    `Parsing OData Select and Expand failed: Could not find a property named '${name}' on type 'microsoft.graph.event'.`,
  );
}
