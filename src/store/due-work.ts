import { sql } from 'kysely';
import type { Db } from './database.ts';
import { isSourceDue } from './sources.ts';
import { isTargetDue } from './targets.ts';

/** A source or target that may be taken up now. Of `group` (a tenant; else all of a kind) only so many are, here. */
export interface DueWork {
  readonly id: string;
  readonly group: string;
}

export interface Pick {
  readonly limit: number;
  /** Those that this process is at, or lets rest. */
  readonly except: readonly string[];
  /** Runs of this process by group, and how many one group may have. */
  readonly running: Readonly<Record<string, number>>;
  readonly mostOfOneGroup: number;
}

const isHeld = (name: string) =>
  sql`exists (select from lease l where l.name = ${sql.raw(name)} and l.holder is not null and l.expires_at > clock_timestamp())`;

/** How far two workers that look at the same moment differ in what they take first. */
const spread = 16;

/**
 * Due sources that nobody reads, the group with the fewest readings first, all workers counted: five hundred calendars of
 * one tenant come one by one behind the single one of another. One of a mailbox at a time, and of a tenant as many as its
 * pace allows.
 */
export async function pickSources(db: Db, { limit, except, running, mostOfOneGroup }: Pick): Promise<DueWork[]> {
  const found = await sql<DueWork>`
    with free as (
      select s.id, s.tenant_id, coalesce(s.tenant_id, s.kind) as grp, s.next_poll_at,
        case when s.kind = 'graph' then row_number() over (
          partition by s.tenant_id, lower(s.settings->>'mailbox') order by s.next_poll_at, s.id) else 1 end as of_mailbox
      from source s
      where ${isSourceDue} and not s.id = any(${except}::text[]) and not ${isHeld(`'source:' || s.id`)}
        and not (s.kind = 'graph' and ${isHeld(`'mailbox:' || s.tenant_id || '/' || lower(s.settings->>'mailbox')`)})),
    live as (
      select tenant_id, count(*) as runs from lease
      where tenant_id is not null and holder is not null and expires_at > clock_timestamp() group by tenant_id),
    ranked as (
      select f.id, f.grp, row_number() over (partition by f.grp order by f.next_poll_at, f.id) as place,
        coalesce(v.runs, 0) as runs, coalesce((${JSON.stringify(running)}::jsonb->>f.grp)::int, 0) as here,
        p.cap
      from free f left join live v on v.tenant_id = f.tenant_id left join tenant_pace p on p.tenant_id = f.tenant_id
      where f.of_mailbox = 1)
    select id, grp as "group" from ranked
    where place + here <= ${mostOfOneGroup} and (cap is null or place + runs <= floor(cap))
    order by place + runs + random() * ${spread} limit ${limit}`.execute(db);
  return found.rows;
}

/** Due targets that nobody writes. */
export async function pickTargets(db: Db, { limit, except }: Pick): Promise<DueWork[]> {
  const found = await sql<DueWork>`
    select t.id, t.id as "group" from target t
    where ${isTargetDue} and not t.id = any(${except}::text[]) and not ${isHeld(`'target:' || t.id`)}
    order by random() limit ${limit}`.execute(db);
  return found.rows;
}

/** Whether a source or target may not be tried yet: a hint shortens no wait that a server asked for. */
export async function isWaiting(db: Db, kind: 'ingest' | 'deliver', id: string): Promise<boolean> {
  const table = sql.table(kind === 'ingest' ? 'source' : 'target');
  const found = await sql`select from ${table} where id = ${id} and not_before > now()`.execute(db);
  return found.rows.length === 1;
}

/** The group of a source: see `DueWork`. */
export async function groupOf(db: Db, sourceId: string): Promise<string> {
  const found = await sql<{ group: string }>`
    select coalesce(tenant_id, kind) as "group" from source where id = ${sourceId}`.execute(db);
  return found.rows[0]?.group ?? sourceId;
}

/** Lets go of what is held by processes of which `isDead` says for certain that they live no more. */
export async function releaseDead(db: Db, isDead: (holder: string) => boolean): Promise<void> {
  const found = await sql<{ holder: string }>`
    select distinct holder from lease where holder is not null and expires_at > clock_timestamp()`.execute(db);
  const dead = found.rows.map(({ holder }) => holder).filter(isDead);
  if (dead.length > 0)
    await sql`update lease set holder = null, expires_at = clock_timestamp() where holder = any(${dead}::text[])`.execute(
      db,
    );
}

/** A lease whose run this process began just now may not be known to it yet. */
const leftOverAfterMs = 3_000;

/**
 * Lets go of what the database ascribes to this holder although nothing here is under it: the release, or the answer to
 * the taking, was lost together with the connection. Nobody else could tell before it expires.
 */
export async function releaseLeftOver(
  db: Db,
  holder: string,
  ttlMs: number,
  isHeldHere: (name: string) => boolean,
): Promise<void> {
  const found = await sql<{ name: string; fence: string }>`
    select name, fence::text as fence from lease where holder = ${holder} and expires_at
      between clock_timestamp() and clock_timestamp() + ${ttlMs - leftOverAfterMs} * interval '1 millisecond'`.execute(
    db,
  );
  for (const { name, fence } of found.rows)
    // Taken again since it was looked at, it has another fence.
    if (!isHeldHere(name))
      await sql`
        update lease set holder = null, expires_at = clock_timestamp()
        where name = ${name} and holder = ${holder} and fence = ${fence}`.execute(db);
}
