/** The store behind the simulator: state as JSON, its look-ups, and the one way to change it. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

import { splitOccurrenceId } from './ids.ts';
import type { CalendarState, ItemState, MailboxState, TenantState, WorldState } from './state.ts';

export interface Change {
  readonly item: ItemState;
  readonly calendar: CalendarState;
  readonly kind: 'created' | 'updated' | 'deleted';
}

export interface Located {
  readonly item: ItemState;
  /** Original date of the occurrence that an id names; null: the item itself. */
  readonly date: string | null;
}

export class World {
  readonly now: () => Date;
  state: WorldState;
  private readonly stateFile: string | null;
  private readonly listeners: ((change: Change) => void)[] = [];
  private byCalendar: Map<string, Set<ItemState>> | null = null;
  private byId: Map<string, ItemState> | null = null;
  private batchDepth = 0;

  constructor(options: { now: () => Date; stateFile: string | null; seed: string }) {
    this.now = options.now;
    this.stateFile = options.stateFile;
    const saved = this.stateFile !== null && existsSync(this.stateFile) ? readFileSync(this.stateFile, 'utf8') : null;
    this.state =
      saved === null
        ? {
            counter: 0,
            sequence: 0,
            // Deterministic when seeded; only the simulator's own tokens hang on it.
            tokenKey: createHash('sha256')
              .update(options.seed === '' ? randomBytes(16) : options.seed)
              .digest('hex'),
            tenants: [],
            mailboxes: [],
            calendars: [],
            items: [],
            tombstones: [],
            subscriptions: [],
          }
        : (JSON.parse(saved) as WorldState);
  }

  snapshot(): string {
    return JSON.stringify(this.state);
  }

  restore(json: string): void {
    this.state = JSON.parse(json) as WorldState;
    this.reindex();
  }

  /** After changes behind the indices' back. */
  reindex(): void {
    this.byCalendar = null;
    this.byId = null;
    this.save();
  }

  /** Writes once after many changes. */
  batch<T>(change: () => T): T {
    this.batchDepth += 1;
    try {
      return change();
    } finally {
      this.batchDepth -= 1;
      this.save();
    }
  }

  /** Makes the state durable: written aside, then renamed, so that a kill at any moment leaves a whole file. */
  save(): void {
    if (this.stateFile === null || this.batchDepth > 0) return;
    writeFileSync(`${this.stateFile}.new`, this.snapshot(), { flush: true });
    renameSync(`${this.stateFile}.new`, this.stateFile);
  }

  onChange(listener: (change: Change) => void): void {
    this.listeners.push(listener);
  }

  nextCount(): number {
    this.state.counter += 1;
    return this.state.counter;
  }

  nowText(): string {
    return `${this.now().toISOString().slice(0, 19)}Z`;
  }

  tenant(directoryOrDomain: string): TenantState | undefined {
    const wanted = directoryOrDomain.toLowerCase();
    return this.state.tenants.find(({ directory, domain }) => directory === wanted || domain === wanted);
  }

  mailboxOf(tenant: TenantState, idOrUpn: string): MailboxState | undefined {
    const wanted = idOrUpn.toLowerCase();
    return this.state.mailboxes.find(
      ({ directory, id, upn }) => directory === tenant.directory && (id === wanted || upn.toLowerCase() === wanted),
    );
  }

  calendarsOf(mailbox: MailboxState): CalendarState[] {
    return this.state.calendars.filter((calendar) => calendar.mailbox === mailbox.id);
  }

  calendarById(id: string): CalendarState {
    const calendar = this.state.calendars.find((candidate) => candidate.id === id);
    if (!calendar) throw new Error(`The simulator has no calendar ${id}.`);
    return calendar;
  }

  /** Whose events a calendar shows: its own, or those of the calendar that it copies. */
  contentOf(calendar: CalendarState): string {
    return calendar.copyOf ?? calendar.id;
  }

  itemsOf(calendarId: string): ItemState[] {
    if (!this.byCalendar) {
      this.byCalendar = new Map();
      for (const item of this.state.items) this.index(item);
    }
    return [...(this.byCalendar.get(calendarId) ?? [])];
  }

  itemByKey(key: string): ItemState | undefined {
    return this.ids().get(key);
  }

  /** Finds an item or occurrence by either form of its id. Says nothing on whether the occurrence exists. */
  locate(id: string): Located | null {
    const whole = this.ids().get(id);
    if (whole) return { item: whole, date: null };
    const parts = splitOccurrenceId(id);
    if (!parts) return null;
    const master = this.ids().get(`${parts.masterStem}=`);
    if (master?.generation !== parts.generation) return null;
    return { item: master, date: parts.date };
  }

  add(item: ItemState): void {
    this.state.items.push(item);
    this.ids().set(item.key, item).set(item.id, item);
    this.index(item);
    this.touched(item, 'whole', 'created');
  }

  /** Records a change of an item so that delta, change keys and notifications follow. */
  touched(item: ItemState, what: ItemState['touches'][number]['what'], kind: 'created' | 'updated' = 'updated'): void {
    this.state.sequence += 1;
    item.touches = [...item.touches.slice(-199), { sequence: this.state.sequence, what }];
    item.modifiedAt = this.nowText();
    this.save();
    this.tell({ item, calendar: this.calendarById(item.calendar), kind });
  }

  /** Takes an item out of its calendar, leaving a tombstone. */
  remove(item: ItemState): void {
    this.state.sequence += 1;
    this.state.items = this.state.items.filter((candidate) => candidate !== item);
    this.byCalendar?.get(item.calendar)?.delete(item);
    this.ids().delete(item.key);
    this.ids().delete(item.id);
    const sequence = this.state.sequence;
    this.state.tombstones.push({ sequence, calendar: item.calendar, item: structuredClone(item) });
    this.save();
    this.tell({ item, calendar: this.calendarById(item.calendar), kind: 'deleted' });
  }

  private ids(): Map<string, ItemState> {
    this.byId ??= new Map(
      this.state.items.flatMap((item) => [
        [item.key, item],
        [item.id, item],
      ]),
    );
    return this.byId;
  }

  private index(item: ItemState): void {
    if (!this.byCalendar) return;
    const items = this.byCalendar.get(item.calendar) ?? new Set();
    items.add(item);
    this.byCalendar.set(item.calendar, items);
  }

  private tell(change: Change): void {
    for (const listener of this.listeners) listener(change);
  }
}
