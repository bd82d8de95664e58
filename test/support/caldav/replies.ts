import type { Mail } from './scheduling.ts';
import type { Store, User } from './store.ts';
import * as xml from './xml.ts';

/** A request as the protocol sees it: authenticated, read to its end. */
export interface Call {
  readonly method: string;
  /** Path as sent. */
  readonly path: string;
  readonly header: (name: string) => string | undefined;
  readonly body: string;
  readonly user: User;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface World {
  readonly base: string;
  readonly users: readonly User[];
  readonly store: Store;
  readonly mails: Mail[];
  isCalDavOn: boolean;
}

/** A reply, and what becomes of the store; kept apart so that a fault can do one without the other. */
export interface Decision {
  readonly reply: Reply;
  readonly commit: ((isLogged: boolean) => void) | null;
}

export const xmlType = { 'Content-Type': 'application/xml; charset=utf-8' };
export const ok = (status: number, headers: Readonly<Record<string, string>> = {}, body = ''): Reply => ({
  status,
  headers,
  body,
});
export const fail = (status: number, exception: string, message: string, extra = '', headers = {}): Reply =>
  ok(status, { ...xmlType, ...headers }, xml.errorBody(exception, message, extra));
export const only = (reply: Reply): Decision => ({ reply, commit: null });

export const notFound = (message: string): Reply => fail(404, 'Sabre\\DAV\\Exception\\NotFound', message);
export const forbidden = (path: string): Reply =>
  fail(
    403,
    'Sabre\\DAVACL\\Exception\\NeedPrivileges',
    `User did not have the required privileges for path "${path}"`,
    '  <d:need-privileges/>\n',
  );
