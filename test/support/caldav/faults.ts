import type { RecordedRequest } from './server.ts';

/**
 * - `500-stored`, `500-not-stored`: a database failure; stored means the object without its row in the change log.
 * - `timeout-stored`, `timeout-not-stored`: no answer ever; the connection stays until the client leaves.
 * - `late-store`: no answer; the write lands at `release()`, whatever was written in between.
 * - `504-late`: a proxy's 504 at once; the write lands at `release()`.
 * - `reset-before`, `reset-after`, `reset-midway`: the connection breaks before the write, after it, within the answer.
 * - `trickle`: an answer that never ends, a byte now and then.
 * - `lose-etag`, `weaken-etag`: done as asked, but the answer names no ETag, or a weak one.
 * - `in-pieces`: done as asked; the answer comes in chunks of a few bytes.
 * - an answer as data: not done, unless `isDone` (a PHP that dies after its work, a proxy that loses the answer).
 */
export type FaultKind =
  | '500-stored'
  | '500-not-stored'
  | 'timeout-stored'
  | 'timeout-not-stored'
  | 'late-store'
  | '504-late'
  | 'reset-before'
  | 'reset-after'
  | 'reset-midway'
  | 'trickle'
  | 'html-200'
  | 'redirect-install'
  | 'lose-etag'
  | 'weaken-etag'
  | 'in-pieces'
  | '401'
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly isDone?: boolean;
    };

export interface FaultRule {
  /** Method, or `*` for any. */
  readonly on: string;
  /** Starts with this one of the requests that match, counted from 1. */
  readonly at?: number;
  /** How many of them in a row; 1 unless told. */
  readonly times?: number;
  readonly match?: (request: RecordedRequest) => boolean;
  readonly how: FaultKind;
}

export interface Fault {
  /** Requests that met it. */
  readonly hits: number;
  /** Lets what is held back by `late-store` and `504-late` happen now. */
  release(): Promise<void>;
  /** Takes the fault away; requests held back stay held back. */
  stop(): void;
}

export interface ActiveFault {
  readonly how: FaultKind;
  hold(work: () => void | Promise<void>): void;
}

export interface FaultBook {
  add(rule: FaultRule): Fault;
  /** The first fault that this request meets, counted as met. */
  meet(request: RecordedRequest): ActiveFault | null;
}

type Work = () => void | Promise<void>;

export function openFaultBook(): FaultBook {
  const active = new Set<{ rule: FaultRule; seen: number; hits: number; held: Work[] }>();
  return {
    add(rule) {
      const fault = { rule, seen: 0, hits: 0, held: [] as Work[] };
      active.add(fault);
      return {
        get hits() {
          return fault.hits;
        },
        release: async () => {
          await Promise.all(
            fault.held.splice(0).map(async (work) => {
              await work();
            }),
          );
        },
        stop: () => {
          active.delete(fault);
        },
      };
    },
    meet(request) {
      for (const fault of active) {
        const { on, match, at = 1, times = 1, how } = fault.rule;
        if ((on !== '*' && on !== request.method) || match?.(request) === false) continue;
        fault.seen += 1;
        if (fault.seen < at || fault.seen >= at + times) continue;
        fault.hits += 1;
        return { how, hold: (work) => fault.held.push(work) };
      }
      return null;
    },
  };
}
