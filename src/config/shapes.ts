import { z } from 'zod';

import { parseDuration } from './duration.ts';
import { readKeyPair } from './key-pair.ts';

/**
 * The shapes of the entries of a configuration, as the file and the API take them, with their defaults. Messages are
 * `what is wrong. What to do.` and follow the field's name.
 */

const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DOMAIN = /^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$/i;

const id = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, {
  error: 'is no id. Use small letters, digits and hyphens between them, 63 at most.',
});
const filled = z.string().min(1, { error: 'is empty. Give it a value.' });
const secret = z.string().min(1, { error: 'is empty. Set it, best as ${NAME} of an environment variable.' });
const webhookKey = z.string().min(16, { error: 'is shorter than 16 characters. Make one: openssl rand -hex 24' });
const mailbox = z
  .string()
  .regex(/^[^\s@]+@[^\s@]+\.[^\s@]+$/, { error: 'is no mail address. Write it like me@example.com.' });
const guid = z.string().regex(GUID, {
  error: 'is no application id. Copy the "Application (client) ID" of the app registration.',
});
const directory = z
  .string()
  .refine((text) => !['common', 'organizations', 'consumers'].includes(text.toLowerCase()), {
    error: 'names no single directory. Give the directory (tenant) id, or a verified domain.',
    abort: true,
  })
  .refine((text) => GUID.test(text) || DOMAIN.test(text), {
    error: 'is neither an id nor a domain. Give the directory (tenant) id, or a verified domain.',
  });
const httpUrl = z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
  error: 'is no http or https URL. Write it like https://dav.example/dav.php/.',
});
const feedUrl = z
  .string()
  .transform((text) => text.replace(/^webcals?:/i, 'https:'))
  .pipe(httpUrl);
/** Tokens go there: plain http only on this machine. */
const origin = z
  .string()
  .transform((text) => text.replace(/\/$/, ''))
  .refine((text) => URL.canParse(text) && new URL(text).origin === text && isSafe(new URL(text)), {
    error: 'is no origin. Write it like https://login.lab.example:8443.',
  });
const duration = z
  .string()
  .transform((text) => parseDuration(text) ?? -1)
  .refine((seconds) => seconds >= 10 && seconds <= 7 * 86_400, {
    error: 'is no duration from 10s to 7d. Write it like 60s, 15m, 12h or 7d.',
  });
const days = (most: number): z.ZodType<number, number> =>
  z.number().refine((count) => Number.isInteger(count) && count >= 0 && count <= most, {
    error: `is no number of days. Give a whole number, 0 to ${most}.`,
  });
const day = z.string().refine((text) => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text)), {
  error: 'is no day. Write it like 2027-01-31.',
});
const pattern = z
  .string()
  .refine(isPattern, { error: 'is no regular expression. Escape . * + ? ( ) [ ] { } | with \\.' });
const time = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, { error: 'is no time. Write it like "08:00".' });
const zone = z.string().refine(isZone, { error: 'is no time zone. Write it like Europe/Berlin.' });
const privacy = z.enum(['full', 'title', 'busy']);
const shown = z.enum(['hide', 'show']);

const pemPair = z
  .strictObject({ certificate: filled, privateKey: filled, password: filled.optional() })
  .transform((texts, context) => {
    const read = readKeyPair(texts);
    if (typeof read !== 'string') return read;
    context.addIssue({ code: 'custom', message: read });
    return z.NEVER;
  });

const filters = z.strictObject({
  declined: shown.default('hide'),
  free: shown.default('show'),
  tentative: shown.default('show'),
  cancelled: shown.default('show'),
  allDay: shown.default('show'),
  titles: z.array(pattern).default([]),
  categories: z.array(filled).default([]),
  sensitivities: z.array(z.enum(['normal', 'personal', 'private', 'confidential'])).default([]),
  hours: z
    .strictObject({ zone, from: time, to: time })
    .refine(({ from, to }) => from !== to, {
      error: 'are none. Let from differ from to; an earlier to is on the next day.',
    })
    .nullable()
    .default(null),
});

