import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { Client } from 'pg';
import { at, day, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';

let world: OneCalendar;
beforeEach(async () => {
  world = await oneCalendar();
  for (let index = 0; index < 5; index += 1) world.calendar.createEvent({ subject: `E${index}`, start: at(index) });
  world.calendar.createSeries({
    subject: 'Series',
    pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
    range: { type: 'numbered', startDate: day(-30), numberOfOccurrences: 20 },
    start: '09:00',
  });
  await world.stage.sync();
  await world.stage.passTime();
  await world.read();
});
afterEach(() => world.close());

interface Cost {
  readonly graph: readonly string[];
  readonly caldav: number;
  /** Statements sent to PostgreSQL, each of which is waited for. */
  readonly roundTrips: number;
  /** Both ways, heads and bodies, of all HTTP on loopback. */
  readonly bytes: number;
}

/** What everything costs that happens meanwhile. */
async function costOf(work: () => Promise<unknown>): Promise<Cost> {
  const { simulator, caldav } = world.stage;
  const sockets = new Map<Socket, number>();
  const bytesOf = (socket: Socket): number => socket.bytesRead + socket.bytesWritten;
  // Called when the head of a request has been read: until then a socket of its own had nothing but that.
  const onRequest = (message: unknown): void => {
    const { socket } = (message as { request: IncomingMessage }).request;
    if (!sockets.has(socket)) sockets.set(socket, known.get(socket) ?? 0);
  };
  const query = Reflect.get(Client.prototype, 'query') as (...args: unknown[]) => unknown;
  let roundTrips = 0;
  const counted = function (this: Client, ...args: unknown[]): unknown {
    roundTrips += 1;
    return Reflect.apply(query, this, args);
  };
  Reflect.set(Client.prototype, 'query', counted);
  simulator.requests.splice(0);
  caldav.forget();
  subscribe('http.server.request.start', onRequest);
  try {
    await work();
  } finally {
    unsubscribe('http.server.request.start', onRequest);
    Reflect.set(Client.prototype, 'query', query);
  }
  const bytes = [...sockets].reduce((sum, [socket, before]) => sum + bytesOf(socket) - before, 0);
  for (const socket of sockets.keys()) known.set(socket, bytesOf(socket));
  return {
    graph: simulator.requests.map(({ method, url }) => `${method} ${new URL(url).pathname}`),
    caldav: caldav.requests.length,
    roundTrips,
    bytes,
  };
}

/** What sockets that are kept alive had carried before. */
const known = new Map<Socket, number>();

async function poll(): Promise<void> {
  const { worker } = world.stage.product;
  await worker.run('ingest', 'contoso-me');
}

describe('a poll that finds nothing', () => {
  it('costs one request to Graph, none to the target, five round trips to the database and less than 2 kB', async () => {
    const { db } = world.stage.product.store;
    // The pace that a tenant bears is found after some time; until then each reading looks for it.
    await sql`update tenant_pace set cap = 32`.execute(db);
    await sql`update source set next_poll_at = now()`.execute(db);
    // What the connection has carried so far is not this poll's.
    await costOf(poll);
    await sql`update source set next_poll_at = now()`.execute(db);

    const cost = await costOf(poll);

    expect(cost.graph).toEqual([expect.stringMatching(/^GET \/v1\.0\/.*delta$/)]);
    expect(cost.caldav).toBe(0);
    expect(cost.roundTrips).toBeGreaterThan(0);
    expect(cost.roundTrips).toBeLessThanOrEqual(5);
    expect(cost.bytes).toBeGreaterThan(200);
    expect(cost.bytes).toBeLessThan(2_000);
    if (process.env['SHOW_FIGURES'] !== undefined) process.stderr.write(`a poll: ${JSON.stringify(cost)}\n`);
  });

  it('leaves nothing to deliver', async () => {
    await poll();
    const cost = await costOf(() => world.stage.product.worker.run('deliver', 'me'));
    expect(cost).toMatchObject({ graph: [], caldav: 0 });
  });
});
