import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Log } from '../shared/log.ts';
import { faultOfBrokenJson, shapeOf, shapeOfBroken } from '../sources/powerautomate/broken-body.ts';
import {
  readFlowBody,
  readFlowWindow,
  type FlowAction,
  type FlowFault,
  type FlowItem,
  type FlowWindow,
} from '../sources/powerautomate/read-flow-body.ts';

export type FlowVerdict = 'ok' | 'unknown' | 'wrong-key' | 'wrong-signature' | 'expired-signature' | 'no-signing-key';

/** What takes in the posts of flows. */
export interface FlowInbox {
  /** Whether the sender has the source's key, or has signed the body with it. Empty texts: not sent. */
  check(
    sourceId: string,
    proof: { key: string; signature: string; timestamp: string; body: Buffer },
  ): Promise<FlowVerdict>;
  /** Returns when it is durable. Throws when it could not be stored. */
  accept(
    sourceId: string,
    post: {
      items: readonly FlowItem[];
      window: FlowWindow | null;
      /** Of a signed post, which stores once however often it comes; null: not signed. */
      signature: string | null;
    },
  ): Promise<
    /** `repeated`: signed, and stored before; the sender did not see our answer. */
    | { readonly kind: 'unknown' | 'paused' | 'repeated' }
    | {
        readonly kind: 'stored';
        readonly changed: number;
        readonly removed: number;
        readonly held: number;
        readonly outdated: number;
      }
  >;
  /** Keeps what a body looked like that could not be read: names and types, no values. */
  recordUnreadable(sourceId: string, what: FlowFault & { shape: string }): Promise<void>;
}

export interface FlowRouteDeps {
  readonly inbox: FlowInbox;
  readonly log: Log;
}

const maxBytes = 5 * 1_048_576;

interface Wanted {
  readonly sourceId: string;
  readonly action: FlowAction | null;
  readonly isWindow: boolean;
}

/**
 * The addresses that flows post to. Answered 202 once stored, without Location, which the HTTP action would poll. A
 * passing fault is 503, for which it tries again; what it can never mend by trying again is 4xx.
 */
export function addFlowRoutes(router: Router, deps: FlowRouteDeps): void {
  for (const action of ['created', 'updated', 'deleted'] as const)
    router.post(`/api/webhook/event/${action}`, (ctx) =>
      receive(ctx, deps, { sourceId: ctx.get('x-calendar-source'), action, isWindow: false }),
    );
  router.post('/api/webhook/powerautomate/:source', (ctx) =>
    receive(ctx, deps, { sourceId: ctx.params['source'] ?? '', action: null, isWindow: false }),
  );
  router.post('/api/webhook/powerautomate/:source/window', (ctx) =>
    receive(ctx, deps, { sourceId: ctx.params['source'] ?? '', action: null, isWindow: true }),
  );
}

async function receive(ctx: Context, deps: FlowRouteDeps, wanted: Wanted): Promise<void> {
  const type = ctx.get('content-type');
  if (type !== '' && !/^application\/(?:json|[\w.-]+\+json)\s*(?:;|$)/i.test(type)) {
    refuse(ctx, 415, 'http.not_json', 'An event is posted as application/json.', 'Content-Type');
    return;
  }
  const body = await readBody(ctx.req);
  if (body === null) {
    // What is left of the body is not worth reading.
    ctx.set('Connection', 'close');
    refuse(ctx, 413, 'http.too_large', `A body may have ${maxBytes} bytes; post it in parts.`);
    return;
  }
  try {
    await answer(ctx, deps, wanted, body);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    deps.log.event('http.failed', { path: ctx.path, status: 503, code: 'flow.not_stored', reason });
    ctx.set('Retry-After', '30');
    refuse(ctx, 503, 'flow.not_stored', 'It could not be stored now; the flow tries again by itself.');
  }
}

