import { sql } from 'kysely';
import type { Db } from './database.ts';
import { dropForgotten } from './forget.ts';

export const trashDays = 30;
export const removalDays = 30;
/** How long it took until changes showed: one fortnight to compare with another. */
const freshnessDays = 14;
/** A flow tries again for a day at most; what was deleted is not told later than this. */
export const tombstoneDays = 90;
/** Links and journeys to Microsoft that have ended: what comes back later is told from what was forged. */
const endedLinkDays = 7;
/** A conflict that has closed is a piece of history. */
export const conflictDays = (historyDays: number): number => historyDays;

/** Lets go of what has been kept long enough. Meetings without a claim or an object stay as long as their trash does. */
export async function cleanUp(db: Db, { historyDays }: { readonly historyDays: number }): Promise<void> {
  await sql`delete from trash t where deleted_at < now() - ${trashDays} * interval '1 day'
    and not exists (select from claim c where c.source_id = 'operator:' || t.target_id and c.key = t.id::text)`.execute(
    db,
  );
  await sql`delete from tombstone where at < now() - ${tombstoneDays} * interval '1 day'`.execute(db);
  await sql`delete from flow_signature where until < now()`.execute(db);
  await sql`delete from freshness where at < now() - ${freshnessDays} * interval '1 day'`.execute(db);
  await sql`
    delete from alarm_notice n where not exists (select from alarm a where a.key = n.alarm_key and a.cleared_at is null)
      and raised_at < now() - ${historyDays} * interval '1 day'`.execute(db);
  await sql`delete from alarm where cleared_at < now() - ${historyDays} * interval '1 day'`.execute(db);
  await sql`delete from told where not exists (select from source s where s.id = told.source_id)`.execute(db);
  await sql`delete from sync_history where at < now() - ${historyDays} * interval '1 day'`.execute(db);
  await sql`
    delete from conflict where closed_at < now() - ${conflictDays(historyDays)} * interval '1 day'
      or not exists (select from meeting m where m.id = conflict.meeting_id)`.execute(db);
  await sql`delete from consent_link where expires_at < now() - ${endedLinkDays} * interval '1 day'`.execute(db);
  await sql`delete from consent_state where expires_at < now() - ${endedLinkDays} * interval '1 day'`.execute(db);
  await sql`
    delete from sign_in i where not exists (
      select from source s where s.tenant_id = i.tenant_id and lower(s.settings->>'mailbox') = i.mailbox)`.execute(db);
  await sql`delete from removal where state <> 'held' and at < now() - ${removalDays} * interval '1 day'`.execute(db);
  await dropForgotten(db);
  await sql`
    delete from meeting m where m.wanted_version <= m.done_version
      and m.wanted_at < now() - ${trashDays} * interval '1 day'
      and not exists (select from claim c where c.meeting_id = m.id)
      and not exists (select from trash t where t.meeting_id = m.id)
      and not exists (select from object o where o.meeting_id = m.id)
      and not exists (select from intent i where i.meeting_id = m.id)`.execute(db);
}
