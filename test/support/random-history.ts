/**
 * Random histories of two people in two tenants: what Outlook users do, what goes wrong between any two requests, and
 * processes that end, all from one seed. At the end, with faults gone and time allowed, the target must show the truth.
 */
import { sql } from 'kysely';
import { removeClaims } from '../../src/store/claims.ts';
import { approveDeletions } from '../../src/store/deletions.ts';
import { wantReading } from '../../src/store/sources.ts';
import { compareWithTruth, type Comparison } from './compare-truth.ts';
import { inDialect, plainDialect, type Dialect } from './graph/dialect.ts';
import type { Fault, How } from './graph/faults.ts';
import { instancesOf } from './graph/instances.ts';
import type { OutlookCalendar } from './graph/outlook.ts';
import { plusDays, weekdays, type Pattern, type Range } from './graph/patterns.ts';
import { directoryOf, type OutlookMailbox } from './graph/people.ts';
import type { ItemState } from './graph/state.ts';
import { seededRandom, type Switches } from './graph/switches.ts';
import { day as dayFrom } from './one-calendar.ts';
import { aStage, type Stage } from './stage.ts';
import { turnstile, type Turnstile } from './turnstile.ts';

export interface HistoryOutcome {
  readonly comparison: Comparison;
  readonly switches: Partial<Switches>;
  readonly dialect: Dialect;
  /** What happened, in sentences, for whoever has to find out. */
  readonly story: readonly string[];
  /** Source states at the end that are not fresh, and series that could not be rebuilt. */
  readonly troubles: readonly string[];
  /** All requests in order, with their answers: the same for the same seed and steps, wherever it runs. */
  readonly trace: readonly string[];
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** A year in which every zone's clocks change as they do today. Histories begin on each of its days. */
const firstDay = Date.parse('2026-01-01T00:00:00Z');
/** Share of requests that arrive while the others that are under way are served. */
const crowdedShare = 0.1;
const privacies = ['full', 'title', 'busy'] as const;
const names = ['contoso', 'fabrikam'] as const;
const zones = ['W. Europe Standard Time', 'Eastern Standard Time', 'UTC', 'Tokyo Standard Time'];

/** `steps`: how many, or which of them; each draws from a seed of its own, so that any may be left out. */
export async function randomHistory(seed: number, steps: number | readonly number[]): Promise<HistoryOutcome> {
  const dialect = chooseDialect(seed);
  // One service for the whole history, whatever becomes of the process that asks it.
  let service: Turnstile | null = null;
  const trace = (): readonly string[] => service?.trace ?? [];
  const crowds = seededRandom(seed * 11 + 5);
  let isCalm = false;
  const stage: Stage = await aStage({
    startsAt: new Date(firstDay + (seed % 365) * dayMs + 8 * hourMs),
    between: (fetch) => {
      const onPass = (others: number): void => {
        stage.simulator.heldBack = !isCalm && others > 0 && crowds() < crowdedShare ? others : 0;
      };
      service ??= turnstile(inDialect(fetch, dialect), { seed: seed * 13 + 7, onPass });
      return service.fetch;
    },
  });
  try {
    const which = typeof steps === 'number' ? Array.from({ length: steps }, (_, step) => step) : steps;
    const history = new RandomHistory(stage, seed, dialect);
    await history.live(which);
    isCalm = true;
    return { ...(await history.end()), dialect, trace: trace() };
  } finally {
    await stage.close();
  }
}

/** The smallest part of a history that still fails, as far as `runs` more of them find it. */
export async function shrinkHistory(seed: number, steps: number, runs: number): Promise<number[]> {
  let kept = Array.from({ length: steps }, (_, step) => step);
  let left = runs;
  for (let size = Math.ceil(steps / 2); size >= 1 && left > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < kept.length && left > 0;) {
      const without = [...kept.slice(0, from), ...kept.slice(from + size)];
      left -= 1;
      if (hasFailed(await randomHistory(seed, without))) kept = without;
      else from += size;
    }
  }
  return kept;
}

export function hasFailed({ comparison: { missing, surplus }, troubles }: HistoryOutcome): boolean {
  return missing.length + surplus.length + troubles.length > 0;
}

