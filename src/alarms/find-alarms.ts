/** What an operator should know of, found in plain facts. Pure. */

export type AlarmKind =
  | 'source.stale'
  | 'source.access'
  | 'flow.silent'
  | 'guard.held'
  | 'target.failing'
  | 'credential.expiring'
  | 'backup.old';

export interface Alarm {
  /** One trouble, whatever its words: as long as it lasts it is told once. */
  readonly key: string;
  readonly kind: AlarmKind;
  /** What it is about: ids of a source, target or tenant. */
  readonly subject: string;
  readonly message: string;
  readonly remedy: string | null;
  /** Instant, ISO 8601. */
  readonly since: string;
}

export interface SourceFacts {
  readonly id: string;
  readonly kind: string;
  /** Its tenant's id and name; null: it has none. */
  readonly tenant: string | null;
  readonly tenantName: string | null;
  readonly target: string;
  /** When it was last proven fresh; null: never, since it was configured at `configuredAt`. */
  readonly freshAt: string | null;
  readonly configuredAt: string;
  /** It may be so long without proof, in seconds. */
  readonly limitSeconds: number;
  readonly code: string | null;
  readonly reason: string | null;
  readonly remedy: string | null;
}

export interface AlarmFacts {
  readonly now: Date;
  /** Those that the operator did not pause. */
  readonly sources: readonly SourceFacts[];
  /** Removals that wait for a decision: of a source, or `target:<id>`. */
  readonly held: readonly { readonly subject: string; readonly count: number; readonly since: string }[];
  readonly targets: readonly {
    readonly id: string;
    readonly failures: number;
    readonly code: string | null;
    readonly reason: string | null;
    readonly remedy: string | null;
    /** Names of its calendars that are gone from the server. */
    readonly gone: readonly string[];
  }[];
  readonly credentials: readonly {
    readonly tenant: string;
    readonly what: 'secret' | 'certificate';
    readonly endsAt: string;
  }[];
  /** Of the newest backup; null: backups are made nowhere that we know of. */
  readonly backup: { readonly at: string | null; readonly folder: string } | null;
}

const dayMs = 86_400_000;
/** A credential is told of so long before its end. */
const credentialDays = 30;
/** Failures in a row that are more than a hiccup: half a minute at least. */
const targetFailures = 5;
const backupHours = 48;

