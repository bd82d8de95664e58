import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type AuthKind, openGate } from './auth.ts';
import { type ActiveFault, type Fault, type FaultRule, openFaultBook } from './faults.ts';
import { encodeSegment } from './places.ts';
import { decide } from './protocol.ts';
import { type Call, type Reply, type World, fail } from './replies.ts';
import type { Mail } from './scheduling.ts';
import { type StoredObject, type User, openStore } from './store.ts';

export type { Fault, FaultKind, FaultRule } from './faults.ts';
export type { Mail } from './scheduling.ts';

export interface RecordedRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Null until answered, and for good when no answer was given. */
  status: number | null;
}

export interface CalDavServerOptions {
  /** Default: `alice` / `secret`, alice@example.org. Each has a calendar `default`. */
  readonly users?: readonly User[];
  /** Default `digest`, as Baikal's. */
  readonly auth?: AuthKind;
  /** Refuse nonces that are not ours and counts that were used (Baikal does not). */
  readonly isStrictDigest?: boolean;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default `/dav.php/`. */
  readonly base?: string;
  /** Answer of `/.well-known/caldav`; null: the rule was not set up. Default 302, the usual nginx rule. */
  readonly wellKnown?: 301 | 302 | 307 | 308 | null;
  /** Changes are appended here, and read again at start. */
  readonly stateFile?: string;
  /** False: some other server, which shows no `X-Sabre-Version`. */
  readonly isSabre?: boolean;
}

export type Maintenance = 'html-200' | 'redirect-install';

export interface CalDavServer {
  /** Of the DAV root: `http://127.0.0.1:PORT/dav.php/`. */
  readonly url: string;
  readonly users: readonly User[];
  /** What a calendar holds, by href. Empty when there is no such calendar. */
  objects(user: string, calendar: string): Map<string, StoredObject>;
  /** Hrefs of a user's calendars. */
  calendars(user: string): string[];
  /** Requests since the start or the last `forget`; of very many, the latest. */
  readonly requests: RecordedRequest[];
  readonly mails: Mail[];
  /** Requests in hand: now, and the most at once since the last `forget`; also for one path only. */
  readonly concurrency: { readonly now: number; readonly max: number; readonly maxPerPath: number };
  /** Connections taken since the start. */
  readonly connections: number;
  /** Empties `requests`, `mails` and the concurrency counters. */
  forget(): void;
  fail(rule: FaultRule): Fault;
  /** Baikal out of order as a whole; null puts it right. */
  maintain(how: Maintenance | null): void;
  /** CalDAV switched off or on in Baikal's settings. */
  switchCalDav(isOn: boolean): void;
  /** Somebody else's write (a phone): no request, no mail. Gives the href. */
  store(user: string, calendar: string, name: string, body: string): string;
  /** Somebody else's deletion. */
  discard(user: string, calendar: string, name: string): void;
  makeCalendar(user: string, name: string): string;
  dropCalendar(user: string, name: string): void;
  /** The next request that matches, once it has arrived, or once it has been answered or broken off. */
  waitForRequest(
    predicate: (request: RecordedRequest) => boolean,
    when?: 'arrived' | 'answered',
  ): Promise<RecordedRequest>;
  close(): Promise<void>;
}

