/**
 * The demo: two simulated Microsoft clouds with three tenants whose people go on changing their calendars, a CalDAV
 * server, and the product between them. Each is a process of its own; kill any of them and it comes back.
 *
 *   npm run demo              goes on until Ctrl+C, and continues where it was when started again
 *   npm run demo -- --fresh   begins anew
 *   npm run demo -- --once    one round in a folder of its own, then the target is compared with the truth
 */
import { chmodSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openCalDav } from '../../src/dav/calendar-client.ts';
import { compareWithTruth, type Comparison } from '../support/compare-truth.ts';
import { demoSources } from '../support/graph/demo-world.ts';
import { startChild, type Child } from './child.ts';
import type { CloudsAnswer, CloudsAsk, DemoTenant } from './messages.ts';

const { values: options } = parseArgs({
  options: { once: { type: 'boolean' }, fresh: { type: 'boolean' }, help: { type: 'boolean' } },
});
if (options.help) {
  console.log('npm run demo [-- --once | --fresh]   See the first lines of test/demo/main.ts, or README.md.');
  process.exit(0);
}

const isOnce = options.once ?? false;
const folder = isOnce ? mkdtempSync(join(tmpdir(), 'calendar-sync-demo-')) : resolve('data/demo');
if (options.fresh) rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
// The embedded PostgreSQL of somebody who is root runs under another account, and must pass through.
chmodSync(folder, 0o711);
const say = (sentence: string): void => console.log(`${new Date().toTimeString().slice(0, 8)}  ${sentence}`);

interface Addresses {
  readonly product: number;
  readonly caldav: number;
  readonly clouds: Readonly<Record<string, string>>;
}

/** Ports are chosen once and kept, so that whatever comes back is found where it was. */
async function addresses(): Promise<Addresses> {
  const file = join(folder, 'addresses.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Addresses;
  const hosts = [
    'https://login.microsoftonline.com',
    'https://graph.microsoft.com',
    'https://login.microsoftonline.us',
    'https://graph.microsoft.us',
  ];
  const [product = 0, caldav = 0, ...rest] = await freePorts(2 + hosts.length);
  const clouds = Object.fromEntries(hosts.map((host, index) => [host, `http://127.0.0.1:${rest[index] ?? 0}`]));
  const chosen = { product, caldav, clouds };
  writeFileSync(file, JSON.stringify(chosen));
  return chosen;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

const comesBack =
  (name: string, what: string) =>
  (code: number | null): void =>
    say(
      code === null
        ? `${what} was killed; it is started again.`
        : `${what} ended with ${code} (see ${join(folder, `${name}.log`)}); it is started again.`,
    );

const at = await addresses();
const children: Child[] = [];
const waiting = new Map<number, (answer: CloudsAnswer['answer']) => void>();
let lastId = 0;
let clouds: Child | null = null;

/** Asks the clouds; a question lost with a killed process is asked again. */
async function askClouds<K extends CloudsAsk['kind']>(
  ask: Extract<CloudsAsk, { kind: K }>,
): Promise<Extract<CloudsAnswer['answer'], { kind: K }>> {
  for (;;) {
    const id = ++lastId;
    const answer = await new Promise<CloudsAnswer['answer'] | null>((done) => {
      waiting.set(id, done);
      clouds?.send({ id, ask });
      setTimeout(() => done(null), 10_000).unref();
    });
    waiting.delete(id);
    if (answer?.kind === ask.kind) return answer as Extract<CloudsAnswer['answer'], { kind: K }>;
  }
}

function firstMessage<T>(start: (onMessage: (message: unknown) => void) => Child): Promise<T> {
  return new Promise((done) => children.push(start((message) => done(message as T))));
}

say('Starting two simulated Microsoft clouds with three tenants: Contoso and Fabrikam (global), Agency (GCC High).');
const ready = await new Promise<Extract<CloudsAnswer['answer'], { kind: 'ready' }>>((done) => {
  clouds = startChild({
    name: 'clouds',
    file: 'clouds.ts',
    args: () => [join(folder, 'clouds.json'), JSON.stringify(at.clouds)],
    output: openSync(join(folder, 'clouds.log'), 'a'),
    onMessage: (message) => {
      const { id, answer } = message as CloudsAnswer;
      if (answer.kind === 'ready') done(answer);
      else waiting.get(id)?.(answer);
    },
    onRestart: comesBack('clouds', 'The simulated Microsoft'),
  });
  children.push(clouds);
});

say('Starting a CalDAV server that behaves like Baikal.');
const caldav = await firstMessage<{ url: string }>((onMessage) =>
  startChild({
    name: 'caldav',
    file: 'caldav.ts',
    args: () => [join(folder, 'caldav.ndjson'), String(at.caldav)],
    output: openSync(join(folder, 'caldav.log'), 'a'),
    onMessage,
    onRestart: comesBack('caldav', 'The CalDAV server'),
  }),
);

const configFile = join(folder, 'calendars.yaml');
writeFileSync(configFile, configuration(ready.tenants));

function configuration(tenants: readonly DemoTenant[]): string {
  const of = (index: number): DemoTenant => tenants[index] ?? { cloud: '', directory: '', client: '', secret: '' };
  return [
    '# Written by the demo.',
    'tenants:',
    ...demoSources.map(({ source: name }, index) => {
      const { cloud, directory, client, secret } = of(index);
      return `  - { id: ${name}, cloud: ${cloud}, directory: ${directory}, client: ${client}, secret: ${secret}, access: ${cloud === 'gcch' ? 'scoped' : 'tenant-wide'} }`;
    }),
    'targets:',
    '  - id: me',
    `    url: ${caldav.url}`,
    '    username: demo',
    '    password: demo',
    '    calendars:',
    "      - { id: work, name: Work, color: '#3366cc' }",
    "      - { id: agency, name: Agency, color: '#aa3333' }",
    'sources:',
    ...demoSources.map(({ source: name, privacy, privateItems, titleTag }) => {
      const into = name === 'agency' ? 'me/agency' : 'me/work';
      return `  - { id: ${name}, kind: graph, tenant: ${name}, mailbox: kim@${name}.example, into: ${into}, privacy: ${privacy}, privateItems: ${privateItems}, titleTag: '${titleTag}', every: 10s }`;
    }),
    '',
  ].join('\n');
}

const web = `http://127.0.0.1:${at.product}`;
say('Starting calendar-sync with an embedded PostgreSQL of its own.');
children.push(
  startChild({
    name: 'product',
    file: 'product.ts',
    args: () => [JSON.stringify(ready.originMap), 'serve'],
    env: {
      DATA_DIR: join(folder, 'product'),
      DATABASE_URL: '',
      PORT: String(at.product),
      HOST: '127.0.0.1',
      CONFIG_FILE: configFile,
      API_KEY: 'demo-key-for-the-loopback',
    },
    output: openSync(join(folder, 'product.log'), 'a'),
    onRestart: comesBack('product', 'calendar-sync'),
  }),
);

const dayMs = 86_400_000;

/** Well inside the sources' window, so that nothing is judged at its edge. */
function comparedWindow(): { from: string; to: string } {
  const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 10)}T00:00:00Z`;
  return { from: iso(Date.now() - 80 * dayMs), to: iso(Date.now() + 700 * dayMs) };
}

const dav = openCalDav({ url: caldav.url, username: 'demo', password: 'demo' });

async function compare(): Promise<Comparison> {
  const window = comparedWindow();
  const truth = await askClouds({ kind: 'truth', window });
  const bodies: string[] = [];
  for (const calendar of await dav.listCalendars()) {
    const hrefs = (await dav.list(calendar.href)).map((entry) => entry.href);
    for (const { body } of (await dav.multiget(calendar.href, hrefs)).values()) bodies.push(body);
  }
  const truths = demoSources.map((how, index) => ({
    ...how,
    instances: truth.calendars[index] ?? [],
  }));
  return compareWithTruth(truths, bodies, window);
}

const isEqual = (comparison: Comparison): boolean => comparison.missing.length + comparison.surplus.length === 0;

/** Compares until equal or until `patienceMs` have passed. A server that is being started again is no difference. */
async function compareUntilEqual(
  patienceMs: number,
  onProgress?: (comparison: Comparison) => void,
): Promise<Comparison | null> {
  const deadline = Date.now() + patienceMs;
  let last: Comparison | null = null;
  for (;;) {
    try {
      last = await compare();
      onProgress?.(last);
      if (isEqual(last)) return last;
    } catch (error) {
      if (Date.now() >= deadline)
        say(`The CalDAV server does not answer: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (Date.now() >= deadline) return last;
    await new Promise((done) => setTimeout(done, 250));
  }
}

