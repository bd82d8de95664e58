import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createInterface } from 'node:readline/promises';
import { parse } from 'yaml';
import type { Product } from '../compose.ts';
import type { Env } from '../config/env.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import {
  dropForgotten,
  endSources,
  endTenant,
  forgottenEntries,
  sourcesOfTenant,
  type ForgottenSource,
  type Removed,
} from '../store/forget.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

export interface ForgetOptions {
  readonly json: boolean;
  /** Counts, and changes nothing. */
  readonly dryRun: boolean;
  /** Asks nothing. */
  readonly yes: boolean;
}

interface Line {
  readonly where: string;
  readonly what: string;
  readonly count: number | null;
}

const undo = new Error('counted, nothing removed');
const deliveryWaitMs = 120_000;
const subscriptionWaitMs = 30_000;

/**
 * Removes everything of a tenant: its sources with all that is kept of their words, its credentials, its subscriptions
 * with Graph, its entries in the targets. Prints what was removed where, and what is out of reach. Exits with 1 when
 * something is left.
 */
export function forget(tenant: string, options: ForgetOptions, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const { store } = product;
    const sources = await sourcesOfTenant(store.db, tenant);
    if (sources === null) throw unknown(tenant);
    if (options.dryRun) return tellDryRun(product, env, tenant, sources, options.json);
    if (!options.yes && process.stdin.isTTY) await ask(tenant, sources);
    const say = (sentence: string): void => {
      if (!options.json) process.stderr.write(`${sentence}\n`);
    };

    const removed = await store.transaction((db) => endSources(db, sources));
    const told = await tellGraph(product);
    const rows = await store.transaction((db) => endTenant(db, tenant, 'cli'));
    const before = await forgottenEntries(store.db);
    for (const { target } of sources) product.hints.send('deliver', target);
    const left = await clearTargets(product, before, say);
    await store.transaction(dropForgotten);

    const entries = [...before].map(([target, count]): Line => {
      const rest = left.get(target) ?? 0;
      return { where: `target ${target}`, what: 'entries deleted, not kept in the trash', count: count - rest };
    });
    const remaining = [...left].map(
      ([target, count]) => `${count} entries still stand in ${target}: the worker deletes them once it answers`,
    );
    const again = namedIn(env, tenant);
    const notes = [...told, ...outOfReach(env), ...again];
    tell(options.json, { tenant, removed: [...linesOf({ ...removed, ...rows }), ...entries], remaining, notes }, [
      `Forgotten: the tenant ${tenant}${sources.length === 0 ? '' : ` with ${sources.map(({ id }) => id).join(', ')}`}.`,
      ...[...linesOf({ ...removed, ...rows }), ...entries].map(sentenceOf),
      ...remaining,
      '',
      ...notes,
    ]);
    return remaining.length + again.length === 0 ? exitCodes.ok : exitCodes.trouble;
  });
}

async function tellDryRun(
  { store }: Product,
  env: Env,
  tenant: string,
  sources: readonly ForgottenSource[],
  json: boolean,
): Promise<number> {
  let lines: Line[] = [];
  await store
    .transaction(async (db) => {
      const removed = await endSources(db, sources);
      const entries = [...(await forgottenEntries(db))];
      const rows = await endTenant(db, tenant, 'cli');
      lines = [
        ...linesOf({ ...removed, ...rows }),
        ...entries.map(([target, count]) => ({ where: `target ${target}`, what: 'entries that only it shows', count })),
      ];
      throw undo;
    })
    .catch((thrown: unknown) => {
      if (thrown !== undo) throw thrown;
    });
  const notes = [...outOfReach(env), ...namedIn(env, tenant)];
  tell(json, { tenant, wouldRemove: lines, notes }, [
    `"forget ${tenant}" would remove:`,
    ...lines.map(sentenceOf),
    '',
    ...notes,
  ]);
  return exitCodes.ok;
}

