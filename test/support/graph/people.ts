/** Tenants and mailboxes as tests handle them. */
import { guid } from './ids.ts';
import { copiesOf, respond } from './invitations.ts';
import { addCalendar, mailboxIdOf, OutlookCalendar, type EventRef } from './outlook.ts';
import type { CalendarState, ItemState, MailboxState, TenantState } from './state.ts';
import type { World } from './world.ts';

export interface TenantOptions {
  /** Cloud id; default `global`. */
  readonly cloud?: string;
  /** GUID; default: derived from the domain. */
  readonly directory: string;
  readonly domain?: string;
  readonly name?: string;
  readonly client: string;
  readonly secret?: string;
  readonly secretExpiresAt?: string;
  /** PEM. */
  readonly certificate?: string;
  /** Entra grant of Calendars.Read; default true. */
  readonly consent?: boolean;
  /** See `TenantState.allowedMailboxes`. */
  readonly allowedMailboxes?: 'all' | readonly string[];
  readonly roles?: readonly string[];
}

export interface MailboxOptions {
  readonly upn: string;
  readonly name?: string;
  /** Windows or IANA name; default UTC. */
  readonly zone?: string;
  readonly kind?: MailboxState['kind'];
}

export function tenantFrom(options: TenantOptions): TenantState {
  return {
    cloud: options.cloud ?? 'global',
    directory: options.directory.toLowerCase(),
    domain: (options.domain ?? `${options.directory}.example`).toLowerCase(),
    name: options.name ?? options.domain ?? options.directory,
    client: options.client,
    secret: options.secret ?? null,
    secretExpiresAt: options.secretExpiresAt ?? null,
    certificate: options.certificate ?? null,
    isAppDisabled: false,
    consent: options.consent ?? true,
    allowedMailboxes:
      options.allowedMailboxes === undefined || options.allowedMailboxes === 'all'
        ? 'all'
        : [...options.allowedMailboxes],
    roles: [...(options.roles ?? [])],
  };
}

export class SimulatedTenant {
  private readonly world: World;
  readonly state: TenantState;

  constructor(world: World, state: TenantState) {
    this.world = world;
    this.state = state;
  }

  /** What the administrator changes: consent, secret, allowed mailboxes, roles. */
  configure(changes: Partial<TenantState>): void {
    Object.assign(this.state, changes);
    this.world.save();
  }

  addMailbox({ upn, name = upn, zone = 'UTC', kind = 'mailbox' }: MailboxOptions): OutlookMailbox {
    const state: MailboxState = { id: mailboxIdOf(upn), directory: this.state.directory, upn, name, zone, kind };
    this.world.state.mailboxes.push(state);
    addCalendar(this.world, state, {});
    return new OutlookMailbox(this.world, state);
  }
}

export class OutlookMailbox {
  private readonly world: World;
  readonly state: MailboxState;

  constructor(world: World, state: MailboxState) {
    this.world = world;
    this.state = state;
  }

  /** A calendar by name; without one the default calendar. */
  calendar(name?: string): OutlookCalendar {
    const all = this.world.calendarsOf(this.state);
    const state = all.find((calendar) => (name === undefined ? calendar.isDefault : calendar.name === name));
    if (!state) throw new Error(`${this.state.upn} has no calendar ${name ?? '(default)'}.`);
    return new OutlookCalendar(this.world, state, this.state);
  }

  calendars(): OutlookCalendar[] {
    return this.world.calendarsOf(this.state).map((state) => new OutlookCalendar(this.world, state, this.state));
  }

  addCalendar(name: string, options: Partial<CalendarState> = {}): OutlookCalendar {
    return new OutlookCalendar(this.world, addCalendar(this.world, this.state, { name, ...options }), this.state);
  }

  /**
   * Opens somebody else's calendar: a local copy with an id of its own and the other as owner
   * (`outlook-get-shared-events-calendars.md`).
   */
  openShared(calendar: OutlookCalendar): OutlookCalendar {
    const owner = { name: calendar.mailbox.name, address: calendar.mailbox.upn };
    return this.addCalendar(calendar.mailbox.name, { owner, copyOf: calendar.id });
  }

  /** The copy of somebody's meeting in this mailbox. */
  copyOf(meeting: EventRef): ItemState {
    const original = this.world.itemByKey(meeting.key);
    const mine = new Set(this.world.calendarsOf(this.state).map(({ id }) => id));
    const copy = original && copiesOf(this.world, original).find(({ calendar }) => mine.has(calendar));
    if (!copy) throw new Error(`${this.state.upn} was not invited.`);
    return copy;
  }

  accept(copy: EventRef): void {
    this.respond(copy, 'accepted');
  }

  tentativelyAccept(copy: EventRef): void {
    this.respond(copy, 'tentativelyAccepted');
  }

  /** Declining removes the event from the calendar unless it is kept. */
  decline(copy: EventRef, options: { keep?: boolean } = {}): void {
    this.respond(copy, 'declined', options);
  }

  private respond(copy: EventRef, answer: 'accepted' | 'tentativelyAccepted' | 'declined', options = {}): void {
    const item = this.world.itemByKey(copy.key);
    if (!item) throw new Error(`${this.state.upn} has no event ${copy.key}.`);
    respond(this.world, item, answer, options);
  }
}

/** A directory id for a domain, the same every time. */
export function directoryOf(domain: string): string {
  return guid('directory', domain);
}
