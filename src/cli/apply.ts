import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Product } from '../compose.ts';
import { crossCheck } from '../config/cross-check.ts';
import { affectedSources, consequencesOf, diffModels, type ConfigChange } from '../config/diff.ts';
import type { Env } from '../config/env.ts';
import { ConfigError } from '../config/faults.ts';
import type { Model, SourceConfig, Target } from '../config/model.ts';
import { renderYaml } from '../config/render-yaml.ts';
import { loadModelFile } from '../config/yaml.ts';
import { SyncError } from '../shared/errors.ts';
import {
  loadModel,
  lockConfiguration,
  orderSources,
  readAnew,
  removeCalendar,
  removeEntry,
  saveCloud,
  saveSource,
  saveTarget,
  saveTenant,
  type EntryKind,
} from '../store/configuration.ts';
import type { Db } from '../store/database.ts';
import { readAudit, recordAudit } from '../store/history.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

interface FileOptions {
  readonly json: boolean;
  readonly prune: boolean;
}

/** Makes the stored configuration what the file says, in one transaction. Gives what changed. Throws ConfigError. */
export async function applyFile(
  product: Pick<Product, 'store' | 'box' | 'hints'>,
  env: Env,
  file: string,
  options: { prune: boolean; actor: string },
): Promise<ConfigChange[]> {
  const { store, box } = product;
  const changes = await store
    .transaction((db) => applyIn(db, product, env, file, options))
    .catch(async (thrown: unknown) => {
      if (thrown instanceof ConfigError) await recordRefusal(store.db, options.actor, file, thrown);
      throw thrown;
    });
  for (const source of (await loadModel(store.db, box)).sources) product.hints.send('ingest', source.id);
  return changes;
}

/** Which faults, never what was written there; a service that tries again and again with one file is told of once. */
async function recordRefusal(db: Db, actor: string, file: string, { faults }: ConfigError): Promise<void> {
  const detail = { file: basename(file), faults: faults.map(({ code, field }) => ({ code, field })) };
  const [last] = await readAudit(db, { action: 'config.refused', limit: 1 });
  if (last !== undefined && isDeepStrictEqual(last.detail, detail)) return;
  await recordAudit(db, { actor, action: 'config.refused', subject: 'configuration', detail });
}

/** `applyFile` inside the caller's transaction. */
export async function applyIn(
  db: Db,
  product: Pick<Product, 'box'>,
  env: Env,
  file: string,
  options: { prune: boolean; actor: string },
): Promise<ConfigChange[]> {
  await lockConfiguration(db);
  const { current, wanted } = await modelsOf(db, product, env, file, options.prune);
  const planned = diffModels(current, wanted, { prune: options.prune });
  for (const change of planned) {
    await carryOut(db, product, change, current, wanted);
    if (change.kind !== 'keep')
      await recordAudit(db, {
        actor: options.actor,
        action: `config.${change.kind}`,
        subject: `${change.list}/${change.id}`,
        detail: change.sentence,
      });
  }
  await orderSources(
    db,
    wanted.sources.map(({ id }) => id),
  );
  return planned;
}

/** What is stored, and what is wanted: the file, and without `prune` what it does not have as well. Throws ConfigError. */
async function modelsOf(
  db: Db,
  product: Pick<Product, 'box'>,
  env: Env,
  file: string,
  prune: boolean,
): Promise<{ current: Model; wanted: Model }> {
  const current = await loadModel(db, product.box);
  const read = loadModelFile(file, env.lookUp);
  if (prune) return { current, wanted: read };
  const wanted = { ...read, targets: read.targets.map((target) => withKeptCalendars(target, current)) };
  checkWithKept(file, wanted, current);
  return { current, wanted };
}

/** Without `--prune` a calendar that the file does not have stays, like everything else. */
function withKeptCalendars(target: Target, current: Model): Target {
  const before = current.targets.find((one) => one.id === target.id)?.calendars ?? [];
  return { ...target, calendars: withKept(target.calendars, before) };
}

function withKept<T extends { readonly id: string }>(wanted: readonly T[], current: readonly T[]): T[] {
  return [...wanted, ...current.filter(({ id }) => !wanted.some((one) => one.id === id))];
}

