/** A saved probe as a Graph that answers again what it answered then. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { graphClient, type GraphClient } from '../../../src/sources/graph/client.ts';
import type { Exchange } from '../../../src/sources/graph/probe/exchange.ts';
import type { SavedProbe } from '../../../src/sources/graph/probe/saved.ts';
import { scrubbedHost } from '../../../src/sources/graph/probe/scrub.ts';

export interface Replay {
  readonly probe: SavedProbe;
  readonly exchanges: readonly Exchange[];
  readonly client: GraphClient;
}

/** Whatever was asked as a reading asks can be read again; anything else is refused as not recorded. */
export function replay(folder: string): Replay {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const exchanges = read('exchanges.json') as Exchange[];
  const kept = new Map<string, Exchange[]>();
  for (const exchange of exchanges) {
    const isPassing = exchange.status === 429 || exchange.status >= 500;
    if (isPassing || !['reading', 'calendars'].includes(exchange.purpose)) continue;
    const key = keyOf(exchange.url);
    kept.set(key, [...(kept.get(key) ?? []), exchange]);
  }
  const answer: typeof fetch = (input) => {
    const url = input instanceof Request ? input.url : String(input);
    const waiting = kept.get(keyOf(url)) ?? [];
    // Asked more often than then, it goes on answering the last.
    const exchange = waiting.length > 1 ? waiting.shift() : waiting[0];
    if (exchange === undefined) return Promise.reject(new Error(`Not recorded: ${url}`));
    return Promise.resolve(Response.json(exchange.body, { status: exchange.status }));
  };
  const token = (): Promise<string> => Promise.resolve('a-token');
  const client = graphClient({
    cloud: { id: 'saved', login: 'https://login.example', graph: scrubbedHost, portal: 'https://portal.example' },
    directory: 'saved',
    client: 'saved',
    credential: { get: token, renew: token, replace: token },
    fetch: answer,
    version: '0.1.0',
  });
  return { probe: read('probe.json') as SavedProbe, exchanges, client };
}

/** Order and encoding of a query say nothing. */
function keyOf(url: string): string {
  const { pathname, searchParams } = new URL(url);
  const query = [...searchParams].map(([name, value]) => `${name}=${value}`).sort();
  return `${decodeURIComponent(pathname)}?${query.join('&')}`;
}
