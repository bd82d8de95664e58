import { describe, expect, it } from '@jest/globals';
import { Gate, WriterPace } from '../../src/deliver/writer-pace.ts';
import { seededRandom } from '../support/graph/switches.ts';

/** Writes at the rate that the server makes of so many writers, give or take `noise`; the share of time at each number. */
function writeTo(
  pace: WriterPace,
  rate: (writers: number) => number,
  writes: number,
  noise = 0.05,
): Map<number, number> {
  const random = seededRandom(7);
  const shares = new Map<number, number>();
  let now = 1_000;
  let wobble = 1;
  for (let write = 0; write < writes; write += 1) {
    if (write % 100 === 0) wobble = 1 + noise * (2 * random() - 1);
    const ms = 1_000 / (rate(pace.limit) * wobble);
    shares.set(pace.limit, (shares.get(pace.limit) ?? 0) + ms);
    now += ms;
    pace.wrote(now);
  }
  const total = [...shares.values()].reduce((a, b) => a + b, 0);
  return new Map([...shares].map(([writers, ms]) => [writers, ms / total]));
}

const limited =
  (best: number, one: number) =>
  (writers: number): number =>
    one * Math.min(writers, best) ** 0.7;

describe('the number of writers', () => {
  it.each([
    ['a Baikal left at its defaults', (writers: number) => [0, 60, 85, 0, 72, 0, 0, 0, 68][writers] ?? 0, 2],
    ['a tuned one', (writers: number) => [0, 110, 179, 0, 214, 0, 0, 0, 220][writers] ?? 0, 4],
    ['one that gains from all', limited(8, 100), 8],
    ['one that does a thing at a time', (writers: number) => [0, 30, 28, 0, 26, 0, 0, 0, 26][writers] ?? 0, 1],
  ])('is found by measuring and mostly kept: %s', (_name, rate, best) => {
    const pace = new WriterPace();
    writeTo(pace, rate, 3_000);
    const shares = writeTo(pace, rate, 10_000);

    expect(shares.get(best) ?? 0).toBeGreaterThan(0.75);
  });

  it('costs less than a twentieth of a first mirror to find', () => {
    for (const rate of [limited(1, 60), limited(2, 60), limited(4, 60), limited(8, 60)]) {
      const pace = new WriterPace();
      let now = 0;
      for (let write = 0; write < 10_000; write += 1) pace.wrote((now += 1_000 / rate(pace.limit)));
      expect(now).toBeLessThan((10_000 / rate(8)) * 1_000 * 1.05);
    }
  });

  it('follows a server that changes', () => {
    const pace = new WriterPace();
    writeTo(pace, limited(8, 100), 5_000);
    expect(pace.limit).toBe(8);
    writeTo(pace, limited(2, 100), 40_000);
    expect(pace.limit).toBeLessThanOrEqual(4);
  });

  it('falls when the server does not keep up', () => {
    const pace = new WriterPace();
    writeTo(pace, limited(8, 100), 5_000);
    pace.slowDown();
    expect(pace.limit).toBe(4);
    for (let times = 0; times < 5; times += 1) pace.slowDown();
    expect(pace.limit).toBe(1);
  });

  it('judges nothing by time in which there was nothing to write', () => {
    const pace = new WriterPace();
    for (let change = 1; change < 1_000; change += 1) pace.wrote(change * 60_000);
    expect(pace.limit).toBe(2);
  });
});

describe('the gate', () => {
  it('lets in as many as the pace says, and more when it says more', async () => {
    const pace = { limit: 2 };
    const gate = new Gate(pace);
    let inside = 0;
    const enter = async (): Promise<void> => {
      await gate.enter();
      inside += 1;
    };
    const all = Array.from({ length: 6 }, enter);
    await Promise.all(all.slice(0, 2));
    expect(inside).toBe(2);
    pace.limit = 4;
    gate.leave();
    await Promise.all(all.slice(0, 5));
    expect(inside).toBe(5);
    pace.limit = 1;
    for (let left = 0; left < 4; left += 1) gate.leave();
    await Promise.all(all);
  });
});
