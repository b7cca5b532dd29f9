import { asPhtError } from '../../model/error.ts';
import type { Network } from '../../model/network.ts';
import { NETWORK_BYTES_MAX } from '../../model/network-news.ts';
import type { NetworkCopy } from '../../ports/network-copy.ts';
import { readBounded } from './files.ts';
import { placeListedKeys } from './key-rotation.ts';
import type { Home } from './member.ts';
import { currentNetwork, importNetwork, networkPath, parseNetworkFile } from './network-file.ts';

export function createNetworkCopy(home: Home): NetworkCopy {
  return {
    read: () => readBounded(networkPath(home), NETWORK_BYTES_MAX, 'the network file'),
    take: (file) => {
      const { network, changed } = importNetwork(home, parseNetworkFile(file, 'the network file on offer'));
      return { network, changed };
    },
  };
}

/**
 * The network file for a process that runs: the last good one, for as long as it is valid by itself, while the file is
 * damaged or somebody put an older one in its place. Keys that it names and a kill kept from their places are put there.
 *
 * @param failed told once of each trouble
 * @throws PhtError as `currentNetwork`, when none was good yet
 */
export function lastGoodNetwork(home: Home, failed: (error: unknown) => void): () => Network {
  let good = currentNetwork(home);
  placeListedKeys(home, good);
  let trouble = '';
  return () => {
    try {
      good = currentNetwork(home);
      trouble = '';
    } catch (thrown) {
      const { code } = asPhtError(thrown);
      if (code !== trouble) failed(thrown);
      trouble = code;
    }
    return good;
  };
}
