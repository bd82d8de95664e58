import type { Window } from '../../../src/shared/window.ts';
import type { Claim, Page, Source, Stale } from '../../../src/sources/source.ts';

export const window: Window = { from: '2026-10-01T00:00:00Z', to: '2028-10-01T00:00:00Z' };
const never = new AbortController().signal;

/** One round: all pages from a cursor to the last one. */
export async function readRound(
  source: Source,
  cursor: string | null = null,
): Promise<{ pages: Page[]; claims: Claim[]; stale: Stale[]; cursor: string; requests: number }> {
  const pages: Page[] = [];
  let next = cursor;
  for (;;) {
    const page = await source.readPage(next, window, never);
    pages.push(page);
    next = page.cursor;
    if (page.isLast) break;
  }
  return {
    pages,
    claims: pages.flatMap((page) => page.claims),
    stale: pages.flatMap((page) => page.stale),
    cursor: next,
    requests: pages.reduce((sum, page) => sum + page.requests, 0),
  };
}

export const rebuild = (source: Source, key: string) => source.rebuild(key, window, never);
export const readPage = (source: Source, cursor: string | null) => source.readPage(cursor, window, never);
export const titles = (claims: readonly Claim[]): (string | null)[] => claims.map(({ series }) => series.main.summary);
