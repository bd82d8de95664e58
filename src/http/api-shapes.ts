import { z } from 'zod';

/** What the JSON API answers, as shapes: the OpenAPI document is made from them, and tests hold every answer against them. */

const instant = z.iso.datetime().describe('UTC');
const id = z.string();
const count = z.int().min(0);
const optional = <T extends z.ZodType>(shape: T): z.ZodNullable<T> => z.nullable(shape);

export const errorShape = z.strictObject({
  error: z.strictObject({
    code: z.string().describe('Stable; docs/errors.md lists all'),
    message: z.string(),
    field: z.string().optional(),
    remedy: z.string().optional().describe('What to do about it'),
  }),
});

const trouble = { code: optional(z.string()), reason: optional(z.string()), remedy: optional(z.string()) };

export const sourceStatusShape = z.object({
  id,
  kind: z.enum(['graph', 'caldav', 'ics', 'powerautomate']),
  target: z.string().describe('target/calendar'),
  state: z.enum(['fresh', 'reading', 'late', 'paused', 'failing', 'needs-operator']),
  freshAt: optional(instant).describe('When a reading last proved that the target shows what the source shows'),
  shown: count,
  hidden: count,
  held: count,
  stale: count,
  failures: count,
  ...trouble,
});

export const targetStatusShape = z.object({
  id,
  state: z.enum(['current', 'delivering', 'failing', 'needs-operator']),
  objects: count,
  due: count,
  failed: count,
  lastWriteAt: optional(instant),
  ...trouble,
});

export const statusShape = z.object({
  sources: z.array(sourceStatusShape),
  targets: z.array(targetStatusShape),
});

export const sourceShape = z.object({
  id,
  kind: sourceStatusShape.shape.kind,
  tenant: optional(id),
  mailbox: optional(z.string()),
  calendar: optional(z.string()),
  into: z.string().describe('target/calendar'),
  privacy: z.enum(['full', 'title', 'busy']),
  privateItems: z.enum(['full', 'busy', 'skip']),
  titleTag: z.string(),
  reminders: z.union([z.enum(['source', 'none']), z.int()]),
  filters: z.record(z.string(), z.unknown()),
  priority: z.int(),
  window: z.strictObject({ pastDays: z.int(), futureDays: z.int() }),
  keepPast: z.boolean(),
  everySeconds: z.int(),
  staleAfterSeconds: optional(z.int()),
  isPaused: z.boolean(),
  status: sourceStatusShape,
});

export const targetShape = z.object({
  id,
  url: z.string(),
  username: z.string(),
  strategy: z.enum(['last-write-wins', 'priority']),
  dedupe: z.enum(['target', 'calendar', 'off']),
  drift: z.enum(['repair', 'keep']),
  calendars: z.array(z.object({ id, name: z.string(), color: optional(z.string()) })),
  status: targetStatusShape,
});

export const historyShape = z.strictObject({
  id,
  at: instant,
  status: z.enum(['ok', 'error']),
  action: z.string(),
  source: optional(id),
  target: optional(id),
  uid: optional(z.string()),
  title: optional(z.string()),
  href: optional(z.string()),
  httpStatus: optional(z.int()),
  code: optional(z.string()),
  message: optional(z.string()),
  durationMs: optional(z.int()),
  counts: optional(z.record(z.string(), z.number())),
});

export const auditShape = z.strictObject({
  id,
  at: instant,
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  detail: z.unknown(),
});

const said = z.strictObject({ source: id, value: z.string() });
const conflict = {
  field: z.enum(['times', 'recurrence', 'place', 'title', 'status']),
  shown: said,
  other: said,
  rule: z.string().describe('What decided which copy shows'),
  openedAt: instant,
  closedAt: optional(instant).describe('When the copies agreed again; null while they disagree'),
};

export const conflictShape = z.strictObject({
  id,
  target: id,
  uid: z.string(),
  title: optional(z.string()),
  ...conflict,
});

export const heldShape = z.strictObject({
  removals: z.array(
    z.strictObject({
      source: z.string().describe('A source, or target:<id> for the ceiling of a target'),
      count,
      upcoming: count,
      since: instant,
      reason: z.string(),
    }),
  ),
  calendars: z.array(z.strictObject({ target: id, calendar: id, since: instant, objects: count })),
});

