import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import Router from '@koa/router';
import Koa from 'koa';
import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { Db } from '../store/database.ts';
import { addFlowRoutes, type FlowInbox } from './powerautomate.ts';
import { answers, readActivity, readStatus } from '../store/status.ts';
import { addApi } from './api.ts';
import type { Operations } from './api-routes.ts';
import { addConsent, type ConsentRoutes } from './consent.ts';
import { addPages } from './pages.ts';
import { openAlarms } from '../store/alarms.ts';
import { readFreshness } from '../store/freshness.ts';
import { readPaces } from '../store/pace.ts';
import { addMetrics } from './metrics.ts';
import { addGraphNotifications, type GraphNotificationDeps } from './graph-notifications.ts';

export interface HttpDeps {
  readonly db: Db;
  readonly log: Log;
  readonly apiKey: string | null;
  readonly version: string;
  readonly startedAt: Date;
  /** What the JSON API and the pages do; without it their addresses are not there. */
  readonly operations?: Operations;
  /** Where the service is reached from outside, for the pages' cookies. */
  readonly publicUrl?: string | null;
  /** Takes in what flows post; without it their addresses are not there. */
  readonly flows?: FlowInbox;
  /** Takes in Graph's notifications; without it their addresses are not there. */
  readonly notifications?: Pick<GraphNotificationDeps, 'db' | 'secret' | 'hint'>;
  /** Opens consent pages; without PUBLIC_URL there are none. */
  readonly consent?: ConsentRoutes;
}

/** The product's HTTP door: a table of routes over named steps. */
export function createApp(deps: HttpDeps): Koa {
  const app = new Koa();
  app.use(answerErrors(deps.log));
  app.use(logRequests(deps.log));
  const router = new Router();
  if (deps.flows !== undefined) addFlowRoutes(router, { inbox: deps.flows, log: deps.log });
  const notifications = deps.notifications && addGraphNotifications(router, { log: deps.log, ...deps.notifications });

  router.get('/api/health', async (ctx) => {
    const ready = await answers(deps.db);
    ctx.status = ready ? 200 : 503;
    ctx.set('Cache-Control', 'no-store');
    const detail = ready && isAllowed(ctx.get('x-api-key'), deps.apiKey) ? await readStatus(deps.db) : {};
    ctx.body = { live: true, ready, version: deps.version, ...detail };
  });

  router.get('/api/stats', requireKey(deps.apiKey), async (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.body = {
      version: deps.version,
      startedAt: deps.startedAt.toISOString(),
      memoryBytes: process.memoryUsage.rss(),
      notifications: notifications?.counts,
      ...(await readStatus(deps.db)),
      ...(await readActivity(deps.db)),
      freshness: await readFreshness(deps.db),
      paces: await readPaces(deps.db),
      alarms: await openAlarms(deps.db),
    };
  });

  if (deps.operations !== undefined) {
    const { operations, apiKey, publicUrl = null, version } = deps;
    addApi(router, { operations, guard: requireKey(apiKey), version });
    addPages(router, { operations, apiKey, publicUrl, now: () => new Date() });
  }
  if (deps.consent !== undefined) addConsent(router, deps.consent);
  addMetrics(router, {
    db: deps.db,
    version: deps.version,
    guard: requireKey(deps.apiKey),
    notifications: notifications?.counts ?? null,
  });

  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

function refusal(message: string, code: string): SyncError {
  return new SyncError(message, {
    code,
    recovery: { kind: 'operator', remedy: 'See the addresses in README.md.' },
  });
}

const statuses: Readonly<Record<string, number>> = {
  'http.invalid_value': 400,
  'http.missing_query': 400,
  'http.not_json': 400,
  'http.too_large': 413,
  'http.unauthorized': 401,
  'config.missing_entry': 404,
  'pin.unknown_meeting': 404,
  'pin.ambiguous': 409,
  'pin.no_copy': 409,
  'guard.not_gone': 409,
  'trash.not_restorable': 409,
  'http.not_found': 404,
  'http.method_not_allowed': 405,
  'internal.unexpected': 500,
};

/** One place decides what a client sees of a failure; the cause goes to the log. */
function answerErrors(log: Log): Koa.Middleware {
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.status === 405 || ctx.status === 501)
        throw refusal('This address does not take that method', 'http.method_not_allowed');
      if (ctx.status === 404 && ctx.body === undefined)
        throw refusal('There is nothing at this address', 'http.not_found');
    } catch (thrown) {
      const error = toSyncError(thrown);
      const status = statuses[error.code] ?? 503;
      ctx.status = status;
      ctx.body = {
        error: {
          code: error.code,
          message: status === 500 ? 'Something unexpected happened; the log says what.' : error.message,
          ...(error.field === undefined ? {} : { field: error.field }),
          ...(error.recovery.kind === 'operator' ? { remedy: error.recovery.remedy } : {}),
        },
      };
      log.event('http.failed', { path: ctx.path, status, code: error.code, reason: error.message });
    }
  };
}

function logRequests(log: Log): Koa.Middleware {
  return async (ctx, next) => {
    const startedAt = performance.now();
    await next();
    log.event('http.request', {
      method: ctx.method,
      path: ctx.path,
      status: ctx.status,
      durationMs: Math.round(performance.now() - startedAt),
    });
  };
}

function requireKey(apiKey: string | null): Koa.Middleware {
  return async (ctx, next) => {
    if (!isAllowed(keyOf(ctx), apiKey))
      throw new SyncError(
        apiKey === null ? 'No API_KEY is set, so this address is closed' : 'The API key is missing or wrong',
        {
          code: 'http.unauthorized',
          field: 'X-API-Key',
          recovery: { kind: 'operator', remedy: 'Send the value of API_KEY in the header X-API-Key.' },
        },
      );
    await next();
  };
}

/** Prometheus sends what it has to say as `Authorization: Bearer`. */
function keyOf(ctx: Koa.Context): string {
  return ctx.get('x-api-key') || /^Bearer (.+)$/i.exec(ctx.get('authorization'))?.[1] || '';
}

/** Compares in constant time, whatever the lengths. */
function isAllowed(given: string, wanted: string | null): boolean {
  if (wanted === null || given === '') return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/** Listens; the error of a taken port names the setting. */
export async function listen(app: Koa, host: string, port: number): Promise<Server> {
  const handle = app.callback();
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new SyncError(
          `Cannot listen on ${host}:${port}: ${cause.code === 'EADDRINUSE' ? 'the port is taken' : cause.message}`,
          {
            code: 'http.cannot_listen',
            field: 'PORT',
            recovery: { kind: 'operator', remedy: 'Set PORT (or HOST) in .env to an address that is free.' },
            cause,
          },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  return server;
}

export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), 5_000);
  await closed;
  clearTimeout(timer);
}