/** Two of three histories are told by another service than ours; every second knows no immutable ids. */
function chooseDialect(seed: number): Dialect {
  const random = seededRandom(seed * 7 + 3);
  const one = <T>(first: T, ...others: T[]): T =>
    [first, ...others][Math.floor(random() * (others.length + 1))] ?? first;
  if (seed % 3 === 0) return { ...plainDialect, ignoresIdType: seed % 2 === 1 };
  return {
    seed,
    noMasters: one(false, true),
    anonymousStubs: one(false, false, true),
    removalsOf: one('all', 'masters', 'occurrences'),
    falseRemovals: one(0, 0.3),
    fatRemovals: one(false, true),
    splitPages: one(null, 2, 5),
    repeats: one(0, 0.3),
    links: one('usual', 'capital', 'opaque'),
    absentNulls: one(false, true),
    versions: one('both', 'etag', 'changeKey', 'none', 'per-occurrence'),
    unknownNames: one<string[]>([], ['cancelledOccurrences'], ['singleValueExtendedProperties'], ['occurrenceId']),
    unknownAre: one('refused', 'ignored'),
    listPage: one(null, 7),
    calendarsOnlyListed: one(false, true),
    ignoresIdType: seed % 2 === 1,
    // None whose doubled hour in autumn somebody here works in: who answers in local time cannot say which pass is meant.
    zone: one(null, 'W. Europe Standard Time', 'Hawaiian Standard Time'),
  };
}

class RandomHistory {
  private readonly stage: Stage;
  private readonly seed: number;
  private readonly dialect: Dialect;
  private random: () => number;
  private readonly story: string[] = [];
  private readonly faults: Fault[] = [];
  private readonly waiting: (() => void)[] = [];
  private readonly mailboxes: OutlookMailbox[] = [];
  private readonly switches: Partial<Switches>;
  private readonly privacy: (typeof privacies)[number];
  private release: (() => void) | null = null;
  private count = 0;

  constructor(stage: Stage, seed: number, dialect: Dialect) {
    this.stage = stage;
    this.seed = seed;
    this.dialect = dialect;
    this.random = seededRandom(seed);
    this.privacy = this.pick(privacies);
    this.switches = this.chooseSwitches();
  }

  /** Everything that happens, faults and all. */
  async live(steps: readonly number[]): Promise<void> {
    const { switches } = this;
    // The dialect may leave out one form of removals; then both are to be there.
    if (this.dialect.removalsOf !== 'all') switches.seriesDeleted = 'both';
    // Where masters are never sent, something else must tell of their changes.
    if (this.dialect.noMasters) switches.afterMasterChange = 'all-occurrences';
    Object.assign(this.stage.simulator.switches, switches);
    await this.begin();
    for (const step of steps) {
      this.random = seededRandom(this.seed * 100_003 + step);
      await this.stage.advance(this.pick([0, 30_000, hourMs / 6, 3 * hourMs, this.chance(0.1) ? 4 * dayMs : hourMs]));
      if (this.chance(0.6)) this.change();
      if (this.chance(0.25)) this.disturb();
      if (this.chance(0.35)) await this.work();
    }
  }

  /** What is left when faults are gone and time was allowed. */
  async end(): Promise<Omit<HistoryOutcome, 'dialect' | 'trace'>> {
    const comparison = await this.comeToRest();
    const { switches, story } = this;
    return { comparison, switches, story, troubles: await this.troubles() };
  }

  private async begin(): Promise<void> {
    await this.stage.target();
    for (const [index, name] of names.entries()) {
      const domain = `${name}.example`;
      await this.stage.tenant(name, { directory: directoryOf(domain), domain, client: `app-${name}` });
      const mailbox = this.stage.simulator
        .tenant(domain)
        .addMailbox({ upn: `kim@${domain}`, name: 'Kim', zone: this.pick(zones) });
      mailbox.addCalendar('Other');
      this.mailboxes.push(mailbox);
      await this.stage.source({
        id: name,
        tenant: name,
        mailbox: `kim@${domain}`,
        privacy: index === 0 ? 'full' : this.privacy,
      });
    }
    for (let step = 0; step < 12; step += 1) this.change();
  }

