import { PhtError } from '../../model/error.ts';
import type { Digest } from '../../model/id.ts';
import { conflictDigest, type Misconduct, misconductOf } from '../../model/ledger/misconduct.ts';
import type { Network } from '../../model/network.ts';

/** A conflict as the station's agent shows it. */
export type ShownConflict = {
  readonly member: string;
  readonly origin: string;
  readonly size: bigint;
  readonly conflictDigest: string;
  readonly notes: readonly string[];
};

/**
 * Reads what the agent shows of a conflict and trusts none of it: both signatures are verified with the admin's own
 * pinned network, and its name is derived anew. What is signed about is what was looked at.
 *
 * @throws PhtError `proof.invalid`, `signer.unknown`, `signature.invalid`, `ledger.invalid`
 */
export function openEvidence(
  shown: ShownConflict,
  network: Network,
): { misconduct: Misconduct; digest: Digest } {
  const { member, origin, size } = shown;
  const [first, second, ...more] = shown.notes;
  if (first === undefined || second === undefined || more.length > 0)
    throw new PhtError('proof.invalid', 'the evidence is not two signed checkpoints');
  const pair = { member, origin, size: Number(size), notes: [first, second] as const };
  const misconduct = misconductOf(network, pair);
  const digest = conflictDigest(pair);
  if (digest !== shown.conflictDigest)
    throw new PhtError('proof.invalid', 'the station names this evidence otherwise than it is');
  return { misconduct, digest };
}
