import { sql } from 'kysely';
import type { Db } from './database.ts';

/** A source that is to be watched by change notifications. */
export interface WatchedSourceRow {
  readonly id: string;
  readonly mailbox: string;
  readonly calendar: string;
}

/** What is known of one source's subscription; instants are ISO 8601 in UTC. See the table's comments in entities.ts. */
export interface SubscriptionState {
  readonly sourceId: string;
  readonly tenantId: string;
  readonly mailbox: string;
  readonly calendar: string;
  readonly scope: 'calendar' | 'mailbox';
  readonly resource: string | null;
  readonly graphId: string | null;
  readonly clientStateHash: string | null;
  readonly url: string;
  readonly minutes: number;
  readonly attemptedAt: string | null;
  readonly createdAt: string | null;
  readonly expiresAt: string | null;
  readonly renewAt: string | null;
  readonly notBefore: string | null;
  readonly failures: number;
}

/** One tenant's part. `isKnown` false: the tenant is configured no more. */
export interface TenantPush {
  readonly tenantId: string;
  readonly isKnown: boolean;
  readonly sources: readonly WatchedSourceRow[];
  readonly subscriptions: readonly SubscriptionState[];
  /** What is known of how its Graph answers, as it is stored. */
  readonly behaviours: unknown;
}

const iso = (column: string) =>
  sql.raw(`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "${camel(column)}"`);
const camel = (column: string): string => column.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Reads or mints the part of our notification addresses that nobody can guess; one per installation. */
export async function notificationSecret(db: Db, mint: () => string): Promise<string> {
  const name = 'graph.notification_secret';
  await sql`insert into setting (name, value) values (${name}, ${mint()}) on conflict do nothing`.execute(db);
  const found = await sql<{ value: string }>`select value from setting where name = ${name}`.execute(db);
  return found.rows[0]?.value ?? mint();
}

/** Tenants that have sources to be watched, or subscriptions. With `tenantId`, only that one. */
export async function loadPush(db: Db, tenantId: string | null = null): Promise<TenantPush[]> {
  const sources = await sql<WatchedSourceRow & { tenantId: string }>`
    select s.id, s.tenant_id as "tenantId", s.settings->>'mailbox' as mailbox, s.settings->>'calendar' as calendar
    from source s join tenant t on t.id = s.tenant_id
    where s.kind = 'graph' and t.has_push and t.credential_kind is not null and not coalesce((s.settings->>'isPaused')::boolean, false)
      and (${tenantId}::text is null or s.tenant_id = ${tenantId})
    order by s.id`.execute(db);
  const subscriptions = await sql<SubscriptionState & { isKnown: boolean }>`
    select source_id as "sourceId", tenant_id as "tenantId", mailbox, calendar, scope, resource, graph_id as "graphId",
      client_state_hash as "clientStateHash", url, minutes, ${iso('attempted_at')}, ${iso('created_at')},
      ${iso('expires_at')}, ${iso('renew_at')}, ${iso('not_before')}, failures,
      exists (select from tenant t where t.id = tenant_id) as "isKnown"
    from subscription where ${tenantId}::text is null or tenant_id = ${tenantId}
    order by source_id`.execute(db);
  const known = await sql<{ tenantId: string; behaviours: unknown }>`
    select tenant_id as "tenantId", behaviours from tenant_access
    where behaviours is not null and (${tenantId}::text is null or tenant_id = ${tenantId})`.execute(db);
  const behaviours = new Map(known.rows.map((row) => [row.tenantId, row.behaviours]));
  const ids = new Set([...sources.rows, ...subscriptions.rows].map((row) => row.tenantId));
  return [...ids].toSorted().map((id) => {
    const own = subscriptions.rows.filter((row) => row.tenantId === id);
    return {
      tenantId: id,
      isKnown: own.every((row) => row.isKnown),
      sources: sources.rows
        .filter((row) => row.tenantId === id)
        .map(({ id: source, mailbox, calendar }) => ({ id: source, mailbox, calendar })),
      subscriptions: own.map(({ isKnown: _, ...row }) => row),
      behaviours: behaviours.get(id) ?? null,
    };
  });
}

