import { randomBytes } from 'node:crypto';

import { describe, expect, it } from '@jest/globals';

import { SyncError } from '../../src/shared/errors.ts';
import { generateKey, parseKey, SecretBox } from '../../src/shared/secret-box.ts';

const key = Buffer.alloc(32, 1);
const otherKey = Buffer.alloc(32, 2);
const place = 'source:agency:password';

describe('a sealed secret', () => {
  it('opens again, whatever it says', () => {
    const box = new SecretBox(key);
    for (const text of ['', 'hunter2', 'ünï\0cödé 🗓', 'x'.repeat(10_000)]) {
      expect(box.open(box.seal(text, place), place)).toBe(text);
    }
  });

  it('names its key and never repeats itself', () => {
    const box = new SecretBox(key);
    const sealed = box.seal('hunter2', place);
    expect(sealed).toMatch(/^v1\.72cd6e84\.[\w-]{16}\.[\w-]{22}\.[\w-]{10}$/);
    expect(box.currentKeyId).toBe('72cd6e84');
    expect(box.seal('hunter2', place)).not.toBe(sealed);
  });

  it('opens with a former key while keys are rotated, and says that it is outdated', () => {
    const sealed = new SecretBox(key).seal('hunter2', place);
    const rotated = new SecretBox(otherKey, [key]);
    expect(rotated.open(sealed, place)).toBe('hunter2');
    expect(rotated.isOutdated(sealed)).toBe(true);
    expect(rotated.isOutdated(rotated.seal('hunter2', place))).toBe(false);
  });

  it('does not open in another place', () => {
    const box = new SecretBox(key);
    expectUnreadable(() => box.open(box.seal('hunter2', 'source:a:password'), 'source:b:password'));
  });

  it('does not open once any part of it is altered, cut or added to', () => {
    const box = new SecretBox(key);
    const sealed = box.seal('hunter2', place);
    const parts = sealed.split('.');
    const altered = [2, 3, 4].map((at) =>
      parts.map((part, index) => (index === at ? (part.startsWith('A') ? 'B' : 'A') + part.slice(1) : part)).join('.'),
    );
    const shortTag = parts.map((part, index) => (index === 3 ? part.slice(0, 6) : part)).join('.');
    for (const text of [...altered, shortTag, `${sealed}.x`, parts.slice(0, 4).join('.'), 'hunter2', '']) {
      expectUnreadable(() => box.open(text, place));
    }
  });

  it('is an operator matter that names the missing key, and shows neither secret nor ciphertext', () => {
    const sealed = new SecretBox(key).seal('hunter2', place);
    const error = expectUnreadable(() => new SecretBox(otherKey).open(sealed, place));
    expect(error.message).toBe(
      'The secret source:agency:password cannot be read: it was sealed with key 72cd6e84, which we do not have',
    );
    expect(error.recovery).toMatchObject({ kind: 'operator', remedy: expect.stringContaining('ENCRYPTION_KEYS_OLD') });
  });
});

describe('an encryption key', () => {
  it.each([
    ['hexadecimal', (bytes: Buffer) => bytes.toString('hex')],
    ['base64', (bytes: Buffer) => bytes.toString('base64')],
    ['base64url', (bytes: Buffer) => bytes.toString('base64url')],
    ['base64 with a line break', (bytes: Buffer) => `${bytes.toString('base64')}\n`],
  ])('may be written in %s', (_, write) => {
    const bytes = randomBytes(32);
    expect(parseKey(write(bytes))).toEqual(bytes);
  });

  it.each(['', 'secret', 'ab'.repeat(31), Buffer.alloc(31).toString('base64'), Buffer.alloc(33).toString('base64')])(
    'is not %j',
    (text) => expect(parseKey(text)).toBeNull(),
  );

  it('can be made', () => expect(parseKey(generateKey())).toHaveLength(32));
});

function expectUnreadable(act: () => unknown): SyncError {
  let thrown: unknown;
  try {
    act();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(SyncError);
  expect((thrown as SyncError).code).toBe('secret.unreadable');
  return thrown as SyncError;
}
