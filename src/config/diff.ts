import type { Cloud } from '../shared/clouds.ts';
import { type Consequences, consequencesOfField, NO_CONSEQUENCES, united } from './consequences.ts';
import type { Model, SourceConfig, Target, Tenant } from './model.ts';

type Entry = Cloud | Tenant | Target | SourceConfig;
type List = keyof Model;

/** What a field said and will say, as text; null where that is nobody's business or there was nothing. */
export interface FieldChange {
  /** `privacy`, `filters.titles`, `calendars.work.name`. */
  readonly field: string;
  readonly isSecret: boolean;
  readonly from: string | null;
  readonly to: string | null;
  readonly consequences: Consequences;
}

/** One entry that differs. Holds no secret, so that it may be shown and logged as it is. */
export interface ConfigChange {
  readonly kind: 'add' | 'update' | 'remove' | 'keep';
  readonly list: List;
  readonly id: string;
  /** Of an update. */
  readonly fields: readonly FieldChange[];
  /** For people: `source agency-me: privacy from "busy" to "title"`. */
  readonly sentence: string;
}

const LISTS = ['clouds', 'tenants', 'targets', 'sources'] as const;
const NAMES: Readonly<Record<List, string>> = {
  clouds: 'cloud',
  tenants: 'tenant',
  targets: 'target',
  sources: 'source',
};
const SECRET = /^(password|key|formerKey|signingKey|credential\..*)$/;

/**
 * What makes `current` equal to `wanted`: additions and updates in the order in which they can be made, then removals in
 * the reverse. Without `prune` nothing is removed; what would be is told as kept. Pure.
 */
export function diffModels(current: Model, wanted: Model, { prune }: { readonly prune: boolean }): ConfigChange[] {
  const made = LISTS.flatMap((list) =>
    wanted[list].flatMap((entry: Entry): ConfigChange[] => {
      const before = find(current[list], entry.id);
      if (before === undefined) return [change('add', list, entry.id, [], 'is added')];
      const fields = fieldChanges(before, entry);
      if (fields.length === 0) return [];
      return [change('update', list, entry.id, fields, `: ${fields.map(describe).join('; ')}`)];
    }),
  );
  const gone = LISTS.toReversed().flatMap((list) =>
    current[list]
      .filter(({ id }) => find(wanted[list], id) === undefined)
      .map(({ id }) =>
        prune
          ? change('remove', list, id, [], 'is removed')
          : change('keep', list, id, [], 'is not in the file and stays; --prune would remove it'),
      ),
  );
  return [...made, ...gone];
}

/** What carrying out a change asks of the sources and targets that it touches; see `affectedSources`. */
export function consequencesOf({ kind, list, fields }: ConfigChange): Consequences {
  if (kind === 'update') return united(fields.map(({ consequences }) => consequences));
  if (kind === 'keep' || list === 'clouds' || list === 'tenants') return NO_CONSEQUENCES;
  if (list === 'targets') return { ...NO_CONSEQUENCES, rerender: kind === 'add' };
  return kind === 'add'
    ? { bumpsEpoch: false, fullReading: true, rerender: false }
    : { bumpsEpoch: true, fullReading: false, rerender: true };
}

/** Ids of the sources that a change touches, in a model that has them. */
export function affectedSources({ list, id }: ConfigChange, model: Model): string[] {
  const tenants =
    list === 'tenants' ? [id] : model.tenants.filter(({ cloud }) => cloud === id).map((tenant) => tenant.id);
  return model.sources
    .filter((source) => {
      if (list === 'sources') return source.id === id;
      if (list === 'targets') return source.into.target === id;
      return source.kind === 'graph' && tenants.includes(source.tenant);
    })
    .map((source) => source.id);
}

function change(kind: ConfigChange['kind'], list: List, id: string, fields: FieldChange[], what: string): ConfigChange {
  const sentence = `${NAMES[list]} ${id}${what.startsWith(':') ? '' : ' '}${what}`;
  return { kind, list, id, fields, sentence };
}

function describe({ field, isSecret, from, to }: FieldChange): string {
  if (isSecret) return `${field} changed`;
  if (from === null) return `${field} set to ${to ?? 'nothing'}`;
  return to === null ? `${field} removed, it was ${from}` : `${field} from ${from} to ${to}`;
}

function fieldChanges(before: Entry, after: Entry): FieldChange[] {
  const [old, next] = [flatten(before), flatten(after)];
  return [...new Set([...old.keys(), ...next.keys()])]
    .filter((field) => old.get(field) !== next.get(field))
    .map((field) => {
      const isSecret = SECRET.test(field) || (field === 'url' && [before, after].some(isFeed));
      return {
        field,
        isSecret,
        from: isSecret ? null : (old.get(field) ?? null),
        to: isSecret ? null : (next.get(field) ?? null),
        consequences: consequencesOfField(field, before, after),
      };
    });
}

/** The address of a feed is all that keeps others from reading it. */
function isFeed(entry: Entry): boolean {
  return 'kind' in entry && entry.kind === 'ics';
}

/** Each plain value by its path; entries of lists by their id; other lists as one value. */
function flatten(value: unknown, path = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null || (Array.isArray(value) && !value.some(hasId))) {
    return new Map<string, string>(value === null || value === undefined ? [] : [[path, JSON.stringify(value)]]);
  }
  const fields: [string, unknown][] = Array.isArray(value)
    ? value.filter(hasId).map((item) => [item.id, { ...item, id: null }])
    : Object.entries(value);
  return new Map(fields.flatMap(([key, field]) => [...flatten(field, path === '' ? key : `${path}.${key}`)]));
}

function hasId(value: unknown): value is { id: string } {
  return typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string';
}

function find(entries: readonly Entry[], id: string): Entry | undefined {
  return entries.find((entry) => entry.id === id);
}
