import { PhtError } from '../../model/error.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import type { Network } from '../../model/network.ts';
import type { LogSource } from '../../ports/log-source.ts';
import { provenTimesMs } from './on-record.ts';
import type { ClaimedHead } from './past-heads.ts';
import { type Placed, proofOf, trustOf } from './prove.ts';
import { isAboutTheLog } from './served.ts';

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
  for (const head of over) {
    try {
      if (isProven(head, placed.member, of.network)) return await proofOf(placed, head.signed, of);
    } catch (thrown) {
      if (!(thrown instanceof PhtError) || thrown.code === 'config.invalid') throw thrown;
    }
  }
  return null;
}

const judged = new WeakMap<ClaimedHead, { network: Network; is: boolean }>();

/**
 * By the rule of any version: which of them an entry's statements name is judged by who reads the proof. Each head is
 * verified once, so that many that are no use cost no more, and hide none that is.
 */
function isProven(head: ClaimedHead, member: string, network: Network): boolean {
  const last = judged.get(head);
  if (last?.network === network) return last.is;
  const is = proves(head.signed, member, network);
  judged.set(head, { network, is });
  return is;
}

function proves(signed: Uint8Array, member: string, network: Network): boolean {
  try {
    return provenTimesMs(network, member, openCheckpoint(signed, trustOf(network, member))).length > 0;
  } catch (thrown) {
    if (isAboutTheLog(thrown)) return false;
    throw thrown;
  }
}
