/** The person at Outlook: everything tests and the demo do to calendars. Each act changes the truth at once. */
import { guid, iCalUId, immutableId, occurrenceIdFrom, ordinaryId, calendarId } from './ids.ts';
import {
  blankFields,
  fieldsOf,
  laterBy,
  minutesBetween,
  timingFrom,
  type EventChanges,
  type EventInput,
  type SeriesInput,
} from './inputs.ts';
import { instancesOf, occurrenceOn, truthOf, type TruthInstance } from './instances.ts';
import { copyTo, copiesOf, sharedOf, type CopyOptions } from './invitations.ts';
import { plusDays, seriesDates, type Range } from './patterns.ts';
import type { CalendarState, EventFields, ItemState, MailboxState, RecurrenceState, Timing } from './state.ts';
import type { World } from './world.ts';
import { ianaZone } from './zones.ts';

/** A stored event: pass it back to act on it. Survives a restart as its `key`. */
export interface EventRef {
  readonly key: string;
}

export class OutlookCalendar {
  private readonly world: World;
  readonly state: CalendarState;
  readonly mailbox: MailboxState;

  constructor(world: World, state: CalendarState, mailbox: MailboxState) {
    this.world = world;
    this.state = state;
    this.mailbox = mailbox;
  }

  get id(): string {
    return this.state.id;
  }

  events(): ItemState[] {
    return this.world.itemsOf(this.world.contentOf(this.state));
  }

  /** What Outlook shows in a span of UTC instants. */
  expected(window: { from: string; to: string }): TruthInstance[] {
    const [from, to] = [Date.parse(window.from), Date.parse(window.to)];
    return this.events()
      .flatMap((item) => instancesOf(item, from, to).map((instance) => truthOf(item, instance)))
      .sort((a, b) => a.start.localeCompare(b.start) || a.iCalUId.localeCompare(b.iCalUId));
  }

  createEvent(input: EventInput): ItemState {
    const base = { zone: this.mailbox.zone, isAllDay: input.isAllDay ?? input.start.length === 10 };
    return this.create(input, timingFrom(base, input), null);
  }

  createSeries(input: SeriesInput): ItemState {
    const { pattern, range, start = '00:00', days = 1, isAllDay = input.start === undefined } = input;
    const zone = input.zone ?? this.mailbox.zone;
    const end = input.end ?? laterBy(start, 60);
    const lastDay = isAllDay
      ? plusDays(range.startDate, days)
      : end > start
        ? range.startDate
        : plusDays(range.startDate, 1);
    const timing: Timing = {
      start: `${range.startDate}T${start}:00`,
      end: `${lastDay}T${isAllDay ? '00:00' : end}:00`,
      isAllDay,
      zone,
      endZone: zone,
      actualZone: input.actualZone ?? null,
    };
    // The stored times are those of the first occurrence that the rule gives, which may come after the range's start.
    return this.create(input, timing, { pattern, range });
  }

  /** Changes a single event or a whole series, times of day of a series excepted (see `reschedule`). */
  updateEvent(ref: EventRef, changes: EventChanges): void {
    const item = this.item(ref);
    item.fields = { ...item.fields, ...fieldsOf(changes) };
    if (item.recurrence === null) item.timing = timingFrom(item.timing, changes);
    this.world.touched(item, 'whole');
    for (const copy of copiesOf(this.world, item)) {
      if (copy.orphan) continue;
      copy.fields = { ...copy.fields, ...sharedOf(changes) };
      if (copy.recurrence === null) copy.timing = item.timing;
      this.world.touched(copy, 'whole');
    }
  }

  /** Changes a whole series, or where it ends; occurrence ids and exceptions stay. */
  updateSeries(ref: EventRef, changes: Partial<EventFields> & { range?: Range }): void {
    const { range, ...fields } = changes;
    const item = this.item(ref);
    for (const series of [item, ...copiesOf(this.world, item)]) {
      if (!range || !series.recurrence) continue;
      series.recurrence = { ...series.recurrence, range };
      // What lies outside the new range is no occurrence any more, changed or not.
      const kept = Object.entries(series.exceptions).filter(([date]) => occurrenceOn(series, date) !== null);
      series.exceptions = Object.fromEntries(kept);
    }
    this.updateEvent(ref, fields);
  }

