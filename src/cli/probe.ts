import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Product } from '../compose.ts';
import type { Env } from '../config/env.ts';
import type { Tenant } from '../config/model.ts';
import { builtInClouds } from '../shared/clouds.ts';
import { SyncError } from '../shared/errors.ts';
import type { Window } from '../shared/window.ts';
import type { GraphClient } from '../sources/graph/client.ts';
import { recordExchanges } from '../sources/graph/probe/exchange.ts';
import { gather, nothingToProbe, type Gathered, type Place } from '../sources/graph/probe/gather.ts';
import { settle, type Settled } from '../sources/graph/probe/question.ts';
import { questions } from '../sources/graph/probe/questions.ts';
import { saveProbe } from '../sources/graph/probe/saved.ts';
import { seenIn } from '../sources/graph/probe/seen.ts';
import { trySubscriptions, type Tried } from '../sources/graph/probe/subscriptions.ts';
import { addressesBelow } from '../sources/graph/subscriptions.ts';
import { saveProbed } from '../store/behaviours.ts';
import { cloudOf, loadModel } from '../store/configuration.ts';
import { recordAudit } from '../store/history.ts';
import { notificationSecret } from '../store/subscriptions.ts';
import { version } from '../version.ts';
import { requireTenant } from './consent.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

export interface ProbeOptions {
  readonly json: boolean;
  /** Instead of those that sources read. */
  readonly mailboxes: readonly string[];
  readonly subscribe: boolean;
  /** Null: below DATA_DIR; false: nowhere. */
  readonly save: string | null | false;
}

const mostPlaces = 5;
const pastDays = 30;
const futureDays = 120;
const dayMs = 86_400_000;

/**
 * Asks a tenant how its Graph answers where that is not known for sure, keeps the answers for the reading, and saves the
 * exchanges, scrubbed. Exits with 1 when an answer says that the tenant cannot be read as it should.
 */
export function probe(tenantId: string, options: ProbeOptions, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const tenant = await requireTenant(product, tenantId);
    const { sources } = await loadModel(product.store.db, product.box);
    const read = sources.flatMap((source): Place[] =>
      source.kind === 'graph' && source.tenant === tenantId ? [source] : [],
    );
    const places = placesOf(read, options.mailboxes);
    if (places.length === 0) throw nothingToProbe(tenantId);
    return ask({ env, product, tenant, places, options }).catch((thrown: unknown) => {
      process.stderr.write('Nothing is kept of this probe.\n');
      throw thrown;
    });
  });
}

interface Asking {
  readonly env: Env;
  readonly product: Product;
  readonly tenant: Tenant;
  readonly places: readonly Place[];
  readonly options: ProbeOptions;
}

async function ask({ env, product, tenant, places: all, options }: Asking): Promise<number> {
  const { store, sources } = product;
  const cloud = await cloudOf(store.db, tenant);
  const say = (sentence: string): void => void process.stderr.write(`${sentence}\n`);
  const places = all.slice(0, mostPlaces);
  const at = new Date();
  const window = windowAround(at);
  const signal = AbortSignal.timeout(1_800_000);
  const recorder = recordExchanges(product.fetch, cloud.graph, () => Date.now());
  const clients = new Map<string, Promise<GraphClient>>();
  const client = (mailbox: string): Promise<GraphClient> => {
    const name = tenant.credential === null ? mailbox.toLowerCase() : '';
    const opened = clients.get(name) ?? sources.graph(tenant.id, mailbox, recorder.fetch);
    clients.set(name, opened);
    return opened;
  };

  say(
    `Tenant ${tenant.id}: ${count(places.length, 'calendar')}, ${pastDays} days back and ${futureDays} ahead. ${options.subscribe ? 'Reads, and at the end makes subscriptions that it ends at once.' : 'Reads only.'}`,
  );
  if (all.length > places.length) say(`${count(all.length - places.length, 'more calendar')} left out.`);
  await (await client(places[0]?.mailbox ?? '')).signIn({ isFresh: true });
  const gathered = await gather({
    recorder,
    client,
    places,
    window,
    signal,
    onStep: say,
    wait: (ms) => delay(ms),
    now: () => Date.now(),
  });
  const tried = options.subscribe
    ? await subscribe(env, product, await client(places[0]?.mailbox ?? ''), places[0], say)
    : null;
  const skewMs = recorder.skewMs();
  const found = tried?.found ?? {};
  const settled = settle(questions, seenIn(recorder.exchanges, { window, skewMs, tried: found }));

  const behaviours = Object.fromEntries(
    settled.flatMap(({ question, answer }) =>
      answer === null ? [] : [[question, { answer, by: 'probe', at: at.toISOString() }]],
    ),
  );
  const isKept = await store.transaction(async (db) => {
    const isSaved = await saveProbed(db, tenant, behaviours, at);
    const open = settled.filter(({ state }) => state === 'open').length;
    if (isSaved)
      await recordAudit(db, {
        actor: 'cli',
        action: 'tenant.probe',
        subject: `tenants/${tenant.id}`,
        detail: { settled: settled.length - open, open, subscribed: options.subscribe },
      });
    return isSaved;
  });
  if (!isKept) throw changedMeanwhile(tenant.id);
  const saved = folderFor(env, tenant.id, options.save, at);
  if (saved !== null)
    saveProbe(saved, {
      program: version,
      cloud: builtInClouds.some(({ id }) => id === cloud.id) ? cloud.id : 'own',
      at: at.toISOString(),
      window,
      skewMs,
      tried: found,
      places,
      settled,
      exchanges: recorder.exchanges,
      key: randomBytes(32),
    });
  const requests = recorder.exchanges.length;
  const result = {
    tenant: tenant.id,
    cloud: cloud.id,
    at: at.toISOString(),
    window,
    requests,
    ...gathered,
    answers: settled,
    subscriptions: tried,
    saved,
  };
  tell(options.json, result, sentencesOf(tenant.id, settled, gathered, tried, saved, requests));
  return settled.some(({ isTrouble }) => isTrouble) || (tried?.left ?? 0) > 0 ? exitCodes.trouble : exitCodes.ok;
}