const stopping = new AbortController();
async function stop(code: number): Promise<never> {
  stopping.abort();
  await dav.close();
  for (const child of children.reverse()) await child.stop();
  if (isOnce) rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    say('Stopping.');
    void stop(0);
  });

let shownSoFar = -1;
const first = await compareUntilEqual(120_000, ({ expected, shown }) => {
  if (shown !== shownSoFar) say(`Mirroring: ${shown} of ${expected} instances are in the CalDAV calendars.`);
  shownSoFar = shown;
});

function report(comparison: Comparison | null): void {
  if (comparison === null) {
    say('The target could not be read.');
    return;
  }
  say(
    `Outlook shows ${comparison.expected} instances in ${demoSources.length} calendars, merged; CalDAV shows ${comparison.shown}. Missing: ${comparison.missing.length}, too many: ${comparison.surplus.length}.`,
  );
  for (const line of comparison.missing.slice(0, 10)) say(`  missing: ${line}`);
  for (const line of comparison.surplus.slice(0, 10)) say(`  too many: ${line}`);
}
report(first);

if (isOnce) {
  for (let step = 1; step <= 20; step += 1)
    say(`Change ${step} of 20: ${(await askClouds({ kind: 'step' })).sentence}`);
  const last = await compareUntilEqual(60_000);
  report(last);
  const equal = first !== null && isEqual(first) && last !== null && isEqual(last);
  say(equal ? 'The target equals the truth, before and after the changes.' : 'The target differs from the truth.');
  await stop(equal ? 0 : 1);
}

say(`CalDAV: ${caldav.url}   user demo, password demo   (calendars Work and Agency)`);
say(`Health: ${web}/api/health   Statistics: curl -H 'X-API-Key: demo-key-for-the-loopback' ${web}/api/stats`);
say(`Logs and data: ${folder}   Stop with Ctrl+C; kill any process and it comes back.`);
while (!stopping.signal.aborted) {
  await new Promise((done) => setTimeout(done, 4_000));
  say((await askClouds({ kind: 'step' })).sentence);
  const since = Date.now();
  const comparison = await compareUntilEqual(60_000);
  if (comparison !== null && isEqual(comparison))
    say(`  … the CalDAV calendars show it after ${((Date.now() - since) / 1_000).toFixed(1)} s.`);
  else report(comparison);
}
