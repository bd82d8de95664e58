import type { Product } from '../compose.ts';
import { loadEnv } from '../config/env.ts';
import { planTarget } from '../deliver/plan-writes.ts';
import { reviewRestored } from '../deliver/review-restored.ts';
import { systemClock } from '../shared/clock.ts';
import { SyncError } from '../shared/errors.ts';
import { SecretBox } from '../shared/secret-box.ts';
import { heldRemovals } from '../store/claims.ts';
import { openStore } from '../store/database.ts';
import { loadDump } from '../store/dump.ts';
import { recordAudit } from '../store/history.ts';
import { endReview, forgetOutside, targetsInReview, unreadSources } from '../store/restored.ts';
import { sealingKeys } from '../store/sealed-secrets.ts';
import { loadTarget } from '../store/targets.ts';
import { onDatabase, runScript } from './backup.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

export interface RestoreOptions {
  readonly replace: boolean;
  readonly only: string | null;
}

/** Puts an archive of `backup` back, as restore.sh does. */
export function restore(archive: string, { replace, only }: RestoreOptions): Promise<number> {
  return runScript('restore.sh', [
    ...(replace ? ['--replace'] : []),
    ...(only === null ? [] : ['--only', only]),
    archive,
  ]);
}

/** Puts a database that `backup --stdout` wrote back from standard input. */
export async function loadFromStdin(options: { replace: boolean; archive: string }): Promise<number> {
  const env = loadEnv();
  const { rows, madeAt, broughtBack, strangeKeys } = await onDatabase(env, async (url) => {
    const loaded = await loadDump(url, process.stdin, { ...options, actor: 'restore' });
    // Brings it up to date, and carries out what a restore entails.
    const store = await openStore(url);
    try {
      const box = new SecretBox(env.encryptionKey, env.encryptionKeysOld);
      const keys = await sealingKeys(store.db);
      return { ...loaded, strangeKeys: keys.filter(({ key }) => !box.knows(key)) };
    } finally {
      await store.close();
    }
  });
  process.stdout.write(`The database of ${madeAt} is back: ${rows} rows.\n`);
  if (broughtBack.length > 0)
    process.stdout.write(
      `It brings back sources that had been removed since: ${broughtBack.join(', ')}. Remove them again if that was meant ("apply --prune").\n`,
    );
  for (const { key, count } of strangeKeys)
    process.stdout.write(
      `${count} of its secrets were sealed with key ${key}, which is not here. Put it back (ENCRYPTION_KEY, or ${env.dataDir}/encryption.key) before you start, or give them anew.\n`,
    );
  return exitCodes.ok;
}

/** Something was put back by other means: a snapshot of a machine, a copy of Baikal's files. */
export function mark(side: 'database' | 'target', json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    await product.store.transaction(async (db) => {
      await forgetOutside(db, side);
      await recordAudit(db, { actor: 'cli', action: 'restore', subject: side, detail: { side } });
    });
    tell(json, { side }, [
      'Every source is read from its start and every entry compared; nothing is written before "restore approve".',
    ]);
    return exitCodes.ok;
  });
}

/** Tells which targets wait after a restore, and for what. Exits with 1 while one does. */
export function status(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product: { store } }) => {
    const waiting = await Promise.all(
      (await targetsInReview(store.db)).map(async (one) => ({ ...one, unread: await unreadSources(store.db, one.id) })),
    );
    tell(
      json,
      waiting,
      waiting.length === 0
        ? ['No target waits.']
        : waiting.map(({ id, review, restoredAt, unread }) =>
            review === 'ready'
              ? `${id}, restored ${restoredAt}, is ready: see "plan", then "restore approve ${id}".`
              : `${id}, restored ${restoredAt}, still waits${unread.length === 0 ? ' to be compared' : ` for ${unread.map((source) => (source.reason === null ? source.id : `${source.id} (${source.reason})`)).join(', ')}`}.`,
          ),
    );
    return waiting.length === 0 ? exitCodes.ok : exitCodes.trouble;
  });
}

/** The operator has seen the plan: delivery begins. */
export function approve(
  named: string | null,
  options: { json: boolean; anyway: boolean },
  overrides: Overrides,
): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const ids = await toApprove(product, named, options.anyway);
    const approved = [];
    for (const id of ids) approved.push(await approveTarget(product, id));
    const held = await heldRemovals(product.store.db);
    tell(options.json, { approved, held }, [
      ...approved.map(
        ({ target, create, update, remove }) =>
          `${target}: ${create} will be created, ${update} updated, ${remove} deleted; what is deleted is kept in the trash for 30 days.`,
      ),
      ...held.map(({ source, count }) => `${count} removals of ${source} are held as well: see "guard list".`),
    ]);
    return exitCodes.ok;
  });
}

async function approveTarget(
  { store, hints }: Pick<Product, 'store' | 'hints'>,
  id: string,
): Promise<{ target: string; create: number; update: number; remove: number }> {
  const done = await store.transaction(async (db) => {
    const { steps, lost } = (await planTarget(db, id, systemClock.now())) ?? { steps: [], lost: [] };
    await endReview(db, id, lost);
    const count = (what: string): number => steps.filter(({ step }) => step.do === what).length;
    const counts = { create: count('create'), update: count('update'), remove: count('delete') };
    await recordAudit(db, { actor: 'cli', action: 'restore.approve', subject: id, detail: counts });
    return { target: id, ...counts };
  });
  hints.send('deliver', id);
  return done;
}

async function toApprove(product: Product, named: string | null, isAnyway: boolean): Promise<string[]> {
  const { store } = product;
  const all = (await targetsInReview(store.db)).filter(({ id }) => named === null || id === named);
  if (all.length === 0)
    throw new SyncError(named === null ? 'No target waits for an approval' : `${named} does not wait for an approval`, {
      code: 'restore.nothing_to_approve',
      recovery: { kind: 'operator', remedy: 'See "calendar-sync restore status".' },
    });
  for (const { id, review } of all) {
    if (review === 'ready' || isAnyway) continue;
    const target = await loadTarget(store.db, id);
    // It says what is missing.
    if (target !== null)
      throw await reviewRestored(store, product.openTarget(target), target, AbortSignal.timeout(60_000));
  }
  return all.map(({ id }) => id);
}
