import type { Home } from '../adapters/home/member.ts';
import { createNetworkCopy } from '../adapters/home/network-copy.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import type { Channel } from '../adapters/wire/client.ts';
import { NetworkService } from '../gen/pht/v1/network_pb.ts';
import { asPhtError } from '../model/error.ts';
import { datesOf, inLastThird, readCertificate } from '../model/member-certificate.ts';
import type { Network } from '../model/network.ts';
import { heldVersions, joined } from '../model/network-news.ts';

/** The network file of a home without a process of its own: fetched beside whatever else a command asks for. */

const DAY_MS = 86_400_000;
/** What a command waits for it; the file of a large network on a slow line comes with a later one. */
const FETCH_DEADLINE_MS = 30_000;

export type FetchFrame = {
  readonly signal: AbortSignal;
  nowMs(): number;
  tell(line: string): void;
};

/** @returns whether the word on its freshness is a day old, or the own certificate has to be renewed */
export function isFetchDue(home: Home, network: Network, nowMs: number): boolean {
  if (nowMs >= network.freshness.issuedAtMs + DAY_MS) return true;
  const own = readCertificate(network.certificates.get(home.member.id) ?? '');
  return own === null || inLastThird(datesOf(own), nowMs);
}

/**
 * Takes over what the dispatcher has that is newer. Nothing of it is believed that is not signed, and what is refused
 * leaves the file as it is.
 *
 * @returns whether the file changed
 */
export async function fetchNetwork(home: Home, channel: Channel, frame: FetchFrame): Promise<boolean> {
  const held = heldVersions(currentNetwork(home), home.member.id);
  const options = { deadlineMs: FETCH_DEADLINE_MS, signal: frame.signal };
  try {
    const file = await joined(channel.client(NetworkService).fetch(held, options));
    if (file.byteLength === 0) return false;
    const { network, changed } = createNetworkCopy(home).take(file);
    if (changed) frame.tell(`fetched version ${network.version} of the network file`);
    return changed;
  } catch (thrown) {
    frame.signal.throwIfAborted();
    const { code, message } = asPhtError(thrown);
    // Whatever else the command asks for says that much better.
    if (code !== 'unreachable' && code !== 'timed-out')
      frame.tell(`the network file stays as it is: ${message} [${code}]`);
    return false;
  }
}
