/**
 * What a target should show of several mailboxes, by a small model of its own: which copies meet, which of them shows,
 * what a filter or privacy leaves of it, which orphans a series covers, and in which calendar. Knows nothing of the
 * product's claims and meetings, and reads only what Outlook holds and what is configured.
 */
import { expandText } from '../../src/calendar/expand.ts';
import { instancesOf, truthOf, type TruthInstance } from './graph/instances.ts';
import type { ItemState } from './graph/state.ts';

export interface ConfiguredSource {
  readonly id: string;
  readonly calendar: string;
  readonly privacy: 'full' | 'title' | 'busy';
  readonly titleTag: string;
  readonly priority: number;
  /** Titles that begin so are left out; null: none. */
  readonly hidesTitle: string | null;
  readonly hidesTentative: boolean;
  readonly items: readonly ItemState[];
}

export interface Configured {
  readonly dedupe: 'target' | 'calendar' | 'off';
  readonly strategy: 'last-write-wins' | 'priority';
  /** In their order. */
  readonly sources: readonly ConfiguredSource[];
  /** The source whose copy of a whole series shows, by `pinName`: the operator's word. */
  readonly pins?: ReadonlyMap<string, string>;
}

export interface Difference {
  readonly expected: number;
  readonly missing: readonly string[];
  readonly surplus: readonly string[];
}

/** What a pin is for: a meeting, in one of the target's calendars where each has its own. */
export function pinName(
  { dedupe }: Pick<Configured, 'dedupe'>,
  source: { readonly id: string; readonly calendar: string },
  item: ItemState,
): string {
  const scope = { target: '', calendar: source.calendar, off: `${source.id} ${item.key}` }[dedupe];
  return `${scope} ${item.iCalUId}`;
}

interface Copy {
  readonly family: string;
  readonly source: ConfiguredSource;
  readonly position: number;
  readonly modifiedAt: string;
  readonly slot: string;
  readonly shown: readonly TruthInstance[];
  readonly lines: readonly string[];
  /** What strategy looks at. */
  readonly said: string;
}

const wide = { from: Date.parse('2000-01-01T00:00:00Z'), to: Date.parse('2200-01-01T00:00:00Z') };

export function compareMerged(
  configured: Configured,
  bodies: readonly { readonly calendar: string; readonly body: string }[],
  window: { readonly from: string; readonly to: string },
): Difference {
  const isInside = (line: string): boolean => {
    const start = line.split(' ')[1] ?? '';
    return start >= window.from.slice(0, start.length) && start < window.to.slice(0, start.length);
  };
  const left = new Map<string, number>();
  for (const { calendar, body } of bodies)
    for (const { start, end, entry } of expandText(body, window)) {
      const use = entry.status === 'cancelled' ? 'cancelled' : entry.showAs;
      const line = `${calendar} ${start} ${end} ${use} ${entry.summary ?? ''}`;
      if (isInside(line)) left.set(line, (left.get(line) ?? 0) + 1);
    }
  const missing: string[] = [];
  let expected = 0;
  for (const family of familiesOf(configured, window)) {
    const ways = alternatives(family, configured).map((lines) => lines.filter(isInside));
    const fitting = ways.find((lines) => takes(left, lines, false)) ?? ways[0] ?? [];
    expected += fitting.length;
    if (takes(left, fitting, true)) continue;
    for (const line of fitting) if (!takes(left, [line], true)) missing.push(line);
  }
  return {
    expected,
    missing,
    surplus: [...left].flatMap(([line, count]) => Array.from({ length: count }, () => line)),
  };
}

/** Copies that may have to do with each other: of one meeting, its whole series and single dates of it. */
function familiesOf({ dedupe, sources }: Configured, window: { readonly to: string }): Copy[][] {
  const families = new Map<string, Copy[]>();
  for (const [position, source] of sources.entries())
    for (const item of source.items) {
      const copy = copyOf(item, source, position, Math.min(wide.to, Date.parse(window.to)));
      if (copy.shown.length === 0) continue;
      const name = pinName({ dedupe }, source, item);
      families.set(name, [...(families.get(name) ?? []), { ...copy, family: name }]);
    }
  return [...families.values()];
}

