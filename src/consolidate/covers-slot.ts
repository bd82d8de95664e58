import { expandSeries } from '../calendar/expand.ts';
import type { Series } from '../calendar/series.ts';
import { slotKey } from '../calendar/slot-key.ts';

const secondMs = 1_000;
const dayMs = 86_400_000;

/**
 * Whether a whole series shows the occurrence of this slot itself, so that an orphan of the same meeting (somebody
 * invited to one date) need not: the slot is in its rule, neither excluded nor cancelled. Pure.
 */
export function coversSlot(series: Series, slot: string): boolean {
  const override = [...series.overrides, ...(series.list ?? [])].find((one) => slotKey(one.slot) === slot);
  if (override !== undefined) return override.entry.status !== 'cancelled';
  const at = Date.parse(slot.length === 10 ? `${slot}T00:00:00Z` : slot);
  if (Number.isNaN(at)) return false;
  const window = { from: iso(at - dayMs), to: iso(at + dayMs + secondMs) };
  return expandSeries(series, window).some(
    (instance) => instance.slot === slot && instance.entry.status !== 'cancelled',
  );
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
