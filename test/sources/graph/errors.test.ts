import { describe, expect, it } from '@jest/globals';

import { classify, networkFault, readFailure, retryAt } from '../../../src/sources/graph/errors.ts';
import { entraNumbers } from '../../../src/sources/graph/aadsts.ts';
import { classifySignIn, readCorrelation, readNumbers } from '../../../src/sources/graph/sign-in-errors.ts';
import type { SyncError } from '../../../src/shared/errors.ts';
import { correlationOf, entraWords, unknownNumber } from '../../support/entra-words.ts';

const now = new Date('2026-03-16T05:00:00Z');

function classified(status: number, code: string, headers: Record<string, string> = {}) {
  const body = JSON.stringify({ error: { code, message: 'Boiler check of Ann', innerError: { 'request-id': 'r-1' } } });
  const error = classify(readFailure(status, body, new Headers(headers)), now);
  return { code: error.code, kind: error.recovery.kind, message: error.message, recovery: error.recovery };
}

describe('an answer of Graph that is no success', () => {
  it.each<[number, string, string, string]>([
    [400, 'ErrorInvalidUrlQuery', 'graph.request_refused', 'operator'],
    [400, 'ErrorInvalidRequest', 'graph.request_refused', 'operator'],
    [400, 'ErrorInvalidParameter', 'graph.request_refused', 'operator'],
    [400, 'RequestBroker--ParseUri', 'graph.request_refused', 'operator'],
    [400, 'ErrorInvalidIdMalformed', 'graph.id_refused', 'retry'],
    [401, 'InvalidAuthenticationToken', 'graph.token_refused', 'operator'],
    [403, 'ErrorAccessDenied', 'graph.access_denied', 'operator'],
    [403, 'accessDenied', 'graph.access_denied', 'operator'],
    [403, 'Authorization_RequestDenied', 'graph.access_denied', 'operator'],
    [404, 'MailboxNotEnabledForRESTAPI', 'graph.mailbox_unavailable', 'operator'],
    [404, 'ResourceNotFound', 'graph.user_not_found', 'operator'],
    [404, 'Request_ResourceNotFound', 'graph.user_not_found', 'operator'],
    [404, 'ErrorItemNotFound', 'graph.item_not_found', 'retry'],
    [404, 'itemNotFound', 'graph.item_not_found', 'retry'],
    [404, 'SomethingNew', 'graph.not_found_unexplained', 'retry'],
    [410, 'SyncStateNotFound', 'graph.sync_state_lost', 'reread'],
    [410, '', 'graph.sync_state_lost', 'reread'],
    [400, 'syncStateInvalid', 'graph.sync_state_lost', 'reread'],
    [404, 'syncstatenotfound', 'graph.sync_state_lost', 'reread'],
    [400, 'resyncRequired', 'graph.sync_state_lost', 'reread'],
    [429, 'ApplicationThrottled', 'graph.throttled', 'retry'],
    [429, 'TooManyRequests', 'graph.throttled', 'retry'],
    [500, 'ErrorInternalServerTransientError', 'graph.server_error', 'retry'],
    [503, 'UnknownError', 'graph.overloaded', 'retry'],
    [504, 'UnknownError', 'graph.overloaded', 'retry'],
    [509, '', 'graph.overloaded', 'retry'],
    [400, 'ExtensionError', 'graph.mailbox_refused', 'operator'],
    [409, 'ErrorItemSave', 'graph.already_there', 'retry'],
    [302, '', 'graph.redirected', 'retry'],
    [418, 'Teapot', 'graph.request_refused', 'operator'],
    [100, '', 'graph.unreadable_answer', 'retry'],
  ])('%i %s is %s: %s', (status, code, expected, kind) => {
    expect(classified(status, code)).toMatchObject({ code: expected, kind });
  });

  it('names status, code and request, never the words of the answer', () => {
    const { message } = classified(403, 'ErrorAccessDenied');
    expect(message).toBe('Graph refused to read this calendar (status 403 ErrorAccessDenied, request id r-1).');
  });

  it.each([
    [
      401,
      'InvalidAuthenticationToken',
      'Access token validation failure. Invalid audience.',
      'graph.wrong_cloud',
      'login host',
    ],
    [403, 'ErrorAccessDenied', 'Access to OData is disabled.', 'graph.access_denied', 'application access policy'],
    [403, 'Authorization_RequestDenied', 'Insufficient privileges.', 'graph.access_denied', 'lacks the permission'],
  ])('%i %s "%s" is %s: %s', (status, code, message, expected, says) => {
    const error = classify(readFailure(status, JSON.stringify({ error: { code, message } }), new Headers()), now);
    expect(error.code).toBe(expected);
    expect(error.message).toContain(says);
    expect(error.message).not.toContain(message);
  });

  it('is told by the deepest code, however the nesting is spelled', () => {
    const body = JSON.stringify({
      error: { code: 'badRequest', innererror: { code: 'x', innerError: { code: 'resyncRequired' } } },
    });
    expect(classify(readFailure(400, body, new Headers()), now).code).toBe('graph.sync_state_lost');
  });

  it('may be a web page, nothing or nonsense', () => {
    for (const body of ['<html>Bad gateway</html>', '', 'null', '{"error":"x"}', '{"error":{"code":7}}']) {
      expect(classify(readFailure(502, body, new Headers()), now).code).toBe('graph.overloaded');
      expect(classify(readFailure(404, body, new Headers()), now).code).toBe('graph.not_found_unexplained');
    }
  });

  it.each([
    ['7.5', '2026-03-16T05:00:07.500Z'],
    ['0', '2026-03-16T05:00:00.000Z'],
    ['Mon, 16 Mar 2026 05:02:00 GMT', '2026-03-16T05:02:00.000Z'],
    ['9999999', '2026-03-17T05:00:00.000Z'],
  ])('is not asked again before Retry-After: %s', (header, expected) => {
    const { recovery } = classified(429, 'ApplicationThrottled', { 'retry-after': header });
    expect(recovery).toEqual({ kind: 'retry', notBefore: new Date(expected) });
  });

  it.each([null, '', 'soon'])('leaves the wait to us when Retry-After says nothing: %s', (header) => {
    expect(retryAt(header, now)).toBeNull();
  });
});

