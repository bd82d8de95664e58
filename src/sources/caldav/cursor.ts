import { z } from 'zod';
import { SyncError } from '../../shared/errors.ts';

/** For names of resources that are not simply one series: the suffixes of their keys (`''` is the name alone). */
export type Parts = Readonly<Record<string, readonly string[]>>;

const parts = z.record(z.string(), z.array(z.string()).readonly()).readonly();

const byToken = z.object({
  by: z.literal('token'),
  href: z.string(),
  /** The sync token that this reading starts from; null in a full reading. */
  token: z.string().nullable(),
  /** In the middle of a reading: the token it ends with, and the last name that was dealt with. */
  reading: z.object({ next: z.string(), after: z.string() }).nullable(),
  parts,
});

const byEtags = z.object({
  by: z.literal('etags'),
  href: z.string(),
  isFull: z.boolean(),
  /** The calendar's ctag when the last complete reading began; null where the server has none. */
  ctag: z.string().nullable(),
  /** Name of each resource that was dealt with → short hash of its etag. */
  known: z.record(z.string(), z.string()).readonly(),
  parts,
});

const cursor = z.discriminatedUnion('by', [byToken, byEtags]);

/** Where a reading goes on by sync-collection (RFC 6578). */
export type TokenCursor = Readonly<z.infer<typeof byToken>>;
/** The same for a server without it: by the etags of everything. */
export type EtagCursor = Readonly<z.infer<typeof byEtags>>;
export type Cursor = TokenCursor | EtagCursor;

export function writeCursor(state: Cursor): string {
  return JSON.stringify(state);
}

/** Throws `caldav.cursor_invalid` (reread) for what `writeCursor` did not write. */
export function readCursor(text: string): Cursor {
  try {
    return cursor.parse(JSON.parse(text));
  } catch (thrown) {
    throw new SyncError('Where the reading of the calendar had got to is not known any more', {
      code: 'caldav.cursor_invalid',
      recovery: { kind: 'reread' },
      cause: thrown,
    });
  }
}
