import { SKEW_MS } from '../../model/train.ts';
import { type Finding, finding } from './findings.ts';
import type { DispatcherTrace, OrderTrace } from './trace-dispatcher.ts';
import type { HopTrace, StationTrace } from './trace-station.ts';

/** The logs that were found sound; a log that is missing or broken takes no part, since it proves nothing. */
export type JoinedLogs = {
  dispatchers: ReadonlyMap<string, DispatcherTrace>;
  stations: ReadonlyMap<string, { trace: StationTrace; newestMs: number | null }>;
  /** Whether the log of every dispatcher of the network is among them. */
  dispatchersComplete: boolean;
  /** The time of the audit, or the newest time in a copy. */
  asOfMs: number;
};

/** How late a station's mirror may be behind a receipt that it has delivered. */
export const MIRROR_LAG_MS: number = 10 * 60_000;

/** A hop that a station took on and that has no receipt yet. */
export type OpenHop = { station: string; hopId: string; trainId: string | null; sinceMs: number | null };

/** Every receive has its send, and every receipt that was delivered stands in the log of who signed it. */
export function* joinLogs(logs: JoinedLogs): Generator<Finding> {
  const orders = new Map<string, OrderTrace>();
  for (const [dispatcher, trace] of logs.dispatchers) {
    for (const [hopId, order] of trace.orders) {
      orders.set(hopId, order);
      const found = receiptFinding({ dispatcher, hopId, order }, logs);
      if (found !== null) yield found;
    }
  }
  if (!logs.dispatchersComplete) return;
  for (const [station, { trace }] of logs.stations) {
    for (const hop of trace.hops.values()) {
      const found = orderFinding(station, hop, orders.get(hop.hopId));
      if (found !== null) yield found;
    }
  }
}

function orderFinding(station: string, hop: HopTrace, order: OrderTrace | undefined): Finding | null {
  if (hop.received === null) return null;
  const place = { log: station, index: hop.received };
  if (order === undefined) {
    return finding(
      'misconduct',
      'order.unissued',
      place,
      `the order of ${hop.hopId} is in no dispatcher's log`,
    );
  }
  if (order.station === station) return null;
  const text = `${hop.hopId} was ordered from ${order.station ?? 'nobody'} at entry ${order.issued}`;
  return finding('misconduct', 'order.unissued', place, text);
}

function receiptFinding(
  { dispatcher, hopId, order }: { dispatcher: string; hopId: string; order: OrderTrace },
  logs: JoinedLogs,
): Finding | null {
  const { station, receipt } = order;
  if (receipt === null) return null;
  const place = { log: dispatcher, index: receipt.index };
  const log = station === null ? undefined : logs.stations.get(station);
  // That the log is missing or broken is a finding of its own.
  if (log === undefined) return null;
  const hop = log.trace.hops.get(hopId);
  if (hop?.receiptDigest === receipt.digest) return null;
  if (hop !== undefined && hop.receipt !== null) {
    const text = `${hopId}: ${station} has another receipt on record, at entry ${hop.receipt}`;
    return finding('misconduct', 'receipt.unmatched', place, text);
  }
  // Two clocks are compared, so only what lies beyond their skew proves anything.
  if (log.newestMs !== null && log.newestMs > receipt.atMs + SKEW_MS) {
    return finding(
      'misconduct',
      'receipt.unmatched',
      place,
      `${hopId}: the log of ${station} goes on without that receipt`,
    );
  }
  const late = logs.asOfMs - receipt.atMs > MIRROR_LAG_MS;
  const text = `${hopId}: the mirrored log of ${station} ends before the receipt that it delivered`;
  return finding(late ? 'error' : 'warning', 'mirror.behind', place, text);
}

export function* openHops(stations: JoinedLogs['stations']): Generator<OpenHop> {
  for (const [station, { trace }] of stations) {
    for (const { hopId, trainId, received, receivedAtMs, receipt } of trace.hops.values()) {
      if (received !== null && receipt === null) yield { station, hopId, trainId, sinceMs: receivedAtMs };
    }
  }
}
