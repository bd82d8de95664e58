import { comparableFields, differingFields, type ComparableField } from '../calendar/compare-fields.ts';
import type { Series } from '../calendar/series.ts';

/** A claim as one of those that say something of a meeting. */
export interface Speaker {
  readonly sourceId: string;
  readonly detail: 'full' | 'title' | 'busy';
  /** Redacted, as it is stored. */
  readonly series: Series;
}

/** What one source says of a field. */
export interface Said {
  readonly source: string;
  /** As the source wrote it; times as `start/end`. */
  readonly value: string;
}

/** A field in which a copy of a meeting disagrees with the one that shows. */
export interface Conflict {
  readonly field: ComparableField;
  readonly shown: Said;
  readonly other: Said;
}

/** What both sides may say: where one of them says only when time is taken, only when can be compared. */
const comparedBy: Readonly<Record<Speaker['detail'], readonly ComparableField[]>> = {
  full: ['times', 'recurrence', 'place', 'title', 'status'],
  title: ['times', 'recurrence', 'title', 'status'],
  busy: ['times'],
};

/**
 * The fields in which the other copies of a meeting disagree with the one that shows, with both values: in the order of
 * the others, then of the fields. Compared and told is only what the privacy of both sides permits. Pure.
 */
export function conflictsOf(shown: Speaker, others: readonly Speaker[]): Conflict[] {
  const mine = comparableFields(shown.series);
  return others.flatMap((other) => {
    const theirs = comparableFields(other.series);
    const fields = comparedBy[shown.detail].filter((field) => comparedBy[other.detail].includes(field));
    return differingFields(mine, theirs, fields).map((field) => ({
      field,
      shown: { source: shown.sourceId, value: valueOf(shown.series, field, mine[field]) },
      other: { source: other.sourceId, value: valueOf(other.series, field, theirs[field]) },
    }));
  });
}

function valueOf(series: Series, field: ComparableField, compared: string): string {
  if (field === 'title') return series.main.summary ?? '';
  if (field === 'place') return series.main.location ?? '';
  return compared;
}
