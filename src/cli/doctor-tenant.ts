import { credentialEnd, describeEnd, warningStep } from '../access/credential-end.ts';
import type { Product } from '../compose.ts';
import type { Env } from '../config/env.ts';
import type { SourceConfig, Tenant } from '../config/model.ts';
import { SyncError } from '../shared/errors.ts';
import { isOwn, listCalendars, openSession } from '../sources/graph/calendars.ts';
import { networkFault } from '../sources/graph/errors.ts';
import { findCloud, loadModel, loadTenant } from '../store/configuration.ts';
import { behavioursLine } from './doctor-behaviours.ts';
import { readStatus } from '../store/status.ts';
import { mailboxesOf } from '../store/tenant-access.ts';

/** One line of doctor: what works, or a warning; what does not is thrown. */
export type Work = () => Promise<string | { warning: string; remedy: string }>;
export interface Examination {
  /** False: it failed. */
  readonly check: (name: string, work: Work) => Promise<boolean>;
  /** What could not be tried because of what was told before: one cause is told once. */
  readonly skip: (name: string, says: string) => void;
}

/** Entra refuses assertions and tokens whose times are off by more than five minutes. */
const mostSkewMs = 120_000;

/**
 * A tenant from its hosts to each of its mailboxes. Reads only. Gives the sources that need not be tried, for what they
 * need does not work: that was told.
 */
export async function checkTenant(
  { check, skip }: Examination,
  { product, env, tenant, signal }: { product: Product; env: Env; tenant: Tenant; signal: AbortSignal },
): Promise<ReadonlySet<string>> {
  const { store, box } = product;
  const name = `tenant ${tenant.id}`;
  const cloud = await findCloud(store.db, tenant.cloud);
  const sources = (await loadModel(store.db, box)).sources.flatMap((source) =>
    source.kind === 'graph' && source.tenant === tenant.id ? [source] : [],
  );
  const named = (await mailboxesOf(store.db, tenant.id)).map(({ mailbox }) => mailbox);
  const stop = (cause: string, mailboxes: readonly string[], others: readonly string[] = []): ReadonlySet<string> => {
    const stopped = sources.filter(({ mailbox }) => mailboxes.includes(mailbox.toLowerCase())).map(({ id }) => id);
    const what = [...others, ...(stopped.length === 0 ? [] : [`reading ${stopped.join(', ')}`])];
    if (what.length > 0) skip(`${name}: stopped by that`, `not tried, as ${cause}: ${what.join(', ')}`);
    return new Set(stopped);
  };
  const all = ['access', ...named.map((mailbox) => `mailbox ${mailbox}`)];

  if (cloud !== null) {
    const discovery = `${cloud.login}/${encodeURIComponent(tenant.directory)}/v2.0/.well-known/openid-configuration`;
    const isLoginThere = await check(`${name}: sign-in host`, () => reach(product, discovery, signal));
    const isGraphThere = await check(`${name}: calendar host`, () => reach(product, `${cloud.graph}/v1.0/`, signal));
    if (!isLoginThere) return stop('the sign-in host does not answer', named, ['credential', ...all]);
    if (!isGraphThere) return stop('the calendar host does not answer', named, all);
  }
  const hasToken = await check(`${name}: credential`, async () => {
    const whole = await loadTenant(store.db, box, tenant.id);
    if (whole !== null && whole.credential !== null)
      await (await product.sources.graph(tenant.id)).signIn({ isFresh: true });
    return credentialLine(whole ?? tenant);
  });
  if (!hasToken) return stop('there is no token', named, all);
  await check(`${name}: access`, () => accessLine(product, tenant, signal));
  const closed: string[] = [];
  for (const mailbox of named) {
    const isOpen = await check(`${name}: mailbox ${mailbox}`, async () => {
      const client = await product.sources.graph(tenant.id, mailbox);
      const calendars = await listCalendars(openSession(client, mailbox, signal));
      const copies = calendars.filter((calendar) => !isOwn(calendar, mailbox));
      const seen = `${calendars.length} calendar${calendars.length === 1 ? '' : 's'} visible`;
      return copies.length === 0 ? seen : `${seen}, ${copies.length} of them other people's`;
    });
    if (!isOpen) closed.push(mailbox);
  }
  await check(`${name}: behaviours`, () => behavioursLine(product, tenant.id, new Date()));
  if (cloud !== null && named.length > 0) await check(`${name}: notifications`, () => pushLine(product, env, tenant));
  return stop('the mailbox cannot be read', closed);
}

