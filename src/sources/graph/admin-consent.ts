import type { Cloud } from '../../shared/clouds.ts';
import { entraNumbers } from './aadsts.ts';
import { aadsts, readNumbers } from './sign-in-errors.ts';

export interface ConsentApp {
  readonly cloud: Cloud;
  /** Directory id or a verified domain. */
  readonly directory: string;
  readonly client: string;
}

/**
 * Microsoft's page on which an administrator grants the app's application permissions for the whole tenant, on the login
 * host of the tenant's own cloud (Entra docs, `v2-admin-consent.md`). v2 names the Graph host, v1 takes what the app
 * registration asks for.
 */
export function adminConsentUrl(
  { cloud, directory, client }: ConsentApp,
  form: 'v1' | 'v2',
  { redirectUri, state }: { readonly redirectUri: string; readonly state: string },
): string {
  const path = form === 'v2' ? 'v2.0/adminconsent' : 'adminconsent';
  const url = new URL(`${cloud.login}/${encodeURIComponent(directory)}/${path}`);
  url.searchParams.set('client_id', client);
  if (form === 'v2') url.searchParams.set('scope', `${cloud.graph}/.default`);
  url.searchParams.set('redirect_uri', redirectUri);
  url.searchParams.set('state', state);
  return url.href;
}

/** What somebody came back with. */
export type ConsentAnswer =
  /** `tenant` is what the query says; anybody can write that. */
  | { readonly kind: 'granted'; readonly tenant: string | null }
  | { readonly kind: 'refused'; readonly error: string; readonly numbers: readonly number[] }
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'unclear' };

/** `error` is tested first: a v2 refusal also carries `admin_consent=True` (Entra docs, `v2-admin-consent.md`). */
export function readConsentAnswer(query: URLSearchParams): ConsentAnswer {
  const error = query.get('error');
  if (error !== null) {
    const isWord = /^\w{1,60}$/.test(error);
    const numbers = readNumbers({ error_description: query.get('error_description') ?? '' });
    return { kind: 'refused', error: isWord ? error : 'no reason', numbers };
  }
  const code = query.get('code');
  if (code !== null && code !== '') return { kind: 'code', code };
  if (query.get('admin_consent')?.toLowerCase() !== 'true') return { kind: 'unclear' };
  return { kind: 'granted', tenant: query.get('tenant') };
}

/** A refusal in words for who came back with it. Pure. */
export function sayRefusal({ error, numbers }: Extract<ConsentAnswer, { kind: 'refused' }>): string {
  const told = [`"${error}"`, ...numbers.map(aadsts)].join(', ');
  if (error === 'permission_denied' || error === 'access_denied' || numbers.includes(65004))
    return `It was declined on the page of Microsoft (${told}).`;
  const found = entraNumbers.find(({ number }) => numbers.includes(number));
  if (found === undefined)
    return `Microsoft answered ${told}. It takes a Global Administrator or Privileged Role Administrator of the organisation.`;
  return `Microsoft says: ${found.says} (${told}). ${found.remedy ?? 'Try again in a minute.'}`;
}
