import { createHash } from 'node:crypto';
import type { Privacy } from '../calendar/privacy.ts';
import type { Tenant } from '../config/model.ts';
import type { Clock } from '../shared/clock.ts';
import { remedyOf, toSyncError } from '../shared/errors.ts';
import type { Log } from '../shared/log.ts';
import type { SecretBox } from '../shared/secret-box.ts';
import { adminConsentUrl, readConsentAnswer, sayRefusal } from '../sources/graph/admin-consent.ts';
import { beginSignIn, finishSignIn, type SignInOptions } from '../sources/graph/sign-in.ts';
import { changeCeiling } from '../store/change-ceiling.ts';
import { cloudOf, loadTenant } from '../store/configuration.ts';
import { endJourney, openLink, saveJourney, saveLink, type ConsentLink, type Journey } from '../store/consent.ts';
import type { Store } from '../store/database.ts';
import { recordAudit } from '../store/history.ts';
import { saveSignIn, signInsOf } from '../store/sign-ins.ts';
import {
  loadAccess,
  mailboxesOf,
  recordDecline,
  recordGrant,
  setControlMailbox,
  type ProofRecord,
} from '../store/tenant-access.ts';
import { readPasted } from '../web/consent/exchange-script.ts';
import type { Notice } from '../web/consent/page.ts';
import type { ConsentView } from '../web/consent/view.ts';
import { checkSignIn } from './check-sign-in.ts';

export interface DeskDeps {
  readonly store: Store;
  readonly box: SecretBox;
  readonly log: Log;
  readonly clock: Clock;
  /** At least 128 random bits, base64url. */
  readonly mint: () => string;
  readonly publicUrl: string;
  /** Towards login hosts. */
  readonly fetch: typeof fetch;
  readonly version: string;
  readonly prove: (
    tenant: { id: string; access: ConsentView['tenant']['access'] },
    signal: AbortSignal,
  ) => Promise<ProofRecord>;
}

/** What became of something that somebody asked for. `done` names a notice of the page; `refused` changed nothing. */
export type Outcome =
  { readonly kind: 'done'; readonly done: DoneName } | { readonly kind: 'refused'; readonly notice: Notice };

/** Who has come back from Microsoft; `linkId` is the link by which they had left, null where that is unknown. */
export interface Return {
  readonly tenantId: string | null;
  readonly linkId: string | null;
  readonly outcome: Outcome;
}

/** An opened page: whoever has one may act for the tenant's administrator until its link expires. */
export interface OpenPage extends ConsentLink {
  readonly tenant: Tenant;
}

export interface ConsentDesk {
  /** Null: the link is not one of the tenant's, or no more. */
  open(tenantId: string, key: string): Promise<OpenPage | null>;
  view(page: OpenPage, done: string | null): Promise<ConsentView>;
  /** Where Microsoft asks the administrator. */
  ask(page: OpenPage, form: 'v1' | 'v2'): Promise<string>;
  /** Where a person signs in for a mailbox. */
  startSignIn(page: OpenPage, mailbox: string): Promise<string | Outcome>;
  /** `linkId` is that of the page which the browser has open, if any: a sign-in ends where it began. */
  comeBack(query: URLSearchParams, hasPage: (tenantId: string, linkId: string) => Promise<boolean>): Promise<Return>;
  prove(page: OpenPage): Promise<Outcome>;
  paste(page: OpenPage, text: string): Promise<Outcome>;
  setControl(page: OpenPage, mailbox: string): Promise<Outcome>;
  setCeiling(page: OpenPage, ceiling: string, isApproved: boolean): Promise<Outcome>;
}

const journeyMinutes = 60;
/** The page is waited for; a slow Microsoft is tried again by the worker. */
const proofPatienceMs = 25_000;
const stateContext = 'consent:state';
/** Anybody may call the address to which Microsoft leads back; the audit is not theirs to fill. */
const mostForgeriesPerHour = 60;

