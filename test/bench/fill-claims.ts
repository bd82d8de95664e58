/** A database with so many claims, as years of use leave them. */
import { sql } from 'kysely';
import { blankEntry, singleSeries } from '../../src/calendar/blank.ts';
import type { StorableClaim } from '../../src/store/claims.ts';
import type { Db } from '../../src/store/database.ts';

/** A meeting, an object and a line of history for each claim, of sources s0, s1, … and the target `me`. */
export async function fillWithClaims(
  db: Db,
  { claims, sources }: { readonly claims: number; readonly sources: number },
): Promise<void> {
  const series = JSON.stringify(aClaim('x').series);
  await sql`
    insert into meeting (target_id, identity, identity_uid, slot, uid, shown_source_id, shown_until, wanted_version, done_version, created_at, wanted_at)
    select 'me', 'uid|u' || n || '|*', 'u' || n, '*', md5(n::text) || '@bench.calendar-sync', 's' || n % ${sources}::int,
      now() + (n % 700) * interval '1 day', 1, 1, now(), now()
    from generate_series(1, ${claims}::int) n`.execute(db);
  await sql`
    insert into claim (source_id, key, version, series, uid, slot, detail, state, round, meeting_id, content,
      last_modified_at, first_start, last_end, members, changed_at, read_at)
    select 's' || n % ${sources}::int, 'key ' || n, 'v', jsonb_set(${series}::jsonb, '{main,summary}', to_jsonb('Title ' || n)),
      'u' || n, '*', 'full', 'shown', 1, m.id, 'c', now(), now(), now() + (n % 700) * interval '1 day',
      case when n % 10 = 0 then array[n, n + 1]::bigint[] else '{}' end, now(), now()
    from generate_series(1, ${claims}::int) n join meeting m on m.identity_uid = 'u' || n`.execute(db);
  await sql`
    insert into object (meeting_id, target_id, calendar_id, part, href, uid, etag, fingerprint, sent_bodies, written_at)
    select id, 'me', 'work', 'main', '/work/' || uid || '.ics', uid, 'e', 'f', '[]', now() from meeting`.execute(db);
  await sql`
    insert into sync_history (at, status, action, source_id, target_id, meeting_id)
    select now() - n * interval '1 second', case when n % 1000 = 0 then 'error' else 'ok' end, 'update', 's' || n % ${sources}::int, 'me', n
    from generate_series(1, ${claims}::int) n`.execute(db);
  await sql`update meeting set wanted_version = 2 where id % 1000 = 0`.execute(db);
  await sql`vacuum analyze`.execute(db);
}

export function aClaim(key: string): StorableClaim {
  const moment = { kind: 'zoned', local: '2027-03-01T09:00:00', zone: 'Europe/Berlin' } as const;
  const number = key.replace('key ', '');
  return {
    key,
    version: 'v2',
    uid: `u${number}`,
    slot: '*',
    series: {
      ...singleSeries({
        ...blankEntry(moment, { ...moment, local: '2027-03-01T10:00:00' }),
        summary: `Changed ${performance.now()}`,
        description: 'Agenda. '.repeat(40),
        location: 'Room 1',
        reminder: 15,
      }),
      uid: `u${number}`,
    },
    hiddenBy: null,
    detail: 'full',
    lastModifiedAt: null,
    firstStart: '2027-03-01T08:00:00Z',
    lastEnd: '2027-03-01T09:00:00Z',
    check: null,
    members: [],
    content: `changed ${performance.now()}`,
  };
}
