import type { Digest } from '../../model/id.ts';
import type { EntryQuote } from '../../model/ledger/entry.ts';
import { SKEW_MS } from '../../model/skew.ts';
import { type Finding, finding, type Place } from './findings.ts';
import type { DispatcherTrace, OrderTrace } from './trace-dispatcher.ts';
import type { HopTrace } from './trace-hop.ts';
import { type StationTrace, unreceipted } from './trace-station.ts';

/** A log that was found sound, as far as it was served. */
export type JoinedLog<T> = { trace: T; origin: string; size: number; newestMs: number | null };

/** The logs that were found sound; a log that is missing or broken takes no part, since it proves nothing. */
export type JoinedLogs = {
  dispatchers: ReadonlyMap<string, JoinedLog<DispatcherTrace>>;
  stations: ReadonlyMap<string, JoinedLog<StationTrace>>;
  /** Whether the log of every dispatcher of the network is among them. */
  dispatchersComplete: boolean;
  /** Whether entries are shown only once a quorum of witnesses has seen them. */
  witnessed: boolean;
  /** The time of the audit, or the newest time in a copy. */
  asOfMs: number;
};

/** How late a served log may be behind an entry that another one quotes. */
export const MIRROR_LAG_MS: number = 10 * 60_000;

/** A hop that a station took on and that has no receipt yet. `waits`: its sealed result waits for witnesses. */
export type OpenHop = {
  station: string;
  hopId: string;
  trainId: string | null;
  sinceMs: number | null;
  waits: boolean;
};

/** Every receive has its send and quotes it, and every receipt stands in the log of who signed it. */
export function* joinLogs(logs: JoinedLogs): Generator<Finding> {
  const orders = new Map<string, Issued[]>();
  for (const [dispatcher, { trace, origin }] of logs.dispatchers) {
    for (const [hopId, order] of trace.orders) {
      orders.set(hopId, [...(orders.get(hopId) ?? []), { order, origin }]);
      yield* receiptFindings({ dispatcher, hopId, order }, logs);
    }
  }
  const { witnessed, asOfMs } = logs;
  for (const [station, { trace }] of logs.stations) {
    yield* unreceipted(station, trace, { witnessed, asOfMs, lagMs: MIRROR_LAG_MS });
    for (const hop of trace.hops.values())
      yield* orderFindings(station, hop, orders.get(hop.hopId) ?? [], logs);
  }
}

type Issued = { order: OrderTrace; origin: string };

function* orderFindings(
  station: string,
  hop: HopTrace,
  candidates: readonly Issued[],
  logs: JoinedLogs,
): Generator<Finding> {
  const { hopId, received, quote } = hop;
  if (received === null) return;
  const place = { log: station, index: received };
  if (quote === null) yield missingQuote(place, `${hopId}: the order came without its dispatcher's entry`);
  // Anybody can copy an order's digest into his own log: which log counts is for the quote to say.
  const issued = candidates.find(({ origin }) => quote === null || quote.origin === origin);
  if (issued === undefined) {
    if (!logs.dispatchersComplete) return;
    const behind = quote === null ? null : behindQuote(quote, hop.receivedAtMs, logs);
    if (behind !== null) {
      const text = `${hopId}: the served log of ${behind.member} ends before entry ${quote?.index}, the order`;
      yield finding(behind.late ? 'error' : 'warning', 'mirror.behind', place, text);
      return;
    }
    const [other] = candidates;
    if (other !== undefined && quote !== null) {
      yield unmatchedQuote(place, `${hopId}: the order stands at entry ${other.order.issued}`, quote);
      return;
    }
    const text = `the order of ${hopId} is in no dispatcher's log`;
    // The station may have made it up, or have been shown another history than we are.
    yield finding('error', 'order.unissued', place, text);
    return;
  }
  const { order, origin } = issued;
  if (order.station !== station) {
    const text = `${hopId} was ordered from ${order.station ?? 'nobody'} at entry ${order.issued}`;
    yield finding('error', 'order.unissued', place, text);
  }
  if (order.manifestDigest !== hop.manifestDigest) {
    const text = `${hopId} was ordered at entry ${order.issued} of ${origin} for another train`;
    yield finding('error', 'entry.contradictory', place, text);
  }
  if (quote !== null && !isQuote(quote, origin, order.issued, order.leaf)) {
    yield unmatchedQuote(place, `${hopId}: the order stands at entry ${order.issued}`, quote);
  }
}

