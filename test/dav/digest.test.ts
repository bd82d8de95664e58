import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { basicAuthorization, chooseChallenge, digestAuthorization, parseChallenges } from '../../src/dav/digest.ts';

// RFC 7616 section 3.9.1: one server that offers both hashes.
const nonce = '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v';
const offered = (algorithm: string): string =>
  `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="${nonce}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`;
const call = {
  username: 'Mufasa',
  password: 'Circle of Life',
  method: 'GET',
  uri: '/dir/index.html',
  count: 1,
  cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
};

function answerTo(header: string, change: Partial<typeof call> = {}): string {
  const challenge = chooseChallenge(parseChallenges(header));
  if (challenge === null) throw new Error('no challenge was chosen');
  return digestAuthorization(challenge, { ...call, ...change });
}

describe('the answer to a Digest challenge', () => {
  it.each([
    ['MD5 (RFC 7616)', offered('MD5'), {}, '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256 (RFC 7616)', offered('SHA-256'), {}, '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
    [
      'no algorithm named (RFC 2617)',
      'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"',
      { password: 'Circle Of Life', cnonce: '0a4f113b' },
      '6629fae49393a05397450978507c4ef1',
    ],
    [
      'no qop (RFC 2069, by its erratum)',
      'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"',
      { password: 'CircleOfLife' },
      '1949323746fe6a43ef61f9606e7febea',
    ],
  ])('is that of the standard: %s', (_name, header, change, response) => {
    expect(answerTo(header, change)).toContain(`response="${response}"`);
  });

  it('binds the key to nonce and client nonce for MD5-sess', () => {
    const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
    const key = md5(`${md5('Mufasa:http-auth@example.org:Circle of Life')}:${nonce}:${call.cnonce}`);
    const response = md5(`${key}:${nonce}:00000001:${call.cnonce}:auth:${md5('GET:/dir/index.html')}`);

    expect(answerTo(offered('MD5-sess'))).toContain(`response="${response}"`);
  });

  it('carries nonce count, client nonce, algorithm and opaque, and quotes what needs it', () => {
    const header = answerTo(offered('MD5'), { count: 26, username: 'a"b' });

    expect(header).toMatch(/^Digest username="a\\"b", realm="http-auth@example.org", nonce="/);
    expect(header).toContain(
      'algorithm=MD5, opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS", qop=auth, nc=0000001a',
    );
  });
});

describe('the choice among challenges', () => {
  const chosen = (header: string | null): string | undefined => {
    const challenge = chooseChallenge(parseChallenges(header));
    return challenge === null ? undefined : `${challenge.scheme} ${challenge.params.get('algorithm') ?? ''}`.trim();
  };

  it.each([
    ['Digest before Basic', `Basic realm="x", ${offered('MD5')}`, 'digest MD5'],
    ['SHA-256 before MD5', `${offered('MD5')}, ${offered('SHA-256')}`, 'digest SHA-256'],
    ['Basic with further parameters', 'Basic realm="sabre/dav", charset="UTF-8"', 'basic'],
    ['what Baikal sends', 'Digest realm="BaikalDAV",qop="auth",nonce="6b02e276e2434",opaque="d66d5f05"', 'digest'],
    ['Basic when the Digest hash is unknown', `${offered('SHA-512-256')}, Basic realm="x"`, 'basic'],
    [
      'Basic when the Digest wants the body hashed',
      'Digest realm="x", nonce="1", qop="auth-int", Basic realm="x"',
      'basic',
    ],
    ['none of a foreign scheme', 'Bearer realm="x", error="invalid_token"', undefined],
    ['none of a scheme with a token', 'Negotiate', undefined],
    ['none of nothing', null, undefined],
    ['none of noise', '"""', undefined],
  ])('takes %s', (_name, header, expected) => {
    expect(chosen(header)).toBe(expected);
  });
});

describe('Basic', () => {
  it('sends UTF-8', () => {
    expect(basicAuthorization('jürgen', 'geheim:ß')).toBe(
      `Basic ${Buffer.from('jürgen:geheim:ß', 'utf8').toString('base64')}`,
    );
  });
});
