/** The whole service between servers that go wrong: what showed before goes on showing, and each source says why. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { startCalDavServer, type CalDavServer, type FaultRule } from '../support/caldav/server.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import { aHome, startProcess, type Process } from '../support/process.ts';
import { until } from '../support/until.ts';

const day = (offset: number): string =>
  new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '');
const calendar = (...names: string[]): string =>
  [
    'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN',
    ...names.map(
      (name) =>
        `BEGIN:VEVENT\r\nUID:${name}\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:${day(5)}T090000Z\r\nDTEND:${day(5)}T100000Z\r\nSUMMARY:${name}\r\nEND:VEVENT`,
    ),
    'END:VCALENDAR\r\n',
  ].join('\r\n');

/** What a feed turns into, and what is said of it. */
const feeds: Readonly<Record<string, [(response: ServerResponse) => void, string]>> = {
  page: [
    (response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>Sign in</title>'),
    'ics.not_a_calendar',
  ],
  empty: [(response) => response.end(), 'ics.empty'],
  cut: [(response) => response.end(calendar('a', 'b').slice(0, 150)), 'ics.truncated'],
  huge: [(response) => response.end(Buffer.alloc(50 * 1_048_576, 'BEGIN:VCALENDAR\r\n')), 'ics.too_large'],
};

const multistatus = (inner: string, before = ''): FaultRule['how'] => ({
  status: 207,
  headers: { 'X-Sabre-Version': '4.7.1', 'Content-Type': 'application/xml' },
  body: `<?xml version="1.0"?>${before}<d:multistatus xmlns:d="DAV:">${inner}<d:sync-token>http://sabre.io/ns/sync/999</d:sync-token></d:multistatus>`,
});
const gone = (href: string): string =>
  `<d:response><d:href>${href}</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>`;
const laughs = Array.from({ length: 9 }, (_, index) => `<!ENTITY l${index + 1} "${`&l${index};`.repeat(10)}">`).join(
  '',
);

/** What the answers for a calendar turn into, and what is said of it. */
const answers: Readonly<Record<string, [FaultRule['how'], string]>> = {
  bomb: [multistatus('&l9;', `<!DOCTYPE x [<!ENTITY l0 "lol">${laughs}]>`), 'dav.unreadable'],
  file: [multistatus('&f;', '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'), 'dav.unreadable'],
  other: [multistatus(gone('/dav.php/calendars/alice/elsewhere/a.ics')), 'caldav.other_calendar'],
  href: [multistatus(gone('http://[bad/a.ics')), 'dav.unreadable'],
  html: ['html-200', 'dav.not_ready'],
};

let feedServer: Server;
let isBad = false;
let caldav: CalDavServer;
let database: TestDatabase;
let home: ReturnType<typeof aHome>;
let service: Process;
let client: Client;

beforeEach(async () => {
  isBad = false;
  feedServer = createServer((request, response) => {
    const name = /\/(\w+)\.ics/.exec(request.url ?? '')?.[1] ?? '';
    if (isBad) feeds[name]?.[0](response);
    else response.end(calendar(`${name}-a`, `${name}-b`));
  });
  await new Promise<void>((resolve) => feedServer.listen(0, '127.0.0.1', resolve));
  const feedUrl = `http://127.0.0.1:${(feedServer.address() as AddressInfo).port}`;
  caldav = await startCalDavServer({ auth: 'basic' });
  for (const name of Object.keys(answers)) {
    caldav.makeCalendar('alice', name);
    for (const one of ['a', 'b']) caldav.store('alice', name, `${one}.ics`, calendar(`${name}-${one}`));
  }
  database = await createMigratedDatabase();
  client = new Client({ connectionString: database.url });
  await client.connect();
  home = aHome(`
targets:
  - { id: me, url: '${caldav.url}', username: alice, password: secret, calendars: [ { id: work, name: Work } ] }
sources:
${Object.keys(feeds)
  .map((name) => `  - { id: feed-${name}, kind: ics, url: '${feedUrl}/${name}.ics', every: 10s, into: me/work }`)
  .join('\n')}
${Object.keys(answers)
  .map(
    (name) =>
      `  - { id: dav-${name}, kind: caldav, url: '${caldav.url}', username: alice, password: secret, calendar: ${name}, every: 10s, into: me/work }`,
  )
  .join('\n')}
`);
  service = startProcess(['serve'], { folder: home.path, env: { DATABASE_URL: database.url } });
});

afterEach(async () => {
  await service.end('SIGKILL');
  await client.end();
  feedServer.closeAllConnections();
  feedServer.close();
  await caldav.close();
  await database.drop();
  home.remove();
});

const shown = (): string[] =>
  [...caldav.objects('alice', 'work').values()]
    .map(({ body }) => /^SUMMARY:(.*)$/m.exec(body)?.[1]?.trim() ?? '')
    .sort();

it('keeps all that it showed when its sources answer nonsense, and names each fault', async () => {
  const names = [...Object.keys(feeds), ...Object.keys(answers)];
  const all = names.flatMap((name) => [`${name}-a`, `${name}-b`]).sort();
  await until('all shows', () => shown().length === all.length);

  isBad = true;
  for (const [name, [how]] of Object.entries(answers)) {
    caldav.discard('alice', name, 'b.ics');
    caldav.store('alice', name, 'b.ics', calendar(`${name}-b`));
    caldav.fail({ on: 'REPORT', times: 1_000, match: ({ path }) => path.includes(`/alice/${name}/`), how });
  }
  const wanted = Object.fromEntries([
    ...Object.entries(feeds).map(([name, [, code]]): [string, string] => [`feed-${name}`, code]),
    ...Object.entries(answers).map(([name, [, code]]): [string, string] => [`dav-${name}`, code]),
  ]);
  const told = async (): Promise<Record<string, string>> => {
    const { rows } = await client.query<{ source: string; code: string }>(
      `select distinct on (source_id) source_id as source, code from sync_history
       where status = 'error' and source_id is not null order by source_id, at desc`,
    );
    return Object.fromEntries(rows.map(({ source, code }) => [source, code]));
  };
  await until('each source has failed', async () => Object.keys(await told()).length === names.length).catch(
    () => undefined, // what is missing shows below
  );
  expect(await told()).toEqual(wanted);
  expect(shown()).toEqual(all);
  expect(service.child.exitCode).toBeNull();
  expect(service.output().stdout).not.toContain('.ics'); // a feed's address is its secret
}, 90_000);
