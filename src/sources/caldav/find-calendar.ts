import type { CalDav, DavAccount, DavCalendar } from '../../dav/calendar-client.ts';
import { hrefKey, isTrustedUrl, toHref, withSlash } from '../../dav/hrefs.ts';
import { SyncError } from '../../shared/errors.ts';

/**
 * The calendar that the operator means: by href or URL, else by its display name, else by the last segment of its
 * path, else by its display name in other case. Only calendars that hold events. A href that the home does not list (a
 * calendar shared from elsewhere) is taken as it is. Throws DavError, or for the operator `caldav.calendar_not_found`
 * and `caldav.calendar_ambiguous`.
 */
export async function findCalendar(
  dav: CalDav,
  account: DavAccount,
  wanted: string,
  signal?: AbortSignal,
): Promise<DavCalendar> {
  const all = await dav.listCalendars(signal);
  const calendars = all.filter(({ components }) => components.length === 0 || components.includes('VEVENT'));
  if (/^(?:\/|https?:)/i.test(wanted)) {
    const href = withSlash(hrefOf(wanted, account));
    const listed = calendars.find((calendar) => pathKey(calendar.href, account) === pathKey(href, account));
    return listed ?? { href, name: segmentOf(href), color: null, syncToken: null, ctag: null, components: [] };
  }
  const name = wanted.normalize('NFC').trim();
  const matches: ((calendar: DavCalendar) => boolean)[] = [
    (calendar) => calendar.name.normalize('NFC').trim() === name,
    (calendar) => segmentOf(calendar.href) === name,
    (calendar) => calendar.name.normalize('NFC').trim().toLowerCase() === name.toLowerCase(),
  ];
  for (const match of matches) {
    const [found, ...others] = calendars.filter(match);
    if (found === undefined) continue;
    if (others.length === 0) return found;
    throw new SyncError(`The account has ${others.length + 1} calendars named "${wanted}"`, {
      code: 'caldav.calendar_ambiguous',
      recovery: {
        kind: 'operator',
        remedy: `Give the path of one instead: ${[found, ...others].map(({ href }) => href).join(', ')}`,
      },
      field: 'calendar',
    });
  }
  const names = calendars.map((calendar) => `"${calendar.name}"`);
  const some = names.length === 0 ? 'it has none that holds events' : names.slice(0, 20).join(', ');
  throw new SyncError(`The account has no calendar "${wanted}"`, {
    code: 'caldav.calendar_not_found',
    recovery: { kind: 'operator', remedy: `Set \`calendar\` of the source to one of the account's: ${some}.` },
    field: 'calendar',
  });
}

function hrefOf(wanted: string, account: DavAccount): string {
  const { origin } = new URL(account.url);
  if (URL.canParse(wanted, origin) && isTrustedUrl(new URL(wanted, origin).href, origin))
    return toHref(wanted, origin, origin);
  throw new SyncError('The calendar is on another server than its account', {
    code: 'caldav.calendar_elsewhere',
    recovery: { kind: 'operator', remedy: 'Give the calendar by its name, or as a path on the server of the account.' },
    field: 'calendar',
  });
}

/** An iCloud partition may change; the path stays. */
function pathKey(href: string, account: DavAccount): string {
  return hrefKey(new URL(href, account.url).pathname);
}

function segmentOf(href: string): string {
  return hrefKey(href).split('/').at(-1) ?? href;
}
