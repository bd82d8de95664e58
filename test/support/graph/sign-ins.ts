/** Delegated sign-in: authorization code with PKCE, device code, refresh (Entra docs `v2-oauth2-auth-code-flow.md`). */
import { createHash } from 'node:crypto';

import type { AadstsCode } from './aadsts.ts';
import type { SimulatedCloud } from './clouds.ts';
import { ok, type Answer, type Call } from './exchange.ts';
import { guid } from './ids.ts';
import type { MailboxState, TenantState } from './state.ts';
import type { World } from './world.ts';

export interface SignedIn {
  readonly mailbox: MailboxState;
  readonly scope: string;
  readonly refreshToken: string;
}

interface Pending {
  readonly client: string;
  readonly scope: string;
  readonly redirect: string | null;
  readonly challenge: string | null;
  readonly expiresMs: number;
  /** Who signed in; null: nobody yet. */
  upn: string | null;
}

export class SignIns {
  private readonly world: World;
  private readonly codes = new Map<string, Pending>();
  private readonly devices = new Map<string, Pending>();
  private readonly refreshTokens = new Map<string, Pending>();
  private readonly revoked = new Set<string>();
  private count = 0;

  constructor(world: World) {
    this.world = world;
  }

  /** The sign-in page of somebody who is `login_hint` and agrees at once (`prompt=refuse`: declines). */
  authorize(call: Call): Answer {
    const query = call.url.searchParams;
    const back = new URL(query.get('redirect_uri') ?? 'https://unknown.invalid');
    back.searchParams.set('state', query.get('state') ?? '');
    if (query.get('prompt') === 'refuse') {
      back.searchParams.set('error', 'access_denied');
      back.searchParams.set('error_description', 'AADSTS65004: User declined to consent to access the app.');
    } else {
      const code = this.secret('code');
      this.codes.set(code, {
        client: query.get('client_id') ?? '',
        scope: query.get('scope') ?? '',
        redirect: query.get('redirect_uri'),
        challenge: query.get('code_challenge'),
        expiresMs: this.world.now().getTime() + 600_000,
        upn: query.get('login_hint'),
      });
      back.searchParams.set('code', code);
    }
    return { status: 302, headers: { location: back.href }, body: null };
  }

  /** Begins a device flow: 15 minutes, poll for the token meanwhile. */
  deviceCode(host: SimulatedCloud, call: Call): Answer {
    const form = new URLSearchParams(call.body);
    const deviceCode = this.secret('device');
    const userCode = `SIM${String(this.count).padStart(6, '0')}`;
    this.devices.set(deviceCode, {
      client: form.get('client_id') ?? '',
      scope: form.get('scope') ?? '',
      redirect: userCode,
      challenge: null,
      expiresMs: this.world.now().getTime() + 900_000,
      upn: null,
    });
    const verificationUri = `${host.login}/common/oauth2/deviceauth`;
    return ok({
      user_code: userCode,
      device_code: deviceCode,
      verification_uri: verificationUri,
      expires_in: 900,
      interval: 1, // Entra says 5; whoever waits is to do as told
      message: `To sign in, open the page ${verificationUri} and enter the code ${userCode} to authenticate.`,
    });
  }

  /** What the person does on the device page. */
  enterDeviceCode(userCode: string, upn: string): void {
    const pending = [...this.devices.values()].find(({ redirect }) => redirect === userCode);
    if (!pending) throw new Error(`No device waits with the code ${userCode}.`);
    pending.upn = upn;
  }

  /** Codes that wait to be entered, oldest first. */
  waitingCodes(): string[] {
    return [...this.devices.values()].flatMap(({ redirect, upn }) =>
      upn === null && redirect !== null ? [redirect] : [],
    );
  }

  /** Ends a person's sign-ins: their refresh tokens answer AADSTS50173. */
  revoke(upn: string): void {
    this.revoked.add(upn);
  }

  /** Who signed in by a code, a device or a refresh token; else the refusal. */
  redeem(tenant: TenantState, form: URLSearchParams): SignedIn | AadstsCode {
    switch (form.get('grant_type')) {
      case 'authorization_code':
        return this.redeemCode(tenant, form);
      // The second is MSAL's name for it, which Entra takes as well.
      case 'urn:ietf:params:oauth:grant-type:device_code':
      case 'device_code':
        return this.redeemDevice(tenant, form.get('device_code') ?? '');
      case 'refresh_token': {
        const pending = this.refreshTokens.get(form.get('refresh_token') ?? '');
        if (!pending) return 70008;
        return this.revoked.has(pending.upn ?? '') ? 50173 : this.signedIn(tenant, pending);
      }
      default:
        return 70003;
    }
  }

  private redeemCode(tenant: TenantState, form: URLSearchParams): SignedIn | AadstsCode {
    const code = form.get('code') ?? '';
    const pending = this.codes.get(code);
    // A code works once.
    this.codes.delete(code);
    if (!pending || pending.redirect !== form.get('redirect_uri') || this.isOver(pending)) return 70008;
    const proof = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (pending.challenge !== null && proof !== pending.challenge) return 501481;
    return this.signedIn(tenant, pending);
  }

  private redeemDevice(tenant: TenantState, deviceCode: string): SignedIn | AadstsCode {
    const pending = this.devices.get(deviceCode);
    if (!pending || this.isOver(pending)) return 70019;
    if (pending.upn === null) return 70016;
    this.devices.delete(deviceCode);
    return this.signedIn(tenant, pending);
  }

  private signedIn(tenant: TenantState, pending: Pending): SignedIn | AadstsCode {
    const mailbox = this.world.mailboxOf(tenant, pending.upn ?? '');
    if (!mailbox || pending.client !== tenant.client) return 70008;
    this.revoked.delete(mailbox.upn);
    const refreshToken = this.secret('refresh');
    this.refreshTokens.set(refreshToken, pending);
    return { mailbox, scope: pending.scope, refreshToken };
  }

  private isOver({ expiresMs }: Pending): boolean {
    return expiresMs <= this.world.now().getTime();
  }

  private secret(kind: string): string {
    this.count += 1;
    return `${kind}.${guid(kind, this.count)}`;
  }
}