  /**
   * Gives a series another pattern, range or time of day. Exchange drops its exceptions and makes new occurrence ids; the
   * old ones are never reported as removed (microsoft-graph-docs PR#4501).
   */
  reschedule(ref: EventRef, to: Pick<Partial<SeriesInput>, 'pattern' | 'range' | 'start' | 'end' | 'zone'>): void {
    const item = this.item(ref);
    for (const series of [item, ...copiesOf(this.world, item)]) {
      if (!series.recurrence) continue;
      const { timing, recurrence } = series;
      const range = to.range ?? recurrence.range;
      const start = to.start ?? timing.start.slice(11, 16);
      const length = minutesBetween(timing);
      const end = timing.isAllDay
        ? null
        : (to.end ?? (to.start === undefined ? timing.end.slice(11, 16) : laterBy(start, length)));
      const days = end === null ? length / 1440 : end > start ? 0 : 1;
      series.timing = {
        ...timing,
        start: `${range.startDate}T${start}:00`,
        end: `${plusDays(range.startDate, days)}T${end ?? '00:00'}:00`,
        zone: to.zone ?? timing.zone,
        endZone: to.zone ?? timing.endZone,
      };
      series.recurrence = { pattern: to.pattern ?? recurrence.pattern, range };
      series.generation += 1;
      series.exceptions = {};
      series.cancelled = [];
      this.world.touched(series, 'whole');
    }
  }

  /** Changes one occurrence, named by its original date in the series' zone. */
  updateOccurrence(ref: EventRef, date: string, changes: EventChanges): void {
    const item = this.item(ref);
    this.requireOccurrence(item, date);
    for (const series of [item, ...copiesOf(this.world, item)]) {
      const isOwn = series === item;
      const fields = isOwn ? fieldsOf(changes) : sharedOf(changes);
      const current = occurrenceOn(series, date);
      const hasMoved = changes.start !== undefined || changes.end !== undefined || changes.isAllDay !== undefined;
      if (current) {
        const before = series.exceptions[date];
        const timing = hasMoved ? timingFrom(current.timing, changes) : (before?.timing ?? null);
        series.exceptions[date] = { fields: { ...before?.fields, ...fields }, timing };
        this.world.touched(series, { date });
      } else if (series.orphan?.date === date) {
        series.fields = { ...series.fields, ...fields };
        series.timing = timingFrom(series.timing, changes);
        this.world.touched(series, 'whole');
      }
    }
  }

  /** Deletes one occurrence. Invited people keep it as cancelled until they take it out. */
  cancelOccurrence(ref: EventRef, date: string): void {
    const item = this.item(ref);
    this.requireOccurrence(item, date);
    item.cancelled = [...item.cancelled, date].sort();
    item.exceptions = Object.fromEntries(Object.entries(item.exceptions).filter(([slot]) => slot !== date));
    this.world.touched(item, 'cancelled');
    for (const copy of copiesOf(this.world, item)) {
      const cancelled = {
        isCancelled: true,
        subject: `Canceled: ${copy.fields.subject ?? ''}`,
        showAs: 'free' as const,
      };
      const current = occurrenceOn(copy, date);
      if (current) {
        const before = copy.exceptions[date];
        copy.exceptions[date] = { fields: { ...before?.fields, ...cancelled }, timing: before?.timing ?? null };
        this.world.touched(copy, { date });
      } else if (copy.orphan?.date === date) {
        copy.fields = { ...copy.fields, ...cancelled };
        this.world.touched(copy, 'whole');
      }
    }
  }

  /** Deletes a single event or a whole series. Invited people keep it as cancelled until they take it out. */
  delete(ref: EventRef): void {
    const item = this.item(ref);
    const copies = copiesOf(this.world, item);
    this.world.remove(item);
    for (const copy of copies) {
      const subject = `Canceled: ${copy.fields.subject ?? ''}`;
      copy.fields = { ...copy.fields, isCancelled: true, subject, showAs: 'free' };
      this.world.touched(copy, 'whole');
    }
  }