/** What Graph is about to be asked for, written down before it is asked. */
export interface Attempt extends Pick<
  SubscriptionState,
  'sourceId' | 'tenantId' | 'mailbox' | 'calendar' | 'scope' | 'url' | 'minutes'
> {
  readonly resource: string;
  readonly clientStateHash: string;
  readonly at: Date;
}

export async function recordAttempt(db: Db, attempt: Attempt): Promise<void> {
  await sql`
    insert into subscription (source_id, tenant_id, mailbox, calendar, scope, resource, client_state_hash, url, minutes, attempted_at)
    values (${attempt.sourceId}, ${attempt.tenantId}, ${attempt.mailbox}, ${attempt.calendar}, ${attempt.scope},
      ${attempt.resource}, ${attempt.clientStateHash}, ${attempt.url}, ${attempt.minutes}, ${attempt.at.toISOString()})
    on conflict (source_id) do update set tenant_id = excluded.tenant_id, mailbox = excluded.mailbox,
      calendar = excluded.calendar, scope = excluded.scope, resource = excluded.resource, graph_id = null,
      client_state_hash = excluded.client_state_hash, url = excluded.url, minutes = excluded.minutes,
      attempted_at = excluded.attempted_at`.execute(db);
}

export interface Life {
  readonly graphId: string;
  readonly expiresAt: string;
  readonly renewAt: Date;
}

/**
 * Graph made the subscription of this attempt. What changed before is not told by it, so that a reading is wanted. False:
 * another attempt has begun meanwhile, and this one's subscription is nobody's.
 */
export async function recordCreated(
  db: Db,
  sourceId: string,
  clientStateHash: string,
  life: Life & { readonly at: Date },
): Promise<boolean> {
  const found = await sql<{ sourceId: string }>`
    with made as (
      update subscription set graph_id = ${life.graphId}, expires_at = ${life.expiresAt},
        renew_at = ${life.renewAt.toISOString()}, created_at = ${life.at.toISOString()}, attempted_at = null,
        not_before = null, failures = 0,
        code = case when scope = 'mailbox' then code end, reason = case when scope = 'mailbox' then reason end
      where source_id = ${sourceId} and client_state_hash = ${clientStateHash} and graph_id is null
      returning source_id),
    wanted as (update source set wanted_version = wanted_version + 1 where id in (select source_id from made))
    select source_id as "sourceId" from made`.execute(db);
  return found.rows.length > 0;
}

/** Lets a source use the live subscription that another one has to the same resource. False: there is none. */
export async function shareSubscription(
  db: Db,
  attempt: Omit<Attempt, 'clientStateHash' | 'minutes'>,
): Promise<boolean> {
  const found = await sql<{ sourceId: string }>`
    with made as (
      insert into subscription (source_id, tenant_id, mailbox, calendar, scope, resource, graph_id, client_state_hash, url,
        minutes, created_at, expires_at, renew_at)
      select ${attempt.sourceId}, tenant_id, ${attempt.mailbox}, ${attempt.calendar}, ${attempt.scope}, resource, graph_id,
        client_state_hash, url, minutes, created_at, expires_at, renew_at
      from subscription
      where tenant_id = ${attempt.tenantId} and resource = ${attempt.resource} and url = ${attempt.url}
        and graph_id is not null and expires_at > ${attempt.at.toISOString()} and source_id <> ${attempt.sourceId}
      order by expires_at desc, source_id limit 1
      on conflict (source_id) do update set tenant_id = excluded.tenant_id, mailbox = excluded.mailbox,
        calendar = excluded.calendar, scope = excluded.scope, resource = excluded.resource, graph_id = excluded.graph_id,
        client_state_hash = excluded.client_state_hash, url = excluded.url, minutes = excluded.minutes,
        created_at = excluded.created_at, expires_at = excluded.expires_at, renew_at = excluded.renew_at,
        attempted_at = null, not_before = null, failures = 0,
        code = case when excluded.scope = 'mailbox' then subscription.code end,
        reason = case when excluded.scope = 'mailbox' then subscription.reason end
      returning source_id),
    wanted as (update source set wanted_version = wanted_version + 1 where id in (select source_id from made))
    select source_id as "sourceId" from made`.execute(db);
  return found.rows.length > 0;
}

