import { cached } from './cached.ts';
import type { SourceConfig } from './config/model.ts';
import type { Clock } from './shared/clock.ts';
import { SyncError, toSyncError } from './shared/errors.ts';
import type { Log } from './shared/log.ts';
import type { SecretBox } from './shared/secret-box.ts';
import { learnedFrom, readBehaviours, type Learned } from './sources/graph/behaviours.ts';
import { caldavSource, type CalDavCalendarSource } from './sources/caldav/caldav-source.ts';
import { graphClient, type GraphClient } from './sources/graph/client.ts';
import { graphSource, type CalendarMemory, type GraphCalendarSource } from './sources/graph/graph-source.ts';
import { icsSource } from './sources/ics/ics-source.ts';
import type { Source } from './sources/source.ts';
import type { GraphCredential, Tokens } from './sources/graph/tokens.ts';
import { personTokens } from './sources/graph/sign-in.ts';
import { loadBehaviours, saveMet } from './store/behaviours.ts';
import { cloudOf, loadSourceWithSecret, loadTenant } from './store/configuration.ts';
import type { Db } from './store/database.ts';
import { recordAudit } from './store/history.ts';
import { loadSignIn, renewSignIn } from './store/sign-ins.ts';
import { loadSourceCalendar, saveSourceCalendar } from './store/source-calendars.ts';
import { version } from './version.ts';

const signInTimeoutMs = 60_000;

export interface SourceOpener {
  /**
   * Signs in with the tenant's own app; one client per tenant. With a `fetch` of the caller's, a client apart from the
   * others, which knows nothing of what they learned. Throws SyncError.
   */
  graph(tenantId: string, mailbox?: string, own?: typeof fetch): Promise<GraphClient>;
  /**
   * Opens a source as it is configured now. `access`, a digest of all that it is reached by, saves asking the database
   * where it is what it was last time. Throws SyncError when its settings or secrets cannot be used.
   */
  open(id: string, access?: string): Promise<OpenedSource>;
  close(): Promise<void>;
}

/** With its kind, for those who ask more of it than to be read. */
export type OpenedSource =
  | { readonly kind: 'graph'; readonly source: GraphCalendarSource }
  | { readonly kind: 'caldav'; readonly source: CalDavCalendarSource }
  | { readonly kind: 'ics'; readonly source: Source };

export interface SourceOpenerOptions {
  readonly db: Db;
  readonly box: SecretBox;
  readonly log: Log;
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  /** PEM texts of authorities to trust, for connections of CalDAV sources' own; null: Node's own choice. */
  readonly ca: readonly string[] | null;
  /** Set: CalDAV sources are reached by `fetch` too (a proxy, a simulated world); else by their own connections. */
  readonly isFetchForAll: boolean;
  /** Whether a UID is one that this installation minted; such events are never read as a source's. */
  readonly isOurs: (uid: string) => boolean;
}

