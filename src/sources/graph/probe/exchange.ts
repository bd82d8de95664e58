/** One request of a probe and its answer: what every answer to a question is drawn from, live or from a saved probe. */
export interface Exchange {
  /** What it was asked for; `reading`: as any reading asks. */
  readonly purpose: Purpose;
  readonly url: string;
  /** The Prefer header. */
  readonly prefer: string;
  readonly status: number;
  /** The answer's JSON; null where it was none. */
  readonly body: unknown;
}

export type Purpose =
  | 'reading'
  | 'user'
  | 'mailbox-zone'
  | 'calendars'
  | 'calendar'
  | 'small-page'
  | 'view'
  | 'view-ordinary'
  | 'next-round'
  | 'same-link'
  | 'strange-link'
  | 'delta-select'
  | 'event-otherwise'
  | 'exception'
  | 'part-occurrenceId'
  | 'part-seriesParts'
  | 'part-sequence'
  | 'part-fields';

export interface Recorder {
  /** Carries requests and keeps those to Graph. */
  readonly fetch: typeof fetch;
  readonly exchanges: readonly Exchange[];
  /** How far Graph's clock is ahead of ours, in milliseconds; null: it never said. */
  readonly skewMs: () => number | null;
  /** Does something whose requests are for this. */
  during<T>(purpose: Purpose, work: () => Promise<T>): Promise<T>;
}

/** Keeps the exchanges with one host. Sign-ins, with their secrets, go elsewhere and are never kept. */
export function recordExchanges(base: typeof fetch, graph: string, now: () => number): Recorder {
  const { origin } = new URL(graph);
  const exchanges: Exchange[] = [];
  let purpose: Purpose = 'reading';
  let skewMs: number | null = null;
  return {
    exchanges,
    skewMs: () => skewMs,
    async during(wanted, work) {
      const before = purpose;
      purpose = wanted;
      try {
        return await work();
      } finally {
        purpose = before;
      }
    },
    async fetch(input, init) {
      const url = input instanceof Request ? input.url : String(input);
      if (new URL(url).origin !== origin) return base(input, init);
      const asked = purpose;
      const askedAt = now();
      const answer = await base(input, init);
      const said = Date.parse(answer.headers.get('date') ?? '');
      // The header counts in whole seconds.
      if (!Number.isNaN(said)) skewMs = said + 500 - (askedAt + now()) / 2;
      const text = await answer.clone().text();
      const prefer = new Headers(init?.headers).get('prefer') ?? '';
      exchanges.push({ purpose: asked, url, prefer, status: answer.status, body: parsed(text) });
      return answer;
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
