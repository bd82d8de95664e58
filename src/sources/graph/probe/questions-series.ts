/** What a probe asks about series, their occurrences and their ids. Each question names the reports that disagree. */
import { cleanUid } from '../../../calendar/uid.ts';
import { zoneOf } from '../../../calendar/windows-zones.ts';
import { instantOf } from '../times.ts';
import type { WireEvent } from '../wire.ts';
import { appointment, handled, partAnswer, type Question } from './question.ts';
import { beginsBefore, type Seen, type SeenMaster } from './seen.ts';

const weeklySeries = 'Make a weekly series that began more than two months ago, then run this again.';
const changedOccurrence = 'Change the time of one coming occurrence of a weekly series, then run this again.';

export const seriesQuestions: readonly Question[] = [
  {
    // keeper.sh#409: no; allodia-eu engine: yes
    name: 'mastersBeforeWindow',
    asks: 'Does delta send the master of a series that began before the window?',
    settle: (seen) =>
      seen.masters
        .filter(({ event, instances }) => beginsBefore(event, seen.window) && instances.length > 0)
        .map(({ asked, event }) => (isSent(seen, asked, event) ? 'sent' : 'not')),
    answers: [
      { answer: 'not', means: 'Each master is asked for by its id, as always; its occurrences tell that it is there.' },
      {
        answer: 'sent',
        means: `Masters are asked for by their id all the same: delta tells no exceptions. ${handled}`,
      },
    ],
    toSettle: weeklySeries,
  },
  {
    // D#7632, C#34: stubs
    name: 'occurrencesInDelta',
    asks: 'Do occurrences come as stubs (times only) or whole?',
    settle: (seen) =>
      seen.rows.filter(({ type }) => type === 'occurrence').map(({ subject }) => (subject === null ? 'stub' : 'whole')),
    answers: [
      { answer: 'stub', means: 'A series is rebuilt from its master; nothing is taken from its occurrences.' },
      { answer: 'whole', means: handled },
    ],
    toSettle: weeklySeries,
  },
  {
    // docs: differs per occurrence; D#17479, D#4447: shared
    name: 'iCalUId',
    asks: 'Does a series have one iCalUId, or each occurrence its own?',
    settle: ({ view }) =>
      [...bySeries(view).values()]
        .map((rows) => rows.flatMap(({ iCalUId }) => iCalUId ?? []))
        .filter((uids) => uids.length > 1)
        .map((uids) => (new Set(uids).size === 1 ? 'per-series' : 'per-occurrence')),
    answers: [
      {
        answer: 'per-occurrence',
        means: 'The date in an occurrence’s id is taken out before meetings are matched; the master’s id is the UID.',
      },
      { answer: 'per-series', means: `The master’s id is the UID. ${handled}` },
    ],
    toSettle: weeklySeries,
  },
  {
    // `outlook-immutable-id.md`
    name: 'immutableIds',
    asks: 'Are ids immutable where that is asked for?',
    settle: ({ view, ordinaryView }) =>
      pairs(view, ordinaryView, 'singleInstance').map(([one, other]) => (one.id === other.id ? 'no' : 'yes')),
    answers: [
      { answer: 'no', means: 'An event that is moved to another calendar goes and comes again under a new id.' },
      { answer: 'yes', means: 'An event keeps its id when it is moved.' },
    ],
    toSettle: appointment,
  },
  {
    // `outlook-immutable-id.md` is silent
    name: 'immutableOccurrenceIds',
    asks: 'Are ids of occurrences immutable too?',
    settle: ({ view, ordinaryView }) =>
      pairs(view, ordinaryView, 'occurrence').map(([one, other]) => (one.id === other.id ? 'no' : 'yes')),
    answers: [
      { answer: 'no', means: `Occurrences are never kept under their own ids. ${handled}` },
      { answer: 'yes', means: handled },
    ],
    toSettle: weeklySeries,
  },
  {
    name: 'seriesMasterId',
    asks: 'Do occurrences name their master by the id that it has itself?',
    settle: (seen) => {
      const named = new Set(seen.rows.flatMap(({ seriesMasterId }) => seriesMasterId ?? []));
      return seen.masters
        .filter(({ asked }) => named.has(asked))
        .map(({ asked, event }) => (event.id === asked ? 'same' : 'other'));
    },
    answers: [
      { answer: 'other', means: 'Both ids are followed to one claim; a series costs two requests more at each start.' },
      { answer: 'same', means: 'A series has one id.' },
    ],
    toSettle: weeklySeries,
  },
  {
    // not in the metadata of v1.0 (msgraph-metadata#827)
    name: 'occurrenceId',
    asks: 'Can occurrenceId be asked for?',
    settle: (seen) => seen.of('part-occurrenceId').flatMap(partAnswer),
    answers: [
      {
        answer: 'refused',
        means: 'Switched: it is not asked for. Exceptions are placed by originalStart, or by elimination.',
      },
      { answer: 'known', means: 'Switched: it is asked for, and places exceptions first of all.' },
    ],
    toSettle: weeklySeries,
  },
  {
    name: 'occurrenceIdSeen',
    asks: 'Do exceptions carry an occurrenceId?',
    settle: ({ exceptions }) =>
      exceptions
        .filter(({ subject }) => subject !== null)
        .map(({ occurrenceId }) => (occurrenceId === null ? 'absent' : 'present')),
    answers: [
      { answer: 'absent', means: 'Exceptions are placed by originalStart, or by elimination.' },
      { answer: 'present', means: 'Exceptions are placed by it.' },
    ],
    toSettle: changedOccurrence,
  },
  {
    // v1.0 since May 2025, clouds may trail
    name: 'seriesParts',
    asks: 'Can cancelledOccurrences and exceptionOccurrences be asked for?',
    settle: (seen) => seen.of('part-seriesParts').flatMap(partAnswer),
    answers: [
      {
        answer: 'refused',
        means: 'Switched: not asked for. What is cancelled is what the rule has and Graph’s list lacks.',
      },
      { answer: 'known', means: 'Switched: asked for with the master; cancellations hold beyond the window.' },
    ],
    toSettle: weeklySeries,
  },
  {
    name: 'cancelledOccurrences',
    asks: 'Does a master tell its cancelled occurrences?',
    settle: ({ masters }) => masters.map(({ event }) => (event.cancelledOccurrences === null ? 'unknown' : 'known')),
    answers: [
      { answer: 'unknown', means: 'What is cancelled is what the rule has and Graph’s list lacks, within the window.' },
      { answer: 'known', means: 'Cancellations are taken from there, and proven by Graph’s list.' },
    ],
    toSettle: weeklySeries,
  },
  {
    name: 'exceptionPages',
    asks: 'Do all exceptions of a series come with its master?',
    settle: ({ masters }) =>
      masters
        .filter(({ event }) => (event.exceptionOccurrences ?? []).length > 0)
        .map(({ event }) => (event.exceptionsNextLink === null ? 'all' : 'in-pages')),
    answers: [
      { answer: 'in-pages', means: 'The pages are followed.' },
      { answer: 'all', means: handled },
    ],
    toSettle: 'Change more than ten coming occurrences of one series, then run this again.',
  },
  {
    // allodia-eu engine: null even on a direct GET
    name: 'exceptionOriginalStart',
    asks: 'Do exceptions carry originalStart?',
    settle: ({ exceptions, rows }) =>
      [...exceptions, ...rows.filter(({ type }) => type === 'exception')].map(({ originalStart }) =>
        originalStart === null ? 'null' : 'present',
      ),
    answers: [
      { answer: 'null', means: 'Exceptions are placed by occurrenceId, or by elimination against the rule.' },
      { answer: 'present', means: 'Exceptions are placed by it where there is no occurrenceId.' },
    ],
    toSettle: changedOccurrence,
  },
  {
    // keeper.sh#409: blank where inherited
    name: 'exceptionFields',
    asks: 'Are an exception’s subject and body blank in delta where they are its series’?',
    settle: inheritedFields,
    answers: [
      { answer: 'blank-inherited', means: 'What is blank comes from the master, or is asked for singly.' },
      { answer: 'full', means: handled },
    ],
    toSettle: changedOccurrence,
  },
  {
    // contrib#7803: one etag per series
    name: 'versions',
    asks: 'Do all rows of a series carry one version?',
    settle: ({ masters, view }) => {
      const rows = bySeries(view);
      return masters.flatMap(({ asked, event }) => {
        const versions = new Set([event, ...(rows.get(asked) ?? [])].map(({ version }) => version));
        if (!rows.has(asked)) return [];
        return [versions.has(null) ? 'none' : versions.size === 1 ? 'one' : 'per-occurrence'];
      });
    },
    answers: [
      { answer: 'none', means: 'A series is read once more to see that it stood still, and at every full reading.' },
      { answer: 'per-occurrence', means: 'A series costs one request more, to see that it stood still.' },
      { answer: 'one', means: 'A series costs two requests; unchanged ones are skipped by full readings.' },
    ],
    toSettle: weeklySeries,
  },
  {
    name: 'orphans',
    asks: 'How does the invitation to one date of somebody’s series come?',
    settle: (seen) => [
      ...seen.absentMasters.map(() => 'exception'),
      ...seen.rows
        .filter((row) => row.type === 'singleInstance' && cleanUid(row.iCalUId)?.date != null)
        .map(() => 'singleInstance'),
    ],
    answers: [
      { answer: 'exception', means: 'It names a series that is not there, and is asked for by its own id.' },
      { answer: 'singleInstance', means: 'It comes as an appointment; the date in its iCalUId tells the slot.' },
    ],
    toSettle: 'Have somebody invite the mailbox to one date of a series of theirs, then run this again.',
  },
  {
    // D#7163: can be ""; azure-docs#39454: "Customized Time Zone"
    name: 'recurrenceTimeZone',
    asks: 'Do rules name a time zone that is known?',
    settle: ({ masters }) =>
      masters.flatMap(({ event }) => {
        const zone = event.recurrence?.range.recurrenceTimeZone ?? '';
        return [zone.trim() === '' ? 'empty' : zoneOf(zone).kind === 'unknown' ? 'unknown-name' : 'set'];
      }),
    answers: [
      {
        answer: 'unknown-name',
        means: 'The zone that fits what Graph lists is taken; without one, dates are listed singly.',
      },
      { answer: 'empty', means: 'The zone of the event itself is taken, and proven by what Graph lists.' },
      { answer: 'set', means: 'The rule is proven in it by what Graph lists.' },
    ],
    toSettle: weeklySeries,
  },
  {
    name: 'zoneNames',
    asks: 'Are there names of time zones that nobody knows?',
    settle: ({ rows, masters }) =>
      [...rows, ...masters.map(({ event }) => event)].flatMap(({ originalStartTimeZone: zone }) => {
        if (zone === null) return [];
        return [zoneOf(zone).kind === 'unknown' ? 'odd' : /^tzone:/i.test(zone) ? 'tzone' : 'known'];
      }),
    answers: [
      {
        answer: 'odd',
        means: 'Times are right, they come in UTC; series are shown in a zone that fits, or date by date.',
      },
      { answer: 'tzone', means: 'They are read by what follows tzone://Microsoft/.' },
      { answer: 'known', means: handled },
    ],
    toSettle: appointment,
  },
];

