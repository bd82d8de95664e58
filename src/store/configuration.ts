import { sql } from 'kysely';
import type { Credential, Model, SourceConfig, Target, Tenant } from '../config/model.ts';
import { builtInClouds, type Cloud } from '../shared/clouds.ts';
import { SyncError } from '../shared/errors.ts';
import type { SecretBox } from '../shared/secret-box.ts';
import { markMeetingsDirty } from './claims.ts';
import { capped, ceilingOf } from './ceiling.ts';
import type { Db } from './database.ts';
import { settleHandOver } from './hand-over.ts';
import { settleIdentities } from './identities.ts';
import { breakLease } from './leases.ts';
import { operatorSourceId } from './meetings.ts';
import { recutClaims } from './recut-claims.ts';
import { forgetAccess, forgetProof } from './tenant-access.ts';

/** Where each secret is kept; the context is sealed in with it. */
const contexts = {
  tenantSecret: (id: string) => `tenant:${id}:secret`,
  tenantKey: (id: string) => `tenant:${id}:private-key`,
  targetPassword: (id: string) => `target:${id}:password`,
  source: (id: string) => `source:${id}:secret`,
};

export function openTargetPassword(box: SecretBox, target: { id: string; passwordSealed: string }): string {
  return box.open(target.passwordSealed, contexts.targetPassword(target.id));
}

export function openSourceSecret(box: SecretBox, id: string, sealed: string): string {
  return box.open(sealed, contexts.source(id));
}

/** The field of a source's settings that is a secret; kept sealed beside the settings, never in them. */
const secretFields = { graph: null, caldav: 'password', ics: 'url', powerautomate: 'signingKey' } as const;

function splitSecret(source: SourceConfig): { settings: SourceConfig; secret: string | null } {
  const field = secretFields[source.kind];
  if (field === null) return { settings: source, secret: null };
  const { [field]: secret, ...settings } = source as unknown as Record<string, unknown>;
  return {
    settings: { ...settings, [field]: '' } as unknown as SourceConfig,
    secret: typeof secret === 'string' ? secret : null,
  };
}

function joinSecret(settings: SourceConfig, secret: string | null): SourceConfig {
  const field = secretFields[settings.kind];
  if (field === null) return settings;
  // Of these only, the secret may be none.
  if (settings.kind === 'powerautomate') return { ...settings, signingKey: secret === '' ? null : secret };
  return { ...settings, [field]: secret ?? '' };
}

/** Throws `secret.unreadable` when the source's secret cannot be opened. */
export async function loadSourceWithSecret(db: Db, box: SecretBox, id: string): Promise<SourceConfig | null> {
  const found = await sql<{ settings: SourceConfig; sealed: string | null }>`
    select settings, secret_sealed as sealed from source where id = ${id}`.execute(db);
  const row = found.rows[0];
  if (row === undefined) return null;
  return joinSecret(row.settings, row.sealed === null ? null : box.open(row.sealed, contexts.source(id)));
}

interface TenantRecord extends Omit<Tenant, 'credential'> {
  readonly credentialKind: 'secret' | 'certificate' | null;
  readonly secretSealed: string | null;
  readonly certificate: string | null;
  readonly privateKeySealed: string | null;
}

/** Throws `secret.unreadable` when the tenant's credential cannot be opened. */
export async function loadTenant(db: Db, box: SecretBox, id: string): Promise<Tenant | null> {
  const row = (await tenantRows(db, id))[0];
  return row === undefined ? null : toTenant(row, (sealed, context) => box.open(sealed, context));
}

async function tenantRows(db: Db, id: string | null): Promise<TenantRecord[]> {
  const found = await sql<TenantRecord>`
    select id, name, cloud, directory, client, access, ceiling, has_push as notifications,
      keep_withdrawn_days as "keepWithdrawnDays", to_char(secret_expires_at at time zone 'UTC', 'YYYY-MM-DD') as "secretExpires",
      credential_kind as "credentialKind", secret_sealed as "secretSealed", certificate, private_key_sealed as "privateKeySealed"
    from tenant where ${id}::text is null or id = ${id} order by id`.execute(db);
  return found.rows;
}

