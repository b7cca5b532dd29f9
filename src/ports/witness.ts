import type { Checkpoint } from '../model/ledger/checkpoint.ts';

/** An answer of C2SP tlog-witness `add-checkpoint`: a status code of HTTP with its body. */
export type WitnessAnswer = { status: number; contentType: string; body: Uint8Array };

/** The way to witnesses that cannot be dialled. What comes back is verified by whoever asked. */
export interface WitnessRelay {
  /** @throws PhtError `witness.unreachable`, `unreachable`, `timed-out` */
  addCheckpoint(witness: string, body: Uint8Array, signal: AbortSignal): Promise<WitnessAnswer>;
  /**
   * The newest checkpoint of the caller's own ledger that this witness has cosigned; null when it has seen none.
   *
   * @throws PhtError `witness.unreachable`, `unreachable`, `timed-out`
   */
  seen(witness: string, signal: AbortSignal): Promise<Uint8Array | null>;
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
  conflicts(): readonly LedgerConflict[];
}