  deleteSeries(ref: EventRef): void {
    this.delete(ref);
  }

  /** Moves an event to another calendar of the mailbox: the ordinary id changes, the immutable one stays. */
  move(ref: EventRef, to: OutlookCalendar): void {
    const item = this.item(ref);
    this.world.remove(item);
    item.calendar = to.id;
    item.id = ordinaryId(this.world.nextCount());
    item.touches = [];
    this.world.add(item);
  }

  /**
   * Invites somebody: their default calendar gets a copy with the same iCalUId, in whatever tenant. With `date` they are
   * invited to one occurrence only and get an orphan.
   */
  inviteTo(ref: EventRef, mailbox: MailboxState, options: CopyOptions = {}): ItemState {
    return copyTo(this.world, this.item(ref), mailbox, options);
  }

  /** Gives the calendar another id, as some got soon after their creation (microsoft-graph-docs#11296, #5580). */
  changeId(): void {
    const items = this.world.itemsOf(this.state.id);
    this.state.id = calendarId(this.world.nextCount());
    for (const item of items) item.calendar = this.state.id;
    this.world.reindex();
  }

  /** The id of an occurrence as clients with (or without) immutable ids see it. */
  occurrenceId(ref: EventRef, date: string, form: 'immutable' | 'ordinary' = 'immutable'): string {
    const item = this.item(ref);
    return occurrenceIdFrom(form === 'immutable' ? item.key : item.id, item.generation, date);
  }

  private create(
    input: Partial<EventFields> & { iCalUId?: string; transactionId?: string },
    timing: Timing,
    recurrence: RecurrenceState | null,
  ): ItemState {
    const { world, mailbox } = this;
    if (ianaZone(timing.zone) === null && timing.actualZone === null) {
      throw new Error(`Zone ${timing.zone} means nothing by itself: give actualZone.`);
    }
    const counter = world.nextCount();
    const item: ItemState = {
      key: immutableId(counter),
      id: ordinaryId(counter),
      calendar: this.state.id,
      iCalUId: input.iCalUId ?? iCalUId(counter),
      timing,
      fields: { ...blankFields(mailbox), ...fieldsOf(input) },
      recurrence,
      generation: 1,
      exceptions: {},
      cancelled: [],
      orphan: null,
      organizerKey: null,
      transactionId: input.transactionId ?? null,
      createdAt: world.nowText(),
      modifiedAt: world.nowText(),
      touches: [],
    };
    world.add(item);
    return item;
  }

  private item({ key }: EventRef): ItemState {
    const item = this.world.itemByKey(key);
    if (item?.calendar !== this.state.id) throw new Error(`Calendar ${this.state.name} has no event ${key}.`);
    return item;
  }

  private requireOccurrence(item: ItemState, date: string): void {
    if (occurrenceOn(item, date)) return;
    const { recurrence } = item;
    const near = recurrence ? [...seriesDates(recurrence.pattern, recurrence.range, plusDays(date, 40))].slice(-6) : [];
    throw new Error(`The series has no occurrence of ${date}; near it: ${near.join(', ')}.`);
  }
}

/** Makes a calendar of a mailbox; the first is the default one. */
export function addCalendar(world: World, mailbox: MailboxState, options: Partial<CalendarState>): CalendarState {
  const calendar: CalendarState = {
    id: calendarId(world.nextCount()),
    mailbox: mailbox.id,
    name: 'Calendar',
    isDefault: world.calendarsOf(mailbox).length === 0,
    color: 'auto',
    hexColor: '',
    owner: null,
    copyOf: null,
    isBrokenShare: false,
    ...options,
  };
  world.state.calendars.push(calendar);
  world.save();
  return calendar;
}

export function mailboxIdOf(upn: string): string {
  return guid('mailbox', upn.toLowerCase());
}
