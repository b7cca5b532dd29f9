import type { NewEntry } from './ledger.ts';

/** What opens a station's commitments and what its decisions were made from: all that an erasure can take away. */
export interface StationArchive {
  /** Keeps what opens a salted commitment. @param about ids of the members that the value names */
  keepSalt(commitment: string, salt: Uint8Array, value: string, about: readonly string[]): void;
  /** null where there never was one, or where it was erased. */
  opening(commitment: string): { salt: Uint8Array; value: string } | null;
  keepPolicy(digest: string, text: string): void;
  policy(digest: string): string | null;
  /** The envelope of a person's decision, by the digest of its statement. */
  clearance(clearanceDigest: string): Uint8Array | null;
  /**
   * Takes away all that says that `member` is meant, in one transaction with the entry that `entryOf` makes of the
   * number of salts; overwritten on disk when it returns.
   */
  erase(member: string, nowMs: number, entryOf: (salts: number) => NewEntry): Erased;
}

/**
 * How many of each went. `redacted` counts ended hops that have lost their manifest and notes; `open` those still under
 * way that name the person and keep what names him until they have ended.
 */
export type Erased = {
  readonly salts: number;
  readonly clearances: number;
  readonly redacted: number;
  readonly open: number;
  /** The message may leave when the signed checkpoint covers this many entries. */
  readonly ledgerSize: number;
};
