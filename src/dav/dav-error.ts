import { SyncError, type SyncErrorOptions } from '../shared/errors.ts';

/**
 * What became of the request that failed.
 *
 * - `not-sent`: nothing was changed on the server; the same request may be tried again.
 * - `unknown`: the server may have carried it out, now or later. Settle by reading the href.
 * - `refused`: nothing was changed, and this body will never be taken.
 */
export type Outcome = 'not-sent' | 'unknown' | 'refused';

export interface DavErrorOptions extends SyncErrorOptions {
  readonly outcome: Outcome;
  /** HTTP status of the answer; null when there was none. */
  readonly status: number | null;
}

/** A failed CalDAV request. Codes start with `dav.`; the message names the request, never a body or a secret. */
export class DavError extends SyncError {
  readonly outcome: Outcome;
  readonly status: number | null;

  constructor(message: string, options: DavErrorOptions) {
    super(message, options);
    this.name = 'DavError';
    this.outcome = options.outcome;
    this.status = options.status;
  }
}
