/** What a probe asks about answers as such: pages, zones, bodies, links, people, calendars. */
import { offsetAt } from '../../../calendar/zones.ts';
import { instantOf, knownZone } from '../times.ts';
import { readCollection, readEvent, type WireCalendar, type WireEvent } from '../wire.ts';
import type { Exchange } from './exchange.ts';
import { anyCalendar, appointment, handled, partAnswer, type Question } from './question.ts';
import { codeOf, itemsOf, type Seen } from './seen.ts';

/** What the odd requests ask for: nothing that a reading would. */
export const oddZone = 'Tokyo Standard Time';
export const oddPageSize = 2;

const mostSkewMs = 120_000;

export const serviceQuestions: readonly Question[] = [
  {
    // D#7632: only on the beta page
    name: 'calendarDelta',
    asks: 'Does delta over one calendar work in v1.0?',
    settle: (seen) =>
      seen
        .of('reading')
        .filter(({ url }) => /\/calendars\/[^/]+\/calendarView\/delta\?startDateTime/i.test(url))
        .filter(({ status }) => status === 200 || status === 400)
        .map(({ status }) => (status === 200 ? 'works' : 'refused')),
    answers: [
      { answer: 'refused', means: 'This calendar cannot be read.', isTrouble: true },
      { answer: 'works', means: 'Each calendar has a stream of its own.' },
    ],
    toSettle: anyCalendar,
  },
  {
    // no maximum is published; 50 to 200 is common
    name: 'pageSize',
    asks: 'How many rows of a page does Graph bear?',
    settle: (seen) =>
      seen
        .of('reading')
        .filter(({ status, prefer }) => status === 200 && /maxpagesize/.test(prefer))
        .filter(({ url }) => /\/calendarView\/delta/i.test(url))
        .slice(0, 1)
        .flatMap(({ prefer }) => /odata\.maxpagesize=(\d+)/.exec(prefer)?.[1] ?? []),
    answers: [
      { answer: null, means: 'Switched: pages are asked for in this size at most, smaller ones when Graph is slow.' },
    ],
    toSettle: anyCalendar,
  },
  {
    name: 'pageSizeHonoured',
    asks: 'Does delta heed the page size that is asked for?',
    settle: (seen) => seen.of('small-page').flatMap(heedsPageSize),
    answers: [
      { answer: 'ignored', means: 'Pages are as long as Graph likes; only smaller windows help against refusals.' },
      { answer: 'honoured', means: 'Smaller pages help when Graph is slow.' },
    ],
    toSettle: 'Make more than ten appointments within the next weeks, then run this again.',
  },
  {
    name: 'timeZone',
    asks: 'Are times told in the zone that is asked for?',
    settle: (seen) => {
      const utc = seen.rows.filter(isTimed).map(({ start }) => (start?.timeZone === 'UTC' ? 'honoured' : 'ignored'));
      const odd = [...oddEvents(seen), ...seen.of('small-page').flatMap(itemsOf).map(readEvent)]
        .filter((row) => row.start !== null && !row.isRemoved && isTimed(row))
        .map(({ start }) => (start?.timeZone === oddZone ? 'honoured' : 'ignored'));
      return [...utc, ...odd];
    },
    answers: [
      { answer: 'ignored', means: `Times are read in the zone that each names. ${handled}` },
      { answer: 'honoured', means: 'Times come in UTC, as they are asked for.' },
    ],
    toSettle: appointment,
  },
  {
    name: 'bodyType',
    asks: 'Are bodies told in the form that is asked for, in delta too?',
    settle: (seen) => {
      const html = seen.rows.flatMap(({ body }) => (body === null ? [] : [body.isHtml ? 'honoured' : 'ignored']));
      const text = [...oddEvents(seen), ...seen.of('small-page').flatMap(itemsOf).map(readEvent)];
      return [...html, ...text.flatMap(({ body }) => (body === null ? [] : [body.isHtml ? 'ignored' : 'honoured']))];
    },
    answers: [
      { answer: 'ignored', means: `Each body is read in the form that it says it has. ${handled}` },
      { answer: 'honoured', means: 'Bodies come as HTML, so that links to meetings survive.' },
    ],
    toSettle: appointment,
  },
  {
    // contrib#7803: midnight "UTC" whatever the zone
    name: 'allDayTimes',
    asks: 'How do whole days come: as midnight, or as an instant?',
    settle: ({ rows }) => rows.filter(({ isAllDay }) => isAllDay === true).flatMap(allDayForm),
    answers: [
      { answer: 'converted', means: 'The date is found by the zone of the event.' },
      { answer: 'midnight', means: 'The date is taken as it stands, never converted.' },
    ],
    toSettle: 'Make an appointment that takes a whole day, in a zone that is not UTC, then run this again.',
  },
  {
    name: 'sequence',
    asks: 'Can the organizer’s revision be asked for (an extended property)?',
    settle: (seen) => seen.of('part-sequence').flatMap(partAnswer),
    answers: [
      { answer: 'refused', means: 'Switched: not asked for.' },
      { answer: 'known', means: 'Switched: asked for with the event.' },
    ],
    toSettle: appointment,
  },
  {
    name: 'fields',
    asks: 'Can fields of an event be selected?',
    settle: (seen) => seen.of('part-fields').flatMap(partAnswer),
    answers: [
      { answer: 'refused', means: 'Switched: events are asked for whole.' },
      { answer: 'known', means: 'Switched: only fields that are used are asked for.' },
    ],
    toSettle: appointment,
  },
  {
    name: 'instanceFields',
    asks: 'Can fields of a series’ instances be selected?',
    settle: (seen) =>
      seen
        .of('reading')
        .filter(({ url }) => /\/instances\?.*\$select=/.test(url))
        .flatMap(partAnswer),
    answers: [
      { answer: 'refused', means: 'Switched: instances are asked for whole, at once.' },
      { answer: 'known', means: 'Switched: only the times of instances are asked for.' },
    ],
    toSettle: 'Make a weekly series, then run this again.',
  },
  {
    // `event-delta.md`: not supported; some projects' $select passes
    name: 'deltaSelect',
    asks: 'Can fields be selected in delta?',
    settle: (seen) => seen.of('delta-select').flatMap(partAnswer),
    answers: [
      { answer: 'refused', means: 'Delta tells events whole, as it is documented.' },
      { answer: 'known', means: 'It is not documented, so no reading relies on it.' },
    ],
    toSettle: anyCalendar,
  },
  {
    name: 'sameLink',
    asks: 'Can a link be followed a second time?',
    settle: (seen) => seen.of('same-link').map(({ status }) => (status === 200 ? 'works' : 'lost')),
    answers: [
      { answer: 'lost', means: 'A process that ends before it has stored an answer costs a full reading.' },
      { answer: 'works', means: 'A process that ends before it has stored an answer asks once more.' },
    ],
    toSettle: anyCalendar,
  },
  {
    // `delta-query-overview.md`, D#2350: 410, or another 40x with a code
    name: 'lostState',
    asks: 'How does Graph say that it has lost where a reading stood?',
    settle: (seen) => seen.of('strange-link').map((one) => `${one.status} ${codeOf(one)}`.trim()),
    answers: [
      {
        answer: null,
        means: 'Whatever is said, a link that is refused while the calendar answers starts a full reading.',
      },
    ],
    toSettle: anyCalendar,
  },
  {
    name: 'removalsAtFirst',
    asks: 'Does a first round tell of removals?',
    settle: (seen) => (seen.of('reading').length === 0 ? [] : [seen.hasRemovals ? 'yes' : 'no']),
    answers: [
      { answer: 'yes', means: 'A removal of something that was never told counts for nothing.' },
      { answer: 'no', means: handled },
    ],
    toSettle: anyCalendar,
  },
  {
    // allodia-eu engine
    name: 'organizerListed',
    asks: 'Is the organizer listed among those invited as well?',
    settle: ({ rows }) =>
      rows
        .filter(({ isOrganizer, attendees }) => isOrganizer === false && (attendees ?? []).length > 0)
        .map(({ organizer, attendees }) => {
          const address = organizer?.address?.toLowerCase();
          const isListed = (attendees ?? []).some(({ email }) => email.address?.toLowerCase() === address);
          return isListed ? 'listed' : 'not';
        }),
    answers: [
      { answer: 'listed', means: 'The two become one: the chair, who has accepted.' },
      { answer: 'not', means: 'The organizer is added as the chair.' },
    ],
    toSettle: 'Have somebody invite the mailbox, then run this again.',
  },
  {
    // `calendar-list-events.md`
    name: 'privateItems',
    asks: 'Is the content of private events told?',
    settle: ({ rows }) =>
      rows
        .filter(({ sensitivity, type }) => sensitivity === 'private' && type !== 'occurrence')
        .map(({ subject }) => ((subject ?? '').trim() === '' ? 'blank' : 'readable')),
    answers: [
      { answer: 'blank', means: 'Private events show without a title, whatever `privateItems` says.' },
      { answer: 'readable', means: 'What shows of them is decided here: see `privateItems` of each source.' },
    ],
    toSettle: 'Make a private appointment with any title, then run this again.',
  },
  {
    name: 'calendarByItself',
    asks: 'Does a calendar answer by its id, or only in the list?',
    settle: (seen) =>
      seen
        .of('calendar')
        .filter(({ status }) => status === 200 || status === 404)
        .map(({ status }) => (status === 200 ? 'answers' : 'listed-only')),
    answers: [
      {
        answer: 'listed-only',
        means: 'That a calendar is there is confirmed by the list: a request more per removal.',
      },
      { answer: 'answers', means: 'That a calendar is there is confirmed by its id.' },
    ],
    toSettle: anyCalendar,
  },
  {
    // `outlook-get-shared-events-calendars.md`
    name: 'copies',
    asks: 'Are there local copies of other people’s calendars?',
    settle: ({ calendars }) => calendars.map((calendar) => (isOwnByFlags(calendar) ? 'none' : 'some')),
    answers: [
      { answer: 'some', means: 'Read them at their owners: `calendar-sync calendars <tenant> <mailbox>` tells which.' },
      { answer: 'none', means: 'All calendars are the mailboxes’ own.' },
    ],
    toSettle: anyCalendar,
  },
  {
    name: 'userIds',
    asks: 'May we look up a mailbox’s own id (User.Read.All)?',
    settle: (seen) => seen.of('user').map(({ status }) => (status === 200 ? 'granted' : 'refused')),
    answers: [
      {
        answer: 'refused',
        means: 'Mailboxes are watched by address; one with an apostrophe cannot be, and is polled.',
      },
      { answer: 'granted', means: 'Mailboxes are watched by their id.' },
    ],
    toSettle: 'Name a mailbox.',
  },
  {
    name: 'mailboxZones',
    asks: 'May we ask for a mailbox’s time zone (MailboxSettings.Read)?',
    settle: (seen) => seen.of('mailbox-zone').map(({ status }) => (status === 200 ? 'granted' : 'refused')),
    answers: [
      { answer: 'refused', means: 'A series whose zone nobody knows is shown in one that fits, or date by date.' },
      { answer: 'granted', means: 'A series whose zone nobody knows is tried in the mailbox’s first.' },
    ],
    toSettle: 'Name a mailbox.',
  },
  {
    name: 'clock',
    asks: 'Do the clocks agree?',
    settle: ({ skewMs }) => (skewMs === null ? [] : [Math.abs(skewMs) <= mostSkewMs ? 'agree' : 'differ']),
    answers: [
      {
        answer: 'differ',
        means: 'Set this machine’s clock by NTP: sign-ins fail beyond five minutes.',
        isTrouble: true,
      },
      { answer: 'agree', means: 'They differ by less than two minutes.' },
    ],
    toSettle: 'Graph’s answers name no time.',
  },
];

