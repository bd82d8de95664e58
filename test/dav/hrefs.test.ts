import { describe, expect, it } from '@jest/globals';
import { isTrustedUrl, toHref } from '../../src/dav/hrefs.ts';
import { etagOf } from '../../src/dav/multistatus.ts';

describe('an account given by plain http whose server has moved to TLS', () => {
  const origin = 'http://dav.example';

  it('is followed there, and its paths stay what they were', () => {
    expect(isTrustedUrl('https://dav.example/dav.php/', origin)).toBe(true);
    expect(toHref('/dav.php/calendars/me/work/', 'https://dav.example/dav.php/', origin)).toBe(
      '/dav.php/calendars/me/work/',
    );
  });

  it.each([
    ['https://other.example/', 'http://dav.example'],
    ['http://dav.example/', 'https://dav.example'],
    ['https://dav.example:8443/', 'https://dav.example'],
    ['https://dav.example.evil.example/', 'http://dav.example'],
  ])('does not take its password to %s when it is at %s', (url, from) => {
    expect(isTrustedUrl(url, from)).toBe(false);
  });
});

describe('a weak etag', () => {
  it('counts as none, for no condition can hold to it', () => {
    const entry = (getetag: string) => ({ href: '/a.ics', status: null, props: { getetag } });
    expect(etagOf(entry('W/"1"'))).toBeNull();
    expect(etagOf(entry('"1"'))).toBe('"1"');
  });
});