const settings = {
  id,
  into: z
    .string()
    .regex(/^[^/]+\/[^/]+$/, { error: 'names no calendar. Write it like me/work: target, then calendar.' }),
  /** What may be the default depends on the tenant. */
  privacy: privacy.optional(),
  privateItems: z.enum(['full', 'busy', 'skip']).default('busy'),
  titleTag: z.string().max(40, { error: 'is longer than 40 characters. Shorten it.' }).default(''),
  reminders: z
    .union([z.enum(['source', 'none']), z.number().int().min(0).max(40_320)], {
      error: 'is none of source, none, or minutes before the start. Choose one.',
    })
    .default('source'),
  filters: filters.prefault({}),
  priority: z.int({ error: 'is no whole number. Smaller is stronger.' }).default(100),
  window: z.strictObject({ pastDays: days(3_650).default(90), futureDays: days(1_825).default(730) }).prefault({}),
  keepPast: z.boolean().default(true),
  every: duration.optional(),
  staleAfter: duration.optional(),
  paused: z.boolean().default(false),
};

export const cloudShape = z.strictObject({ login: origin, graph: origin, portal: origin.nullable().default(null) });

export const tenantShape = z.strictObject({
  id: id.refine((text) => text !== 'callback', {
    error: 'is taken: Microsoft leads back to /consent/callback. Choose another id.',
  }),
  name: filled.optional(),
  cloud: filled,
  directory,
  client: guid,
  access: z.enum(['scoped', 'tenant-wide']).default('scoped'),
  ceiling: privacy.default('full'),
  notifications: z.boolean().default(true),
  keepWithdrawnDays: days(3_650).default(30),
  secret: secret.optional(),
  secretExpires: day.nullable().default(null),
  certificate: pemPair.optional(),
  signIn: z.literal('delegated').optional(),
});

export const targetShape = z.strictObject({
  id,
  url: httpUrl,
  username: filled,
  password: secret,
  strategy: z.enum(['last-write-wins', 'priority']).default('last-write-wins'),
  dedupe: z.enum(['target', 'calendar', 'off']).default('target'),
  drift: z.enum(['repair', 'keep']).default('repair'),
  calendars: z
    .array(
      z.strictObject({
        id,
        name: filled,
        color: z
          .string()
          .regex(/^#[0-9a-f]{6}$/i, { error: 'is no colour. Write it like "#3366cc", with the quotes.' })
          .nullable()
          .default(null),
      }),
    )
    .min(1, { error: 'are none. Name one at least.' }),
});

export const sourceShape = z.discriminatedUnion('kind', [
  z.strictObject({
    ...settings,
    kind: z.literal('graph'),
    tenant: filled,
    mailbox,
    calendar: filled.default('default'),
  }),
  z.strictObject({
    ...settings,
    kind: z.literal('caldav'),
    preset: z.literal('icloud').optional(),
    url: httpUrl.optional(),
    username: filled,
    password: secret,
    calendar: filled,
  }),
  z.strictObject({ ...settings, kind: z.literal('ics'), url: feedUrl, mayMerge: z.boolean().default(false) }),
  z.strictObject({
    ...settings,
    kind: z.literal('powerautomate'),
    mailbox,
    key: webhookKey,
    formerKey: webhookKey.nullable().default(null),
    signingKey: webhookKey.nullable().default(null),
  }),
]);

export type TenantShape = z.output<typeof tenantShape>;
export type TargetShape = z.output<typeof targetShape>;
export type SourceShape = z.output<typeof sourceShape>;

function isSafe({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1'].includes(hostname));
}

function isPattern(text: string): boolean {
  try {
    return text !== '' && new RegExp(text, 'iu') instanceof RegExp;
  } catch {
    return false;
  }
}

function isZone(text: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
