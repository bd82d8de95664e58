import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Context } from 'koa';
import { readBatch, type Batch } from '../sources/graph/notification.ts';
import { notificationInbox, type InboxCounts, type InboxDeps } from './notification-inbox.ts';

export interface GraphNotificationDeps extends InboxDeps {
  /** The part of the path that nobody can guess. */
  readonly secret: string;
}

const maxBytes = 1_048_576;

/**
 * The addresses that Graph posts to. No key, for Graph has none: the path is secret and each item proves itself by its
 * client state. An item that does not is ignored and answered like any other, or Graph would send it for hours (Graph
 * docs, `change-notifications-delivery-webhooks.md`).
 */
export function addGraphNotifications(router: Router, deps: GraphNotificationDeps): { counts: Readonly<InboxCounts> } {
  const inbox = notificationInbox(deps);
  router.post(['/api/graph/notifications/:secret', '/api/graph/lifecycle/:secret'], async (ctx, next) => {
    if (!isSame(ctx.params['secret'] ?? '', deps.secret)) {
      await next();
      return;
    }
    const { validationToken } = ctx.query;
    const token = Array.isArray(validationToken) ? validationToken[0] : validationToken;
    if (token !== undefined) {
      shakeHands(ctx, token);
      return;
    }
    if (!/^application\/(?:json|[\w.-]+\+json)\s*(?:;|$)/i.test(ctx.get('content-type'))) {
      refuse(ctx, 415, 'http.not_json', 'Notifications are application/json.');
      return;
    }
    const body = await readBody(ctx.req);
    if (body === null) {
      // What is left of the body is not worth reading.
      ctx.set('Connection', 'close');
      refuse(ctx, 413, 'http.too_large', `A batch may have ${maxBytes} bytes.`);
      return;
    }
    const batch = readBatch(body);
    if (batch.kind === 'refused') {
      refuse(ctx, 400, 'http.no_batch', refusals[batch.reason]);
      return;
    }
    await inbox.accept(batch.items, batch.malformed);
    ctx.status = 202;
    ctx.body = '';
  });
  return { counts: inbox.counts };
}

const refusals: Readonly<Record<Extract<Batch, { kind: 'refused' }>['reason'], string>> = {
  'not-json': 'The body is no JSON.',
  'too-deep': 'The body is nested too deeply.',
  'no-batch': 'The body holds no list named "value".',
};

/** Graph asks before each new subscription whether we are here: its token, decoded once, as plain text. */
function shakeHands(ctx: Context, token: string): void {
  ctx.status = 200;
  // A stranger could have chosen the text: no browser may take it for a page.
  ctx.set('Content-Type', 'text/plain; charset=utf-8');
  ctx.set('X-Content-Type-Options', 'nosniff');
  ctx.set('Cache-Control', 'no-store');
  ctx.body = token;
}

function refuse(ctx: Context, status: number, code: string, message: string): void {
  ctx.status = status;
  ctx.body = { error: { code, message } };
}

/** Null: it is longer than allowed. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return null;
  const chunks: Buffer[] = [];
  let length = 0;
  // The stream is not destroyed when we stop reading: the answer goes out on the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** Compares in constant time, whatever the lengths. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
