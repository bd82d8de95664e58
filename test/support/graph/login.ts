/** The login host: discovery, admin consent and app-only tokens (Entra docs `v2-oauth2-client-creds-grant-flow.md`). */
import { createHmac } from 'node:crypto';

import { aadsts, type AadstsCode, type FailureFacts } from './aadsts.ts';
import { isAssertionRight } from './client-assertion.ts';
import type { SimulatedCloud } from './clouds.ts';
import { ok, type Answer, type Call } from './exchange.ts';
import { SignIns, type SignedIn } from './sign-ins.ts';
import type { TenantState } from './state.ts';
import type { World } from './world.ts';

export interface Grant {
  readonly directory: string;
  readonly cloud: string;
  readonly client: string;
  /** Mailbox id of the person who signed in; null: the app by itself. */
  readonly user: string | null;
  /** Epoch milliseconds. */
  readonly expiresMs: number;
}

export class Login {
  private readonly world: World;
  private readonly clouds: readonly SimulatedCloud[];
  private readonly tokenMinutes: () => number;
  readonly signIns: SignIns;
  private issued = 0;

  constructor(world: World, clouds: readonly SimulatedCloud[], tokenMinutes: () => number) {
    this.world = world;
    this.clouds = clouds;
    this.tokenMinutes = tokenMinutes;
    this.signIns = new SignIns(world);
  }

  answer(call: Call): Answer {
    const host = this.clouds.find(({ login, loginAliases }) => [login, ...loginAliases].includes(call.url.origin));
    const path = call.url.pathname;
    if (!host) return { status: 404, body: '' };
    if (path === '/common/discovery/instance') return this.instanceDiscovery(call);
    const [, tenant = '', rest = ''] = /^\/([^/]+)\/(.*)$/.exec(path) ?? [];
    if (rest.endsWith('.well-known/openid-configuration')) return this.openIdConfiguration(host, tenant);
    if (rest === 'oauth2/v2.0/token' && call.method === 'POST') return this.token(host, tenant, call);
    if (rest === 'oauth2/v2.0/authorize') return this.signIns.authorize(call);
    if (rest === 'oauth2/v2.0/devicecode' && call.method === 'POST') return this.signIns.deviceCode(host, call);
    if (rest === 'adminconsent' || rest === 'v2.0/adminconsent') return this.adminConsent(tenant, call);
    return { status: 404, body: '' };
  }

  /** Reads a bearer token; null when it is forged, expired or from elsewhere. */
  grantOf(token: string): Grant | null {
    const [payload = '', signature] = token.split('.');
    if (signature !== this.signature(payload)) return null;
    const grant = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Grant;
    return grant.expiresMs > this.world.now().getTime() ? grant : null;
  }

  private signature(payload: string): string {
    return createHmac('sha256', this.world.state.tokenKey).update(payload).digest('base64url');
  }

  private instanceDiscovery(call: Call): Answer {
    const wanted = new URL(call.url.searchParams.get('authorization_endpoint') ?? 'https://unknown.invalid');
    const metadata = this.clouds.map(({ login, loginAliases }) => ({
      preferred_network: new URL(login).host,
      preferred_cache: new URL(login).host,
      aliases: [login, ...loginAliases].map((origin) => new URL(origin).host),
    }));
    const tenant = wanted.pathname.split('/')[1] ?? 'common';
    return ok({
      tenant_discovery_endpoint: `${wanted.origin}/${tenant}/v2.0/.well-known/openid-configuration`,
      'api-version': '1.1',
      metadata,
    });
  }

  private openIdConfiguration(host: SimulatedCloud, directory: string): Answer {
    const tenant = this.world.tenant(directory);
    const isGeneral = ['common', 'organizations', 'consumers'].includes(directory);
    if (!tenant && !isGeneral) return this.fail(90002, { tenant: directory });
    const id = tenant?.directory ?? '{tenantid}';
    const base = `${host.login}/${tenant?.directory ?? directory}`;
    return ok({
      issuer: `${host.login}/${id}/v2.0`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      device_authorization_endpoint: `${base}/oauth2/v2.0/devicecode`,
      end_session_endpoint: `${base}/oauth2/v2.0/logout`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
      token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt', 'client_secret_basic'],
      response_types_supported: ['code'],
      subject_types_supported: ['pairwise'],
      cloud_instance_name: new URL(host.login).host.replace(/^login\./, ''),
      msgraph_host: new URL(host.graph).host,
    });
  }

