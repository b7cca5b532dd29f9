import { type ErrorCode, PhtError } from '../../model/error.ts';

/**
 * Ends a call at a deadline even if the other side never answers and `call` does not listen.
 *
 * @throws PhtError `timed-out`, the reason of `signal`, or what `call` throws
 */
export async function within<T>(
  deadlineMs: number,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal.aborted) throw reasonOf(signal);
  const over = new AbortController();
  const timer = setTimeout(() => {
    over.abort(new PhtError('timed-out', 'the witness did not answer in time'));
  }, deadlineMs);
  const onAbort = (): void => over.abort(reasonOf(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await new Promise<T>((resolve, reject) => {
      over.signal.addEventListener('abort', () => reject(over.signal.reason), { once: true });
      call(over.signal).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** Why a signal was aborted, as the one error class. */
export function reasonOf(signal: AbortSignal): PhtError {
  const reason: unknown = signal.reason;
  if (reason instanceof PhtError) return reason;
  return new PhtError('cancelled', 'the call was cancelled', { cause: reason });
}

const OUT_OF_REACH: ReadonlySet<ErrorCode> = new Set([
  'witness.unreachable',
  'unreachable',
  'timed-out',
  'cancelled',
]);

/** What happens on any network; everything else that keeps a witness from answering is worth a line. */
export function isOutOfReach(error: PhtError): boolean {
  return OUT_OF_REACH.has(error.code);
}
