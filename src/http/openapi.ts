import { z } from 'zod';
import { errorShape } from './api-shapes.ts';
import type { Route } from './api-routes.ts';

/** The OpenAPI 3.1 document of the JSON API, made from the table of its routes. Pure. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) (paths[`/api/v1${route.path}`] ??= {})[route.method] = operationOf(route);
  return {
    openapi: '3.1.0',
    info: {
      title: 'calendar-sync',
      version,
      description: 'What the service reads, shows, holds and has done. Times are UTC; secrets are never answered.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    paths,
    components: {
      securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'X-API-Key' } },
      schemas: { Error: schemaOf(errorShape, 'output') },
    },
  };
}

function operationOf({ method, path, summary, query, body, answer, status: ordered }: Route): object {
  const status = ordered ?? 200;
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const parameters = [
    ...names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...(query === undefined ? [] : queryParameters(query)),
  ];
  const error = { content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } };
  return {
    operationId: [method, ...path.split('/').filter((part) => part !== '')].join('-').replaceAll(/[{}]/g, ''),
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { content: { 'application/json': { schema: schemaOf(body, 'input') } } } }),
    responses: {
      [status]: {
        description: status === 202 ? 'Ordered' : 'Done',
        content: { 'application/json': { schema: schemaOf(answer, 'output') } },
      },
      400: { description: 'Something that was sent cannot be taken', ...error },
      401: { description: 'The key is missing or wrong', ...error },
      ...(names.length === 0 ? {} : { 404: { description: 'There is no such thing', ...error } }),
      ...(method === 'get' ? {} : { 409: { description: 'Not possible as things are', ...error } }),
    },
  };
}

function queryParameters(query: z.ZodObject): object[] {
  const { properties = {}, required = [] } = schemaOf(query, 'input') as {
    properties?: Record<string, { description?: string }>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }));
}

function schemaOf(shape: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...schema } = z.toJSONSchema(shape, { io, unrepresentable: 'any' });
  return schema;
}
