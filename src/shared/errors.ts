/** What the runner does about a failure. It decides everything; the message is for people. */
export type Recovery =
  /** Passing fault: try again, not before the given instant (else back-off with jitter). */
  | { readonly kind: 'retry'; readonly notBefore?: Date }
  /** Our cursor is of no use any more: a full reading follows. */
  | { readonly kind: 'reread' }
  /** A person must act; the source or target pauses and is probed hourly. */
  | { readonly kind: 'operator'; readonly remedy: string };

export interface SyncErrorOptions extends ErrorOptions {
  /** Stable, dotted, lower case: `graph.access_denied`. Listed in docs/errors.md. */
  readonly code: string;
  readonly recovery: Recovery;
  /** Name of the setting or field at fault, if one is. */
  readonly field?: string;
}

/**
 * A failure somebody or something must act on. Adapters translate foreign errors to this once, in a pure function.
 * The message never holds a secret, a token, a body or a subject.
 */
export class SyncError extends Error {
  readonly code: string;
  readonly recovery: Recovery;
  readonly field: string | undefined;

  constructor(message: string, options: SyncErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SyncError';
    this.code = options.code;
    this.recovery = options.recovery;
    this.field = options.field;
  }
}

/** Anything thrown, as a SyncError; what nobody classified is a passing fault with the code `internal.unexpected`. */
export function toSyncError(thrown: unknown): SyncError {
  if (thrown instanceof SyncError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new SyncError(message, { code: 'internal.unexpected', recovery: { kind: 'retry' }, cause: thrown });
}

/** What a person is to do about it; a passing fault mends itself. */
export function remedyOf({ recovery }: SyncError): string {
  return recovery.kind === 'operator' ? recovery.remedy : 'Try again in a minute.';
}
