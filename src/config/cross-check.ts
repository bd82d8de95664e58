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

function checkTenant({ id, cloud, access }: Tenant, model: Model, declared: Declared): Conflict[] {
  const clouds = [...builtInClouds, ...model.clouds].map((known) => known.id);
  const conflicts: Conflict[] = [];
  if (![...clouds, ...declared.clouds].includes(cloud)) {
    const remedy = `Choose one of ${clouds.join(', ')}, or describe it under clouds.`;
    conflicts.push(conflict('tenants', id, 'cloud', 'config.unknown_cloud', `there is no cloud "${cloud}"`, remedy));
  }
  if ((cloud === 'gcch' || cloud === 'dod') && access !== 'scoped') {
    const remedy = 'Set access: scoped, and let Exchange RBAC for Applications name the mailboxes.';
    const message = `"${access}" is not possible in the cloud ${cloud}`;
    conflicts.push(conflict('tenants', id, 'access', 'config.access_scoped', message, remedy));
  }
  return conflicts;
}

function checkInto({ id, into }: SourceConfig, model: Model, declared: Declared): Conflict[] {
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
  if (tenant === undefined) {
    if (declared.tenants.includes(source.tenant)) return [];
    const message = `there is no tenant "${source.tenant}"`;
    return [conflict('sources', source.id, 'tenant', 'config.unknown_tenant', message, `${choose(model.tenants)}.`)];
  }
  if (DETAIL[source.privacy] <= DETAIL[tenant.ceiling]) return [];
  const message = `"${source.privacy}" shows more than the ceiling "${tenant.ceiling}" of the tenant ${tenant.id} permits`;
  const remedy = `Set privacy: ${tenant.ceiling}, or have the ceiling raised by whoever set it.`;
  return [conflict('sources', source.id, 'privacy', 'config.above_ceiling', message, remedy)];
}

/** A calendar that we write, read back as a source, would feed itself; the path says by which way. */
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
  const message = `is the calendar ${read} that this service writes: a loop, ${path.join(' -> ')}`;
  const field = source.kind === 'ics' ? 'url' : 'calendar';
  return [
    conflict('sources', source.id, field, 'config.loop', message, 'Read another calendar, or remove the source.'),
  ];
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
