/** Calendars in which others keep a lot, or something large: delivery and its looks at what changed go on beside it. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventText } from '../support/caldav/event.ts';
import { aDeliveryWorld, aMeeting, realUrl, titles, type DeliveryWorld } from './world.ts';

let world: DeliveryWorld;
afterEach(() => world.close());

const mebibyte = 1024 * 1024;
/** Larger than what is read of one object. */
const hugeSize = (realUrl === null ? 5 : 10) * mebibyte;
const large = (uid: string, size: number): string => eventText(uid, `DESCRIPTION:${'long '.repeat(size / 5)}`);

describe('a calendar with objects of others', () => {
  it('is delivered to, and looked at, whatever their size', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: aMeeting('uid-1', 'One') });
    await world.settle();
    const href = await world.href();
    for (let index = 0; index < 6; index += 1)
      await world.hand.put(`${href}large-${index}.ics`, large(`large-${index}`, mebibyte), { ifNoneMatch: '*' });
    await world.hand.put(`${href}huge.ics`, large('huge', hugeSize), { ifNoneMatch: '*' });
    await world.says('a', { x: aMeeting('uid-1', 'One'), y: aMeeting('uid-2', 'Two') });

    await world.settle({ look: true });
    await world.lookNow(true);
    expect((await world.run()).kind).toBe('done');

    const ours = (await world.hand.list(href)).map((one) => one.href).filter((one) => !/\/(?:large|huge)/.test(one));
    const bodies = await world.hand.multiget(href, ours);
    expect(titles(new Map([...bodies].map(([name, { body }]) => [name, body])))).toEqual(['One', 'Two']);
    expect(await world.hand.etagOf(`${href}huge.ics`)).not.toBeNull();
    expect((await world.history()).filter(({ status }) => status === 'error')).toEqual([]);
  });

  it('has ours repaired although a client made one of them larger than any event', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: aMeeting('uid-1', 'One') });
    await world.settle();
    const [[href = '', body = ''] = []] = await world.standing();
    const edited = body.replace(/SUMMARY:.*/, `SUMMARY:Mine\r\nDESCRIPTION:${'long '.repeat(mebibyte)}`);
    await world.hand.put(href, edited, null);

    await world.settle({ look: true });

    expect(titles(await world.standing())).toEqual(['One']);
    expect((await world.hand.get(href))?.body).not.toContain('long long');
  });

  // A real server is filled faster by its database than by requests.
  (realUrl === null ? it : it.skip)('is compared without reading a crowd of foreign events', async () => {
    world = await aDeliveryWorld();
    await world.source('a');
    await world.says('a', { x: aMeeting('uid-1', 'One') });
    await world.settle();
    for (let index = 0; index < 1_000; index += 1)
      world.server.store('alice', 'work', `foreign-${index}.ics`, eventText(`foreign-${index}`));
    world.faults.forget();

    await world.settle({ look: true });
    await world.lookNow(true);
    expect((await world.run()).kind).toBe('done');

    expect(world.faults.requests.filter(({ body }) => body.includes('calendar-multiget'))).toEqual([]);
    expect(world.faults.requests.length).toBeLessThan(10);
    expect((await world.history('drift')).map((one) => one.code)).toEqual([]);
  });
});
