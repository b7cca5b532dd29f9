import type { LedgerEntry } from '../model/ledger/entry.ts';

/**
 * A new entry without what the ledger itself adds. Entries are appended in the same transaction as the fact they
 * record, so a fact without its entry cannot exist.
 */
export type NewEntry = Omit<LedgerEntry, 'v' | 'ts' | 'actor'>;

/** The entries of one member's ledger as its store holds them: durable before anything is signed over them. */
export interface LedgerRows {
  size(): number;
  /** Encoded entries `first` to `end - 1`. */
  read(first: number, end: number): Uint8Array[];
  /** The last signed checkpoint, or null before the first. */
  checkpoint(): { size: number; text: Uint8Array } | null;
  /** Compare-and-set on the size: a second root for one size cannot be stored. @throws PhtError `conflict` */
  saveCheckpoint(previousSize: number, next: { size: number; text: Uint8Array }): void;
}

/** One member's C2SP tiled log: tiles and bundles first, the signed checkpoint last. */
export interface Ledger {
  readonly origin: string;
  /** Resolves once a signed checkpoint covers at least `size` entries; calls that wait together share one. */
  covered(size: number): Promise<void>;
  checkpoint(): Uint8Array | null;
}