/** Everything that is wrong now, in a stable order. */
export function findAlarms(facts: AlarmFacts): Alarm[] {
  const found = [
    ...lostAccess(facts),
    ...staleSources(facts),
    ...heldRemovals(facts),
    ...failingTargets(facts),
    ...endingCredentials(facts),
    ...oldBackup(facts),
  ];
  return found.toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

/** Of these, what shows may be out of date: since when. */
export function staleOf({ now, sources }: Pick<AlarmFacts, 'now' | 'sources'>): (SourceFacts & { since: string })[] {
  return sources.flatMap((source) => {
    const since = source.freshAt ?? source.configuredAt;
    return now.getTime() - Date.parse(since) > source.limitSeconds * 1_000 ? [{ ...source, since }] : [];
  });
}

/** A withdrawn consent stops all calendars of a tenant: that is one alarm, and so is each other reason. */
function lostAccess({ now, sources }: AlarmFacts): Alarm[] {
  const groups = new Map<string, SourceFacts[]>();
  for (const source of sources)
    if (source.code !== null) {
      const key = `access:${source.tenant ?? source.id}:${source.code}`;
      groups.set(key, [...(groups.get(key) ?? []), source]);
    }
  return [...groups].map(([key, group]) => {
    const [first] = group;
    const ids = group.map(({ id }) => id);
    const whose = first?.tenantName == null ? `The source ${ids.join(', ')}` : `${first.tenantName} (${listed(ids)})`;
    return {
      key,
      kind: 'source.access',
      subject: first?.tenant ?? ids.join(', '),
      message: `${whose} needs you: ${first?.reason ?? first?.code ?? ''}`,
      remedy: first?.remedy ?? null,
      since: now.toISOString(),
    };
  });
}

function staleSources(facts: AlarmFacts): Alarm[] {
  return staleOf(facts).flatMap((source): Alarm[] => {
    // Its own alarm says why.
    if (source.code !== null) return [];
    const isFlow = source.kind === 'powerautomate';
    const name = source.tenantName === null ? source.id : `${source.tenantName} (${source.id})`;
    const never = source.freshAt === null ? 'has never been read to its end, since' : 'has not been updated since';
    return [
      {
        key: `stale:${source.id}`,
        kind: isFlow ? 'flow.silent' : 'source.stale',
        subject: source.id,
        message: isFlow
          ? `The flow of ${name} has been silent since ${source.since}`
          : `${name} ${never} ${source.since}${source.reason === null ? '' : `: ${source.reason}`}`,
        remedy: isFlow
          ? 'Look at the runs of the flow in PowerAutomate; it may have been switched off.'
          : 'Look at it with "calendar-sync jobs" and "calendar-sync doctor".',
        since: source.since,
      },
    ];
  });
}

function heldRemovals({ held }: AlarmFacts): Alarm[] {
  return held.map(({ subject, count, since }) => ({
    key: `held:${subject}`,
    kind: 'guard.held',
    subject,
    message: `${count} ${count === 1 ? 'removal is' : 'removals are'} held for ${subject}: too many vanished at once`,
    remedy: 'Look at them with "calendar-sync guard list", then approve or discard them.',
    since,
  }));
}

function failingTargets({ now, targets }: AlarmFacts): Alarm[] {
  return targets.flatMap(({ id, failures, code, reason, remedy, gone }): Alarm[] => [
    ...(code !== null || failures >= targetFailures
      ? [
          {
            key: `target:${id}`,
            kind: 'target.failing' as const,
            subject: id,
            message: `The target ${id} takes no writes: ${reason ?? `${failures} attempts failed`}`,
            remedy: remedy ?? 'Check that the CalDAV server runs; what is to be written waits.',
            since: now.toISOString(),
          },
        ]
      : []),
    ...(gone.length > 0
      ? [
          {
            key: `gone:${id}`,
            kind: 'target.failing' as const,
            subject: id,
            message: `${gone.length === 1 ? 'A calendar' : 'Calendars'} of the target ${id} cannot be found on its server: ${gone.join(', ')}`,
            remedy: 'Make the calendar again, or take it out of the configuration.',
            since: now.toISOString(),
          },
        ]
      : []),
  ]);
}

function endingCredentials({ now, credentials }: AlarmFacts): Alarm[] {
  return credentials.flatMap(({ tenant, what, endsAt }): Alarm[] => {
    const days = Math.floor((Date.parse(endsAt) - now.getTime()) / dayMs);
    if (days >= credentialDays) return [];
    return [
      {
        // Another credential has another end.
        key: `credential:${tenant}:${endsAt}`,
        kind: 'credential.expiring',
        subject: tenant,
        message: `The ${what} of the tenant ${tenant} ${days < 0 ? 'ended' : 'ends'} on ${endsAt.slice(0, 10)}`,
        remedy: 'Make a new one in the app registration and apply it.',
        since: now.toISOString(),
      },
    ];
  });
}

function oldBackup({ now, backup }: AlarmFacts): Alarm[] {
  if (backup === null) return [];
  const { at, folder } = backup;
  if (at !== null && now.getTime() - Date.parse(at) <= backupHours * 3_600_000) return [];
  return [
    {
      key: 'backup',
      kind: 'backup.old',
      subject: folder,
      message: at === null ? `There is no backup in ${folder}` : `The newest backup in ${folder} is of ${at}`,
      remedy: 'Run backup.sh and look why it does not run by itself.',
      since: at ?? now.toISOString(),
    },
  ];
}

function listed(ids: readonly string[]): string {
  return ids.length <= 5 ? ids.join(', ') : `${ids.slice(0, 5).join(', ')} and ${ids.length - 5} more`;
}
