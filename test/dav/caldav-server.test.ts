import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { bodyCases } from '../support/caldav/body-cases.ts';
import { etagOfText, eventText } from '../support/caldav/event.ts';
import { schedulingCases } from '../support/caldav/scheduling-cases.ts';
import { type CalDavServer, type CalDavServerOptions, startCalDavServer } from '../support/caldav/server.ts';

/** What other clients see: plain requests, none of our client's care. */
const alice = { authorization: `Basic ${Buffer.from('alice:secret').toString('base64')}` };
const calendar = '/dav.php/calendars/alice/default/';

const open: CalDavServer[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});
async function serve(options: CalDavServerOptions = {}): Promise<CalDavServer> {
  const server = await startCalDavServer({ auth: 'basic', ...options });
  open.push(server);
  return server;
}
function ask(
  server: CalDavServer,
  method: string,
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(new URL(path, server.url), {
    method,
    headers: { ...alice, ...headers },
    ...(body === undefined ? {} : { body }),
  });
}

describe('a naive client’s meeting', () => {
  it.each(schedulingCases.map((one) => [one.name, one] as const))(
    '%s',
    async (_name, { before, after, headers, mails, isKept }) => {
      const server = await serve();
      if (before !== null) server.store('alice', 'default', 'a.ics', before);

      const path = `${calendar}a.ics`;
      const answer = await (after === null
        ? ask(server, 'DELETE', path, undefined, headers)
        : ask(server, 'PUT', path, after, headers));

      expect(answer.ok).toBe(true);
      expect(server.mails.map((mail) => `${mail.method} ${mail.to.replace('mailto:', '')}`).toSorted()).toEqual(mails);
      if (after !== null) {
        expect(answer.headers.get('etag')).toBe(isKept ? etagOfText(after) : null);
        expect(server.objects('alice', 'default').get(path)?.body === after).toBe(isKept);
      }
    },
  );
});

describe('the judgement of a body', () => {
  const event = eventText('a');
  it.each(bodyCases)('%s', async (_name, body, status, isKept) => {
    const server = await serve();

    const answer = await ask(server, 'PUT', `${calendar}a.ics`, body);

    expect(answer.status).toBe(status);
    expect(answer.headers.get('etag')).toBe(isKept ? etagOfText(body) : null);
    expect(answer.headers.has('x-sabre-ew-gross')).toBe(status === 201 && !isKept);
  });

  it('repairs nothing for who asks for strictness', async () => {
    const server = await serve();
    const body = event.replace(/DTSTAMP.*\r\n/, '');

    expect((await ask(server, 'PUT', `${calendar}a.ics`, body, { Prefer: 'handling=strict' })).status).toBe(415);
  });

  it('takes one UID twice', async () => {
    const server = await serve();
    for (const name of ['a', 'b']) expect((await ask(server, 'PUT', `${calendar}${name}.ics`, event)).status).toBe(201);
  });
});

describe('a report of changes with a limit', () => {
  const report = (token: number, limit: number): string =>
    `<sync-collection xmlns="DAV:"><sync-token>http://sabre.io/ns/sync/${token}</sync-token><sync-level>1</sync-level><limit><nresults>${limit}</nresults></limit><prop><getetag/></prop></sync-collection>`;

  it('says that it was cut short', async () => {
    const server = await serve();
    for (const name of ['a', 'b', 'c']) server.store('alice', 'default', `${name}.ics`, eventText(name));

    const text = await (await ask(server, 'REPORT', calendar, report(1, 2))).text();

    expect(text).toContain('507 Insufficient Storage');
    expect(text).toContain('http://sabre.io/ns/sync/3<');
  });

  it('keeps it to itself when the log repeats a name', async () => {
    const server = await serve();
    for (const name of ['a', 'a', 'b']) server.store('alice', 'default', `${name}.ics`, eventText(name));

    const text = await (await ask(server, 'REPORT', calendar, report(1, 1))).text();

    expect(text).not.toContain('507');
    expect(text).not.toContain('b.ics');
    expect(text).toContain('http://sabre.io/ns/sync/3<');
  });
});

describe('other people’s calendars', () => {
  it('cannot be written', async () => {
    const users = ['alice', 'bob'].map((name) => ({ name, password: 'secret', email: `${name}@example.org` }));
    const server = await serve({ users });
    const path = calendar.replace('alice', 'bob');

    expect((await ask(server, 'PUT', `${path}a.ics`, eventText('a'))).status).toBe(403);
    expect((await ask(server, 'MKCALENDAR', calendar.replace('alice/default', 'bob/new'))).status).toBe(403);
    expect((await ask(server, 'PUT', `${calendar}a.ics`, eventText('a'), { authorization: 'Basic eDp5' })).status).toBe(
      401,
    );
  });
});

