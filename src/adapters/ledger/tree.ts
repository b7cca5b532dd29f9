import { PhtError } from '../../model/error.ts';
import type { ReadTile } from '../../model/ledger/append.ts';
import { parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { formatEntryProof } from '../../model/ledger/entry-proof.ts';
import { EMPTY_ROOT } from '../../model/ledger/merkle.ts';
import { parseNote } from '../../model/ledger/note.ts';
import {
  proveConsistency,
  proveInclusion,
  rootFromTiles,
  tilesForConsistency,
  tilesForInclusion,
  tilesForRoot,
} from '../../model/ledger/prove.ts';
import type { Tile } from '../../model/ledger/tile.ts';
import type { LedgerRows, LedgerTree } from '../../ports/ledger.ts';
import type { TreeFiles } from './tree-files.ts';

/** Looks that are worth it: each finds that the ledger has grown meanwhile, and took partial tiles away. */
const LOOKS_MAX = 4;

/** Proofs about a ledger from its tiles. A smaller tree's partial tiles are the beginnings of those that stand now. */
export function createTree(rows: LedgerRows, reader: TreeFiles['reader']): LedgerTree {
  const sizeNow = (): number => rows.checkpoint()?.size ?? 0;

  /** A tile that was replaced by a wider one while it was looked for is found by looking again. */
  const read = async (tiles: readonly Tile[]): Promise<ReadTile> => {
    for (let looks = 1; ; looks++) {
      const size = sizeNow();
      try {
        const found = await reader(tiles, size);
        // Only its use tells that one is missing.
        for (const tile of tiles) found(tile);
        return found;
      } catch (thrown) {
        if (looks === LOOKS_MAX || sizeNow() === size) throw thrown;
      }
    }
  };

  return {
    prove: async (index) => {
      const published = rows.published();
      const head = published !== null && published.size > index ? published : rows.checkpoint();
      const [entry] = rows.read(index, index + 1);
      if (head === null || head.size <= index || entry === undefined)
        throw new PhtError('internal', `no signed checkpoint covers entry ${index}`);
      const hashes = proveInclusion(index, head.size, await read(tilesForInclusion(index, head.size)));
      return formatEntryProof(entry, { index, hashes, checkpoint: Buffer.from(head.text).toString() });
    },
    consistency: async (sizeBefore, size) =>
      proveConsistency(sizeBefore, size, await read(tilesForConsistency(sizeBefore, size))),
    rootAt: async (size) => {
      if (size === 0) return EMPTY_ROOT;
      const signed = rows.signedAt(size);
      if (signed !== null) return parseCheckpoint(parseNote(signed.text).text).root;
      return rootFromTiles(size, await read(tilesForRoot(size)));
    },
  };
}
