import type { HopState } from '../model/hop.ts';
import type { Digest, HopId, TrainId } from '../model/id.ts';
import type { EntryQuote } from '../model/ledger/entry.ts';
import type { VerifiedOrder } from '../model/order.ts';
import type { Outcome } from '../model/receipt.ts';
import type { NewEntry } from './ledger.ts';

/** One hop as the station has it on disk. `manifest` and `order` are the envelope bytes as they arrived. */
export type HopRecord = {
  readonly hopId: HopId;
  readonly trainId: TrainId;
  readonly manifestDigest: Digest;
  readonly orderDigest: Digest;
  readonly step: 'run';
  readonly round: 1;
  readonly attempt: number;
  readonly epoch: number;
  readonly dispatcher: string;
  readonly order: Uint8Array;
  readonly manifest: Uint8Array;
  readonly state: HopState;
  readonly receivedAtMs: number;
  readonly changedAtMs: number;
  readonly notes: HopNotes;
  /** What waits for witnesses, on disk and sealed for its recipients; null in any other state. */
  readonly held: HeldResult | null;
  readonly sealed: SealedHop | null;
};

/** What steps decided along the way and a person may want to see. Nothing here comes from a patient's data. */
export type HopNotes = {
  title?: string;
  researcher?: string;
  dataset?: string;
  caseDigest?: string;
  /** The case that a person rejected: its entry is written. */
  rejectedCase?: string;
  verdict?: 'permit' | 'ask' | 'deny';
  reasons?: string[];
  clearedAtMs?: number;
  deadlineAtMs?: number;
  /** Until when a sealed result waits for witnesses: the expiry of its order. */
  heldUntilMs?: number;
  problem?: string;
  /** An erasure took the manifest and what named a person. */
  erased?: true;
};

/** `ledgerSize`: what the witnesses have to cosign before it may leave. */
export type HeldResult = { jwe: Uint8Array; ledgerSize: number };

export type SealedHop = {
  outcome: Outcome;
  code: string;
  /** Empty where the ledger alone has told of it, after an old backup was restored; such a one is never posted. */
  receipt: Uint8Array;
  receiptDigest: Digest;
  jwe: Uint8Array | null;
  /** The message may leave only when the signed checkpoint covers this many entries (promise 8). */
  ledgerSize: number;
};

export type Message = { key: string; hopId: HopId; epoch: number; ledgerSize: number } & (
  | { kind: 'progress'; progress: string }
  | { kind: 'receipt'; receipt: Uint8Array; jwe: Uint8Array | null; releases: boolean }
);

/**
 * The one write path of a station's hops. Each call is one transaction: the fact, its ledger entries and the message it
 * causes are durable together or not at all.
 */
export interface HopStore {
  /** Takes an order on; `prev` quotes the dispatcher's entry about it. The same order again changes nothing, but posts the receipt again when there is one. */
  accept(order: VerifiedOrder, manifest: Uint8Array, prev: EntryQuote | null, nowMs: number): HopRecord;
  find(hopId: string): HopRecord | null;
  /** All hops that are not delivered, or simply the newest `all` of them. */
  list(which: 'open' | { newest: number }): HopRecord[];
  /**
   * Compare-and-set on state and epoch. The move to `awaiting-witness` claims the release as `seal` does; the one from
   * there gives it back and forgets what was held.
   *
   * @throws PhtError `conflict` when the hop has moved meanwhile or the move is not in the table of moves;
   *   `clearance.invalid` when the run of the clearance to consume was used by another hop; `replayed`, and whatever
   *   `guard` throws inside the transaction
   */
  move(hop: HopRecord, to: HopState, change: Change): HopRecord;
  /**
   * The move to `sealed`, which posts the receipt. `released` is unique on (manifest, step, round): a second one throws.
   *
   * @throws PhtError `replayed`, `conflict`, and whatever `guard` throws inside the transaction
   */
  seal(
    hop: HopRecord,
    sealed: Omit<SealedHop, 'ledgerSize'>,
    entries: NewEntry[],
    nowMs: number,
    guard: () => void,
  ): HopRecord;
  /**
   * What came here before and stands in the way of this visit (manifest, step, round), in this order: the hop that
   * released it, one that is still open, or an ended one whose epoch this one does not pass.
   */
  rival(hop: HopRecord): HopRecord | null;
}

/** `consume`: the clearance whose one run this move uses up, in the same transaction. `hold`: the sealed result. */
export type Change = {
  nowMs: number;
  notes?: HopNotes;
  entries: NewEntry[];
  progress?: string;
  consume?: string | null;
  hold?: Uint8Array;
  guard?: () => void;
};

/** Messages that wait for the dispatcher, oldest first. */
export interface Outbox {
  waiting(max: number): Message[];
  /** Acknowledged. A receipt's acknowledgement moves its hop to `delivered`. */
  done(key: string, nowMs: number): void;
}

export interface ClearanceStore {
  /** One decision per case; a later decision on the same case replaces it until it has been consumed. */
  record(caseDigest: string, clearanceDigest: string, envelope: Uint8Array, nowMs: number): void;
  /** The decision on a case, unless its one run was used up by another hop. */
  find(caseDigest: string, hopId: string): Uint8Array | null;
}

export interface StationLog {
  /** Entries that belong to no hop: policy and network changes, rejected orders. */
  append(entries: NewEntry[], nowMs: number): number;
  /** A moment that is known to have passed. */
  saw(nowMs: number): void;
  /** The highest time ever seen here; never goes back. */
  highestMs(): number;
}
