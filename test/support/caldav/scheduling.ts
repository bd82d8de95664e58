import { type Component, all, first, parseCalendar } from './calendar-text.ts';

/** A mail that Baikal would have sent (RFC 6638 server scheduling, RFC 6047). */
export interface Mail {
  readonly method: 'REQUEST' | 'CANCEL' | 'REPLY';
  readonly to: string;
  readonly uid: string;
}

interface Info {
  readonly uid: string;
  readonly organizer: string | null;
  /** Attendees whom the server is to tell, with their answers per instance. */
  readonly attendees: ReadonlyMap<string, string>;
  readonly isClientsOrganizer: boolean;
  readonly isCancelled: boolean;
  readonly times: string;
}

const address = (value: string): string => value.toLowerCase();
const timeProperties = ['DTSTART', 'DTEND', 'DURATION', 'RRULE', 'RDATE', 'EXDATE', 'STATUS'];

function infoOf(body: string | null): Info | null {
  const calendar = body === null ? null : parseCalendar(body);
  const events = calendar?.children.filter((one: Component) => one.name === 'VEVENT') ?? [];
  if (events.length === 0) return null;
  const organizers = events.flatMap((event) => all(event, 'ORGANIZER'));
  const attendees = new Map<string, string>();
  for (const event of events) {
    const instance = first(event, 'RECURRENCE-ID')?.value ?? 'master';
    for (const attendee of all(event, 'ATTENDEE')) {
      // NONE is ignored by sabre/dav (its issue 1293): only CLIENT keeps it quiet.
      if (attendee.params.get('SCHEDULE-AGENT')?.toUpperCase() === 'CLIENT') continue;
      const answer = `${instance}=${attendee.params.get('PARTSTAT')?.toUpperCase() ?? 'NEEDS-ACTION'};`;
      attendees.set(address(attendee.value), (attendees.get(address(attendee.value)) ?? '') + answer);
    }
  }
  return {
    uid: events.map((event) => first(event, 'UID')?.value ?? '').find((uid) => uid !== '') ?? '',
    organizer: organizers[0] === undefined ? null : address(organizers[0].value),
    attendees,
    isClientsOrganizer: organizers.some(
      (organizer) => organizer.params.get('SCHEDULE-AGENT')?.toUpperCase() === 'CLIENT',
    ),
    isCancelled: events.some((event) => first(event, 'STATUS')?.value === 'CANCELLED'),
    times: events
      .map((event) =>
        timeProperties
          .map((name) =>
            all(event, name)
              .map((one) => one.value)
              .join(),
          )
          .join(';'),
      )
      .join('|'),
  };
}

/** Whether all events of a body have one organizer; sabre/dav answers 500 otherwise, unless it is not to schedule. */
export function hasOneOrganizer(body: string): boolean {
  const events = parseCalendar(body)?.children.filter((one) => one.name === 'VEVENT') ?? [];
  return new Set(events.flatMap((event) => all(event, 'ORGANIZER').map((one) => address(one.value)))).size < 2;
}

export interface Scheduled {
  readonly mails: readonly Mail[];
  /** The body as stored: with SCHEDULE-STATUS where somebody was told. */
  readonly body: string | null;
}

/**
 * What the server does for `user` (a `mailto:` address) when `before` becomes `after`; null is absence. Copies that Baikal
 * puts into the calendars of attendees on the same server are left out.
 */
export function schedule(before: string | null, after: string | null, user: string): Scheduled {
  const old = infoOf(before);
  const fresh = infoOf(after);
  const none: Scheduled = { mails: [], body: after };
  const organizer = fresh?.organizer ?? old?.organizer ?? null;
  if (organizer === null) return none;
  const uid = (fresh ?? old)?.uid ?? '';

  if (organizer === address(user)) {
    const known = new Set([...(old?.attendees.keys() ?? []), ...(fresh?.attendees.keys() ?? [])]);
    known.delete(organizer);
    const mails = [...known].flatMap((to): Mail[] => {
      const isIn = fresh?.attendees.has(to) === true;
      if (!isIn || fresh.isCancelled) return [{ method: 'CANCEL', to, uid }];
      const isChanged = old?.attendees.has(to) !== true || old.times !== fresh.times;
      return isChanged ? [{ method: 'REQUEST', to, uid }] : [];
    });
    return { mails, body: withStatus(after, new Set(mails.map((mail) => mail.to))) };
  }

  const isQuiet = (fresh ?? old)?.isClientsOrganizer === true;
  const mine = fresh?.attendees.get(address(user));
  const mineBefore = old?.attendees.get(address(user));
  if (isQuiet || (mine ?? mineBefore) === undefined) return none;
  const reply: Mail[] = [{ method: 'REPLY', to: organizer, uid }];
  if (fresh === null) return { mails: reply, body: null };
  const isAnswer =
    old === null
      ? mine !== undefined && !/=NEEDS-ACTION;/.test(mine)
      : mine !== mineBefore || old.times !== fresh.times;
  return isAnswer ? { mails: reply, body: withStatus(after, new Set([organizer])) } : none;
}

function withStatus(body: string | null, told: ReadonlySet<string>): string | null {
  if (body === null) return null;
  return body.replaceAll(
    /^(ORGANIZER|ATTENDEE)((?:;[^:\r\n]*)?):(\S+)$/gm,
    (line, name: string, params: string, value: string) =>
      told.has(address(value.trim())) ? `${name}${params};SCHEDULE-STATUS=1.1:${value}` : line,
  );
}
