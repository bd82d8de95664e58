/** How loud an event is. `error`: somebody must act. */
export type EventLevel = 'debug' | 'info' | 'warn' | 'error';

/** One kind of happening: its level, what it tells, and, for the compiler only, its fields. */
export interface EventKind<Fields> {
  readonly level: EventLevel;
  readonly about: string;
  /** Never set: carries the type. */
  readonly fields?: Fields;
}

function kind<Fields extends object>(level: EventLevel, about: string): EventKind<Fields> {
  return { level, about };
}

/**
 * Every event that is logged, by its name. Fields are ids, codes, counts and durations: never bodies, titles, tokens or
 * anything else out of a calendar. docs/events.md lists them.
 */
export const EVENTS = {
  'service.started': kind<{
    command: string;
    version: string;
    database: 'embedded' | 'server';
    durationMs: number;
    address?: string;
  }>('info', 'The process is ready; durationMs counts from its start.'),
  'service.stopping': kind<{ reason: string }>('info', 'The process was asked to end and drains its work.'),
  'service.stopped': kind<{ durationMs: number }>(
    'info',
    'The process has drained its work and ends; durationMs is what draining took.',
  ),
  'store.waiting': kind<{ reason: string }>(
    'warn',
    'PostgreSQL does not answer yet, or went while we start; the start waits for it for a minute.',
  ),
  'config.notice': kind<{ notice: string }>('warn', 'Something about the settings that the operator should know.'),
  'ingest.run.finished': kind<{
    source: string;
    durationMs: number;
    pages: number;
    requests: number;
    changed: number;
    rebuilt: number;
    unchanged: number;
    removed: number;
    held: number;
    failed: number;
  }>('info', 'One reading of a source ended; counts are series.'),
  'deliver.run.finished': kind<{
    target: string;
    durationMs: number;
    created: number;
    updated: number;
    deleted: number;
    unchanged: number;
    failed: number;
  }>('info', 'One delivery to a target ended; counts are objects.'),
  'source.paused': kind<{ source: string; code: string; remedy: string }>(
    'error',
    'A source needs a person; it is probed hourly until it answers.',
  ),
  'source.resumed': kind<{ source: string }>('info', 'A paused source answers again.'),
  'source.compared': kind<{
    source: string;
    durationMs: number;
    same: number;
    hidden: number;
    elsewhere: number;
    held: number;
    missing: number;
    surplus: number;
  }>('info', 'A source was compared with its target, as each is once a week; counts are happenings.'),
  'source.not_compared': kind<{ source: string; code: string; reason: string }>(
    'warn',
    'A source or its target could not be read for their weekly comparison; it is tried again within hours.',
  ),
  'subscription.created': kind<{ source: string; why: string; scope: string; minutes: number }>(
    'info',
    'Graph tells of changes of a source from now on; minutes until the subscription ends unless it is renewed.',
  ),
  'subscription.renewed': kind<{ source: string; minutes: number }>(
    'info',
    'A subscription was renewed; minutes until it ends.',
  ),
  'subscription.removed': kind<{ source: string; why: string }>(
    'info',
    'A subscription is no more: ended by us, found to be nobody’s (no source then), or lost by Graph.',
  ),
  'subscription.failed': kind<{ source: string; during: string; code: string; reason: string }>(
    'warn',
    'Graph does not tell of changes of a source; it is polled, and asked again later.',
  ),
  'notifications.ignored': kind<{ unknown: number; wrongState: number; malformed: number }>(
    'info',
    'Items that were posted to the notification address and not heeded: of an unknown subscription, with a wrong client state, unreadable.',
  ),
  'target.failing': kind<{ target: string; code: string; failures: number }>(
    'warn',
    'A target does not take what it should show; claims go on collecting.',
  ),
  'target.own_mailbox': kind<{ target: string }>(
    'warn',
    'The account’s own address is a mirrored mailbox: programs that change what we wrote make its server mail.',
  ),
  'target.recovered': kind<{ target: string }>('info', 'A failing target takes writes again.'),
  'guard.held': kind<{ source: string; count: number; reason: string }>(
    'error',
    'More upcoming series vanished from a source than may without being asked; they go on showing until approved.',
  ),
  'alarm.raised': kind<{ kind: string; subject: string }>(
    'error',
    'Something that the operator should know of has begun; it is told on the channels that are set up.',
  ),
  'alarm.cleared': kind<{ kind: string; subject: string }>('info', 'What was an alarm is over.'),
  'alarm.told': kind<{ channel: string; count: number }>('info', 'Alarms or recoveries were taken by a channel.'),
  'alarm.not_told': kind<{ channel: string; count: number; reason: string }>(
    'warn',
    'A channel did not take what was to be told; it is tried again.',
  ),
  'hints.failed': kind<{ reason: string }>(
    'warn',
    'A hint was lost; the sweep finds within a second what it was about.',
  ),
  'worker.failed': kind<{ kind: string; id: string; reason: string }>(
    'error',
    'A job ended with an error that was not its source’s or target’s; it is tried again.',
  ),
  'worker.clock_went_back': kind<{ seconds: number }>(
    'warn',
    'The clock of PostgreSQL was set back by up to so many seconds; what waits was moved with it, so that nothing stands still.',
  ),
  'access.changed': kind<{ tenant: string; from: string; to: string; code: string }>(
    'info',
    'A proof found another state of a tenant’s access than the last; states as in docs/consent.md.',
  ),
  'access.withdrawn': kind<{ tenant: string; from: string; to: string; code: string }>(
    'error',
    'A tenant lets us read nothing any more. What is shown stays; it is tried hourly.',
  ),
  'access.undone': kind<{ tenant: string; from: string; to: string; code: string }>(
    'error',
    'A mailbox that its administrator wants closed to us can be read.',
  ),
  'access.events_expiring': kind<{ source: string; days: number }>(
    'warn',
    'Access to a source is proven to be withdrawn; in so many days its events are removed. Told 7, 3 and 1 days before.',
  ),
  'access.events_removed': kind<{ source: string }>(
    'warn',
    'Access to a source was proven to be withdrawn for as long as its tenant’s keepWithdrawnDays say; its events are removed.',
  ),
  'credential.ending': kind<{ tenant: string; days: number; endsAt: string }>(
    'error',
    'A tenant’s certificate or secret ends within so many days; 0: it has ended. Told 30, 14 and 3 days before.',
  ),
  'sign_in.ending': kind<{ tenant: string; mailbox: string; endsAt: string }>(
    'error',
    'A person’s sign-in ends within three days; they have to sign in again on the consent page.',
  ),
  'security.foreign_link': kind<{ tenant: string; host: string }>(
    'error',
    'An answer held a link that leads to another host; it was refused, and no token went there.',
  ),
  'http.request': kind<{ method: string; path: string; status: number; durationMs: number }>(
    'debug',
    'A request was answered; secrets in its path are masked.',
  ),
  'http.failed': kind<{ path: string; status: number; code: string; reason: string }>(
    'warn',
    'A request was answered with an error.',
  ),
  'internal.failed': kind<{ during: string; error: unknown }>('error', 'Something failed that nobody expected.'),
} as const;

export type EventName = keyof typeof EVENTS;

/** Event names to their fields. */
export type LogEvents = {
  readonly [Name in EventName]: (typeof EVENTS)[Name] extends EventKind<infer Fields> ? Readonly<Fields> : never;
};