/** A CalDAV server over real HTTP that behaves like Baikal 0.12, its bad habits included. */
export async function startCalDavServer(options: CalDavServerOptions = {}): Promise<CalDavServer> {
  const users = options.users ?? [{ name: 'alice', password: 'secret', email: 'alice@example.org' }];
  const base = options.base ?? '/dav.php/';
  const store = openStore(users, options.stateFile ?? null);
  const world: World = { base, users, store, mails: [], isCalDavOn: true };
  const gate = openGate(options.auth ?? 'digest', users, options.isStrictDigest ?? false);
  const faults = openFaultBook();
  const requests: RecordedRequest[] = [];
  const waiting = new Set<{
    when: string;
    predicate: (request: RecordedRequest) => boolean;
    tell: (request: RecordedRequest) => void;
  }>();
  const perPath = new Map<string, number>();
  const counters = { now: 0, max: 0, maxPerPath: 0 };
  const wellKnown = options.wellKnown === undefined ? 302 : options.wellKnown;
  let maintenance: Maintenance | null = null;
  let visits = 0;

  function announce(when: 'arrived' | 'answered', request: RecordedRequest): void {
    for (const waiter of waiting) {
      if (waiter.when !== when || !waiter.predicate(request)) continue;
      waiting.delete(waiter);
      waiter.tell(request);
    }
  }

  function send(response: ServerResponse, request: RecordedRequest, reply: Reply): void {
    request.status = reply.status;
    const isBare = reply.status === 204 || reply.status === 304;
    response.writeHead(reply.status, {
      ...(options.isSabre === false ? {} : { 'X-Sabre-Version': '4.7.1' }),
      'Set-Cookie': `PHPSESSID=${(visits += 1)}; path=/; HttpOnly`,
      ...reply.headers,
      ...(isBare ? {} : { 'Content-Length': Buffer.byteLength(reply.body) }),
    });
    response.end(request.method === 'HEAD' ? '' : reply.body);
  }

  function sendBare(
    response: ServerResponse,
    request: RecordedRequest,
    status: number,
    headers: Record<string, string>,
    body: string,
  ): void {
    request.status = status;
    response.writeHead(status, headers).end(body);
  }

  function handle(request: RecordedRequest, response: ServerResponse): void {
    const isPastFaults = request.headers[pastFaults] !== undefined;
    if (maintenance !== null && !isPastFaults) return outOfOrder(maintenance, request, response);
    if (request.path.startsWith('/.well-known/caldav')) {
      if (wellKnown === null)
        return sendBare(response, request, 404, { 'Content-Type': 'text/html' }, '<h1>Not Found</h1>');
      return sendBare(response, request, wellKnown, { Location: base }, '');
    }
    if (!`${request.path}/`.startsWith(base)) {
      // Baikal's own page, which takes any method.
      return sendBare(
        response,
        request,
        200,
        { 'Content-Type': 'text/html; charset=UTF-8' },
        '<h1>Baikal is running alright.</h1>',
      );
    }
    const admitted = gate.admit(request.method, request.headers['authorization']);
    if ('challenge' in admitted) return unauthorized(admitted.challenge, admitted.message, request, response);
    // After the challenge, so that a fault always meets a request that would have been carried out.
    const fault = isPastFaults ? null : faults.meet(request);
    if (fault?.how === 'html-200' || fault?.how === 'redirect-install') return outOfOrder(fault.how, request, response);
    if (fault?.how === 'reset-before') return void response.destroy();
    if (fault?.how === 'timeout-not-stored') return;
    if (fault?.how === 'trickle') return trickle(response, request);
    if (fault?.how === '500-not-stored') return send(response, request, databaseFailure);
    if (fault?.how === '401') {
      const refused = gate.admit(request.method, undefined);
      if ('challenge' in refused)
        return unauthorized(refused.challenge, 'Username or password was incorrect', request, response);
    }
    const call: Call = {
      method: request.method,
      path: request.path.split('?')[0] ?? '',
      header: (name) => request.headers[name],
      body: request.body,
      user: admitted,
    };
    answer(call, fault, request, response);
  }

  function unauthorized(challenge: string, message: string, request: RecordedRequest, response: ServerResponse): void {
    const exception = 'Sabre\\DAV\\Exception\\NotAuthenticated';
    send(response, request, fail(401, exception, message, '', { 'WWW-Authenticate': challenge }));
  }

  function answer(call: Call, fault: ActiveFault | null, request: RecordedRequest, response: ServerResponse): void {
    const { reply, commit } = decide(world, call);
    if (fault?.how === 'late-store' || fault?.how === '504-late') {
      fault.hold(() => {
        commit?.(true);
        if (!response.destroyed && !response.headersSent) send(response, request, reply);
      });
      if (fault.how === '504-late') sendBare(response, request, 504, htmlType, '<h1>504 Gateway Time-out</h1>');
      return;
    }
    const { how } = fault ?? { how: null };
    if (typeof how === 'object' && how !== null) {
      if (how.isDone === true) commit?.(true);
      return sendBare(response, request, how.status, { ...how.headers }, how.body ?? '');
    }
    commit?.(how !== '500-stored');
    if (how === '500-stored') return send(response, request, databaseFailure);
    if (how === 'timeout-stored') return;
    if (how === 'reset-after') return void response.destroy();
    if (how === 'reset-midway') return breakOff(response, request, reply);
    if (how === 'in-pieces') return void sendInPieces(response, request, reply);
    if (how === 'lose-etag' || how === 'weaken-etag') {
      const { ETag: etag, ...headers } = reply.headers;
      const weak = how === 'weaken-etag' && etag !== undefined ? { ETag: `W/${etag}` } : {};
      return send(response, request, { ...reply, headers: { ...headers, ...weak } });
    }
    send(response, request, reply);
  }

  function receive(incoming: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('error', () => response.destroy());
    incoming.on('end', () => {
      const headers = Object.fromEntries(
        Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
      );
      const { method = '', url: path = '' } = incoming;
      const request: RecordedRequest = {
        method,
        path,
        headers,
        body: Buffer.concat(chunks).toString('utf8'),
        status: null,
      };
      if (headers[pastFaults] === undefined) requests.push(request);
      if (requests.length > maxRequests) requests.splice(0, maxRequests / 2);
      counters.now += 1;
      counters.max = Math.max(counters.max, counters.now);
      const here = (perPath.get(path) ?? 0) + 1;
      perPath.set(path, here);
      counters.maxPerPath = Math.max(counters.maxPerPath, here);
      response.on('close', () => {
        counters.now -= 1;
        const left = (perPath.get(path) ?? 1) - 1;
        if (left === 0) perPath.delete(path);
        else perPath.set(path, left);
        announce('answered', request);
      });
      announce('arrived', request);
      handle(request, response);
    });
  }

  const server = createServer(receive);
  let connections = 0;
  server.on('connection', () => (connections += 1));
  await listen(server, options.port ?? 0, options.host ?? '127.0.0.1');
  const { port } = server.address() as AddressInfo;
  const url = `http://${options.host ?? '127.0.0.1'}:${port}${base}`;
  const homeOf = (user: string): string => `${base}calendars/${encodeSegment(user)}/`;

  return {
    url,
    users,
    requests,
    mails: world.mails,
    concurrency: counters,
    get connections() {
      return connections;
    },
    objects: (user, calendar) =>
      new Map(
        [...(store.calendars.get(user)?.get(calendar)?.objects ?? [])].map(([name, object]) => [
          `${homeOf(user)}${encodeSegment(calendar)}/${encodeSegment(name)}`,
          object,
        ]),
      ),
    calendars: (user) =>
      [...(store.calendars.get(user)?.keys() ?? [])].map((name) => `${homeOf(user)}${encodeSegment(name)}/`),
    forget: () => {
      requests.length = 0;
      world.mails.length = 0;
      counters.max = counters.now;
      counters.maxPerPath = Math.max(0, ...perPath.values());
    },
    fail: (rule) => faults.add(rule),
    maintain: (how) => {
      maintenance = how;
    },
    switchCalDav: (isOn) => {
      world.isCalDavOn = isOn;
    },
    store: (user, calendar, name, body) => {
      store.apply({ do: 'put', owner: user, calendar, name, body, isLogged: true });
      return `${homeOf(user)}${encodeSegment(calendar)}/${encodeSegment(name)}`;
    },
    discard: (user, calendar, name) => store.apply({ do: 'remove', owner: user, calendar, name }),
    makeCalendar: (user, name) => {
      store.apply({ do: 'make', owner: user, calendar: name, components: ['VEVENT', 'VTODO'], properties: {} });
      return `${homeOf(user)}${encodeSegment(name)}/`;
    },
    dropCalendar: (user, name) => store.apply({ do: 'drop', owner: user, calendar: name }),
    waitForRequest: (predicate, when = 'answered') =>
      new Promise((tell) => {
        waiting.add({ when, predicate, tell });
      }),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      store.close();
    },
  };

  function outOfOrder(how: Maintenance, request: RecordedRequest, response: ServerResponse): void {
    if (how === 'html-200') return sendBare(response, request, 200, htmlType, '<h3>DB file is not writable.</h3>');
    sendBare(response, request, 302, { ...htmlType, Location: `${base}admin/install/` }, '');
  }
}

