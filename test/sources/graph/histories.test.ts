import { describe, expect, it } from '@jest/globals';

import type { EventRef, OutlookCalendar } from '../../support/graph/outlook.ts';
import { weekdays, type Pattern, type Range } from '../../support/graph/patterns.ts';
import { startGraphSimulator, type GraphSimulator } from '../../support/graph/simulator.ts';
import { seededRandom, type Switches } from '../../support/graph/switches.ts';
import { contoso, me, mirrorOf, truth } from './mirror.ts';

const zones = [
  'W. Europe Standard Time',
  'Pacific Standard Time',
  'UTC',
  'New Zealand Standard Time',
  'India Standard Time',
];

/** Draws what happens; the same seed draws the same. */
class Fate {
  private readonly random: () => number;
  readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
  }

  upTo(most: number): number {
    return Math.floor(this.random() * (most + 1));
  }
  of<T>(options: readonly T[]): T {
    return options[this.upTo(options.length - 1)] as T;
  }
  isHead(): boolean {
    return this.random() < 0.5;
  }
  date(year = 2026): string {
    return `${year}-${two(1 + this.upTo(11))}-${two(1 + this.upTo(27))}`;
  }
  time(): string {
    return `${two(this.upTo(23))}:${this.of(['00', '30'])}`;
  }
  pattern(): Pattern {
    const interval = this.of([1, 1, 2, 3]);
    const daysOfWeek = this.of([[this.of(weekdays)], weekdays.slice(1, 6), weekdays.slice(), weekdays.slice(0, 2)]);
    const [month, dayOfMonth, index] = [
      1 + this.upTo(11),
      1 + this.upTo(30),
      this.of(['first', 'second', 'last'] as const),
    ];
    return this.of<Pattern>([
      { type: 'daily', interval },
      { type: 'weekly', interval, daysOfWeek, firstDayOfWeek: this.of(['sunday', 'monday']) },
      { type: 'absoluteMonthly', interval, dayOfMonth },
      { type: 'relativeMonthly', interval, daysOfWeek, index },
      { type: 'absoluteYearly', month, dayOfMonth },
      { type: 'relativeYearly', month, daysOfWeek, index },
    ]);
  }
  range(): Range {
    const startDate = this.date(this.of([2024, 2025, 2026]));
    return this.of<Range>([
      { type: 'noEnd', startDate },
      { type: 'numbered', startDate, numberOfOccurrences: 1 + this.upTo(40) },
      { type: 'endDate', startDate, endDate: '2026-11-28' },
    ]);
  }
  switches(): Partial<Switches> {
    return {
      mastersBeforeWindow: this.of(['sent', 'not']),
      iCalUId: this.of(['per-series', 'per-occurrence']),
      immutableOccurrenceIds: this.of(['yes', 'no', 'nor-seriesMasterId']),
      cancelledOccurrences: this.of(['known', 'unknown']),
      exceptionOriginalStart: this.of(['present', 'null']),
      exceptionFields: this.of(['full', 'blank-inherited']),
      afterOccurrenceChange: this.of(['exception-only', 'whole-series']),
      recurrenceTimeZone: this.of(['set', 'empty']),
      seriesDeleted: this.of(['master', 'occurrences', 'both']),
      outsideTouched: this.of(['removed', 'known-only']),
      allDayTimes: this.of(['midnight', 'converted']),
      exceptionPageSize: this.of([1, 10]),
      orphans: this.of(['singleInstance', 'exception']),
      disorder: this.isHead()
        ? null
        : { seed: this.seed, shuffle: true, duplicates: 0.2, replays: 0.2, emptyPages: 0.2, strangeRemovals: true },
    };
  }
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function addSeries(calendar: OutlookCalendar, fate: Fate): EventRef {
  const common = { subject: `S${fate.upTo(999)}`, pattern: fate.pattern(), range: fate.range(), zone: fate.of(zones) };
  return calendar.createSeries(fate.isHead() ? { ...common, days: 1 } : { ...common, start: fate.time() });
}

/** Tries dates until the series has an occurrence there. */
function onSomeDate(fate: Fate, act: (date: string) => void): void {
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      act(fate.date());
      return;
    } catch (thrown) {
      if (!/no occurrence/.test(String(thrown))) throw thrown;
    }
  }
}

function happen(simulator: GraphSimulator, events: EventRef[], fate: Fate): void {
  const calendar = simulator.mailbox(me).calendar();
  const ref = fate.of(events);
  const item = simulator.world.itemByKey(ref.key);
  if (item === undefined) return;
  const isAllDay = item.timing.isAllDay;
  const start = isAllDay ? fate.date() : `${fate.date()}T${fate.time()}`;
  switch (fate.upTo(6)) {
    case 0:
      events.push(calendar.createEvent({ subject: 'E', start: `${fate.date()}T${fate.time()}`, zone: fate.of(zones) }));
      return;
    case 1:
      events.push(addSeries(calendar, fate));
      return;
    case 2: {
      const theirs = simulator.mailbox('ann@contoso.example').calendar();
      const series = addSeries(theirs, fate);
      onSomeDate(fate, (date) => theirs.inviteTo(series, simulator.mailbox(me).state, { date }));
      return;
    }
    case 3:
      calendar.delete(ref);
      return;
    case 4:
      if (item.recurrence) onSomeDate(fate, (date) => calendar.cancelOccurrence(ref, date));
      return;
    case 5:
      if (item.recurrence)
        onSomeDate(fate, (date) => calendar.updateOccurrence(ref, date, { start, subject: 'Moved' }));
      else calendar.updateEvent(ref, { start });
      return;
    default:
      if (item.recurrence) calendar.reschedule(ref, isAllDay ? { pattern: fate.pattern() } : { start: fate.time() });
  }
}

/** Without ends, which clock changes stretch in Outlook and not in iCalendar, and away from the window's edges. */
function comparable(shown: readonly string[]): string[] {
  return shown
    .map((line) => line.replace(/^(\S+) \S+/, '$1'))
    .filter((line) => line >= '2026-01-03' && line < '2026-12-30')
    .sort();
}

describe('any history of a calendar', () => {
  it.each(Array.from({ length: 12 }, (_, index) => 1 + index))(
    'ends with what Outlook shows (seed %i)',
    async (seed) => {
      const fate = new Fate(seed);
      const simulator = await startGraphSimulator({
        tenants: [contoso],
        switches: fate.switches(),
        seed: String(seed),
      });
      try {
        const tenant = simulator.tenant(contoso.directory);
        tenant.addMailbox({ upn: 'ann@contoso.example', zone: fate.of(zones) });
        const calendar = tenant.addMailbox({ upn: me, zone: fate.of(zones) }).calendar();
        const events = [addSeries(calendar, fate), addSeries(calendar, fate)];
        const mirror = mirrorOf(simulator);
        for (let round = 0; round < 5; round += 1) {
          await mirror.round();
          expect(comparable(mirror.shown())).toEqual(comparable(truth(calendar)));
          for (let count = fate.upTo(3); count >= 0; count -= 1) happen(simulator, events, fate);
        }
        expect(mirror.modes().filter((mode) => mode !== 'rule')).toEqual([]);
      } finally {
        await simulator.close();
      }
    },
  );
});
