import { describe, expect, it } from '@jest/globals';
import {
  type Answer,
  type Asked,
  type Method,
  expectMultistatus,
  failureOf,
  noAnswer,
  readGet,
  readMakeCalendar,
  readPut,
  readRemove,
} from '../../src/dav/answers.ts';

const sabre = { 'x-sabre-version': '4.7.1' };
const html = { 'content-type': 'text/html; charset=UTF-8' };

function answered(status: number, headers: Record<string, string> = sabre, body = ''): Answer {
  return { url: 'https://dav.example/x', status, headers: new Headers(headers), body };
}
function asked(method: Method, isSabre = true): Asked {
  return { method, href: '/dav.php/calendars/me/work/a.ics', isSabre, now: new Date('2026-05-01T12:00:00Z') };
}
const exception = (name: string, extra = ''): string =>
  `<?xml version="1.0"?>\n<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">\n  <s:exception>${name}</s:exception>\n  <s:message>m</s:message>\n${extra}</d:error>`;

describe('an answer to PUT', () => {
  it.each([
    ['201 with an etag', answered(201, { ...sabre, etag: '"1"' }), { kind: 'stored', etag: '"1"' }],
    ['204 without an etag: the server changed the text', answered(204), { kind: 'stored', etag: null }],
    [
      '412 with the present etag',
      answered(412, { ...sabre, etag: '"2"' }),
      { kind: 'precondition-failed', etag: '"2"' },
    ],
    ['412 without', answered(412), { kind: 'precondition-failed', etag: null }],
  ])('is understood: %s', (_name, answer, result) => {
    expect(readPut(answer, asked('PUT'))).toEqual(result);
  });

  it('needs no X-Sabre-Version from another server', () => {
    expect(readPut(answered(201, {}), asked('PUT', false))).toEqual({ kind: 'stored', etag: null });
  });
});

