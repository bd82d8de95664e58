import { expect, it, jest } from '@jest/globals';
import { every } from '../../src/jobs/every.ts';
import { until } from '../support/until.ts';

it('goes on when the wall clock is set back by a day', async () => {
  let times = 0;
  const repetition = every(5, () => void (times += 1));
  await until('it has begun', () => times > 0);
  const wallClock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 86_400_000);
  try {
    const before = times;
    await until('it goes on', () => times > before + 3, 5_000);
  } finally {
    wallClock.mockRestore();
    await repetition.stop();
  }
});

it('never does its work twice at a time, and is stopped only when that has ended', async () => {
  const order: string[] = [];
  let end = (): void => undefined;
  const repetition = every(2, async () => {
    order.push('begun');
    await new Promise<void>((resolve) => (end = resolve));
    order.push('ended');
  });
  await until('it has begun', () => order.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 30)); // some fifteen more would have begun
  const stopped = repetition.stop().then(() => order.push('stopped'));
  end();
  await stopped;

  expect(order).toEqual(['begun', 'ended', 'stopped']);
});
