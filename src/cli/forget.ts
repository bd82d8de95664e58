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
  sourceToForget,
  type ForgottenSource,
  type Removed,
} from '../store/forget.ts';
import type { Db } from '../store/database.ts';
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

/** What is forgotten: a tenant with its sources, or one source of any kind. */
export interface Forgotten {
  readonly kind: 'tenant' | 'source';
  readonly id: string;
}

/**
 * Removes everything of a tenant or of one source: what is kept of their words, cursors and secrets, subscriptions with
 * Graph, entries in the targets; of a tenant its credentials too. Prints what was removed where, and what is out of
 * reach. Exits with 1 when something is left.
 */
export function forget(what: Forgotten, options: ForgetOptions, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const { store } = product;
    const sources = await sourcesOf(store.db, what);
    if (sources === null) throw unknown(what);
    if (options.dryRun) return tellDryRun(product, env, what, sources, options.json);
    if (!options.yes && process.stdin.isTTY) await ask(what, sources);
    const say = (sentence: string): void => {
      if (!options.json) process.stderr.write(`${sentence}\n`);
    };

    const removed = await store.transaction((db) => endSources(db, sources, 'cli'));
    const told = await tellGraph(product);
    const rows = await store.transaction((db) => endRest(db, what));
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
    const again = namedIn(env, what);
    const notes = [...told, ...outOfReach(env, what), ...again];
    const lines = [...linesOf({ ...removed, ...rows }), ...entries];
    const names = sources.map(({ id }) => id).join(', ');
    tell(options.json, { [what.kind]: what.id, removed: lines, remaining, notes }, [
      `Forgotten: the ${what.kind} ${what.id}${what.kind === 'source' || names === '' ? '' : ` with ${names}`}.`,
      ...lines.map(sentenceOf),
      ...remaining,
      '',
      ...notes,
    ]);
    return remaining.length + again.length === 0 ? exitCodes.ok : exitCodes.trouble;
  });
}

async function sourcesOf(db: Db, { kind, id }: Forgotten): Promise<ForgottenSource[] | null> {
  if (kind === 'tenant') return sourcesOfTenant(db, id);
  const source = await sourceToForget(db, id);
  return source === null ? null : [source];
}

async function endRest(db: Db, { kind, id }: Forgotten): Promise<Removed> {
  return kind === 'tenant' ? endTenant(db, id, 'cli') : {};
}

async function tellDryRun(
  { store }: Product,
  env: Env,
  what: Forgotten,
  sources: readonly ForgottenSource[],
  json: boolean,
): Promise<number> {
  let lines: Line[] = [];
  await store
    .transaction(async (db) => {
      const removed = await endSources(db, sources, 'cli');
      const entries = [...(await forgottenEntries(db))];
      const rows = await endRest(db, what);
      lines = [
        ...linesOf({ ...removed, ...rows }),
        ...entries.map(([target, count]) => ({ where: `target ${target}`, what: 'entries that only it shows', count })),
      ];
      throw undo;
    })
    .catch((thrown: unknown) => {
      if (thrown !== undo) throw thrown;
    });
  const notes = [...outOfReach(env, what), ...namedIn(env, what)];
  tell(json, { [what.kind]: what.id, wouldRemove: lines, notes }, [
    `"forget ${what.kind === 'source' ? '--source ' : ''}${what.id}" would remove:`,
    ...lines.map(sentenceOf),
    '',
    ...notes,
  ]);
  return exitCodes.ok;
}

async function ask({ kind, id: name }: Forgotten, sources: readonly ForgottenSource[]): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const list = sources.map(({ id, mailbox }) => `${id}${mailbox === null ? '' : ` (${mailbox})`}`).join(', ');
  process.stderr.write(`All that is kept of ${name} is removed, here and in the targets: ${list || 'no sources'}.\n`);
  try {
    const answer = await terminal.question(`There is no way back. Type ${name} to go on: `);
    if (answer.trim() !== name)
      throw new SyncError('Nothing was removed', {
        code: 'cli.not_confirmed',
        recovery: { kind: 'operator', remedy: `Type the id of the ${kind}, or add --yes.` },
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
function outOfReach(env: Env, { kind }: Forgotten): string[] {
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
    `The audit log keeps that the ${kind} was configured and forgotten, and by whom.`,
    ...(kind === 'tenant'
      ? ['In Entra the app registration and its consent stay: whoever administers the tenant removes them there.']
      : []),
    'Copies of the same meetings that other sources have are theirs, and go on showing.',
  ];
}

/** The next start would apply the file again. */
function namedIn({ configFile }: Env, { kind, id }: Forgotten): string[] {
  if (configFile === null || !existsSync(configFile)) return [];
  const file = parse(readFileSync(configFile, 'utf8')) as Record<string, unknown> | null;
  const list = file?.[`${kind}s`];
  const isNamed = Array.isArray(list) && list.some((one) => (one as { id?: unknown } | null)?.id === id);
  return isNamed
    ? [
        `${configFile} still names the ${kind}: take it${kind === 'tenant' ? ' and its sources' : ''} out, or the next "apply" or start brings it back.`,
      ]
    : [];
}

function unknown({ kind, id }: Forgotten): SyncError {
  return new SyncError(`There is no ${kind} ${id}`, {
    code: 'config.missing_entry',
    field: kind,
    recovery: { kind: 'operator', remedy: 'See "calendar-sync export" for those that are configured.' },
  });
}
