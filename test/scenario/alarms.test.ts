import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { openAlarms } from '../../src/store/alarms.ts';
import { beside } from '../support/beside.ts';
import { startMailServer, type MailServer } from '../support/mail-server.ts';
import { at, oneCalendar, type OneCalendar } from '../support/one-calendar.ts';

interface Posted {
  readonly notices: readonly { readonly event: string; readonly key: string; readonly message: string }[];
}

let world: OneCalendar;
let mail: MailServer;
let hook: Server;
let posted: Posted[];
let beats: number;
let hookStatus: number;
let isSigned: boolean;

beforeEach(async () => {
  posted = [];
  beats = 0;
  hookStatus = 204;
  isSigned = true;
  mail = await startMailServer();
  hook = createServer((request, response) => {
    void text(request).then((body) => {
      if (request.method === 'GET') beats += 1;
      else {
        const wanted = createHmac('sha256', 'hook secret').update(`${String(request.headers['x-timestamp'])}.${body}`);
        isSigned &&= request.headers['x-signature'] === `sha256=${wanted.digest('hex')}`;
        if (hookStatus === 204) posted.push(JSON.parse(body) as Posted);
      }
      response.writeHead(hookStatus).end();
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}`;
  world = await oneCalendar({
    env: {
      ALARM_WEBHOOK_URL: `${url}/hook`,
      ALARM_WEBHOOK_SECRET: 'hook secret',
      HEARTBEAT_URL: `${url}/beat`,
      SMTP_URL: mail.url,
      ALARM_MAIL_TO: 'operator@mail.example',
      STATUS_ENTRIES: 'true',
    },
    between: beside,
  });
  world.calendar.createEvent({ subject: 'Meeting', start: at(1), end: at(1, '10:00') });
  await world.stage.sync();
}, 120_000);

afterEach(async () => {
  await world.close();
  await mail.close();
  await new Promise((resolve) => hook.close(resolve));
});

const db = () => world.stage.product.store.db;
const keep = () => world.stage.product.alarms.keep();
const goStale = () => sql`update source set fresh_at = now() - interval '40 minutes'`.execute(db());
const told = () => posted.flatMap(({ notices }) => notices.map(({ event, key }) => `${event} ${key}`));
const again = () => sql`update alarm_notice set not_before = null`.execute(db());

describe('a source that is out of date', () => {
  it('is told once on each channel, whatever restarts, and once more when it is fresh again', async () => {
    await keep();
    expect([told(), mail.mails, beats]).toEqual([[], [], 1]);
    await goStale();
    await keep();
    await keep();
    await world.stage.restart();
    const other = await world.stage.another();
    await Promise.all([keep(), other.alarms.keep()]);
    expect(told()).toEqual(['alarm stale:contoso-me']);
    expect(isSigned).toBe(true);
    expect(mail.mails).toHaveLength(1);
    expect(mail.mails[0]).toMatch(/^To: operator@mail\.example$/m);
    expect(mail.mails[0]).toMatch(/^Subject: \[calendar-sync\] contoso \(contoso-me\) has not been updated since/m);
    // Silence is what tells the watcher outside.
    expect(beats).toBe(1);
    expect(await openAlarms(db())).toHaveLength(1);

    await sql`update source set fresh_at = now()`.execute(db());
    await keep();
    await keep();
    expect(told()).toEqual(['alarm stale:contoso-me', 'recovery stale:contoso-me']);
    expect(mail.mails).toHaveLength(2);
    expect(mail.mails[1]).toMatch(/^Subject: \[calendar-sync\] Over: contoso/m);
    expect(beats).toBe(2);

    await goStale();
    await keep();
    expect(told()).toHaveLength(3);
  });

  it('has a limit of its own where the configuration says so', async () => {
    const limit = (seconds: number) =>
      sql`update source set settings = settings || jsonb_build_object('staleAfterSeconds', ${seconds}::int)`.execute(
        db(),
      );
    await goStale();
    await limit(3_600);
    await keep();
    expect(told()).toEqual([]);
    await limit(600);
    await keep();
    expect(told()).toEqual(['alarm stale:contoso-me']);
  });

  it('is told by each channel as soon as that one takes it, without repeating the other', async () => {
    hookStatus = 500;
    mail.refuse(true);
    await goStale();
    await keep();
    expect(told()).toEqual([]);
    mail.refuse(false);
    await again();
    await keep();
    expect([told(), mail.mails.length]).toEqual([[], 1]);
    hookStatus = 204;
    await keep();
    // Not before its time.
    expect(told()).toEqual([]);
    await again();
    await keep();
    expect([told(), mail.mails.length]).toEqual([['alarm stale:contoso-me'], 1]);
  });

  it('says so in the calendar itself, all day, until it is fresh again', async () => {
    expect(world.titles()).toEqual(['Meeting']);
    await goStale();
    await keep();
    await keep();
    await world.stage.product.worker.run('deliver', 'me');
    expect(world.titles()).toEqual(['Meeting', expect.stringMatching(/^contoso: not updated since 20/)]);
    const entry = world.stage.bodies().find((body) => body.includes('not updated'));
    expect(entry).toMatch(/^DTSTART;VALUE=DATE:\d{8}\r$/m);
    expect(entry).not.toContain('VALARM');

    await world.stage.passTime();
    await world.stage.sync();
    await keep();
    await world.stage.product.worker.run('deliver', 'me');
    expect(world.titles()).toEqual(['Meeting']);
    const { rows } = await sql`select from claim where source_id like 'status:%'`.execute(db());
    expect(rows).toEqual([]);
  });
});

describe('access that is withdrawn', () => {
  it('is told at once with what to do, and that it is back', async () => {
    const refused = world.stage.simulator.fail({ match: '/delta', how: { status: 403 } });
    await world.stage.passTime();
    await world.stage.sync();
    await keep();
    expect(told()).toEqual(['alarm access:contoso:graph.access_denied']);
    expect(mail.mails[0]?.replaceAll(/=\n/g, '')).toContain('What to do: Grant the app Calendars.Read');
    refused.clear();
    await world.stage.passTime();
    await world.stage.sync();
    await keep();
    expect(told()).toEqual(['alarm access:contoso:graph.access_denied', 'recovery access:contoso:graph.access_denied']);
  });
});
