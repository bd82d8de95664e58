import type { World } from './replies.ts';
import type { Calendar, StoredObject, User } from './store.ts';

/** The segment of a href as sabre/http encodes it: lower-case hex, colon and at sign plain. */
export function encodeSegment(name: string): string {
  return encodeURIComponent(name)
    .replaceAll(/[!'*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`)
    .replaceAll(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())
    .replaceAll('%3a', ':')
    .replaceAll('%40', '@');
}

export type Place =
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
      /** Which of several rows of that name; the first unless told. */
      readonly row?: StoredObject;
    }
  | { readonly kind: 'nowhere'; readonly message: string };

export function placeOf(world: World, path: string): Place {
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
