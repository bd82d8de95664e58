import { createHash } from 'node:crypto';
import { contentFingerprint, mergeClientState } from '../calendar/client-state.ts';
import type { KnownObject, WantedObject } from '../consolidate/plan-meeting.ts';
import type { CalDav, PutCondition, PutResult } from '../dav/calendar-client.ts';
import { SyncError } from '../shared/errors.ts';

/** What stands on the server after a write. */
export interface Written {
  readonly etag: string | null;
  readonly bodyMd5: string;
  /** A client had changed what we wrote; its version is gone (drift, repaired). */
  readonly repaired: boolean;
}

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

/**
 * Puts an object there under the right condition. A precondition that fails is looked into: an earlier attempt of ours
 * or a client's touch is written over with the client's state kept, a foreign resource is left alone.
 * Throws DavError, or SyncError `deliver.foreign_resource`.
 */
export async function writeObject(
  dav: CalDav,
  wanted: WantedObject,
  known: KnownObject | null,
  signal: AbortSignal,
): Promise<Written> {
  let condition: PutCondition = { ifNoneMatch: '*' };
  let body = wanted.text;
  let repaired = false;
  if (known !== null) {
    const etag = known.fingerprint === null ? null : known.etag;
    if (etag !== null) condition = { ifMatch: etag };
    else {
      const there = await adopt(dav, wanted, signal);
      if (there !== null) {
        condition = { ifMatch: there.etag };
        body = there.body;
      }
    }
  }
  for (let attempt = 1; ; attempt += 1) {
    const result: PutResult = await dav.put(wanted.href, body, condition, signal);
    if (result.kind === 'stored') {
      const etag = result.etag ?? (await dav.etagOf(wanted.href, signal));
      return { etag, bodyMd5: md5(body), repaired };
    }
    if (attempt === 3)
      throw new SyncError(`${wanted.href} changes faster than it can be written`, {
        code: 'deliver.contended',
        recovery: { kind: 'retry' },
      });
    const there = await adopt(dav, wanted, signal);
    if (there === null) {
      condition = { ifNoneMatch: '*' };
      body = wanted.text;
    } else {
      repaired ||= known !== null && known.fingerprint !== null && there.fingerprint !== known.fingerprint;
      condition = { ifMatch: there.etag };
      body = there.body;
    }
  }
}

/** Reads what stands at our href: null when nothing does; ours with its client state merged into our text. */
async function adopt(
  dav: CalDav,
  wanted: WantedObject,
  signal: AbortSignal,
): Promise<{ etag: string; body: string; fingerprint: string } | null> {
  const there = await dav.get(wanted.href, signal);
  if (there === null) return null;
  if (!isOurs(there.body, wanted.uid)) throw foreign(wanted.href);
  const etag = there.etag ?? (await dav.etagOf(wanted.href, signal));
  if (etag === null) return null;
  return { etag, body: mergeClientState(wanted.text, there.body), fingerprint: contentFingerprint(there.body) };
}

/** Only what bears the meeting's own UID (with this installation's suffix) is ours. */
export function isOurs(body: string, uid: string): boolean {
  return body.replaceAll(/\r?\n[ \t]/g, '').includes(`UID:${uid}`);
}

export function foreign(href: string): SyncError {
  return new SyncError(`${href} holds an event that is not ours; it was left alone`, {
    code: 'deliver.foreign_resource',
    recovery: {
      kind: 'operator',
      remedy: 'Move or delete that event in a calendar program; ours is then written at its next change.',
    },
  });
}