function toTenant(row: TenantRecord, open: (sealed: string, context: string) => string): Tenant {
  const { credentialKind, secretSealed, certificate, privateKeySealed, ...tenant } = row;
  let credential: Credential | null = null;
  if (credentialKind === 'secret' && secretSealed !== null)
    credential = { kind: 'secret', secret: open(secretSealed, contexts.tenantSecret(row.id)) };
  if (credentialKind === 'certificate' && certificate !== null && privateKeySealed !== null)
    credential = { kind: 'certificate', certificate, privateKey: open(privateKeySealed, contexts.tenantKey(row.id)) };
  return { ...tenant, credential };
}

export async function loadClouds(db: Db): Promise<Cloud[]> {
  const found = await sql<Cloud>`select id, login, graph, portal from cloud order by id`.execute(db);
  return found.rows;
}

/** A cloud that is built in or configured; null: there is none of this name. */
export async function findCloud(db: Db, id: string): Promise<Cloud | null> {
  return [...builtInClouds, ...(await loadClouds(db))].findLast((cloud) => cloud.id === id) ?? null;
}

/** As `findCloud`. Throws `config.missing_entry`. */
export async function cloudOf(db: Db, { cloud: id }: Pick<Tenant, 'cloud'>): Promise<Cloud> {
  const cloud = await findCloud(db, id);
  if (cloud !== null) return cloud;
  throw new SyncError(`There is no cloud ${id}`, {
    code: 'config.missing_entry',
    field: 'cloud',
    recovery: { kind: 'operator', remedy: 'Apply a configuration that has it.' },
  });
}

/** Whoever changes the configuration does so alone, until the end of the transaction: differences stay true. */
export async function lockConfiguration(db: Db): Promise<void> {
  await sql`select pg_advisory_xact_lock(${configurationLock})`.execute(db);
}

const configurationLock = 727_002;

/** All that is configured. A secret that cannot be opened is empty, so that setting it again is a change. */
export async function loadModel(db: Db, box: SecretBox): Promise<Model> {
  const open = (sealed: string | null, context: string): string => {
    if (sealed === null) return '';
    try {
      return box.open(sealed, context);
    } catch {
      return '';
    }
  };
  const targets = await sql<Omit<Target, 'password'> & { passwordSealed: string | null }>`
    select t.id, t.url, t.username, t.password_sealed as "passwordSealed", t.strategy, t.dedupe, t.drift,
      coalesce((select json_agg(json_build_object('id', c.id, 'name', c.name, 'color', c.color) order by c.position)
        from target_calendar c where c.target_id = t.id), '[]') as calendars
    from target t order by t.id`.execute(db);
  const sources = await sql<{ id: string; settings: SourceConfig; sealed: string | null }>`
    select id, settings, secret_sealed as sealed from source order by position, id`.execute(db);
  return {
    clouds: await loadClouds(db),
    tenants: (await tenantRows(db, null)).map((row) => toTenant(row, open)),
    targets: targets.rows.map(({ passwordSealed, ...target }) => ({
      ...target,
      password: open(passwordSealed, contexts.targetPassword(target.id)),
    })),
    sources: sources.rows.map((row) => joinSecret(row.settings, open(row.sealed, contexts.source(row.id)))),
  };
}

export async function saveCloud(db: Db, cloud: Cloud): Promise<void> {
  await sql`
    insert into cloud (id, login, graph, portal) values (${cloud.id}, ${cloud.login}, ${cloud.graph}, ${cloud.portal})
    on conflict (id) do update set login = excluded.login, graph = excluded.graph, portal = excluded.portal`.execute(
    db,
  );
}