/** The file is right in itself by now; what stays beside it must fit it too, a lowered ceiling above all. */
function checkWithKept(file: string, wanted: Model, current: Model): void {
  const conflicts = crossCheck({
    clouds: withKept(wanted.clouds, current.clouds),
    tenants: withKept(wanted.tenants, current.tenants),
    targets: withKept(wanted.targets, current.targets),
    sources: withKept(wanted.sources, current.sources),
  });
  if (conflicts.length === 0) return;
  throw new ConfigError(
    conflicts.map(({ list, id, field, code, message, remedy }) => ({
      code,
      field: [list, id, ...(field === '' ? [] : [field])].join('.'),
      message: `${message} (${wanted[list].some((one) => one.id === id) ? 'in' : 'not in'} ${basename(file)}; what it does not have stays without --prune)`,
      remedy,
      place: null,
    })),
  );
}

/** Fields by which a source is another calendar: nothing that was read of the old one holds. */
const naming = new Set(['kind', 'tenant', 'mailbox', 'calendar', 'url', 'username']);

async function carryOut(
  db: Db,
  { box }: Pick<Product, 'box'>,
  change: ConfigChange,
  current: Model,
  wanted: Model,
): Promise<void> {
  if (change.kind === 'keep') return;
  if (change.kind === 'remove') {
    await removeEntry(db, singular[change.list], change.id);
    return;
  }
  const consequences = consequencesOf(change);
  switch (change.list) {
    case 'clouds':
      await saveCloud(db, entry(wanted.clouds, change.id));
      break;
    case 'tenants':
      await saveTenant(db, box, entry(wanted.tenants, change.id));
      break;
    case 'targets': {
      const target = entry(wanted.targets, change.id);
      await saveTarget(db, box, target);
      const before = current.targets.find((one) => one.id === target.id)?.calendars ?? [];
      for (const calendar of before)
        if (!target.calendars.some((one) => one.id === calendar.id)) await removeCalendar(db, target.id, calendar.id);
      break;
    }
    case 'sources': {
      const source: SourceConfig = entry(wanted.sources, change.id);
      await saveSource(db, box, source, wanted.sources.indexOf(source), {
        bumpsEpoch: consequences.bumpsEpoch,
        fullReading: consequences.fullReading,
        isOther: change.fields.some(({ field }) => naming.has(field)),
      });
      break;
    }
  }
  if (consequences.fullReading && (change.list === 'tenants' || change.list === 'clouds'))
    for (const id of affectedSources(change, current)) await readAnew(db, id);
}

const singular: Readonly<Record<ConfigChange['list'], EntryKind>> = {
  clouds: 'cloud',
  tenants: 'tenant',
  targets: 'target',
  sources: 'source',
};

function entry<T extends { readonly id: string }>(list: readonly T[], id: string): T {
  const found = list.find((one) => one.id === id);
  if (found === undefined) throw new Error(`${id} is in no list`);
  return found;
}

export function fileOf(env: Env, named: string | null): string {
  const file = named ?? env.configFile;
  if (file !== null && existsSync(file)) return file;
  throw new SyncError(file === null ? 'There is no configuration file' : `The file ${file} does not exist`, {
    code: 'config.no_file',
    field: 'CONFIG_FILE',
    recovery: {
      kind: 'operator',
      remedy: 'Copy calendars.example.yaml to calendars.yaml and fill it in, or name another file.',
    },
  });
}

function sentencesOf(changes: readonly ConfigChange[]): string[] {
  return changes.length === 0 ? ['Nothing to change.'] : changes.map((change) => change.sentence);
}

export function applyCommand(named: string | null, options: FileOptions, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const changes = await applyFile(product, env, fileOf(env, named), { prune: options.prune, actor: 'cli' });
    tell(options.json, changes, sentencesOf(changes));
    return exitCodes.ok;
  });
}

export function diffCommand(named: string | null, options: FileOptions, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const { current, wanted } = await modelsOf(product.store.db, product, env, fileOf(env, named), options.prune);
    const changes = diffModels(current, wanted, { prune: options.prune });
    tell(options.json, changes, sentencesOf(changes));
    return changes.some((change) => change.kind !== 'keep') ? exitCodes.trouble : exitCodes.ok;
  });
}

export function exportCommand(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const yaml = renderYaml(await loadModel(product.store.db, product.box));
    await recordAudit(product.store.db, { actor: 'cli', action: 'config.export', subject: 'configuration' });
    tell(json, { yaml }, [yaml.trimEnd()]);
    return exitCodes.ok;
  });
}
