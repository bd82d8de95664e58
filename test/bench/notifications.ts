/**
 * Change notifications against a `serve` process on its embedded database: `node test/bench/notifications.ts`; with
 * `--apart` against a `web` and a `worker` process.
 * How long Graph waits for its 202 at 500 notifications a second, and how long a change takes from its notification
 * until CalDAV shows it. Graph and the CalDAV server are in this process, the load comes from one of its own.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { startCalDavServer } from '../support/caldav/server.ts';
import { startGraphSimulator } from '../support/graph/simulator.ts';
import { aHome, startProcess } from '../support/process.ts';
import { until } from '../support/until.ts';
import type { Sent } from './send-evenly.ts';

const seconds = 10;
const perSecond = 500;
const mailboxes = 20;
const changes = 100;
const directory = '6f0c2a0e-0000-4000-8000-000000000001';
const client = '1d2e0000-0000-4000-8000-000000000002';
const publicUrl = 'https://calendar.example';

let web = '';
let toldAt = 0;
const simulator = await startGraphSimulator({
  callbackFetch: (input, init) => {
    toldAt = performance.now();
    const { pathname, search } = new URL(input);
    return fetch(`${web}${pathname}${search}`, init);
  },
});
const tenant = simulator.addTenant({ directory, client, secret: 'right' });
const calendars = Array.from({ length: mailboxes }, (_, index) =>
  tenant.addMailbox({ upn: `user-${index}@contoso.example` }).calendar(),
);
const caldav = await startCalDavServer({ auth: 'basic' });
const home = aHome(`
tenants:
  - { id: contoso, name: Contoso, cloud: global, directory: ${directory}, client: ${client}, access: tenant-wide, secret: right }
targets:
  - { id: me, url: '${caldav.url}', username: alice, password: secret, calendars: [ { id: work, name: Work } ] }
sources:
${calendars.map((_, index) => `  - { id: user-${index}, kind: graph, tenant: contoso, mailbox: user-${index}@contoso.example, into: me/work, privacy: full }`).join('\n')}
`);
const port = 20_000 + (process.pid % 20_000);
web = `http://127.0.0.1:${port}`;
const options = {
  folder: home.path,
  env: { PUBLIC_URL: publicUrl, PORT: String(port), LOG_LEVEL: 'warn' },
  originMap: simulator.originMap,
};
const commands = process.argv.includes('--apart') ? ['web', 'worker'] : ['serve'];
const products = commands.map((command) => startProcess([command], options));

try {
  await until('all are watched', () => simulator.subscriptions().length === mailboxes, 180_000);
  await pause(3_000);
  await changesUntilShown();
  const { url, stop } = await bareServer();
  for (let turn = 1; turn <= 2; turn += 1) {
    await answersUnderLoad('a server that only answers', url);
    await answersUnderLoad('notification to 202', web);
  }
  stop();
} finally {
  for (const product of products.toReversed()) await product.end('SIGTERM');
  await caldav.close();
  await simulator.close();
  home.remove();
}

/** One change at a time, at sources that are at rest. */
async function changesUntilShown(): Promise<void> {
  const took: number[] = [];
  for (let index = 0; index < changes; index += 1) {
    const before = caldav.objects('alice', 'work').size;
    const day = new Date(Date.now() + (1 + (index % 300)) * 86_400_000).toISOString().slice(0, 10);
    calendars[index % mailboxes]?.createEvent({
      subject: `Event ${index}`,
      start: `${day}T09:00`,
      end: `${day}T10:00`,
    });
    await until('it shows', () => caldav.objects('alice', 'work').size > before);
    took.push(performance.now() - toldAt);
    await pause(150 + (index % 7) * 30);
  }
  tell(`notification to CalDAV, ${changes} changes`, took);
}

async function answersUnderLoad(what: string, origin: string): Promise<void> {
  const items = simulator.subscriptions().map((one, index) => ({
    path: new URL(one.notificationUrl).pathname,
    body: JSON.stringify({
      value: [
        {
          subscriptionId: one.id,
          subscriptionExpirationDateTime: one.expiresAt,
          clientState: one.clientState,
          changeType: 'updated',
          tenantId: one.directory,
          resource: `Users/${one.mailbox}/Events/e${index}`,
          resourceData: {
            '@odata.type': '#Microsoft.Graph.Event',
            '@odata.id': `Users/${one.mailbox}/Events/e${index}`,
            id: 'e',
          },
        },
      ],
    }),
  }));
  const file = join(home.path, 'load.json');
  writeFileSync(file, JSON.stringify({ origin, seconds, perSecond, items }));
  const reads = simulator.requests.length;
  const sender = spawn(process.execPath, [join(import.meta.dirname, 'send-evenly.ts'), file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { took, failed, rate } = JSON.parse(await text(sender.stdout)) as Sent;
  tell(`${what}, ${rate}/s, ${failed.length} not answered by 202`, took.slice(perSecond));
  process.stdout.write(
    `  requests to Graph meanwhile: ${simulator.requests.length - reads} (${mailboxes} calendars)\n`,
  );
}

/** What this machine, busy as it is, leaves to measure against. */
async function bareServer(): Promise<{ url: string; stop: () => void }> {
  const code = `require('node:http').createServer((q, s) => q.resume().on('end', () => s.writeHead(202).end()))
    .listen(0, '127.0.0.1', function () { console.log(this.address().port) })`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { url: `http://127.0.0.1:${line.toString().trim()}`, stop: () => void child.kill() };
}

function tell(what: string, took: readonly number[]): void {
  const sorted = took.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1);
  process.stdout.write(`${what}: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms\n`);
}
