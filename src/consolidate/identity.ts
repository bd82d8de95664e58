import { createHash } from 'node:crypto';

/** By what the copies of one meeting in one target recognise each other. */
export interface Identity {
  /** Unique in its target. */
  readonly identity: string;
  /** The uid half, shared by a series and the orphans of it; null where the claim is its own identity. */
  readonly identityUid: string | null;
  readonly slot: string;
}

export interface IdentityInput {
  readonly sourceId: string;
  readonly key: string;
  readonly uid: string | null;
  readonly slot: string;
}

/**
 * The meeting a claim belongs to. Copies meet by their cleaned uid and slot: over the whole target, within one of its
 * calendars, or never. A claim without a usable uid is its own identity. Never by title or time.
 *
 * Two claims of one source never merge: `isTwin` says that another claim of the same source already has this identity.
 */
export function identityOf(
  claim: IdentityInput,
  dedupe: 'target' | 'calendar' | 'off',
  calendarId: string,
  isTwin = false,
): Identity {
  if (claim.uid === null || dedupe === 'off' || isTwin)
    return { identity: `claim|${claim.sourceId}|${claim.key}`, identityUid: null, slot: claim.slot };
  const scope = dedupe === 'calendar' ? `${calendarId}|` : '';
  return { identity: `uid|${scope}${claim.uid}|${claim.slot}`, identityUid: `${scope}${claim.uid}`, slot: claim.slot };
}

const base32 = 'abcdefghijklmnopqrstuvwxyz234567';

function toBase32(bytes: Uint8Array, length: number): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5 && text.length < length) {
      text += base32.charAt((value >>> (bits - 5)) & 31);
      bits -= 5;
    }
    value &= (1 << bits) - 1;
  }
  return text;
}

/**
 * The UID of a meeting, minted once from target and identity: `<26 base32 characters>@<instance>.calendar-sync`.
 * The suffix proves a resource ours. Opaque, so that nothing of a source's ids leaves with it.
 */
export function mintUid(targetId: string, identity: string, instance: string): string {
  const digest = createHash('sha256').update(targetId).update('\0').update(identity).digest();
  return `${toBase32(digest, 26)}@${instanceSuffix(instance)}`;
}

/** What every UID of this installation ends with, after the `@`. */
export function instanceSuffix(instance: string): string {
  return `${instance}.calendar-sync`;
}

/** The resource name of an object: from its UID, so that a write repeated after a lost answer lands on itself. */
export function resourceName(uid: string, part: string): string {
  const stem = uid.slice(0, uid.indexOf('@'));
  if (part === 'main') return `${stem}.ics`;
  return `${stem}-${toBase32(createHash('sha256').update(part).digest(), 12)}.ics`;
}
