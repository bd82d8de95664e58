/**
 * The usual beginning of a scenario with several tenants: one person with a mailbox in each, and a configuration that is
 * changed as the operator changes it, by applying a file.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { applyFile } from '../../src/cli/apply.ts';
import type { ConfigChange } from '../../src/config/diff.ts';
import { readEnv } from '../../src/config/env.ts';
import { removeClaims } from '../../src/store/claims.ts';
import { guid } from './graph/ids.ts';
import type { OutlookCalendar } from './graph/outlook.ts';
import { directoryOf, type OutlookMailbox } from './graph/people.ts';
import { aStage, type Stage, type StageOptions } from './stage.ts';

/** An entry as the file has it; only what a scenario cares about. */
export type Entry = Readonly<Record<string, unknown>>;

export interface Shown {
  readonly uid: string;
  /** Name of the resource in its calendar. */
  readonly resource: string;
  readonly calendar: string;
  readonly sequence: number;
  readonly title: string;
  readonly body: string;
}

export interface SeveralTenants {
  readonly stage: Stage;
  mailbox(tenant: string): OutlookMailbox;
  calendar(tenant: string): OutlookCalendar;
  /** Writes the configuration to a file, without applying it. */
  write(wanted: { sources: readonly Entry[]; targets?: readonly Entry[] }): string;
  /** Makes the configuration this one, and gives what changed. Sources name their tenant by `tenant`, or by their id. */
  configure(wanted: { sources: readonly Entry[]; targets?: readonly Entry[] }): Promise<ConfigChange[]>;
  /** Time passes; everything is read and written until nothing is due. */
  again(): Promise<void>;
  /** Lets go of what the guard holds of these sources, as the operator would. */
  approve(...sources: readonly string[]): Promise<void>;
  /** What a target's calendars show, by title. */
  shown(user?: string): Shown[];
  titles(user?: string): string[];
  /** Requests of this method since the last `forget`, oldest first. */
  requests(method: string): string[];
  forget(): void;
  close(): Promise<void>;
}

export const upnOf = (tenant: string): string => `me@${tenant}.example`;

export async function severalTenants(names: readonly string[], options: StageOptions = {}): Promise<SeveralTenants> {
  // Each edit is a second later than the one before, and none is in the future.
  let edits = 0;
  const now = (): Date => new Date(startedAt + (edits += 1) * 1_000);
  const startedAt = Date.now() - 12 * 3_600_000;
  const stage = await aStage({ ...options, simulator: { now, tokenMinutes: 100_000, ...options.simulator } });
  const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-file-'));
  const file = join(folder, 'calendars.yaml');
  const env = readEnv({ DATABASE_URL: stage.database.url, ENCRYPTION_KEY: 'ab'.repeat(32) }, folder);
  const mailboxes = new Map<string, OutlookMailbox>();
  const tenants = names.map((name) => {
    const domain = `${name}.example`;
    const tenant = { directory: directoryOf(domain), client: guid('app', name), secret: `secret of ${name}` };
    stage.simulator.addTenant({ ...tenant, domain });
    const mailbox = stage.simulator.tenant(domain).addMailbox({ upn: upnOf(name), name: 'Me' });
    mailboxes.set(name, mailbox);
    return { id: name, cloud: 'global', access: 'tenant-wide', ...tenant };
  });
  const target = {
    id: 'me',
    url: stage.caldav.url,
    username: 'alice',
    password: 'secret',
    calendars: [{ id: 'work', name: 'Work' }],
  };
  const mailbox = (name: string): OutlookMailbox => {
    const found = mailboxes.get(name);
    if (found === undefined) throw new Error(`There is no tenant ${name}.`);
    return found;
  };
  let calendars: { user: string; id: string }[] = [];

  const world: SeveralTenants = {
    stage,
    mailbox,
    calendar: (name) => mailbox(name).calendar(),
    write(wanted) {
      const targets = (wanted.targets ?? [{}]).map((one) => ({ ...target, ...one }));
      calendars = targets.flatMap(({ username, calendars: all }) => all.map(({ id }) => ({ user: username, id })));
      const sources = wanted.sources.map((source) =>
        source['kind'] !== undefined
          ? source
          : {
              kind: 'graph',
              tenant: source['id'],
              mailbox: upnOf(String(source['tenant'] ?? source['id'])),
              into: 'me/work',
              privateItems: 'full',
              ...source,
            },
      );
      writeFileSync(file, JSON.stringify({ tenants, targets, sources }));
      return file;
    },
    configure: (wanted) => applyFile(stage.product, env, world.write(wanted), { prune: true, actor: 'test' }),
    async again() {
      await stage.passTime();
      await stage.sync();
    },
    async approve(...sources) {
      await stage.product.store.transaction(async (db) => {
        for (const id of sources) {
          const found = await sql<{ targetId: string }>`
            select target_id as "targetId" from source where id = ${id}`.execute(db);
          const targetId = found.rows[0]?.targetId;
          if (targetId !== undefined) await removeClaims(db, { id, targetId }, 'held');
        }
      });
      await world.again();
    },
    shown: (user = 'alice') =>
      calendars
        .filter((calendar) => calendar.user === user)
        .flatMap(({ id: calendar }) =>
          [...stage.caldav.objects(user, calendar)].map(([name, { body }]) => ({
            uid: lineOf(body, 'UID'),
            resource: name.slice(name.lastIndexOf('/') + 1),
            calendar,
            sequence: Number(lineOf(body, 'SEQUENCE')),
            title: lineOf(body, 'SUMMARY'),
            body,
          })),
        )
        .sort((a, b) => (a.title < b.title ? -1 : 1)),
    titles: (user) => world.shown(user).map(({ title }) => title),
    requests: (method) => stage.caldav.requests.filter((request) => request.method === method).map(({ path }) => path),
    forget: () => stage.caldav.forget(),
    async close() {
      await stage.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return world;
}

function lineOf(body: string, name: string): string {
  return new RegExp(`^${name}(?:;[^:\r\n]*)?:(.*)$`, 'm').exec(body)?.[1]?.trim() ?? '';
}
