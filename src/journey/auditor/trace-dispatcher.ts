import type { Digest } from '../../model/id.ts';
import type { EntryQuote, LedgerEntry } from '../../model/ledger/entry.ts';
import { contradictionIn, type LeafOf, otherTrain, outcomeIn, textIn } from './entry.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';

/** One order as its dispatcher put it on record, and the receipt that came back. */
export type OrderTrace = {
  readonly station: string | null;
  readonly manifestDigest: Digest | null;
  readonly issued: number;
  readonly leaf: Digest;
  /** `quote` names the station's entry that the receipt came with. */
  receipt: {
    index: number;
    digest: string;
    /** Outcome and code of the receipt. */
    outcome: string;
    atMs: number;
    quote: EntryQuote | null;
  } | null;
};

export type DispatcherTrace = {
  take(index: number, entry: LedgerEntry, leafOf: LeafOf): void;
  /** By hop, which is derived from the order's digest. */
  readonly orders: ReadonlyMap<string, OrderTrace>;
  readonly admitted: ReadonlySet<string>;
  findings(): Finding[];
};

/** What an earlier audit left open. */
export type DispatcherOpen = {
  orders: readonly (readonly [string, OrderTrace])[];
  admitted: readonly string[];
};

const FINDINGS_MAX = 1000;

/** Follows a dispatcher's log: admission before orders, orders before receipts. */
export function traceDispatcher(dispatcher: string, open?: DispatcherOpen): DispatcherTrace {
  const admitted = new Set<string>(open?.admitted);
  const orders = new Map<string, OrderTrace>(open?.orders.map(([hopId, order]) => [hopId, { ...order }]));
  const found: Finding[] = [];
  const wrong = (severity: Severity, code: FindingCode, index: number, text: string): void => {
    if (found.length < FINDINGS_MAX) found.push(finding(severity, code, { log: dispatcher, index }, text));
  };

  const receive = (hopId: string, index: number, entry: LedgerEntry): void => {
    const { body, ts, prev } = entry;
    const order = orders.get(hopId);
    const mixed = order === undefined ? null : otherTrain(entry, order);
    if (mixed !== null) wrong('error', 'entry.contradictory', index, mixed);
    const digest = textIn(body, 'receiptDigest');
    if (digest === null)
      wrong('error', 'entry.contradictory', index, `${hopId}: a receipt without its digest`);
    else if (order === undefined)
      wrong('misconduct', 'receipt.unordered', index, `${hopId} was never ordered here`);
    else if (order.receipt !== null) {
      wrong(
        'misconduct',
        'receipt.duplicate',
        index,
        `${hopId} has a receipt already, at entry ${order.receipt.index}`,
      );
    } else order.receipt = { index, digest, outcome: outcomeIn(body), atMs: ts, quote: prev };
  };

  return {
    orders,
    admitted,
    findings: () => found,
    take: (index, entry, leafOf) => {
      const problem = contradictionIn(entry);
      if (problem !== null) wrong('error', 'entry.contradictory', index, problem);
      const { type, trainId, hopId } = entry;
      if (type === 'train.admitted' && trainId !== null) admitted.add(trainId);
      if (hopId === null) return;
      if (type === 'order.issued') {
        if (trainId === null || !admitted.has(trainId)) {
          wrong(
            'misconduct',
            'order.unadmitted',
            index,
            `${hopId} was ordered before its train was admitted`,
          );
        }
        if (!orders.has(hopId)) {
          const station = textIn(entry.body, 'station');
          const { manifestDigest } = entry;
          orders.set(hopId, { station, manifestDigest, issued: index, leaf: leafOf(), receipt: null });
        }
      } else if (type === 'receipt.received') receive(hopId, index, entry);
    },
  };
}