export async function saveTenant(db: Db, box: SecretBox, tenant: Tenant): Promise<void> {
  const { credential } = tenant;
  const before = await sql<{ isOther: boolean }>`
    select (cloud, directory, client) is distinct from (${tenant.cloud}, ${tenant.directory}, ${tenant.client}) as "isOther"
    from tenant where id = ${tenant.id}`.execute(db);
  if (before.rows[0]?.isOther === true) await forgetProof(db, tenant.id);
  await sql`update tenant_access set next_try_at = now(), warned_of = null where tenant_id = ${tenant.id}`.execute(db);
  const secret = credential?.kind === 'secret' ? box.seal(credential.secret, contexts.tenantSecret(tenant.id)) : null;
  const certificate = credential?.kind === 'certificate' ? credential.certificate : null;
  const key =
    credential?.kind === 'certificate' ? box.seal(credential.privateKey, contexts.tenantKey(tenant.id)) : null;
  await sql`
    insert into tenant (id, name, cloud, directory, client, access, ceiling, has_push, keep_withdrawn_days,
      secret_expires_at, credential_kind, secret_sealed, certificate, private_key_sealed, updated_at)
    values (${tenant.id}, ${tenant.name}, ${tenant.cloud}, ${tenant.directory}, ${tenant.client}, ${tenant.access},
      ${tenant.ceiling}, ${tenant.notifications ?? true}, ${tenant.keepWithdrawnDays ?? 30},
      ${tenant.secretExpires ?? null}::timestamp at time zone 'UTC', ${credential?.kind ?? null}, ${secret}, ${certificate}, ${key}, now())
    on conflict (id) do update set name = excluded.name, cloud = excluded.cloud, directory = excluded.directory,
      client = excluded.client, access = excluded.access, ceiling = excluded.ceiling, has_push = excluded.has_push,
      keep_withdrawn_days = excluded.keep_withdrawn_days, secret_expires_at = excluded.secret_expires_at,
      credential_kind = excluded.credential_kind, secret_sealed = excluded.secret_sealed,
      certificate = excluded.certificate, private_key_sealed = excluded.private_key_sealed, updated_at = now()`.execute(
    db,
  );
  // What paused its sources may be mended by this, whatever a run that is still under way may find.
  await sql`
    update source set not_before = null, wanted_version = wanted_version + 1 where tenant_id = ${tenant.id}`.execute(
    db,
  );
}

export async function saveTarget(db: Db, box: SecretBox, target: Target): Promise<void> {
  // A delivery under way still has the old account, and would record what it finds there.
  if (await isOtherAccount(db, box, target)) await breakLease(db, `target:${target.id}`);
  const before = await sql<{ url: string; username: string; dedupe: string }>`
    select url, username, dedupe from target where id = ${target.id} for update`.execute(db);
  await sql`
    insert into target (id, url, username, password_sealed, strategy, dedupe, drift, updated_at)
    values (${target.id}, ${target.url}, ${target.username},
      ${box.seal(target.password, contexts.targetPassword(target.id))}, ${target.strategy}, ${target.dedupe},
      ${target.drift}, now())
    on conflict (id) do update set url = excluded.url, username = excluded.username,
      password_sealed = excluded.password_sealed, strategy = excluded.strategy, dedupe = excluded.dedupe,
      drift = excluded.drift, not_before = null, updated_at = now()`.execute(db);
  for (const [position, calendar] of target.calendars.entries())
    await sql`
      insert into target_calendar (target_id, id, name, color, position)
      values (${target.id}, ${calendar.id}, ${calendar.name}, ${calendar.color}, ${position})
      on conflict (target_id, id) do update set name = excluded.name, color = excluded.color, position = excluded.position`.execute(
      db,
    );
  const old = before.rows[0];
  if (old !== undefined && (old.url !== target.url || old.username !== target.username))
    await forgetWhatStands(db, target.id);
  if (old !== undefined && old.dedupe !== target.dedupe) {
    // What is being read now would be put to meetings by the old rule.
    await sql`
      update source set epoch = epoch + 1, wanted_version = wanted_version + 1 where target_id = ${target.id}`.execute(
      db,
    );
    await settleIdentities(db, target.id);
  }
  await rerenderTarget(db, target.id);
}

