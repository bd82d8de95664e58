import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * What is kept of a webhook key: its SHA-256, `sha256:<hex>`. Keys are long and random (16 characters or more are asked
 * for), so a plain hash tells nobody anything; the key itself is stored nowhere and shown by no door.
 */
export function hashKey(key: string): string {
  return `sha256:${createHash('sha256').update(key, 'utf8').digest('hex')}`;
}

/** Whether `key` is the one of which `kept` is the hash. Takes as long for a wrong one as for the right one. */
export function isKeyOf(kept: string, key: string): boolean {
  return isSame(hashKey(key), kept);
}

/** Compares in constant time, whatever the lengths. */
export function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