describe('what a failed write means', () => {
  const forbidden = '<d:error xmlns:d="DAV:"><d:need-privileges/></d:error>';
  const component = '  <cal:supported-calendar-component xmlns:cal="urn:ietf:params:xml:ns:caldav"/>\n';
  it.each<[string, Answer, boolean, string, string, string]>([
    ['200 text/html: Baikal without its database', answered(200, html), true, 'dav.not_ready', 'not-sent', 'retry'],
    ['200 text/html of an unknown server', answered(200, html), false, 'dav.not_ready', 'unknown', 'retry'],
    ['200 of a known server', answered(200), true, 'dav.not_ready', 'unknown', 'retry'],
    [
      '302 to the installer',
      answered(302, { ...html, location: '/dav.php/admin/install/' }),
      true,
      'dav.not_ready',
      'not-sent',
      'retry',
    ],
    ['201 without the version: a proxy spoke', answered(201, {}), true, 'dav.not_ready', 'unknown', 'retry'],
    ['401', answered(401), true, 'dav.unauthorized', 'not-sent', 'operator'],
    ['403', answered(403, sabre, forbidden), true, 'dav.forbidden', 'not-sent', 'operator'],
    [
      '403 for a component that the calendar does not take',
      answered(403, sabre, exception('Sabre\\CalDAV\\Exception\\InvalidComponentType', component)),
      true,
      'dav.body_refused',
      'refused',
      'operator',
    ],
    [
      '403 no-uid-conflict (Cyrus)',
      answered(403, {}, '<error xmlns="DAV:"><no-uid-conflict xmlns="urn:ietf:params:xml:ns:caldav"/></error>'),
      false,
      'dav.uid_conflict',
      'refused',
      'operator',
    ],
    [
      '409 no-uid-conflict (Radicale)',
      answered(409, {}, '<error xmlns="DAV:"><C:no-uid-conflict xmlns:C="urn:ietf:params:xml:ns:caldav" /></error>'),
      false,
      'dav.uid_conflict',
      'refused',
      'operator',
    ],
    [
      '404',
      answered(404, sabre, exception('Sabre\\DAV\\Exception\\NotFound')),
      true,
      'dav.not_found',
      'not-sent',
      'operator',
    ],
    ['404 page of a proxy', answered(404, html), true, 'dav.not_ready', 'not-sent', 'retry'],
    ['409 of a missing parent', answered(409), true, 'dav.not_found', 'not-sent', 'operator'],
    ['408', answered(408, html), true, 'dav.timeout', 'unknown', 'retry'],
    ['413 of nginx', answered(413, html), true, 'dav.too_large', 'refused', 'operator'],
    [
      '415',
      answered(415, sabre, exception('Sabre\\DAV\\Exception\\UnsupportedMediaType')),
      true,
      'dav.body_refused',
      'refused',
      'operator',
    ],
    ['400 (Radicale)', answered(400, {}), false, 'dav.body_refused', 'refused', 'operator'],
    ['429', answered(429, { 'retry-after': '30' }), false, 'dav.busy', 'not-sent', 'retry'],
    [
      '500 of the database',
      answered(500, sabre, exception('PDOException')),
      true,
      'dav.server_error',
      'unknown',
      'retry',
    ],
    [
      '500 of too many instances',
      answered(500, sabre, exception('Sabre\\VObject\\Recur\\MaxInstancesExceededException')),
      true,
      'dav.too_many_instances',
      'refused',
      'operator',
    ],
    [
      '500 of no instances',
      answered(500, sabre, exception('Sabre\\VObject\\Recur\\NoInstancesException')),
      true,
      'dav.no_instances',
      'refused',
      'operator',
    ],
    [
      '500 of invalid data',
      answered(500, sabre, exception('Sabre\\VObject\\InvalidDataException')),
      true,
      'dav.body_refused',
      'refused',
      'operator',
    ],
    ['500 without a body: PHP died', answered(500, html), true, 'dav.server_error', 'unknown', 'retry'],
    ['502', answered(502, html), true, 'dav.server_error', 'unknown', 'retry'],
    ['503', answered(503, html), true, 'dav.unavailable', 'unknown', 'retry'],
    ['504', answered(504, html), true, 'dav.server_error', 'unknown', 'retry'],
    ['507', answered(507), true, 'dav.server_error', 'unknown', 'retry'],
    ['418', answered(418), true, 'dav.unexpected', 'not-sent', 'operator'],
  ])('%s', (_name, answer, isSabre, code, outcome, recovery) => {
    const failure = failureOf(answer, asked('PUT', isSabre));

    expect([failure.code, failure.outcome, failure.recovery.kind, failure.status]).toEqual([
      code,
      outcome,
      recovery,
      answer.status,
    ]);
    expect(() => readPut(answer, asked('PUT', isSabre))).toThrow(failure.message);
  });

  it('never quotes the answer, which may hold the event', () => {
    const failure = failureOf(
      answered(500, sabre, exception('PDOException').replace('>m<', '>Board meeting<')),
      asked('PUT'),
    );

    expect(failure.message).toBe('PUT /dav.php/calendars/me/work/a.ics answered 500: the server or its proxy failed');
  });

  it.each([
    ['seconds', '120', '2026-05-01T12:02:00.000Z'],
    ['fractions', '0.5', '2026-05-01T12:00:00.500Z'],
    ['a date', 'Fri, 01 May 2026 13:00:00 GMT', '2026-05-01T13:00:00.000Z'],
    ['nonsense', 'soon', undefined],
    ['six hours at most', '1e300', '2026-05-01T18:00:00.000Z'],
    ['a date that is past', 'Fri, 01 May 2026 11:00:00 GMT', '2026-05-01T12:00:00.000Z'],
  ])('waits as Retry-After says: %s', (_name, text, at) => {
    const { recovery } = failureOf(answered(503, { 'retry-after': text }), asked('PUT'));

    expect(recovery.kind === 'retry' ? recovery.notBefore?.toISOString() : recovery).toBe(at);
  });

  it('counts a date of Retry-After from the clock of the server', () => {
    const headers = { 'retry-after': 'Fri, 01 May 2026 10:05:00 GMT', date: 'Fri, 01 May 2026 10:00:00 GMT' };
    const { recovery } = failureOf(answered(503, headers), asked('PUT'));

    expect(recovery.kind === 'retry' ? recovery.notBefore?.toISOString() : recovery).toBe('2026-05-01T12:05:00.000Z');
  });
});