  private chooseSwitches(): Partial<Switches> {
    const one = <T>(...choices: readonly T[]): T => this.pick(choices);
    return {
      mastersBeforeWindow: one('sent', 'not'),
      iCalUId: one('per-series', 'per-occurrence'),
      immutableOccurrenceIds: one('yes', 'no', 'nor-seriesMasterId'),
      cancelledOccurrences: one('known', 'unknown'),
      exceptionOriginalStart: one('present', 'null'),
      exceptionFields: one('full', 'blank-inherited'),
      afterMasterChange: one('all-occurrences', 'master-only'),
      afterOccurrenceChange: one('exception-only', 'whole-series'),
      recurrenceTimeZone: one('set', 'empty'),
      seriesDeleted: one('master', 'occurrences', 'both'),
      outsideTouched: one('removed', 'known-only'),
      allDayTimes: one('midnight', 'converted'),
      exceptionPageSize: one(1, 3, 10),
      orphans: one('singleInstance', 'exception'),
      removedReason: one('deleted', 'changed'),
      syncStateError: one(
        { status: 410, code: 'SyncStateNotFound', location: true } as const,
        { status: 400, code: 'syncStateInvalid', location: false } as const,
        { status: 404, code: 'resyncRequired', location: false } as const,
      ),
      keptGenerations: one(1, 3),
      mailboxConcurrency: one(2, 4),
      retryAfter: one('0.5', '2', null),
      disorder: one(null, {
        seed: Math.floor(this.random() * 1e9),
        shuffle: true,
        duplicates: 0.3,
        replays: 0.2,
        emptyPages: 0.4,
        strangeRemovals: true,
      }),
    };
  }

  /** Something that a person does in Outlook. */
  private change(): void {
    const mailbox = this.pick(this.mailboxes);
    const calendar = mailbox.calendar();
    const own = calendar.events().filter(({ fields }) => fields.isOrganizer && !fields.isCancelled);
    const item = own.length === 0 ? undefined : this.pick(own);
    if (item === undefined || own.length < 6) this.create(calendar);
    else if (item.recurrence === null) this.changeSingle(mailbox, calendar, item);
    else this.changeSeries(mailbox, calendar, item);
  }

  private create(calendar: OutlookCalendar): void {
    this.count += 1;
    const start = this.day(Math.floor(this.random() * 60) - 10);
    const time = this.time();
    const subject = `${this.pick(['Coffee', 'Review', 'Board', 'Travel; "far", away', 'Ärzte 🩺'])} ${this.count}`;
    if (this.chance(0.35)) {
      const isAllDay = this.chance(0.3);
      calendar.createSeries({
        subject,
        pattern: this.pattern(),
        range: this.range(start),
        ...(isAllDay ? { days: this.pick([1, 2]) } : { start: time }),
      });
      this.tell(`${calendar.mailbox.upn} created the series ${subject} from ${start}`);
    } else if (this.chance(0.2)) {
      calendar.createEvent({ subject, start, isAllDay: true, showAs: this.pick(['oof', 'free', 'busy']) });
      this.tell(`${calendar.mailbox.upn} created ${subject} all day on ${start}`);
    } else {
      calendar.createEvent({ subject, start: `${start}T${time}`, showAs: this.pick(['busy', 'tentative', 'free']) });
      this.tell(`${calendar.mailbox.upn} created ${subject} at ${start}T${time}`);
    }
  }

  private changeSingle(mailbox: OutlookMailbox, calendar: OutlookCalendar, item: ItemState): void {
    const subject = String(item.fields.subject);
    this.act(mailbox, subject, {
      renamed: () => calendar.updateEvent(item, { subject: this.renamed(item) }),
      moved: () => {
        if (item.timing.isAllDay) calendar.updateEvent(item, { start: this.day(Math.floor(this.random() * 60)) });
        else calendar.updateEvent(item, { start: `${this.day(Math.floor(this.random() * 60))}T${this.time()}` });
      },
      'moved far away': () => {
        const date = this.day(this.pick([-400, 1_200]));
        calendar.updateEvent(item, { start: item.timing.isAllDay ? date : `${date}T${this.time()}` });
      },
      deleted: () => calendar.delete(item),
      'created beside': () => this.create(calendar),
      'made private': () => calendar.updateEvent(item, { sensitivity: this.pick(['private', 'normal']) }),
      'moved to another calendar': () => calendar.move(item, mailbox.calendar('Other')),
      'brought back another': () => {
        const [other] = mailbox.calendar('Other').events();
        if (other !== undefined) mailbox.calendar('Other').move(other, calendar);
      },
      'shared with the other': () => this.invite(mailbox, calendar, item),
      'answered one': () => this.answer(mailbox),
    });
  }

