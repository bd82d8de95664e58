/** Between node:http and the simulated services. */
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Answer, Call } from './exchange.ts';
import type { How } from './faults.ts';

/** A request as the services see it, under the real origin. */
export async function callOf(origin: string, request: IncomingMessage): Promise<Call> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : (value ?? ''),
    ]),
  );
  return {
    method: request.method ?? 'GET',
    url: new URL(request.url ?? '/', origin),
    headers,
    body: Buffer.concat(chunks).toString(),
  };
}

/** `METHOD url`, percent-decoded, as matches of faults and waits read it. */
export function lineOf(method: string, url: string): string {
  return `${method} ${decodeURIComponent(url.replaceAll(/%(?![0-9a-f]{2})/gi, '%25'))}`;
}

/** Writes an answer; null, or a fault that says so, breaks the connection. */
export function write(response: ServerResponse, answer: Answer | null, how: How | null): void {
  if (answer === null || (how && 'reset' in how)) {
    response.socket?.resetAndDestroy();
    return;
  }
  const isJson = answer.body !== null && typeof answer.body !== 'string';
  const text = isJson ? JSON.stringify(answer.body) : (answer.body ?? '');
  const sent = how && 'truncated' in how ? text.slice(0, Math.floor(text.length / 2)) : text;
  const type = isJson ? 'application/json; odata.metadata=minimal; charset=utf-8' : 'text/plain';
  response.writeHead(answer.status, { 'content-type': type, ...answer.headers });
  response.end(sent);
}
