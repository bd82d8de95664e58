import type { Series } from '../calendar/series.ts';
import type { Window } from '../shared/window.ts';

/**
 * The port of everything that is read. A source answers in pages; it never decides what the target shows, and knows
 * neither the store nor other sources.
 *
 * A *delta* reading's silence means nothing. A *full* reading's silence means absence inside its window, once confirmed
 * by `rebuild`.
 */
export interface Source {
  /**
   * Reads one page. `cursor` null starts a full reading over `window`; otherwise it is the cursor of the page before,
   * passed on verbatim. Throws SyncError; recovery `reread` means that the cursor is dead.
   */
  readPage(cursor: string | null, window: Window, signal: AbortSignal): Promise<Page>;

  /**
   * Asks for one series by its key through the calendar's own path, whole. The only judge of absence. Throws SyncError
   * when the source could not say.
   */
  rebuild(key: string, window: Window, signal: AbortSignal): Promise<Rebuilt>;

  /**
   * Whether the calendar itself answers at present, asked of a source whose pages do not: then it is the window that is
   * too much for it. Not there: its readings have no window that could be shortened.
   */
  answers?(signal: AbortSignal): Promise<boolean>;

  /**
   * What the source shows in a window, for comparisons: each happening by itself where the source can list them so; not
   * there: a full reading of its own is as good. Throws SyncError.
   */
  instances?(window: Window, signal: AbortSignal): Promise<SourceInstance[]>;
}

/** Something that a source shows: one happening, or a series with all of its. */
export interface SourceInstance {
  /** The claim's key: the series it belongs to, or the event itself. */
  readonly key: string;
  readonly series: Series;
}

export interface Page {
  /** Series that this page tells whole (singles, where the source sends complete events). Later pages win. */
  readonly claims: readonly Claim[];
  /**
   * Keys that must be rebuilt before anything is known of them: members of series, removals (which may only have left
   * the view, and may name a member of a series), entries that were too thin or could not be read.
   */
  readonly stale: readonly Stale[];
  /** Continues this reading, or starts the next delta when `isLast`. Opaque. */
  readonly cursor: string;
  readonly isLast: boolean;
  /** Requests made, for the figures. */
  readonly requests: number;
}

export interface Claim {
  /** The source's own id of the single or master. Case-sensitive, stable as long as the event stays in this calendar. */
  readonly key: string;
  /** The source's version (changeKey, etag): an equal one means nothing changed. Null where there is none. */
  readonly version: string | null;
  readonly series: Series;
  /** How the series was proven or why it is shown in list mode; shown by `explain`. */
  readonly check: SelfCheck | null;
  /** Ids of its occurrences in the window, where the source may tell a change of the series by removing one of these. */
  readonly members?: readonly string[];
}

export interface SelfCheck {
  readonly mode: 'rule' | 'zone' | 'shifted' | 'list';
  readonly detail: string | null;
}

export interface Stale {
  readonly key: string;
  /** `stray`: likely covered by the series that the same page marks; asked after it. */
  readonly why: 'member' | 'removed' | 'thin' | 'unreadable' | 'stray';
  /** What `Claim.version` of the series is now, where all that was told of it says so. */
  readonly version?: string;
  /** Of a stray: the key of the series that it likely belongs to. */
  readonly series?: string;
}

export type Rebuilt =
  | { readonly kind: 'series'; readonly claims: readonly Claim[]; readonly requests: number }
  /** Proven: the source does not have it any more. */
  | { readonly kind: 'gone'; readonly requests: number }
  /** It is there but cannot be mapped; the reason is for the operator, the old claim goes on showing. */
  | { readonly kind: 'unmappable'; readonly code: string; readonly reason: string; readonly requests: number };
