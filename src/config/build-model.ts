import type { Cloud } from '../shared/clouds.ts';
import type { Privacy } from '../calendar/privacy.ts';
import { hashKey } from '../shared/webhook-key.ts';
import type { Credential, SourceConfig, SourceSettings, Target, Tenant } from './model.ts';
import type { SourceShape, TargetShape, TenantShape } from './shapes.ts';

/** Apple's entry point; discovery leads to the account's own host. */
const ICLOUD_URL = 'https://caldav.icloud.com/';

/** Seconds between polls where nothing is said. Flows are not polled: theirs is how often they are looked after. */
const EVERY_SECONDS = { graph: 60, caldav: 60, ics: 3_600, powerautomate: 3_600 } as const;

/** Government clouds: what may leave them is decided by somebody, never by a default. */
const GOVERNMENT: readonly string[] = ['gcc', 'gcch', 'dod'];

export function isGovernment(cloud: Cloud['id']): boolean {
  return GOVERNMENT.includes(cloud);
}

export function buildTenant(shape: TenantShape): Tenant {
  const { name, secret, certificate, signIn: _, ...rest } = shape;
  return { ...rest, name: name ?? shape.id, credential: credentialOf(secret, certificate) };
}

function credentialOf(secret: string | undefined, certificate: TenantShape['certificate']): Credential | null {
  if (certificate !== undefined) return { kind: 'certificate', ...certificate };
  return secret === undefined ? null : { kind: 'secret', secret };
}

export function buildTarget(shape: TargetShape): Target {
  return shape;
}

/** `privacy` is what holds where the source says nothing: its tenant's ceiling. */
export function buildSource(shape: SourceShape, privacy: Privacy): SourceConfig {
  const [target = '', calendar = ''] = shape.into.split('/');
  const settings: SourceSettings = {
    id: shape.id,
    into: { target, calendar },
    privacy: shape.privacy ?? privacy,
    privateItems: shape.privateItems,
    titleTag: shape.titleTag,
    reminders: shape.reminders,
    filters: shape.filters,
    priority: shape.priority,
    window: shape.window,
    keepPast: shape.keepPast,
    everySeconds: shape.every ?? EVERY_SECONDS[shape.kind],
    ...(shape.staleAfter === undefined ? {} : { staleAfterSeconds: shape.staleAfter }),
    isPaused: shape.paused,
  };
  switch (shape.kind) {
    case 'graph':
      return { ...settings, kind: shape.kind, tenant: shape.tenant, mailbox: shape.mailbox, calendar: shape.calendar };
    case 'caldav': {
      const { kind, username, password, url = ICLOUD_URL } = shape;
      return { ...settings, kind, url, username, password, calendar: shape.calendar };
    }
    case 'ics':
      return { ...settings, kind: shape.kind, url: shape.url, mayMerge: shape.mayMerge };
    case 'powerautomate':
      return {
        ...settings,
        kind: shape.kind,
        mailbox: shape.mailbox,
        key: hashKey(shape.key),
        formerKey: shape.formerKey === null ? null : hashKey(shape.formerKey),
        signingKey: shape.signingKey,
      };
  }
}