function isSent(seen: Seen, asked: string, { id }: WireEvent): boolean {
  return seen.rows.some((row) => row.recurrence !== null && (row.id === asked || row.id === id));
}

function bySeries(rows: readonly WireEvent[]): Map<string, WireEvent[]> {
  const series = new Map<string, WireEvent[]>();
  for (const row of rows)
    if (row.seriesMasterId !== null) series.set(row.seriesMasterId, [...(series.get(row.seriesMasterId) ?? []), row]);
  return series;
}

/** Rows of one type that stand in both lists, told apart by their times; those that are not alone at theirs left out. */
function pairs(
  one: readonly WireEvent[],
  other: readonly WireEvent[],
  type: WireEvent['type'],
): (readonly [WireEvent, WireEvent])[] {
  const keyOf = (row: WireEvent): string => `${instantOf(row.start)} ${instantOf(row.end)} ${row.version}`;
  const alone = (rows: readonly WireEvent[]): Map<string, WireEvent> => {
    const counts = new Map<string, number>();
    for (const row of rows) counts.set(keyOf(row), (counts.get(keyOf(row)) ?? 0) + 1);
    return new Map(rows.filter((row) => counts.get(keyOf(row)) === 1).map((row) => [keyOf(row), row]));
  };
  const others = alone(other);
  return [...alone(one)].flatMap(([key, row]) => {
    const twin = others.get(key);
    return row.type === type && twin !== undefined ? [[row, twin] as const] : [];
  });
}

function inheritedFields({ rows, masters, exceptions }: Seen): string[] {
  return rows
    .filter(({ type }) => type === 'exception')
    .flatMap((row): string[] => {
      const master = masters.find((one) => isOf(row, one));
      const whole = exceptions.find(({ id, subject }) => id === row.id && subject !== null);
      const truth = whole?.subject ?? null;
      const inherited = master?.event.subject ?? null;
      // Only what is the same in both is inherited.
      if (inherited === null || inherited.trim() === '' || truth !== inherited) return [];
      return [(row.subject ?? '').trim() === '' ? 'blank-inherited' : 'full'];
    });
}

function isOf({ seriesMasterId }: WireEvent, { asked, event }: SeenMaster): boolean {
  return seriesMasterId === asked || seriesMasterId === event.id;
}
