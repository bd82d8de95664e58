import { z } from 'zod';
import type { TargetPlan } from '../deliver/plan-writes.ts';
import type { DataReport } from '../report/data-report.ts';
import { SyncError } from '../shared/errors.ts';
import { listConflicts } from '../store/conflicts.ts';
import type { Store } from '../store/database.ts';
import { explainSeries } from '../store/explain.ts';
import { decideHeld, listHeld, recreateCalendar } from '../store/guard.ts';
import { readAudit, readHistory, recordAudit } from '../store/history.ts';
import { listPins, setPin } from '../store/pins.ts';
import { readSettings } from '../store/settings.ts';
import { wantReading } from '../store/sources.ts';
import { readStatus } from '../store/status.ts';
import { listTrash, restorableSince, titleOf, type Restored } from '../store/trash.ts';
import * as shapes from './api-shapes.ts';

/** What the API does beyond reading rows. */
export interface Operations {
  readonly store: Store;
  readonly hint: (kind: 'ingest' | 'deliver', id: string) => void;
  readonly plan: () => Promise<readonly TargetPlan[]>;
  /** Null: there is no such tenant. */
  readonly dataReport: (tenantId: string) => Promise<DataReport | null>;
  readonly restore: (trashId: string, actor: string) => Promise<Restored>;
}

export interface Call {
  readonly params: Readonly<Record<string, string>>;
  /** As the route's shapes parsed them. */
  readonly query: Record<string, unknown>;
  readonly body: Record<string, unknown>;
}

export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** Below `/api/v1`, parameters as `{name}`. */
  readonly path: string;
  readonly summary: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodObject;
  readonly answer: z.ZodType;
  /** 202 where something is only ordered. */
  readonly status?: 202;
  run(call: Call, operations: Operations): Promise<unknown>;
}

const actor = 'api';
const limit = z.coerce.number().int().min(1).max(1_000).default(100);
const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const before = z
  .string()
  .regex(/^[1-9]\d{0,17}$/)
  .optional()
  .describe('The id of the last line of the page before');
const items = <T extends z.ZodType>(shape: T) => z.strictObject({ items: z.array(shape) });
const pages = <T extends z.ZodType>(shape: T) =>
  z.strictObject({
    items: z.array(shape),
    next: z.nullable(z.string()).describe('Give it as `before` for the next page; null: there is none'),
  });
const filter = z.string().min(1).optional();
/** A page of a log. */
const span = { since: time.optional(), until: time.optional(), before, limit };

/** Types a route's handler by the shapes of its query and body. */
function route<Q extends z.ZodObject = z.ZodObject, B extends z.ZodObject = z.ZodObject>(
  definition: Omit<Route, 'query' | 'body' | 'run'> & {
    readonly query?: Q;
    readonly body?: B;
    run(
      call: { readonly params: Call['params']; readonly query: z.output<Q>; readonly body: z.output<B> },
      operations: Operations,
    ): Promise<unknown>;
  },
): Route {
  return definition;
}

function paged<T extends { readonly id: string }>(rows: readonly T[], most: number) {
  return { items: rows, next: rows.length < most ? null : (rows.at(-1)?.id ?? null) };
}

function param(params: Call['params'], name: string): string {
  return params[name] ?? '';
}

