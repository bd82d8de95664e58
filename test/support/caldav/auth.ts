import { createHash, randomBytes } from 'node:crypto';
import type { User } from './store.ts';

export type AuthKind = 'basic' | 'digest';

export interface Gate {
  /** The user, or the challenge and message of the 401. */
  admit(
    method: string,
    authorization: string | undefined,
  ): User | { readonly challenge: string; readonly message: string };
}

const md5 = (text: string): string => createHash('md5').update(text, 'utf8').digest('hex');

/**
 * Baikal's authentication. Its Digest takes any nonce any number of times; with `isStrict` a nonce must be ours and each
 * of its counts new, as RFC 7616 has it, and nonces die after `maxUses`.
 */
export function openGate(kind: AuthKind, users: readonly User[], isStrict: boolean, maxUses = 1_000): Gate {
  const counts = new Map<string, number>();
  return kind === 'basic' ? { admit: (_method, header) => admitBasic(header) } : { admit: admitDigest };

  function admitBasic(header: string | undefined): ReturnType<Gate['admit']> {
    const challenge = 'Basic realm="sabre/dav", charset="UTF-8"';
    if (header?.startsWith('Basic ') !== true) return { challenge, message: "No 'Authorization: Basic' header found." };
    const [, name, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(header.slice(6), 'base64').toString('utf8')) ?? [];
    const user = users.find((one) => one.name === name && one.password === password);
    return user ?? { challenge, message: 'Username or password was incorrect' };
  }

  function admitDigest(method: string, header: string | undefined): ReturnType<Gate['admit']> {
    const refuse = (message: string): { challenge: string; message: string } => {
      const nonce = randomBytes(8).toString('hex');
      counts.set(nonce, 0);
      return {
        challenge: `Digest realm="BaikalDAV",qop="auth",nonce="${nonce}",opaque="${md5('BaikalDAV')}"`,
        message,
      };
    };
    if (header?.startsWith('Digest ') !== true) return refuse("No 'Authorization: Digest' header found.");
    const fields = new Map(
      [...header.matchAll(/(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g)].map(([, key = '', quoted, plain]) => [
        key,
        (quoted ?? plain ?? '').replaceAll(/\\(.)/g, '$1'),
      ]),
    );
    const field = (key: string): string => fields.get(key) ?? '';
    const user = users.find((one) => one.name === field('username'));
    const key = md5(`${field('username')}:BaikalDAV:${user?.password ?? ''}`);
    const expected = md5(
      `${key}:${field('nonce')}:${field('nc')}:${field('cnonce')}:${field('qop')}:${md5(`${method}:${field('uri')}`)}`,
    );
    if (user === undefined || expected !== field('response')) return refuse('Username or password was incorrect');
    if (isStrict) {
      const count = Number.parseInt(field('nc'), 16);
      const last = counts.get(field('nonce'));
      if (last === undefined || count <= 0 || count > maxUses) return refuse('The nonce is not valid any more');
      counts.set(field('nonce'), Math.max(last, count));
      const used = `${field('nonce')}/${field('nc')}`;
      if (counts.has(used)) return refuse('The nonce count was used before');
      counts.set(used, 1);
    }
    return user;
  }
}
