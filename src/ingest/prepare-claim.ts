import { createHash } from 'node:crypto';
import { verdictOf } from '../calendar/filters.ts';
import { redact } from '../calendar/privacy.ts';
import type { Series } from '../calendar/series.ts';
import type { SourceConfig } from '../config/model.ts';
import type { Claim } from '../sources/source.ts';
import { memberHash, type StorableClaim } from '../store/claims.ts';
import { spanOf } from './span.ts';

/**
 * What of a claim may be stored: filters are asked first and their verdict kept, then the series is redacted by
 * allow-list. Pure. Of a hidden claim nothing but its identity remains.
 */
export function prepareClaim(claim: Claim, config: SourceConfig): StorableClaim {
  const verdict = verdictOf(claim.series, config.filters);
  const redacted = verdict.shown ? redact(verdict.series, config.privacy, config.privateItems) : null;
  const hiddenBy = verdict.shown ? (redacted === null ? 'privateItems' : null) : verdict.by;
  const span = spanOf(claim.series);
  const detail = detailOf(claim.series, config);
  return {
    key: claim.key,
    version: claim.version,
    uid: claim.series.uid,
    slot: claim.series.slot,
    series: redacted,
    hiddenBy,
    detail,
    lastModifiedAt: instantOrNull(claim.series.main.lastModifiedAt),
    firstStart: span.first,
    lastEnd: span.last,
    check: claim.check,
    members: (claim.members ?? []).map(memberHash),
    content: createHash('sha256')
      .update(JSON.stringify([shownContent(redacted), hiddenBy, detail, claim.check]))
      .digest('base64url'),
  };
}

/** A bump of the time stamps alone is not a change of what shows. */
function shownContent(series: Series | null): unknown {
  if (series === null) return null;
  return JSON.stringify(series, (name, value: unknown) =>
    name === 'lastModifiedAt' || name === 'createdAt' || name === 'sequence' ? undefined : value,
  );
}

function detailOf(series: Series, config: SourceConfig): StorableClaim['detail'] {
  const isPrivate = series.main.sensitivity !== 'normal';
  return isPrivate && config.privateItems === 'busy' ? 'busy' : config.privacy;
}

/** PostgreSQL's timestamps end in the year 294276 and a source's may be nonsense; what is not a plain instant is none. */
function instantOrNull(text: string | null): string | null {
  if (text === null) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}
