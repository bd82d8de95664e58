import { randomUUID } from 'node:crypto';
import { judgeBody } from './calendar-text.ts';
import { type Place, placeOf } from './places.ts';
import { davHeader, propfind, report, response } from './properties.ts';
import {
  type Call,
  type Decision,
  type Reply,
  type World,
  fail,
  forbidden,
  notFound,
  ok,
  only,
  xmlType,
} from './replies.ts';
import { hasOneOrganizer, schedule } from './scheduling.ts';
import * as xml from './xml.ts';

const lastName = (href: string): string => decodeURIComponent(href.split('/').findLast((one) => one !== '') ?? '');
const missingCalendar = (path: string): Reply => notFound(`Node with name '${lastName(path)}' could not be found`);

/** Decides one request. Nothing is changed before `commit` is called. */
export function decide(world: World, call: Call): Decision {
  const place = placeOf(world, call.path);
  const object = place.kind === 'object' ? place.calendar?.objects.get(place.name) : undefined;
  const refusal = precondition(call, object?.etag);
  if (refusal !== null) return only(refusal);
  if (call.method === 'REPORT' && !world.isCalDavOn && /calendar-(?:multiget|query)/.test(call.body)) {
    return only(fail(415, 'Sabre\\DAV\\Exception\\ReportNotSupported', 'The requested report is not supported'));
  }
  const isMaking = call.method === 'MKCALENDAR' || call.method === 'MKCOL';
  if (place.kind === 'nowhere') return only(isMaking ? parentMissing : notFound(place.message));
  if (place.kind === 'calendar' && place.calendar === null && !isMaking) return only(missingCalendar(place.href));
  if (place.kind === 'object' && place.calendar === null) {
    return only(missingCalendar(place.href.slice(0, place.href.lastIndexOf('/'))));
  }
  if ('user' in place && place.user.name !== call.user.name && call.method !== 'PROPFIND')
    return only(forbidden(call.path));

  switch (call.method) {
    case 'OPTIONS':
      return only(
        ok(200, {
          Allow: 'OPTIONS, GET, HEAD, DELETE, PROPFIND, PUT, PROPPATCH, COPY, MOVE, REPORT, MKCALENDAR',
          DAV: davHeader,
        }),
      );
    case 'GET':
    case 'HEAD':
      if (place.kind !== 'object')
        return only(ok(200, { 'Content-Type': 'text/html; charset=utf-8' }, '<html></html>'));
      if (object === undefined) return only(notFound('Calendar object not found'));
      if (call.header('if-none-match') === object.etag) return only(ok(304, { ETag: object.etag }));
      return only(ok(200, { ETag: object.etag, 'Content-Type': 'text/calendar; charset=utf-8' }, object.body));
    case 'PUT':
      return put(world, call, place);
    case 'DELETE':
      return remove(world, call, place);
    case 'MKCALENDAR':
    case 'MKCOL':
      return makeCalendar(world, call, place);
    case 'PROPPATCH':
      return proppatch(world, call, place);
    case 'PROPFIND':
      return only(propfind(world, call, place));
    case 'REPORT':
      return only(report(world, call, place));
    default:
      return only(fail(501, 'Sabre\\DAV\\Exception\\NotImplemented', 'There was no handler found for this method'));
  }
}

const parentMissing = fail(409, 'Sabre\\DAV\\Exception\\Conflict', 'Parent node does not exist');

function precondition(call: Call, etag: string | undefined): Reply | null {
  const exception = 'Sabre\\DAV\\Exception\\PreconditionFailed';
  const header = (name: string): string => `  <s:header>${name}</s:header>\n`;
  const ifMatch = call.header('if-match');
  if (ifMatch !== undefined) {
    if (etag === undefined)
      return fail(
        412,
        exception,
        'An If-Match header was specified and the resource did not exist',
        header('If-Match'),
      );
    if (ifMatch !== '*' && !ifMatch.split(/\s*,\s*/).includes(etag)) {
      return fail(
        412,
        exception,
        'An If-Match header was specified, but none of the specified ETags matched.',
        header('If-Match'),
        { ETag: etag },
      );
    }
  }
  const ifNoneMatch = call.header('if-none-match');
  if (
    ifNoneMatch !== undefined &&
    call.method !== 'GET' &&
    etag !== undefined &&
    (ifNoneMatch === '*' || ifNoneMatch === etag)
  ) {
    return fail(
      412,
      exception,
      'An If-None-Match header was specified, but the ETag matched (or * was specified).',
      header('If-None-Match'),
    );
  }
  return null;
}