/** A request with this header meets no fault and is not recorded: a test's own hand. */
export const pastFaults = 'x-past-faults';

const maxRequests = 20_000;
const htmlType = { 'Content-Type': 'text/html; charset=UTF-8' };
const databaseFailure = fail(500, 'PDOException', 'SQLSTATE[HY000]: General error: 13 database or disk is full');

/** Status, headers and half of the body; then the connection is gone. */
function breakOff(response: ServerResponse, request: RecordedRequest, reply: Reply): void {
  request.status = reply.status;
  const body = reply.body === '' ? 'some text' : reply.body;
  const status = reply.status === 204 || reply.status === 304 ? 200 : reply.status;
  response.writeHead(status, { 'X-Sabre-Version': '4.7.1', ...reply.headers, 'Content-Length': body.length });
  response.write(body.slice(0, body.length / 2), () => response.destroy());
}

/** The same answer, its body in chunks of a few bytes. */
async function sendInPieces(response: ServerResponse, request: RecordedRequest, reply: Reply): Promise<void> {
  request.status = reply.status;
  response.writeHead(reply.status, { 'X-Sabre-Version': '4.7.1', ...reply.headers });
  const bytes = Buffer.from(reply.body);
  const size = Math.max(7, Math.ceil(bytes.length / 50));
  for (let at = 0; at < bytes.length; at += size)
    await new Promise((resolve) => response.write(bytes.subarray(at, at + size), resolve));
  response.end();
}

function trickle(response: ServerResponse, request: RecordedRequest): void {
  request.status = 207;
  response.writeHead(207, { 'Content-Type': 'application/xml; charset=utf-8', 'X-Sabre-Version': '4.7.1' });
  const timer = setInterval(() => response.write(' '), 10);
  response.on('close', () => clearInterval(timer));
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
