import type { Privacy } from '../calendar/privacy.ts';
import { builtInClouds } from '../shared/clouds.ts';
import { isGovernment } from './build-model.ts';
import type { Model, SourceConfig, Target, Tenant } from './model.ts';

/** What is wrong with an entry in the light of the others. */
export interface Conflict {
  readonly list: 'clouds' | 'tenants' | 'targets' | 'sources';
  readonly id: string;
  readonly field: string;
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

/** Ids that exist although their entries are not in the model, being faulty themselves. */
export interface Declared {
  readonly clouds: readonly string[];
  readonly tenants: readonly string[];
  readonly targets: readonly string[];
}

const DETAIL: Readonly<Record<Privacy, number>> = { busy: 0, title: 1, full: 2 };

/** Checks what no entry can check alone: references, ceilings, what a government cloud requires, loops. Pure. */
export function crossCheck(model: Model, declared: Declared = { clouds: [], tenants: [], targets: [] }): Conflict[] {
  return [
    ...model.clouds.flatMap(({ id }) => {
      if (!builtInClouds.some((cloud) => cloud.id === id)) return [];
      const remedy = 'Give it another id; a built-in cloud needs no entry.';
      return [conflict('clouds', id, '', 'config.cloud_built_in', `"${id}" is built in`, remedy)];
    }),
    ...model.tenants.flatMap((tenant) => checkTenant(tenant, model, declared)),
    ...model.sources.flatMap((source) => [
      ...checkInto(source, model, declared),
      ...(source.kind === 'graph' ? checkTenantOf(source, model, declared) : []),
      ...checkLoop(source, model),
    ]),
  ];
}

/**
 * Of entries that have faults of their own: whether what they name is there, so that all faults are told at once. Pure;
 * takes them as they are written.
 */
export function checkNames(
  { tenants, sources }: { readonly tenants: readonly unknown[]; readonly sources: readonly unknown[] },
  model: Model,
  declared: Declared,
): Conflict[] {
  return [
    ...tenants.map(named).flatMap(({ id, cloud }) => (cloud === '' ? [] : checkCloud({ id, cloud }, model, declared))),
    ...sources.map(named).flatMap(({ id, into, tenant }) => {
      const [target = '', calendar = '', ...more] = into.split('/');
      const isPlace = target !== '' && calendar !== '' && more.length === 0;
      return [
        ...(isPlace ? checkInto({ id, into: { target, calendar } }, model, declared) : []),
        ...(tenant === '' ? [] : checkTenantName({ id, tenant }, model, declared)),
      ];
    }),
  ];
}

function named(entry: unknown): Record<'id' | 'cloud' | 'into' | 'tenant', string> {
  const raw = typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : {};
  const text = (key: string): string => (typeof raw[key] === 'string' ? raw[key] : '');
  return { id: text('id'), cloud: text('cloud'), into: text('into'), tenant: text('tenant') };
}

function checkTenant(tenant: Tenant, model: Model, declared: Declared): Conflict[] {
  const { id, cloud, access } = tenant;
  const conflicts = checkCloud(tenant, model, declared);
  if ((cloud === 'gcch' || cloud === 'dod') && access !== 'scoped') {
    const remedy = 'Set access: scoped, and let Exchange RBAC for Applications name the mailboxes.';
    const message = `"${access}" is not possible in the cloud ${cloud}`;
    conflicts.push(conflict('tenants', id, 'access', 'config.access_scoped', message, remedy));
  }
  return conflicts;
}

function checkCloud({ id, cloud }: Pick<Tenant, 'id' | 'cloud'>, model: Model, declared: Declared): Conflict[] {
  const clouds = [...builtInClouds, ...model.clouds].map((known) => known.id);
  if ([...clouds, ...declared.clouds].includes(cloud)) return [];
  const remedy = `Choose one of ${clouds.join(', ')}, or describe it under clouds.`;
  return [conflict('tenants', id, 'cloud', 'config.unknown_cloud', `there is no cloud "${cloud}"`, remedy)];
}

function checkInto({ id, into }: Pick<SourceConfig, 'id' | 'into'>, model: Model, declared: Declared): Conflict[] {
  const target = model.targets.find((known) => known.id === into.target);
  if (target === undefined) {
    if (declared.targets.includes(into.target)) return [];
    const remedy = `${choose(model.targets)} in the form target/calendar.`;
    return [conflict('sources', id, 'into', 'config.unknown_target', `there is no target "${into.target}"`, remedy)];
  }
  if (target.calendars.some((calendar) => calendar.id === into.calendar)) return [];
  const message = `the target ${target.id} has no calendar "${into.calendar}"`;
  return [conflict('sources', id, 'into', 'config.unknown_calendar', message, `${choose(target.calendars)}.`)];
}

function checkTenantOf(source: SourceConfig & { kind: 'graph' }, model: Model, declared: Declared): Conflict[] {
  const tenant = model.tenants.find((known) => known.id === source.tenant);
  if (tenant === undefined) return checkTenantName(source, model, declared);
  if (DETAIL[source.privacy] <= DETAIL[tenant.ceiling]) return [];
  const message = `"${source.privacy}" shows more than the ceiling "${tenant.ceiling}" of the tenant ${tenant.id} permits`;
  const remedy = `Set privacy: ${tenant.ceiling}, or have the ceiling raised by whoever set it.`;
  return [conflict('sources', source.id, 'privacy', 'config.above_ceiling', message, remedy)];
}

function checkTenantName(
  { id, tenant }: { readonly id: string; readonly tenant: string },
  { tenants }: Model,
  declared: Declared,
): Conflict[] {
  const known = [...new Set([...tenants.map((one) => one.id), ...declared.tenants])];
  if (known.includes(tenant)) return [];
  const message = `there is no tenant "${tenant}"`;
  const remedy = `${choose(known.map((one) => ({ id: one })))}.`;
  return [conflict('sources', id, 'tenant', 'config.unknown_tenant', message, remedy)];
}

/**
 * A calendar that we write, read back as a source: it would feed itself, or bring nothing, for what is ours is not read.
 * The path says by which way.
 */
function checkLoop(source: SourceConfig, { sources, targets }: Model): Conflict[] {
  const read = writtenCalendar(source, targets);
  if (read === null) return [];
  const path = [read];
  let at: SourceConfig | undefined = source;
  while (at !== undefined && path.length < 2 * sources.length + 2) {
    const into: string = `${at.into.target}/${at.into.calendar}`;
    path.push(at.id, into);
    if (into === read) break;
    at = sources.find((other) => writtenCalendar(other, targets) === into);
  }
  const isLoop = path.at(-1) === read;
  const way = `${isLoop ? 'a loop' : 'what is ours there is not read again'}, ${path.join(' -> ')}`;
  const remedy = isLoop
    ? 'Read another calendar, or remove the source.'
    : 'Let the sources of that calendar go into this one as well, each under another id, or read another calendar.';
  const field = source.kind === 'ics' ? 'url' : 'calendar';
  const message = `is the calendar ${read} that this service writes: ${way}`;
  return [conflict('sources', source.id, field, 'config.loop', message, remedy)];
}

/** The `target/calendar` of ours that a source reads, as far as the configuration tells; null: none. */
function writtenCalendar(source: SourceConfig, targets: readonly Target[]): string | null {
  if (source.kind !== 'caldav' && source.kind !== 'ics') return null;
  const { origin, pathname } = new URL(source.url);
  const segments = pathname.split('/').map((segment) => decoded(segment).toLowerCase());
  for (const { id, url, username, calendars } of targets) {
    if (new URL(url).origin !== origin) continue;
    const user = username.toLowerCase();
    const own = calendars.find((calendar) => {
      const names = [calendar.id, calendar.name.toLowerCase()];
      if (source.kind === 'caldav')
        return source.username.toLowerCase() === user && names.includes(lastSegment(source.calendar));
      // What a CalDAV server exports of the calendar, say `/calendars/me/work?export`.
      return segments.some((segment, index) => segment === user && segments[index + 1] === calendar.id);
    });
    if (own !== undefined) return `${id}/${own.id}`;
  }
  return null;
}

function lastSegment(path: string): string {
  return decoded(path.replace(/\/+$/, '').split('/').at(-1) ?? '').toLowerCase();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Why a source of this tenant must say its privacy itself, or null. */
export function privacyRequired(id: string, cloud: string): Conflict | null {
  if (!isGovernment(cloud)) return null;
  const message = `is missing, and the cloud ${cloud} has no default`;
  return conflict('sources', id, 'privacy', 'config.privacy_required', message, 'Set it to full, title or busy.');
}

function choose(entries: readonly { readonly id: string }[]): string {
  return entries.length === 0 ? 'Describe it first' : `Choose one of ${entries.map(({ id }) => id).join(', ')}`;
}

function conflict(
  list: Conflict['list'],
  id: string,
  field: string,
  code: string,
  message: string,
  remedy: string,
): Conflict {
  return { list, id, field, code, message, remedy };
}
