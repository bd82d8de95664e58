import { existsSync } from 'node:fs';
import type { Product } from '../compose.ts';
import { affectedSources, consequencesOf, diffModels, type ConfigChange } from '../config/diff.ts';
import type { Env } from '../config/env.ts';
import type { Model, SourceConfig, Target } from '../config/model.ts';
import { renderYaml } from '../config/render-yaml.ts';
import { loadModelFile } from '../config/yaml.ts';
import { SyncError } from '../shared/errors.ts';
import {
  loadModel,
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
import { recordAudit } from '../store/history.ts';
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
  const changes = await store.transaction(async (db) => {
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
    return planned;
  });
  for (const source of (await loadModel(store.db, box)).sources) product.hints.send('ingest', source.id);
  return changes;
}

async function modelsOf(
  db: Db,
  product: Pick<Product, 'box'>,
  env: Env,
  file: string,
  prune: boolean,
): Promise<{ current: Model; wanted: Model }> {
  const current = await loadModel(db, product.box);
  const read = loadModelFile(file, env.lookUp);
  return {
    current,
    wanted: prune ? read : { ...read, targets: read.targets.map((target) => withKept(target, current)) },
  };
}

/** Without `--prune` a calendar that the file does not have stays, like everything else. */
function withKept(target: Target, current: Model): Target {
  const before = current.targets.find((one) => one.id === target.id)?.calendars ?? [];
  const kept = before.filter((calendar) => !target.calendars.some((one) => one.id === calendar.id));
  return { ...target, calendars: [...target.calendars, ...kept] };
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
      // Identities are another matter then: each claim must be put to its meeting anew.
      if (change.fields.some(({ field }) => field === 'dedupe'))
        for (const id of affectedSources(change, current)) await readAnew(db, id, { dropCursor: false });
      break;
    }
    case 'sources': {
      const source: SourceConfig = entry(wanted.sources, change.id);
      const isFiltered = change.fields.some(({ field }) => field.startsWith('filters.'));
      await saveSource(db, box, source, wanted.sources.indexOf(source), {
        bumpsEpoch: consequences.bumpsEpoch || isFiltered,
        // What a filter hides is not stored, and what it newly asks may have been cut: the source is asked again.
        fullReading: consequences.fullReading || isFiltered,
        isOther: change.fields.some(({ field }) => naming.has(field)),
      });
      break;
    }
  }
  if (consequences.fullReading && (change.list === 'tenants' || change.list === 'clouds'))
    for (const id of affectedSources(change, current)) await readAnew(db, id, { dropCursor: true });
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

function fileOf(env: Env, named: string | null): string {
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
    tell(json, { yaml }, [yaml.trimEnd()]);
    return exitCodes.ok;
  });
}
