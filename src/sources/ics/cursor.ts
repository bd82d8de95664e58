import { z } from 'zod';
import { SyncError } from '../../shared/errors.ts';

const shape = z.object({
  etag: z.string().nullable(),
  modified: z.string().nullable(),
  /** Of the last text that was read to its end; null in a full reading. */
  digest: z.string().nullable(),
  /** Key of each event that was claimed from it → short hash of what it said. */
  known: z.record(z.string(), z.string()).readonly(),
  /** In the middle of a reading: the text that is read, and the last key that was dealt with. */
  reading: z.object({ digest: z.string(), after: z.string() }).nullable(),
});

/**
 * Where the reading of a feed stands. Every answer but a 304 is the whole feed; what is known of the answer before
 * tells what changed and what is no longer in it.
 */
export type FeedCursor = Readonly<z.infer<typeof shape>>;

export function writeCursor(state: FeedCursor): string {
  return JSON.stringify(state);
}

/** Throws `ics.cursor_invalid` (reread) for what `writeCursor` did not write. */
export function readCursor(text: string): FeedCursor {
  try {
    return shape.parse(JSON.parse(text));
  } catch (thrown) {
    throw new SyncError('Where the reading of the feed had got to is not known any more', {
      code: 'ics.cursor_invalid',
      recovery: { kind: 'reread' },
      cause: thrown,
    });
  }
}
