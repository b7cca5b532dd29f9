import type { Receipt } from '../../model/receipt.ts';
import type { HopRecord } from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

type Visit = Pick<
  Receipt,
  'networkId' | 'networkVersion' | 'issuer' | 'manifestDigest' | 'step' | 'round' | 'attempt'
>;

/** Who speaks of which visit: the members that result, receipt and explanation share. */
export function visitOf(hop: HopRecord, station: Station): Visit {
  const network = station.network();
  return {
    networkId: network.id,
    networkVersion: network.version,
    issuer: station.id,
    manifestDigest: hop.manifestDigest,
    step: hop.step,
    round: hop.round,
    attempt: hop.attempt,
  };
}