async function isOtherAccount(db: Db, box: SecretBox, target: Target): Promise<boolean> {
  const found = await sql<{ id: string; url: string; username: string; passwordSealed: string }>`
    select id, url, username, password_sealed as "passwordSealed" from target where id = ${target.id}`.execute(db);
  const [old] = found.rows;
  if (old === undefined) return false;
  if (old.url !== target.url || old.username !== target.username) return true;
  try {
    return openTargetPassword(box, old) !== target.password;
  } catch {
    return true; // unreadable until now
  }
}

/** The account is another one: nothing that we know to stand anywhere stands there; all is written anew. */
async function forgetWhatStands(db: Db, targetId: string): Promise<void> {
  await sql`update target_calendar set href = null, sync_token = null, listed_at = null, checked_at = null, gone_at = null where target_id = ${targetId}`.execute(
    db,
  );
  await sql`delete from intent where target_id = ${targetId}`.execute(db);
  await sql`delete from object where target_id = ${targetId}`.execute(db);
}

export interface SourceEffects {
  readonly bumpsEpoch: boolean;
  readonly fullReading: boolean;
  /** The source is another calendar now: nothing that was read of it holds. */
  readonly isOther: boolean;
}

/** Inserts or changes a source; what was read under the old settings is fenced off, cut down or read again. */
export async function saveSource(
  db: Db,
  box: SecretBox,
  source: SourceConfig,
  position: number,
  effects: SourceEffects,
): Promise<void> {
  const { settings, secret } = splitSecret(source);
  const before = await sql<{ targetId: string; calendarId: string; settings: SourceConfig }>`
    select target_id as "targetId", calendar_id as "calendarId", settings from source where id = ${source.id} for update`.execute(
    db,
  );
  const old = before.rows[0];
  if (old !== undefined && (effects.isOther || old.targetId !== source.into.target))
    await forgetClaims(db, source.id, old.targetId);
  await sql`
    insert into source (id, kind, settings, secret_sealed, tenant_id, target_id, calendar_id, position, next_poll_at, updated_at)
    values (${source.id}, ${source.kind}, ${JSON.stringify(settings)}::jsonb,
      ${secret === null ? null : box.seal(secret, contexts.source(source.id))},
      ${source.kind === 'graph' ? source.tenant : null}, ${source.into.target}, ${source.into.calendar}, ${position}, now(), now())
    on conflict (id) do update set kind = excluded.kind, settings = excluded.settings,
      secret_sealed = excluded.secret_sealed, tenant_id = excluded.tenant_id, target_id = excluded.target_id,
      calendar_id = excluded.calendar_id, position = excluded.position, not_before = null, updated_at = now(),
      epoch = source.epoch + ${effects.bumpsEpoch ? 1 : 0},
      is_full_wanted = source.is_full_wanted or ${effects.fullReading},
      wanted_version = source.wanted_version + 1`.execute(db);
  await settleHandOver(db);
  if (old === undefined) return;
  if (old.calendarId !== source.into.calendar) await settleIdentities(db, source.into.target);
  const ceiling = await ceilingOf(db, source.id);
  await recutClaims(db, source.id, capped(old.settings, ceiling), capped(source, ceiling));
  await rerenderTarget(db, source.into.target);
}

/** Puts the sources in this order, which decides where nothing else does; those not named come after them. */
export async function orderSources(db: Db, ids: readonly string[]): Promise<void> {
  const moved = await sql<{ targetId: string }>`
    with wanted as (
      select id, row_number() over (order by array_position(${ids}::text[], id) nulls last, position, id) - 1 as position
      from source)
    update source s set position = w.position from wanted w where w.id = s.id and w.position <> s.position
    returning s.target_id as "targetId"`.execute(db);
  for (const targetId of new Set(moved.rows.map((row) => row.targetId))) await rerenderTarget(db, targetId);
}

