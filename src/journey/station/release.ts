import { PhtError } from '../../model/error.ts';
import { assertFresh } from '../../model/network.ts';
import type { Policy } from '../../ports/policy.ts';
import type { Signer } from '../../ports/signer.ts';
import type { ClearanceStore, HopRecord, HopStore } from '../../ports/station-store.ts';
import type { Witnessing } from '../../ports/witnessing.ts';
import { assertClock } from './clock.ts';
import { assertSameCase, sealReleased } from './seal.ts';
import type { Inspected, Station } from './stages.ts';
import { assertNotWithdrawn, assertStands } from './stands.ts';

export type ReleasePorts = {
  hops: HopStore;
  signer: Signer;
  policy: () => Policy;
  witnessing: Witnessing;
  clearances: Pick<ClearanceStore, 'statement' | 'clearedWith'>;
  inspect: (hop: HopRecord) => Promise<Inspected>;
};

/**
 * Lets out what waits for witnesses (promise 8). The result was released in time, on record; that record has to be seen
 * by others before anybody gets it. An outage of theirs destroys nothing: it waits, sealed, until the order expires.
 */
export function createRelease(
  station: Station,
  ports: ReleasePorts,
): (hop: HopRecord, signal: AbortSignal) => Promise<HopRecord> {
  return async (hop, signal) => {
    if (hop.held === null) throw new PhtError('internal', 'this hop holds nothing for the witnesses');
    const { jwe, ledgerSize } = hop.held;
    assertInTime(hop, station);
    assertNotWithdrawn(hop, ports.clearances);
    await ports.witnessing.covered(ledgerSize, signal);
    assertInTime(hop, station);
    const inspected = await ports.inspect(hop);
    return sealReleased(
      hop,
      {
        jwe,
        entries: [],
        guard: () => {
          assertClock(station, station.clock.nowMs());
          assertFresh(station.network(), station.clock.nowMs());
          assertInTime(hop, station);
          assertSameCase(inspected, hop.notes.caseDigest, station, ports.policy());
          assertStands(hop, inspected.manifest.predicate.issuer, station, ports.clearances, false);
        },
      },
      station,
      ports,
    );
  };
}

/** @throws PhtError `witness.unreachable`, which no longer passes once this moment has come */
function assertInTime(hop: HopRecord, station: Station): void {
  if (station.clock.nowMs() < (hop.notes.heldUntilMs ?? 0)) return;
  throw new PhtError(
    'witness.unreachable',
    'the witnesses of the ledger could not be reached before the order expired; the result never left the station',
  );
}
