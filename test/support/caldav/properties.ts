import { type Place, encodeSegment, placeOf } from './places.ts';
import { type Call, type Reply, type World, fail, notFound, ok, xmlType } from './replies.ts';
import { type User, changesSince, rowsOf } from './store.ts';
import * as xml from './xml.ts';

export const davHeader =
  '1, 3, extended-mkcol, access-control, calendar-access, calendar-proxy, calendar-auto-schedule, calendar-availability, resource-sharing, calendarserver-sharing, addressbook';

export function response(href: string, found: readonly string[], missing: readonly string[]): string {
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
  const object = place.kind === 'object' ? (place.row ?? place.calendar?.objects.get(place.name)) : undefined;
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
  return [...calendar.objects.keys()].flatMap((name) =>
    rowsOf(calendar, name).map((row) => ({
      kind: 'object' as const,
      href: `${place.href}${encodeSegment(name)}`,
      user,
      calendar,
      name,
      row,
    })),
  );
}

export function propfind(world: World, call: Call, place: Place): Reply {
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

export function report(world: World, call: Call, place: Place): Reply {
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
  // Of several rows of one name, reports show the last, while GET and If-Match see the first.
  const objectAt = (name: string): Place => {
    const row = rowsOf(calendar, name).at(-1);
    const at = placeOf(world, `${place.href}${encodeSegment(name)}`);
    return row === undefined || at.kind !== 'object' ? at : { ...at, row };
  };
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
