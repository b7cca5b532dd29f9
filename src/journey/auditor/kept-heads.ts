import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { PAST_HEADS_BYTES_MAX, PAST_HEADS_MAX } from '../../model/ledger/past-heads.ts';
import type { Network } from '../../model/network.ts';
import { type ClaimedHead, mergedHeads } from './past-heads.ts';
import { trustOf } from './prove.ts';
import { isAboutTheLog } from './served.ts';

/**
 * Which earlier heads are kept with a copy of a log, the smallest first. Whoever serves others pushes none of them out: where
 * there is no room for all, those go that are not the word of the log, then what is new, the oldest of it first.
 */
export function keptHeads(
  before: readonly ClaimedHead[],
  served: readonly ClaimedHead[],
  of: { network: Network; member: string },
): ClaimedHead[] {
  const all = mergedHeads(before, served);
  if (fits(all)) return all;
  const trust = trustOf(of.network, of.member);
  const isWord = ({ signed }: ClaimedHead): boolean => {
    try {
      openCheckpoint(signed, trust);
      return true;
    } catch (thrown) {
      if (isAboutTheLog(thrown)) return false;
      throw thrown;
    }
  };
  const kept = mergedHeads(before).filter(isWord);
  const had = new Set(kept.map(keyOf));
  const fresh = mergedHeads(served).filter((head) => !had.has(keyOf(head)) && isWord(head));
  const chosen: ClaimedHead[] = [];
  let bytes = 0;
  for (const head of [...kept.toReversed(), ...fresh.toReversed()]) {
    bytes += head.signed.byteLength + 1;
    if (chosen.length === PAST_HEADS_MAX || bytes > PAST_HEADS_BYTES_MAX) break;
    chosen.push(head);
  }
  return mergedHeads(chosen);
}

function fits(heads: readonly ClaimedHead[]): boolean {
  const bytes = heads.reduce((sum, { signed }) => sum + signed.byteLength + 1, 0);
  return heads.length <= PAST_HEADS_MAX && bytes <= PAST_HEADS_BYTES_MAX;
}

const keyOf = ({ signed }: ClaimedHead): string => Buffer.from(signed).toString('latin1');
