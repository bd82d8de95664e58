import { describe, expect, it } from '@jest/globals';
import { readLongMultistatus } from '../../src/dav/long-multistatus.ts';

const url = 'https://dav.example/cal/work/';
const read = (body: string) => readLongMultistatus(body, url, 'https://dav.example');

const found = (href: string, etag: string): string =>
  `<response><href>${href}</href><propstat><prop><getetag>${etag}</getetag><resourcetype/></prop><status>HTTP/1.1 200 OK</status></propstat></response>`;
const dav = (inner: string): string => `<?xml version="1.0"?><multistatus xmlns="DAV:">${inner}</multistatus>`;

describe('a long multistatus', () => {
  it('gives status, etag and type of each resource, and the sync token, whatever prefixes it uses', async () => {
    const body = `<?xml version="1.0"?>
      <D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
        <D:response><D:href>/cal/work/</D:href>
          <D:propstat><D:prop><D:resourcetype><D:collection/><C:calendar/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
          <D:propstat><D:prop><D:getetag/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>
        <D:response><D:href>a%20b&amp;c.ics</D:href>
          <D:propstat><D:prop><D:getetag>&quot;1&quot;</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
        <D:response><D:href><![CDATA[/cal/work/gone.ics]]></D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>
        <D:sync-token>http://sabre.io/ns/sync/7</D:sync-token>
      </D:multistatus>`;

    expect(await read(body)).toEqual({
      entries: [
        { href: '/cal/work/', status: null, props: { resourcetype: { collection: {}, calendar: {} } } },
        { href: '/cal/work/a%20b&c.ics', status: null, props: { getetag: '"1"' } },
        { href: '/cal/work/gone.ics', status: 404, props: {} },
      ],
      syncToken: 'http://sabre.io/ns/sync/7',
    });
  });

  it('may be of any length, its pieces cut anywhere, and lets other work go on meanwhile', async () => {
    const names = Array.from({ length: 5_000 }, (_, index) => `/cal/work/${index}-${'x'.repeat(index % 150)}.ics`);
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 0);

    const result = await read(dav(names.map((name, index) => found(name, `"${index}"`)).join('')));

    clearInterval(timer);
    expect(result?.entries.map(({ href }) => href)).toEqual(names);
    expect(result?.entries.at(-1)?.props).toEqual({ getetag: '"4999"', resourcetype: {} });
    expect(turns).toBeGreaterThan(3);
  });

  it('reads an empty one', async () => {
    expect(await read(dav(''))).toEqual({ entries: [], syncToken: null });
  });

  it.each([
    ['another document', '<html><body>in order</body></html>'],
    ['no XML', 'in order'],
    ['an entity that nobody declared', dav(found('/cal/work/&x;.ics', '"1"'))],
    ['tags that do not fit', '<multistatus><response></multistatus></response>'],
    ['an end that is missing', dav(found('/cal/work/a.ics', '"1"')).replace('</multistatus>', '')],
    ['nothing', ''],
  ])('is not read where there is %s', async (_what, body) => {
    expect(await read(body)).toBeNull();
  });
});
