/** The login host: discovery, admin consent and app-only tokens (Entra docs `v2-oauth2-client-creds-grant-flow.md`). */
import { constants, createHash, createHmac, verify, X509Certificate } from 'node:crypto';

import type { SimulatedCloud } from './clouds.ts';
import { ok, type Answer, type Call } from './exchange.ts';
import { guid } from './ids.ts';
import type { TenantState } from './state.ts';
import type { World } from './world.ts';

export interface Grant {
  readonly directory: string;
  readonly cloud: string;
  readonly client: string;
  /** Epoch milliseconds. */
  readonly expiresMs: number;
}

/** AADSTS codes with the OAuth error and status they come with (Entra docs `reference-error-codes.md`). */
const failures = {
  7000215: [
    401,
    'invalid_client',
    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'.",
  ],
  7000222: [401, 'invalid_client', "The provided client secret keys for app '{client}' are expired."],
  700027: [
    401,
    'invalid_client',
    'The certificate with identifier used to sign the client assertion is not registered on application, or the assertion failed signature validation.',
  ],
  700016: [
    400,
    'unauthorized_client',
    "Application with identifier '{client}' was not found in the directory '{tenant}'.",
  ],
  7000112: [401, 'invalid_client', "Application '{client}' is disabled."],
  7000216: [
    401,
    'invalid_client',
    "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
  ],
  90002: [
    400,
    'invalid_request',
    "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
  ],
  900382: [400, 'invalid_request', 'Confidential Client is not supported in Cross Cloud request.'],
  500011: [
    400,
    'invalid_resource',
    "The resource principal named {resource} was not found in the tenant named '{tenant}'.",
  ],
  1002012: [
    400,
    'invalid_scope',
    'The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.',
  ],
  70003: [400, 'unsupported_grant_type', 'The app requested an unsupported grant type.'],
} as const satisfies Record<number, readonly [number, string, string]>;

export type AadstsCode = keyof typeof failures;

export class Login {
  private readonly world: World;
  private readonly clouds: readonly SimulatedCloud[];
  private readonly tokenMinutes: () => number;
  private issued = 0;

  constructor(world: World, clouds: readonly SimulatedCloud[], tokenMinutes: () => number) {
    this.world = world;
    this.clouds = clouds;
    this.tokenMinutes = tokenMinutes;
  }

  answer(call: Call): Answer {
    const host = this.clouds.find(({ login, loginAliases }) => [login, ...loginAliases].includes(call.url.origin));
    const path = call.url.pathname;
    if (!host) return { status: 404, body: '' };
    if (path === '/common/discovery/instance') return this.instanceDiscovery(call);
    const [, tenant = '', rest = ''] = /^\/([^/]+)\/(.*)$/.exec(path) ?? [];
    if (rest.endsWith('.well-known/openid-configuration')) return this.openIdConfiguration(host, tenant);
    if (rest === 'oauth2/v2.0/token' && call.method === 'POST') return this.token(host, tenant, call);
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
    if (!tenant && !isGeneral) return this.failure(90002, { tenant: directory });
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
    if (form.get('grant_type') !== 'client_credentials') return this.failure(70003, facts);
    const tenant = this.world.tenant(directory);
    if (!tenant) return this.failure(90002, facts);
    const home = this.clouds.find(({ id }) => id === tenant.cloud);
    // The tenant is known but lives elsewhere: tokens never cross clouds (`deployments.md`).
    if (home?.login !== host.login) return this.failure(900382, facts);
    if (client !== tenant.client) return this.failure(700016, facts);
    if (tenant.isAppDisabled) return this.failure(7000112, facts);
    const refused = this.checkCredential(tenant, form, host, directory);
    if (refused !== null) return this.failure(refused, facts);
    if (resource === undefined) return this.failure(1002012, facts);
    // The Graph host in the scope must be the tenant's own cloud's (`sdks/national-clouds.md`).
    if (resource !== home.graph) return this.failure(500011, facts);
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

  private issue(tenant: TenantState): Record<string, unknown> {
    this.issued += 1;
    const lifeMs = this.tokenMinutes() * 60_000;
    const grant = {
      directory: tenant.directory,
      cloud: tenant.cloud,
      client: tenant.client,
      expiresMs: this.world.now().getTime() + lifeMs,
      number: this.issued,
    };
    const payload = Buffer.from(JSON.stringify(grant)).toString('base64url');
    const seconds = Math.round(lifeMs / 1000);
    return {
      token_type: 'Bearer',
      expires_in: seconds,
      ext_expires_in: seconds,
      access_token: `${payload}.${this.signature(payload)}`,
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

  private failure(code: AadstsCode, facts: { client?: string; tenant: string; resource?: string }): Answer {
    const [status, error, text] = failures[code];
    const filled = text.replaceAll(/\{(client|tenant|resource)\}/g, (_, name: keyof typeof facts) => facts[name] ?? '');
    const [trace, correlation] = [guid('trace', code), guid('correlation', code)];
    return {
      status,
      body: {
        error,
        error_description: `AADSTS${code}: ${filled} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${this.world.nowText().replace('T', ' ')}`,
        error_codes: [code],
        timestamp: this.world.nowText(),
        trace_id: trace,
        correlation_id: correlation,
        error_uri: `https://login.microsoftonline.com/error?code=${code}`,
      },
    };
  }
}

/** Checks a client assertion as Entra does: certificate thumbprint, signature (RS256 or PS256), audience, time, subject. */
function isAssertionRight(assertion: string, tenant: TenantState, audiences: readonly string[], now: Date): boolean {
  if (tenant.certificate === null) return false;
  const certificate = new X509Certificate(tenant.certificate);
  const [header = '', payload = '', signature = ''] = assertion.split('.');
  const head = parseJwtPart(header);
  const claims = parseJwtPart(payload);
  const thumb = (hash: 'sha1' | 'sha256'): string => createHash(hash).update(certificate.raw).digest('base64url');
  if (head['x5t#S256'] !== thumb('sha256') && head['x5t'] !== thumb('sha1')) return false;
  const isPss = head['alg'] === 'PS256';
  const padding = isPss
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    : { padding: constants.RSA_PKCS1_PADDING };
  const signed = verify(
    'sha256',
    Buffer.from(`${header}.${payload}`),
    { key: certificate.publicKey, ...padding },
    Buffer.from(signature, 'base64url'),
  );
  const seconds = now.getTime() / 1000;
  return (
    signed &&
    audiences.includes(String(claims['aud'])) &&
    claims['iss'] === tenant.client &&
    claims['sub'] === tenant.client &&
    Number(claims['exp']) > seconds &&
    Number(claims['nbf'] ?? 0) <= seconds + 300
  );
}

function parseJwtPart(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
}