/** An order may reach its station before the checkpoint that shows it has reached an auditor. */
function behindQuote(
  { origin, index }: EntryQuote,
  atMs: number | null,
  { dispatchers, asOfMs }: JoinedLogs,
): { member: string; late: boolean } | null {
  for (const [member, log] of dispatchers) {
    if (log.origin !== origin || index < log.size) continue;
    return { member, late: asOfMs - (atMs ?? 0) > MIRROR_LAG_MS };
  }
  return null;
}

function* receiptFindings(
  { dispatcher, hopId, order }: { dispatcher: string; hopId: string; order: OrderTrace },
  logs: JoinedLogs,
): Generator<Finding> {
  const { station, receipt } = order;
  if (receipt === null) return;
  const { index, digest, outcome, atMs, quote } = receipt;
  const place = { log: dispatcher, index };
  if (quote === null) yield missingQuote(place, `${hopId}: the receipt came without its station's entry`);
  const log = station === null ? undefined : logs.stations.get(station);
  // That the log is missing or broken is a finding of its own.
  if (log === undefined) return;
  const hop = log.trace.hops.get(hopId);
  if (hop !== undefined && hop.receipt !== null) {
    if (hop.receiptDigest !== digest) {
      const text = `${hopId}: ${station} has another receipt on record, at entry ${hop.receipt}`;
      yield finding('misconduct', 'receipt.unmatched', place, text);
    } else if (quote !== null && !isQuote(quote, log.origin, hop.receipt, hop.receiptLeaf)) {
      yield unmatchedQuote(place, `${hopId}: the receipt stands at entry ${hop.receipt}`, quote);
    }
    if (hop.receiptDigest === digest && hop.outcome !== outcome) {
      // The receipt itself would tell which of them is right.
      const text = `${hopId}: ${outcome} is on record here, and ${hop.outcome} at ${station}, of one receipt`;
      yield finding('error', 'receipt.unmatched', place, text);
    }
    return;
  }
  // Two clocks are compared, so only what lies beyond their skew proves anything; a place in a log is no clock.
  const quotedWithin = quote !== null && quote.origin === log.origin && quote.index < log.size;
  if (quotedWithin || (log.newestMs !== null && log.newestMs > atMs + SKEW_MS)) {
    const text = `${hopId}: the log of ${station} goes on without that receipt`;
    yield finding('misconduct', 'receipt.unmatched', place, text);
    return;
  }
  const late = logs.asOfMs - atMs > MIRROR_LAG_MS;
  const text = `${hopId}: the mirrored log of ${station} ends before the receipt that it delivered`;
  yield finding(late ? 'error' : 'warning', 'mirror.behind', place, text);
}

function isQuote(quote: EntryQuote, origin: string, index: number, leaf: Digest | null): boolean {
  return quote.origin === origin && quote.index === index && quote.leafHash === leaf;
}

function missingQuote(place: Place, text: string): Finding {
  return finding('misconduct', 'quote.missing', place, text);
}

function unmatchedQuote(place: Place, fact: string, { origin, index, leafHash }: EntryQuote): Finding {
  const text = `${fact}, which is not entry ${index} of ${origin} with hash ${leafHash.slice(0, 16)}`;
  return finding('error', 'quote.unmatched', place, text);
}

export function* openHops(stations: JoinedLogs['stations']): Generator<OpenHop> {
  for (const [station, { trace }] of stations) {
    for (const hop of trace.hops.values()) {
      const { hopId, trainId, received, receivedAtMs, receipt, released } = hop;
      if (received === null || receipt !== null) continue;
      yield { station, hopId, trainId, sinceMs: receivedAtMs, waits: released !== null };
    }
  }
}
