import { comparableFields, differingFields } from '../calendar/compare-fields.ts';
import type { Entry, Series } from '../calendar/series.ts';

export interface ChangedField {
  readonly field: string;
  /** As a text, of what matters at a glance (times, recurrence, place, title, status); null: only that it changes. */
  readonly from: string | null;
  readonly to: string | null;
}

/** What the fields above already tell, and what no reader sees. */
const told = new Set(['start', 'end', 'summary', 'location', 'status', 'lastModifiedAt', 'createdAt']);

/** In what a rendering of a meeting differs from what stands there. Pure. */
export function changedFields(before: Series, after: Series): ChangedField[] {
  const [old, next] = [comparableFields(before), comparableFields(after)];
  const glance = differingFields(old, next).map((field): ChangedField => {
    if (field === 'title') return { field, from: before.main.summary ?? '', to: after.main.summary ?? '' };
    if (field === 'place') return { field, from: before.main.location ?? '', to: after.main.location ?? '' };
    return { field, from: old[field], to: next[field] };
  });
  const names = Object.keys(after.main) as (keyof Entry)[];
  const others = names
    .filter((name) => !told.has(name) && JSON.stringify(before.main[name]) !== JSON.stringify(after.main[name]))
    .map((field): ChangedField => ({ field, from: null, to: null }));
  return [...glance, ...others];
}
