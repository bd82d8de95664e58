import { sql } from 'kysely';
import type { Db } from './database.ts';
import { settleIdentities } from './identities.ts';

/** How long Graph's reading may lag behind what a flow posts. */
const lagMinutes = 10;

interface Pair {
  readonly flow: string;
  readonly graph: string;
  readonly targetId: string;
  /** Who yields now, and who should. */
  readonly flowYieldsTo: string | null;
  readonly graphYieldsTo: string | null;
  readonly flowShouldYield: boolean;
  readonly graphShouldYield: boolean;
}

/**
 * Decides who speaks where a flow posts the default calendar of a mailbox that Graph reads into the same target. Until
 * Graph's first reading has come to its end the flow speaks and Graph's claims wait, so that nothing shows twice; then
 * Graph does, and the flow's claims go on being stored without showing. When Graph is paused, fails for the operator or
 * leaves (`leaving`), the flow speaks again: for what Graph had too, and for what is newer. Cheap when nothing changes.
 * Inside the caller's transaction; everything whose speaker changes is dirty afterwards. Returns whether any did.
 */
export async function settleHandOver(db: Db, leaving: string | null = null): Promise<boolean> {
  const pairs = await changedPairs(db, leaving);
  for (const pair of pairs) {
    if (pair.flowShouldYield) await matchByIds(db, pair);
    else if (pair.flowYieldsTo !== null) await forgetWhatGraphLacked(db, pair);
    await sql`
      update source set yields_to = case when id = ${pair.flow}
        then ${pair.flowShouldYield ? pair.graph : null}::text else ${pair.graphShouldYield ? pair.flow : null}::text end
      where id = ${pair.flow} or id = ${pair.graph}`.execute(db);
    await sql`
      update meeting set wanted_version = wanted_version + 1, not_before = null,
        wanted_at = case when wanted_version > done_version then wanted_at else now() end
      where target_id = ${pair.targetId} and id in (
        select meeting_id from claim where source_id = ${pair.flow} or source_id = ${pair.graph})`.execute(db);
  }
  return pairs.length > 0;
}

async function changedPairs(db: Db, leaving: string | null): Promise<Pair[]> {
  const found = await sql<Pair>`
    with pair as (
      select f.id as flow, g.id as graph, f.target_id as "targetId", f.yields_to as "flowYieldsTo",
        g.yields_to as "graphYieldsTo", g.id is not distinct from ${leaving}::text or f.id is not distinct from ${leaving}::text as is_leaving,
        coalesce((f.settings->>'isPaused')::boolean, false) as is_flow_paused,
        coalesce((g.settings->>'isPaused')::boolean, false) or g.paused_code is not null as is_graph_out,
        g.fresh_at is not null and (exists (select from stream r where r.source_id = g.id and r.kind = 'delta')
          or (g.yields_to is distinct from f.id and exists (select from claim c where c.source_id = g.id))) as is_graph_read
      from source f join source g on g.kind = 'graph' and g.target_id = f.target_id
        and lower(g.settings->>'mailbox') = lower(f.settings->>'mailbox') and g.settings->>'calendar' = 'default'
      where f.kind = 'powerautomate'),
    wished as (
      select pair.*, not is_leaving and not is_graph_out and is_graph_read as "flowShouldYield",
        not is_leaving and not is_graph_read and not is_flow_paused
          and exists (select from claim c where c.source_id = flow) as "graphShouldYield"
      from pair)
    select flow, graph, "targetId", "flowYieldsTo", "graphYieldsTo", "flowShouldYield", "graphShouldYield" from wished
    where ("flowYieldsTo" is not distinct from graph) <> "flowShouldYield"
      or ("graphYieldsTo" is not distinct from flow) <> "graphShouldYield"
    order by flow, graph`.execute(db);
  return found.rows;
}

/**
 * An event that a flow told without its iCalUId is Graph's of the same id or the same link into Outlook: from now on
 * both are copies of one meeting, and its place in the target stays when the other speaks.
 */
async function matchByIds(db: Db, { flow, graph, targetId }: Pair): Promise<void> {
  const matched = await sql<{ uid: string }>`
    update claim f set uid = g.uid, slot = g.slot from claim g
    where f.source_id = ${flow} and f.uid is null and g.source_id = ${graph} and g.uid is not null
      and (g.key = f.key or g.series->'main'->>'webLink' = f.series->'main'->>'webLink')
    returning g.uid`.execute(db);
  if (matched.rows.length > 0)
    await settleIdentities(
      db,
      targetId,
      matched.rows.map(({ uid }) => uid),
    );
}

/**
 * What Graph was read without, after the flow had posted it, was gone then. It does not show now, so that nobody misses
 * it. What lies outside of what Graph reads, or came after Graph's last reading, stays.
 */
async function forgetWhatGraphLacked(db: Db, { flow, graph }: Pair): Promise<void> {
  await sql`
    delete from claim f using source g
    where f.source_id = ${flow} and g.id = ${graph}
      and f.read_at < g.fresh_at - ${lagMinutes} * interval '1 minute'
      and exists (select from stream r where r.source_id = g.id
        and (f.last_end is null or f.last_end > r.window_from) and (f.first_start is null or f.first_start < r.window_to))
      and not exists (select from claim c where c.source_id = g.id
        and (c.meeting_id = f.meeting_id or (c.uid is not null and c.uid = f.uid)))`.execute(db);
}
