import { createHash } from 'node:crypto';
import { contentFingerprint } from '../calendar/client-state.ts';
import type { StandingObject } from '../store/drift.ts';
import { lateDeletion } from '../store/objects.ts';

/** A resource that a calendar holds, as far as it was read. */
export interface SeenResource {
  readonly href: string;
  readonly etag: string | null;
  /** Null: it could not be read. */
  readonly body: string | null;
}

export interface DriftInput {
  readonly objects: readonly StandingObject[];
  /** What stands there with another etag than we recorded, bodies read. */
  readonly changed: readonly SeenResource[];
  /** Hrefs of objects of ours that are not there. */
  readonly removed: readonly string[];
  readonly mode: 'repair' | 'keep';
}

export type DriftStep =
  /** What stands there is right, or stays as it is: only its etag is recorded. */
  | {
      readonly do: 'accept';
      readonly object: StandingObject;
      readonly etag: string | null;
      readonly why: 'client-state' | 'kept' | 'kept-after-repairs';
      readonly isMissing: boolean;
    }
  /** It is to be written again. */
  | {
      readonly do: 'rewrite';
      readonly object: StandingObject;
      readonly etag: string | null;
      readonly why: 'late-write' | 'late-deletion' | 'edited' | 'deleted';
    };

const repairsInADay = 3;
const dayMs = 86_400_000;

/**
 * What to do about objects of ours that changed on the server. A client's own state changes nothing; a body that we
 * once sent is a late write of our own, and so is the deletion of one that we tried to delete; any other difference is a
 * client's edit, repaired at most three times in a day where the target repairs. Pure.
 */
export function planDrift(input: DriftInput): DriftStep[] {
  const byHref = new Map(input.objects.map((object) => [object.href, object]));
  const changed = input.changed.flatMap(({ href, etag, body }): DriftStep[] => {
    const object = byHref.get(href);
    if (object === undefined || !isComparable(object)) return [];
    if (body !== null && fingerprintOf(body) === object.fingerprint)
      return [{ do: 'accept', object, etag, why: 'client-state', isMissing: false }];
    // Without a body it is larger than any event of ours, or gone since.
    if (isSent(object.sentBodies, etag, body ?? '')) return [{ do: 'rewrite', object, etag, why: 'late-write' }];
    return [onClientChange(object, etag, 'edited', input.mode)];
  });
  const removed = input.removed.flatMap((href): DriftStep[] => {
    const object = byHref.get(href);
    // Without an etag it was missing already, and was left so.
    if (object === undefined || object.etag === null || !isComparable(object)) return [];
    // A deletion of ours of which nobody knew what became has come late.
    if (object.sentBodies.includes(lateDeletion)) return [{ do: 'rewrite', object, etag: null, why: 'late-deletion' }];
    return [onClientChange(object, null, 'deleted', input.mode)];
  });
  return [...changed, ...removed];
}

/** What is to be written again anyhow, or to be settled first, is not compared. */
function isComparable(object: StandingObject): boolean {
  return object.fingerprint !== null && !object.isUnsettled;
}

function onClientChange(
  object: StandingObject,
  etag: string | null,
  why: 'edited' | 'deleted',
  mode: 'repair' | 'keep',
): DriftStep {
  const isMissing = why === 'deleted';
  if (mode === 'keep') return { do: 'accept', object, etag, why: 'kept', isMissing };
  const isSameDay = object.repairedMsAgo !== null && object.repairedMsAgo < dayMs;
  if (isSameDay && object.repairs >= repairsInADay)
    return { do: 'accept', object, etag, why: 'kept-after-repairs', isMissing };
  return { do: 'rewrite', object, etag, why };
}

/** Whether we once sent this body. Baikal's etags are the md5 of the stored bytes; a body through XML may differ. */
export function isSent(sentBodies: readonly string[], etag: string | null, body: string): boolean {
  const md5 = createHash('md5').update(body).digest('hex');
  return sentBodies.includes(md5) || (etag !== null && sentBodies.includes(etag.replaceAll('"', '')));
}

/** Null for what cannot be read as a calendar. */
export function fingerprintOf(body: string): string | null {
  try {
    return contentFingerprint(body);
  } catch {
    return null;
  }
}

/** UIDs that a resource bears. */
export function uidsOf(body: string): string[] {
  const unfolded = body.replaceAll(/\r?\n[ \t]/g, '');
  return [...new Set([...unfolded.matchAll(/^UID(?:;[^:\r\n]*)?:([^\r\n]*)/gim)].map((match) => match[1] ?? ''))];
}

/** The meeting's own UID of one that may belong to a companion: `abc-feb@host` is of `abc@host`. */
export function meetingUidOf(uid: string): string {
  const at = uid.lastIndexOf('@');
  const stem = at < 0 ? uid : uid.slice(0, at);
  return `${stem.split('-')[0] ?? ''}${at < 0 ? '' : uid.slice(at)}`;
}

/** Whether a resource may be one of ours by its name alone; spares reading a calendar full of foreign events. */
export function hasNameOfOurs(href: string): boolean {
  return /\/[a-z2-7]{26}(?:-[a-z2-7]{12})?\.ics$/.test(href);
}