async function ask(tenant: string, sources: readonly ForgottenSource[]): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const list = sources.map(({ id, mailbox }) => `${id}${mailbox === null ? '' : ` (${mailbox})`}`).join(', ');
  process.stderr.write(`All that is kept of ${tenant} is removed, here and in the targets: ${list || 'no sources'}.\n`);
  try {
    const answer = await terminal.question(`There is no way back. Type ${tenant} to go on: `);
    if (answer.trim() !== tenant)
      throw new SyncError('Nothing was removed', {
        code: 'cli.not_confirmed',
        recovery: { kind: 'operator', remedy: 'Type the id of the tenant, or add --yes.' },
      });
  } finally {
    terminal.close();
  }
}

/** Ends the subscriptions while the tenant's credential is still there. What cannot be told ends by itself. */
async function tellGraph({ subscriptions }: Product): Promise<string[]> {
  try {
    await Promise.race([
      subscriptions.keep(),
      pause(subscriptionWaitMs, undefined, { ref: false }).then(() => Promise.reject(new Error('no answer'))),
    ]);
    return [];
  } catch (thrown) {
    return [
      `Graph could not be told that its subscriptions end (${toSyncError(thrown).message}); they end by themselves within a week.`,
    ];
  }
}

/** Has the targets written until nothing of the tenant stands there, or they do not answer. Gives what is left. */
async function clearTargets(
  { store, worker }: Product,
  before: ReadonlyMap<string, number>,
  say: (sentence: string) => void,
): Promise<ReadonlyMap<string, number>> {
  const until = performance.now() + deliveryWaitMs;
  let left = before;
  while (left.size > 0) {
    for (const [target, count] of left) {
      say(`${target}: ${count} entries to delete`);
      await worker.run('deliver', target);
    }
    const now = await forgottenEntries(store.db);
    const isMoving = [...now.values()].reduce((sum, count) => sum + count, 0) > 0;
    left = now;
    if (!isMoving || performance.now() > until) break;
    await pause(1_000);
  }
  return left;
}

const tables: Readonly<Record<string, string>> = {
  claim: 'series as its sources told them',
  trash: 'deleted entries that were kept',
  conflict: 'conflicts in which its sources took part',
  sync_history: 'lines of history',
  source: 'sources',
  tenant: 'credentials and settings',
  stream: 'cursors',
  stale_series: 'series that waited to be read',
  removal: 'removals in the books of the guard',
  subscription: 'subscriptions to changes',
};

function linesOf(removed: Removed): Line[] {
  return Object.entries(removed).map(([table, count]) => ({
    where: `database, ${table}`,
    what: tables[table] ?? 'rows',
    count,
  }));
}

function sentenceOf({ where, what, count }: Line): string {
  return `  ${where}: ${count === null ? '' : `${count} `}${what}`;
}

/** What this command cannot remove, by name. */
function outOfReach(env: Env): string[] {
  const folders = [...new Set([join(env.dataDir, 'backups'), resolve('data/backups')])];
  const archives = folders.flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder)
          .filter((name) => name.endsWith('.tar.gz'))
          .map((name) => join(folder, name))
      : [],
  );
  return [
    archives.length === 0
      ? 'Backups: none were found here. Copies elsewhere hold what they held: delete those made before now.'
      : `Backups hold what they held; delete those made before now: ${archives.join(', ')}, and copies elsewhere.`,
    'Log files hold ids and codes, never words of an event; they go as they are rotated.',
    'The audit log keeps that the tenant was configured and forgotten, and by whom.',
    'In Entra the app registration and its consent stay: whoever administers the tenant removes them there.',
    'Copies of the same meetings that other tenants or sources have are theirs, and go on showing.',
  ];
}

/** The next start would apply the file again. */
function namedIn({ configFile }: Env, tenant: string): string[] {
  if (configFile === null || !existsSync(configFile)) return [];
  const file: unknown = parse(readFileSync(configFile, 'utf8'));
  const list = (file as { tenants?: unknown } | null)?.tenants;
  const isNamed = Array.isArray(list) && list.some((one) => (one as { id?: unknown } | null)?.id === tenant);
  return isNamed
    ? [
        `${configFile} still names the tenant: take it and its sources out, or the next "apply" or start brings it back.`,
      ]
    : [];
}

function unknown(tenant: string): SyncError {
  return new SyncError(`There is no tenant ${tenant}`, {
    code: 'config.missing_entry',
    field: 'tenant',
    recovery: { kind: 'operator', remedy: 'See "calendar-sync export" for those that are configured.' },
  });
}
