import { readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';

import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';

import type { Cloud } from '../shared/clouds.ts';
import { buildSource, buildTarget, buildTenant } from './build-model.ts';
import { checkNames, type Conflict, crossCheck, privacyRequired } from './cross-check.ts';
import { ConfigError, type ConfigFault } from './faults.ts';
import type { Model, SourceConfig } from './model.ts';
import { nearest } from './near.ts';
import { cloudShape, sourceShape, targetShape, tenantShape } from './shapes.ts';

export interface YamlContext {
  /** How faults call the file. */
  readonly file: string;
  /** Value of `${NAME}`; undefined when there is none. */
  readonly lookUp: (name: string) => string | undefined;
  /** Text of a file that the configuration names; throws when it cannot be read. */
  readonly readText: (path: string) => string;
}

type Path = readonly (string | number)[];

const LISTS = ['tenants', 'targets', 'sources'] as const;
const TOP = ['clouds', ...LISTS];
const GUIDE = 'docs/configuration.md describes the format.';

/** `parseModel` on a file; PEM paths start at its folder. */
export function loadModelFile(path: string, lookUp: YamlContext['lookUp']): Model {
  const readText = (name: string): string => readFileSync(resolve(dirname(path), name), 'utf8');
  return parseModel(readFileSync(path, 'utf8'), { file: basename(path), lookUp, readText });
}

/**
 * Reads a configuration from YAML 1.2, `${NAME}` filled in. Throws ConfigError with everything that is wrong, each fault
 * with its line and column.
 */
export function parseModel(text: string, context: YamlContext): Model {
  return new Reader(text, context).read();
}

/** One reading of a text: collects faults as it goes, so that one wrong entry hides no other. */
class Reader {
  readonly #context: YamlContext;
  readonly #lines = new LineCounter();
  readonly #document: Document;
  readonly #faults: ConfigFault[] = [];

  constructor(text: string, context: YamlContext) {
    this.#context = context;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
  }

  read(): Model {
    const { errors, warnings } = this.#document;
    for (const { message, pos } of [...errors, ...warnings]) {
      const remedy = 'Mend the indentation, quotes or brackets there.';
      this.#add('config.yaml', '', `is no YAML: ${message}`, remedy, this.#placeAt(pos[0]));
    }
    if (errors.length > 0) throw new ConfigError(this.#faults);

    const root = this.#asRecord(this.#fill(this.#document.toJS(), []) ?? {}, []);
    for (const key of Object.keys(root)) if (!TOP.includes(key)) this.#unknownKey([], key, TOP);
    const clouds = this.#clouds(root['clouds'] ?? {});
    const lists = {
      tenants: this.#list(root, 'tenants'),
      targets: this.#list(root, 'targets'),
      sources: this.#list(root, 'sources'),
    };
    const tenants = this.#entries('tenants', lists.tenants, tenantShape).map(buildTenant);
    const targets = this.#entries('targets', lists.targets, targetShape).map(buildTarget);
    const shapes = this.#entries('sources', lists.sources, sourceShape);

    const sources = shapes.map((shape): SourceConfig => {
      const tenant = shape.kind === 'graph' ? tenants.find(({ id }) => id === shape.tenant) : undefined;
      const missing =
        shape.privacy === undefined && tenant !== undefined ? privacyRequired(shape.id, tenant.cloud) : null;
      if (missing !== null) this.#addConflict(missing);
      return buildSource(shape, tenant?.ceiling ?? 'full');
    });
    const model: Model = { clouds, tenants, targets, sources };
    const declared = {
      clouds: Object.keys(this.#asRecord(root['clouds'] ?? {}, ['clouds'])),
      tenants: lists.tenants.map(idOf),
      targets: lists.targets.map(idOf),
    };
    for (const conflict of crossCheck(model, declared)) this.#addConflict(conflict);
    // Entries with faults of their own are not in the model; what they name is checked all the same.
    const isFaulty = (read: readonly { readonly id: string }[]) => (item: unknown) =>
      !read.some(({ id }) => id === idOf(item));
    const faulty = {
      tenants: lists.tenants.filter(isFaulty(tenants)),
      sources: lists.sources.filter(isFaulty(sources)),
    };
    for (const conflict of checkNames(faulty, model, declared)) this.#addConflict(conflict);
    if (this.#faults.length > 0) throw new ConfigError(this.#faults.toSorted(byPlace));
    return model;
  }

  /** The value with each `${NAME}` in its texts replaced. */
  #fill(value: unknown, path: Path): unknown {
    if (typeof value === 'string') {
      return value.replaceAll(/\$\{([^}]*)\}/g, (reference, name: string) => {
        const found = this.#resolve(name);
        if (found !== undefined) return found;
        const remedy = `Set ${name} in the environment or in .env, or ${name}_FILE to a file that holds it.`;
        this.#add('config.unset_variable', path, `needs ${reference}, which is not set`, remedy);
        return reference;
      });
    }
    if (Array.isArray(value)) return value.map((item, index) => this.#fill(item, [...path, index]));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#fill(item, [...path, key])]));
  }

  #resolve(name: string): string | undefined {
    try {
      return this.#context.lookUp(name);
    } catch {
      return undefined; // its file cannot be read
    }
  }

  #clouds(value: unknown): Cloud[] {
    return Object.entries(this.#asRecord(value, ['clouds'])).flatMap(([id, entry]) => {
      const shape = this.#check(cloudShape, entry, ['clouds', id]);
      return shape === null ? [] : [{ id, ...shape }];
    });
  }

  #list(root: Record<string, unknown>, name: (typeof LISTS)[number]): unknown[] {
    const value = root[name] ?? [];
    if (Array.isArray(value)) return value;
    this.#add('config.shape', [name], 'is no list', 'Begin each entry with "- ".');
    return [];
  }

  #entries<Shape extends z.ZodType>(list: string, items: readonly unknown[], shape: Shape): z.output<Shape>[] {
    const seen = new Map<string, number>();
    return items.flatMap((item, index) => {
      const id = idOf(item).toLowerCase();
      const first = seen.get(id);
      if (id !== '' && first !== undefined) {
        const line = this.#placeOf([list, first, 'id']).line;
        const message = `"${idOf(item)}" is taken already, in line ${line}`;
        this.#add('config.duplicate', [list, index, 'id'], message, 'Give each entry an id of its own.');
      }
      seen.set(id, first ?? index);
      const prepared = list === 'tenants' ? this.#withCredential(item, [list, index]) : item;
      const checked = this.#check(shape, prepared, [list, index]);
      return checked === null ? [] : [checked];
    });
  }

  /** A tenant with its PEM files read; a fault unless it has exactly one credential. */
  #withCredential(item: unknown, path: Path): unknown {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
    const given = ['secret', 'certificate', 'signIn'].filter((key) => key in item);
    if (given.length !== 1) {
      const message = given.length === 0 ? 'has no credential' : `has ${given.join(' and ')}`;
      const remedy = 'Give one: secret, certificate, or signIn: delegated.';
      this.#add('config.credential', path, message, remedy);
    }
    const certificate: unknown = 'certificate' in item ? item.certificate : undefined;
    if (typeof certificate !== 'object' || certificate === null || !('file' in certificate)) return item;
    const { file, key, ...others } = certificate as { file: unknown; key?: unknown };
    const texts = {
      certificate: this.#readPem(file, [...path, 'certificate', 'file']),
      privateKey: this.#readPem(key, [...path, 'certificate', 'key']),
    };
    // What could not be read has been told; the rest of the tenant is checked without it.
    const isRead = texts.certificate !== null && texts.privateKey !== null;
    return { ...item, certificate: isRead ? { ...texts, ...others } : undefined };
  }

  #readPem(name: unknown, path: Path): string | null {
    if (typeof name !== 'string') {
      this.#add(
        'config.missing',
        path,
        'is missing',
        'Name the PEM files: certificate: { file: app.pem, key: app.key }.',
      );
      return null;
    }
    try {
      return this.#context.readText(name);
    } catch {
      const remedy = 'Name a PEM file that this user may read; its path starts at the folder of this file.';
      this.#add('config.file', path, `${name} cannot be read`, remedy);
      return null;
    }
  }

  #check<Shape extends z.ZodType>(shape: Shape, value: unknown, path: Path): z.output<Shape> | null {
    const result = shape.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) this.#addIssue(issue, [...path, ...(issue.path as Path)]);
    return null;
  }

  #addIssue(issue: z.core.$ZodIssue, path: Path): void {
    const shown = quote(this.#document.getIn(path));
    const isMissing = this.#document.getIn(path) === undefined;
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) this.#unknownKey(path, key, knownKeys(path));
    } else if (
      isMissing &&
      (issue.code === 'invalid_type' || issue.code === 'invalid_value' || issue.code === 'invalid_union')
    ) {
      this.#add('config.missing', path, 'is missing', `Add it; ${GUIDE}`);
    } else if (issue.code === 'invalid_value') {
      const choices = issue.values.map(String).join(', ');
      this.#add('config.value', path, `${shown} is none of ${choices}`, 'Choose one of them.');
    } else if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
      const remedy = 'Choose graph, caldav, ics or powerautomate.';
      this.#add('config.value', path, `${shown} is no kind of source`, remedy);
    } else if (issue.code === 'invalid_type') {
      const remedy = issue.expected === 'string' ? 'Put it in quotes.' : `Mend it; ${GUIDE}`;
      this.#add('config.type', path, `is no ${TYPES[issue.expected] ?? issue.expected}`, remedy);
    } else {
      const [message = '', ...remedy] = issue.message.split(/(?<=[.]) /);
      const isQuotable = issue.code === 'invalid_format' || issue.code === 'custom';
      const subject = isQuotable && !isSecret(path) && shown !== '' ? `${shown} ` : '';
      this.#add('config.value', path, `${subject}${message.replace(/\.$/, '')}`, remedy.join(' '));
    }
  }

  #unknownKey(path: Path, key: string, known: readonly string[]): void {
    const meant = nearest(key, known);
    const remedy = meant === undefined ? `Remove it; ${GUIDE}` : `Is ${meant} meant?`;
    this.#add('config.unknown_key', [...path, key], 'is unknown', remedy, this.#placeOfKey(path, key));
  }

  #addConflict({ list, id, field, code, message, remedy }: Conflict): void {
    const index = this.#indexOf(list, id);
    this.#add(code, [list, index, ...(field === '' ? [] : [field])], message, remedy);
  }

  #indexOf(list: string, id: string): string | number {
    if (list === 'clouds') return id;
    const entries: unknown = this.#asRecord(this.#document.toJS() ?? {}, [])[list];
    return Array.isArray(entries) ? entries.findIndex((entry) => idOf(entry) === id) : 0;
  }

  #add(code: string, path: Path | '', message: string, remedy: string, place?: ConfigFault['place']): void {
    const field = path === '' ? '' : this.#nameOf(path);
    this.#faults.push({ code, field, message, remedy, place: place ?? this.#placeOf(path === '' ? [] : path) });
  }

  /** `sources.agency-me.privacy`: entries of lists by their ids, where they have one. */
  #nameOf(path: Path): string {
    return path
      .map((part, index) => {
        const id: unknown =
          typeof part === 'number' ? this.#document.getIn([...path.slice(0, index + 1), 'id']) : undefined;
        return typeof id === 'string' ? id : String(typeof part === 'number' ? part + 1 : part);
      })
      .join('.');
  }

  /** Where the value at `path` is written, or else the nearest thing around it. */
  #placeOf(path: Path): NonNullable<ConfigFault['place']> {
    for (let length = path.length; length > 0; length -= 1) {
      const node = this.#document.getIn(path.slice(0, length), true) as Node | undefined;
      if (node?.range) return this.#placeAt(node.range[0]);
    }
    return this.#placeAt(0);
  }

  #placeOfKey(path: Path, key: string): NonNullable<ConfigFault['place']> {
    const map: unknown = path.length === 0 ? this.#document.contents : this.#document.getIn(path, true);
    const node = isMap(map)
      ? map.items.map((item) => item.key).find((item) => isScalar(item) && item.value === key)
      : undefined;
    return isScalar(node) && node.range ? this.#placeAt(node.range[0]) : this.#placeOf(path);
  }

  #placeAt(offset: number): NonNullable<ConfigFault['place']> {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#context.file, line, column: col };
  }

  #asRecord(value: unknown, path: Path): Record<string, unknown> {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    this.#add('config.shape', path, 'is no mapping', `Write "name: value" pairs; ${GUIDE}`);
    return {};
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'whole number',
  object: 'mapping',
  array: 'list',
};

