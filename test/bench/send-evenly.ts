/**
 * Posts to one server at an even rate, whatever the answers take: `node test/bench/send-evenly.ts load.json`. A process of
 * its own, so that nothing but the server and the machine decides how long an answer takes. Tells `Sent` as JSON.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Pool } from 'undici';

interface Load {
  readonly origin: string;
  readonly seconds: number;
  readonly perSecond: number;
  readonly items: readonly { readonly path: string; readonly body: string }[];
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Sent {
  /** Milliseconds until each 202, in the order of the answers. */
  readonly took: readonly number[];
  /** Other statuses; 0: no answer. */
  readonly failed: readonly number[];
  /** Answers of 202 per second. */
  readonly rate: number;
}

const { origin, seconds, perSecond, items, headers } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Load;
const pool = new Pool(origin, { connections: 50 });
const took: number[] = [];
const failed: number[] = [];
const sending: Promise<void>[] = [];
const startedAt = performance.now();
for (let sent = 0; sent < seconds * perSecond;) {
  const due = Math.min(seconds * perSecond, Math.floor(((performance.now() - startedAt) / 1_000) * perSecond));
  for (; sent < due; sent += 1) sending.push(send(sent));
  await pause(2);
}
await Promise.all(sending);
const rate = Math.round(took.length / ((performance.now() - startedAt) / 1_000));
process.stdout.write(JSON.stringify({ took, failed, rate } satisfies Sent));
await pool.close();

async function send(index: number): Promise<void> {
  const item = items[index % items.length];
  if (item === undefined) return;
  const sentAt = performance.now();
  try {
    const { statusCode, body } = await pool.request({
      path: item.path,
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: item.body,
    });
    await body.dump();
    if (statusCode === 202) took.push(performance.now() - sentAt);
    else failed.push(statusCode);
  } catch {
    failed.push(0);
  }
}
