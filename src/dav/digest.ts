import { createHash } from 'node:crypto';

/** One challenge of a `WWW-Authenticate` header: scheme and parameter names in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly params: ReadonlyMap<string, string>;
}

/**
 * Reads the challenges of a `WWW-Authenticate` header (RFC 9110 section 11.6.1), several of which may be joined by
 * commas as their parameters are. What is no challenge is skipped.
 */
export function parseChallenges(header: string | null): Challenge[] {
  const challenges: { scheme: string; params: Map<string, string> }[] = [];
  const token = /\s*,*\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*))|(?=\s|,|$))/y;
  const text = header ?? '';
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    if (match === null) break;
    const [, name = '', quoted, plain] = match;
    const value = quoted?.replaceAll(/\\(.)/g, '$1') ?? plain;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), params: new Map() });
    else challenges.at(-1)?.params.set(name.toLowerCase(), value);
  }
  return challenges;
}

/** Strongest first; the -sess variants bind the key to a session. */
const hashes: Readonly<Record<string, { readonly hash: 'md5' | 'sha256'; readonly isSession: boolean }>> = {
  'SHA-256': { hash: 'sha256', isSession: false },
  'SHA-256-SESS': { hash: 'sha256', isSession: true },
  MD5: { hash: 'md5', isSession: false },
  'MD5-SESS': { hash: 'md5', isSession: true },
};

function strength(challenge: Challenge): number {
  if (challenge.scheme === 'basic') return 1;
  if (challenge.scheme !== 'digest') return 0;
  const known = hashes[algorithmOf(challenge)];
  const qop = challenge.params.get('qop');
  const isUsable = challenge.params.has('nonce') && (qop === undefined || offersAuth(qop));
  return known === undefined || !isUsable ? 0 : known.hash === 'sha256' ? 3 : 2;
}

const algorithmOf = (challenge: Challenge): string => (challenge.params.get('algorithm') ?? 'MD5').toUpperCase();
const offersAuth = (qop: string): boolean => qop.split(',').some((one) => one.trim().toLowerCase() === 'auth');

/** The challenge to answer: Digest with SHA-256, else with MD5, else Basic; null when we can answer none. */
export function chooseChallenge(challenges: readonly Challenge[]): Challenge | null {
  const best = challenges.toSorted((a, b) => strength(b) - strength(a))[0];
  return best === undefined || strength(best) === 0 ? null : best;
}

export interface DigestCall {
  readonly username: string;
  readonly password: string;
  readonly method: string;
  /** Path and query as on the request line. */
  readonly uri: string;
  /** How often this nonce has been used, this call included. */
  readonly count: number;
  readonly cnonce: string;
}

/** The `Authorization` header that answers a Digest challenge with qop `auth`, or without qop as in RFC 2069. */
export function digestAuthorization(challenge: Challenge, call: DigestCall): string {
  const algorithm = algorithmOf(challenge);
  const { hash, isSession } = hashes[algorithm] ?? { hash: 'md5', isSession: false };
  const h = (text: string): string => createHash(hash).update(text, 'utf8').digest('hex');
  const realm = challenge.params.get('realm') ?? '';
  const nonce = challenge.params.get('nonce') ?? '';
  const hasQop = challenge.params.has('qop');
  const nc = call.count.toString(16).padStart(8, '0');

  const secret = h(`${call.username}:${realm}:${call.password}`);
  const key = isSession ? h(`${secret}:${nonce}:${call.cnonce}`) : secret;
  const request = h(`${call.method}:${call.uri}`);
  const response = hasQop ? h(`${key}:${nonce}:${nc}:${call.cnonce}:auth:${request}`) : h(`${key}:${nonce}:${request}`);

  const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  const opaque = challenge.params.get('opaque');
  const fields = [
    `username=${quoted(call.username)}`,
    `realm=${quoted(realm)}`,
    `nonce=${quoted(nonce)}`,
    `uri=${quoted(call.uri)}`,
    `response="${response}"`,
    ...(challenge.params.has('algorithm') ? [`algorithm=${challenge.params.get('algorithm') ?? ''}`] : []),
    ...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`]),
    ...(hasQop ? ['qop=auth', `nc=${nc}`, `cnonce=${quoted(call.cnonce)}`] : []),
  ];
  return `Digest ${fields.join(', ')}`;
}

/** The `Authorization` header for Basic, UTF-8 (RFC 7617). */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}
