import { randomUUID } from 'node:crypto';
import { judgeBody } from './calendar-text.ts';
import { type Mail, hasOneOrganizer, schedule } from './scheduling.ts';
import { type Calendar, type Store, type User, changesSince } from './store.ts';
import * as xml from './xml.ts';

/** A request as the protocol sees it: authenticated, read to its end. */
export interface Call {
  readonly method: string;
  /** Path as sent. */
  readonly path: string;
  readonly header: (name: string) => string | undefined;
  readonly body: string;
  readonly user: User;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface World {
  readonly base: string;
  readonly users: readonly User[];
  readonly store: Store;
  readonly mails: Mail[];
  isCalDavOn: boolean;
}

/** A reply, and what becomes of the store; kept apart so that a fault can do one without the other. */
export interface Decision {
  readonly reply: Reply;
  readonly commit: ((isLogged: boolean) => void) | null;
}

const xmlType = { 'Content-Type': 'application/xml; charset=utf-8' };
const ok = (status: number, headers: Readonly<Record<string, string>> = {}, body = ''): Reply => ({
  status,
  headers,
  body,
});
export const fail = (status: number, exception: string, message: string, extra = '', headers = {}): Reply =>
  ok(status, { ...xmlType, ...headers }, xml.errorBody(exception, message, extra));
const only = (reply: Reply): Decision => ({ reply, commit: null });

const notFound = (message: string): Reply => fail(404, 'Sabre\\DAV\\Exception\\NotFound', message);
const forbidden = (path: string): Reply =>
  fail(
    403,
    'Sabre\\DAVACL\\Exception\\NeedPrivileges',
    `User did not have the required privileges for path "${path}"`,
    '  <d:need-privileges/>\n',
  );

/** The segment of a href as sabre/http encodes it: lower-case hex, colon and at sign plain. */
export function encodeSegment(name: string): string {
  return encodeURIComponent(name)
    .replaceAll(/[!'*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`)
    .replaceAll(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())
    .replaceAll('%3a', ':')
    .replaceAll('%40', '@');
}

type Place =
  | { readonly kind: 'root' | 'principals' | 'calendars'; readonly href: string }
  | { readonly kind: 'principal' | 'home' | 'inbox' | 'outbox'; readonly href: string; readonly user: User }
  | {
      readonly kind: 'calendar';
      readonly href: string;
      readonly user: User;
      readonly name: string;
      readonly calendar: Calendar | null;
    }
  | {
      readonly kind: 'object';
      readonly href: string;
      readonly user: User;
      readonly calendar: Calendar | null;
      readonly name: string;
    }
  | { readonly kind: 'nowhere'; readonly message: string };

function placeOf(world: World, path: string): Place {
  const { base } = world;
  if (!`${path}/`.startsWith(base)) return { kind: 'nowhere', message: 'Not found' };
  const segments = path
    .slice(base.length)
    .split('/')
    .filter((one) => one !== '')
    .map(decodeURIComponent);
  const [area, owner, calendarName, objectName, ...rest] = segments;
  if (area === undefined) return { kind: 'root', href: base };
  if (area === 'principals' && owner === undefined) return { kind: 'principals', href: `${base}principals/` };
  if (area === 'calendars' && owner === undefined && world.isCalDavOn)
    return { kind: 'calendars', href: `${base}calendars/` };
  if (area !== 'principals' && (area !== 'calendars' || !world.isCalDavOn)) {
    return { kind: 'nowhere', message: `Node with name '${area}' could not be found` };
  }
  const user = world.users.find((one) => one.name === owner);
  if (user === undefined) return { kind: 'nowhere', message: `Principal with name ${owner ?? ''} not found` };
  if (area === 'principals') return { kind: 'principal', href: `${base}principals/${encodeSegment(user.name)}/`, user };
  const home = `${base}calendars/${encodeSegment(user.name)}/`;
  if (calendarName === undefined) return { kind: 'home', href: home, user };
  if (calendarName === 'inbox' || calendarName === 'outbox')
    return { kind: calendarName, href: `${home}${calendarName}/`, user };
  const calendar = world.store.calendars.get(user.name)?.get(calendarName) ?? null;
  const href = `${home}${encodeSegment(calendarName)}/`;
  if (objectName === undefined) return { kind: 'calendar', href, user, name: calendarName, calendar };
  if (rest.length > 0 || objectName.includes('/')) return { kind: 'nowhere', message: 'Calendar object not found' };
  return { kind: 'object', href: `${href}${encodeSegment(objectName)}`, user, calendar, name: objectName };
}

const lastName = (href: string): string => decodeURIComponent(href.split('/').findLast((one) => one !== '') ?? '');
const missingCalendar = (path: string): Reply => notFound(`Node with name '${lastName(path)}' could not be found`);

/** Decides one request. Nothing is changed before `commit` is called. */
export function decide(world: World, call: Call): Decision {
  const place = placeOf(world, call.path);
  const object = place.kind === 'object' ? place.calendar?.objects.get(place.name) : undefined;
  const refusal = precondition(call, object?.etag);
  if (refusal !== null) return only(refusal);
  if (place.kind === 'nowhere') return only(call.method === 'MKCALENDAR' ? parentMissing : notFound(place.message));
  if (place.kind === 'calendar' && place.calendar === null && call.method !== 'MKCALENDAR')
    return only(missingCalendar(place.href));
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

const davHeader =
  '1, 3, extended-mkcol, access-control, calendar-access, calendar-proxy, calendar-auto-schedule, calendar-availability, resource-sharing, calendarserver-sharing, addressbook';
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
    world.store.apply({ do: 'put', owner: place.user.name, calendar: calendar.name, name, body, isLogged });
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
    commit: () => {
      if (call.header('schedule-reply') !== 'F')
        world.mails.push(...schedule(before.body, null, `mailto:${place.user.email}`).mails);
      world.store.apply({ do: 'remove', owner: place.user.name, calendar: calendar.name, name });
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

function response(href: string, found: readonly string[], missing: readonly string[]): string {
  const propstat = (props: readonly string[], status: string): string =>
    props.length === 0
      ? ''
      : `<d:propstat><d:prop>${props.join('')}</d:prop><d:status>HTTP/1.1 ${status}</d:status></d:propstat>`;
  const stats = propstat(found, '200 OK') + propstat(missing, '404 Not Found');
  return `<d:response><d:href>${href}</d:href>${stats === '' ? '<d:propstat><d:prop/><d:status>HTTP/1.1 200 OK</d:status></d:propstat>' : stats}</d:response>`;
}

interface Wanted {
  readonly namespace: string;
  readonly name: string;
}

const allprop: readonly Wanted[] = [
  { namespace: xml.dav, name: 'resourcetype' },
  { namespace: xml.dav, name: 'displayname' },
  { namespace: xml.dav, name: 'getetag' },
  { namespace: xml.calendarServer, name: 'getctag' },
];

function answer(world: World, call: Call, place: Place, wanted: readonly Wanted[]): string {
  const found: string[] = [];
  const missing: string[] = [];
  for (const { namespace, name } of wanted) {
    const inner = valueOf(world, call, place, namespace, name);
    if (inner === null) missing.push(xml.element(namespace, name, ''));
    else found.push(xml.element(namespace, name, inner));
  }
  return response('href' in place ? place.href : call.path, found, missing);
}

const reports = (names: readonly string[]): string =>
  names.map((name) => `<d:supported-report><d:report><${name}/></d:report></d:supported-report>`).join('');

/** The inner XML of a live or stored property; null when the place has none of that name. */
function valueOf(world: World, call: Call, place: Place, namespace: string, name: string): string | null {
  const { base } = world;
  const principal = (user: User): string => `${base}principals/${encodeSegment(user.name)}/`;
  const href = (text: string): string => `<d:href>${text}</d:href>`;
  const object = place.kind === 'object' ? place.calendar?.objects.get(place.name) : undefined;
  const calendar = place.kind === 'calendar' ? place.calendar : null;
  switch (`${namespace}|${name}`) {
    case 'DAV:|resourcetype':
      if (place.kind === 'object') return '';
      if (place.kind === 'principal') return '<d:collection/><d:principal/>';
      if (place.kind === 'inbox' || place.kind === 'outbox') return `<d:collection/><cal:schedule-${place.kind}/>`;
      return calendar === null ? '<d:collection/>' : '<d:collection/><cal:calendar/><cs:shared-owner/>';
    case 'DAV:|current-user-principal':
      return href(principal(call.user));
    case 'DAV:|principal-URL':
      return place.kind === 'principal' ? href(principal(place.user)) : null;
    case 'DAV:|owner':
      return 'user' in place ? href(principal(place.user)) : null;
    case 'DAV:|current-user-privilege-set':
      return '<d:privilege><d:read/></d:privilege><d:privilege><d:write/></d:privilege><d:privilege><d:bind/></d:privilege><d:privilege><d:unbind/></d:privilege>';
    case `${xml.caldav}|calendar-home-set`:
      return place.kind === 'principal' && world.isCalDavOn
        ? href(`${base}calendars/${encodeSegment(place.user.name)}/`)
        : null;
    case `${xml.caldav}|calendar-user-address-set`:
      return place.kind === 'principal' ? href(`mailto:${place.user.email}`) + href(principal(place.user)) : null;
    case 'DAV:|displayname':
      if (place.kind === 'principal') return xml.escapeXml(place.user.name);
      break;
    case 'DAV:|getetag':
      return object === undefined ? null : xml.escapeXml(object.etag);
    case 'DAV:|getcontenttype':
      return object === undefined ? null : 'text/calendar; charset=utf-8';
    case 'DAV:|getcontentlength':
      return object === undefined ? null : String(Buffer.byteLength(object.body));
    case `${xml.caldav}|calendar-data`:
      return object === undefined ? null : xml.escapeXml(object.body.replaceAll('\r', ''));
    case 'DAV:|sync-token':
      return calendar === null ? null : syncToken(String(calendar.token));
    case `${xml.calendarServer}|getctag`:
      return calendar === null ? null : syncToken(String(calendar.token));
    case `${xml.caldav}|supported-calendar-component-set`:
      return calendar === null
        ? null
        : calendar.components.map((one) => `<cal:comp name="${xml.escapeXml(one)}"/>`).join('');
    case 'DAV:|supported-report-set':
      return calendar === null
        ? reports(['d:expand-property'])
        : reports(['d:sync-collection', 'cal:calendar-multiget', 'cal:calendar-query']);
    default:
  }
  return calendar?.properties.get(`{${namespace}}${name}`) ?? null;
}

const syncToken = (token: string): string => `http://sabre.io/ns/sync/${token}`;

function childrenOf(world: World, place: Place): Place[] {
  if (place.kind === 'root')
    return ['principals/', ...(world.isCalDavOn ? ['calendars/'] : [])].map((name) =>
      placeOf(world, world.base + name),
    );
  if (place.kind === 'home') {
    const names = [...(world.store.calendars.get(place.user.name)?.keys() ?? []), 'inbox', 'outbox'];
    return names.map((name) => placeOf(world, `${place.href}${encodeSegment(name)}/`));
  }
  if (place.kind !== 'calendar' || place.calendar === null) return [];
  const { calendar, user } = place;
  return [...calendar.objects.keys()].map((name) => ({
    kind: 'object',
    href: `${place.href}${encodeSegment(name)}`,
    user,
    calendar,
    name,
  }));
}

function propfind(world: World, call: Call, place: Place): Reply {
  if (place.kind === 'object' && place.calendar?.objects.has(place.name) !== true)
    return notFound('Calendar object not found');
  const root = xml.parseXml(call.body);
  const wanted = xml.child(root, xml.dav, 'prop')?.children ?? allprop;
  const places = call.header('depth') === '0' ? [place] : [place, ...childrenOf(world, place)];
  return ok(
    207,
    { ...xmlType, DAV: davHeader },
    xml.multistatus(places.map((one) => answer(world, call, one, wanted))),
  );
}

function report(world: World, call: Call, place: Place): Reply {
  const root = xml.parseXml(call.body);
  if (root === null) return fail(400, 'Sabre\\DAV\\Exception\\BadRequest', 'Invalid XML');
  if (place.kind !== 'calendar' || place.calendar === null) {
    return fail(
      415,
      'Sabre\\DAV\\Exception\\ReportNotSupported',
      'The requested report is not supported',
      '  <d:supported-report/>\n',
    );
  }
  const { calendar } = place;
  const wanted = xml.child(root, xml.dav, 'prop')?.children ?? [];
  const objectAt = (name: string): Place => placeOf(world, `${place.href}${encodeSegment(name)}`);
  const known = (names: Iterable<string>): string[] =>
    [...names].filter((name) => calendar.objects.has(name)).map((name) => answer(world, call, objectAt(name), wanted));

  if (root.name === 'calendar-multiget') {
    const names = root.children.filter((one) => one.name === 'href').map((one) => placeOf(world, pathOf(one.text)));
    // A missing href is left out silently, as Baikal does.
    const own = names.flatMap((one) => (one.kind === 'object' && one.calendar === calendar ? one.name : []));
    return ok(207, xmlType, xml.multistatus(known(own)));
  }
  if (root.name === 'calendar-query') {
    if (call.header('depth') === '0')
      return fail(
        400,
        'Sabre\\DAV\\Exception\\BadRequest',
        'A calendar-query REPORT on a calendar must have a Depth: 1',
      );
    return ok(207, xmlType, xml.multistatus(known(calendar.objects.keys())));
  }
  if (root.name !== 'sync-collection') {
    return fail(
      403,
      'Sabre\\DAV\\Exception\\ReportNotSupported',
      'The requested report is not supported',
      '  <d:supported-report/>\n',
    );
  }
  const asked = xml.child(root, xml.dav, 'sync-token')?.text.trim() ?? '';
  const tail = (token: string): string => `<d:sync-token>${xml.escapeXml(syncToken(token))}</d:sync-token>`;
  if (asked === '')
    return ok(207, xmlType, xml.multistatus(known(calendar.objects.keys()), tail(String(calendar.token))));
  if (!asked.startsWith(syncToken(''))) {
    return fail(
      403,
      'Sabre\\DAV\\Exception\\InvalidSyncToken',
      'Invalid or unknown sync token',
      '  <d:valid-sync-token/>\n',
    );
  }
  const limit = Number(xml.child(xml.child(root, xml.dav, 'limit'), xml.dav, 'nresults')?.text ?? '0');
  const delta = changesSince(calendar, asked.slice(syncToken('').length), limit > 0 ? limit : null);
  const status = (href: string, text: string): string =>
    `<d:response><d:href>${href}</d:href><d:status>HTTP/1.1 ${text}</d:status></d:response>`;
  const listed = [...delta.names].map(([name, kind]) => {
    if (name === '') return response(place.href.slice(0, -1), [], ['<d:getetag/>']);
    if (kind === 'deleted' || !calendar.objects.has(name))
      return status(`${place.href}${encodeSegment(name)}`, '404 Not Found');
    return answer(world, call, objectAt(name), wanted);
  });
  const cut = delta.isCut ? [status(place.href, '507 Insufficient Storage')] : [];
  return ok(207, xmlType, xml.multistatus([...listed, ...cut], tail(delta.token)));
}

const pathOf = (href: string): string => new URL(href.trim(), 'http://localhost').pathname;