function copyOf(item: ItemState, source: ConfiguredSource, position: number, to: number): Omit<Copy, 'family'> {
  const shown = instancesOf(item, wide.from, to)
    .map((instance) => truthOf(item, instance))
    .filter((one) => !isHidden(one, source) && (source.privacy !== 'busy' || one.showAs !== 'free'));
  return {
    source,
    position,
    modifiedAt: item.modifiedAt,
    slot: item.orphan === null ? '*' : (truthSlot(item) ?? ''),
    shown,
    lines: shown.map((one) => lineOf(one, source)),
    said: shown
      .map((one) => `${one.start} ${one.end} ${String(one.isCancelled)} ${titleOf(one, source).toLowerCase()}`)
      .sort()
      .join('\n'),
  };
}

function truthSlot(item: ItemState): string | null {
  const [instance] = instancesOf(item, wide.from, wide.to);
  return instance === undefined ? null : truthOf(item, instance).slot;
}

function isHidden(one: TruthInstance, { hidesTitle, hidesTentative }: ConfiguredSource): boolean {
  if (one.response === 'declined') return true;
  if (hidesTentative && one.showAs === 'tentative') return true;
  return hidesTitle !== null && (one.subject ?? '').toLowerCase().startsWith(hidesTitle.toLowerCase());
}

const busyTitles: Readonly<Record<string, string>> = {
  tentative: 'Tentative',
  oof: 'Out of office',
  workingElsewhere: 'Working elsewhere',
};

function titleOf(one: TruthInstance, { privacy }: ConfiguredSource): string {
  return privacy === 'busy' ? (busyTitles[one.showAs] ?? 'Busy') : (one.subject ?? '');
}

function lineOf(one: TruthInstance, source: ConfiguredSource): string {
  const use = one.isCancelled ? 'cancelled' : one.showAs === 'unknown' ? 'busy' : one.showAs;
  return `${source.calendar} ${one.start} ${one.end} ${use} ${source.titleTag}${titleOf(one, source)}`;
}

/** Each way in which a family may show: there is more than one only where copies say the same. */
function alternatives(family: readonly Copy[], configured: Configured): string[][] {
  const wholes =
    configured.dedupe === 'off' ? family.map((copy) => [copy]) : [family.filter(({ slot }) => slot === '*')];
  if (configured.dedupe === 'off') return [wholes.flatMap(([copy]) => copy?.lines ?? [])];
  const orphans = Map.groupBy(
    family.filter(({ slot }) => slot !== '*'),
    ({ slot }) => slot,
  );
  let ways: { lines: string[] }[] = [];
  for (const whole of mayShow(wholes[0] ?? [], configured)) {
    let here: string[][] = [[...(whole?.lines ?? [])]];
    for (const [slot, copies] of orphans) {
      // Exchange knows an occurrence by its date; the mailboxes here keep UTC.
      const isCovered =
        whole?.shown.some((one) => one.slot?.slice(0, 10) === slot.slice(0, 10) && !one.isCancelled) ?? false;
      if (isCovered) continue;
      here = here.flatMap((lines) => mayShow(copies, configured).map((copy) => [...lines, ...(copy?.lines ?? [])]));
    }
    ways = [...ways, ...here.map((lines) => ({ lines }))];
  }
  return ways.map(({ lines }) => lines);
}

/** The copies of one meeting that may show: the pinned one; else the best permitted detail, then the strategy, then their order. */
function mayShow(copies: readonly Copy[], { strategy, pins }: Configured): (Copy | null)[] {
  if (copies.length === 0) return [null];
  const pinned = copies.find(({ slot, family, source }) => slot === '*' && pins?.get(family) === source.id);
  if (pinned !== undefined) return [pinned];
  const rank = ({ source }: Copy): number => ({ full: 0, title: 1, busy: 2 })[source.privacy];
  const best = Math.min(...copies.map(rank));
  const detailed = copies.filter((copy) => rank(copy) === best);
  const inOrder = detailed.toSorted((a, b) => a.position - b.position);
  const strongest = inOrder.toSorted((a, b) =>
    strategy === 'priority'
      ? a.source.priority - b.source.priority || a.position - b.position
      : b.modifiedAt.localeCompare(a.modifiedAt) || a.position - b.position,
  );
  const agree = detailed.every(({ said }) => said === detailed[0]?.said);
  return agree ? [inOrder[0] ?? null, strongest[0] ?? null] : [strongest[0] ?? null];
}

function takes(left: Map<string, number>, lines: readonly string[], take: boolean): boolean {
  const wanted = new Map<string, number>();
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
