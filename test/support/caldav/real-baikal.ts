import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { startFaultProxy } from './fault-proxy.ts';
import { encodeSegment } from './places.ts';
import type { CalDavServer, CalDavServerOptions } from './server.ts';
import type { User } from './store.ts';

/** The real Baikal that stages write to: CALDAV_URL, and CALDAV_SQLITE, the file of its database; null: none is named. */
export const realBaikal = ((): { url: string; file: string } | null => {
  const { CALDAV_URL: url, CALDAV_SQLITE: file } = process.env;
  return url === undefined || file === undefined ? null : { url, file };
})();

/**
 * A real Baikal in the place of the in-process server, behind a proxy that records and fails. Its users are made anew in
 * its database, which also says what stands there; their address is that of the mailbox which scenarios mirror, so that
 * whatever could cause a mail does. What only the in-process server can do, throws.
 */
export async function startRealBaikal(
  { url, file }: { url: string; file: string },
  options: CalDavServerOptions = {},
): Promise<CalDavServer> {
  const users = options.users ?? [{ name: 'alice', password: 'secret', email: 'me@contoso.example' }];
  const db = new DatabaseSync(file, { timeout: 60_000 });
  for (const user of users) makeAnew(db, user);
  const proxy = await startFaultProxy(url);
  const { origin, pathname } = new URL(url);
  const hrefOf = (user: string, ...names: string[]): string =>
    [`${pathname}calendars`, user, ...names].map((name, index) => (index === 0 ? name : encodeSegment(name))).join('/');

  /** Somebody else's request, past the proxy: it mails nobody. */
  function send(method: string, user: string, href: string, body?: string): void {
    const { password } = users.find(({ name }) => name === user) ?? { password: '' };
    execFileSync(
      'curl',
      [
        ...['--silent', '--show-error', '--fail', '--anyauth', '--user', `${user}:${password}`, '--request', method],
        ...['--header', 'Schedule-Reply: F', '--header', 'Content-Type: text/calendar; charset=utf-8'],
        ...(body === undefined ? [] : ['--data-binary', '@-']),
        `${origin}${href}`,
      ],
      { input: body ?? '', stdio: ['pipe', 'ignore', 'inherit'] },
    );
  }

  return {
    ...proxy,
    users,
    objects(user, calendar) {
      const found = db
        .prepare(
          `select o.uri, o.calendardata as body, o.etag from calendarobjects o
           join calendarinstances i on i.calendarid = o.calendarid where i.principaluri = ? and i.uri = ? order by o.id`,
        )
        .all(`principals/${user}`, calendar) as { uri: string; body: string | Uint8Array; etag: string }[];
      return new Map(
        found.map(({ uri, body, etag }) => [
          hrefOf(user, calendar, uri),
          {
            body: typeof body === 'string' ? body : Buffer.from(body).toString('utf8'),
            etag: `"${etag}"`,
          },
        ]),
      );
    },
    calendars: (user) =>
      db
        .prepare('select uri from calendarinstances where principaluri = ? order by id')
        .all(`principals/${user}`)
        .map(({ uri }) => `${hrefOf(user, String(uri))}/`),
    store(user, calendar, name, body) {
      const href = hrefOf(user, calendar, name);
      send('PUT', user, href, body);
      return href;
    },
    discard: (user, calendar, name) => send('DELETE', user, hrefOf(user, calendar, name)),
    dropCalendar: (user, name) => send('DELETE', user, `${hrefOf(user, name)}/`),
    async close() {
      db.close();
      await proxy.close();
    },
    get mails(): never {
      return notHere('mails');
    },
    get concurrency(): never {
      return notHere('concurrency');
    },
    get connections(): never {
      return notHere('connections');
    },
    switchCalDav: () => notHere('switchCalDav'),
    makeCalendar: () => notHere('makeCalendar'),
    waitForRequest: () => notHere('waitForRequest'),
  };
}

function notHere(what: string): never {
  throw new Error(`${what} is of the in-process CalDAV server only`);
}

/** A user with an empty calendar `default`, and nothing left of an earlier one of that name. */
function makeAnew(db: DatabaseSync, { name, password, email }: User): void {
  const principal = `principals/${name}`;
  const digest = createHash('md5').update(`${name}:BaikalDAV:${password}`).digest('hex');
  const mine = 'select calendarid from calendarinstances where principaluri = ?';
  db.exec('begin immediate');
  for (const table of ['calendarobjects', 'calendarchanges'])
    db.prepare(`delete from ${table} where calendarid in (${mine})`).run(principal);
  db.prepare(`delete from calendars where id in (${mine})`).run(principal);
  for (const table of ['calendarinstances', 'schedulingobjects'])
    db.prepare(`delete from ${table} where principaluri = ?`).run(principal);
  db.prepare('delete from principals where uri = ?').run(principal);
  db.prepare('delete from users where username = ?').run(name);
  db.prepare('insert into principals (uri, email, displayname) values (?, ?, ?)').run(principal, email, name);
  db.prepare('insert into users (username, digesta1) values (?, ?)').run(name, digest);
  const { lastInsertRowid } = db.prepare("insert into calendars (components) values ('VEVENT,VTODO')").run();
  db.prepare(
    "insert into calendarinstances (calendarid, principaluri, access, displayname, uri) values (?, ?, 1, 'Default', 'default')",
  ).run(lastInsertRowid, principal);
  db.exec('commit');
}
