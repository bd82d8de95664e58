/** A mail server that takes everything, or refuses: enough of RFC 5321 for one client. */
import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface MailServer {
  readonly url: string;
  /** What was taken, head and body as they came. */
  readonly mails: string[];
  refuse(isRefusing: boolean): void;
  close(): Promise<void>;
}

export async function startMailServer(): Promise<MailServer> {
  const mails: string[] = [];
  let isRefusing = false;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let rest = '';
    let mail: string[] | null = null;
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    say('220 mail.example');
    socket.on('data', (chunk) => {
      rest += chunk.toString();
      for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (mail !== null) {
          if (line === '.') {
            mails.push(mail.join('\n'));
            mail = null;
            say('250 taken');
          } else mail.push(line);
        } else if (/^(EHLO|HELO)/i.test(line)) say('250 mail.example');
        else if (/^MAIL/i.test(line) && isRefusing) say('451 not now');
        else if (/^DATA/i.test(line)) {
          mail = [];
          say('354 go on');
        } else if (/^QUIT/i.test(line)) {
          say('221 bye');
          socket.end();
        } else say('250 well');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mails,
    refuse: (to) => (isRefusing = to),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
