/**
 * Compares what a target shows with what Outlook would show, instance by instance, by a small model of its own: copies
 * of a meeting meet by iCalUId, the most permitted detail shows, private items and busy sources show only how time is
 * used. Knows nothing of the product's claims and meetings.
 */
import { expandText } from '../../src/calendar/expand.ts';
import type { TruthInstance } from './graph/instances.ts';

export interface SourceTruth {
  readonly source: string;
  readonly privacy: 'full' | 'title' | 'busy';
  readonly privateItems: 'full' | 'busy' | 'skip';
  readonly titleTag: string;
  readonly instances: readonly TruthInstance[];
}

/** One line per instance: what a person sees in a week view. */
export type Line = string;

export interface Comparison {
  readonly expected: number;
  readonly shown: number;
  /** In Outlook, not in the target. */
  readonly missing: readonly Line[];
  /** In the target, not in Outlook. */
  readonly surplus: readonly Line[];
}

/** `bodies` are the target's objects. Only what starts inside the window is compared. */
export function compareWithTruth(
  truths: readonly SourceTruth[],
  bodies: readonly string[],
  window: { readonly from: string; readonly to: string },
): Comparison {
  const isInside = (start: string): boolean =>
    start >= window.from.slice(0, start.length) && start < window.to.slice(0, start.length);
  const left = new Map<Line, number>();
  let shown = 0;
  for (const body of bodies)
    for (const { start, end, entry } of expandText(body, window)) {
      if (!isInside(start)) continue;
      shown += 1;
      const line = `${start} ${end} ${entry.status === 'cancelled' ? 'cancelled' : entry.showAs} ${entry.summary ?? ''}`;
      left.set(line, (left.get(line) ?? 0) + 1);
    }

  const missing: Line[] = [];
  let expected = 0;
  for (const copies of meetingsOf(truths, isInside)) {
    const fitting = copies.find((lines) => takeAll(left, lines, false)) ?? copies[0] ?? [];
    expected += fitting.length;
    if (takeAll(left, fitting, true)) continue;
    for (const line of fitting) if (!takeAll(left, [line], true)) missing.push(line);
  }
  const surplus = [...left].flatMap(([line, count]) => Array.from({ length: count }, () => line));
  return { expected, shown, missing, surplus };
}

/** For each meeting the copies any of which may show, each as its lines. */
function meetingsOf(truths: readonly SourceTruth[], isInside: (start: string) => boolean): Line[][][] {
  const meetings = new Map<string, { rank: number; lines: Line[] }[]>();
  for (const truth of truths)
    for (const [uid, instances] of Map.groupBy(truth.instances, (instance) => cleanUid(instance.iCalUId))) {
      const seen = instances.filter((instance) => instance.response !== 'declined');
      if (seen.length === 0) continue;
      const rank = Math.max(...seen.map((instance) => rankOf(truth, instance)));
      const lines = seen.flatMap((instance) => (isInside(instance.start) ? lineOf(truth, instance) : []));
      meetings.set(uid, [...(meetings.get(uid) ?? []), { rank, lines }]);
    }
  return [...meetings.values()].map((copies) => {
    const best = Math.min(...copies.map(({ rank }) => rank));
    // Of two copies of which one shows nothing (free time under `busy`) the other is looked for first: nothing always fits.
    return copies
      .filter(({ rank }) => rank === best)
      .map(({ lines }) => lines)
      .toSorted((a, b) => b.length - a.length);
  });
}

function isHidden(truth: SourceTruth, instance: TruthInstance): boolean {
  return instance.sensitivity !== 'normal' && truth.privateItems !== 'full';
}

function rankOf(truth: SourceTruth, instance: TruthInstance): number {
  return isHidden(truth, instance) ? 2 : { full: 0, title: 1, busy: 2 }[truth.privacy];
}

const busyTitles: Readonly<Record<string, string>> = {
  tentative: 'Tentative',
  oof: 'Out of office',
  workingElsewhere: 'Working elsewhere',
};

function lineOf(truth: SourceTruth, instance: TruthInstance): Line[] {
  const { start, end, showAs } = instance;
  const use = instance.isCancelled ? 'cancelled' : showAs === 'unknown' ? 'busy' : showAs;
  if (rankOf(truth, instance) < 2) return [`${start} ${end} ${use} ${truth.titleTag}${instance.subject ?? ''}`];
  if (truth.privateItems === 'skip' && instance.sensitivity !== 'normal') return [];
  return showAs === 'free' ? [] : [`${start} ${end} ${use} ${truth.titleTag}${busyTitles[showAs] ?? 'Busy'}`];
}

/** The series' id: an occurrence's carries its date in eight digits (MS-OXOCAL, PidLidGlobalObjectId). */
function cleanUid(uid: string): string {
  const prefix = '040000008200E00074C5B7101A82E008';
  return uid.startsWith(prefix) ? `${prefix}00000000${uid.slice(prefix.length + 8)}` : uid;
}

/** Whether all lines are there; with `take` they are used up. */
function takeAll(left: Map<Line, number>, lines: readonly Line[], take: boolean): boolean {
  const wanted = new Map<Line, number>();
  for (const line of lines) wanted.set(line, (wanted.get(line) ?? 0) + 1);
  for (const [line, count] of wanted) if ((left.get(line) ?? 0) < count) return false;
  if (take)
    for (const [line, count] of wanted) {
      const rest = (left.get(line) ?? 0) - count;
      if (rest === 0) left.delete(line);
      else left.set(line, rest);
    }
  return true;
}
