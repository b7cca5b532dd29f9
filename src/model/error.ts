/** Everything that can go wrong on purpose. A code is stable: programs and auditors match on it. */
export const ERROR_CODES = [
  // wrong use
  'usage.invalid',
  'config.invalid',
  'config.missing',
  'input.too-large',
  'input.malformed',
  'passphrase.required',
  'passphrase.wrong',
  'home.exists',
  'home.missing',
  'home.locked',
  // verification
  'statement.malformed',
  'statement.type',
  'signature.invalid',
  'signer.unknown',
  'network.mismatch',
  'network.invalid',
  'network.expired',
  'network.rollback',
  'network.stale',
  'network.behind',
  'network.forked',
  'signer.revoked',
  'certificate.invalid',
  'manifest.invalid',
  'manifest.expired',
  'manifest.too-long',
  'order.invalid',
  'order.expired',
  'order.audience',
  'inquiry.invalid',
  'inquiry.expired',
  'replayed',
  'image.mismatch',
  'image.unsafe',
  'image.missing',
  'envelope.invalid',
  'recipient.unknown',
  'receipt.invalid',
  'ledger.invalid',
  'ledger.inconsistent',
  'ledger.unchecked',
  'proof.invalid',
  'witness.unreachable',
  'dispatcher.distrusted',
  'clearance.invalid',
  // policy, people and disclosure
  'policy.denied',
  'policy.error',
  'policy.missing',
  'clearance.rejected',
  'clearance.expired',
  'clearance.withdrawn',
  'clearance.same-person',
  'policy.test-failed',
  'disclosure.withheld',
  'disclosure.held',
  // datasets and runs
  'dataset.unknown',
  'dataset.unreadable',
  'dataset.changed',
  'engine.unreachable',
  'engine.unsafe',
  'run.failed',
  'deadline.passed',
  'cancelled',
  'clock.untrusted',
  // between members
  'not-found',
  'forbidden',
  'conflict',
  'quota.exceeded',
  'stale.epoch',
  'unreachable',
  'timed-out',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

const KNOWN_CODES: ReadonlySet<string> = new Set(ERROR_CODES);

export function isErrorCode(text: string): text is ErrorCode {
  return KNOWN_CODES.has(text);
}

/**
 * The one error class. `message` says what happened in words for a person and may cross a wire;
 * `hint` says what to do next; `cause` stays in this process's own log and is never sent to a peer.
 */
export class PhtError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  /** For a refusal: each rule or clause by itself, in words. */
  readonly reasons: readonly string[];

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; cause?: unknown; reasons?: readonly string[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PhtError';
    this.code = code;
    this.hint = options.hint;
    this.reasons = options.reasons ?? [];
  }
}

/** Any thrown value as a PhtError; what is not one of ours becomes `internal` with the cause kept for the log. */
export function asPhtError(thrown: unknown): PhtError {
  if (thrown instanceof PhtError) return thrown;
  return new PhtError('internal', 'an unexpected error occurred; see the log of this process', {
    cause: thrown,
  });
}
