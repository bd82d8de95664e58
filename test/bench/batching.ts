/**
 * What `$batch` would save when series are rebuilt: `node test/bench/batching.ts`. The same simulated mailbox is asked for
 * the same 60 series by single GETs, three at a time, and by batches, for several shares of way (latency) and work. All
 * requests count against the mailbox's limit of four at a time, those inside a batch too.
 */
import { startGraphSimulator, type GraphSimulator } from '../support/graph/simulator.ts';
import { RawClient } from '../support/graph/raw-client.ts';
import { directoryOf } from '../support/graph/people.ts';

const seriesCount = 60;
const atATime = 3;
const domain = 'contoso.example';
const upn = `me@${domain}`;
const window = 'startDateTime=2026-01-01T00:00:00Z&endDateTime=2028-01-01T00:00:00Z';

interface Inner {
  readonly id: string;
  readonly method: 'GET';
  readonly url: string;
  readonly dependsOn?: readonly string[];
}

const simulator = await startGraphSimulator();
try {
  await measureAll(simulator);
} finally {
  await simulator.close();
}

async function measureAll(graph: GraphSimulator): Promise<void> {
  const tenant = graph.addTenant({ directory: directoryOf(domain), domain, client: 'app', secret: 'right' });
  const calendar = tenant.addMailbox({ upn, zone: 'W. Europe Standard Time' }).calendar();
  const keys = Array.from({ length: seriesCount }, (_, index) => {
    const series = calendar.createSeries({
      subject: `Series ${index}`,
      pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
      range: { type: 'numbered', startDate: '2026-01-06', numberOfOccurrences: 50 },
      start: '09:00',
    });
    return series.key;
  });
  const client = new RawClient(graph, tenant.state);
  client.prefer = 'IdType="ImmutableId", odata.maxpagesize=100';
  await client.get(`/users/${upn}/calendar`);
  const pathOf = (key: string): string => `/users/${upn}/calendars/${calendar.id}/events/${key}`;
  const partsOf = (key: string): string[] => [
    `${pathOf(key)}?$expand=exceptionOccurrences`,
    `${pathOf(key)}/instances?${window}&$select=id,start,end`,
    `${pathOf(key)}?$select=id,changeKey`,
  ];
  let refused = 0;
  const single = async (paths: readonly string[]): Promise<void> => {
    for (const path of paths) if ((await client.get(path)).status !== 200) refused += 1;
  };
  const batch = async (requests: readonly Inner[]): Promise<void> => {
    const { json } = await client.send('POST', '/$batch', { body: { requests } });
    const { responses } = json as unknown as { responses: { status: number }[] };
    refused += responses.filter(({ status }) => status !== 200).length;
  };
  const chain = (paths: readonly string[], name: string): Inner[] =>
    paths.map((url, index) => ({
      id: `${name}${index}`,
      method: 'GET',
      url,
      ...(index === 0 ? {} : { dependsOn: [`${name}${index - 1}`] }),
    }));
  const groups = <T>(list: readonly T[], size: number): T[][] =>
    Array.from({ length: Math.ceil(list.length / size) }, (_, index) => list.slice(index * size, (index + 1) * size));

  const ways: [string, () => Promise<void>][] = [
    ['3 GETs per series, 3 at a time', () => inParallel(keys, (key) => single(partsOf(key)))],
    ['2 GETs per series, 3 at a time', () => inParallel(keys, (key) => single(partsOf(key).slice(0, 2)))],
    [
      '1 batch per series, chained, 3 at a time',
      () => inParallel(keys, (key) => batch(chain(partsOf(key).slice(0, 2), 'a'))),
    ],
    [
      'batches of 10 series in one chain, 3 at a time',
      () =>
        inParallel(groups(keys, 10), (some) =>
          batch(
            chain(
              some.flatMap((key) => partsOf(key).slice(0, 2)),
              'a',
            ),
          ),
        ),
    ],
    [
      'batches of 10 series unchained, 1 at a time',
      async () => {
        for (const some of groups(keys, 10))
          await batch(some.flatMap((key, index) => chain(partsOf(key).slice(0, 2), `s${index}-`)));
      },
    ],
  ];
  for (const [latencyMs, serviceMs] of [
    [100, 0],
    [100, 50],
    [30, 150],
    [10, 250],
  ] as const) {
    graph.latencyMs = latencyMs;
    graph.serviceMs = serviceMs;
    process.stdout.write(`way ${latencyMs} ms, work ${serviceMs} ms per request\n`);
    for (const [name, way] of ways) {
      refused = 0;
      graph.requests.splice(0);
      const startedAt = performance.now();
      await way();
      const seconds = (performance.now() - startedAt) / 1_000;
      const figures = `${seconds.toFixed(2).padStart(7)} s, ${String(graph.requests.length).padStart(3)} requests, ${refused} refused`;
      process.stdout.write(`  ${name.padEnd(48)} ${figures}\n`);
    }
  }
}

async function inParallel<T>(list: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const queue = [...list];
  const worker = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}
