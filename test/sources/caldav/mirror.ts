import type { Source } from '../../../src/sources/source.ts';
import { readPage, rebuild } from './reader.ts';

/** What a reader of a source shows, title by key, following it as ingest does: page by page, then the stale ones. */
export class Mirror {
  readonly shown = new Map<string, string | null>();
  private readonly stale = new Set<string>();
  private cursor: string | null = null;
  private isFullReading = true;
  private seen = new Set<string>();

  /** Reads up to so many pages; a reading that is left in the middle goes on from its cursor the next time. */
  async read(source: Source, maxPages = Infinity): Promise<void> {
    for (let pages = 0; pages < maxPages; pages += 1) {
      const page = await readPage(source, this.cursor);
      for (const { key, series } of page.claims) this.show(key, series.main.summary);
      for (const { key } of page.stale) this.stale.add(key);
      this.cursor = page.cursor;
      if (!page.isLast) continue;
      if (this.isFullReading) for (const key of this.shown.keys()) if (!this.seen.has(key)) this.stale.add(key);
      this.isFullReading = false;
      await this.confirm(source);
      return;
    }
  }

  /** The next reading is a full one. */
  forget(): void {
    this.cursor = null;
    this.isFullReading = true;
    this.seen = new Set();
  }

  private async confirm(source: Source): Promise<void> {
    for (const key of [...this.stale]) {
      const rebuilt = await rebuild(source, key);
      if (rebuilt.kind === 'unmappable') continue;
      this.stale.delete(key);
      const claims = rebuilt.kind === 'series' ? rebuilt.claims : [];
      for (const claim of claims) this.show(claim.key, claim.series.main.summary);
      if (!claims.some((claim) => claim.key === key)) this.shown.delete(key);
    }
  }

  private show(key: string, title: string | null): void {
    this.shown.set(key, title);
    this.seen.add(key);
  }
}
