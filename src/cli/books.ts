import { listConflicts, type ConflictQuery } from '../store/conflicts.ts';
import { readAudit, type AuditQuery } from '../store/history.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** Lists where copies of a meeting disagree, with both values and the rule that decided. */
export function showConflicts(query: ConflictQuery, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const conflicts = await listConflicts(product.store.db, query);
    const rows = conflicts.map(({ field, shown, other, rule, openedAt, closedAt, title, uid }) => [
      title ?? uid,
      field,
      `${shown.value} (${shown.source})`,
      `${other.value} (${other.source})`,
      rule,
      openedAt,
      closedAt ?? 'open',
    ]);
    tell(
      json,
      conflicts,
      conflicts.length === 0
        ? [query.state === 'open' ? 'No copies disagree now.' : 'There are none.']
        : table(['meeting', 'field', 'shows', 'other', 'decided by', 'since (UTC)', 'until'], rows),
    );
    return exitCodes.ok;
  });
}

/** Shows who changed what, newest first. */
export function showAudit(query: AuditQuery, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const records = await readAudit(product.store.db, query);
    const rows = records.map(({ at, actor, action, subject, detail }) => [
      at.slice(0, 19).replace('T', ' '),
      actor,
      action,
      subject,
      typeof detail === 'string' ? detail : detail === null ? '' : JSON.stringify(detail),
    ]);
    tell(
      json,
      records,
      records.length === 0 ? ['Nothing yet.'] : table(['when (UTC)', 'who', 'did', 'with', 'how'], rows),
    );
    return exitCodes.ok;
  });
}
