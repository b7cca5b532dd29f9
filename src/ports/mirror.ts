import type { CompactRange } from '../model/ledger/merkle.ts';
import type { Tile } from '../model/ledger/tile.ts';

/** The copies of other members' ledgers as files in the layout of C2SP tlog-tiles, one folder a member. */
export interface MirrorFiles {
  /**
   * Adds verified entries behind the tree that `verified` is; durable when it returns, and shown by nothing yet. What a
   * crash leaves of it is written again.
   *
   * @returns what the new files are, for `show`
   * @throws PhtError `ledger.invalid` where the files of `verified` are missing or damaged
   */
  extend(
    member: string,
    verified: CompactRange,
    batches: Iterable<readonly Uint8Array[]>,
  ): Promise<readonly Tile[]>;
  /** Puts the checkpoint in place, and removes the partial tiles that full ones among `written` replace. */
  show(member: string, checkpoint: Uint8Array, written: readonly Tile[]): Promise<void>;
  /**
   * One tile or bundle, cut to its width where the files of `size` entries have more of it.
   *
   * @returns null where the file is missing
   */
  tile(member: string, tile: Tile, size: number): Promise<Uint8Array | null>;
}

/** Ledgers as they may be shown: each up to its published checkpoint, and nothing beyond. */
export interface ShownLogs {
  members(): string[];
  /** Null where there is no such ledger. */
  checkpoint(member: string): Uint8Array | null;
  /** Earlier heads, as `formatPastHeads` writes them. Null where there is no such ledger. */
  pastHeads(member: string): Uint8Array | null;
  /** Null for a tile that the tree of the published checkpoint does not have. */
  tile(member: string, tile: Tile): Promise<Uint8Array | null>;
}