function knownKeys(path: Path): string[] {
  const inner = path.slice(2).filter((part) => typeof part === 'string');
  if (path[0] === 'clouds') return Object.keys(cloudShape.shape);
  if (path[0] === 'tenants')
    return inner.length > 0 ? ['file', 'key', 'certificate', 'privateKey', 'password'] : Object.keys(tenantShape.shape);
  if (path[0] === 'targets') return inner.length > 0 ? ['id', 'name', 'color'] : Object.keys(targetShape.shape);
  if (inner[0] === 'window') return ['pastDays', 'futureDays'];
  if (inner[0] === 'filters') return inner[1] === 'hours' ? ['zone', 'from', 'to'] : FILTERS;
  return [...new Set(sourceShape.options.flatMap((option) => Object.keys(option.shape)))];
}

const FILTERS = [
  'declined',
  'free',
  'tentative',
  'cancelled',
  'allDay',
  'titles',
  'categories',
  'sensitivities',
  'hours',
];

function isSecret(path: Path): boolean {
  // The address of a feed is all that keeps others from reading it.
  if (path[0] === 'sources' && path.at(-1) === 'url') return true;
  return path.some((part) => ['secret', 'password', 'key', 'certificate'].includes(String(part)));
}

function idOf(entry: unknown): string {
  return typeof entry === 'object' && entry !== null && 'id' in entry && typeof entry.id === 'string' ? entry.id : '';
}

/** As written, so that no variable's value is shown. */
function quote(value: unknown): string {
  return typeof value === 'string'
    ? `"${value}"`
    : typeof value === 'number' || typeof value === 'boolean'
      ? `${value}`
      : '';
}

function byPlace(a: ConfigFault, b: ConfigFault): number {
  return (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0);
}