/** Graph prolonged it, for all sources that share it. */
export async function recordRenewed(db: Db, life: Life): Promise<void> {
  await sql`
    update subscription set expires_at = ${life.expiresAt}, renew_at = ${life.renewAt.toISOString()}, not_before = null,
      failures = 0, code = case when scope = 'mailbox' then code end, reason = case when scope = 'mailbox' then reason end
    where graph_id = ${life.graphId}`.execute(db);
}

/** Graph grants shorter lives only. */
export async function recordShorter(db: Db, sourceId: string, minutes: number): Promise<void> {
  await sql`update subscription set minutes = ${minutes}, attempted_at = null where source_id = ${sourceId}`.execute(
    db,
  );
}

/** Graph does not let this calendar be watched alone: the mailbox's events have to do. */
export async function recordMailboxScope(
  db: Db,
  sourceId: string,
  { code, reason }: { code: string; reason: string },
): Promise<void> {
  await sql`
    update subscription set scope = 'mailbox', code = ${code}, reason = ${reason}, attempted_at = null
    where source_id = ${sourceId}`.execute(db);
}

export interface Postponement extends Pick<
  Attempt,
  'sourceId' | 'tenantId' | 'mailbox' | 'calendar' | 'scope' | 'url'
> {
  readonly minutes: number;
  readonly notBefore: Date;
  readonly code: string;
  readonly reason: string;
  /** Whether Graph may have made a subscription all the same. */
  readonly isUnknown: boolean;
}

/** What was tried failed; not again before `notBefore`. The source is polled meanwhile. */
export async function postponeSubscription(db: Db, failure: Postponement): Promise<void> {
  await sql`
    insert into subscription (source_id, tenant_id, mailbox, calendar, scope, url, minutes, not_before, failures, code, reason)
    values (${failure.sourceId}, ${failure.tenantId}, ${failure.mailbox}, ${failure.calendar}, ${failure.scope},
      ${failure.url}, ${failure.minutes}, ${failure.notBefore.toISOString()}, 1, ${failure.code}, ${failure.reason})
    on conflict (source_id) do update set not_before = excluded.not_before, failures = subscription.failures + 1,
      code = excluded.code, reason = excluded.reason,
      attempted_at = case when ${failure.isUnknown} then subscription.attempted_at end`.execute(db);
}

/** One like it exists, whose client state we do not know: the list tells which, and it makes room. */
export async function recordDuplicate(db: Db, sourceId: string): Promise<void> {
  await sql`
    update subscription set client_state_hash = null, failures = failures + 1
    where source_id = ${sourceId}`.execute(db);
}

/** The list shows what an attempt made, although its answer was lost. */
export async function adoptSubscription(db: Db, sourceId: string, life: Life & { readonly at: Date }): Promise<void> {
  await sql`
    with adopted as (
      update subscription set graph_id = ${life.graphId}, expires_at = ${life.expiresAt},
        renew_at = ${life.renewAt.toISOString()}, created_at = ${life.at.toISOString()}, attempted_at = null,
        not_before = null, failures = 0, code = null, reason = null
      where source_id = ${sourceId} and graph_id is null returning source_id)
    update source set wanted_version = wanted_version + 1 where id in (select source_id from adopted)`.execute(db);
}

