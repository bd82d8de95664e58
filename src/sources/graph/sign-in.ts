import { CryptoProvider, PublicClientApplication, type AccountInfo, type AuthenticationResult } from '@azure/msal-node';
import { SyncError } from '../../shared/errors.ts';
import { loginNetwork, unexplained, type TokenOptions, type Tokens } from './tokens.ts';

export type SignInOptions = Omit<TokenOptions, 'credential'>;

/** A person's sign-in, as it is kept: MSAL's cache holds the refresh token. */
export interface SignedIn {
  readonly account: string;
  readonly username: string;
  readonly cache: string;
  /** Until when it can be renewed, where the login host says so; null: nobody says. */
  readonly expiresAt: Date | null;
  readonly accessToken: string;
}

/** Where sign-ins are kept, for all workers. */
export interface SignInKeeper {
  load(): Promise<{ readonly account: string; readonly cache: string } | null>;
  save(renewed: Omit<SignedIn, 'accessToken'>): Promise<void>;
}

/** Renewed so long before it ends: an access token must outlive the request that it goes with. */
const marginMs = 300_000;

/**
 * Tokens of a person who signed in, for their own calendars (delegated Calendars.Read). In memory while they live; else
 * renewed from what is kept. Throws `graph.sign_in_again` or `graph.not_signed_in` when only the person can help.
 */
export function personTokens(options: SignInOptions, keeper: SignInKeeper): Tokens {
  let latest: { readonly token: string; readonly endsMs: number } | null = null;
  let flight: Promise<string> | null = null;

  const renew = async (): Promise<string> => {
    const kept = await keeper.load();
    if (kept === null) throw signInAgain(null);
    const person = publicClient(options);
    const tokenCache = person.app.getTokenCache();
    tokenCache.deserialize(kept.cache);
    const account = await accountOf(person.app, kept.account);
    if (account === null) throw signInAgain(null);
    const answer = await person.ask(() =>
      person.app.acquireTokenSilent({ account, scopes: scopesOf(options), forceRefresh: true }),
    );
    const { accessToken, ...renewed } = signedIn(answer, tokenCache.serialize());
    await keeper.save(renewed);
    latest = { token: accessToken, endsMs: answer.expiresOn?.getTime() ?? 0 };
    return accessToken;
  };
  const fly = (): Promise<string> => {
    flight ??= renew().finally(() => (flight = null));
    return flight;
  };
  return {
    get: () =>
      latest !== null && latest.endsMs - marginMs > options.clock.now().getTime()
        ? Promise.resolve(latest.token)
        : fly(),
    replace: (refused) => (latest !== null && latest.token !== refused ? Promise.resolve(latest.token) : fly()),
    renew: fly,
  };
}

/** Where a person signs in, and the verifier that proves on return that it was us who asked (RFC 7636). */
export async function beginSignIn(
  options: SignInOptions,
  { mailbox, redirectUri, state }: { readonly mailbox: string; readonly redirectUri: string; readonly state: string },
): Promise<{ url: string; verifier: string }> {
  const { verifier, challenge } = await new CryptoProvider().generatePkceCodes();
  const person = publicClient(options);
  const url = await person.ask(() =>
    person.app.getAuthCodeUrl({
      scopes: scopesOf(options),
      redirectUri,
      state,
      loginHint: mailbox,
      codeChallenge: challenge,
      codeChallengeMethod: 'S256',
    }),
  );
  return { url, verifier };
}

/** Trades what the person came back with for tokens. Throws SyncError. */
export async function finishSignIn(
  options: SignInOptions,
  { code, verifier, redirectUri }: { readonly code: string; readonly verifier: string; readonly redirectUri: string },
): Promise<SignedIn> {
  const person = publicClient(options);
  const answer = await person.ask(() =>
    person.app.acquireTokenByCode({ code, codeVerifier: verifier, redirectUri, scopes: scopesOf(options) }),
  );
  return signedIn(answer, person.app.getTokenCache().serialize());
}

/** Signs in by a code that the person enters on another device; `tell` is given what to tell them. Throws SyncError. */
export async function signInByDevice(
  options: SignInOptions,
  tell: (told: { readonly url: string; readonly code: string }) => void,
): Promise<SignedIn> {
  const person = publicClient(options);
  const answer = await person.ask(() =>
    person.app.acquireTokenByDeviceCode({
      scopes: scopesOf(options),
      deviceCodeCallback: ({ verificationUri, userCode }) => {
        tell({ url: verificationUri, code: userCode });
      },
    }),
  );
  return signedIn(answer, person.app.getTokenCache().serialize());
}

function publicClient(options: SignInOptions) {
  const wire = loginNetwork(options);
  const { cloud, directory, client } = options;
  const app = new PublicClientApplication({
    auth: { clientId: client, authority: `${cloud.login}/${directory}`, knownAuthorities: [new URL(cloud.login).host] },
    system: { networkClient: wire.network, disableInternalRetries: true },
  });
  const ask = async <T>(work: () => Promise<T | null>): Promise<T> => {
    try {
      const answer = await work();
      if (answer !== null) return answer;
    } catch (thrown) {
      throw thrown instanceof SyncError ? thrown : (wire.reason(options.clock.now()) ?? unexplained(thrown));
    }
    throw unexplained(null);
  };
  return { app, ask };
}

/** Reading one's own calendars; MSAL asks for offline_access by itself. */
function scopesOf({ cloud }: SignInOptions): string[] {
  return [`${cloud.graph}/Calendars.Read`];
}

async function accountOf(app: PublicClientApplication, id: string): Promise<AccountInfo | null> {
  const all = await app.getTokenCache().getAllAccounts();
  return all.find(({ homeAccountId }) => homeAccountId === id) ?? null;
}

function signedIn({ account, accessToken }: AuthenticationResult, cache: string): SignedIn {
  if (account === null) throw signInAgain(null);
  return {
    account: account.homeAccountId,
    username: account.username,
    cache,
    expiresAt: refreshEnd(cache),
    accessToken,
  };
}

/** Login hosts that limit a refresh token say for how long (`refresh_token_expires_in`); MSAL keeps it beside the token. */
function refreshEnd(cache: string): Date | null {
  const { RefreshToken: kept = {} } = JSON.parse(cache) as {
    RefreshToken?: Record<string, { expires_on?: string; expiresOn?: string }>;
  };
  const ends = Object.values(kept)
    .map(({ expires_on: one, expiresOn: other }) => Number(one ?? other))
    .filter((seconds) => Number.isFinite(seconds) && seconds > 0);
  return ends.length === 0 ? null : new Date(Math.max(...ends) * 1_000);
}

function signInAgain(cause: unknown): SyncError {
  return new SyncError('Nobody is signed in for this mailbox.', {
    code: 'graph.not_signed_in',
    recovery: {
      kind: 'operator',
      remedy:
        'Sign in on the consent page ("calendar-sync consent <tenant>") or by "calendar-sync sign-in <tenant> <mailbox>".',
    },
    cause,
  });
}
