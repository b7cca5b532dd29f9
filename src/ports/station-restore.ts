import type { Digest, HopId } from '../model/id.ts';
import type { Outcome } from '../model/receipt.ts';
import type { NewEntry, SignedHead } from './ledger.ts';

/** A hop whose receipt stands in the ledger alone: the receipt's bytes and what was sealed are lost. */
export type EndedHop = {
  hopId: HopId;
  orderDigest: Digest;
  manifestDigest: Digest;
  attempt: number;
  epoch: number;
  /** Whose entry the order's own one quotes; empty when it quotes none. */
  dispatcher: string;
  receivedAtMs: number;
  endedAtMs: number;
  outcome: Outcome;
  code: string;
  receiptDigest: Digest;
};

/** A run that a person's clearance allowed, by the case that was cleared. `standing`: by standing ones. */
export type SpentRun = { hopId: HopId; manifestDigest: Digest; caseDigest: string; standing: boolean };

/** What an old copy of a station's store lacks, verified against what others have seen of its ledger. */
export type Restoration = {
  /** What it was made for: the number of rows here, and of those that are signed. */
  base: { rows: number; signed: number };
  /** Rows that stay: the beginning of the restored ledger. */
  keep: number;
  /** Encoded entries behind them. */
  rows: readonly Uint8Array[];
  head: SignedHead;
  /** With the cosignatures that the network asks for; null when the copy has too few of them. */
  published: SignedHead | null;
  /** Encoded entries that were never signed and still hold; they follow the restored ones. */
  carried: readonly Uint8Array[];
  /** New entries after all of these. */
  entries: readonly NewEntry[];
  ended: readonly EndedHop[];
  /** Hops without a receipt that went on after this copy was made, or since: they start over, with no claim to a release. */
  startOver: readonly HopId[];
  releases: readonly { hopId: HopId; manifestDigest: Digest }[];
  runs: readonly SpentRun[];
  /** Cases that a person has said no to: what was approved of them before is undone. */
  rejected: readonly string[];
  /** Somebody took a clearance back, and it cannot be told which: none that is known here allows anything more. */
  voided: boolean;
  /** When the last of those entries was made by which a person's word was used, undone or taken back; null without any. */
  wordsLostMs: number | null;
  /** The highest time in the restored entries. */
  highestMs: number;
  nowMs: number;
};

export interface RestorationStore {
  /**
   * One transaction: rows, heads, releases, runs, words of persons, clock and hops.
   *
   * @returns the size of the ledger after it
   * @throws PhtError `conflict` when the store has changed since the restoration was made
   */
  apply(restoration: Restoration): number;
}