/** The list shows that an attempt made nothing. */
export async function settleAttempt(db: Db, sourceId: string): Promise<void> {
  await sql`update subscription set attempted_at = null where source_id = ${sourceId} and graph_id is null`.execute(db);
}

/** Graph does not have it any more; what it did not tell is to be read. Gives the sources concerned. */
export async function loseSubscription(db: Db, graphId: string): Promise<string[]> {
  const found = await sql<{ id: string }>`
    with lost as (
      update subscription set graph_id = null, not_before = null where graph_id = ${graphId} returning source_id)
    update source set wanted_version = wanted_version + 1 where id in (select source_id from lost) returning id`.execute(
    db,
  );
  return found.rows.map((row) => row.id);
}

/** Nothing is watched for this source any more: it is read once, and polled at its own pace from then on. */
export async function forgetSubscription(db: Db, sourceId: string): Promise<void> {
  await sql`
    with gone as (delete from subscription where source_id = ${sourceId} returning source_id)
    update source set wanted_version = wanted_version + 1 where id in (select source_id from gone)`.execute(db);
}

/** Which client states Graph's ids go with: sha256, hexadecimal. Unknown ids are missing. */
export async function clientStateHashes(db: Db, graphIds: readonly string[]): Promise<Map<string, string>> {
  const found = await sql<{ graphId: string; hash: string }>`
    select distinct graph_id as "graphId", client_state_hash as hash from subscription
    where graph_id = any(${graphIds}::text[]) and client_state_hash is not null`.execute(db);
  return new Map(found.rows.map(({ graphId, hash }) => [graphId, hash]));
}

export interface Told {
  /** Graph's ids of subscriptions whose resource changed, or whose notifications were lost. */
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly reauthorize: readonly string[];
}

/**
 * Stores what Graph told: every source concerned has something to read. Gives, for each of Graph's ids, the sources that
 * it is about; ids that are missing are of no subscription any more. One statement, but for what Graph tells of its
 * subscriptions themselves. It touches no row that a reading holds, and writes nothing where that changes nothing: for a
 * source that waits to be read since it was told of last, and that nobody has begun to read, whoever begins reads this too.
 */
export async function storeTold(
  db: Db,
  { changed, removed, reauthorize }: Told,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const ids = [...changed, ...removed, ...reauthorize];
  const found =
    changed.length + removed.length === 0
      ? await sql<{ graphId: string; sourceId: string }>`
          select graph_id as "graphId", source_id as "sourceId" from subscription where graph_id = any(${ids}::text[])`.execute(
          db,
        )
      : // Locked in one order, so that two processes that store at the same time wait for each other and no more.
        await sql<{ graphId: string; sourceId: string }>`
          with named as (
            select u.graph_id, u.source_id, n.version > n.done_version and l.holder is null as waits
            from subscription u join source s on s.id = u.source_id left join told n on n.source_id = u.source_id
              left join lease l on l.name = 'source:' || u.source_id
            where u.graph_id = any(${ids}::text[])),
          kept as (
            insert into told (source_id, since, at)
            select distinct source_id, now(), now() from named
            where graph_id = any(${[...changed, ...removed]}::text[]) and waits is not true order by 1
            on conflict (source_id) do update set version = told.version + 1, at = excluded.at,
              since = case when told.version > told.done_version then told.since else excluded.since end)
          select graph_id as "graphId", source_id as "sourceId" from named`.execute(db);
  if (removed.length > 0)
    await sql`
      update subscription set graph_id = null, not_before = null where graph_id = any(${removed}::text[])`.execute(db);
  if (reauthorize.length > 0)
    await sql`
      update subscription set renew_at = to_timestamp(0), not_before = null
      where graph_id = any(${reauthorize}::text[])`.execute(db);
  const sources = new Map<string, string[]>();
  for (const { graphId, sourceId } of found.rows) sources.set(graphId, [...(sources.get(graphId) ?? []), sourceId]);
  return sources;
}
