/**
 * Posts of flows against a `serve` process on its embedded database: `node test/bench/powerautomate.ts`. How long a flow
 * waits for its 202 at 20, 50 and 100 posts a second to ten flows, each of another event, while the worker delivers them.
 * The CalDAV server is in this process, the load comes from one of its own.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { aFlowItem, uidOf } from '../sources/powerautomate/flow-items.ts';
import { startCalDavServer } from '../support/caldav/server.ts';
import { aHome, startProcess } from '../support/process.ts';
import { until } from '../support/until.ts';
import type { Sent } from './send-evenly.ts';

const seconds = 10;
const flows = 10;
const key = 'a-key-of-a-flow-0123456789';

const caldav = await startCalDavServer({ auth: 'basic' });
const home = aHome(`
targets:
  - { id: me, url: '${caldav.url}', username: alice, password: secret, calendars: [ { id: work, name: Work } ] }
sources:
${Array.from({ length: flows }, (_, flow) => `  - { id: flow-${flow}, kind: powerautomate, mailbox: user-${flow}@contoso.example, key: ${key}, into: me/work, privacy: full }`).join('\n')}
`);
const port = 20_000 + (process.pid % 20_000);
const origin = `http://127.0.0.1:${port}`;
const product = startProcess(['serve'], { folder: home.path, env: { PORT: String(port), LOG_LEVEL: 'info' } });

try {
  await product.event('service.started');
  let posted = 0;
  for (const perSecond of [20, 50, 100]) {
    const first = posted;
    posted += seconds * perSecond;
    const items = Array.from({ length: seconds * perSecond }, (_, index) => {
      const number = first + index;
      const at = new Date(Date.now() + 86_400_000 + (number % 300) * 3_600_000).toISOString().slice(0, 13);
      const item = { start: `${at}:00:00`, end: `${at}:30:00`, id: `event ${number}`, iCalUId: uidOf(1_000 + number) };
      return { path: `/api/webhook/powerautomate/flow-${number % flows}`, body: JSON.stringify(aFlowItem(item)) };
    });
    const file = join(home.path, 'load.json');
    writeFileSync(file, JSON.stringify({ origin, seconds, perSecond, items, headers: { 'x-api-key': key } }));
    const sender = spawn(process.execPath, [join(import.meta.dirname, 'send-evenly.ts'), file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { took, failed, rate } = JSON.parse(await text(sender.stdout)) as Sent;
    const sorted = took.slice(perSecond).sort((a, b) => a - b);
    const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1);
    process.stdout.write(
      `${rate} posts/s, ${failed.length} not answered by 202: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms\n`,
    );
  }
  await until('all are shown', () => caldav.objects('alice', 'work').size === posted, 120_000);
} finally {
  await product.end('SIGTERM');
  await caldav.close();
  home.remove();
}
