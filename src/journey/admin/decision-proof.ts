import { PhtError } from '../../model/error.ts';
import type { Network } from '../../model/network.ts';
import { openProven } from '../../model/proven.ts';
import { witnessPolicy } from '../../model/witnessing.ts';

/**
 * Where a decision stands. `witnessed`: as many have cosigned the checkpoint as the network asks for. `partial`: an approval
 * that waits for another person's.
 */
export type ProvenDecision = {
  readonly hopId: string;
  readonly caseDigest: string;
  readonly verdict: 'approve' | 'reject';
  readonly partial: boolean;
  readonly index: number;
  readonly cosigned: number;
  readonly quorum: number;
  readonly witnessed: boolean;
};

/**
 * Reads the `.tlog-proof` of a person's decision with the admin's own pinned network, so that what is kept would hold
 * before anybody.
 *
 * @throws PhtError `proof.invalid`
 */
export function openDecisionProof(
  bytes: Uint8Array,
  { network, station }: { network: Network; station: string },
): ProvenDecision {
  const { version } = network;
  const { entry, quote, witnesses } = openProven(bytes, {
    network,
    member: station,
    role: 'station',
    version,
  });
  const { type, actor, hopId, body } = entry;
  const { caseDigest } = body;
  const isDecision = type === 'clearance.recorded' && typeof body['byCommitment'] === 'string';
  if (!isDecision || actor !== station || hopId === null || typeof caseDigest !== 'string')
    throw new PhtError('proof.invalid', `it is of an entry ${type} of ${actor}, not of a person's decision`);
  const cosigned = witnesses.length;
  const quorum = witnessPolicy(network, station)?.quorum ?? 0;
  return {
    hopId,
    caseDigest,
    verdict: body['verdict'] === 'reject' ? 'reject' : 'approve',
    partial: body['verdict'] === 'approve',
    index: quote.index,
    cosigned,
    quorum,
    witnessed: cosigned >= quorum,
  };
}
