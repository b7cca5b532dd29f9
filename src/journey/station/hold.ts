import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import type { Leases } from '../../ports/track.ts';
import type { Client } from '../../ports/wire.ts';
import type { Station } from './stages.ts';

const TTL_MS = 30_000;
const CALL_DEADLINE_MS = 5_000;

/** The lease of a hop, taken once before it is loaded. */
export function createHold(track: Client<typeof TrackService>, station: Station): Leases {
  return {
    hold: async (hopId, epoch, signal) => {
      try {
        await track.lease(
          { hopId, epoch: BigInt(epoch), ttlMs: TTL_MS },
          { deadlineMs: CALL_DEADLINE_MS, signal },
        );
      } catch (thrown) {
        const error = asPhtError(thrown);
        if (error.code === 'stale.epoch') {
          // In our own words: they go into what this station signs.
          throw new PhtError(
            'stale.epoch',
            'the dispatcher says that this hop has ended or was ordered anew',
            {
              cause: error,
            },
          );
        }
        // A cleared hop is the station's own to finish; the dispatcher learns of it when it is back.
        station.note('no lease for a hop', { hopId, code: error.code });
      }
    },
  };
}
