/** One request and one answer of the simulated services, free of sockets so that $batch can reuse the handlers. */
import { guid } from './ids.ts';
import type { Json } from './event-json.ts';

export interface Call {
  readonly method: string;
  /** As the client wrote it: the real origin, path and query. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Written as JSON; a string goes out as it is; null: no body. */
  readonly body: Json | string | null;
}

export function ok(body: Json): Answer {
  return { status: 200, body };
}

/** Graph's error body (`errors.md`); the request id is what support asks for. */
export function graphError(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Answer {
  const requestId = guid('request', code, message);
  const innerError = { date: '2026-01-01T00:00:00', 'request-id': requestId, 'client-request-id': requestId };
  return { status, headers: { 'request-id': requestId, ...headers }, body: { error: { code, message, innerError } } };
}

/** A bad request that a handler met deep inside. */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super(`refused with ${answer.status}`);
    this.answer = answer;
  }
}
