import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

import { SyncError } from './errors.ts';

const KEY_BYTES = 32;
/** NIST SP 800-38D, section 8.2: 96 bits, random, is the length that GCM is made for. */
const IV_BYTES = 12;

/**
 * Encrypts secrets at rest with AES-256-GCM. A ciphertext is `v1.<keyId>.<iv>.<tag>.<data>`, the last three in
 * base64url: it names its key, so that several may be in use while they are rotated. `context` says where it is kept
 * (`source:agency:password`) and is authenticated with it: a ciphertext moved to another row does not open there.
 */
export class SecretBox {
  readonly #currentId: string;
  readonly #keys: ReadonlyMap<string, Buffer>;

  /** `current` seals and opens, `old` only open; 32 bytes each. */
  constructor(current: Buffer, old: readonly Buffer[] = []) {
    this.#currentId = keyId(current);
    this.#keys = new Map([...old, current].map((key) => [keyId(key), key]));
  }

  /** Names the key that seals: the first 8 hex digits of its SHA-256. */
  get currentKeyId(): string {
    return this.#currentId;
  }

  /** Whether a key of this name is here. */
  knows(keyId: string): boolean {
    return this.#keys.has(keyId);
  }

  seal(text: string, context: string): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key(this.#currentId), iv).setAAD(Buffer.from(context));
    const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    const parts = [iv, cipher.getAuthTag(), data].map((part) => part.toString('base64url'));
    return ['v1', this.#currentId, ...parts].join('.');
  }

  /** Throws SyncError `secret.unreadable` when the key is unknown or the ciphertext not what was sealed for `context`. */
  open(ciphertext: string, context: string): string {
    const [version, id = '', iv = '', tag = '', data = '', ...rest] = ciphertext.split('.');
    if (version !== 'v1' || rest.length > 0 || iv === '' || tag === '') {
      throw unreadable(context, 'it is not a ciphertext that this version knows', null);
    }
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key(id, context), Buffer.from(iv, 'base64url'), {
        authTagLength: 16,
      });
      decipher.setAAD(Buffer.from(context)).setAuthTag(Buffer.from(tag, 'base64url'));
      return Buffer.concat([decipher.update(Buffer.from(data, 'base64url')), decipher.final()]).toString('utf8');
    } catch (cause) {
      if (cause instanceof SyncError) throw cause;
      throw unreadable(context, `it was altered, or sealed for another place, with key ${id}`, cause);
    }
  }

  /** Whether a ciphertext was sealed with a key other than the current one. */
  isOutdated(ciphertext: string): boolean {
    return ciphertext.split('.')[1] !== this.#currentId;
  }

  #key(id: string, context = ''): Buffer {
    const key = this.#keys.get(id);
    if (key === undefined) throw unreadable(context, `it was sealed with key ${id}, which we do not have`, null);
    return key;
  }
}

/** 32 bytes written as 64 hexadecimal digits or as base64 (either alphabet); null for anything else. */
export function parseKey(text: string): Buffer | null {
  const trimmed = text.trim();
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, 'hex');
  if (!/^[\w+/-]{43}=?$/.test(trimmed)) return null;
  const key = Buffer.from(trimmed, 'base64'); // reads base64url too
  return key.length === KEY_BYTES ? key : null;
}

/** A fresh key in the form that `parseKey` reads. */
export function generateKey(): string {
  return randomBytes(KEY_BYTES).toString('base64');
}

function keyId(key: Buffer): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}

function unreadable(context: string, reason: string, cause: unknown): SyncError {
  return new SyncError(`The secret ${context} cannot be read: ${reason}`, {
    code: 'secret.unreadable',
    recovery: {
      kind: 'operator',
      remedy: 'Give the former key back (ENCRYPTION_KEY, or in ENCRYPTION_KEYS_OLD), or enter the secret again.',
    },
    field: context,
    cause,
  });
}