/** Opens sources and remembers them: what they learned of their server is worth keeping between runs. */
export function sourceOpener({
  db,
  box,
  log,
  clock,
  fetch,
  ca,
  isFetchForAll,
  isOurs,
}: SourceOpenerOptions): SourceOpener {
  const clients = cached<GraphClient>();
  const sources = cached<OpenedSource>((opened) => (opened.kind === 'caldav' ? opened.source.close() : undefined));

  /** Graph, or something in between, tried to lead us and our token elsewhere. */
  const recordForeignLink = (tenant: string, host: string): void => {
    log.event('security.foreign_link', { tenant, host });
    const entry = { actor: 'reader', action: 'security.foreign_link', subject: `tenants/${tenant}`, detail: { host } };
    recordAudit(db, entry).catch((thrown: unknown) => {
      log.event('worker.failed', { kind: 'audit', id: tenant, reason: toSyncError(thrown).message });
    });
  };

  const learnedOf = async (tenantId: string): Promise<{ learned: Learned; probedAt: Date | null }> => {
    const { json, probedAt } = await loadBehaviours(db, tenantId);
    const learned = learnedFrom(readBehaviours(json), clock.now(), (question, answer) => {
      // Only a help for the next start: should it fail, it is met again.
      saveMet(db, tenantId, question, { answer, by: 'reading', at: clock.now().toISOString() }).catch(() => undefined);
    });
    return { learned, probedAt };
  };

  const graph: SourceOpener['graph'] = async (tenantId, mailbox, own) => {
    const tenant = await loadTenant(db, box, tenantId);
    if (tenant === null) throw missing('tenant', tenantId);
    const { credential, directory, client } = tenant;
    const cloud = await cloudOf(db, tenant);
    const onForeignLink = (host: string): void => recordForeignLink(tenantId, host);
    const { learned, probedAt } =
      own === undefined ? await learnedOf(tenantId) : { learned: undefined, probedAt: null };
    const base = { cloud, directory, client, fetch: own ?? fetch, version, clock, onForeignLink };
    const options = learned === undefined ? base : { ...base, learned };
    const make = (name: string, settings: unknown[], credential: GraphCredential | Tokens): GraphClient =>
      own === undefined
        ? clients(name, [...settings, probedAt], () => graphClient({ ...options, credential }))
        : graphClient({ ...options, credential });
    if (credential !== null) return make(tenantId, [tenant, cloud], credential);
    if (mailbox === undefined) throw notSignedIn(tenantId, 'a mailbox');
    const signIn = await loadSignIn(db, box, tenantId, mailbox);
    if (signIn === null) throw notSignedIn(tenantId, mailbox);
    const person = personTokens(
      { ...options, timeoutMs: signInTimeoutMs },
      {
        load: () => loadSignIn(db, box, tenantId, mailbox),
        save: (renewed) => renewSignIn(db, box, tenantId, mailbox, renewed),
      },
    );
    return make(`${tenantId} ${mailbox.toLowerCase()}`, [tenant, cloud, signIn.signedInAt], person);
  };

  const openWith = (config: SourceConfig, client: GraphClient | null): OpenedSource => {
    switch (config.kind) {
      case 'graph': {
        if (client === null) throw missing('tenant', config.tenant);
        const { id, mailbox, calendar } = config;
        const memory: CalendarMemory = {
          load: () => loadSourceCalendar(db, id),
          save: (found) => saveSourceCalendar(db, id, found),
        };
        return { kind: 'graph', source: graphSource({ client, mailbox, calendar, memory }) };
      }
      case 'caldav': {
        const { url, username, password, calendar } = config;
        const io = isFetchForAll ? { fetch } : ca === null ? {} : { ca };
        const account = { url, username, password };
        return { kind: 'caldav', source: caldavSource({ account, calendar, isOurs, clock, ...io }) };
      }
      case 'ics': {
        const { url, mayMerge } = config;
        return { kind: 'ics', source: icsSource({ url, mayMerge, fetch, isOurs, clock }) };
      }
      case 'powerautomate':
        throw new SyncError('Flows post their events; there is nothing to ask them for', {
          code: 'source.not_readable',
          recovery: { kind: 'operator', remedy: 'Look at the runs of the flow in PowerAutomate.' },
        });
    }
  };

  const last = new Map<string, { readonly access: string; readonly opened: OpenedSource }>();
  return {
    graph,
    async open(id, access) {
      const known = last.get(id);
      if (known !== undefined && known.access === access) return known.opened;
      const config = await loadSourceWithSecret(db, box, id);
      if (config === null) throw missing('source', id);
      const client = config.kind === 'graph' ? await graph(config.tenant, config.mailbox) : null;
      // A client made anew (another secret) makes a source of it anew.
      const opened = sources(id, [config, client === null ? 0 : serialOf(client)], () => openWith(config, client));
      if (access === undefined) last.delete(id);
      else last.set(id, { access, opened });
      return opened;
    },
    close: () => sources.clear(),
  };
}

const serials = new WeakMap<object, number>();
let lastSerial = 0;

function serialOf(value: object): number {
  const known = serials.get(value);
  if (known !== undefined) return known;
  serials.set(value, ++lastSerial);
  return lastSerial;
}

function notSignedIn(tenantId: string, mailbox: string): SyncError {
  return new SyncError(`Nobody has signed in for ${mailbox} of ${tenantId} yet.`, {
    code: 'graph.not_signed_in',
    recovery: {
      kind: 'operator',
      remedy: `Open the sign-in page with "calendar-sync consent ${tenantId}", or run "calendar-sync sign-in ${tenantId} <mailbox>".`,
    },
  });
}

function missing(what: string, id: string): SyncError {
  return new SyncError(`There is no ${what} ${id}`, {
    code: 'config.missing_entry',
    recovery: { kind: 'operator', remedy: 'Apply a configuration that has it.' },
  });
}