async function reach(
  product: Product,
  url: string,
  signal: AbortSignal,
): Promise<string | { warning: string; remedy: string }> {
  const { host } = new URL(url);
  let answer: Response;
  const askedAt = Date.now();
  try {
    answer = await product.fetch(url, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(15_000)]),
      redirect: 'manual',
    });
    await answer.body?.cancel();
  } catch (thrown) {
    throw networkFault(thrown, host);
  }
  const said = Date.parse(answer.headers.get('date') ?? '');
  const skewMs = Number.isNaN(said) ? 0 : said - (askedAt + Date.now()) / 2;
  if (Math.abs(skewMs) <= mostSkewMs) return `${host} answers`;
  const seconds = Math.round(Math.abs(skewMs) / 1_000);
  return {
    warning: `${host} answers, and its clock differs from ours by ${seconds} s`,
    remedy: 'Set the clock of this machine by NTP: sign-ins fail when it is off by more than five minutes.',
  };
}

function credentialLine(tenant: Tenant): string | { warning: string; remedy: string } {
  const { credential } = tenant;
  if (credential === null) return 'people sign in by themselves';
  const end = credentialEnd(tenant);
  const kind = credential.kind === 'secret' ? 'the secret' : 'the certificate';
  if (end === null) return `signs in; nobody says when ${kind} ends (secretExpires)`;
  const now = new Date();
  if (warningStep(end, now) === null) return `signs in; ${kind} ${describeEnd(end, now)}`;
  return {
    warning: `signs in, but ${kind} ${describeEnd(end, now)}`,
    remedy: `Make a new one in the app registration (a certificate: "calendar-sync cert create ${tenant.id} --force"), put it into the configuration and apply it; no restart is needed.`,
  };
}

async function accessLine(
  product: Product,
  tenant: Tenant,
  signal: AbortSignal,
): Promise<string | { warning: string; remedy: string }> {
  const access = tenant.credential === null ? 'delegated' : tenant.access;
  const proof = await product.prove({ id: tenant.id, access }, signal);
  if (proof.state === 'proven') {
    if (proof.code !== null) return { warning: proof.reason ?? '', remedy: proof.remedy ?? 'Try again in a minute.' };
    return proof.controlState === 'refused'
      ? 'proven: every mailbox can be read, and the control mailbox cannot'
      : 'proven: every mailbox can be read (no control mailbox is named)';
  }
  throw new SyncError(proof.reason ?? `Access is ${proof.state}.`, {
    code: proof.code ?? 'access.unproven',
    recovery:
      proof.remedy === null && proof.code !== null
        ? { kind: 'retry' }
        : {
            kind: 'operator',
            remedy: proof.remedy ?? `Send the administrator a link: "calendar-sync consent ${tenant.id}".`,
          },
  });
}

async function pushLine(
  product: Product,
  env: Env,
  tenant: Tenant,
): Promise<string | { warning: string; remedy: string }> {
  if (tenant.notifications === false) return 'switched off for this tenant; its calendars are polled';
  if (env.publicUrl === null) return 'not possible without PUBLIC_URL; its calendars are polled';
  const { sources } = await readStatus(product.store.db);
  const named = new Set((await loadModel(product.store.db, product.box)).sources.flatMap(belongsTo(tenant.id)));
  const own = sources.filter(({ id }) => named.has(id));
  const failed = own.find(({ pushCode }) => pushCode !== null);
  if (failed !== undefined)
    return {
      warning: `${failed.pushReason ?? 'Graph does not tell of changes'} (${failed.pushCode ?? ''}); its calendars are polled`,
      remedy: `Let Microsoft reach ${env.publicUrl} from the internet, or set notifications: false for the tenant.`,
    };
  const live = own.filter(({ push }) => push !== 'off').length;
  return `${live} of ${own.length} sources are told of changes; all are polled`;
}

const belongsTo =
  (tenantId: string) =>
  (source: SourceConfig): string[] =>
    source.kind === 'graph' && source.tenant === tenantId ? [source.id] : [];