describe('a state file', () => {
  const stateFile = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'caldav-'));
    folders.push(folder);
    return join(folder, 'state.ndjson');
  };

  it('brings back calendars, objects and tokens, and drops half a line', async () => {
    const file = stateFile();
    const first = await startCalDavServer({ auth: 'basic', stateFile: file });
    await ask(first, 'MKCALENDAR', '/dav.php/calendars/alice/work/');
    await ask(first, 'PUT', `${calendar}a.ics`, eventText('a'));
    await ask(first, 'PUT', `${calendar}b.ics`, eventText('b'));
    await ask(first, 'DELETE', `${calendar}b.ics`);
    await first.close();
    appendFileSync(file, '{"do":"put","owner":"alice"');

    for (let starts = 0; starts < 2; starts += 1) {
      const again = await serve({ stateFile: file });
      expect(again.calendars('alice')).toEqual([calendar, '/dav.php/calendars/alice/work/']);
      expect([...again.objects('alice', 'default')]).toEqual([
        [`${calendar}a.ics`, { etag: etagOfText(eventText('a')), body: eventText('a') }],
      ]);
      const body = '<propfind xmlns="DAV:"><prop><sync-token/></prop></propfind>';
      expect(await (await ask(again, 'PROPFIND', calendar, body, { Depth: '0' })).text()).toContain(
        'http://sabre.io/ns/sync/4<',
      );
    }
  });

  it('survives kill -9', async () => {
    const file = stateFile();
    const script = `import { startCalDavServer } from ${JSON.stringify(new URL('../support/caldav/server.ts', import.meta.url).href)};
      const server = await startCalDavServer({ auth: 'basic', stateFile: ${JSON.stringify(file)} });
      console.log(server.url);`;
    const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer];
    const url = line.toString().trim();
    const put = await fetch(new URL(`${calendar}a.ics`, url), { method: 'PUT', headers: alice, body: eventText('a') });
    expect(put.status).toBe(201);
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;

    const again = await serve({ stateFile: file });
    expect([...again.objects('alice', 'default').keys()]).toEqual([`${calendar}a.ics`]);
  });
});

describe('a fault', () => {
  it('meets the request that was named, as often as was said', async () => {
    const server = await serve();
    const fault = server.fail({
      on: 'PUT',
      at: 2,
      times: 2,
      match: (request) => request.path.endsWith('.ics'),
      how: { status: 503 },
    });

    const statuses: number[] = [];
    for (const name of ['a.ics', 'b.ics', 'c.txt', 'c.ics', 'd.ics']) {
      statuses.push((await ask(server, 'PUT', `${calendar}${name}`, eventText('a'))).status);
    }
    expect(statuses).toEqual([201, 503, 201, 503, 201]);
    expect(fault.hits).toBe(2);
  });

  it('of a lost etag stores all the same', async () => {
    const server = await serve();
    server.fail({ on: '*', how: 'lose-etag' });

    const answer = await ask(server, 'PUT', `${calendar}a.ics`, eventText('a'));
    expect([answer.status, answer.headers.get('etag')]).toEqual([201, null]);
    expect(server.objects('alice', 'default').size).toBe(1);
  });
});

describe('what the server saw', () => {
  it('tells requests, their answers and how many there were at once', async () => {
    const server = await serve();
    server.fail({ on: 'PUT', times: 2, how: 'late-store' }).stop();
    const held = server.fail({ on: 'PUT', times: 2, how: 'late-store' });
    const both = [1, 2].map((index) =>
      server.waitForRequest((request) => request.path.endsWith(`${index}.ics`), 'arrived'),
    );
    const puts = [1, 2].map((index) => ask(server, 'PUT', `${calendar}${index}.ics`, eventText('a')));
    await Promise.all(both);
    expect(server.concurrency).toMatchObject({ now: 2, max: 2, maxPerPath: 1 });

    const answered = server.waitForRequest((request) => request.path.endsWith('2.ics'));
    await held.release();

    expect((await answered).status).toBe(201);
    await Promise.all(puts);
    expect(server.requests.map((request) => [request.method, request.status])).toEqual([
      ['PUT', 201],
      ['PUT', 201],
    ]);
    server.forget();
    expect(server.requests).toEqual([]);
  });
});
