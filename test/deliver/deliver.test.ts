import { afterEach, describe, expect, it } from '@jest/globals';
import { aDeliveryWorld, aMeeting, titles, type DeliveryWorld } from './world.ts';

let world: DeliveryWorld;
afterEach(() => world.close());

describe('delivering to an empty calendar', () => {
  it('writes each meeting once, and nothing when nothing changed', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { one: aMeeting('uid-1', 'One'), two: aMeeting('uid-2', 'Two') });

    await world.settle();

    expect(titles(await world.standing())).toEqual(['One', 'Two']);
    world.server.forget();
    await world.says('a', { one: aMeeting('uid-1', 'One'), two: aMeeting('uid-2', 'Two') });
    await world.settle();
    expect(world.server.requests).toEqual([]);
  });
});