function isTimed({ isAllDay, type }: WireEvent): boolean {
  // Stubs do not say whether they take the whole day, and whole days come in UTC whatever is asked for.
  return isAllDay === false && type !== 'occurrence';
}

function oddEvents(seen: Seen): WireEvent[] {
  return seen
    .of('event-otherwise')
    .filter(({ status }) => status === 200)
    .map(({ body }) => readEvent(body));
}

/** One series is not split over pages (observed): the last one on a page does not count. */
function heedsPageSize(exchange: Exchange): string[] {
  const page = readCollection(exchange.body);
  if (exchange.status !== 200 || page === null) return [];
  const groups = new Set(page.items.map(readEvent).map(({ id, seriesMasterId }) => seriesMasterId ?? id));
  if (page.nextLink !== null) return [groups.size <= oddPageSize ? 'honoured' : 'ignored'];
  return groups.size > oddPageSize ? ['ignored'] : [];
}

function allDayForm({ start, originalStartTimeZone }: WireEvent): string[] {
  const zone = knownZone(originalStartTimeZone);
  const at = instantOf(start);
  if (start === null || at === null || zone?.kind !== 'zone') return [];
  // Where midnight is midnight UTC as well, nothing can be told.
  if (offsetAt(zone.zone, at) === 0) return [];
  return [at % 86_400 === 0 ? 'midnight' : 'converted'];
}

/** A copy cannot be shared on; of addresses, which a saved probe does not have, nothing is asked. */
function isOwnByFlags(calendar: WireCalendar): boolean {
  return calendar.isDefault || calendar.canShare !== false;
}
