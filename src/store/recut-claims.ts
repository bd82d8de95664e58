import { isDeepStrictEqual } from 'node:util';
import { sql } from 'kysely';
import { verdictOf, type Filters } from '../calendar/filters.ts';
import { redact, type PrivateItems, type Privacy } from '../calendar/privacy.ts';
import type { Series } from '../calendar/series.ts';
import type { SourceConfig } from '../config/model.ts';
import type { Db } from './database.ts';
import { purgeTrashOf } from './trash.ts';

type Rules = Pick<SourceConfig, 'privacy' | 'privateItems' | 'filters'>;

const detailRank: Readonly<Record<Privacy, number>> = { full: 0, title: 1, busy: 2 };
const privateRank: Readonly<Record<PrivateItems, number>> = { full: 0, busy: 1, skip: 2 };
const batchSize = 500;
/** What stands in for the hash of a claim that was cut: the next reading of it counts as a change. */
const cut = 'cut';

interface Stored {
  readonly id: string;
  readonly series: Series;
  readonly detail: Privacy;
}

/**
 * Cuts what is stored of a source down to what its new rules let through, at once and without reading anything; the
 * caller has every meeting of the target looked at again. Loosening brings nothing back: a full reading does. Tighter
 * privacy also purges what was kept of the source's words elsewhere. Inside the caller's transaction.
 */
export async function recutClaims(db: Db, sourceId: string, before: Rules, after: Rules): Promise<void> {
  const isTighter =
    detailRank[after.privacy] > detailRank[before.privacy] ||
    privateRank[after.privateItems] > privateRank[before.privateItems];
  const isFiltered = !isDeepStrictEqual(before.filters, after.filters);
  if (isTighter) await purgeWords(db, sourceId);
  if (!isTighter && !isFiltered) return;
  // What is stored as `busy` does not tell any more what of it is private: the full reading that is ordered then does.
  const isBlind = before.privacy === 'busy' && after.privateItems === 'skip';
  const stored: Rules = isBlind ? { ...after, privateItems: 'busy' } : after;
  let last = '0';
  for (;;) {
    const found = await sql<Stored>`
      select id::text, series, detail from claim
      where source_id = ${sourceId} and series is not null and id > ${last}::bigint order by id limit ${batchSize}`.execute(
      db,
    );
    const rows = found.rows.flatMap((claim) => recut(claim, stored, { isFiltered, isTighter }));
    if (rows.length > 0)
      await sql`
        update claim c set series = nullif(r.series, 'null'::jsonb), hidden_by = r."hiddenBy", detail = r.detail,
          meeting_id = case when r."hiddenBy" is null then c.meeting_id end, content = ${cut}, changed_at = now()
        from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as r(id bigint, series jsonb, "hiddenBy" text, detail text)
        where c.id = r.id`.execute(db);
    const next = found.rows.at(-1)?.id;
    if (next === undefined || found.rows.length < batchSize) return;
    last = next;
  }
}

interface Recut {
  readonly id: string;
  readonly series: Series | null;
  readonly hiddenBy: string | null;
  readonly detail: Privacy;
}

/** The claim under its new rules; nothing when they change nothing of it. Filters come first, as at the door. */
function recut(
  { id, series, detail }: Stored,
  rules: Rules,
  { isFiltered, isTighter }: { readonly isFiltered: boolean; readonly isTighter: boolean },
): Recut[] {
  const verdict = isFiltered ? verdictOf(series, askable(rules.filters, detail)) : ({ shown: true, series } as const);
  const less = detailRank[detail] > detailRank[rules.privacy] ? detail : rules.privacy;
  if (!verdict.shown) return [{ id, series: null, hiddenBy: verdict.by, detail: less }];
  if (!isTighter) return verdict.series === series ? [] : [{ id, series: verdict.series, hiddenBy: null, detail }];
  const redacted = redact(verdict.series, rules.privacy, rules.privateItems);
  return [{ id, series: redacted, hiddenBy: redacted === null ? 'privateItems' : null, detail: less }];
}

/** Filters that ask for what privacy took away know nothing of a stored claim: its next reading asks them. */
function askable(filters: Filters, detail: Privacy): Filters {
  return detail === 'busy' ? { ...filters, titles: [], categories: [], sensitivities: [] } : filters;
}

/** Trash, restored copies, conflicts and history: what is kept of a source's words beside its claims. */
export async function purgeWords(db: Db, sourceId: string): Promise<void> {
  await purgeTrashOf(db, sourceId);
  await sql`
    delete from conflict where shown->>'source' = ${sourceId} or other->>'source' = ${sourceId}
      or meeting_id in (select meeting_id from claim where source_id = ${sourceId})`.execute(db);
  await sql`
    delete from sync_history where source_id = ${sourceId}
      or meeting_id in (select meeting_id from claim where source_id = ${sourceId})`.execute(db);
}

/** What filters left out in this transaction, of what was stored: for telling before it is done. */
export interface LeftOut {
  readonly source: string;
  /** The filter's name, or `privateItems`. */
  readonly by: string;
  readonly count: number;
}

export async function leftOutNow(db: Db): Promise<LeftOut[]> {
  const found = await sql<LeftOut>`
    select source_id as source, hidden_by as by, count(*)::int as count from claim
    where changed_at = now()::timestamptz(3) and content = ${cut} and hidden_by is not null
    group by source_id, hidden_by order by source_id, hidden_by`.execute(db);
  return found.rows;
}
