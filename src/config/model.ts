import type { Filters } from '../calendar/filters.ts';
import type { PrivateItems, Privacy } from '../calendar/privacy.ts';
import type { Cloud } from '../shared/clouds.ts';

/**
 * Tenants, targets and sources: one model behind three doors (YAML file, web pages, JSON API). Secrets are held as
 * plain text here only between a door and the secret box; rows hold ciphertext.
 */

export interface Tenant {
  readonly id: string;
  readonly name: string;
  /** Cloud id: `global`, `gcc`, `gcch`, `dod`, `china` or a configured one. */
  readonly cloud: string;
  /** Directory (tenant) id: GUID or verified domain; never `common`. */
  readonly directory: string;
  /** Application (client) id. */
  readonly client: string;
  readonly access: 'scoped' | 'tenant-wide';
  readonly ceiling: Privacy;
  /** Whether Graph may be asked to tell of changes, where PUBLIC_URL is set; absent: it may. */
  readonly notifications?: boolean;
  /** How long its events stay after access was withdrawn, proven; 0: until somebody removes them. Absent: 30. */
  readonly keepWithdrawnDays?: number;
  /** The day (`2027-01-31`) on which the client secret ends, where the operator says it. */
  readonly secretExpires?: string | null;
  /** Null: people sign in by themselves. */
  readonly credential: Credential | null;
}

export type Credential =
  | { readonly kind: 'secret'; readonly secret: string }
  /** PEM texts. */
  | { readonly kind: 'certificate'; readonly certificate: string; readonly privateKey: string };

export interface TargetCalendar {
  readonly id: string;
  readonly name: string;
  /** `#RRGGBB`. */
  readonly color: string | null;
}

export interface Target {
  readonly id: string;
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly strategy: 'last-write-wins' | 'priority';
  readonly dedupe: 'target' | 'calendar' | 'off';
  readonly drift: 'repair' | 'keep';
  readonly calendars: readonly TargetCalendar[];
}

export interface SourceSettings {
  readonly id: string;
  /** `target/calendar`. */
  readonly into: { readonly target: string; readonly calendar: string };
  readonly privacy: Privacy;
  readonly privateItems: PrivateItems;
  readonly titleTag: string;
  readonly reminders: 'source' | 'none' | number;
  readonly filters: Filters;
  /** Smaller is stronger, for the strategy `priority`. */
  readonly priority: number;
  readonly window: { readonly pastDays: number; readonly futureDays: number };
  readonly keepPast: boolean;
  /** Seconds between polls. */
  readonly everySeconds: number;
  /** Seconds without proof that it is fresh after which an alarm is raised. Absent: three polls, or the process' own limit. */
  readonly staleAfterSeconds?: number;
  readonly isPaused: boolean;
}

export interface GraphSource extends SourceSettings {
  readonly kind: 'graph';
  readonly tenant: string;
  readonly mailbox: string;
  /** `default`, a calendar's id or its name. */
  readonly calendar: string;
}

export interface CalDavSource extends SourceSettings {
  readonly kind: 'caldav';
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly calendar: string;
}

export interface IcsSource extends SourceSettings {
  readonly kind: 'ics';
  readonly url: string;
  /** Whether its events may be one meeting with those of other sources, by their UIDs. */
  readonly mayMerge: boolean;
}

export interface PowerAutomateSource extends SourceSettings {
  readonly kind: 'powerautomate';
  readonly mailbox: string;
  /** Of the webhook key only its hash, see `hashKey`. */
  readonly key: string;
  /** Hash of the key before, which is taken too while flows are changed over; null: none. */
  readonly formerKey: string | null;
  /** Proves signed posts (HMAC-SHA256); null: posts cannot be signed. */
  readonly signingKey: string | null;
}

export type SourceConfig = GraphSource | CalDavSource | IcsSource | PowerAutomateSource;

/** The whole configuration, as a file describes it. */
export interface Model {
  readonly clouds: readonly Cloud[];
  readonly tenants: readonly Tenant[];
  readonly targets: readonly Target[];
  readonly sources: readonly SourceConfig[];
}
