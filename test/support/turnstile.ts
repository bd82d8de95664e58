/**
 * Lets requests through one at a time, in an order that a seed decides and not the machine: the next one is chosen only
 * when whatever the last answer set going has come to rest, so that the same seed meets the same requests in the same
 * order, however many are under way at once.
 */
import pg from 'pg';
import { seededRandom } from './graph/switches.ts';

export interface TurnstileOptions {
  readonly seed: number;
  /** Told before each request how many others wait that are in hand as well. */
  readonly onPass: (others: number) => void;
}

export interface Turnstile {
  readonly fetch: typeof fetch;
  /** What passed, in order, and how it was answered. */
  readonly trace: readonly string[];
}

interface Waiting {
  readonly line: string;
  readonly pass: () => Promise<void>;
}

/** Turns of the event loop without any query under way that make a rest: what else there is to wait for is over sooner. */
const restTurns = 8;

export function turnstile(base: typeof fetch, options: TurnstileOptions): Turnstile {
  const random = seededRandom(options.seed);
  const waiting = new Set<Waiting>();
  const trace: string[] = [];
  let isTurning = false;
  watchQueries();

  const turn = async (): Promise<void> => {
    if (isTurning) return;
    isTurning = true;
    try {
      for (;;) {
        await rest(() => waiting.size);
        const sorted = [...waiting].sort((a, b) => (a.line < b.line ? -1 : 1));
        const next = sorted[sorted.length < 2 ? 0 : Math.floor(random() * sorted.length)];
        if (next === undefined) return;
        waiting.delete(next);
        options.onPass(sorted.length - 1);
        await next.pass();
      }
    } finally {
      isTurning = false;
    }
  };

  const through = (input: string, init: RequestInit): Promise<Response> => {
    const { method = 'GET', signal } = init;
    // MSAL names each of its requests by chance.
    const line = `${method} ${input.replace(/client-request-id=[^&]*/, '')}`;
    return new Promise<Response>((resolve, reject) => {
      const entry: Waiting = {
        line,
        async pass() {
          signal?.removeEventListener('abort', giveUp);
          const answer = base(input, init).then(whole);
          resolve(answer);
          trace.push(
            await answer.then(
              ({ status }) => `${line} ${status}`,
              () => `${line} -`,
            ),
          );
        },
      };
      const giveUp = (): void => {
        if (waiting.delete(entry)) reject(signal?.reason as Error);
      };
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      signal?.addEventListener('abort', giveUp, { once: true });
      waiting.add(entry);
      void turn();
    });
  };
  return { fetch: (input, init) => through(input instanceof Request ? input.url : String(input), init ?? {}), trace };
}

/** An answer that needs nothing more of the network; one that breaks off breaks off when it is read. */
async function whole(answer: Response): Promise<Response> {
  const { status, headers } = answer;
  const body = await answer.arrayBuffer().then(
    (bytes) => (bytes.byteLength === 0 ? null : bytes),
    (cause: unknown) => new ReadableStream({ start: (controller) => controller.error(cause) }),
  );
  const kept = new Headers(headers);
  kept.delete('content-encoding');
  return new Response(body, { status, headers: kept });
}

let queries = 0;
let isWatching = false;

/** Counts the queries and connections of this process that are under way. */
function watchQueries(): void {
  if (isWatching) return;
  isWatching = true;
  const { prototype } = pg.Client;
  for (const name of ['query', 'connect'] as const) {
    const original = Reflect.get(prototype, name) as (...args: unknown[]) => unknown;
    Reflect.set(prototype, name, function (this: pg.Client, ...args: unknown[]): unknown {
      const ended = (): void => void (queries -= 1);
      const callback = args.at(-1);
      queries += 1;
      if (typeof callback === 'function') {
        const told = (...results: unknown[]): unknown => {
          ended();
          return (callback as (...all: unknown[]) => unknown)(...results);
        };
        return original.apply(this, [...args.slice(0, -1), told]);
      }
      const result = original.apply(this, args);
      if (result instanceof Promise) result.then(ended, ended);
      else ended();
      return result;
    });
  }
}

async function rest(waiting: () => number): Promise<void> {
  let before = waiting();
  for (let quiet = 0; quiet < restTurns;) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = waiting();
    quiet = queries === 0 && now === before ? quiet + 1 : 0;
    before = now;
  }
}
