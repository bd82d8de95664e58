import { createHash } from 'node:crypto';
import { mergeClientState } from '../calendar/client-state.ts';
import type { WantedObject } from '../consolidate/plan-meeting.ts';
import type { CalDav, PutCondition } from '../dav/calendar-client.ts';
import { DavError } from '../dav/dav-error.ts';
import { SyncError } from '../shared/errors.ts';
import type { MeetingObject } from '../store/meetings.ts';
import { fingerprintOf, isSent, uidsOf } from './plan-drift.ts';

/** What stands on the server after a write. */
export interface Written {
  readonly etag: string | null;
  readonly bodyMd5: string;
  /** Clients keep something of their own in it. */
  readonly hasClientState: boolean;
  /** A client had changed what we wrote, and its version is gone. */
  readonly isRepair: boolean;
}

export interface WriteRequest {
  readonly wanted: WantedObject;
  readonly known: MeetingObject | null;
  /** Where the object stood until now, or a client moved it to: what clients keep in it moves along. */
  readonly movedFrom: string | null;
  /** Told before another body than `wanted.text` is sent. */
  readonly announce: (bodyMd5: string) => Promise<void>;
}

const mostAttempts = 3;

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

/**
 * Puts an object there under the right condition. A precondition that fails is looked into: an earlier attempt of ours
 * or a client's touch is written over with the client's state kept, a foreign resource is left alone.
 * Throws DavError, or SyncError `deliver.foreign_resource`, `deliver.contended`.
 */
export async function writeObject(dav: CalDav, request: WriteRequest, signal: AbortSignal): Promise<Written> {
  const { wanted, known } = request;
  let isRepair = false;
  let [condition, body] = await firstAttempt(dav, request, signal);
  for (let attempt = 1; ; attempt += 1) {
    const bodyMd5 = md5(body);
    if (body !== wanted.text) await request.announce(bodyMd5);
    const result = await dav.put(wanted.href, body, condition, signal);
    if (result.kind === 'stored') {
      const etag = result.etag ?? (await etagOfOurs(dav, wanted, signal));
      return { etag, bodyMd5, hasClientState: body !== wanted.text, isRepair };
    }
    if (attempt === mostAttempts) throw contended(wanted.href);
    const there = await adopt(dav, wanted, signal);
    if (there === null) [condition, body] = [{ ifNoneMatch: '*' }, wanted.text];
    else {
      isRepair ||=
        known !== null &&
        known.fingerprint !== null &&
        fingerprintOf(there.was) !== known.fingerprint &&
        !isSent(known.sentBodies, there.etag, there.was);
      [condition, body] = [conditionOn(there.etag), there.body];
    }
  }
}

/** Without a strong etag nothing can be asked for: we have just read what stands there, and nobody else of us writes. */
function conditionOn(etag: string | null): PutCondition {
  return etag === null ? null : { ifMatch: etag };
}

async function firstAttempt(
  dav: CalDav,
  { wanted, known, movedFrom }: WriteRequest,
  signal: AbortSignal,
): Promise<[PutCondition, string]> {
  if (known !== null && known.fingerprint !== null && known.etag !== null && !known.hasClientState)
    return [{ ifMatch: known.etag }, wanted.text];
  const there = known === null ? null : await adopt(dav, wanted, signal);
  if (there !== null) return [conditionOn(there.etag), there.body];
  const before = movedFrom === null ? null : await dav.get(movedFrom, signal);
  return [{ ifNoneMatch: '*' }, before === null ? wanted.text : mergeClientState(wanted.text, before.body)];
}

/** Reads what stands at our href: null when nothing does; ours with its client state merged into our text. */
async function adopt(
  dav: CalDav,
  wanted: WantedObject,
  signal: AbortSignal,
): Promise<{ etag: string | null; body: string; was: string } | null> {
  const there = await dav.get(wanted.href, signal);
  if (there === null) return null;
  if (!isOurs(there.body, wanted.uid)) throw foreign(wanted.href);
  const etag = there.etag ?? (await dav.etagOf(wanted.href, signal));
  return { etag, body: mergeClientState(wanted.text, there.body), was: there.body };
}

/**
 * The etag of what stands there, if that shows what we wrote: a server that names no etag may have changed the text, and
 * somebody else may have been there since. The write is done whatever becomes of asking; without an etag the next write
 * and the next look at what changed read first.
 */
async function etagOfOurs(dav: CalDav, wanted: WantedObject, signal: AbortSignal): Promise<string | null> {
  try {
    const there = await dav.get(wanted.href, signal);
    if (there === null || fingerprintOf(there.body) !== wanted.fingerprint) return null;
    return there.etag ?? (await dav.etagOf(wanted.href, signal));
  } catch (thrown) {
    if (thrown instanceof DavError) return null;
    throw thrown;
  }
}

/** Only what bears the object's own UID (with this installation's suffix) is ours. */
export function isOurs(body: string, uid: string): boolean {
  return uidsOf(body).includes(uid);
}

export function foreign(href: string): SyncError {
  return new SyncError(`${href} holds an event that is not ours; it was left alone`, {
    code: 'deliver.foreign_resource',
    recovery: {
      kind: 'operator',
      remedy: 'Move or delete that event in a calendar program; ours is written within an hour then.',
    },
  });
}

export function contended(href: string): SyncError {
  return new SyncError(`${href} changes faster than it can be written`, {
    code: 'deliver.contended',
    recovery: { kind: 'retry' },
  });
}