/** Nothing of what was read of a source holds: its claims go, and its meetings are looked at again. */
export async function forgetClaims(db: Db, sourceId: string, targetId: string): Promise<void> {
  await sql`
    delete from conflict where meeting_id in (select meeting_id from claim where source_id = ${sourceId})`.execute(db);
  const gone = await sql<{ meetingId: string | null }>`
    delete from claim where source_id = ${sourceId} returning meeting_id::text as "meetingId"`.execute(db);
  await sql`delete from stream where source_id = ${sourceId}`.execute(db);
  await sql`delete from stale_series where source_id = ${sourceId}`.execute(db);
  await sql`delete from tombstone where source_id = ${sourceId}`.execute(db);
  await sql`delete from removal where source_id = ${sourceId}`.execute(db);
  await markMeetingsDirty(db, targetId, {
    identities: [],
    ids: gone.rows.flatMap((row) => (row.meetingId === null ? [] : [row.meetingId])),
  });
}

/** Every meeting of the target is looked at again; an unchanged render makes no request. */
export async function rerenderTarget(db: Db, targetId: string): Promise<void> {
  await sql`
    update meeting set wanted_version = wanted_version + 1, not_before = null,
      wanted_at = case when wanted_version > done_version then wanted_at else now() end
    where target_id = ${targetId}`.execute(db);
}

/** Orders a full reading: what the source gave us to continue by is of no use any more. */
export async function readAnew(db: Db, sourceId: string): Promise<void> {
  await sql`delete from stream where source_id = ${sourceId}`.execute(db);
  await sql`
    update source set epoch = epoch + 1, is_full_wanted = true, wanted_version = wanted_version + 1, not_before = null
    where id = ${sourceId}`.execute(db);
}

/** A target's calendar that no source goes into any more; what we wrote there is deleted at the next delivery. */
export async function removeCalendar(db: Db, targetId: string, calendarId: string): Promise<void> {
  await sql`delete from target_calendar where target_id = ${targetId} and id = ${calendarId}`.execute(db);
}

export type EntryKind = 'cloud' | 'tenant' | 'target' | 'source';

/**
 * Takes an entry out of the configuration. A source's claims go with it, other sources' meetings stay. Entries of a
 * removed target stay on its server: we no longer know the way there.
 */
export async function removeEntry(db: Db, kind: EntryKind, id: string): Promise<void> {
  switch (kind) {
    case 'cloud':
      await sql`delete from cloud where id = ${id}`.execute(db);
      return;
    case 'tenant':
      await forgetAccess(db, id);
      await sql`delete from tenant where id = ${id}`.execute(db);
      return;
    case 'source': {
      const found = await sql<{
        targetId: string;
      }>`select target_id as "targetId" from source where id = ${id} for update`.execute(db);
      const row = found.rows[0];
      if (row === undefined) return;
      await settleHandOver(db, id);
      await forgetClaims(db, id, row.targetId);
      await sql`delete from withdrawal where source_id = ${id}`.execute(db);
      await sql`delete from source_calendar where source_id = ${id}`.execute(db);
      await sql`delete from source where id = ${id}`.execute(db);
      return;
    }
    case 'target':
      await forgetWhatStands(db, id);
      await sql`
        delete from conflict where meeting_id in (select m.id from meeting m where m.target_id = ${id})`.execute(db);
      await sql`delete from meeting where target_id = ${id}`.execute(db);
      await sql`delete from trash where target_id = ${id}`.execute(db);
      await sql`delete from claim where source_id = ${operatorSourceId(id)}`.execute(db);
      await sql`delete from target_calendar where target_id = ${id}`.execute(db);
      await sql`delete from target where id = ${id}`.execute(db);
      return;
  }
}
