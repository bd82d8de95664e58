import { blankEntry } from './blank.ts';
import type { Entry, Override, Series, ShowAs } from './series.ts';
import { slotKey } from './slot-key.ts';
import { durationOf } from './timeline.ts';
import { momentSeconds } from './zones.ts';

/** How much of a source's events is shown: everything, times and titles, or times only. */
export type Privacy = 'full' | 'title' | 'busy';
/** What happens to private, confidential and personal events: as the rest, as `busy`, or left out. */
export type PrivateItems = 'full' | 'busy' | 'skip';

/**
 * The series with only what its mode allows; null: it is not shown at all. An allow-list: what is not named here is
 * gone, overrides and list entries included. A private occurrence makes only itself private.
 *
 * `title` keeps times, titles, status, class and whether the time is taken; `busy` replaces the title by what the time
 * is taken for, drops free time, and keeps only overrides that differ in time, status or use of time.
 */
export function redact(series: Series, mode: Privacy, privateItems: PrivateItems): Series | null {
  const modeOf = (entry: Entry): Privacy | null => {
    if (entry.sensitivity === 'normal') return mode;
    if (privateItems === 'skip') return null;
    return privateItems === 'busy' ? 'busy' : mode;
  };
  const mainMode = modeOf(series.main);
  if (mainMode === null) return null;
  // The main entry holds what plain occurrences show; free time in busy mode shows none.
  const main = redactEntry(series.main, mainMode);

  if (series.list !== null) {
    const list = series.list.flatMap((item) => redactOverride(item, modeOf(item.entry)));
    if (list.length === 0) return null;
    return { ...bare(series), main: main ?? freeEntry(series.main), excluded: [], overrides: [], list };
  }
  const excluded = [...series.excluded];
  const overrides: Override[] = [];
  for (const override of series.overrides) {
    const ownMode = modeOf(override.entry);
    const [redacted] = redactOverride(override, ownMode);
    const saysTheSame = main !== null && mainMode === 'busy' && ownMode === 'busy' && !differs(series.main, override);
    if (redacted === undefined) excluded.push(override.slot);
    else if (!saysTheSame) overrides.push(redacted);
  }
  if (main === null) {
    // Only the occurrences that are not free remain, each by itself.
    if (overrides.length === 0) return null;
    return {
      ...bare(series),
      main: freeEntry(series.main),
      recurrence: null,
      excluded: [],
      overrides: [],
      list: overrides,
    };
  }
  return { ...bare(series), main, excluded: sortedSlots(excluded), overrides };
}

/** What stays of a series beside its entries. */
function bare(series: Series): Series {
  const { uid, slot, main, recurrence, excluded, overrides, list, sequence } = series;
  return { uid, slot, main, recurrence, excluded, overrides, list, sequence };
}

function redactOverride({ slot, entry }: Override, mode: Privacy | null): Override[] {
  const redacted = mode === null ? null : redactEntry(entry, mode);
  return redacted === null ? [] : [{ slot, entry: redacted }];
}

function redactEntry(entry: Entry, mode: Privacy): Entry | null {
  if (mode === 'full') return entry;
  if (mode === 'title') return { ...emptyEntry(entry), summary: entry.summary, sensitivity: entry.sensitivity };
  if (entry.showAs === 'free') return null;
  return { ...emptyEntry(entry), summary: busyTitles[entry.showAs], sensitivity: 'private' };
}

const busyTitles: Readonly<Record<Exclude<ShowAs, 'free'>, string>> = {
  busy: 'Busy',
  tentative: 'Tentative',
  oof: 'Out of office',
  workingElsewhere: 'Working elsewhere',
};

/** Stands for the common fields of a series whose plain occurrences are not shown. */
function freeEntry(entry: Entry): Entry {
  return { ...emptyEntry(entry), summary: 'Busy', sensitivity: 'private' };
}

/** The allow-list: nothing, but for these. */
function emptyEntry({ start, end, showAs, status, lastModifiedAt }: Entry): Entry {
  return { ...blankEntry(start, end), showAs, status, sensitivity: 'private', importance: null, lastModifiedAt };
}

function differs(main: Entry, { slot, entry }: Override): boolean {
  return (
    momentSeconds(entry.start) !== momentSeconds(slot) ||
    entry.start.kind !== slot.kind ||
    durationOf(entry) !== durationOf(main) ||
    entry.status !== main.status ||
    entry.showAs !== main.showAs
  );
}

function sortedSlots<Slot extends Series['excluded'][number]>(slots: readonly Slot[]): Slot[] {
  const byKey = new Map(slots.map((slot) => [slotKey(slot), slot]));
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, slot]) => slot);
}