describe('a request without an answer', () => {
  const cause = (code: string) => new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code }) });

  it.each([
    [cause('ECONNREFUSED'), 'graph.unreachable', 'retry'],
    [cause('UND_ERR_SOCKET'), 'graph.unreachable', 'retry'],
    [cause('UND_ERR_HEADERS_TIMEOUT'), 'graph.timeout', 'retry'],
    [new DOMException('too slow', 'TimeoutError'), 'graph.timeout', 'retry'],
    [cause('SELF_SIGNED_CERT_IN_CHAIN'), 'graph.certificate_untrusted', 'operator'],
    ['nothing', 'graph.unreachable', 'retry'],
  ])('%s', (thrown, code, kind) => {
    const error = networkFault(thrown, 'graph.microsoft.us');
    expect(error).toMatchObject({ code, recovery: { kind } });
    expect(error.message).toContain('graph.microsoft.us');
  });
});

describe('a refused sign-in', () => {
  const refused = (number: number, error: string) =>
    classifySignIn(
      { status: 400, error, numbers: [number], retryAfter: null, correlationId: correlationOf(number) },
      now,
    );

  it.each(entraWords)('AADSTS$number is $code: $says', ({ number, error, code, says, remedy }) => {
    const told = refused(number, error);
    expect(told).toMatchObject({ code, recovery: { kind: remedy === null ? 'retry' : 'operator' } });
    expect(told.message).toContain(says);
    expect(told.message).toContain(`(AADSTS${number}, correlation id ${correlationOf(number)})`);
    expect(remedyOf(told)).toContain(remedy ?? '');
  });

  it('is explained for every number of the table, and each stands once', () => {
    const known = entraNumbers.map(({ number }) => number).toSorted();
    expect(known).toEqual(entraWords.map(({ number }) => number).toSorted());
    expect(new Set(known).size).toBe(known.length);
  });

  it('with a number that nobody knows yet is told by the number, where to look it up, and by what OAuth says', () => {
    const told = refused(unknownNumber, 'invalid_client');
    expect(told).toMatchObject({ code: 'graph.sign_in_refused', recovery: { kind: 'operator' } });
    expect(told.message).toBe(
      `No token: the login host refused (AADSTS${unknownNumber}, correlation id ${correlationOf(unknownNumber)}).`,
    );
    expect(remedyOf(told)).toContain('https://login.microsoftonline.com/error');
    expect(refused(unknownNumber, 'invalid_grant').code).toBe('graph.sign_in_again');
  });

  it('without any number is told by what OAuth says', () => {
    const failed = { status: 400, error: 'invalid_scope', numbers: [], retryAfter: null, correlationId: null };
    expect(classifySignIn(failed, now).message).toBe('No token: the login host refused (invalid_scope, status 400).');
  });

  it('waits as long as the login host says', () => {
    const failed = { status: 429, error: 'no reason', numbers: [], retryAfter: '2.5', correlationId: null };
    expect(classifySignIn(failed, now).recovery).toEqual({
      kind: 'retry',
      notBefore: new Date('2026-03-16T05:00:02.5Z'),
    });
  });

  it('is known by its numbers, from the list or the description', () => {
    expect(readNumbers({ error_codes: [7000215] })).toEqual([7000215]);
    expect(readNumbers({ error_description: 'AADSTS90002: Tenant not found. AADSTS1: no' })).toEqual([90002]);
    expect(readNumbers(null)).toEqual([]);
  });

  it('is found in the sign-in logs by its correlation id, and nothing else of the answer is shown', () => {
    const id = '0a1b2c3d-0000-4000-8000-000000000001';
    expect(readCorrelation({ correlation_id: id })).toBe(id);
    expect(readCorrelation({ error_description: `x Trace ID: ${unknownNumber} Correlation ID: ${id} y` })).toBe(id);
    for (const body of [null, {}, { correlation_id: '<script>' }, { error_description: 'none' }])
      expect(readCorrelation(body)).toBeNull();
  });
});

const remedyOf = ({ recovery }: SyncError): string => (recovery.kind === 'operator' ? recovery.remedy : '');
