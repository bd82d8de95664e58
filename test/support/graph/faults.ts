/** Faults on demand: which requests fail, how often and how. */
import { graphError, type Answer } from './exchange.ts';

export type How =
  | {
      readonly status: number;
      readonly code?: string;
      /** A more specific code, nested and in the other spelling, `innererror` (`errors.md`). */
      readonly innerCode?: string;
      readonly message?: string;
      readonly retryAfter?: string;
    }
  /** An answer of our own making. */
  | { readonly answer: Answer }
  /** The connection breaks: before anything was done, or after, when only the answer is lost. */
  | { readonly reset: 'before' | 'after' }
  /** The true answer, cut in the middle of its JSON. */
  | { readonly truncated: true }
  /** A web page in place of JSON, as a proxy sends. */
  | { readonly html: number }
  /** The true answer, late. */
  | { readonly slowMs: number };

export interface FaultOptions {
  /** Text or expression found in `METHOD https://real.host/path?query`, percent-decoded; none: every request. */
  readonly match?: string | RegExp;
  /** How many requests; none: until `clear`. */
  readonly times?: number;
  readonly how: How;
}

export interface Fault {
  /** Requests that it has hit. */
  readonly hits: () => number;
  readonly clear: () => void;
}

export class Faults {
  private readonly active: { options: FaultOptions; left: number; hits: number }[] = [];
  private acts: { match: string | RegExp; act: () => void }[] = [];

  /** See `GraphSimulator.before`. */
  before(match: string | RegExp, act: () => void): () => void {
    const waiting = { match, act };
    this.acts.push(waiting);
    return () => {
      this.acts = this.acts.filter((each) => each !== waiting);
    };
  }

  /** Runs what waits for a request like this one. */
  runActs(line: string): void {
    const due = this.acts.filter(({ match }) => matches(line, match));
    this.acts = this.acts.filter((waiting) => !due.includes(waiting));
    for (const { act } of due) act();
  }

  add(options: FaultOptions): Fault {
    const fault = { options, left: options.times ?? Infinity, hits: 0 };
    this.active.push(fault);
    return { hits: () => fault.hits, clear: () => void (fault.left = 0) };
  }

  /** The fault that this request meets, counted; null: none. */
  take(line: string): How | null {
    const fault = this.active.find(({ options, left }) => left > 0 && matches(line, options.match));
    if (!fault) return null;
    fault.left -= 1;
    fault.hits += 1;
    return fault.options.how;
  }
}

export function matches(line: string, match: string | RegExp | undefined): boolean {
  if (match === undefined) return true;
  return typeof match === 'string' ? line.includes(match) : match.test(line);
}

const usualCodes: Readonly<Record<number, string>> = {
  401: 'InvalidAuthenticationToken',
  403: 'ErrorAccessDenied',
  404: 'ErrorItemNotFound',
  410: 'SyncStateNotFound',
  429: 'ApplicationThrottled',
  500: 'ErrorInternalServerError',
  503: 'ErrorServerBusy',
  504: 'UnknownError',
};

/** Graph's answer for a fault that is a status. */
export function statusAnswer(how: Extract<How, { status: number }>): Answer {
  const headers: Record<string, string> = how.retryAfter === undefined ? {} : { 'retry-after': how.retryAfter };
  const code = how.code ?? usualCodes[how.status] ?? 'UnknownError';
  const message = how.message ?? 'A fault made on demand.';
  if (how.innerCode === undefined) return graphError(how.status, code, message, headers);
  return { status: how.status, headers, body: { error: { code, message, innererror: { code: how.innerCode } } } };
}
