import { PhtError } from '../../model/error.ts';

/** The longest that a timer of Node.js takes; a hop is never that long in one step. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** `signal`, and besides it the moment at which the order's deadline passes. */
export function beforeDeadline(signal: AbortSignal, remainingMs: number): AbortSignal {
  const passed = new AbortController();
  const reason = new PhtError('deadline.passed', "the order's deadline passed before the train had ended");
  AbortSignal.timeout(Math.min(Math.max(remainingMs, 0), TIMER_MS_MAX)).addEventListener(
    'abort',
    () => passed.abort(reason),
    { once: true },
  );
  return AbortSignal.any([signal, passed.signal]);
}
