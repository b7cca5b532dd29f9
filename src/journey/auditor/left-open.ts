import type { JoinedLogs } from './join.ts';
import type { DispatcherOpen } from './trace-dispatcher.ts';
import type { NetworkSeen, NetworkTraces } from './trace-network.ts';
import type { StationOpen } from './trace-station.ts';

/** What an audit of only what is new has to know of one log's past. */
export type LeftOpen = { station?: StationOpen; dispatcher?: DispatcherOpen; network?: NetworkSeen };

/**
 * Hops that both sides have ended, and agree about, are never heard of again: anything more about one of them is a
 * finding without knowing what it was. Trains that were admitted or released stay known.
 */
export function leftOpen(
  { stations, dispatchers }: JoinedLogs,
  networks: Pick<NetworkTraces, 'left'>,
): ReadonlyMap<string, LeftOpen> {
  const seenBy = (member: string): Pick<LeftOpen, 'network'> => {
    const network = networks.left(member);
    return network === undefined ? {} : { network };
  };
  const taken = new Set<string>();
  for (const { trace } of dispatchers.values())
    for (const [hopId, { receipt }] of trace.orders)
      if (receipt !== null) taken.add(`${hopId} ${receipt.digest}`);
  const ended = new Set<string>();
  for (const { trace } of stations.values()) {
    for (const { hopId, receiptDigest } of trace.hops.values()) {
      if (receiptDigest !== null && taken.has(`${hopId} ${receiptDigest}`)) ended.add(hopId);
    }
  }
  const left = new Map<string, LeftOpen>();
  for (const [member, { trace }] of stations) {
    const hops = [...trace.hops.values()].filter(({ hopId }) => !ended.has(hopId));
    left.set(member, { station: { hops, releases: [...trace.releases] }, ...seenBy(member) });
  }
  for (const [member, { trace }] of dispatchers) {
    const open = [...trace.orders].filter(([hopId]) => !ended.has(hopId));
    left.set(member, { dispatcher: { orders: open, admitted: [...trace.admitted] }, ...seenBy(member) });
  }
  return left;
}
