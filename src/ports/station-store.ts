import type { HopState, Wait } from '../model/hop.ts';
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

/** What a look over all open hops needs: neither what came with them nor what goes out. */
export type OpenHop = Pick<
  HopRecord,
  'hopId' | 'trainId' | 'manifestDigest' | 'epoch' | 'dispatcher' | 'state' | 'notes'
>;

/** What steps decided along the way and a person may want to see. Nothing here comes from a patient's data. */
export type HopNotes = {
  title?: string;
  researcher?: string;
  dataset?: string;
  /** Config digest. */
  image?: string;
  caseDigest?: string;
  /** The case that a person rejected: its entry is written. */
  rejectedCase?: string;
  verdict?: 'permit' | 'ask' | 'deny';
  reasons?: string[];
  /** The policy was told so, and may have gone by it. */
  imageApprovedHere?: boolean;
  /** How many persons the policy asks for. */
  approvalsNeeded?: number;
  /** Digests of the approvals of this case that are on record while it waits for another person's. */
  approvals?: string[];
  /** Digests of the statements of persons that it was cleared by; none where the policy did. */
  clearances?: string[];
  clearedAtMs?: number;
  deadlineAtMs?: number;
  /** When a run of it began for the first time: from then on the data may sway what becomes of it. */
  startedAtMs?: number;
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
  /** All hops that are not delivered, the oldest first. */
  open(): OpenHop[];
  /** Whatever their state. */
  list(which: { newest: number }): HopRecord[];
  /**
   * Compare-and-set on state and epoch. The move to `awaiting-witness` claims the release as `seal` does; the one from
   * there gives it back and forgets what was held.
   *
   * @throws PhtError `conflict` when the hop has moved meanwhile or the move is not in the table of moves;
   *   `clearance.invalid` when a clearance to consume was withdrawn or allows no run more; `replayed`, and whatever
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

/** `hopId`: of this attempt; one that is not known yet comes after all others. */
export type Visit = Pick<HopRecord, 'manifestDigest' | 'round'> & { readonly hopId: string };

/**
 * Persons' statements, by digest, whose run a move uses up: the one run of each clearance, or one of those that the
 * terms of standing ones allow together, which is one visit's, for at most `STANDING_ATTEMPTS_MAX` attempts.
 */
export type Consumption = {
  readonly clearances: readonly string[];
  readonly terms: { readonly digest: string; readonly runsMax: number } | null;
};

/** `consume`: in the same transaction. `hold`: the sealed result. */
export type Change = {
  nowMs: number;
  notes?: HopNotes;
  entries: NewEntry[];
  progress?: string;
  consume?: Consumption | null;
  hold?: Uint8Array;
  guard?: () => void;
};

/** Messages that wait for the dispatcher, oldest first. */
export interface Outbox {
  waiting(max: number): Message[];
  /** What keeps a hop from going on, or null when that has passed; what was told last is not told again. */
  tell(hopId: string, wait: Wait | null, nowMs: number): void;
  /** Acknowledged. A receipt's acknowledgement moves its hop to `delivered`. */
  done(key: string, nowMs: number): void;
}

/** A person's statement as it was verified when it came. */
export type SignedClearance = {
  readonly digest: string;
  readonly envelope: Uint8Array;
  readonly recordedAtMs: number;
};

/** `approvals`: how many persons the policy asked for when it was signed. `runsUsed`: of all with these terms. */
export type StandingRecord = SignedClearance & {
  readonly termsDigest: string;
  readonly approvals: number;
  readonly runsUsed: number;
  readonly withdrawn: boolean;
};

export type NewStanding = {
  digest: string;
  termsDigest: string;
  researcher: string;
  dataset: string;
  approvals: number;
  envelope: Uint8Array;
};

/** `withdrawal`: the envelope of the word that took it back; empty where that word was lost with a backup. */
export type KnownStatement = {
  readonly kind: 'clearance' | 'standing';
  readonly envelope: Uint8Array;
  readonly withdrawal: Uint8Array | null;
};

/** What is known of one image; `cleared`: statements that hops with it were cleared by, the newest first. */
export type ImageRecord = {
  readonly hops: number;
  readonly released: number;
  readonly refused: number;
  readonly firstSeenMs: number | null;
  readonly cleared: readonly { clearances: readonly string[]; clearedAtMs: number }[];
};

export interface ClearanceStore {
  record(caseDigest: string, clearanceDigest: string, envelope: Uint8Array, nowMs: number): void;
  /** The decisions on a case in the order in which they came, but those withdrawn or used up by another hop. */
  find(caseDigest: string, hopId: string): SignedClearance[];
  /** Whether the run of a clearance was used up by another hop. */
  isSpent(clearanceDigest: string, hopId: string): boolean;
  /** With its entries in one transaction; a second time it changes nothing. @returns whether it is new */
  recordStanding(standing: NewStanding, entries: () => NewEntry[], nowMs: number): boolean;
  /** The newest first. */
  standing(about: 'all' | { researcher: string; dataset: string }): StandingRecord[];
  /** Whether this visit may go on under these terms: an attempt at it has used a run of them, or one is left. */
  hasRun(terms: NonNullable<Consumption['terms']>, visit: Visit): boolean;
  statement(digest: string): KnownStatement | null;
  /** For good. @returns false when it was withdrawn before, and nothing was changed */
  withdraw(digest: string, withdrawal: Uint8Array, entries: () => NewEntry[], nowMs: number): boolean;
  /** When a restored backup last lost which clearance was used or taken back; null where it lost none. */
  wordsLostMs(): number | null;
  /** @param but leaves this hop out */
  image(configDigest: string, but: string): ImageRecord;
  /** Its `cleared` alone, which costs the same however often the image was here. */
  clearedWith(configDigest: string, but: string): ImageRecord['cleared'];
  /** Whether it cleared a hop with this image, however many others were cleared since. */
  hasCleared(clearanceDigest: string, configDigest: string): boolean;
}

/** At most so many within `windowMs`, of one researcher and of all together. */
export type InquiryRates = { windowMs: number; perResearcherMax: number; overallMax: number };

/** Inquiries that were taken lately, so that neither the rates nor what was asked before is forgotten by a restart. */
export interface InquiryStore {
  /** Durable when it returns; what is not `taken` counts against nobody. */
  take(
    inquiry: { digest: string; researcher: string; expiresMs: number },
    rates: InquiryRates,
    nowMs: number,
  ): 'taken' | 'replayed' | 'too-many';
}

export interface StationLog {
  /** Entries that belong to no hop: policy and network changes, rejected orders. */
  append(entries: NewEntry[], nowMs: number): number;
  /** A moment that is known to have passed. */
  saw(nowMs: number): void;
  /** The highest time ever seen here; never goes back. */
  highestMs(): number;
}