  private token(host: SimulatedCloud, directory: string, call: Call): Answer {
    const form = new URLSearchParams(call.body);
    const client = form.get('client_id') ?? '';
    const scope = form.get('scope') ?? '';
    const resource = scope
      .split(' ')
      .find((part) => part.endsWith('/.default'))
      ?.replace(/\/\.default$/, '');
    const facts = { client, tenant: directory, resource: resource ?? scope };
    const isAppOnly = form.get('grant_type') === 'client_credentials';
    const tenant = this.world.tenant(directory);
    if (!tenant) return this.fail(90002, facts);
    const home = this.clouds.find(({ id }) => id === tenant.cloud);
    // The tenant is known but lives elsewhere: tokens never cross clouds (`deployments.md`).
    if (home?.login !== host.login) return this.fail(900382, facts);
    if (client !== tenant.client) return this.fail(700016, facts);
    if (tenant.isAppDisabled) return this.fail(7000112, facts);
    // Public clients sign people in without any credential of their own.
    const isPublic = !isAppOnly && !form.has('client_secret') && !form.has('client_assertion');
    const refused = isPublic ? null : this.checkCredential(tenant, form, host, directory);
    if (refused !== null) return this.fail(refused, facts);
    if (!isAppOnly) {
      const signedIn = this.signIns.redeem(tenant, form);
      if (typeof signedIn === 'number') return this.fail(signedIn, facts);
      return ok(this.issueTo(tenant, signedIn));
    }
    if (resource === undefined) return this.fail(1002012, facts);
    // The Graph host in the scope must be the tenant's own cloud's (`sdks/national-clouds.md`).
    if (resource !== home.graph) return this.fail(500011, facts);
    // A token is issued even when no role is granted: it proves nothing about consent.
    return ok(this.issue(tenant));
  }

  /** Null when the credential is right. */
  private checkCredential(
    tenant: TenantState,
    form: URLSearchParams,
    host: SimulatedCloud,
    directory: string,
  ): AadstsCode | null {
    const secret = form.get('client_secret');
    const assertion = form.get('client_assertion');
    if (assertion !== null) {
      const audiences = [host.login, ...host.loginAliases].flatMap((origin) =>
        [directory, tenant.directory].map((id) => `${origin}/${id}/oauth2/v2.0/token`),
      );
      return isAssertionRight(assertion, tenant, audiences, this.world.now()) ? null : 700027;
    }
    if (secret === null) return 7000216;
    if (secret !== tenant.secret) return 7000215;
    const isExpired =
      tenant.secretExpiresAt !== null && Date.parse(tenant.secretExpiresAt) <= this.world.now().getTime();
    return isExpired ? 7000222 : null;
  }

  private issue(tenant: TenantState, user: string | null = null): Record<string, unknown> {
    this.issued += 1;
    const lifeMs = this.tokenMinutes() * 60_000;
    const { directory, cloud, client } = tenant;
    const grant: Grant = { directory, cloud, client, user, expiresMs: this.world.now().getTime() + lifeMs };
    const payload = Buffer.from(JSON.stringify({ ...grant, number: this.issued })).toString('base64url');
    const seconds = Math.round(lifeMs / 1000);
    return {
      token_type: 'Bearer',
      expires_in: seconds,
      ext_expires_in: seconds,
      access_token: `${payload}.${this.signature(payload)}`,
    };
  }

  /** A person's tokens: refresh token and identity come along, in the form that MSAL keeps accounts by. */
  private issueTo(tenant: TenantState, { mailbox, scope, refreshToken }: SignedIn): Record<string, unknown> {
    const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
    const seconds = Math.floor(this.world.now().getTime() / 1000);
    const identity = {
      aud: tenant.client,
      iss: `https://login.microsoftonline.com/${tenant.directory}/v2.0`,
      iat: seconds,
      exp: seconds + 3600,
      oid: mailbox.id,
      sub: mailbox.id,
      tid: tenant.directory,
      preferred_username: mailbox.upn,
      name: mailbox.name,
      ver: '2.0',
    };
    return {
      ...this.issue(tenant, mailbox.id),
      scope,
      refresh_token: refreshToken,
      id_token: `${encoded({ alg: 'RS256', typ: 'JWT' })}.${encoded(identity)}.simulated`,
      client_info: encoded({ uid: mailbox.id, utid: tenant.directory }),
    };
  }

  /**
   * Grants at once and goes back to the app. A refusal (ask with `prompt=refuse`) of the v2 endpoint also says
   * admin_consent=True beside its error (`v2-admin-consent.md`): readers must look at `error` first.
   */
  private adminConsent(directory: string, call: Call): Answer {
    const query = call.url.searchParams;
    const tenant = this.world.tenant(directory);
    const back = new URL(query.get('redirect_uri') ?? 'https://unknown.invalid');
    const isV2 = call.url.pathname.includes('/v2.0/');
    back.searchParams.set('state', query.get('state') ?? '');
    if (!tenant || query.get('client_id') !== tenant.client || query.get('prompt') === 'refuse') {
      back.searchParams.set('error', isV2 ? 'consent_required' : 'permission_denied');
      back.searchParams.set(
        'error_description',
        'AADSTS65004: The resource owner or administrator denied the request.',
      );
      if (isV2) back.searchParams.set('admin_consent', 'True');
    } else {
      tenant.consent = true;
      this.world.save();
      back.searchParams.set('tenant', tenant.directory);
      back.searchParams.set('admin_consent', 'True');
      if (isV2) back.searchParams.set('scope', query.get('scope') ?? '');
    }
    return { status: 302, headers: { location: back.href }, body: null };
  }

  private fail(code: AadstsCode, facts: FailureFacts): Answer {
    return aadsts(code, facts, this.world.nowText());
  }
}
