import type { LedgerEntry } from '../model/ledger/entry.ts';
import type { NoteSignature } from '../model/ledger/note.ts';
import type { Signer } from './signer.ts';

/**
 * A new entry without what the ledger itself adds. Entries are appended in the same transaction as the fact they
 * record, so a fact without its entry cannot exist.
 */
export type NewEntry = Omit<LedgerEntry, 'v' | 'ts' | 'actor'>;

/** A head: the tree's size and the signed checkpoint over it. */
export type SignedHead = { size: number; text: Uint8Array };

/** The log key of now, and those that it took the place of, newest first. */
export type LogSigners = { readonly signer: Signer; readonly former: readonly Signer[] };

/** The entries of one member's ledger as its store holds them: durable before anything is signed over them. */
export interface LedgerRows {
  size(): number;
  /** Encoded entries `first` to `end - 1`. */
  read(first: number, end: number): Uint8Array[];
  /** The last signed checkpoint, or null before the first. */
  checkpoint(): SignedHead | null;
  /** What was signed for one size. */
  signedAt(size: number): SignedHead | null;
  /**
   * Compare-and-set on the size: a second root for one size cannot be stored. With `published` it becomes the published
   * head in the same step.
   *
   * @throws PhtError `conflict`
   */
  saveCheckpoint(previousSize: number, next: SignedHead, published: boolean): void;
  /** The last checkpoint that was published, with the cosignatures it was published with; null before the first. */
  published(): SignedHead | null;
  /** Never goes back to a smaller size. */
  savePublished(head: SignedHead): void;
}

/**
 * One member's C2SP tiled log: tiles and bundles first, the signed checkpoint last. Where the network has a quorum of
 * witnesses, a signed checkpoint is published once enough of them have cosigned it; otherwise at once.
 */
export interface Ledger {
  readonly origin: string;
  /**
   * Repairs what a crash left and checks store against files, without signing a checkpoint. Where the log key has been
   * replaced, it appends the entry that both keys sign, as `covered` does before the first head with the new one.
   *
   * @throws PhtError `ledger.inconsistent`, `signer.unknown` where the key that it had is not at hand
   */
  open(): Promise<void>;
  /**
   * Resolves once a signed checkpoint covers at least `size` entries; calls that wait together share one.
   *
   * @throws PhtError `ledger.unchecked` while nobody has said what this ledger signed before, `ledger.inconsistent`
   */
  covered(size: number): Promise<void>;
  /** The last signed checkpoint. */
  checkpoint(): SignedHead | null;
  /** The last one that may be shown: as many have cosigned it as the network asks for. */
  published(): SignedHead | null;
  /**
   * Takes cosignature lines to the signed checkpoint of `size`, verified by the caller, and publishes it unless a larger
   * one is published already; for the same size they replace the older ones.
   */
  publish(size: number, cosignatures: readonly NoteSignature[]): Promise<void>;
  /** The tree as its files have it, up to the last signed checkpoint. */
  readonly tree: LedgerTree;
}

/** Proofs about one's own ledger, made from its tiles (RFC 6962 section 2.1). */
export interface LedgerTree {
  /**
   * The `.tlog-proof` of one entry, with the entry as its extra data: under the published checkpoint where that covers
   * it, otherwise under the signed one.
   *
   * @throws PhtError `internal` for an entry that no signed checkpoint covers
   */
  prove(index: number): Promise<Uint8Array>;
  /** Hashes that show the tree of `size` to begin with that of `sizeBefore`. */
  consistency(sizeBefore: number, size: number): Promise<readonly Uint8Array[]>;
  rootAt(size: number): Promise<Uint8Array>;
}
