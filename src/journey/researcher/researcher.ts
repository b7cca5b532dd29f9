import type { PhtError } from '../../model/error.ts';
import type { Network } from '../../model/network.ts';
import type { Clock } from '../../ports/clock.ts';

/** Who the verbs of this role act for. */
export type Researcher = {
  readonly id: string;
  network(): Network;
  readonly clock: Clock;
  /** What goes on, for people. */
  tell(line: string): void;
};

/** Tries again what may pass, with backoff and jitter, until the signal aborts or the attempts are used up. */
export type Retry = <T>(
  attempt: (attempt: { number: number; progressed(): void }) => Promise<T>,
  options: {
    signal: AbortSignal;
    attemptsMax?: number;
    retryAlso?: (error: PhtError) => boolean;
    onRetry?: (error: PhtError, waitMs: number) => void;
  },
) => Promise<T>;

/** For one unary call with an idempotency key: enough for a dispatcher that is restarting. */
export const CALL_ATTEMPTS_MAX = 5;
