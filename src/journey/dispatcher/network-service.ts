import type { NetworkService } from '../../gen/pht/v1/network_pb.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import { heldVersions, isNewsFor, joined, piecesOf } from '../../model/network-news.ts';
import type { NetworkCopy } from '../../ports/network-copy.ts';
import type { Service } from '../../ports/wire.ts';
import { callerOf, type Desk } from './desk.ts';

/**
 * Passes the network file on, from the authority to the members. A dispatcher can add nothing to it; what it could do is
 * to hold a newer one back, and then the authority's word on freshness grows old everywhere.
 */
export function networkService(
  desk: Desk,
  copy: NetworkCopy,
  /** Acts on a file that was just taken over. */
  changed: () => void,
): Service<typeof NetworkService> {
  return {
    fetch: async function* (held, { caller }) {
      if (caller === null) throw new PhtError('forbidden', 'only members may ask for the network file');
      if (!isNewsFor(held, heldVersions(desk.network(), caller.id))) return;
      for (const piece of piecesOf(copy.read())) yield { piece };
    },
    giveOut: async (pieces, context) => {
      callerOf(context, 'authority');
      try {
        const file = await joined(pieces);
        const { network, changed: isNew } = copy.take(file);
        if (isNew) changed();
        return { networkVersion: network.version, changed: isNew };
      } catch (thrown) {
        const { code } = asPhtError(thrown);
        // Whoever hung up offered nothing.
        if (!context.signal.aborted) {
          desk.rejects.count(code);
          desk.note('a network file was not taken over', { code });
        }
        throw thrown;
      }
    },
  };
}
