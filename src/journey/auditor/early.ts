import { PhtError } from '../../model/error.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import type { Network } from '../../model/network.ts';
import { provenAtMs, quorumRule } from '../../model/witnessing.ts';
import type { LogSource } from '../../ports/log-source.ts';
import type { ClaimedHead } from './past-heads.ts';
import { type Placed, proofOf, trustOf } from './prove.ts';

/** Heads that are no use, one after the other, are a reader's or a mirror's doing: no entry is worth trying them all. */
const TRIED_MAX = 8;

/**
 * The proof of an entry under the first head of its log that witnesses had seen it in: whoever is revoked later, it was on
 * record by then. From a log that was kept with its tiles.
 *
 * @param heads the smallest first, none of them believed
 * @param of `size`: entries in the log as it is kept
 * @returns null where no head proves anything
 */
export async function earlyProof(
  placed: Placed,
  heads: readonly ClaimedHead[],
  of: { source: LogSource; network: Network; size: number },
): Promise<Uint8Array | null> {
  const over = heads.filter(({ size }) => size > placed.index && size <= of.size);
  for (const { signed } of over.slice(0, TRIED_MAX)) {
    try {
      if (isProven(signed, placed.member, of.network)) return await proofOf(placed, signed, of);
    } catch (thrown) {
      if (!(thrown instanceof PhtError) || thrown.code === 'config.invalid') throw thrown;
    }
  }
  return null;
}

/** By the rule of any version: which of them an entry's statements name is judged by who reads the proof. */
function isProven(signed: Uint8Array, member: string, network: Network): boolean {
  const opened = openCheckpoint(signed, trustOf(network, member));
  return network.witnessingSpans.some(
    ({ since }) => provenAtMs(quorumRule(network, member, since), opened) !== null,
  );
}
