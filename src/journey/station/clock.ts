import { PhtError } from '../../model/error.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { witnessedTimeMs } from '../../model/ledger/witnessed-time.ts';
import type { Network } from '../../model/network.ts';
import { trustIn } from '../../model/proven.ts';
import { SKEW_MS } from '../../model/skew.ts';
import { countedBy, quorumRule } from '../../model/witnessing.ts';
import type { SignedHead } from '../../ports/ledger.ts';
import type { Station } from './stages.ts';

/**
 * No run and no release while the wall clock lies more than the skew below the highest time ever seen here; of others'
 * words on time only that of enough witnesses moves that bound (protocol, section 8).
 *
 * @throws PhtError `clock.untrusted`
 */
export function assertClock(station: Station, nowMs: number): void {
  if (nowMs < station.highestMs() - SKEW_MS) {
    throw new PhtError(
      'clock.untrusted',
      'the clock of this station went back; nothing runs until it is right again',
    );
  }
}

/**
 * The time that the witnesses of the own ledger put on its published head.
 *
 * @returns null where there is no quorum, or too few have cosigned to tell
 */
export function witnessedMs(network: Network, station: string, head: SignedHead): number | null {
  const rule = quorumRule(network, station);
  if (rule === null) return null;
  const { cosignatures } = openCheckpoint(head.text, trustIn(network, station, 'station'));
  return witnessedTimeMs(countedBy(rule, cosignatures), rule.faulty);
}
