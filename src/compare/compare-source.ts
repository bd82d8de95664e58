import { expandSeries, expandText } from '../calendar/expand.ts';
import { verdictOf } from '../calendar/filters.ts';
import { redact } from '../calendar/privacy.ts';
import type { Instance } from '../calendar/series.ts';
import {
  compareInstances,
  type ExpectedInstance,
  type InstanceComparison,
  type ShownInstance,
} from '../consolidate/compare-instances.ts';
import type { CalDav } from '../dav/calendar-client.ts';
import { SyncError } from '../shared/errors.ts';
import type { Window } from '../shared/window.ts';
import type { Source, SourceInstance } from '../sources/source.ts';
import { claimPlaces, objectsOfSource } from '../store/claims.ts';
import type { Db } from '../store/database.ts';
import { loadSource, type SourceState } from '../store/sources.ts';
import { loadTarget, type TargetState } from '../store/targets.ts';
import { readWhole } from './read-whole.ts';

export interface CompareDeps {
  readonly db: Db;
  /** Opens a source as it is configured now. Throws SyncError. */
  readonly openSource: (id: string) => Promise<Source>;
  readonly openTarget: (target: TargetState) => Pick<CalDav, 'multiget'>;
}

export type Compared =
  | ({ readonly outcome: 'compared'; readonly window: Window; readonly targetId: string } & InstanceComparison)
  | { readonly outcome: 'skipped'; readonly reason: string };

const dayMs = 86_400_000;
const objectsAtATime = 500;

/**
 * Compares a target with what one of its sources shows now, happening by happening, and changes nothing. Throws SyncError
 * when source or target cannot be read.
 */
export async function compareSource(deps: CompareDeps, id: string, signal: AbortSignal): Promise<Compared> {
  const state = await loadSource(deps.db, id);
  if (state === null) return { outcome: 'skipped', reason: 'it is not there any more' };
  if (state.config.kind === 'powerautomate')
    return { outcome: 'skipped', reason: 'flows post what they have; they cannot be asked' };
  const stream = state.streams.find(({ kind }) => kind === 'delta');
  if (stream === undefined) return { outcome: 'skipped', reason: 'its first reading has not ended yet' };

  const instances = await readWhole(await deps.openSource(id), stream.window, signal);
  const window = wellInside(stream.window);
  const expected = instances.flatMap((instance) => expectedOf(instance, state, window));
  const shown = await shownInTarget(deps, state, window, signal);
  const compared = compareInstances(id, expected, await claimPlaces(deps.db, id), shown);
  return { outcome: 'compared', window, targetId: state.targetId, ...compared };
}

/** At the edges of a window the two sides count differently what only touches it. */
function wellInside({ from, to }: Window): Window {
  const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
  return { from: iso(Date.parse(from) + dayMs), to: iso(Date.parse(to) - dayMs) };
}

/** Each happening as its filters and privacy let it show; what redaction leaves is found by its slot. */
function expectedOf({ key, series }: SourceInstance, { config }: SourceState, window: Window): ExpectedInstance[] {
  const verdict = verdictOf(series, config.filters);
  const visible = verdict.shown ? redact(verdict.series, config.privacy, config.privateItems) : null;
  const shown = new Map((visible === null ? [] : expandSeries(visible, window)).map((one) => [one.slot, one]));
  return startingIn(expandSeries(series, window), window).map(({ start, slot }) => {
    const one = shown.get(slot);
    return {
      key,
      uid: series.uid,
      start,
      line: one === undefined ? null : lineOf(one, config.titleTag),
      hiddenBy: verdict.shown ? null : verdict.by,
    };
  });
}

async function shownInTarget(
  deps: CompareDeps,
  state: SourceState,
  window: Window,
  signal: AbortSignal,
): Promise<Map<string, ShownInstance[]>> {
  const target = await loadTarget(deps.db, state.targetId);
  if (target === null)
    throw new SyncError(`There is no target ${state.targetId}`, {
      code: 'config.missing_entry',
      recovery: { kind: 'operator', remedy: 'Apply a configuration that has it.' },
    });
  const objects = await objectsOfSource(deps.db, state.id);
  const dav = deps.openTarget(target);
  const shown = new Map<string, ShownInstance[]>();
  for (const calendar of target.calendars) {
    const here = objects.filter(({ calendarId }) => calendarId === calendar.id);
    if (calendar.href === null) continue;
    for (let from = 0; from < here.length; from += objectsAtATime) {
      const some = here.slice(from, from + objectsAtATime);
      const hrefs = some.map(({ href }) => href);
      const bodies = await dav.multiget(calendar.href, hrefs, signal);
      for (const { href, meetingId } of some) {
        const body = bodies.get(href)?.body;
        if (body === undefined) continue; // deleted behind our back
        const instances = startingIn(expandText(body, window), window);
        const lines = instances.map((instance) => ({ start: instance.start, line: lineOf(instance, '') }));
        shown.set(meetingId, [...(shown.get(meetingId) ?? []), ...lines]);
      }
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
