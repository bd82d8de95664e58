import { expandSeries, expandText } from '../calendar/expand.ts';
import { verdictOf } from '../calendar/filters.ts';
import { redact } from '../calendar/privacy.ts';
import type { Instance } from '../calendar/series.ts';
import type { Product } from '../compose.ts';
import {
  compareInstances,
  type ExpectedInstance,
  type InstanceComparison,
  type InstanceDifference,
  type ShownInstance,
} from '../consolidate/compare-instances.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Window } from '../shared/window.ts';
import type { SourceInstance } from '../sources/graph/instances.ts';
import { claimPlaces, objectsOfSource } from '../store/claims.ts';
import { loadSource, type SourceState } from '../store/sources.ts';
import { readStatus } from '../store/status.ts';
import { loadTarget } from '../store/targets.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

const dayMs = 86_400_000;
const differencesTold = 20;

type Verified =
  | ({ readonly source: string; readonly outcome: 'compared'; readonly window: Window } & InstanceComparison)
  | { readonly source: string; readonly outcome: 'skipped'; readonly reason: string }
  | { readonly source: string; readonly outcome: 'failed'; readonly code: string; readonly reason: string };

/**
 * Compares the target with what each source shows now, happening by happening, and changes nothing. Exits with 1 when
 * they differ or a source or target cannot be read.
 */
export function verify(id: string | null, options: { json: boolean }, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const ids = await namedSources(product, id);
    const say = (sentence: string): void => {
      if (!options.json) process.stdout.write(`${sentence}\n`);
    };
    const results: Verified[] = [];
    for (const [index, source] of ids.entries()) {
      if (!options.json && process.stderr.isTTY) process.stderr.write(`${index + 1}/${ids.length} ${source} …\r`);
      const result = await verifySource(product, source).catch((thrown: unknown): Verified => {
        const { code, message } = toSyncError(thrown);
        return { source, outcome: 'failed', code, reason: message };
      });
      results.push(result);
      for (const line of describe(result)) say(line);
    }
    if (options.json) tell(true, { results }, []);
    return results.every(isWell) ? exitCodes.ok : exitCodes.trouble;
  });
}

async function namedSources(product: Product, id: string | null): Promise<string[]> {
  const all = (await readStatus(product.store.db)).sources.map((source) => source.id);
  const ids = all.filter((source) => id === null || source === id);
  if (ids.length > 0) return ids;
  throw new SyncError(id === null ? 'No source is configured' : `There is no source ${id}`, {
    code: 'config.missing_entry',
    field: 'source',
    recovery: {
      kind: 'operator',
      remedy: id === null ? 'Apply a configuration that has one.' : `Name one of: ${all.join(', ')}.`,
    },
  });
}

async function verifySource(product: Product, id: string): Promise<Verified> {
  const { db } = product.store;
  const state = await loadSource(db, id);
  if (state === null) return { source: id, outcome: 'skipped', reason: 'it is not there any more' };
  const stream = state.streams.find(({ kind }) => kind === 'delta');
  if (stream === undefined) return { source: id, outcome: 'skipped', reason: 'its first reading has not ended yet' };

  const opened = await product.sources.open(id);
  if (opened.kind !== 'graph')
    return { source: id, outcome: 'skipped', reason: `sources of kind ${opened.kind} cannot be asked this way` };
  const instances = await opened.source.instances(stream.window, new AbortController().signal);
  const window = wellInside(stream.window);
  const expected = instances.flatMap((instance) => expectedOf(instance, state, window));
  const shown = await shownInTarget(product, state, window);
  const compared = compareInstances(id, expected, await claimPlaces(db, id), shown);
  return { source: id, outcome: 'compared', window, ...compared };
}

/** At the edges of a window the two sides count differently what only touches it. */
function wellInside({ from, to }: Window): Window {
  const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
  return { from: iso(Date.parse(from) + dayMs), to: iso(Date.parse(to) - dayMs) };
}

function expectedOf({ key, series }: SourceInstance, { config }: SourceState, window: Window): ExpectedInstance[] {
  const verdict = verdictOf(series, config.filters);
  const visible = verdict.shown ? redact(verdict.series, config.privacy, config.privateItems) : null;
  return startingIn(expandSeries(series, window), window).map(({ start }) => ({
    key,
    uid: series.uid,
    start,
    line:
      visible === null ? null : (expandSeries(visible, window).map((one) => lineOf(one, config.titleTag))[0] ?? null),
    hiddenBy: verdict.shown ? null : verdict.by,
  }));
}

async function shownInTarget(
  product: Product,
  state: SourceState,
  window: Window,
): Promise<Map<string, ShownInstance[]>> {
  const target = await loadTarget(product.store.db, state.targetId);
  if (target === null)
    throw new SyncError(`There is no target ${state.targetId}`, {
      code: 'config.missing_entry',
      recovery: { kind: 'operator', remedy: 'Apply a configuration that has it.' },
    });
  const objects = await objectsOfSource(product.store.db, state.id);
  const dav = product.openTarget(target);
  const shown = new Map<string, ShownInstance[]>();
  for (const calendar of target.calendars) {
    const here = objects.filter(({ calendarId }) => calendarId === calendar.id);
    if (calendar.href === null || here.length === 0) continue;
    const bodies = await dav.multiget(
      calendar.href,
      here.map(({ href }) => href),
    );
    for (const { href, meetingId } of here) {
      const body = bodies.get(href)?.body;
      if (body === undefined) continue; // deleted behind our back
      const instances = startingIn(expandText(body, window), window);
      const lines = instances.map((instance) => ({ start: instance.start, line: lineOf(instance, '') }));
      shown.set(meetingId, [...(shown.get(meetingId) ?? []), ...lines]);
    }
  }
  return shown;
}

function startingIn(instances: readonly Instance[], { from, to }: Window): Instance[] {
  return instances.filter(({ start }) => start >= from.slice(0, start.length) && start < to.slice(0, start.length));
}

function lineOf({ start, end, entry }: Instance, titleTag: string): string {
  return `${start} ${end} ${entry.status === 'cancelled' ? 'cancelled' : entry.showAs} ${titleTag}${entry.summary ?? ''}`;
}

function isWell(result: Verified): boolean {
  return result.outcome === 'compared'
    ? result.missing.length + result.surplus.length === 0
    : result.outcome === 'skipped';
}

function describe(result: Verified): string[] {
  if (result.outcome === 'skipped') return [`${result.source}: not compared, ${result.reason}`];
  if (result.outcome === 'failed') return [`${result.source}: ${result.reason} (${result.code})`];
  const { source, same, hidden, elsewhere, held, missing, surplus } = result;
  const counts = [
    `${same} as in the source`,
    ...Object.entries(hidden).map(([by, count]) => `${count} hidden by ${by}`),
    ...Object.entries(elsewhere).map(([by, count]) => `${count} shown by another: ${by}`),
    ...(held === 0 ? [] : [`${held} held by the guard`]),
    ...(missing.length === 0 ? [] : [`${missing.length} missing`]),
    ...(surplus.length === 0 ? [] : [`${surplus.length} too many`]),
  ];
  return [`${source}: ${counts.join(', ')}`, ...told('missing', missing), ...told('too many', surplus)];
}

function told(what: string, differences: readonly InstanceDifference[]): string[] {
  const lines = differences.slice(0, differencesTold).map(({ line, why }) => `  ${what}: ${line} (${why})`);
  const rest = differences.length - lines.length;
  return rest > 0 ? [...lines, `  and ${rest} more; "--json" tells all`] : lines;
}