  private changeSeries(mailbox: OutlookMailbox, calendar: OutlookCalendar, item: ItemState): void {
    const subject = String(item.fields.subject);
    const date = this.occurrence(item);
    this.act(mailbox, subject, {
      renamed: () => calendar.updateSeries(item, { subject: this.renamed(item) }),
      'cancelled once': () => date !== null && calendar.cancelOccurrence(item, date),
      'changed once': () => date !== null && calendar.updateOccurrence(item, date, { subject: this.renamed(item) }),
      'moved once': () => {
        if (date === null) return;
        const to = plusDays(date, this.pick([0, 0, 1, -1]));
        calendar.updateOccurrence(item, date, { start: item.timing.isAllDay ? to : `${to}T${this.time()}` });
      },
      'moved once far away': () => {
        if (date === null) return;
        const to = this.day(1_000);
        calendar.updateOccurrence(item, date, { start: item.timing.isAllDay ? to : `${to}T${this.time()}` });
      },
      rescheduled: () =>
        calendar.reschedule(item, {
          pattern: this.pattern(),
          ...(item.timing.isAllDay ? {} : { start: this.time() }),
        }),
      'given another end': () =>
        calendar.updateSeries(item, { range: this.range(item.recurrence?.range.startDate ?? '') }),
      deleted: () => calendar.delete(item),
      'shared with the other': () => this.invite(mailbox, calendar, item),
      'moved to another calendar': () => calendar.move(item, mailbox.calendar('Other')),
    });
  }

  private act(mailbox: OutlookMailbox, subject: string, acts: Readonly<Record<string, () => unknown>>): void {
    const [name, act] = this.pick(Object.entries(acts));
    this.tell(`${mailbox.state.upn}: ${subject} was ${name}`);
    this.stage.simulator.world.batch(act);
  }

  private invite(mailbox: OutlookMailbox, calendar: OutlookCalendar, item: ItemState): void {
    const other = this.mailboxes.find((each) => each !== mailbox);
    if (other !== undefined && item.fields.attendees.length === 0) calendar.inviteTo(item, other.state);
  }

  private answer(mailbox: OutlookMailbox): void {
    const invitation = mailbox
      .calendar()
      .events()
      .find(({ fields }) => !fields.isOrganizer && !fields.isCancelled);
    if (invitation === undefined) return;
    if (this.chance(0.5)) mailbox.accept(invitation);
    else mailbox.decline(invitation);
  }

  /** Something that goes wrong at the next request or later. */
  private disturb(): void {
    const { simulator } = this.stage;
    const match = this.pick([
      'delta',
      '/events/',
      'https://graph.',
      'https://login.',
      '$skiptoken',
      '$deltatoken',
      '/instances',
    ]);
    const draw = this.random();
    if (draw < 0.6) {
      const how = this.pick<How>([
        { status: 500 },
        { status: 503 },
        { status: 503, retryAfter: '3' },
        { status: 504 },
        { status: 509 },
        { status: 429, retryAfter: '1.5' },
        { status: 401 },
        { status: 403 },
        { status: 410 },
        { reset: 'before' },
        { reset: 'after' },
        { truncated: true },
        { html: 502 },
        { html: 200 },
        { status: 404, code: 'MailboxNotEnabledForRESTAPI' },
      ]);
      const times = 1 + Math.floor(this.random() * 4);
      this.faults.push(simulator.fail({ match, times, how }));
      this.tell(`the next ${times} requests for ${match} meet ${JSON.stringify(how)}`);
    } else if (draw < 0.7) {
      simulator.forgetDeltaTokens();
      this.tell('Graph forgot its delta tokens');
    } else if (draw < 0.9) {
      const undo = simulator.before(match, () => {
        this.tell(`just before a request for ${match}:`);
        this.change();
      });
      this.waiting.push(undo);
    } else if (this.release === null) {
      this.release = simulator.delayChanges();
      this.tell('delta lags');
    } else {
      this.release();
      this.release = null;
      this.tell('delta lags no more');
    }
  }

  private async work(): Promise<void> {
    const { worker, store } = this.stage.product;
    const draw = this.random();
    if (draw < 0.3) {
      const name = this.pick(names);
      const cut = Math.floor(this.random() * 8);
      this.tell(`the process reads ${name} and ends at request ${cut}`);
      let seen = 0;
      const stop = (): void => {
        if (seen === cut) void worker.stop();
        else this.stage.simulator.before('https://graph.', stop);
        seen += 1;
      };
      this.stage.simulator.before('https://graph.', stop);
      await worker.run('ingest', name);
      await this.stage.restart();
    } else if (draw < 0.4) {
      const name = this.pick(names);
      this.tell(`a full reading of ${name} is ordered`);
      await wantReading(store.db, name, true);
    } else {
      this.tell('time passes, everything is read');
      if (this.chance(0.7)) await this.stage.passTime();
      for (const name of names) await worker.run('ingest', name);
      if (this.chance(0.5)) await worker.run('deliver', 'me');
    }
  }

