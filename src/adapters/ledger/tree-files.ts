import { dirname, join } from 'node:path';
import { PhtError } from '../../model/error.ts';
import type { ReadTile } from '../../model/ledger/append.ts';
import { HASH_BYTES } from '../../model/ledger/merkle.ts';
import {
  partialTiles,
  TILE_WIDTH,
  type Tile,
  type TileFile,
  tilePath,
  tileWidth,
} from '../../model/ledger/tile.ts';
import type { Disk } from './disk.ts';

/** A ledger's static files in the layout of C2SP tlog-tiles. None but `checkpoint` ever changes. */
export interface TreeFiles {
  /** Durable when it returns, all of them; what a crash leaves is written again with the same bytes. */
  write(files: readonly TileFile[]): Promise<void>;
  /** The partial tiles of a tree of `size`, to take it up again. The reader throws for a file that is missing. */
  edge(size: number): Promise<ReadTile>;
  /**
   * Tiles of a tree or of an earlier, smaller state of it, where the files are those of `size` entries: a tile that was
   * partial is the beginning of what stands now. The reader throws `ledger.invalid` for a file that is missing.
   */
  reader(tiles: readonly Tile[], size: number): Promise<ReadTile>;
  checkpoint(): Promise<Uint8Array | null>;
  /** Atomic but not fsynced: the store holds the same bytes, and a start publishes them again. */
  publish(checkpoint: Uint8Array): Promise<void>;
  /** Removes the partial tiles that these full ones replace (tlog-tiles allows it). */
  prune(files: readonly TileFile[]): Promise<void>;
}

export function createTreeFiles(dir: string, disk: Disk): TreeFiles {
  const made = new Set<string>();

  /** New folders up to `dir`, so that each one's name becomes durable in its parent. */
  const makeFolders = async (folders: Iterable<string>): Promise<Set<string>> => {
    const parents = new Set<string>();
    for (const folder of folders) {
      for (let at = folder; !made.has(at) && at.length >= dir.length; at = dirname(at))
        parents.add(dirname(at));
      if (!made.has(folder)) await disk.makeFolder(folder);
    }
    return parents;
  };

  const writeAll = async (files: readonly TileFile[]): Promise<void> => {
    const placed = files.map(({ tile, bytes }) => ({ path: join(dir, tilePath(tile)), bytes }));
    const folders = new Set(placed.map(({ path }) => dirname(path)));
    const parents = await makeFolders(folders);
    await allEnded(
      placed.map(async ({ path, bytes }) => {
        await disk.write(`${path}.new`, bytes, true);
        await disk.rename(`${path}.new`, path);
      }),
    );
    await allEnded([...new Set([...folders, ...parents])].map((folder) => disk.syncFolder(folder)));
    for (const folder of [...folders, ...parents]) if (folder.startsWith(dir)) made.add(folder);
  };

  const reader: TreeFiles['reader'] = async (tiles, size) => {
    const held = new Map<string, Uint8Array>();
    for (const tile of tiles) {
      const width = tileWidth(size, tile.level, tile.index);
      // Bundles are not cut: a partial one is read only as it stands.
      const whole = tile.level === 'entries' ? tile : { ...tile, width };
      const bytes = await disk.read(join(dir, tilePath(whole)));
      if (bytes !== null)
        held.set(tilePath(tile), whole === tile ? bytes : bytes.subarray(0, tile.width * HASH_BYTES));
    }
    return (tile) => {
      const bytes = held.get(tilePath(tile));
      if (bytes === undefined)
        throw new PhtError('ledger.invalid', `${tilePath(tile)} of the ledger is missing`);
      return bytes;
    };
  };

  return {
    reader,
    write: async (files) => {
      try {
        await writeAll(files);
      } catch (thrown) {
        // A folder may be gone: the next attempt makes them all anew.
        made.clear();
        throw thrown;
      }
    },
    edge: (size) => reader(partialTiles(size), size),
    checkpoint: () => disk.read(join(dir, 'checkpoint')),
    publish: async (checkpoint) => {
      await disk.makeFolder(dir);
      const path = join(dir, 'checkpoint');
      await disk.write(`${path}.new`, checkpoint, false);
      await disk.rename(`${path}.new`, path);
    },
    prune: async (files) => {
      for (const { tile } of files) {
        if (tile.width < TILE_WIDTH) continue;
        const folder = join(dir, `${tilePath(tile)}.p`);
        made.delete(folder);
        await disk.removeFolder(folder);
      }
    },
  };
}

/** Waits for all of them even when one fails: a writer left behind would meddle with the next attempt's files. */
async function allEnded(writing: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(writing)) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}