export const routes: readonly Route[] = [
  route({
    method: 'get',
    path: '/status',
    summary: 'Freshness of each source, and the state of each target',
    answer: shapes.statusShape,
    run: (_, { store }) => readStatus(store.db),
  }),
  route({
    method: 'get',
    path: '/sources',
    summary: 'Sources with their settings, without secrets',
    answer: items(shapes.sourceShape),
    run: async (_, { store }) => ({ items: (await readSettings(store.db)).sources }),
  }),
  route({
    method: 'get',
    path: '/sources/{id}',
    summary: 'One source',
    answer: shapes.sourceShape,
    run: async ({ params }, { store }) => found('source', params, (await readSettings(store.db)).sources),
  }),
  route({
    method: 'post',
    path: '/sources/{id}/sync',
    summary: 'Order a reading; with `full` everything in the window is compared',
    body: z.strictObject({ full: z.boolean().default(false) }),
    answer: z.strictObject({ source: z.string(), full: z.boolean() }),
    status: 202,
    run: async ({ params, body: { full } }, { store, hint }) => {
      const id = param(params, 'id');
      if (!(await wantReading(store.db, id, full))) throw missing('source', id);
      await recordAudit(store.db, { actor, action: 'source.sync', subject: id, detail: { full } });
      hint('ingest', id);
      return { source: id, full };
    },
  }),
  route({
    method: 'get',
    path: '/targets',
    summary: 'Targets with their settings, without secrets',
    answer: items(shapes.targetShape),
    run: async (_, { store }) => ({ items: (await readSettings(store.db)).targets }),
  }),
  route({
    method: 'get',
    path: '/targets/{id}',
    summary: 'One target',
    answer: shapes.targetShape,
    run: async ({ params }, { store }) => found('target', params, (await readSettings(store.db)).targets),
  }),
  route({
    method: 'post',
    path: '/targets/{id}/calendars/{calendar}/recreate',
    summary: 'Make a calendar again that is gone from its server',
    answer: z.strictObject({ target: z.string(), calendar: z.string() }),
    status: 202,
    run: async ({ params }, { store, hint }) => {
      const [target, calendar] = [param(params, 'id'), param(params, 'calendar')];
      await store.transaction((db) => recreateCalendar(db, target, calendar, actor));
      hint('deliver', target);
      return { target, calendar };
    },
  }),
  route({
    method: 'get',
    path: '/explain',
    summary: 'The whole story of a series',
    query: z.strictObject({ q: z.string().trim().min(1).describe("UID, source's id, path or a part of the title") }),
    answer: z.strictObject({ query: z.string(), stories: z.array(shapes.storyShape) }),
    run: async ({ query: { q } }, { store }) => ({ query: q, stories: await explainSeries(store.db, q) }),
  }),
  route({
    method: 'get',
    path: '/history',
    summary: 'Writes, and decisions that left something out; newest first',
    query: z.strictObject({
      status: z.enum(['ok', 'error']).optional(),
      source: filter,
      target: filter,
      action: filter,
      uid: filter,
      ...span,
    }),
    answer: pages(shapes.historyShape),
    run: async ({ query }, { store }) => paged(await readHistory(store.db, query), query.limit),
  }),
  route({
    method: 'get',
    path: '/audit',
    summary: 'Who changed what; newest first',
    query: z.strictObject({
      actor: filter,
      action: filter,
      subject: filter,
      ...span,
    }),
    answer: pages(shapes.auditShape),
    run: async ({ query }, { store }) => paged(await readAudit(store.db, query), query.limit),
  }),
  route({
    method: 'get',
    path: '/conflicts',
    summary: 'Where copies of a meeting disagree; the latest first',
    query: z.strictObject({
      state: z.enum(['open', 'closed', 'all']).default('open'),
      source: filter,
      target: filter,
      limit,
    }),
    answer: items(shapes.conflictShape),
    run: async ({ query }, { store }) => ({ items: await listConflicts(store.db, query) }),
  }),
  route({
    method: 'get',
    path: '/plan',
    summary: 'What waits to be written to the targets, and why; writes nothing',
    answer: shapes.planShape,
    run: async (_, { plan }) => ({ plans: await plan() }),
  }),
  route({
    method: 'get',
    path: '/guard',
    summary: 'What waits for a decision',
    answer: shapes.heldShape,
    run: (_, { store }) => listHeld(store.db),
  }),
  ...(['approve', 'discard'] as const).map((decision) =>
    route({
      method: 'post',
      path: `/guard/{subject}/${decision}`,
      summary:
        decision === 'approve'
          ? 'Carry the held removals of a source out, or of target:<id>'
          : 'Keep what is held, and read the source anew',
      answer: shapes.decidedShape,
      run: async ({ params }, { store, hint: send }) => {
        const { hint, ...decided } = await store.transaction((db) =>
          decideHeld(db, param(params, 'subject'), decision, actor),
        );
        send(hint.kind, hint.id);
        return decided;
      },
    }),
  ),
  route({
    method: 'get',
    path: '/trash',
    summary: 'What was deleted from targets in the last 30 days; newest first',
    query: z.strictObject({ target: filter, limit }),
    answer: items(shapes.trashShape),
    run: async ({ query }, { store }) => ({
      items: (await listTrash(store.db, query)).map(({ body, ...entry }) => ({ ...entry, title: titleOf(body) })),
    }),
  }),
  route({
    method: 'post',
    path: '/trash/{id}/restore',
    summary: 'Put a deleted meeting back',
    answer: z.strictObject({ id: z.string(), target: z.string(), objects: z.int(), shownBy: z.string().nullable() }),
    run: async ({ params }, { restore, hint }) => {
      const id = param(params, 'id');
      if (!/^[1-9]\d{0,17}$/.test(id)) throw missing('trash', id);
      const { targetId: target, objects, shownBy } = await restore(id, actor);
      hint('deliver', target);
      return { id, target, objects, shownBy };
    },
  }),
  route({
    method: 'post',
    path: '/trash/restore',
    summary: 'Put all back that was deleted in a span of time',
    body: z.strictObject({ since: time, until: time.optional(), target: filter }),
    answer: z.strictObject({ count: z.int(), targets: z.array(z.string()), failed: z.array(z.string()) }),
    run: async ({ body }, { store, restore, hint }) => {
      const ids = await restorableSince(store.db, body);
      const targets = new Set<string>();
      const failed: string[] = [];
      for (const id of ids)
        await restore(id, actor).then(
          ({ targetId }) => targets.add(targetId),
          (thrown: unknown) => {
            if (!(thrown instanceof SyncError) || thrown.code !== 'trash.not_restorable') throw thrown;
            failed.push(id);
          },
        );
      for (const target of targets) hint('deliver', target);
      return { count: ids.length - failed.length, targets: [...targets], failed };
    },
  }),
  route({
    method: 'get',
    path: '/pins',
    summary: 'What is pinned',
    answer: items(shapes.pinShape),
    run: async (_, { store }) => ({ items: await listPins(store.db) }),
  }),
  route({
    method: 'put',
    path: '/pins/{uid}',
    summary: "Let one source's copy of a meeting show, whatever the rules say",
    body: z.strictObject({ source: z.string().min(1) }),
    answer: shapes.pinChangeShape,
    run: ({ params, body: { source } }, operations) => pin(param(params, 'uid'), source, operations),
  }),
  route({
    method: 'delete',
    path: '/pins/{uid}',
    summary: 'Let the rules decide again whose copy shows',
    answer: shapes.pinChangeShape,
    run: ({ params }, operations) => pin(param(params, 'uid'), null, operations),
  }),
  route({
    method: 'get',
    path: '/tenants/{id}/data-report',
    summary: "What becomes of a tenant's data: which field goes where, and how long it stays",
    answer: shapes.dataReportShape,
    run: async ({ params }, { dataReport }) => {
      const id = param(params, 'id');
      const report = await dataReport(id);
      if (report === null) throw missing('tenant', id);
      return report;
    },
  }),
];

async function pin(uid: string, source: string | null, { store, hint }: Operations) {
  const change = await store.transaction((db) => setPin(db, uid, source, actor));
  hint('deliver', change.target);
  return change;
}

function found<T extends { readonly id: string }>(what: string, params: Call['params'], list: readonly T[]): T {
  const id = param(params, 'id');
  const one = list.find((entry) => entry.id === id);
  if (one === undefined) throw missing(what, id);
  return one;
}

function missing(what: string, id: string): SyncError {
  return new SyncError(`There is no ${what} ${id}`, {
    code: 'config.missing_entry',
    field: what,
    recovery: { kind: 'operator', remedy: `Ask for the list of them.` },
  });
}