export const decidedShape = z.strictObject({
  subject: z.string(),
  decision: z.enum(['approve', 'discard']),
  count,
});

export const trashShape = z.strictObject({
  id,
  target: id,
  calendar: id,
  source: optional(id),
  uid: z.string(),
  title: z.string(),
  reason: z.string(),
  deletedAt: instant,
  restoredAt: optional(instant),
});

export const pinShape = z.strictObject({
  target: id,
  uid: z.string(),
  title: optional(z.string()),
  source: id,
  shownBy: optional(id),
});

export const pinChangeShape = z.strictObject({
  target: id,
  uid: z.string(),
  source: optional(id),
  before: optional(id),
});

export const planShape = z.strictObject({
  plans: z.array(
    z.strictObject({
      target: id,
      heldBecause: optional(z.string()).describe('Why deletions would be held; null: they would be made'),
      review: optional(z.enum(['waiting', 'ready'])).describe('After a restore: nothing is written before approval'),
      writes: z.array(
        z.strictObject({
          do: z.enum(['create', 'update', 'delete']),
          uid: z.string(),
          title: optional(z.string()),
          calendar: id,
          href: z.string(),
          why: z.string(),
          fields: optional(
            z.array(z.strictObject({ field: z.string(), from: optional(z.string()), to: optional(z.string()) })),
          ).describe('Of an update; null: what stands there could not be read'),
        }),
      ),
    }),
  ),
});

export const storyShape = z.object({
  target: optional(id),
  uid: optional(z.string()),
  slot: z.string(),
  sequence: z.int(),
  state: z.enum(['shown', 'covered', 'hidden', 'gone', 'waiting', 'failing']),
  shownBy: optional(id),
  pinnedTo: optional(id),
  why: optional(z.string()),
  failures: count,
  code: optional(z.string()),
  reason: optional(z.string()),
  nextTryAt: optional(instant),
  claims: z.array(
    z.object({
      source: id,
      key: z.string(),
      uid: optional(z.string()),
      slot: z.string(),
      title: optional(z.string()),
      start: optional(instant),
      detail: z.enum(['full', 'title', 'busy']),
      hiddenBy: optional(z.string()),
      state: z.enum(['shown', 'pending', 'held']),
      isShown: z.boolean(),
      checkMode: optional(z.string()),
      lastModifiedAt: optional(instant),
      changedAt: instant,
      readAt: instant,
    }),
  ),
  stale: z.array(
    z.object({
      source: id,
      key: z.string(),
      why: z.string(),
      failures: count,
      code: optional(z.string()),
      reason: optional(z.string()),
      nextTryAt: optional(instant),
    }),
  ),
  conflicts: z.array(z.strictObject(conflict)),
  objects: z.array(
    z.object({
      calendar: id,
      part: z.string(),
      href: z.string(),
      etag: optional(z.string()),
      writtenAt: instant,
      repairs: count,
    }),
  ),
  writes: z.array(
    z.object({
      at: instant,
      status: z.enum(['ok', 'error']),
      action: z.string(),
      href: optional(z.string()),
      httpStatus: optional(z.int()),
      code: optional(z.string()),
      message: optional(z.string()),
      durationMs: optional(z.int()),
    }),
  ),
});

const fate = z.enum(['yes', 'no', 'replaced']);
const fieldReport = z.strictObject({ field: z.string(), graph: z.string(), stored: fate, shown: fate });

export const dataReportShape = z.strictObject({
  tenant: z.strictObject({
    id,
    name: z.string(),
    cloud: id,
    directory: z.string(),
    access: z.string(),
    ceiling: z.enum(['full', 'title', 'busy']),
  }),
  madeAt: instant,
  sources: z.array(
    z.strictObject({
      id,
      mailbox: z.string(),
      calendar: z.string(),
      target: z.string(),
      account: z.string(),
      privacy: z.enum(['full', 'title', 'busy']),
      privateItems: z.enum(['full', 'busy', 'skip']),
      isPaused: z.boolean(),
      window: z.string(),
      leftOut: z.array(z.string()),
      fields: z.array(fieldReport),
      privateFields: z.array(fieldReport),
      stored: count,
      hidden: count,
    }),
  ),
  places: z.array(z.strictObject({ place: z.string(), what: z.string(), howLong: z.string() })),
  notes: z.array(z.string()),
});
