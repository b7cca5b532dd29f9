import type { VerifiedSignature } from './note.ts';

/**
 * A moment that has passed already, by the word of at least one honest witness: of the times in verified cosignatures
 * the one that `faulty` liars cannot have put there alone, which is the (f + 1)th youngest. A single witness with a fast
 * clock must not stop a station for good.
 *
 * @returns milliseconds since the Unix epoch, or null when too few have cosigned to tell
 */
export function witnessedTimeMs(cosignatures: readonly VerifiedSignature[], faulty: number): number | null {
  const times = cosignatures.flatMap(({ timeS }) => (timeS === null ? [] : [timeS])).sort((a, b) => b - a);
  const timeS = times[faulty];
  return timeS === undefined ? null : timeS * 1000;
}
