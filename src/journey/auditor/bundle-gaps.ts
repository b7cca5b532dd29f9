import type { LedgerEntry } from '../../model/ledger/entry.ts';
import type { Network } from '../../model/network.ts';
import { type Finding, finding } from './findings.ts';
import type { Traces } from './read-log.ts';

type Placed = { member: { id: string }; index: number; entry: LedgerEntry };

/**
 * What a bundle has to hold beside its entries: each hop takes two, so that with the log of only one of them nothing is
 * held against anything; and the network file must be no older than what is spoken of, or other rules counted then.
 */
export function* gapsIn(
  { dispatchers, stations }: Traces,
  entries: readonly Placed[],
  network: Network,
): Generator<Finding> {
  for (const [log, { orders }] of dispatchers) {
    for (const [hopId, { station, receipt }] of orders) {
      if (station === null || receipt === null || stations.has(station)) continue;
      const text = `the log of ${station}, whose receipt of ${hopId} this is, is not in it`;
      yield finding('error', 'bundle.incomplete', { log, index: receipt.index }, text);
    }
  }
  const ordered = new Set([...dispatchers.values()].flatMap(({ orders }) => [...orders.keys()]));
  for (const [log, { hops }] of stations) {
    for (const { hopId, received } of hops.values()) {
      if (received === null || ordered.has(hopId)) continue;
      const text = `the entry of the dispatcher who ordered ${hopId} is not in it`;
      yield finding('error', 'bundle.incomplete', { log, index: received }, text);
    }
  }
  for (const { member, index, entry } of entries) {
    const version = entry.body[entry.type === 'network.changed' ? 'version' : 'networkVersion'];
    if (typeof version !== 'number' || version <= network.version) continue;
    yield finding('error', 'bundle.incomplete', { log: member.id, index }, olderNetwork(version, network));
  }
}

/** Who may sign, and how many witnesses have to, may have changed between the two. */
function olderNetwork(spoken: number, { version }: Network): string {
  return `version ${spoken} of the network file is spoken of; version ${version} is in it`;
}
