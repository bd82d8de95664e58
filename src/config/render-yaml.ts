import { stringify } from 'yaml';

import { buildSource } from './build-model.ts';
import { renderDuration } from './duration.ts';
import type { Model, SourceConfig, Target, Tenant } from './model.ts';
import { type SourceShape, sourceShape, targetShape, tenantShape } from './shapes.ts';

/**
 * The configuration as a file that `apply` takes, for `export`: what equals its default is left out, and each secret is
 * a reference such as `${ICLOUD_HOME_PASSWORD}`, listed at the top, for the operator to set.
 */
export function renderYaml({ clouds, tenants, targets, sources }: Model): string {
  const references = new References();
  const body = {
    ...(clouds.length === 0
      ? {}
      : { clouds: Object.fromEntries(clouds.map(({ id, ...hosts }) => [id, withoutNull(hosts)])) }),
    tenants: tenants.map((tenant) => renderTenant(tenant, references)),
    targets: targets.map((target) => renderTarget(target, references)),
    sources: sources.map((source) => renderSource(source, references)),
  };
  const head = references.names.map((name) => `#   ${name}\n`).join('');
  const comment = head === '' ? '' : `# Set in the environment or in .env before this is applied:\n${head}\n`;
  return comment + stringify(body, { lineWidth: 120, defaultStringType: 'PLAIN' });
}

/** Hands out names of variables for secrets, each once. */
class References {
  readonly names: string[] = [];

  for(id: string, what: string): string {
    const base = `${id}_${what}`.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_');
    // A name may not begin with a digit, and `a-b` and `a_b` would share one.
    const name = /^\d/.test(base) ? `_${base}` : base;
    const free = this.names.includes(name) ? `${name}_${this.names.length}` : name;
    this.names.push(free);
    return `\${${free}}`;
  }
}

function renderTenant({ credential, ...tenant }: Tenant, references: References): object {
  const least = tenantShape.parse({
    id: tenant.id,
    cloud: tenant.cloud,
    directory: tenant.directory,
    client: tenant.client,
  });
  return {
    ...different(tenant, { ...least, name: tenant.id }, ['id', 'cloud', 'directory', 'client', 'access']),
    ...renderCredential(tenant.id, credential, references),
  };
}

function renderCredential(id: string, credential: Tenant['credential'], references: References): object {
  if (credential === null) return { signIn: 'delegated' };
  if (credential.kind === 'secret') return { secret: references.for(id, 'secret') };
  const certificate = references.for(id, 'certificate');
  return { certificate: { certificate, privateKey: references.for(id, 'private_key') } };
}

function renderTarget(target: Target, references: References): object {
  const { id, url, username } = target;
  const calendars = target.calendars.map((calendar) => withoutNull(calendar));
  const least = targetShape.parse({ id, url, username, password: '-', calendars: target.calendars });
  const written = { ...target, password: references.for(id, 'password'), calendars };
  return different(written, least, ['id', 'url', 'username', 'password', 'calendars']);
}

function renderSource(source: SourceConfig, references: References): object {
  const { into, everySeconds, staleAfterSeconds, isPaused, filters, window, ...rest } = source;
  const least = leastOf(source);
  const own = { ...rest, ...secretsOf(source, references), into: `${into.target}/${into.calendar}` };
  // Privacy is always said: where it leaves a tenant, nobody should have to know a default.
  const always = [
    'id',
    'kind',
    'tenant',
    'mailbox',
    'url',
    'username',
    'password',
    'calendar',
    'key',
    'into',
    'privacy',
  ];
  const inner = { filters: different(filters, least.filters, []), window: different(window, least.window, []) };
  return {
    ...different(own, { ...least }, always),
    ...(everySeconds === least.everySeconds ? {} : { every: renderDuration(everySeconds) }),
    ...(staleAfterSeconds === undefined ? {} : { staleAfter: renderDuration(staleAfterSeconds) }),
    ...(isPaused ? { paused: true } : {}),
    ...Object.fromEntries(Object.entries(inner).filter(([, value]) => Object.keys(value).length > 0)),
  };
}

/** The source as it would be if it said no more than it must. */
function leastOf(source: SourceConfig): SourceConfig {
  const { id, kind } = source;
  const must = {
    graph: { tenant: '-', mailbox: 'a@b.example' },
    caldav: { url: 'https://a.example', username: '-', password: '-', calendar: '-' },
    ics: { url: 'https://a.example' },
    powerautomate: { mailbox: 'a@b.example', key: '-'.repeat(16) },
  };
  const shape: SourceShape = sourceShape.parse({ id, kind, into: 'a/b', ...must[kind] });
  return buildSource(shape, 'full');
}

function secretsOf(source: SourceConfig, references: References): object {
  if (source.kind === 'caldav') return { password: references.for(source.id, 'password') };
  // The address of a feed is all that keeps others from reading it.
  if (source.kind === 'ics') return { url: references.for(source.id, 'url') };
  if (source.kind !== 'powerautomate') return {};
  return {
    key: references.for(source.id, 'key'),
    ...(source.formerKey === null ? {} : { formerKey: references.for(source.id, 'former_key') }),
    ...(source.signingKey === null ? {} : { signingKey: references.for(source.id, 'signing_key') }),
  };
}

/** The fields that are always wanted, in that order, and those that differ from `least`. */
function different(value: object, least: object, always: readonly string[]): Record<string, unknown> {
  const fields = new Map<string, unknown>(Object.entries(value));
  const usual = new Map<string, unknown>(Object.entries(least));
  const others = [...fields.keys()].filter(
    (key) => !always.includes(key) && JSON.stringify(fields.get(key)) !== JSON.stringify(usual.get(key)),
  );
  const wanted = [...always.filter((key) => fields.has(key)), ...others];
  return Object.fromEntries(wanted.map((key) => [key, fields.get(key)]));
}

function withoutNull(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}
