import { Agent, createServer, request as open, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openFaultBook, type ActiveFault } from './faults.ts';
import type { CalDavServer, Maintenance, RecordedRequest } from './server.ts';

/** What stands between us and a CalDAV server and makes it fail: the in-process server itself, or this proxy. */
export type FaultySide = Pick<CalDavServer, 'url' | 'requests' | 'forget' | 'fail' | 'maintain' | 'close'>;

interface Upstream {
  readonly status: number;
  readonly headers: Record<string, string | string[]>;
  readonly body: Buffer;
}

export interface FaultProxyOptions {
  /** Takes the change that this request made out of the server's change log: what a full disk leaves behind. */
  readonly forgetChange?: (path: string) => void;
}

/**
 * An HTTP proxy before a real CalDAV server, with the faults of the in-process one. A write that is held back lands
 * without its conditions: the server would have checked them before it fell asleep.
 */
export async function startFaultProxy(target: string, options: FaultProxyOptions = {}): Promise<FaultySide> {
  const upstream = new URL(target);
  const agent = new Agent({ keepAlive: true });
  const faults = openFaultBook();
  const requests: RecordedRequest[] = [];
  let maintenance: Maintenance | null = null;

  function forward(request: RecordedRequest, isUnconditional = false): Promise<Upstream> {
    const { 'if-match': _match, 'if-none-match': _none, ...rest } = request.headers;
    const headers = { ...(isUnconditional ? rest : request.headers), host: upstream.host, connection: 'keep-alive' };
    return new Promise((resolve, reject) => {
      const sent = open(
        { agent, host: upstream.hostname, port: upstream.port, method: request.method, path: request.path, headers },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            const { connection: _c, 'transfer-encoding': _t, 'content-length': _l, ...kept } = answer.headers;
            resolve({
              status: answer.statusCode ?? 0,
              headers: Object.fromEntries(Object.entries(kept).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]]))),
              body: Buffer.concat(chunks),
            });
          });
        },
      );
      sent.on('error', reject);
      sent.end(request.body);
    });
  }

  function send(response: ServerResponse, request: RecordedRequest, answer: Upstream): void {
    if (response.destroyed || response.headersSent) return;
    request.status = answer.status;
    response.writeHead(answer.status, {
      ...answer.headers,
      ...(answer.status === 204 || answer.status === 304 ? {} : { 'Content-Length': answer.body.length }),
    });
    response.end(answer.body);
  }

  async function handle(request: RecordedRequest, response: ServerResponse): Promise<void> {
    if (maintenance !== null) return send(response, request, outOfOrder(maintenance));
    // As in the in-process server, a fault always meets a request that would have been carried out.
    const fault = request.headers['authorization'] === undefined ? null : faults.meet(request);
    if (fault === null) return send(response, request, await forward(request));
    await failing(fault, request, response);
  }

  async function failing(fault: ActiveFault, request: RecordedRequest, response: ServerResponse): Promise<void> {
    const { how } = fault;
    if (typeof how === 'object') {
      if (how.isDone === true) await forward(request);
      return send(response, request, { ...answerOf(how.status, how.body ?? ''), headers: { ...how.headers } });
    }
    switch (how) {
      case 'html-200':
      case 'redirect-install':
        return send(response, request, outOfOrder(how));
      case '401':
        return send(
          response,
          request,
          await forward({ ...request, headers: { ...request.headers, authorization: '' } }),
        );
      case 'reset-before':
        return void response.destroy();
      case 'timeout-not-stored':
        return;
      case '500-not-stored':
        return send(response, request, databaseFailure);
      case 'trickle':
        return trickle(request, response);
      case 'late-store':
      case '504-late':
        fault.hold(async () => send(response, request, await forward(request, true)));
        if (how === '504-late') send(response, request, answerOf(504, '<h1>504 Gateway Time-out</h1>'));
        return;
      case '500-stored': {
        const answer = await forward(request);
        if (answer.status < 300) options.forgetChange?.(request.path);
        return send(response, request, databaseFailure);
      }
      case 'timeout-stored':
        await forward(request);
        return;
      case 'reset-after':
        await forward(request);
        return void response.destroy();
      case 'reset-midway':
        return breakOff(request, response, await forward(request));
      case 'in-pieces':
        return await sendInPieces(request, response, await forward(request));
      case 'lose-etag':
      case 'weaken-etag': {
        const answer = await forward(request);
        const { etag, ...headers } = answer.headers;
        const weak = how === 'weaken-etag' && typeof etag === 'string' ? { etag: `W/${etag}` } : {};
        return send(response, request, { ...answer, headers: { ...headers, ...weak } });
      }
    }
  }

  const server = createServer((incoming: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('error', () => response.destroy());
    incoming.on('end', () => {
      const request: RecordedRequest = {
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        headers: Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])),
        body: Buffer.concat(chunks).toString('utf8'),
        status: null,
      };
      requests.push(request);
      handle(request, response).catch(() => response.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}${upstream.pathname}`,
    requests,
    forget: () => {
      requests.length = 0;
    },
    fail: (rule) => faults.add(rule),
    maintain: (how) => {
      maintenance = how;
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      agent.destroy();
    },
  };
}

const answerOf = (status: number, body: string): Upstream => ({
  status,
  headers: { 'content-type': 'text/html; charset=UTF-8' },
  body: Buffer.from(body),
});

const databaseFailure: Upstream = {
  status: 500,
  headers: { 'content-type': 'application/xml; charset=utf-8', 'x-sabre-version': '4.7.1' },
  body: Buffer.from(
    '<?xml version="1.0"?><d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns"><s:exception>PDOException</s:exception><s:message>SQLSTATE[HY000]: General error: 13 database or disk is full</s:message></d:error>',
  ),
};

function outOfOrder(how: Maintenance): Upstream {
  if (how === 'html-200') return answerOf(200, '<h3>DB file is not writable.</h3>');
  const page = answerOf(302, '');
  return { ...page, headers: { ...page.headers, location: '/dav.php/admin/install/' } };
}

function breakOff(request: RecordedRequest, response: ServerResponse, answer: Upstream): void {
  request.status = answer.status;
  const body = answer.body.length === 0 ? Buffer.from('some text') : answer.body;
  const status = answer.status === 204 || answer.status === 304 ? 200 : answer.status;
  response.writeHead(status, { ...answer.headers, 'Content-Length': body.length });
  response.write(body.subarray(0, body.length / 2), () => response.destroy());
}

async function sendInPieces(request: RecordedRequest, response: ServerResponse, answer: Upstream): Promise<void> {
  request.status = answer.status;
  response.writeHead(answer.status, answer.headers);
  const size = Math.max(7, Math.ceil(answer.body.length / 50));
  for (let at = 0; at < answer.body.length; at += size)
    await new Promise((resolve) => response.write(answer.body.subarray(at, at + size), resolve));
  response.end();
}

function trickle(request: RecordedRequest, response: ServerResponse): void {
  request.status = 207;
  response.writeHead(207, { 'Content-Type': 'application/xml; charset=utf-8', 'X-Sabre-Version': '4.7.1' });
  const timer = setInterval(() => response.write(' '), 10);
  response.on('close', () => clearInterval(timer));
}
