import type { VerifiedSignature } from './note.ts';

/**
 * A moment that has passed already, by the word of at least one honest witness: of the times in verified cosignatures
 * the one that `faulty` liars cannot have put there alone, which is the (f + 1)th youngest. A single witness with a fast
 * clock must not stop a station for good.
 *
 * @returns milliseconds since the Unix epoch, or null when too few have cosigned to tell
 */
export function witnessedTimeMs(
  cosignatures: readonly Pick<VerifiedSignature, 'timeS'>[],
  faulty: number,
): number | null {
  const times = cosignatures.flatMap(({ timeS }) => (timeS === null ? [] : [timeS])).sort((a, b) => b - a);
  const timeS = times[faulty];
  return timeS === undefined ? null : timeS * 1000;
}

/**
 * A moment at which the checkpoint existed already, by the word of at least one honest witness: of the times in verified
 * cosignatures the (f + 1)th oldest, since `faulty` liars cannot put so many before it. Where `witnessedTimeMs` keeps
 * liars from making the present too late, this keeps them from making the past too early.
 *
 * @returns milliseconds since the Unix epoch, or null when too few have cosigned with a time to tell
 */
export function existedByMs(
  cosignatures: readonly Pick<VerifiedSignature, 'timeS'>[],
  faulty: number,
): number | null {
  // Zero is no time (C2SP tlog-cosignature).
  const times = cosignatures.flatMap(({ timeS }) => (timeS === null || timeS === 0 ? [] : [timeS]));
  const timeS = times.sort((a, b) => a - b)[faulty];
  return timeS === undefined ? null : timeS * 1000;
}
