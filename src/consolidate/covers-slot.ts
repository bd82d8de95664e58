import { expandSeries } from '../calendar/expand.ts';
import type { Moment, Series } from '../calendar/series.ts';
import { inFormOf, slotKey, wallSeconds } from '../calendar/slot-key.ts';

const secondMs = 1_000;
const dayMs = 86_400_000;
const daySeconds = 86_400;

/**
 * Whether a whole series shows the occurrence of this slot itself, so that an orphan of the same meeting (somebody
 * invited to one date) need not: the slot is in its rule, neither excluded nor cancelled. Pure.
 *
 * Of a moved occurrence without its series Exchange tells only the date, in the series' zone (MS-OXOCAL 2.2.1.27,
 * PidLidGlobalObjectId); the time of day in its slot is that of where it went. Where no occurrence has the slot, the one of
 * its date counts.
 */
export function coversSlot(series: Series, slot: string): boolean {
  const overrides = [...series.overrides, ...(series.list ?? [])].map(({ slot: own, entry }) => ({
    slot: slotKey(own),
    isCancelled: entry.status === 'cancelled',
  }));
  const override = overrides.find((one) => one.slot === slot);
  if (override !== undefined) return !override.isCancelled;
  if (series.excluded.some((one) => slotKey(one) === slot)) return false;
  const at = Date.parse(slot.length === 10 ? `${slot}T00:00:00Z` : slot);
  if (Number.isNaN(at)) return false;
  const window = { from: iso(at - 2 * dayMs), to: iso(at + 2 * dayMs + secondMs) };
  const near = expandSeries(series, window).map((instance) => ({
    slot: instance.slot,
    isCancelled: instance.entry.status === 'cancelled',
  }));
  const exact = near.find((one) => one.slot === slot);
  if (exact !== undefined) return !exact.isCancelled;
  const day = dayOf(slot, series);
  const sameDay = [...overrides, ...near].find((one) => dayOf(one.slot, series) === day);
  return sameDay !== undefined && !sameDay.isCancelled;
}

/** The day on which a slot lies by the clock of the series. */
function dayOf(slot: string, series: Series): number {
  const moment: Moment =
    slot.length === 10
      ? { kind: 'date', date: slot }
      : slot.endsWith('Z')
        ? { kind: 'utc', instant: slot }
        : { kind: 'floating', local: slot };
  return Math.floor(wallSeconds(inFormOf(moment, series.main.start)) / daySeconds);
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
