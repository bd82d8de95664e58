/** The way out of a closed network: an HTTPS proxy that leads the hosts it knows to loopback, and nobody anywhere else. */
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

import type { OriginMap } from './graph/origins.ts';

export interface ConnectProxy {
  readonly url: string;
  /** `host:port` of every tunnel that was asked for, in order. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

export async function startConnectProxy(origins: OriginMap): Promise<ConnectProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_, response) => {
    response.writeHead(403).end();
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, socket: Socket) => {
    const place = request.url ?? '';
    asked.push(place);
    const target = origins[`https://${place.replace(/:443$/, '')}`];
    socket.on('error', () => undefined);
    if (target === undefined) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    const upstream = connect(Number(new URL(target).port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
