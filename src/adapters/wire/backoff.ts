import { setTimeout as sleep } from 'node:timers/promises';
import { PhtError } from '../../model/error.ts';
import { isTransient } from './status.ts';

export type BackoffLimits = { baseMs: number; maxMs: number };
const LIMITS: BackoffLimits = { baseMs: 250, maxMs: 15_000 };

/**
 * Full jitter: uniform between 0 and the doubled, capped ceiling, so that a hundred stations do not return at once.
 *
 * @param attempt 0 for the first wait
 * @param random uniform in [0, 1)
 * @returns milliseconds
 */
export function backoffMs(attempt: number, random: () => number, limits: BackoffLimits = LIMITS): number {
  const doublings = Math.min(Math.max(0, Math.trunc(attempt)), 30);
  return Math.floor(random() * Math.min(limits.maxMs, limits.baseMs * 2 ** doublings));
}

export type RetryOptions = {
  signal?: AbortSignal;
  /** Attempts after which the last error is thrown; without it, tries until the signal aborts. */
  attemptsMax?: number;
  random?: () => number;
  limits?: BackoffLimits;
  /** Called before each wait. */
  onRetry?: (error: PhtError, waitMs: number) => void;
  /** What else than `unreachable` and `timed-out` is worth another attempt. */
  retryAlso?: (error: PhtError) => boolean;
};

/** What `attempt` may do: `progressed` starts the backoff anew, since something came through. */
export type Attempt = { number: number; progressed(): void };

/** Tries again after `unreachable` and `timed-out`, and after nothing else unless `retryAlso` says so. */
export async function retrying<T>(
  attempt: (attempt: Attempt) => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const { signal, attemptsMax = Number.POSITIVE_INFINITY, random = Math.random, limits = LIMITS } = options;
  let failures = 0;
  const progressed = (): void => {
    failures = 0;
  };
  for (let number = 0; ; number++) {
    throwIfAborted(signal);
    try {
      return await attempt({ number, progressed });
    } catch (thrown) {
      throwIfAborted(signal);
      if (!(thrown instanceof PhtError) || !(isTransient(thrown) || options.retryAlso?.(thrown) === true))
        throw thrown;
      if (failures + 1 >= attemptsMax) throw thrown;
      const waitMs = backoffMs(failures, random, limits);
      failures += 1;
      options.onRetry?.(thrown, waitMs);
      // An abort ends the wait; the top of the loop throws its reason.
      await sleep(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    }
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal);
}

/** Why a signal was aborted, as the one error class. */
export function abortError(signal: AbortSignal): PhtError {
  const reason: unknown = signal.reason;
  return reason instanceof PhtError
    ? reason
    : new PhtError('cancelled', 'the call was cancelled', { cause: reason });
}
