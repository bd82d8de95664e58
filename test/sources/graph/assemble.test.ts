import { describe, expect, it } from '@jest/globals';

import { assemble } from '../../../src/sources/graph/assemble.ts';
import { members } from '../../../src/sources/graph/members.ts';
import { aMaster, anEvent, anException, owner, time, type Json } from './wire-builders.ts';

/** An occurrence as delta sends it: times and nothing else (graph-docs#7632). */
function aStub(id: string, master = 'EVm1'): Json {
  return {
    '@odata.etag': 'W/"k1"',
    id,
    type: 'occurrence',
    seriesMasterId: master,
    start: time('2026-05-05T23:00:00'),
  };
}

function removed(id: string, reason = 'deleted'): Json {
  return { '@odata.type': '#microsoft.graph.event', id, '@removed': { reason } };
}

function page(...items: unknown[]) {
  const { claims, stale } = assemble(items, owner);
  return { claims: claims.map(({ key, series }) => `${key}: ${series.main.summary}`), stale };
}

describe('a page of delta', () => {
  it('tells singles whole', () => {
    const { claims } = assemble([anEvent()], owner);
    expect(claims).toMatchObject([{ key: 'EV1', version: 'k1', check: null, series: { slot: '*' } }]);
  });

  it('keeps two events apart that share an iCalUId', () => {
    const { claims } = assemble([anEvent(), anEvent({ id: 'ev1' })], owner);
    expect(claims.map(({ key }) => key)).toEqual(['EV1', 'ev1']);
    expect(new Set(claims.map(({ series }) => series.uid)).size).toBe(1);
  });

  it('asks for the master of whatever belongs to a series, once, and shows neither stubs nor the master itself', () => {
    expect(page(aMaster(), aStub('o1'), aStub('o2'), anException())).toEqual({
      claims: [],
      stale: [{ key: 'EVm1', why: 'member', version: 'k1' }],
    });
  });

  it('tells the version of a series where all of it agrees', () => {
    expect(page(aMaster(), aStub('o1')).stale).toEqual([{ key: 'EVm1', why: 'member', version: 'k1' }]);
    const other = { ...aStub('o2'), '@odata.etag': 'W/"k2"' };
    expect(page(aMaster(), aStub('o1'), other).stale).toEqual([{ key: 'EVm1', why: 'member' }]);
    const none = { ...aStub('o2'), '@odata.etag': undefined };
    expect(page(aMaster(), none).stale).toEqual([{ key: 'EVm1', why: 'member' }]);
    expect(page(removed('EVm1'), aMaster()).stale).toEqual([{ key: 'EVm1', why: 'member' }]);
  });

  it('asks for members by themselves too when few come without their master', () => {
    expect(page(aStub('o1'), anException()).stale.map(({ key }) => key)).toEqual(['EVm1', 'o1', 'EVm1o2']);
    const many = Array.from({ length: 6 }, (_, index) => aStub(`o${index}`));
    expect(page(...many).stale.map(({ key }) => key)).toEqual(['EVm1']);
  });

  it.each(['deleted', 'changed'])('never takes a removal for a deletion (%s)', (reason) => {
    expect(page(removed('EV1', reason))).toEqual({ claims: [], stale: [{ key: 'EV1', why: 'removed' }] });
  });

  it('lets the last word count where an id comes twice', () => {
    expect(page(anEvent({ subject: 'old' }), anEvent({ subject: 'new' })).claims).toEqual(['EV1: new']);
    expect(page(anEvent(), removed('EV1'))).toEqual({ claims: [], stale: [{ key: 'EV1', why: 'thin' }] });
    expect(page(removed('EV1'), anEvent())).toEqual({ claims: ['EV1: Boiler check'], stale: [] });
    expect(page(anEvent({ id: 'EVm1' }), aMaster())).toMatchObject({ claims: [], stale: [{ key: 'EVm1' }] });
    expect(page(removed('EVm1'), aStub('o1'), aMaster()).stale).toEqual([{ key: 'EVm1', why: 'member' }]);
  });

  it('asks for a single that comes as a thin row, not for one without a title', () => {
    expect(page({ id: 'EV1', type: 'singleInstance', start: time('2026-07-01T07:00:00') }).stale).toEqual([
      { key: 'EV1', why: 'thin' },
    ]);
    expect(page(anEvent({ subject: null }), anEvent({ id: 'EV2', subject: '' })).claims).toEqual([
      'EV1: null',
      'EV2: null',
    ]);
  });

  it('sets aside what cannot be read without losing the rest', () => {
    const items = [anEvent({ start: time('0001-01-01T00:00:00') }), anEvent({ id: 'EV2' })];
    expect(page(...items)).toEqual({ claims: ['EV2: Boiler check'], stale: [{ key: 'EV1', why: 'unreadable' }] });
  });

  it('passes over what has no id or is no object', () => {
    expect(page(null, 7, 'x', [], {}, anEvent({ id: undefined }))).toEqual({ claims: [], stale: [] });
  });

  it('takes a row without a type for what its fields say', () => {
    expect(page(aMaster({ type: undefined })).stale).toMatchObject([{ key: 'EVm1', why: 'member' }]);
    expect(page(anEvent({ type: 'somethingNew' })).claims).toEqual(['EV1: Boiler check']);
  });
});

describe('the memory of occurrences', () => {
  it('recognises a series by the removal of its occurrences', () => {
    const memory = members();
    expect(memory.take([aStub('o1'), aStub('o2'), aStub('o3')])).toEqual([]);
    expect(memory.take([removed('o3'), removed('o1'), removed('o2'), removed('other')])).toEqual(['EVm1']);
  });

  it('knows the occurrences that a rebuilt series has now', () => {
    const memory = members();
    memory.note('EVm1', ['o7', 'o8', 'o9']);
    expect(memory.take([removed('o7'), removed('o8'), removed('o9')])).toEqual(['EVm1']);
  });

  it('forgets the series that it met longest ago', () => {
    const memory = members();
    for (let index = 0; index < 2_001; index += 1) memory.take([aStub(`o${index}`, `m${index}`)]);
    expect(memory.take([removed('o0'), removed('o1')])).toEqual(['m1']);
  });
});