function put(world: World, call: Call, place: Place): Decision {
  if (place.kind !== 'object' || place.calendar === null)
    return only(fail(409, 'Sabre\\DAV\\Exception\\Conflict', 'Files can only be created as children of collections'));
  const { calendar, name } = place;
  const judged = judgeBody(
    call.body,
    calendar.components,
    call.header('prefer')?.includes('handling=strict') === true,
    randomUUID(),
  );
  if (judged.kind === 'refused') return only(fail(judged.status, judged.exception, judged.message, judged.extra));

  const isQuiet = call.header('schedule-reply') === 'F';
  if (!isQuiet && !hasOneOrganizer(judged.body)) {
    const exception = 'Sabre\\VObject\\ITip\\SameOrganizerForAllComponentsException';
    return only(fail(500, exception, 'Every instance of the event must have the same organizer.'));
  }
  const before = calendar.objects.get(name);
  const scheduled = isQuiet
    ? { mails: [], body: judged.body }
    : schedule(before?.body ?? null, judged.body, `mailto:${place.user.email}`);
  const body = scheduled.body ?? judged.body;
  const isKept = body === call.body;
  const headers: Record<string, string> = {
    'Content-Type': 'text/html; charset=UTF-8',
    ...(judged.warning === null ? {} : { 'X-Sabre-Ew-Gross': `iCalendar validation warning: ${judged.warning}` }),
  };
  const commit = (isLogged: boolean): void => {
    world.mails.push(...scheduled.mails); // before storing, as sabre/dav does: a repeated 500 mails twice
    const as = before === undefined ? ('insert' as const) : ('update' as const);
    world.store.apply({ do: 'put', owner: place.user.name, calendar: calendar.name, name, body, isLogged, as });
  };
  // The etag is the md5 that the store works out; worked out here again only when the answer needs it.
  return {
    reply: lazyEtag(ok(before === undefined ? 201 : 204, headers), () =>
      isKept ? calendar.objects.get(name)?.etag : undefined,
    ),
    commit,
  };
}

/** The ETag of a write is known once it is committed. */
function lazyEtag(reply: Reply, etag: () => string | undefined): Reply {
  return {
    ...reply,
    get headers() {
      const value = etag();
      return value === undefined ? reply.headers : { ...reply.headers, ETag: value };
    },
  };
}

function remove(world: World, call: Call, place: Place): Decision {
  if (place.kind === 'calendar' && place.calendar !== null) {
    const { name } = place;
    return { reply: ok(204), commit: () => world.store.apply({ do: 'drop', owner: place.user.name, calendar: name }) };
  }
  if (place.kind !== 'object' || place.calendar === null) return only(forbidden(call.path));
  const { calendar, name } = place;
  const before = calendar.objects.get(name);
  if (before === undefined) return only(notFound('Calendar object not found'));
  return {
    reply: ok(204, { 'Content-Type': 'text/html; charset=UTF-8' }),
    commit: (isLogged) => {
      if (call.header('schedule-reply') !== 'F')
        world.mails.push(...schedule(before.body, null, `mailto:${place.user.email}`).mails);
      world.store.apply({ do: 'remove', owner: place.user.name, calendar: calendar.name, name, isLogged });
    },
  };
}

function propertiesIn(body: string): { set: Record<string, string>; removed: string[]; components: string[] | null } {
  const root = xml.parseXml(body);
  const set: Record<string, string> = {};
  const removed: string[] = [];
  let components: string[] | null = null;
  for (const action of root?.children ?? []) {
    for (const property of xml.child(action, xml.dav, 'prop')?.children ?? []) {
      const key = `{${property.namespace}}${property.name}`;
      if (property.name === 'supported-calendar-component-set')
        components = property.children.flatMap((comp) => comp.attributes['name'] ?? []);
      else if (property.name === 'resourcetype') continue;
      else if (action.name === 'remove') removed.push(key);
      else set[key] = property.children.length === 0 ? xml.escapeXml(property.text) : property.inner;
    }
  }
  return { set, removed, components };
}

function makeCalendar(world: World, call: Call, place: Place): Decision {
  if (place.kind !== 'calendar' || place.calendar !== null) {
    return only(
      fail(405, 'Sabre\\DAV\\Exception\\MethodNotAllowed', 'The resource you tried to create already exists'),
    );
  }
  const { set, components } = propertiesIn(call.body);
  const { user, name } = place;
  return {
    reply: ok(201, { 'Content-Type': 'text/html; charset=UTF-8' }),
    commit: () =>
      world.store.apply({
        do: 'make',
        owner: user.name,
        calendar: name,
        components: components ?? ['VEVENT', 'VTODO'],
        properties: set,
      }),
  };
}

function proppatch(world: World, call: Call, place: Place): Decision {
  if (place.kind !== 'calendar' || place.calendar === null) return only(forbidden(call.path));
  const { set, removed } = propertiesIn(call.body);
  const properties = { ...set, ...Object.fromEntries(removed.map((key) => [key, null])) };
  const names = Object.keys(properties).map((key) =>
    xml.element(key.slice(1, key.indexOf('}')), key.slice(key.indexOf('}') + 1), ''),
  );
  return {
    reply: ok(207, xmlType, xml.multistatus([response(place.href, names, [])])),
    commit: () => world.store.apply({ do: 'describe', owner: place.user.name, calendar: place.name, properties }),
  };
}
