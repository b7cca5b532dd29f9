import type { Tile, TileFile } from '../model/ledger/tile.ts';

/**
 * Where an auditor reads ledgers from: a dispatcher that may lie, or a folder that anybody may have touched. Nothing of
 * it is believed before it has been verified against the pinned keys.
 */
export interface LogSource {
  /** Names under which logs are offered; they may be anything. */
  members(): Promise<string[]>;
  /** The signed checkpoint as it was given; null where there is none. */
  checkpoint(member: string): Promise<Uint8Array | null>;
  /** Earlier heads, as `formatPastHeads` writes them; null where there are none. */
  pastHeads(member: string): Promise<Uint8Array | null>;
  /**
   * Entries `first` to `end - 1`, in order, in batches of any size. Too few or too many are for the reader to notice.
   *
   * @throws PhtError `ledger.invalid` for what has no form, `unreachable`
   */
  entries(member: string, first: number, end: number): AsyncIterable<readonly Uint8Array[]>;
  /** A stored tile of hashes, null when it is missing. The whole method is null where the source stores none. */
  readonly hashTile: ((member: string, tile: Tile) => Promise<Uint8Array | null>) | null;
  /** Paths in a log of `size` entries that belong to no such log, at most `max`. */
  strangers(member: string, size: number, max: number): Promise<string[]>;
}

/** Keeps verified ledgers in the layout of C2SP tlog-tiles, one folder a member, for an audit without any network. */
export interface LogArchive {
  /** A new copy beside the last one, which stays as it is until the new one is committed. */
  begin(member: string): Promise<LogCopy>;
}

export interface LogCopy {
  /** The checkpoint of the last copy; null where there is none. */
  last(): Promise<Uint8Array | null>;
  /** The first `width` hashes of a tile in the last copy, as they stand there; null where it holds fewer. */
  lastHashes(tile: Tile): Promise<Uint8Array | null>;
  /** Earlier heads that the last copy holds, as `formatPastHeads` writes them; null where it holds none. */
  lastPastHeads(): Promise<Uint8Array | null>;
  write(files: readonly TileFile[]): Promise<void>;
  /** Those that belong to this copy; without a call, with `extend`, they stay those of the last one. */
  keepPastHeads(heads: Uint8Array): Promise<void>;
  /**
   * Puts what was written in the place of the last copy or, with `extend`, adds it to that: it is then all that a tree
   * of the new size has and that of the last copy had not. Either is there after a crash, and verifies.
   */
  commit(checkpoint: Uint8Array, mode: 'replace' | 'extend'): Promise<void>;
  discard(): Promise<void>;
}
