/**
 * The guard, the trash and restoring with many series: `node test/bench/guard.ts [series]`, 10,000 by default. A third of
 * them vanishes at the source: held, approved, deleted, and all of it put back. Says how long each took, and exits with 1
 * when the target does not show what it should.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compose, type Product } from '../../src/compose.ts';
import { readEnv } from '../../src/config/env.ts';
import { restoreManyFromTrash } from '../../src/deliver/restore-trash.ts';
import { nullLog } from '../../src/shared/log.ts';
import { saveSource, saveTarget, saveTenant } from '../../src/store/configuration.ts';
import { decideHeld, listHeld } from '../../src/store/guard.ts';
import { wantReading } from '../../src/store/sources.ts';
import { restorableSince } from '../../src/store/trash.ts';
import { startCalDavServer } from '../support/caldav/server.ts';
import { directoryOf } from '../support/graph/people.ts';
import { startGraphSimulator } from '../support/graph/simulator.ts';
import { at, day, me } from '../support/one-calendar.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';

const [count = 10_000] = process.argv.slice(2).map(Number);
const tenant = { directory: directoryOf('contoso.example'), domain: 'contoso.example', client: 'app', secret: 'right' };
const simulator = await startGraphSimulator({ tenants: [tenant] });
const caldav = await startCalDavServer({ auth: 'basic' });
const calendar = simulator.tenant(tenant.domain).addMailbox({ upn: me }).calendar();
simulator.world.batch(() => {
  for (let index = 0; index < count; index += 1)
    if (index % 10 > 0) calendar.createEvent({ subject: `Event ${index}`, start: at(1 + (index % 600)) });
    else
      calendar.createSeries({
        subject: `Series ${index}`,
        pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
        range: { type: 'numbered', startDate: day(1), numberOfOccurrences: 10 },
        start: '09:00',
      });
});
const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-guard-'));
chmodSync(folder, 0o711);
const env = readEnv({ DATA_DIR: folder, PORT: '0', ENCRYPTION_KEY: 'ab'.repeat(32) }, folder);
const product = await compose({ env, log: nullLog, fetch: simulator.fetch });
try {
  process.exitCode = (await bench(product)) ? 0 : 1;
} finally {
  await product.close();
  await caldav.close();
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
}

async function bench({ store, box, worker }: Product): Promise<boolean> {
  await saveTarget(store.db, box, aTarget(caldav.url));
  const { directory, client, secret } = tenant;
  const access = { cloud: 'global', access: 'tenant-wide', ceiling: 'full' } as const;
  const credential = { kind: 'secret', secret } as const;
  await saveTenant(store.db, box, { id: 'contoso', name: 'Contoso', directory, client, ...access, credential });
  const source = aGraphSource({ id: 'contoso-me', tenant: 'contoso', mailbox: me });
  const effects = { bumpsEpoch: false, fullReading: true, isOther: false };
  await store.transaction((db) => saveSource(db, box, source, 0, effects));
  const read = async (): Promise<unknown> => {
    await wantReading(store.db, source.id);
    return worker.run('ingest', source.id);
  };
  const deliver = (): Promise<unknown> => worker.run('deliver', 'me');
  const checks: boolean[] = [];
  const shows = (wanted: number): void => {
    const there = caldav.objects('alice', 'work').size;
    checks.push(there === wanted);
    process.stdout.write(`  ${there} entries${there === wanted ? '' : `, ${wanted} wanted`}\n`);
  };

  await timed('first reading', read);
  await timed('first delivery', deliver);
  shows(count);

  const gone = calendar.events().filter((_, index) => index % 3 === 0);
  const lost = gone.length;
  simulator.world.batch(() => {
    for (const item of gone) calendar.delete(item);
  });
  await timed(`${lost} vanish at the source`, read);
  await timed('delivery while they are held', deliver);
  shows(count);
  const [held] = (await listHeld(store.db)).removals;
  checks.push(held?.count === lost);
  process.stdout.write(`  ${held?.count ?? 0} held: ${held?.reason ?? ''}\n`);

  const since = new Date();
  await timed('approved', () => store.transaction((db) => decideHeld(db, source.id, 'approve', 'bench')));
  await timed('deleted, each kept in the trash', deliver);
  shows(count - lost);

  await timed('taken out of the trash', async () => {
    await restoreManyFromTrash(store, await restorableSince(store.db, { since }), 'bench');
  });
  await timed('written again', deliver);
  shows(count);
  await timed('another reading', read);
  await timed('another delivery', deliver);
  shows(count);
  return checks.every(Boolean);
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const result = await work();
  process.stdout.write(`${what.padEnd(34)} ${((performance.now() - started) / 1_000).toFixed(1).padStart(7)} s\n`);
  return result;
}
