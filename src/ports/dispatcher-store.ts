import type { StopState } from '../model/hop.ts';
import type { Digest, HopId, TrainId } from '../model/id.ts';
import type { CompactRange } from '../model/ledger/merkle.ts';
import type { LedgerRows, NewEntry } from './ledger.ts';
import type { WitnessStore } from './witness.ts';

/** What a dispatcher holds on disk. Envelopes are kept as their bytes; times in milliseconds since the Unix epoch. */

export const JOURNEY_STATES = ['loading', 'under-way', 'arrived', 'cancelled', 'failed'] as const;
export type JourneyState = (typeof JOURNEY_STATES)[number];

export type Train = {
  readonly trainId: TrainId;
  readonly manifestDigest: Digest;
  /** The verified envelope. */
  readonly manifest: Uint8Array;
  readonly researcher: string;
  readonly title: string;
  readonly state: JourneyState;
  readonly submittedAtMs: number;
  readonly expiresMs: number;
  /** The researcher's signed word that takes the train back. */
  readonly cancellation: Uint8Array | null;
  /** Where its admission stands in the ledger. */
  readonly admittedAt: number;
};

export interface Trains {
  insert(train: Train): void;
  find(trainId: string): Train | null;
  /** Newest first, from behind `after` on. */
  page(researcher: string, after: { submittedAtMs: number; trainId: string } | null, max: number): Train[];
  /** Those still loading or under way: of one researcher, or expired before a moment. */
  open(which: { researcher: string } | { expiredBeforeMs: number }): Train[];
  /** Compare-and-set. @throws PhtError `conflict` when the train has moved meanwhile */
  move(trainId: TrainId, from: JourneyState, to: JourneyState): void;
  cancel(trainId: TrainId, cancellation: Uint8Array): void;
}

export type Stop = {
  readonly trainId: TrainId;
  readonly station: string;
  readonly state: StopState;
  /** Of the receipt or of what the dispatcher claims; empty while the hop is open. */
  readonly code: string;
  readonly attempt: number;
  readonly epoch: number;
  readonly hopId: HopId;
  readonly order: Uint8Array;
  readonly orderDigest: Digest;
  readonly receiptDigest: Digest | null;
  readonly changedAtMs: number;
  /** Where its order stands in the ledger. */
  readonly orderedAt: number;
};

/** `proof` is the `.tlog-proof` of the receipt's entry in the station's ledger. */
export type SealedStop = {
  readonly receipt: Uint8Array;
  readonly jwe: Uint8Array | null;
  readonly proof: Uint8Array;
};

export interface Stops {
  insert(stop: Stop): void;
  find(hopId: string): Stop | null;
  /** In the order in which they were ordered; `openAt` a station are those that have no receipt yet. */
  list(which: { trainId: string } | { openAt: string }): Stop[];
  /** Compare-and-set on the state. @throws PhtError `conflict` */
  move(stop: Stop, to: StopState, code: string, nowMs: number): void;
  /** The receipt, once and for ever. @throws PhtError `conflict` when there is one already */
  seal(
    stop: Stop,
    end: SealedStop & { state: StopState; code: string; receiptDigest: Digest },
    nowMs: number,
  ): void;
  sealed(hopId: string): SealedStop | null;
}

/** Which complete blobs each researcher has uploaded; whose else they are shows nowhere. Sizes in bytes. */
export interface Blobs {
  own(researcher: string, digest: string, bytes: number): void;
  owned(researcher: string): ReadonlyMap<string, number>;
  disown(researcher: string, digest: string): void;
}

/** Answers by idempotency key, scoped to (member, method) and bound to the digest of the request. */
export interface Replies {
  find(member: string, method: string, key: string): { requestDigest: string; response: Uint8Array } | null;
  put(member: string, method: string, key: string, reply: Reply): void;
  prune(beforeMs: number): void;
}
export type Reply = { requestDigest: string; response: Uint8Array; atMs: number };

export type StationRecord = {
  readonly station: string;
  readonly lastSeenMs: number;
  readonly descriptions: readonly Uint8Array[];
};

export interface Stations {
  announce(record: StationRecord): void;
  seen(station: string, nowMs: number): void;
  list(): StationRecord[];
}

/** `verified` is covered by `checkpoint`; `stored` may be ahead of it while a publication is on its way. */
export type MirrorHead = {
  readonly member: string;
  readonly verified: CompactRange;
  readonly stored: CompactRange;
  /** Of the entries from `verified` up to `stored`. */
  readonly pendingBytes: number;
  readonly checkpoint: Uint8Array | null;
};

/** Where the copies of the stations' ledgers stand, and what waits for its checkpoint; the rest is in files. */
export interface Mirrors {
  heads(): MirrorHead[];
  head(member: string): MirrorHead | null;
  /** Entries that wait, from `first` on. */
  add(member: string, first: number, entries: readonly Uint8Array[]): void;
  read(member: string, first: number, end: number): Uint8Array[];
  /** Forgets all that wait. */
  drop(member: string): void;
  save(head: MirrorHead): void;
}

/** A head with the cosignatures that prove it to be on record at `atMs`, by the rule of one version of the network. */
export type PastHead = {
  readonly member: string;
  readonly version: number;
  readonly size: number;
  readonly atMs: number;
  readonly text: Uint8Array;
};

/** Earlier heads of all ledgers that are shown; which are kept is decided elsewhere. */
export interface PastHeads {
  /** Without their texts, of which there may be megabytes. */
  list(member: string): (Omit<PastHead, 'text'> & { bytes: number })[];
  /** Signed notes of at most `sizeMax` entries, oldest first. */
  texts(member: string, sizeMax: number): Uint8Array[];
  /** Nothing where there is one of that version and size: the older cosignatures prove more. @returns whether it is new */
  add(head: PastHead): boolean;
  remove(head: Pick<PastHead, 'member' | 'version' | 'size'>): void;
}

/** What opens the salted commitments of the ledger, in a table of its own so that it can be erased. */
export interface Salts {
  keep(commitment: string, salt: Uint8Array, value: string): void;
  open(value: string): { commitment: string; salt: Uint8Array }[];
  /** @returns how many commitments to this value nobody can open any more */
  forget(value: string): number;
  /** Once the transaction has ended: what was forgotten does not stay behind in the store's own journal either. */
  scrub(): void;
}

export interface DispatcherStore {
  /** All that `work` writes is durable when this returns, or none of it when it throws. */
  atomically<T>(work: () => T): T;
  /** @returns the size of the ledger; only within `atomically`, beside the fact that the entries record */
  append(entries: readonly NewEntry[], nowMs: number): number;
  readonly trains: Trains;
  readonly stops: Stops;
  readonly blobs: Blobs;
  readonly replies: Replies;
  readonly stations: Stations;
  readonly mirrors: Mirrors;
  readonly pastHeads: PastHeads;
  readonly salts: Salts;
  /** What the dispatcher has seen and cosigned of other ledgers. */
  readonly witness: WitnessStore;
  readonly ledgerRows: LedgerRows;
  close(): void;
}