/** Makes the link that opens a tenant's consent pages. Only a digest of its key is kept. */
export async function makeConsentLink(
  deps: Pick<DeskDeps, 'store' | 'mint' | 'publicUrl'>,
  tenantId: string,
  options: { readonly hours: number; readonly actor: string },
): Promise<{ url: string; expiresAt: Date }> {
  const key = deps.mint();
  const expiresAt = await deps.store.transaction(async (db) => {
    await recordAudit(db, {
      actor: options.actor,
      action: 'consent.link_made',
      subject: `tenants/${tenantId}`,
      detail: { hours: options.hours },
    });
    return saveLink(db, idOf(key), tenantId, options.hours);
  });
  return { url: `${deps.publicUrl}/consent/${tenantId}?key=${key}`, expiresAt };
}

export function consentDesk(deps: DeskDeps): ConsentDesk {
  const { store, box, clock, publicUrl } = deps;
  const { db } = store;
  const redirectUri = `${publicUrl}/consent/callback`;
  let forgeries: readonly number[] = [];

  const audit = (tenantId: string, action: string, linkId: string | null, detail?: unknown): Promise<void> =>
    recordAudit(db, {
      actor: linkId === null ? 'consent page' : `consent page ${linkId.slice(0, 8)}`,
      action,
      subject: `tenants/${tenantId}`,
      ...(detail === undefined ? {} : { detail }),
    });
  const refuse = async (
    page: OpenPage,
    action: string,
    notice: Omit<Notice, 'kind'>,
    detail?: unknown,
  ): Promise<Outcome> => {
    await audit(page.tenantId, action, page.id, detail);
    return { kind: 'refused', notice: { kind: 'bad', ...notice } };
  };

  const journeyId = (state: string): string | null => {
    try {
      return box.open(state, stateContext);
    } catch {
      return null;
    }
  };

  const stranger = async (action: string, text: string): Promise<Return> => {
    const now = clock.now().getTime();
    forgeries = forgeries.filter((at) => at > now - 3_600_000);
    if (forgeries.length < mostForgeriesPerHour) {
      forgeries = [...forgeries, now];
      await recordAudit(db, { actor: 'consent page', action, subject: 'tenants' });
    }
    const notice: Notice = { kind: 'bad', title: 'This cannot be taken', text };
    return { tenantId: null, linkId: null, outcome: { kind: 'refused', notice } };
  };

  const prove = async (tenant: Tenant): Promise<void> => {
    try {
      await deps.prove({ id: tenant.id, access: wayOf(tenant) }, AbortSignal.timeout(proofPatienceMs));
    } catch (thrown) {
      // Nothing was found out: the worker tries again.
      deps.log.event('internal.failed', { during: 'proof', error: toSyncError(thrown).message });
    }
  };

  const unclear = (page: OpenPage): Promise<Outcome> =>
    refuse(page, 'consent.unclear', {
      title: 'Microsoft did not say what was decided',
      text: 'Nothing was changed. Start again from the link that you were given.',
    });
  const signInOptions = async (tenant: Tenant): Promise<SignInOptions> => {
    const { directory, client } = tenant;
    const { fetch, version } = deps;
    return { cloud: await cloudOf(db, tenant), directory, client, fetch, clock, version, timeoutMs: proofPatienceMs };
  };

  /** Whose account it is nobody is asked: what counts is that it reads the mailbox. */
  const takeSignIn = async (page: OpenPage, journey: Journey, code: string): Promise<Outcome> => {
    const { tenant } = page;
    const { mailbox, verifierSealed } = journey;
    if (mailbox === null || verifierSealed === null) return unclear(page);
    try {
      const options = await signInOptions(tenant);
      const verifier = box.open(verifierSealed, stateContext);
      const signedIn = await finishSignIn(options, { code, verifier, redirectUri });
      await checkSignIn(options, signedIn.accessToken, mailbox);
      await saveSignIn(db, box, tenant.id, mailbox, signedIn);
      await audit(tenant.id, 'sign_in.taken', page.id, { mailbox, username: signedIn.username });
    } catch (thrown) {
      const error = toSyncError(thrown);
      return refuse(
        page,
        'sign_in.refused',
        { title: 'The sign-in could not be taken', text: `${error.message} ${remedyOf(error)} Nothing was changed.` },
        { mailbox, code: error.code },
      );
    }
    await prove(tenant);
    return { kind: 'done', done: 'signedIn' };
  };

  const settle = async (journey: Journey, tenant: Tenant, query: URLSearchParams): Promise<Outcome> => {
    const page = { id: journey.linkId, tenantId: tenant.id, expiresAt: clock.now(), tenant };
    const answer = readConsentAnswer(query);
    switch (answer.kind) {
      case 'refused':
        if (journey.kind !== 'sign-in') await recordDecline(db, tenant.id);
        return refuse(
          page,
          'consent.declined',
          {
            title: 'Access was not granted',
            text: `${sayRefusal(answer)} Nothing was changed; you can come back to it at any time.`,
          },
          { error: answer.error, numbers: answer.numbers },
        );
      case 'code':
        if (journey.kind === 'sign-in') return takeSignIn(page, journey, answer.code);
        return unclear(page);
      case 'unclear':
        return unclear(page);
      case 'granted':
        if (journey.kind === 'sign-in') return unclear(page);
        if (isAnother(answer.tenant, tenant.directory))
          return refuse(
            page,
            'consent.other_tenant',
            {
              title: 'That was another organisation',
              text: `Consent was given in an organisation other than ${tenant.directory}. It has no effect here. Sign in to Microsoft with an account of ${tenant.name}, and start again.`,
            },
            { tenant: answer.tenant },
          );
        await recordGrant(db, tenant.id, 'admin-consent');
        await audit(tenant.id, 'consent.granted', journey.linkId, { form: journey.kind });
        await prove(tenant);
        return { kind: 'done', done: 'granted' };
    }
  };

  return {
    async open(tenantId, key) {
      const link = await openLink(db, idOf(key), tenantId);
      if (link === null) return null;
      const tenant = await loadTenant(db, box, tenantId);
      return tenant === null ? null : { ...link, tenant };
    },

    async view({ tenant, expiresAt }, done) {
      const { id, name, directory, client, ceiling, keepWithdrawnDays = 30, credential } = tenant;
      return {
        base: new URL(`${publicUrl}/consent`).pathname,
        tenant: { id, name, directory, client, access: wayOf(tenant), ceiling, keepWithdrawnDays },
        cloud: await cloudOf(db, tenant),
        access: await loadAccess(db, id),
        mailboxes: await mailboxesOf(db, id),
        signIns: await signInsOf(db, id),
        certificate: credential?.kind === 'certificate' ? credential.certificate : null,
        redirectUri,
        expiresAt,
        notice: isDoneName(done) ? notices[done] : null,
      };
    },

    async ask(page, form) {
      const { tenant } = page;
      const id = deps.mint();
      await saveJourney(
        db,
        { id, tenantId: tenant.id, linkId: page.id, kind: form, mailbox: null, verifierSealed: null },
        journeyMinutes,
      );
      await audit(tenant.id, 'consent.asked', page.id, { form });
      const app = { cloud: await cloudOf(db, tenant), directory: tenant.directory, client: tenant.client };
      return adminConsentUrl(app, form, { redirectUri, state: box.seal(id, stateContext) });
    },

    async startSignIn(page, text) {
      const { tenant } = page;
      const mailbox = text.trim().toLowerCase();
      const named = await mailboxesOf(db, tenant.id);
      if (tenant.credential !== null || !named.some((one) => one.mailbox === mailbox))
        return refuse(page, 'sign_in.unknown_mailbox', {
          title: 'Nobody can sign in for that mailbox here',
          text: 'Choose one of those on the page. Nothing was changed.',
        });
      const id = deps.mint();
      try {
        const options = await signInOptions(tenant);
        const state = box.seal(id, stateContext);
        const { url, verifier } = await beginSignIn(options, { mailbox, redirectUri, state });
        const verifierSealed = box.seal(verifier, stateContext);
        const journey: Journey = { id, tenantId: tenant.id, linkId: page.id, kind: 'sign-in', mailbox, verifierSealed };
        await saveJourney(db, journey, journeyMinutes);
        await audit(tenant.id, 'sign_in.asked', page.id, { mailbox });
        return url;
      } catch (thrown) {
        const error = toSyncError(thrown);
        return refuse(page, 'sign_in.refused', {
          title: 'Microsoft cannot be asked',
          text: `${error.message} ${remedyOf(error)}`,
        });
      }
    },

    async comeBack(query, hasPage) {
      const id = journeyId(query.get('state') ?? '');
      if (id === null)
        return stranger(
          'consent.state_forged',
          'The address does not carry what this program gave to Microsoft. Nothing was changed. Start again from the link that you were given.',
        );
      const end = await endJourney(db, id);
      if (end.kind !== 'found')
        return end.kind === 'used'
          ? stranger('consent.state_replayed', 'This answer was taken already; it counts once. Nothing was changed.')
          : stranger(
              'consent.state_expired',
              'Too much time went by on the page of Microsoft. Nothing was changed. Start again from the link that you were given.',
            );
      const { journey } = end;
      // Else somebody could lead a person here with their own sign-in, and have their own calendar shown as that person's.
      if (journey.kind === 'sign-in' && !(await hasPage(journey.tenantId, journey.linkId)))
        return stranger(
          'sign_in.other_browser',
          'A sign-in ends in the browser in which it began. Nothing was changed. Start again from the link that you were given.',
        );
      const tenant = await loadTenant(db, box, journey.tenantId);
      if (tenant === null) return stranger('consent.tenant_gone', 'This organisation is configured here no more.');
      return { tenantId: tenant.id, linkId: journey.linkId, outcome: await settle(journey, tenant, query) };
    },

    async prove({ tenant }) {
      await prove(tenant);
      return { kind: 'done', done: 'tried' };
    },

    async paste(page, text) {
      const { tenant } = page;
      const result = readPasted(text);
      if (result === null)
        return refuse(page, 'consent.paste_unreadable', {
          title: 'That is not the line that the script prints',
          text: 'Copy the whole last line, from "calendar-sync-result:" to its end, and paste it again. Nothing was changed.',
        });
      if (result.client.toLowerCase() !== tenant.client.toLowerCase() || isAnother(result.directory, tenant.directory))
        return refuse(page, 'consent.paste_other', {
          title: 'That result is about another application or organisation',
          text: `Expected are the application ${tenant.client} in ${tenant.directory}. Nothing was changed.`,
        });
      const outside = result.mailboxes.filter(({ inScope }) => !inScope).map(({ address }) => address);
      if (outside.length > 0 || result.mailboxes.length === 0)
        return refuse(page, 'consent.paste_outside', {
          title: 'Exchange does not name all mailboxes yet',
          text: `${outside.length === 0 ? 'The result names no mailbox.' : `Outside the scope: ${outside.join(', ')}.`} Run the script again from this page; it names the mailboxes of today. Nothing was changed.`,
        });
      if (result.grants.length > 0 || result.control?.inScope === true)
        return refuse(page, 'consent.paste_too_wide', {
          title: 'The app may read more than these mailboxes',
          text:
            result.grants.length > 0
              ? `Entra grants it ${result.grants.map((grant) => grant.slice(0, 60)).join(', ')} for all mailboxes. Remove that permission in Entra and run the script again. Nothing was changed.`
              : `The control mailbox ${result.control?.address.slice(0, 200) ?? ''} is within the scope. Name another, or take it out. Nothing was changed.`,
        });
      await recordGrant(db, tenant.id, 'pasted');
      await audit(tenant.id, 'consent.pasted', page.id, { mailboxes: result.mailboxes.length });
      await prove(tenant);
      return { kind: 'done', done: 'pasted' };
    },

    async setControl(page, text) {
      const { tenant } = page;
      const mailbox = text.trim().toLowerCase();
      if (mailbox !== '' && (!/^[^\s@<>"]+@[^\s@<>"]+\.[^\s@<>"]+$/.test(mailbox) || mailbox.length > 320))
        return refuse(page, 'consent.control_malformed', {
          title: 'That is no mail address',
          text: 'Write the control mailbox like somebody@example.com. Nothing was changed.',
        });
      const named = await mailboxesOf(db, tenant.id);
      if (named.some((one) => one.mailbox === mailbox))
        return refuse(page, 'consent.control_is_read', {
          title: 'That mailbox is one of those to be read',
          text: 'Name one that the program must not be able to read. Nothing was changed.',
        });
      await setControlMailbox(db, tenant.id, mailbox === '' ? null : mailbox);
      await audit(tenant.id, 'consent.control_set', page.id, { mailbox: mailbox === '' ? null : mailbox });
      await prove(tenant);
      return { kind: 'done', done: 'control' };
    },

    async setCeiling(page, ceiling, isApproved) {
      const { tenant } = page;
      if (!isPrivacy(ceiling))
        return refuse(page, 'consent.ceiling_malformed', {
          title: 'Choose one of busy, title and full',
          text: 'Nothing was changed.',
        });
      const before = (await loadAccess(db, tenant.id)).ceiling;
      if (before !== null && detail[ceiling] > detail[before] && !isApproved)
        return refuse(page, 'consent.ceiling_unapproved', {
          title: 'A higher limit needs your approval',
          text: `You permitted "${before}". To permit "${ceiling}", tick that you approve. Nothing was changed.`,
        });
      await store.transaction((inside) => changeCeiling(inside, tenant.id, ceiling));
      await audit(tenant.id, 'consent.ceiling_set', page.id, { from: before, to: ceiling });
      return { kind: 'done', done: 'ceiling' };
    },
  };
}

const detail: Readonly<Record<Privacy, number>> = { busy: 0, title: 1, full: 2 };

function isPrivacy(text: string): text is Privacy {
  return text in detail;
}

function idOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

function wayOf({ credential, access }: Tenant): ConsentView['tenant']['access'] {
  return credential === null ? 'delegated' : access;
}

/** Whether an id is of another directory; where one of the two is a domain nobody can tell, and the proof decides. */
function isAnother(given: string | null, directory: string): boolean {
  const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
  if (given === null || !guid.test(directory) || !guid.test(given)) return false;
  return given.toLowerCase() !== directory.toLowerCase();
}

const notices = {
  granted: {
    kind: 'good',
    title: 'Thank you: Microsoft says that access was granted',
    text: 'It was tried at once; what came of it stands below. Where it does not work yet it is tried every two minutes.',
  },
  pasted: {
    kind: 'good',
    title: 'Thank you: the result was taken',
    text: 'Exchange needs up to two hours. It is tried every two minutes until it works; nothing is left for you to do.',
  },
  signedIn: {
    kind: 'good',
    title: 'Thank you: the sign-in was taken',
    text: 'The calendar can be read from now on; what was found stands below.',
  },
  tried: { kind: 'note', title: 'Tried', text: 'What came of it stands below.' },
  control: { kind: 'good', title: 'Saved', text: 'The control mailbox was tried; what came of it stands below.' },
  ceiling: {
    kind: 'good',
    title: 'Saved',
    text: 'What showed more than you permit is being cut down now, in what is stored and in the calendar.',
  },
} as const satisfies Readonly<Record<string, Notice>>;

export type DoneName = keyof typeof notices;

function isDoneName(name: string | null): name is DoneName {
  return name !== null && name in notices;
}