async function answer(ctx: Context, { inbox }: FlowRouteDeps, wanted: Wanted, body: Buffer): Promise<void> {
  const { sourceId } = wanted;
  const signature = ctx.get('x-signature');
  const verdict = await inbox.check(sourceId, {
    key: ctx.get('x-api-key'),
    signature,
    timestamp: ctx.get('x-timestamp'),
    body,
  });
  if (verdict !== 'ok') {
    const [status, code, message, field] = refusals[verdict];
    refuse(ctx, status, code, message, wanted.action !== null && verdict === 'unknown' ? 'X-Calendar-Source' : field);
    return;
  }
  const read = readPost(body, wanted);
  if (read.kind === 'faults') {
    const [first = { field: 'body', problem: 'cannot be read' }] = read.faults;
    await inbox.recordUnreadable(sourceId, { ...first, shape: read.shape });
    refuse(ctx, 422, 'flow.unreadable', `${first.field} ${first.problem}.`, first.field, read.faults);
    return;
  }
  const stored = await inbox.accept(sourceId, { ...read.post, signature: signature === '' ? null : signature });
  if (stored.kind === 'stored') {
    const { changed, removed, held, outdated } = stored;
    accepted(ctx, { changed, removed, held, outdated });
  } else if (stored.kind === 'repeated') accepted(ctx, { changed: 0, note: 'It was stored before.' });
  else if (stored.kind === 'paused') accepted(ctx, { changed: 0, note: 'The source is paused; nothing was stored.' });
  else refuse(ctx, ...refusals.unknown);
}

type Post =
  | { readonly kind: 'read'; readonly post: { items: readonly FlowItem[]; window: FlowWindow | null } }
  | { readonly kind: 'faults'; readonly faults: readonly FlowFault[]; readonly shape: string };

function readPost(body: Buffer, { action, isWindow }: Wanted): Post {
  const text = body.toString('utf8').replace(/^\uFEFF/, '');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { kind: 'faults', faults: [faultOfBrokenJson(text)], shape: shapeOfBroken(text) };
  }
  const window = isWindow ? readFlowWindow(json) : null;
  const items = readFlowBody(json, action);
  if (window?.kind === 'faults') return { ...window, shape: shapeOf(json) };
  if (items.kind === 'faults') return { ...items, shape: shapeOf(json) };
  return { kind: 'read', post: { items: items.value, window: window?.value ?? null } };
}

const refusals: Readonly<
  Record<Exclude<FlowVerdict, 'ok'>, readonly [status: number, code: string, message: string, field: string]>
> = {
  unknown: [404, 'flow.unknown_source', 'There is no source of this id that flows post to.', 'source'],
  'wrong-key': [401, 'http.unauthorized', 'The key is missing or not the one of this source.', 'X-API-Key'],
  'wrong-signature': [
    401,
    'http.unauthorized',
    'The signature is not one of this body with the source’s signing key.',
    'X-Signature',
  ],
  'no-signing-key': [
    401,
    'http.unauthorized',
    'This source has no signingKey to prove a signature by; set one, or send the key alone.',
    'X-Signature',
  ],
  'expired-signature': [
    401,
    'http.unauthorized',
    'The time stamp is missing or more than five minutes away.',
    'X-Timestamp',
  ],
};

function accepted(ctx: Context, counts: Readonly<Record<string, number | string>>): void {
  ctx.status = 202;
  ctx.body = counts;
}

function refuse(
  ctx: Context,
  status: number,
  code: string,
  message: string,
  field?: string,
  faults: readonly FlowFault[] = [],
): void {
  ctx.status = status;
  ctx.body = {
    error: {
      code,
      message,
      ...(field === undefined ? {} : { field }),
      ...(faults.length > 1 ? { faults } : {}),
    },
  };
}

/** Null: it is longer than allowed. */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return null;
  const chunks: Buffer[] = [];
  let length = 0;
  // The stream is not destroyed when we stop reading: the answer goes out on the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
