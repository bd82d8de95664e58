import type { Entry, Moment, Series } from './series.ts';
import { slotKey } from './slot-key.ts';
import { durationOf } from './timeline.ts';
import { momentSeconds, localSeconds } from './zones.ts';
import { dayOfSeconds, daySeconds } from './civil.ts';

/** What of a source is left out. Evaluated on the whole event, before privacy takes anything away. */
export interface Filters {
  readonly declined: 'hide' | 'show';
  readonly free: 'hide' | 'show';
  readonly tentative: 'hide' | 'show';
  readonly cancelled: 'hide' | 'show';
  readonly allDay: 'hide' | 'show';
  /** Titles that match any of these (case-insensitive regular expressions) are left out. */
  readonly titles: readonly string[];
  /** Events of any of these categories are left out. */
  readonly categories: readonly string[];
  /** Events of any of these sensitivities are left out. */
  readonly sensitivities: readonly ('normal' | 'personal' | 'private' | 'confidential')[];
  /** Only what overlaps these local hours is shown: `{ zone: 'Europe/Berlin', from: '08:00', to: '18:00' }`. */
  readonly hours: { readonly zone: string; readonly from: string; readonly to: string } | null;
}

export const defaultFilters: Filters = {
  declined: 'hide',
  free: 'show',
  tentative: 'show',
  cancelled: 'show',
  allDay: 'show',
  titles: [],
  categories: [],
  sensitivities: [],
  hours: null,
};

/** `series` is what remains to show; `by` names the filter that hides all of it: `declined`, `title`, `hours`… */
export type Verdict =
  { readonly shown: true; readonly series: Series } | { readonly shown: false; readonly by: FilterName };

export type FilterName =
  'declined' | 'cancelled' | 'free' | 'tentative' | 'allDay' | 'sensitivity' | 'category' | 'title' | 'hours';

/**
 * Whether and how a series is shown. Filters look at each entry by itself:
 *
 * - A hidden override becomes an exclusion: a declined date of an accepted series vanishes, and does not fall back to
 *   the series' own time.
 * - A series whose main entry is hidden still shows the overrides that are not, say the one accepted date of a declined
 *   series; each then stands by itself (`list`).
 *
 * A series from which nothing is hidden is returned as it is.
 */
export function verdictOf(series: Series, filters: Filters): Verdict {
  const items = series.list ?? series.overrides;
  const shown = items.filter(({ entry }) => filterOf(entry, filters) === null);
  const by = series.list === null ? filterOf(series.main, filters) : null;
  if (series.list !== null) {
    const [first] = series.list;
    const hiddenBy = shown.length === 0 && first !== undefined ? filterOf(first.entry, filters) : null;
    if (hiddenBy !== null) return { shown: false, by: hiddenBy };
    return { shown: true, series: shown.length === items.length ? series : { ...series, list: shown } };
  }
  if (by !== null) {
    if (shown.length === 0) return { shown: false, by };
    return { shown: true, series: { ...series, recurrence: null, excluded: [], overrides: [], list: shown } };
  }
  if (shown.length === items.length) return { shown: true, series };
  const hidden = items.filter((item) => !shown.includes(item)).map(({ slot }) => slot);
  return {
    shown: true,
    series: { ...series, overrides: shown, excluded: sortedBySlot([...series.excluded, ...hidden]) },
  };
}

function sortedBySlot(slots: readonly Moment[]): Moment[] {
  const byKey = new Map(slots.map((slot) => [slotKey(slot), slot]));
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, slot]) => slot);
}

/** Name of the first filter that hides the entry. */
function filterOf(entry: Entry, filters: Filters): FilterName | null {
  if (filters.declined === 'hide' && entry.answer === 'declined') return 'declined';
  if (filters.cancelled === 'hide' && entry.status === 'cancelled') return 'cancelled';
  if (filters.free === 'hide' && entry.showAs === 'free') return 'free';
  if (filters.tentative === 'hide' && (entry.showAs === 'tentative' || entry.status === 'tentative'))
    return 'tentative';
  if (filters.allDay === 'hide' && entry.start.kind === 'date') return 'allDay';
  if (filters.sensitivities.includes(entry.sensitivity)) return 'sensitivity';
  const categories = new Set(entry.categories.map((category) => category.toLowerCase()));
  if (filters.categories.some((category) => categories.has(category.toLowerCase()))) return 'category';
  // A title longer than what we show cannot be what somebody wrote a pattern for, and slow patterns end sooner.
  const title = (entry.summary ?? '').slice(0, 500);
  if (filters.titles.some((pattern) => matches(pattern, title))) return 'title';
  if (filters.hours !== null && !isWithinHours(entry, filters.hours)) return 'hours';
  return null;
}

const patterns = new Map<string, RegExp | null>();

function matches(pattern: string, title: string): boolean {
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    if (patterns.size > 1_000) patterns.clear();
    compiled = compile(pattern);
    patterns.set(pattern, compiled);
  }
  return compiled?.test(title) ?? false;
}

/** A pattern that is none hides nothing; the configuration refuses it before it comes here. */
function compile(pattern: string): RegExp | null {
  try {
    return new RegExp(pattern, 'iu');
  } catch {
    return null;
  }
}

/** All-day entries overlap any hours. `to` before `from` means over midnight. */
function isWithinHours(entry: Entry, hours: NonNullable<Filters['hours']>): boolean {
  if (entry.start.kind === 'date') return true;
  const at =
    entry.start.kind === 'floating' ? momentSeconds(entry.start) : localSeconds(momentSeconds(entry.start), hours.zone);
  const length = Math.max(1, durationOf(entry));
  const from = clockSeconds(hours.from);
  const to = clockSeconds(hours.to);
  const span = to > from ? to - from : to - from + daySeconds;
  // Seconds from the last opening before the start.
  const since = at - from - dayOfSeconds(at - from) * daySeconds;
  return since < span || since + length > daySeconds;
}

/** Seconds of `08:30`. */
function clockSeconds(clock: string): number {
  const [hours = '0', minutes = '0'] = clock.split(':');
  return Number(hours) * 3_600 + Number(minutes) * 60;
}
