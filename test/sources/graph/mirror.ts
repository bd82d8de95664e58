/** A reader of one simulated calendar that keeps claims as ingest does, in memory. */
import { expandSeries } from '../../../src/calendar/expand.ts';
import { builtInClouds } from '../../../src/shared/clouds.ts';
import type { Window } from '../../../src/shared/window.ts';
import { graphClient, type GraphClient } from '../../../src/sources/graph/client.ts';
import { graphSource } from '../../../src/sources/graph/graph-source.ts';
import type { Claim, Rebuilt, Source } from '../../../src/sources/source.ts';
import type { TruthInstance } from '../../support/graph/instances.ts';
import type { OutlookCalendar } from '../../support/graph/outlook.ts';
import type { GraphSimulator } from '../../support/graph/simulator.ts';

export const contoso = {
  directory: '6f0c2a0e-0000-4000-8000-000000000001',
  domain: 'contoso.example',
  client: '1d2e0000-0000-4000-8000-000000000002',
  secret: 'the-value-not-the-id',
};
export const me = 'me@contoso.example';
export const window: Window = { from: '2026-01-01T00:00:00Z', to: '2027-01-01T00:00:00Z' };
export const patient = AbortSignal.timeout(120_000);

export function clientOf(
  simulator: GraphSimulator,
  changes: { secret?: string; timeoutMs?: number; fetch?: typeof fetch } = {},
): GraphClient {
  const [cloud] = builtInClouds;
  if (cloud === undefined) throw new Error('There is no global cloud.');
  const { directory, client, secret } = contoso;
  return graphClient({
    cloud,
    directory,
    client,
    credential: { kind: 'secret', secret: changes.secret ?? secret },
    fetch: changes.fetch ?? simulator.fetch,
    version: '0.1.0',
    timeoutMs: changes.timeoutMs ?? 20_000,
  });
}

export class Mirror {
  readonly claims = new Map<string, Claim>();
  readonly results: Rebuilt[] = [];
  cursor: string | null = null;
  requests = 0;
  private readonly source: Source;

  constructor(source: Source) {
    this.source = source;
  }

  /** One round: pages to the end, then what is stale. */
  async round(): Promise<this> {
    const stale = new Map<string, string>();
    for (let isLast = false; !isLast;) {
      const page = await this.source.readPage(this.cursor, window, patient);
      for (const claim of page.claims) {
        this.claims.set(claim.key, claim);
        stale.delete(claim.key);
      }
      for (const { key, why } of page.stale) stale.set(key, why);
      this.cursor = page.cursor;
      this.requests += page.requests;
      ({ isLast } = page);
    }
    for (const [key, why] of stale) if (why !== 'removed' || this.claims.has(key)) await this.rebuild(key);
    return this;
  }

  async rebuild(key: string): Promise<Rebuilt> {
    const result = await this.source.rebuild(key, window, patient);
    this.results.push(result);
    this.requests += result.requests;
    if (result.kind === 'gone') this.claims.delete(key);
    if (result.kind === 'series') for (const claim of result.claims) this.claims.set(claim.key, claim);
    return result;
  }

  /** What the claims show, in the words of the simulator's truth. */
  shown(): string[] {
    return [...this.claims.values()]
      .flatMap(({ series }) => expandSeries(series, window))
      .map(({ start, end, isAllDay, entry }) =>
        told({ start, end, isAllDay, subject: entry.summary, isCancelled: entry.status === 'cancelled' }),
      )
      .sort();
  }

  modes(): string[] {
    return [...this.claims.values()].flatMap(({ check }) => (check === null ? [] : [check.mode]));
  }

  only(): Claim {
    const [claim, ...others] = this.claims.values();
    if (claim === undefined || others.length > 0) throw new Error(`There are ${this.claims.size} claims, not one.`);
    return claim;
  }
}

export function mirrorOf(simulator: GraphSimulator, calendar = 'default'): Mirror {
  return new Mirror(graphSource({ client: clientOf(simulator), mailbox: me, calendar }));
}

/** What Outlook shows, as `Mirror.shown` tells it. */
export function truth(calendar: OutlookCalendar): string[] {
  return calendar.expected(window).map(told).sort();
}

function told(one: Pick<TruthInstance, 'start' | 'end' | 'isAllDay' | 'subject' | 'isCancelled'>): string {
  return [
    one.start,
    one.end,
    one.isAllDay ? 'all day' : '',
    one.subject ?? '',
    one.isCancelled ? 'cancelled' : '',
  ].join(' ');
}
