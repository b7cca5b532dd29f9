import { type Envelope, parseEnvelope } from '../../model/dsse.ts';
import { verifyErasure } from '../../model/erasure.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { Erased, StationArchive } from '../../ports/station-archive.ts';
import type { Station } from './stages.ts';

/** An entry about the station's own keeping. */
export const NO_HOP = {
  trainId: null,
  hopId: null,
  attempt: null,
  epoch: null,
  manifestDigest: null,
  prev: null,
} as const;

/**
 * Deletes what tells whom the salted commitments of this station's ledger mean by one member. The ledger keeps that it
 * was done and how many went, and neither of whom nor by whom: that would be a new trace of a person.
 *
 * @throws PhtError as `verifyErasure`
 */
export function forget(
  erasure: Uint8Array,
  station: Station,
  archive: Pick<StationArchive, 'erase'>,
): Erased {
  const nowMs = station.clock.nowMs();
  const envelope: Envelope = parseEnvelope(erasure, 'erasure');
  const at = { network: station.network(), station: station.id, nowMs };
  const { predicate } = verifyErasure(envelope, at);
  return archive.erase(
    predicate.member,
    nowMs,
    (count): NewEntry => ({ type: 'salts.erased', ...NO_HOP, body: { count } }),
  );
}