describe('other answers', () => {
  it.each([
    ['204', answered(204), { kind: 'removed' }],
    ['404', answered(404), { kind: 'missing' }],
    ['410', answered(410), { kind: 'missing' }],
    ['412', answered(412, { ...sabre, etag: '"2"' }), { kind: 'precondition-failed', etag: '"2"' }],
  ])('to DELETE: %s', (_name, answer, result) => {
    expect(readRemove(answer, asked('DELETE'))).toEqual(result);
  });

  it('to DELETE may be 200 with XML (Radicale), but not from sabre/dav, and no web page', () => {
    const radicale = answered(200, { 'content-type': 'text/xml; charset=utf-8' }, '<multistatus xmlns="DAV:"/>');

    expect(readRemove(radicale, asked('DELETE', false))).toEqual({ kind: 'removed' });
    expect(() =>
      readRemove({ ...radicale, headers: new Headers({ ...sabre, 'content-type': 'text/xml' }) }, asked('DELETE')),
    ).toThrow('not ready');
    expect(() => readRemove(answered(200, html), asked('DELETE', false))).toThrow('not ready');
  });

  it('takes a proxy’s 404 for no proof that an object is missing', () => {
    expect(() => readRemove(answered(404, html), asked('DELETE'))).toThrow('not from the calendar server');
    expect(() => readGet(answered(404, html), asked('GET'))).toThrow('not from the calendar server');
  });

  it('takes a web page for no event', () => {
    expect(() => readGet(answered(200, html, '<h3>DB file is not writable</h3>'), asked('GET', false))).toThrow(
      'not ready',
    );
    expect(readGet(answered(200, { ...sabre, etag: '"1"' }, 'BEGIN'), asked('GET'))).toEqual({
      etag: '"1"',
      body: 'BEGIN',
    });
  });

  it.each([
    ['201', answered(201), 'made'],
    ['405 of Baikal', answered(405), 'exists'],
    [
      '403 resource-must-be-null (Cyrus)',
      answered(403, sabre, '<D:error xmlns:D="DAV:"><D:resource-must-be-null/></D:error>'),
      'exists',
    ],
  ])('to MKCALENDAR: %s', (_name, answer, result) => {
    expect(readMakeCalendar(answer, asked('MKCALENDAR'))).toBe(result);
  });

  it('refuse a sync token as ground for a full reading', () => {
    const answer = answered(
      403,
      sabre,
      exception('Sabre\\DAV\\Exception\\InvalidSyncToken', '  <d:valid-sync-token/>\n'),
    );

    expect(failureOf(answer, asked('REPORT'))).toMatchObject({
      code: 'dav.sync_token_invalid',
      recovery: { kind: 'reread' },
    });
  });

  it('leave nothing unknown when nothing was to be written', () => {
    expect(failureOf(answered(500), asked('REPORT')).outcome).toBe('not-sent');
    expect(() => expectMultistatus(answered(200, html), asked('PROPFIND'))).toThrow('not ready');
    expect(() => expectMultistatus(answered(207), asked('PROPFIND'))).not.toThrow();
  });
});

describe('no answer at all', () => {
  const thrown = (code: string): Error =>
    new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code }) });
  it.each([
    ['refused', thrown('ECONNREFUSED'), false, 'dav.unreachable', 'not-sent', 'retry'],
    ['no such host', thrown('ENOTFOUND'), false, 'dav.unreachable', 'not-sent', 'retry'],
    ['no connection in time', thrown('UND_ERR_CONNECT_TIMEOUT'), false, 'dav.unreachable', 'not-sent', 'retry'],
    ['unknown authority', thrown('SELF_SIGNED_CERT_IN_CHAIN'), false, 'dav.certificate', 'not-sent', 'operator'],
    [
      'another name in the certificate',
      thrown('ERR_TLS_CERT_ALTNAME_INVALID'),
      false,
      'dav.certificate',
      'not-sent',
      'operator',
    ],
    ['reset', thrown('ECONNRESET'), false, 'dav.connection_lost', 'unknown', 'retry'],
    ['closed', thrown('UND_ERR_SOCKET'), false, 'dav.connection_lost', 'unknown', 'retry'],
    ['too late', new DOMException('x', 'AbortError'), true, 'dav.timeout', 'unknown', 'retry'],
    [
      'several addresses, all refused',
      Object.assign(new AggregateError([thrown('ECONNREFUSED')]), {}),
      false,
      'dav.unreachable',
      'not-sent',
      'retry',
    ],
  ])('%s', (_name, cause, isTimeout, code, outcome, recovery) => {
    const failure = noAnswer(cause, asked('PUT'), isTimeout);

    expect([failure.code, failure.outcome, failure.recovery.kind, failure.status]).toEqual([
      code,
      outcome,
      recovery,
      null,
    ]);
  });

  it('to a reading has changed nothing', () => {
    expect(noAnswer(thrown('ECONNRESET'), asked('PROPFIND'), false).outcome).toBe('not-sent');
  });
});
