import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type Koa from 'koa';
import { z } from 'zod';
import { SyncError } from '../shared/errors.ts';
import { routes, type Operations, type Route } from './api-routes.ts';
import { openApiDocument } from './openapi.ts';

const mostBytes = 65_536;

/** The JSON API: a table of routes; `/api/openapi.json`, open to all, says what each takes and answers. */
export function addApi(
  router: Router,
  deps: { readonly operations: Operations; readonly guard: Koa.Middleware; readonly version: string },
): void {
  const document = openApiDocument(routes, deps.version);
  router.get('/api/openapi.json', (ctx) => {
    ctx.body = document;
  });
  for (const route of routes)
    router[route.method](`/api/v1${route.path.replaceAll(/\{(\w+)\}/g, ':$1')}`, deps.guard, async (ctx) => {
      ctx.set('Cache-Control', 'no-store');
      const answer = await route.run(
        {
          params: ctx.params,
          query: parse(route.query, { ...ctx.query }),
          body: route.body === undefined ? {} : parse(route.body, await readJson(ctx.req)),
        },
        deps.operations,
      );
      ctx.status = route.status ?? 200;
      ctx.body = answer;
    });
}

function parse(shape: Route['query'], value: unknown): Record<string, unknown> {
  if (shape === undefined) return {};
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = issue?.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : (issue?.path.join('.') ?? '');
  const isMissing = issue?.code === 'invalid_type' && issue.message.endsWith('received undefined');
  throw new SyncError(
    issue?.code === 'unrecognized_keys'
      ? `${name} is not known here`
      : isMissing
        ? `${name} is missing`
        : `${name} cannot be taken: ${issue?.message ?? ''}`,
    {
      code: isMissing ? 'http.missing_query' : 'http.invalid_value',
      field: name,
      recovery: { kind: 'operator', remedy: 'See /api/openapi.json.' },
    },
  );
}

/** An empty body is an empty object: everything in it may have a default. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > mostBytes) throw refused('http.too_large', `The body is larger than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8').trim();
  if (text === '') return {};
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    throw refused('http.not_json', 'The body is no JSON object');
  }
}

function refused(code: string, message: string): SyncError {
  return new SyncError(message, { code, recovery: { kind: 'operator', remedy: 'See /api/openapi.json.' } });
}
