import { sql } from 'kysely';
import type { SourceConfig, Target } from '../config/model.ts';
import type { Db } from './database.ts';
import { readStatus, type SourceStatus, type TargetStatus } from './status.ts';

/** A source as it may be shown: settings without secrets, and how it is. */
export type ShownSource = Omit<
  SourceConfig,
  'into' | 'password' | 'key' | 'url' | 'username' | 'tenant' | 'mailbox' | 'calendar' | 'staleAfterSeconds'
> & {
  /** Null: what the process says. */
  readonly staleAfterSeconds: number | null;
  readonly tenant: string | null;
  readonly mailbox: string | null;
  readonly calendar: string | null;
  /** `target/calendar`. */
  readonly into: string;
  readonly status: SourceStatus;
};

export type ShownTarget = Omit<Target, 'password'> & { readonly status: TargetStatus };

export async function listTenants(db: Db): Promise<{ readonly id: string; readonly name: string }[]> {
  const found = await sql<{ id: string; name: string }>`select id, name from tenant order by id`.execute(db);
  return found.rows;
}

/** Sources and targets for showing. Neither secrets nor what seals them are read. */
export async function readSettings(db: Db): Promise<{ sources: ShownSource[]; targets: ShownTarget[] }> {
  const status = await readStatus(db);
  const sources = await sql<{ settings: SourceConfig }>`select settings from source order by position, id`.execute(db);
  const targets = await sql<Omit<Target, 'password'>>`
    select t.id, t.url, t.username, t.strategy, t.dedupe, t.drift,
      coalesce((select json_agg(json_build_object('id', c.id, 'name', c.name, 'color', c.color) order by c.position)
        from target_calendar c where c.target_id = t.id), '[]') as calendars
    from target t order by t.id`.execute(db);
  const ofSource = new Map(status.sources.map((one) => [one.id, one]));
  const ofTarget = new Map(status.targets.map((one) => [one.id, one]));
  return {
    sources: sources.rows.flatMap(({ settings }) => {
      const own = ofSource.get(settings.id);
      return own === undefined ? [] : [shownSource(settings, own)];
    }),
    targets: targets.rows.flatMap((target) => {
      const own = ofTarget.get(target.id);
      return own === undefined ? [] : [{ ...target, status: own }];
    }),
  };
}

function shownSource(settings: SourceConfig, status: SourceStatus): ShownSource {
  const {
    id,
    kind,
    privacy,
    privateItems,
    titleTag,
    reminders,
    filters,
    priority,
    window,
    keepPast,
    everySeconds,
    staleAfterSeconds = null,
    isPaused,
  } = settings;
  return {
    id,
    kind,
    tenant: settings.kind === 'graph' ? settings.tenant : null,
    mailbox: settings.kind === 'graph' || settings.kind === 'powerautomate' ? settings.mailbox : null,
    calendar: settings.kind === 'graph' || settings.kind === 'caldav' ? settings.calendar : null,
    into: `${settings.into.target}/${settings.into.calendar}`,
    privacy,
    privateItems,
    titleTag,
    reminders,
    filters,
    priority,
    window,
    keepPast,
    everySeconds,
    staleAfterSeconds,
    isPaused,
    status,
  };
}