  private async comeToRest(): Promise<Comparison> {
    for (const fault of this.faults) fault.clear();
    // What still waited for its request would change calendars after they were read for the last time.
    for (const undo of this.waiting) undo();
    this.release?.();
    this.tell('faults are over');
    // The sign-in library waits a minute by itself after a failed sign-in, in memory.
    await this.stage.restart();
    for (let round = 0; round < 6; round += 1) {
      // A window that was read shorter is tried whole after an hour.
      await this.stage.advance(hourMs);
      await this.stage.passTime();
      await this.stage.sync();
      // The truth lacks what the guard of a source and the ceiling of the target hold.
      const { store } = this.stage.product;
      for (const name of names) await store.transaction((db) => removeClaims(db, { id: name, targetId: 'me' }, 'held'));
      await store.transaction((db) => approveDeletions(db, 'me'));
    }
    await this.stage.sync();
    const window = { from: `${this.day(-60)}T00:00:00Z`, to: `${this.day(300)}T00:00:00Z` };
    const truths = this.mailboxes.map((mailbox, index) => ({
      source: names[index] ?? '',
      privacy: index === 0 ? ('full' as const) : this.privacy,
      privateItems: 'full' as const,
      titleTag: '',
      instances: mailbox.calendar().expected(window),
    }));
    return compareWithTruth(truths, this.stage.bodies(), window);
  }

  private async troubles(): Promise<string[]> {
    const { db } = this.stage.product.store;
    const sources = await sql<{ says: string }>`
      select concat(id, ' failed ', failures, ' times: ', (select code from sync_history h
        where h.source_id = source.id and h.status = 'error' order by h.id desc limit 1)) as says
      from source where failures > 0`.execute(db);
    const stale = await sql<{ says: string }>`
      select concat('stale ', source_id, ' ', key, ' ', code) as says from stale_series`.execute(db);
    return [...sources.rows, ...stale.rows].map(({ says }) => says);
  }

  private pattern(): Pattern {
    const interval = this.pick([1, 1, 2, 3]);
    const index = this.pick(['first', 'second', 'third', 'fourth', 'last'] as const);
    const daysOfWeek = weekdays.filter(() => this.chance(0.3));
    const some = daysOfWeek.length === 0 ? [this.pick(weekdays)] : daysOfWeek;
    return this.pick<Pattern>([
      { type: 'daily', interval },
      { type: 'weekly', interval, daysOfWeek: some, firstDayOfWeek: this.pick(weekdays) },
      { type: 'absoluteMonthly', interval, dayOfMonth: this.pick([1, 15, 28, 29, 30, 31]) },
      { type: 'relativeMonthly', interval, daysOfWeek: [this.pick(weekdays)], index },
      { type: 'absoluteYearly', interval: 1, month: this.pick([2, 12]), dayOfMonth: this.pick([1, 28]) },
    ]);
  }

  private range(startDate: string): Range {
    return this.pick<Range>([
      { type: 'noEnd', startDate },
      { type: 'numbered', startDate, numberOfOccurrences: 1 + Math.floor(this.random() * 12) },
      { type: 'endDate', startDate, endDate: plusDays(startDate, 20 + Math.floor(this.random() * 100)) },
    ]);
  }

  /** An original date of a series in the coming weeks, unless it is the only one left. */
  private occurrence(item: ItemState): string | null {
    const from = Date.parse(`${this.day(-20)}T00:00:00Z`);
    const dates = instancesOf(item, from, from + 120 * 86_400_000).flatMap(({ date }) => date ?? []);
    return dates.length < 2 ? null : this.pick(dates);
  }

  private renamed(item: ItemState): string {
    this.count += 1;
    return `${(item.fields.subject ?? '').replace(/ v\d+$/, '')} v${this.count}`;
  }

  private day(offset: number): string {
    return dayFrom(offset, this.stage.now());
  }

  private time(): string {
    return `${String(6 + Math.floor(this.random() * 14)).padStart(2, '0')}:${this.pick(['00', '30'])}`;
  }

  private pick<T>(list: readonly T[]): T {
    const found = list[Math.floor(this.random() * list.length)];
    if (found === undefined) throw new Error('There is nothing to choose from.');
    return found;
  }

  private chance(share: number): boolean {
    return this.random() < share;
  }

  private tell(sentence: string): void {
    this.story.push(sentence);
  }
}
