import { readEvent } from './wire.ts';

/** Remembers which series some occurrences belong to. */
export interface Members {
  /** Takes in a page of delta; returns the masters whose remembered occurrences it removes. */
  take(items: readonly unknown[]): string[];
  /** Takes in the occurrences that a master has now. */
  note(master: string, occurrences: readonly string[]): void;
}

const MAX_MASTERS = 2_000;
const PER_MASTER = 2;

/**
 * A removed occurrence comes with its id alone, and a deleted series may be told by its occurrences only. Two of each
 * suffice to recognise that, for then all are removed. In memory: after a restart the comparison of a full reading finds
 * what this misses.
 */
export function members(): Members {
  const masterOf = new Map<string, string>();
  const known = new Map<string, string[]>();

  const remember = (id: string, master: string): void => {
    if (masterOf.has(id)) return;
    const ids = [...(known.get(master) ?? []), id];
    for (const old of ids.splice(0, Math.max(0, ids.length - PER_MASTER))) masterOf.delete(old);
    masterOf.set(id, master);
    known.delete(master);
    known.set(master, ids);
    const [oldest] = known.keys();
    if (known.size > MAX_MASTERS && oldest !== undefined) forget(oldest);
  };
  const forget = (master: string): void => {
    for (const id of known.get(master) ?? []) masterOf.delete(id);
    known.delete(master);
  };
  return {
    take(items) {
      const masters = new Set<string>();
      for (const item of items) {
        const { id, isRemoved, seriesMasterId } = readEvent(item);
        if (id === null) continue;
        const master = masterOf.get(id);
        if (isRemoved && master !== undefined) masters.add(master);
        else if (!isRemoved && seriesMasterId !== null) remember(id, seriesMasterId);
      }
      return [...masters];
    },
    note(master, occurrences) {
      for (const id of occurrences.slice(-PER_MASTER)) remember(id, master);
    },
  };
}
