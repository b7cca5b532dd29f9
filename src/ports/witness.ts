import type { Digest } from '../model/id.ts';
import type { Checkpoint } from '../model/ledger/checkpoint.ts';
import type { SeenAnswer } from '../model/ledger/seen.ts';
import type { TrustVerdict } from '../model/trust.ts';
import type { NewEntry } from './ledger.ts';

/** An answer of C2SP tlog-witness `add-checkpoint`: a status code of HTTP with its body. */
export type WitnessAnswer = { status: number; contentType: string; body: Uint8Array };

/** The way to witnesses that cannot be dialled. What comes back is verified by whoever asked. */
export interface WitnessRelay {
  /** @throws PhtError `witness.unreachable`, `unreachable`, `timed-out` */
  addCheckpoint(witness: string, body: Uint8Array, signal: AbortSignal): Promise<WitnessAnswer>;
  /**
   * The newest checkpoint of the caller's own ledger that this witness has cosigned, signed over the nonce. A relay may
   * lie: only `verifySeen` makes an answer of it.
   *
   * @param nonce 32 random bytes that were never used before
   * @throws PhtError `witness.unreachable`, `unreachable`, `timed-out`
   */
  seen(witness: string, nonce: Uint8Array, signal: AbortSignal): Promise<SeenAnswer>;
}

/** The last checkpoint of one ledger that a witness has cosigned, with its own cosignature in the note. */
export type WitnessedHead = Pick<Checkpoint, 'size' | 'root'> & { note: string };

/** Two heads of one ledger that cannot both be true, each signed by that ledger: proof of misconduct for anyone. */
export type LedgerConflict = {
  readonly member: string;
  readonly origin: string;
  readonly size: number;
  /** The two signed notes, the one that was seen first before the other. */
  readonly notes: readonly [string, string];
  readonly foundAtMs: number;
};

/** An admin's signed decision about one conflict: the encoded DSSE envelope, kept as it was verified, and when it says it was signed. */
export type ConflictDecision = { envelope: Uint8Array; verdict: TrustVerdict; decidedAtMs: number };

/** A conflict with the last decision about it, if there is one. */
export type KnownConflict = LedgerConflict & { readonly decision?: ConflictDecision };

/** What a witness remembers. Durable before it answers: a witness that forgets cosigns a roll-back. */
export interface WitnessStore {
  head(origin: string): WitnessedHead | null;
  /** Compare-and-set on the size of the head before (0 for none). @returns false when it has moved meanwhile */
  advance(origin: string, sizeBefore: number, next: WitnessedHead): boolean;
  /**
   * Notes a validly signed head of another ledger, cosigned or not. One size with two roots is a conflict, which is kept
   * with both notes and its ledger entry, once for each pair.
   *
   * @returns the conflict, if this makes or repeats one
   */
  noteHead(member: string, origin: string, head: WitnessedHead, nowMs: number): LedgerConflict | null;
  conflicts(): readonly KnownConflict[];
  /** Conflicts of this member's ledger that no admin has resumed after: while there are any, it is not believed. */
  unresolved(member: string): readonly LedgerConflict[];
  /**
   * Keeps the decision about the conflict of this `conflictDigest` with its ledger entries, in one transaction; again
   * the same one changes nothing. The last decision counts, and one that was signed before it comes too late.
   *
   * @throws PhtError `not-found`, `conflict` (it was decided since)
   */
  resolve(
    conflictDigest: Digest,
    decision: ConflictDecision,
    entries: readonly NewEntry[],
    nowMs: number,
  ): void;
}