async function subscribe(
  env: Env,
  product: Product,
  client: GraphClient,
  place: Place | undefined,
  say: (sentence: string) => void,
): Promise<Tried | null> {
  if (place === undefined) return null;
  if (env.publicUrl === null)
    return { found: {}, left: 0, reason: 'PUBLIC_URL is not set, so that Graph cannot call this service.' };
  say('calendar 1: subscriptions, each ended at once (no GETs; asked for by --subscribe)');
  const secret = await notificationSecret(product.store.db, () => randomBytes(24).toString('base64url'));
  return trySubscriptions({
    client,
    place,
    ...addressesBelow(env.publicUrl, secret),
    clientState: randomBytes(32).toString('base64url'),
    now: () => new Date(),
    signal: AbortSignal.timeout(300_000),
  });
}

function sentencesOf(
  tenant: string,
  settled: readonly Settled[],
  { checks, unmappable, rows, copies }: Gathered,
  tried: Tried | null,
  saved: string | null,
  requests: number,
): string[] {
  const open = settled.filter(({ state }) => state === 'open');
  const told = settled.filter(({ state }) => state !== 'open');
  const ways = Object.entries(checks).filter(([, number]) => number > 0);
  const series =
    ways.length === 0 ? 'no series' : ways.map(([mode, number]) => `${number} by ${words[mode] ?? mode}`).join(', ');
  return [
    `${tenant}: ${rows} rows read by ${requests} requests; series shown as Graph lists them: ${series}${unmappable > 0 ? `; ${unmappable} events could not be mapped` : ''}`,
    ...(copies > 0 ? [`${copies} of the calendars are copies of other people’s: read those at their owners.`] : []),
    '',
    ...lines(told),
    ...(open.length === 0
      ? []
      : [
          '',
          'Not settled',
          ...open.flatMap(({ asks, means }) => [`- ${asks}`, `    ${means.replace(/^Not settled\. /, '')}`]),
        ]),
    ...(tried?.reason == null ? [] : ['', `Subscriptions: ${tried.reason}`]),
    ...((tried?.left ?? 0) > 0
      ? [
          '',
          'A subscription could not be ended; the service ends it when it next compares them with Graph’s list, within a day.',
        ]
      : []),
    '',
    `${told.length} of ${settled.length} settled. The reading takes the answers up with its next run; "calendar-sync doctor" shows them.`,
    ...(saved === null ? [] : [`Scrubbed exchanges: ${saved}`]),
  ];
}

/** A table whose last column, what the answer changes, is a line of its own: no terminal is that wide. */
function lines(told: readonly Settled[]): string[] {
  const cells = told.map(({ asks, answer, state, evidence, isTrouble }) => [
    asks,
    `${answer ?? ''}${state === 'mixed' ? ' (not always)' : ''}${isTrouble ? ' !' : ''}`,
    String(evidence),
  ]);
  const [header = '', rule = '', ...rows] = table(['question, and what the answer changes', 'answer', 'seen'], cells);
  return [header, rule, ...rows.flatMap((row, index) => [row, `    ${told[index]?.means ?? ''}`])];
}

const words: Readonly<Record<string, string>> = {
  rule: 'rule',
  zone: 'rule in another zone',
  shifted: 'rule with dates put right',
  list: 'dates singly',
};

function placesOf(read: readonly Place[], mailboxes: readonly string[]): Place[] {
  const wanted = new Set(mailboxes.map((mailbox) => mailbox.toLowerCase()));
  const known = read
    .filter(({ mailbox }) => wanted.size === 0 || wanted.has(mailbox.toLowerCase()))
    .map(({ mailbox, calendar }) => ({ mailbox, calendar }));
  const others = mailboxes.filter(
    (mailbox) => !known.some((one) => one.mailbox.toLowerCase() === mailbox.toLowerCase()),
  );
  const all = [...known, ...others.map((mailbox) => ({ mailbox, calendar: 'default' }))];
  return [...new Map(all.map((place) => [`${place.mailbox.toLowerCase()} ${place.calendar}`, place])).values()];
}

/** Whole days, so that a saved probe can be asked again. */
function windowAround(at: Date): Window {
  const day = Math.floor(at.getTime() / dayMs) * dayMs;
  const text = (days: number): string => `${new Date(day + days * dayMs).toISOString().slice(0, 19)}Z`;
  return { from: text(-pastDays), to: text(futureDays) };
}

function folderFor(env: Env, tenantId: string, save: ProbeOptions['save'], at: Date): string | null {
  if (save === false) return null;
  const stamp = at.toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  return save ?? join(env.dataDir, 'probes', `${tenantId}-${stamp}Z`);
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function changedMeanwhile(id: string): SyncError {
  return new SyncError(`${id} was given another app, directory or cloud while it was asked; nothing is kept`, {
    code: 'config.changed_meanwhile',
    field: 'tenant',
    recovery: { kind: 'operator', remedy: 'Run the probe again.' },
  });
}
