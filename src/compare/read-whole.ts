import type { Window } from '../shared/window.ts';
import type { Claim, Source, SourceInstance } from '../sources/source.ts';

/** A full reading beside all others, kept nowhere: what a source shows in a window. Throws SyncError. */
export async function readWhole(source: Source, window: Window, signal: AbortSignal): Promise<SourceInstance[]> {
  if (source.instances !== undefined) return source.instances(window, signal);
  const claims = new Map<string, Claim>();
  const stale = new Set<string>();
  let cursor: string | null = null;
  for (let isLast = false; !isLast;) {
    signal.throwIfAborted();
    const page = await source.readPage(cursor, window, signal);
    for (const claim of page.claims) {
      claims.set(claim.key, claim);
      stale.delete(claim.key);
    }
    for (const { key, why } of page.stale) if (why !== 'removed' || claims.has(key)) stale.add(key);
    ({ cursor, isLast } = page);
  }
  for (const key of stale) {
    const rebuilt = await source.rebuild(key, window, signal);
    if (rebuilt.kind === 'gone') claims.delete(key);
    if (rebuilt.kind === 'series') for (const claim of rebuilt.claims) claims.set(claim.key, claim);
  }
  return [...claims.values()].map(({ key, series }) => ({ key, series }));
}
