import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { readBatch } from '../../../src/sources/graph/notification.ts';

describe('a batch of notifications', () => {
  it('is reduced to whose they are and what proves them', () => {
    const body = {
      value: [
        {
          subscriptionId: 's1',
          clientState: 'secret',
          changeType: 'updated',
          resource: 'Users/u/Events/e',
          resourceData: { '@odata.type': '#Microsoft.Graph.Event', '@odata.id': 'Users/u/Events/e', id: 'e' },
        },
        { subscriptionId: 's2', lifecycleEvent: 'reauthorizationRequired', clientState: null },
        { subscriptionId: 's3', lifecycleEvent: 'subscriptionRemoved', clientState: 'x'.repeat(129) },
        { subscriptionId: 's4', lifecycleEvent: 'somethingNew', clientState: 'y' },
      ],
    };
    expect(readBatch(JSON.stringify(body))).toEqual({
      kind: 'batch',
      malformed: 0,
      items: [
        { subscriptionId: 's1', clientState: 'secret', lifecycle: null },
        { subscriptionId: 's2', clientState: null, lifecycle: 'reauthorizationRequired' },
        { subscriptionId: 's3', clientState: null, lifecycle: 'subscriptionRemoved' },
        { subscriptionId: 's4', clientState: 'y', lifecycle: 'missed' },
      ],
    });
  });

  it('counts items that name no subscription', () => {
    const value = [
      null,
      1,
      'x',
      [],
      {},
      { subscriptionId: '' },
      { subscriptionId: 's'.repeat(101) },
      { subscriptionId: 's' },
    ];
    expect(readBatch(JSON.stringify({ value }))).toMatchObject({ malformed: 7, items: [{ subscriptionId: 's' }] });
  });

  it.each([
    ['no JSON', '{"value":', 'not-json'],
    ['nothing', '', 'not-json'],
    ['another shape', '{"value":"x"}', 'no-batch'],
    ['null', 'null', 'no-batch'],
    ['arrays in arrays', '['.repeat(500_000), 'too-deep'],
    ['objects in objects behind a quoted quote', `{"a":"\\\\\\"[","b":${'{"c":'.repeat(20)}`, 'too-deep'],
    ['objects behind a string that ends in a backslash', `{"a":"\\\\","b":${'{"c":'.repeat(20)}`, 'too-deep'],
  ])('refuses %s', (_, body, reason) => {
    expect(readBatch(body)).toEqual({ kind: 'refused', reason });
  });

  it('takes whatever is in strings', () => {
    const body = (text: string): string => JSON.stringify({ value: [{ subscriptionId: 's', text }] });
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('[', '{', '"', '\\', ']', 'a'), maxLength: 60 }), (text) => {
        expect(readBatch(body(text))).toMatchObject({ kind: 'batch', malformed: 0 });
      }),
    );
  });
});
