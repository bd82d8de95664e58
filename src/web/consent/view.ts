import type { Privacy } from '../../calendar/privacy.ts';
import type { Cloud } from '../../shared/clouds.ts';
import type { MailboxAccess, TenantAccess } from '../../store/tenant-access.ts';
import type { Notice } from './page.ts';

/** Who signed in for a mailbox, where people do. */
export interface SignInView {
  readonly mailbox: string;
  readonly username: string;
  readonly signedInAt: Date;
  readonly expiresAt: Date | null;
}

/** All that the pages of one tenant show. */
export interface ConsentView {
  /** Where these pages are, without a slash at the end: `/consent`, behind the path of PUBLIC_URL. */
  readonly base: string;
  readonly tenant: {
    readonly id: string;
    readonly name: string;
    readonly directory: string;
    readonly client: string;
    /** `delegated`: people sign in by themselves. */
    readonly access: 'scoped' | 'tenant-wide' | 'delegated';
    readonly ceiling: Privacy;
    readonly keepWithdrawnDays: number;
  };
  readonly cloud: Cloud;
  readonly access: TenantAccess;
  readonly mailboxes: readonly MailboxAccess[];
  readonly signIns: readonly SignInView[];
  /** PEM of the app's certificate; null: it proves itself by a secret. */
  readonly certificate: string | null;
  readonly redirectUri: string;
  readonly expiresAt: Date;
  readonly notice: Notice | null;
}
